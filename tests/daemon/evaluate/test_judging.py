"""When a real call agrees with its prediction, and when it does not."""

from __future__ import annotations

import pytest

from routerd.domain import Snapshot
from routerd.evaluate.drill import rehearse
from routerd.evaluate.judging import Answered, judged
from routerd.evaluate.scenarios import HEALTHY, Scenario
from routerd.settings import Budget
from tests.daemon.evaluate.towns import town

WORLD = town(budgets={"month": Budget(window="month", dollars=100)})
DAYS = {item.name: item for item in rehearse(WORLD).scenarios}
WEST: Scenario = DAYS["down:west"]
NOTICED = Snapshot(WORLD.now, unhealthy={"west": "3 failures in a row"})
UNAWARE = Snapshot(WORLD.now)


@pytest.mark.parametrize(
    ("target", "scenario", "answered", "knew"),
    [
        ("smart", HEALTHY, "west/big", UNAWARE),
        ("smart", WEST, "east/grand", UNAWARE),
        ("smart", WEST, "east/grand", NOTICED),
        # Every route is down, and only the next call is led elsewhere.
        ("many", DAYS["down:north+west"], None, UNAWARE),
        ("alone", WEST, None, UNAWARE),
        ("alone", WEST, None, NOTICED),
        ("alone", DAYS["private"], None, UNAWARE),
        ("smart", DAYS["slow:west"], "east/grand", UNAWARE),
        ("smart", DAYS["slow:west"], "east/grand", NOTICED),
        ("alone", DAYS["limited:west"], None, NOTICED),
    ],
)
def test_what_was_predicted_agrees(
    target: str, scenario: Scenario, answered: str | None, knew: Snapshot
) -> None:
    seen = judged(WORLD, target, scenario, Answered(answered, snapshot=knew))
    assert (seen.verdict, seen.answered, seen.why) == ("agrees", answered, "")
    assert seen.predicted == answered


def test_a_stand_in_agrees_only_where_it_says_so() -> None:
    seen = judged(WORLD, "many", WEST, Answered("north/small", "class modest", snapshot=NOTICED))
    assert seen.verdict == "agrees"
    seen = judged(WORLD, "many", WEST, Answered("north/small", None, snapshot=NOTICED))
    assert seen.verdict == "disagrees"
    assert seen.why == (
        "predicted was degraded (class modest in place of many), and it was not degraded"
    )


def test_a_vendor_that_limits_each_model_by_itself_is_known_by_them() -> None:
    day = DAYS["limited_unsaid:north"]
    knew = Snapshot(WORLD.now, unhealthy={"north/small": "rate_limit"})
    seen = judged(WORLD, "modest", day, Answered("home/tiny", snapshot=knew))
    assert (seen.verdict, seen.predicted) == ("agrees", "home/tiny")
    # Another vendor's limit explains nothing.
    day = DAYS["limited_unsaid:east"]
    seen = judged(WORLD, "modest", day, Answered("home/tiny", snapshot=knew))
    assert seen.verdict == "disagrees"


def test_another_answer_or_failure_disagrees_and_says_what_was_predicted() -> None:
    seen = judged(WORLD, "smart", HEALTHY, Answered("east/grand", snapshot=UNAWARE))
    assert seen.verdict == "disagrees"
    assert seen.why == "predicted was west/big, and east/grand answered"
    failed = Answered(None, code="server_error", snapshot=NOTICED)
    seen = judged(WORLD, "smart", WEST, failed)
    assert seen.why == "predicted was east/grand, and it failed with server_error"
    seen = judged(WORLD, "alone", WEST, Answered("west/big", snapshot=NOTICED))
    assert seen.why == "predicted was a failure, and west/big answered"


def test_who_fails_though_the_outage_was_noticed_disagrees() -> None:
    assert judged(WORLD, "many", WEST, Answered(None, snapshot=NOTICED)).verdict == "disagrees"


def test_taking_for_down_who_is_not_is_no_excuse() -> None:
    seen = judged(WORLD, "smart", HEALTHY, Answered("east/grand", snapshot=NOTICED))
    assert seen.verdict == "disagrees"


def test_an_order_by_what_was_measured_agrees_and_is_told() -> None:
    # Of a call that waits a short while only, who is known to be slow comes behind.
    world = town(options=WORLD.options.__class__(latency=50))
    knew = Snapshot(world.now, latency_ms={"west/big": 900, "east/grand": 5})
    seen = judged(world, "smart", HEALTHY, Answered("east/grand", snapshot=knew))
    assert (seen.verdict, seen.predicted) == ("agrees", "west/big")
    assert seen.why == "what was measured put equals in another order"
