"""What money has to say in a decision: bounds, caps, limits on the output, free tiers."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import refusal
from routerd.domain import MOST_PER_IMAGE, BudgetRoom, Features, FreeQuota, Plan, Snapshot
from routerd.models.directory import Directory
from routerd.models.pricing import Price, PriceChange, cost_bound
from routerd.models.prompt import PromptAdjustments
from routerd.models.schema import ModelClass
from routerd.settings import Budgeting
from tests.daemon.decide.known import (
    ABLE,
    CHEAP,
    DEAR,
    DOLLAR,
    FREE,
    NOW,
    deployment,
    directory,
    model,
    plan_for,
    provider,
    reasons,
    route_ids,
)

ASKED = Features(100, input_tokens_bound=1000, max_output_tokens=1000)
CLASS = ModelClass(name="fast", description="", candidates=("dear", "cheap"), degraded="fail")


def known(**prices: Price | None) -> Directory:
    prices = prices or {"dear": DEAR, "cheap": CHEAP}
    return directory(
        [provider("p"), provider("q")],
        [model(name, max_output_tokens=50_000, context_window=100_000) for name in prices],
        [
            deployment("pq"[number % 2], name, price=price)
            for number, (name, price) in enumerate(prices.items())
        ],
        [structs.replace(CLASS, candidates=tuple(prices))],
    )


def room(left: int, unit: Any = "nanodollars", **more: Any) -> BudgetRoom:
    spent = more.pop("spent", 0)
    return BudgetRoom(
        budget=more.pop("budget", "mine"),
        scope="tenant acme",
        unit=unit,
        limit=spent + left,
        spent=spent,
        held=0,
        soft=more.pop("soft", spent + left),
        resets_at=NOW.now + 3600,
        **more,
    )


def plan(
    *rooms: BudgetRoom,
    features: Features = ASKED,
    policy: Budgeting = Budgeting(),  # noqa: B008
    made: Directory | None = None,
    **snapshot: Any,
) -> Plan:
    made = made or known()
    seen = Snapshot(now=NOW.now, rooms=rooms, **snapshot)
    return plan_for(made, "fast", features, seen, budgeting=policy)


def test_the_bound_is_what_the_request_can_cost_at_its_own_price() -> None:
    dear, cheap = plan().routes
    # 1000 tokens in and 1000 out, in dollars for a million.
    assert (dear.bound_nanodollars, cheap.bound_nanodollars) == (60_000_000, 3_000_000)
    assert dear.bound_tokens == cheap.bound_tokens == 2000
    assert (dear.max_output_tokens, dear.lowered_by) == (None, None)


def test_a_candidate_that_does_not_fit_is_dropped_with_the_numbers() -> None:
    made = plan(room(59_999_999))
    assert route_ids(made) == ["q/cheap"]
    (dropped,) = made.dropped
    assert (dropped.deployment, dropped.code, dropped.budget) == ("p/dear", "budget", "mine")
    assert "left for up to $0.06: $0.00 spent and $0.00 held of" in dropped.detail
    assert route_ids(plan(room(60_000_000))) == ["p/dear", "q/cheap"]


@pytest.mark.parametrize(("unit", "needed"), [("calls", 1), ("tokens", 2000)])
def test_caps_in_calls_and_tokens(unit: str, needed: int) -> None:
    assert len(plan(room(needed, unit)).routes) == 2
    assert reasons(plan(room(needed - 1, unit))) == [("p/dear", "budget"), ("q/cheap", "budget")]


def test_a_cap_of_a_provider_or_model_concerns_no_other() -> None:
    assert route_ids(plan(room(0, provider="p"))) == ["q/cheap"]
    assert route_ids(plan(room(0, model="cheap"))) == ["p/dear"]
    assert len(plan(room(0, provider="elsewhere")).routes) == 2


def test_an_unknown_price_is_not_used_under_a_cap_in_dollars() -> None:
    made = known(dear=None, cheap=CHEAP)
    assert reasons(plan(room(DOLLAR), made=made)) == [("p/dear", "unknown_price")]
    assert len(plan(room(10, "calls"), made=made).routes) == 2
    assert len(plan(made=made).routes) == 2
    allowed = plan(room(DOLLAR), made=made, policy=Budgeting(unknown_price="allow"))
    assert allowed.routes[0].bound_nanodollars is None


def test_under_a_cap_a_call_without_a_limit_gets_one() -> None:
    endless = structs.replace(ASKED, max_output_tokens=None)
    policy = Budgeting(output_tokens=2000)
    assert plan(features=endless, policy=policy).routes[0].max_output_tokens is None
    capped = plan(room(DOLLAR), features=endless, policy=policy).routes[0]
    assert (capped.max_output_tokens, capped.bound_tokens) == (2000, 3000)
    # Never more than the model writes, nor than fits behind the prompt.
    wide = Budgeting(output_tokens=1_000_000)
    assert (
        plan(room(99 * DOLLAR), features=endless, policy=wide).routes[0].max_output_tokens == 50_000
    )
    long = structs.replace(endless, input_tokens=99_000, input_tokens_bound=400_000)
    tight = plan(room(99 * DOLLAR), features=long, policy=wide).routes[0]
    assert (tight.max_output_tokens, tight.bound_tokens) == (1000, 101_000)


def test_what_the_directory_adds_to_prompts_is_in_the_bound() -> None:
    prompt = PromptAdjustments(system_before="x" * 500)
    made = directory(
        [provider("p")],
        [model("dear", prompt=prompt, max_output_tokens=50_000, context_window=100_000)],
        [deployment("p", "dear", price=DEAR)],
    )
    added = made.deployments["p/dear"].prompt_tokens_bound
    assert added >= 500
    (route,) = plan_for(made, "dear", ASKED, NOW).routes
    assert route.bound_tokens == 2000 + added
    # Nor does a limit that is set leave less room than the whole prompt needs.
    long = structs.replace(ASKED, input_tokens=99_000, max_output_tokens=None)
    snapshot = structs.replace(NOW, rooms=(room(99 * DOLLAR),))
    (route,) = plan_for(made, "dear", long, snapshot).routes
    assert route.max_output_tokens == 1000 - made.deployments["p/dear"].prompt_tokens


def test_what_bills_nothing_gets_no_limit_unless_tokens_are_counted() -> None:
    endless = structs.replace(ASKED, max_output_tokens=None)
    made = known(dear=FREE)
    free = plan(room(0), features=endless, made=made).routes[0]
    assert (free.bound_nanodollars, free.max_output_tokens) == (0, None)
    counted = plan(room(10**9, "tokens"), features=endless, made=made).routes[0]
    assert counted.max_output_tokens == 16_384


def test_the_limit_is_lowered_where_the_policy_says_so() -> None:
    # Room for 1000 tokens in and 400 out.
    left = room(10_000_000 + 400 * 50_000)
    made = known(dear=DEAR)
    assert reasons(plan(left, made=made)) == [("p/dear", "budget")]
    lowered = plan(left, made=made, policy=Budgeting(least_output_tokens=300)).routes[0]
    assert (lowered.max_output_tokens, lowered.lowered_by) == (400, "mine")
    assert lowered.bound_nanodollars == 30_000_000
    too_small = plan(left, made=made, policy=Budgeting(least_output_tokens=401))
    assert reasons(too_small) == [("p/dear", "budget")]
    in_tokens = plan(room(1300, "tokens"), made=made, policy=Budgeting(least_output_tokens=1))
    assert in_tokens.routes[0].max_output_tokens == 300


def test_a_bound_that_was_exceeded_before_is_raised() -> None:
    route = plan(surcharges={"p/dear": 1500}).routes[0]
    assert (route.bound_nanodollars, route.bound_tokens) == (90_000_000, 3000)


def test_a_free_tier_with_room_costs_nothing_and_one_without_does() -> None:
    free = FreeQuota("p/dear", "k", 1, 2000, NOW.now + 60)
    route = plan(room(0), free=(free,)).routes[0]
    assert (route.deployment, route.free) == ("p/dear", True)
    used_up = structs.replace(free, tokens_left=1999)
    assert plan(room(0), free=(used_up,)).routes == ()


def test_of_one_model_the_deployment_with_a_free_tier_left_comes_first() -> None:
    made = directory(
        [provider("p"), provider("q")],
        [model("m"), model("n")],
        [deployment("p", "n"), deployment("p", "m"), deployment("q", "m")],
        [structs.replace(CLASS, candidates=("n", "m"))],
    )
    assert route_ids(plan(made=made)) == ["p/n", "q/m", "p/m"]
    free = FreeQuota("q/m", "k", 5, None, NOW.now)
    order = [item.deployment for item in plan(made=made, free=(free,)).routes]
    # Another model is never put before one that is preferred.
    assert order[0] == "p/n"
    assert order.index("q/m") < order.index("p/m")
    known_free = plan_for(made, "m", ASKED, Snapshot(NOW.now, free=(free,)))
    assert route_ids(known_free) == ["q/m", "p/m"]


def test_a_refusal_for_money_names_the_fullest_budget_at_fault() -> None:
    seen = Snapshot(
        NOW.now, (room(2_000_000, spent=8, budget="loose"), room(1, spent=10**9, budget="full"))
    )
    made = known()
    refused = plan_for(made, "fast", ASKED, seen)
    error = refusal(refused, seen)
    assert (error.code, error.blame, error.retryable) == ("budget_exceeded", "caller", True)
    assert error.retry_after == 3600
    told = ("budget", "scope", "unit", "limit", "spent", "held", "resets_at")
    assert {name: error.details[name] for name in told} == {
        "budget": "loose",
        "scope": "tenant acme",
        "unit": "nanodollars",
        "limit": 2_000_008,
        "spent": 8,
        "held": 0,
        "resets_at": NOW.now + 3600,
    }


def test_a_refusal_names_the_cap_at_fault_not_a_fuller_one() -> None:
    seen = Snapshot(NOW.now, (room(5, "calls", spent=95), room(1, spent=1)))
    made = known()
    refused = plan_for(made, "fast", ASKED, seen)
    assert refusal(refused, seen).details["unit"] == "nanodollars"


def test_a_free_tier_that_is_used_up_and_never_paid_takes_no_route() -> None:
    used_up = [
        FreeQuota(name, "k", 0, None, NOW.now + 60, "refused") for name in ("p/dear", "q/cheap")
    ]
    made = plan(free=(used_up[0],))
    assert route_ids(made) == ["q/cheap"]
    assert reasons(made) == [("p/dear", "free_tier")]
    paid = structs.replace(used_up[0], exhausted_means="paid")
    assert len(plan(free=(paid,)).routes) == 2


def test_a_price_that_changes_meanwhile_bounds_by_the_dearer_one() -> None:
    tomorrow = datetime.fromtimestamp(NOW.now, UTC).date() + timedelta(days=1)
    doubled = PriceChange(since=tomorrow, input=20 * DOLLAR, output=100 * DOLLAR)
    made = known(dear=structs.replace(DEAR, changes=(doubled,)))
    late = Snapshot(now=datetime.combine(tomorrow, time(), UTC).timestamp() - 10)
    for now, dollars in ((NOW, 60_000_000), (late, 120_000_000)):
        planned = plan_for(made, "fast", ASKED, now)
        assert planned.routes[0].bound_nanodollars == dollars


def test_a_limit_is_lowered_for_tokens_without_a_known_price_too() -> None:
    made = known(dear=None)
    policy = Budgeting(least_output_tokens=100)
    lowered = plan(room(1400, "tokens"), made=made, policy=policy).routes[0]
    assert (lowered.max_output_tokens, lowered.bound_nanodollars) == (400, None)


def test_budgets_beyond_their_mark_are_in_the_plan() -> None:
    rooms = (
        room(10**9, spent=80, soft=80, budget="near"),
        room(10**9, spent=79, soft=80, budget="far"),
        room(1, "calls", spent=0, soft=0, budget="none"),
    )
    assert plan(*rooms).nearly_spent == ("near",)


amounts = st.integers(0, 200_000_000)


@given(
    st.lists(amounts, max_size=3),
    st.integers(0, 10**9),
    st.none() | st.integers(1, 60_000),
    st.none() | st.integers(1, 500),
    st.integers(1, 90_000),
)
def test_more_money_never_adds_a_reason_and_what_is_planned_fits(
    lefts: list[int], more: int, asked: int | None, least: int | None, input_tokens: int
) -> None:
    features = Features(input_tokens, input_tokens_bound=input_tokens, max_output_tokens=asked)
    policy = Budgeting(least_output_tokens=least)
    poor = plan(*map(room, lefts), features=features, policy=policy)
    rich = plan(*(room(left + more) for left in lefts), features=features, policy=policy)
    refused = {item.deployment for item in rich.dropped if item.code == "budget"}
    assert refused <= {item.deployment for item in poor.dropped if item.code == "budget"}
    for route in poor.routes:
        assert route.bound_nanodollars is not None
        assert all(route.bound_nanodollars <= left for left in lefts)
        output = route.max_output_tokens or asked
        if output is not None:
            price = DEAR if route.model == "dear" else CHEAP
            bound = cost_bound(price, input_tokens=input_tokens, output_tokens=min(output, 50_000))
            assert bound == route.bound_nanodollars


def test_a_model_that_takes_more_for_a_picture_is_bounded_by_more() -> None:
    """Both where its price is plain and where it is not."""
    pictures = Features(100, images=2, input_tokens_bound=40_000, max_output_tokens=10)
    for price in (CHEAP, structs.replace(CHEAP, discount_ppm=10)):
        bounds = []
        for tokens in (None, 49_152):
            made = directory(
                [provider("p")],
                [model("m", capabilities=ABLE, context_window=500_000, image_tokens_bound=tokens)],
                [deployment("p", "m", price=price)],
            )
            (route,) = plan_for(made, "m", pictures).routes
            bounds.append(route.bound_tokens)
        assert bounds == [40_010, 40_010 + 2 * (49_152 - MOST_PER_IMAGE)]
