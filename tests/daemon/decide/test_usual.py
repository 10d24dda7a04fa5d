"""The short way to the usual plan finds what the long one does, for every shipped shortcut."""

from __future__ import annotations

import pytest
from msgspec import structs

from routerd.decide import filled, make_plan
from routerd.decide.money import Funds
from routerd.decide.plan import _Planning, _usual_routes
from routerd.domain import BudgetRoom, Caller, Features, Snapshot
from tests.daemon.decide.shortcuts import NOW, book, features_for

BOOK = book()
SHORTCUTS = tuple(BOOK.directory.shortcuts)
QUIET = Snapshot(NOW)
NAMES = list(BOOK.directory.deployments)
ROOMY = tuple(
    BudgetRoom(f"cap-{unit}", "all calls", unit, 10**15, 10**9, 0, 8 * 10**14, NOW + 60)
    for unit in ("nanodollars", "tokens", "calls")
)
BUSY = structs.replace(QUIET, in_flight={name: 1 + len(name) % 3 for name in NAMES})
STATES = {
    "nothing is seen": QUIET,
    "caps with room": structs.replace(QUIET, rooms=ROOMY),
    "a cap with room for some": structs.replace(
        QUIET, rooms=(structs.replace(ROOMY[0], limit=10**9 + 3 * 10**7, soft=0),)
    ),
    "traffic": BUSY,
    "other tokens": structs.replace(
        QUIET, token_rates=dict.fromkeys(BOOK.directory.models, 1_400), rooms=ROOMY
    ),
    "somebody is unhealthy": structs.replace(QUIET, unhealthy={"openai": "its breaker is open"}),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_both_ways_lead_to_one_plan(shortcut: str, state: str) -> None:
    snapshot, usual = STATES[state], features_for(BOOK, shortcut)
    for asked in (
        usual,
        structs.replace(usual, max_output_tokens=900, input_tokens_bound=4_000),
        structs.replace(usual, tools=2, images=1),
        structs.replace(usual, latency="batch"),
        structs.replace(usual, input_tokens=150_000, input_tokens_bound=600_000),
    ):
        choice = BOOK.choose(shortcut, asked, Caller())
        features = filled(asked, choice.defaults)
        planning = _Planning(choice, Funds(features, snapshot, BOOK.budgeting), features, snapshot)
        planning.take(BOOK.prepared(choice, features, snapshot).groups)
        if planning.routes:
            plan = make_plan(BOOK, choice, features, snapshot)
            assert list(plan.routes) == planning.routes
            assert list(plan.dropped) == planning.dropped


def test_most_shortcuts_are_planned_the_short_way() -> None:
    def goes(shortcut: str, features: Features, snapshot: Snapshot) -> bool:
        choice = BOOK.choose(shortcut, features, Caller())
        features = filled(features, choice.defaults)
        group = BOOK.prepared(choice, features, snapshot).groups[0]
        funds = Funds(features, snapshot, BOOK.budgeting)
        return bool(_usual_routes(group, funds, choice, features, snapshot))

    asked = {name: features_for(BOOK, name) for name in SHORTCUTS}
    for state in ("nothing is seen", "caps with room"):
        short = [name for name in SHORTCUTS if goes(name, asked[name], STATES[state])]
        assert len(short) > len(SHORTCUTS) / 2
    # What is seen of anybody may move him.
    assert not goes("smart", asked["smart"], BUSY)
    assert not goes("smart", asked["smart"], STATES["somebody is unhealthy"])
    assert not goes("smart", structs.replace(asked["smart"], latency="interactive"), QUIET)
