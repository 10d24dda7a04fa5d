"""What the caller's own cap, a budget that is nearly spent and one that is spent do to a plan."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from routerd.decide import refusal
from routerd.domain import BudgetRoom, Capabilities, Features, FreeQuota, Plan, Snapshot
from routerd.models.directory import Directory
from routerd.models.pricing import Price
from routerd.models.schema import FAIL, ModelClass
from routerd.settings import Budgeting, PolicySettings
from tests.daemon.decide.known import (
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

# At most 0.06 dollars of what is dear, 0.003 of what is cheap.
ASKED = Features(100, input_tokens_bound=1000, max_output_tokens=1000)
ENDLESS = structs.replace(ASKED, max_output_tokens=None)


def known(**prices: Price | None) -> Directory:
    """A flagship class of what is dear, degraded to a fast one of the others."""
    prices = prices or {"dear": DEAR, "cheap": CHEAP}
    names = list(prices)
    return directory(
        [provider(f"p{name}") for name in names],
        [model(name, max_output_tokens=50_000) for name in names],
        [deployment(f"p{name}", name, price=price) for name, price in prices.items()],
        [
            ModelClass(name="top", description="", candidates=tuple(names[:1]), degraded="fast"),
            ModelClass(name="fast", description="", candidates=tuple(names[1:]), degraded=FAIL),
        ],
    )


def room(
    spent: int, limit: int = 100 * DOLLAR, unit: Any = "nanodollars", **whose: Any
) -> BudgetRoom:
    soft = limit * 8 // 10
    return BudgetRoom("mine", "tenant acme", unit, limit, spent, 0, soft, NOW.now + 60, **whose)


def plan(
    *rooms: BudgetRoom,
    features: Features = ASKED,
    target: str = "top",
    made: Directory | None = None,
    budgeting: Budgeting = Budgeting(),  # noqa: B008
    free: tuple[FreeQuota, ...] = (),
    **policy: Any,
) -> Plan:
    seen = Snapshot(now=NOW.now, rooms=rooms, free=free)
    policies = {"default": PolicySettings(**policy)}
    return plan_for(made or known(), target, features, seen, budgeting=budgeting, policies=policies)


# --- what the call itself may cost ---------------------------------------------------------------


def may_cost(nanodollars: int, features: Features = ASKED) -> Features:
    return structs.replace(features, max_nanodollars=nanodollars)


def test_what_may_cost_more_than_the_call_may_is_dropped_with_the_numbers() -> None:
    made = plan(features=may_cost(59_999_999))
    assert route_ids(made) == ["pcheap/cheap"]
    (dropped,) = made.dropped
    assert (dropped.code, dropped.budget, dropped.unit) == ("max_cost", None, None)
    assert dropped.detail == "up to $0.06, the call may cost $0.06"
    assert route_ids(plan(features=may_cost(60_000_000))) == ["pdear/dear", "pcheap/cheap"]


def test_a_cap_that_nothing_keeps_is_the_callers_to_raise() -> None:
    features = may_cost(2_999_999)
    made = plan(features=features)
    assert reasons(made) == [("pdear/dear", "max_cost"), ("pcheap/cheap", "max_cost")]
    error = refusal(made, NOW)
    assert (error.code, error.blame) == ("invalid_request", "caller")
    assert error.details == {"codes": {"max_cost": 2}}


def test_who_leaves_the_length_open_gets_as_much_as_the_cap_pays_for() -> None:
    # 1000 tokens in for a cent, and 400 out for two.
    made = plan(features=may_cost(30_000_000, ENDLESS)).routes[0]
    assert (made.deployment, made.max_output_tokens) == ("pdear/dear", 400)
    assert (made.lowered_by, made.bound_nanodollars) == ("max_cost_cents", 30_000_000)
    # Less than 256 tokens are no answer.
    least = 10_000_000 + 256 * 50_000
    assert plan(features=may_cost(least, ENDLESS)).routes[0].max_output_tokens == 256
    assert reasons(plan(features=may_cost(least - 1, ENDLESS)))[0] == ("pdear/dear", "max_cost")


def test_a_length_that_was_asked_for_is_not_lowered_for_the_callers_cap() -> None:
    assert reasons(plan(features=may_cost(30_000_000)))[0] == ("pdear/dear", "max_cost")


def test_what_has_no_known_price_cannot_be_kept_below_a_cap() -> None:
    made = known(dear=None, cheap=CHEAP)
    lenient = Budgeting(unknown_price="allow")
    for budgeting in (Budgeting(), lenient):
        refused = plan(features=may_cost(DOLLAR), made=made, budgeting=budgeting)
        assert route_ids(refused) == ["pcheap/cheap"]
        assert refused.dropped[0].code == "unknown_price"
    assert len(plan(room(0), made=made, budgeting=lenient).routes) == 2


def test_what_costs_nothing_may_serve_a_call_that_may_cost_nothing() -> None:
    made = known(dear=DEAR, cheap=FREE)
    assert route_ids(plan(features=may_cost(0), made=made)) == ["pcheap/cheap"]
    quota = FreeQuota("pdear/dear", "k", 1, None, NOW.now)
    assert len(plan(features=may_cost(0), made=made, free=(quota,)).routes) == 2


# --- at the cap ----------------------------------------------------------------------------------


def test_at_the_cap_what_costs_nothing_still_serves() -> None:
    spent = room(100 * DOLLAR)
    made = known(dear=DEAR, cheap=CHEAP, free=FREE)
    planned = plan(spent, made=made)
    assert route_ids(planned) == ["pfree/free"]
    assert sorted(reasons(planned)) == [("pcheap/cheap", "budget"), ("pdear/dear", "budget")]
    tier = FreeQuota("pdear/dear", "k", 1, None, NOW.now)
    assert route_ids(plan(spent, made=made, free=(tier,))) == ["pfree/free", "pdear/dear"]


def test_at_the_cap_every_call_is_refused_where_the_policy_says_so() -> None:
    spent = room(100 * DOLLAR)
    made = known(dear=FREE, cheap=CHEAP)
    refused = plan(spent, made=made, at_cap="refuse")
    assert reasons(refused) == [("pdear/dear", "budget"), ("pcheap/cheap", "budget")]
    assert refused.dropped[0].detail == (
        "mine (tenant acme) has spent $100.00 of $100.00, "
        "and policy default refuses every call then"
    )
    assert refusal(refused, Snapshot(NOW.now, (spent,))).code == "budget_exceeded"
    just_below = room(100 * DOLLAR - 1)
    assert route_ids(plan(just_below, made=made, at_cap="refuse")) == ["pdear/dear"]


@pytest.mark.parametrize(
    "spent",
    [
        room(100, 100, "calls"),
        room(100 * DOLLAR, provider="pdear"),
        room(100 * DOLLAR, model="dear"),
    ],
)
def test_only_a_cap_in_dollars_for_whoever_serves_refuses_everything(spent: BudgetRoom) -> None:
    made = plan(spent, at_cap="refuse", near_cap="same", made=known(dear=FREE, cheap=FREE))
    assert all("refuses every call" not in item.detail for item in made.dropped)


def test_critical_calls_are_refused_at_the_cap_too() -> None:
    critical = structs.replace(ASKED, critical=True)
    assert plan(room(100 * DOLLAR), features=critical).routes == ()


# --- near the cap --------------------------------------------------------------------------------

NEAR = room(80 * DOLLAR)


def test_near_the_cap_a_cheaper_class_serves_first_and_says_why() -> None:
    assert route_ids(plan(room(80 * DOLLAR - 1))) == ["pdear/dear", "pcheap/cheap"]
    made = plan(NEAR)
    assert [(item.deployment, item.degraded) for item in made.routes] == [
        (
            "pcheap/cheap",
            "mine (tenant acme) has spent $80.00 of $100.00: class fast in place of top",
        ),
        ("pdear/dear", None),
    ]
    assert made.nearly_spent == ("mine",)


def test_near_the_cap_what_was_asked_for_says_that_others_come_first() -> None:
    made = plan(NEAR, made=known(dear=DEAR, a=CHEAP, b=CHEAP, c=CHEAP, d=CHEAP))
    assert route_ids(made) == ["pa/a", "pb/b", "pc/c"]
    assert sorted(reasons(made)) == [("pd/d", "beyond_three"), ("pdear/dear", "near_cap")]
    (dropped,) = [item for item in made.dropped if item.code == "near_cap"]
    assert (dropped.budget, dropped.detail) == (
        "mine",
        "mine (tenant acme) has spent $80.00 of $100.00",
    )


@pytest.mark.parametrize(
    ("features", "policy"),
    [
        (structs.replace(ASKED, critical=True), {}),
        (ASKED, {"near_cap": "same"}),
        (ASKED, {"soft_percent": 80.1}),
    ],
)
def test_who_stays_near_the_cap(features: Features, policy: dict[str, Any]) -> None:
    made = plan(NEAR, features=features, **policy)
    assert [(item.deployment, item.degraded) for item in made.routes] == [
        ("pdear/dear", None),
        ("pcheap/cheap", "class fast in place of top"),
    ]


def test_a_policy_may_say_what_near_is() -> None:
    early = room(50 * DOLLAR)
    assert plan(early).nearly_spent == ()
    made = plan(early, soft_percent=50)
    assert (made.nearly_spent, route_ids(made)[0]) == (("mine",), "pcheap/cheap")


def test_only_what_is_cheaper_goes_first() -> None:
    made = plan(NEAR, made=known(dear=CHEAP, cheap=DEAR))
    assert [item.degraded for item in made.routes] == [None, "class fast in place of top"]
    free = plan(NEAR, made=known(dear=FREE, cheap=CHEAP))
    assert route_ids(free) == ["pdear/dear", "pcheap/cheap"]


@pytest.mark.parametrize("whose", [{"provider": "pdear"}, {"model": "dear"}])
def test_the_budget_of_a_provider_or_model_sends_nobody_elsewhere_beforehand(
    whose: dict[str, Any],
) -> None:
    made = plan(room(80 * DOLLAR, **whose))
    assert route_ids(made) == ["pdear/dear", "pcheap/cheap"]
    assert made.nearly_spent == ("mine",)


def test_near_the_cap_a_backup_does_not_answer_what_the_named_model_cannot() -> None:
    made = directory(
        [provider("p"), provider("q")],
        [model("blind", backup="seeing"), model("seeing", capabilities=Capabilities(vision=True))],
        [deployment("p", "blind", price=DEAR), deployment("q", "seeing", price=CHEAP)],
    )
    picture = structs.replace(ASKED, images=1)
    for rooms in ((), (NEAR,)):
        refused = plan(*rooms, features=picture, target="blind", made=made)
        assert (refused.routes, reasons(refused)) == ((), [("p/blind", "no_vision")])


# --- more budget ---------------------------------------------------------------------------------


def three_classes() -> Directory:
    """A class that degrades to a dearer one, and that to one that is cheaper than both."""
    prices = {"asked": CHEAP, "dearer": DEAR, "a": FREE, "b": FREE, "c": FREE}
    classes = {"top": ("asked",), "middle": ("dearer",), "low": ("a", "b", "c")}
    paths = ("middle", "low", FAIL)
    return directory(
        [provider(f"p{name}") for name in prices],
        [model(name) for name in prices],
        [deployment(f"p{name}", name, price=price) for name, price in prices.items()],
        [
            ModelClass(name=name, description="", candidates=candidates, degraded=path)
            for (name, candidates), path in zip(classes.items(), paths, strict=True)
        ],
    )


@pytest.mark.parametrize(
    ("spent", "limit", "policy"),
    [
        # The cap is reached, and only what was asked for was looked at.
        (4_000_000, 4_000_000, {"at_cap": "refuse"}),
        # It is near, and three cheaper ones were found before the dearer was looked at.
        (4_000_000, 5_000_000, {}),
    ],
)
def test_who_lacks_the_money_of_more_lacks_that_of_less(
    spent: int, limit: int, policy: dict[str, Any]
) -> None:
    poor = plan(room(spent, limit), made=three_classes(), **policy)
    rich = plan(room(spent, 9_000_000), made=three_classes(), **policy)
    assert route_ids(rich) == ["pasked/asked", "pa/a", "pb/b"]
    assert ("pdearer/dearer", "budget") in reasons(rich)
    assert ("pdearer/dearer", "budget") in reasons(poor)


def test_near_the_cap_money_is_judged_of_all() -> None:
    """One that lacks the money is told of, also where others come before it."""
    prices = {"dear": DEAR, "a": CHEAP, "b": CHEAP, "c": CHEAP}
    made = known(**prices)
    left = room(DOLLAR - 4_000_000, DOLLAR)
    near = plan(left, made=made)
    assert route_ids(near) == ["pa/a", "pb/b", "pc/c"]
    assert reasons(near) == [("pdear/dear", "budget")]
    other = plan(left, made=made, near_cap="same")
    assert reasons(other) == [("pdear/dear", "budget")]
