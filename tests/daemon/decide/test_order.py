"""In what order those that may serve are tried, and what is said of whoever is put first."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import plan_call
from routerd.domain import Caller, Features, FreeQuota, Plan, Snapshot
from routerd.models.directory import Directory
from routerd.models.pricing import Price
from routerd.models.schema import FAIL, ModelClass, Speed
from routerd.settings import BALANCE, PolicySettings
from tests.daemon.decide.known import (
    DOLLAR,
    NOW,
    PLAIN,
    book,
    deployment,
    directory,
    model,
    plan_for,
    provider,
    route_ids,
)


def price(dollars: int) -> Price:
    return Price(source="test", input=dollars * DOLLAR, output=dollars * DOLLAR)


def speed(seconds: float) -> Speed:
    return Speed(first_token_seconds=seconds, source="test", confidence=1)


def hosts(**more: dict[str, Any]) -> Directory:
    """One model at several providers, in this order."""
    return directory(
        [provider(name) for name in more],
        [model("m")],
        [deployment(name, "m", **item) for name, item in more.items()],
    )


def two_models() -> Directory:
    return directory(
        [provider("p"), provider("q")],
        [model("m"), model("n")],
        [deployment("p", "m"), deployment("q", "n")],
        [ModelClass(name="fast", description="", candidates=("m", "n"), degraded=FAIL)],
    )


ALIKE = hosts(a={}, b={}, c={})


def plan(known: Directory, wanted: Features = PLAIN, target: str = "m", **more: Any) -> Plan:
    state = {name: more.pop(name) for name in Snapshot.__struct_fields__ if name in more}
    snapshot = structs.replace(NOW, **state)
    policies = {"default": PolicySettings(**more)}
    return plan_for(known, target, wanted, snapshot, policies=policies)


def first(made: Plan) -> tuple[str, str, str]:
    route = made.routes[0]
    return route.deployment, route.code, route.detail


def test_without_a_reason_the_order_stays() -> None:
    made = plan(ALIKE)
    assert route_ids(made) == ["a/m", "b/m", "c/m"]
    assert [(route.code, route.detail) for route in made.routes] == [("order", "")] * 3


# --- the criteria, each by itself ----------------------------------------------------------------


def test_the_cheapest_of_equals_and_an_unknown_price_last() -> None:
    known = hosts(a={}, b={"price": price(3)}, c={"price": price(2)})
    made = plan(known, balance=["price"])
    assert route_ids(made) == ["c/m", "b/m", "a/m"]
    assert first(made) == ("c/m", "price", "the lowest price of its deployments")


def test_the_least_busy_for_its_weight() -> None:
    busy = {"a/m": 3, "b/m": 2, "c/m": 4}
    made = plan(ALIKE, balance=["in_flight"], in_flight=busy)
    assert route_ids(made) == ["b/m", "a/m", "c/m"]
    assert first(made) == ("b/m", "in_flight", "2 requests in flight")
    heavy = hosts(a={}, b={}, c={"weight": 4})
    assert route_ids(plan(heavy, balance=["in_flight"], in_flight=busy)) == ["c/m", "b/m", "a/m"]


def test_who_has_less_than_a_tenth_of_its_rate_limit_comes_behind() -> None:
    made = plan(ALIKE, balance=["headroom"], headroom={"a/m": 99, "b/m": 100})
    assert route_ids(made) == ["b/m", "c/m", "a/m"]
    assert first(made) == ("b/m", "headroom", "10 % of its rate limit is left")
    untouched = plan(ALIKE, balance=["headroom"], headroom={"a/m": 100, "b/m": 1000})
    assert first(untouched) == ("a/m", "order", "")


def test_the_fastest_of_equals_and_who_was_never_measured_is_tried() -> None:
    made = plan(ALIKE, balance=["latency"], latency_ms={"a/m": 500, "b/m": 300})
    assert route_ids(made) == ["b/m", "c/m", "a/m"]
    assert first(made)[:2] == ("b/m", "latency")
    unknown = plan(ALIKE, balance=["latency"], latency_ms={"a/m": 500})
    # Alone it is the fastest; whoever is unknown is not put behind it for that.
    assert route_ids(unknown) == ["a/m", "b/m", "c/m"]
    slow = plan(
        hosts(a={}, b={}),
        balance=["latency", "in_flight"],
        in_flight={"a/m": 1},
        latency_ms={"a/m": 500},
    )
    assert route_ids(slow) == ["b/m", "a/m"]


def test_latencies_within_a_quarter_are_alike() -> None:
    alike = plan(ALIKE, balance=["latency"], latency_ms={"a/m": 125, "b/m": 100})
    assert first(alike) == ("a/m", "order", "")
    apart = plan(ALIKE, balance=["latency"], latency_ms={"a/m": 126, "b/m": 100, "c/m": 500})
    assert first(apart) == ("b/m", "latency", "100 ms")


def test_what_somebody_else_measured_counts_until_there_is_more() -> None:
    known = hosts(a={"speed": speed(2)}, b={"speed": speed(0.2)})
    assert route_ids(plan(known, balance=["latency"])) == ["b/m", "a/m"]
    seen = {"a/m": 100, "b/m": 1000}
    assert route_ids(plan(known, balance=["latency"], latency_ms=seen)) == ["a/m", "b/m"]


@pytest.mark.parametrize("criterion", ["latency", "in_flight"])
def test_a_batch_ignores_what_only_matters_to_who_waits(criterion: str) -> None:
    state: dict[str, Any] = {"latency_ms": {"a/m": 5_000, "b/m": 10}, "in_flight": {"a/m": 50}}
    batch = structs.replace(PLAIN, latency="batch")
    assert route_ids(plan(ALIKE, batch, balance=[criterion], **state))[0] == "a/m"
    assert route_ids(plan(ALIKE, balance=[criterion], **state))[0] != "a/m"


def test_the_first_criterion_that_differs_decides() -> None:
    known = hosts(a={"price": price(2)}, b={"price": price(1)}, c={"price": price(1)})
    state: dict[str, Any] = {"headroom": {"b/m": 0}, "in_flight": {"c/m": 9}}
    assert route_ids(plan(known, balance=list(BALANCE), **state)) == ["c/m", "a/m", "b/m"]
    other = plan(known, balance=["in_flight", "price"], **state)
    assert route_ids(other) == ["b/m", "a/m", "c/m"]


def test_a_free_tier_with_room_goes_before_all_criteria() -> None:
    known = hosts(a={"price": price(1)}, b={"price": price(2)})
    quota = FreeQuota("b/m", "k", 5, None, NOW.now)
    assert first(plan(known, free=(quota,))) == ("b/m", "free_tier", "it has room")
    for used_up in ({"calls_left": 0}, {"tokens_left": 100}):
        gone = structs.replace(quota, **used_up)
        assert route_ids(plan(known, free=(gone,))) == ["a/m", "b/m"]


def test_only_deployments_of_one_model_are_shared() -> None:
    state: dict[str, Any] = {"latency_ms": {"p/m": 9_000, "q/n": 10}, "in_flight": {"p/m": 99}}
    made = plan(two_models(), target="fast", **state)
    assert route_ids(made) == ["p/m", "q/n"]


# --- weights -------------------------------------------------------------------------------------


def test_lots_fall_by_weight() -> None:
    known = hosts(a={"weight": 1}, b={"weight": 3}, c={"weight": 6})
    made = book(known, policies={"default": PolicySettings(balance=["weights"])})
    calls = 10_000
    plans = [
        plan_call(made, "m", PLAIN, Caller(decision_id=f"{number:032x}"), NOW)
        for number in range(calls)
    ]
    shares = Counter(item.routes[0].deployment for item in plans)
    for name, share in (("a/m", 0.1), ("b/m", 0.3), ("c/m", 0.6)):
        # Five standard deviations.
        assert abs(shares[name] / calls - share) < 5 * (share * (1 - share) / calls) ** 0.5
    drawn = next(item.routes[0] for item in plans if item.routes[0].deployment == "c/m")
    assert (drawn.code, drawn.detail) == ("weights", "drawn with a weight of 6 in 10")
    # The same call draws the same lot.
    again = [
        plan_call(made, "m", PLAIN, Caller(decision_id=f"{number:032x}"), NOW)
        for number in range(50)
    ]
    assert again == plans[:50]


def test_without_weights_no_lot_is_drawn() -> None:
    known = hosts(a={"weight": 1}, b={"weight": 1000})
    made = book(known)
    for number in range(20):
        caller = Caller(decision_id=f"{number:032x}")
        assert route_ids(plan_call(made, "m", PLAIN, caller, NOW)) == ["a/m", "b/m"]


# --- what the policy prefers ---------------------------------------------------------------------


def test_a_policy_may_prefer_the_lower_price_whatever_the_model() -> None:
    known = directory(
        [provider("p")],
        [model(name) for name in ("m", "n", "o")],
        [
            deployment("p", "m", price=price(3)),
            deployment("p", "n"),
            deployment("p", "o", price=price(1)),
        ],
        [ModelClass(name="fast", description="", candidates=("m", "n", "o"), degraded=FAIL)],
    )
    assert route_ids(plan(known, target="fast")) == ["p/m", "p/n", "p/o"]
    assert route_ids(plan(known, target="fast", prefer="price")) == ["p/o", "p/m", "p/n"]


def test_a_policy_may_prefer_the_shorter_latency_whatever_the_model() -> None:
    seen = {"q/n": 100, "p/m": 900}
    made = plan(two_models(), target="fast", prefer="latency", latency_ms=seen)
    assert route_ids(made) == ["q/n", "p/m"]
    assert first(made) == ("q/n", "latency", "100 ms")
    assert route_ids(plan(two_models(), target="fast", latency_ms=seen)) == ["p/m", "q/n"]


def test_a_policy_that_prefers_latency_goes_by_what_is_known_before_the_first_call() -> None:
    known = directory(
        [provider("p")],
        [model("m"), model("n")],
        [deployment("p", "m", speed=speed(2)), deployment("p", "n", speed=speed(0.3))],
        [ModelClass(name="fast", description="", candidates=("m", "n"), degraded=FAIL)],
    )
    assert route_ids(plan(known, target="fast", prefer="latency")) == ["p/n", "p/m"]


# --- who waits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "more"),
    [
        (Features(1, latency=100), {"latency_ms": {"a/m": 5_000}}),
        (PLAIN, {"latency_ms": {"a/m": 5_000}, "prefer": "latency"}),
        (PLAIN, {"session_on": "a/m"}),
        (PLAIN, {"in_flight": {"a/m": 7}}),
    ],
)
def test_one_alone_is_moved_by_nothing(wanted: Features, more: dict[str, Any]) -> None:
    assert first(plan(hosts(a={}), wanted, **more)) == ("a/m", "order", "")


@pytest.mark.parametrize(("latency", "limit"), [("interactive", 3_000), (800, 800)])
def test_who_is_slower_than_the_call_waits_comes_behind_and_is_not_dropped(
    latency: Any, limit: int
) -> None:
    wanted = structs.replace(PLAIN, latency=latency)
    known = two_models()
    in_time = plan(known, wanted, "fast", latency_ms={"p/m": limit})
    assert route_ids(in_time) == ["p/m", "q/n"]
    late = plan(known, wanted, "fast", latency_ms={"p/m": limit + 1})
    assert route_ids(late) == ["q/n", "p/m"]
    assert late.dropped == ()
    slow = late.routes[1]
    assert slow.detail == f"{limit + 1} ms, the call waits {limit} ms"
    assert slow.code == "slow"


def test_how_long_an_interactive_call_waits_is_the_policys() -> None:
    wanted = structs.replace(PLAIN, latency="interactive")
    state: dict[str, Any] = {"latency_ms": {"p/m": 500}}
    assert route_ids(plan(two_models(), wanted, "fast", interactive_ms=499, **state)) == [
        "q/n",
        "p/m",
    ]
    for patient in ("batch", None):
        calm = structs.replace(PLAIN, latency=patient)
        made = plan(two_models(), calm, "fast", interactive_ms=499, **state)
        assert route_ids(made) == ["p/m", "q/n"]


# --- sessions ------------------------------------------------------------------------------------


def test_a_session_stays_where_it_was() -> None:
    state: dict[str, Any] = {"session_on": "c/m", "in_flight": {"c/m": 50}}
    made = plan(ALIKE, latency_ms={"c/m": 9_000, "a/m": 10}, **state)
    assert first(made) == ("c/m", "session", "it served the session's last call")
    assert sorted(route_ids(made)) == ["a/m", "b/m", "c/m"]
    # Also where what was asked for would go elsewhere first.
    assert route_ids(plan(two_models(), target="fast", session_on="q/n"))[0] == "q/n"


def test_a_session_leaves_what_is_unhealthy() -> None:
    made = plan(ALIKE, session_on="c/m", unhealthy={"c": "its breaker is open"})
    assert route_ids(made) == ["a/m", "b/m"]
    assert [(item.code, item.detail) for item in made.dropped] == [
        ("unhealthy", "c: its breaker is open")
    ]


def test_a_session_of_elsewhere_changes_nothing() -> None:
    assert plan(ALIKE, session_on="else/where") == plan(ALIKE)


@given(
    st.permutations(["headroom", "weights", "price", "latency", "in_flight"]),
    st.dictionaries(st.sampled_from(["a/m", "b/m", "c/m"]), st.integers(0, 9_000)),
    st.dictionaries(st.sampled_from(["a/m", "b/m", "c/m"]), st.integers(0, 9)),
    st.sampled_from([None, "interactive", "batch", 500]),
    st.sampled_from(["order", "latency", "price"]),
    st.none() | st.sampled_from(["a/m", "b/m"]),
)
def test_an_order_loses_nobody_and_is_said_with_a_code(
    balance: list[str],
    latency: dict[str, int],
    busy: dict[str, int],
    waits: Any,
    prefer: str,
    session: str | None,
) -> None:
    made = plan(
        ALIKE,
        structs.replace(PLAIN, latency=waits),
        balance=balance,
        prefer=prefer,
        latency_ms=latency,
        in_flight=busy,
        session_on=session,
    )
    assert sorted(route_ids(made)) == ["a/m", "b/m", "c/m"]
    assert all(route.code for route in made.routes)
    if session is not None:
        assert route_ids(made)[0] == session
