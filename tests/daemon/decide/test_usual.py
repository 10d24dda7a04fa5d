"""The short way to the usual plan finds what the long one does, for every shipped shortcut."""

from __future__ import annotations

import pytest
from msgspec import structs

from routerd.decide import Book, filled, make_plan
from routerd.decide.money import Funds
from routerd.decide.plan import _Planning, _usual_routes
from routerd.domain import BudgetRoom, Caller, Features, Snapshot
from tests.daemon.decide.shortcuts import NOW, book, features_for

BOOK = book()
SHORTCUTS = tuple(BOOK.directory.shortcuts)
FEW = {
    "of one vendor alone": ("openai",),
    "of two": ("anthropic", "openai"),
    "of those that stand in": ("groq", "ollama"),
}
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


def few(providers: tuple[str, ...]) -> Book:
    """A book of those who have the keys of a few vendors."""
    return Book(BOOK.directory, structs.replace(BOOK.document, providers=providers))


def check(known: Book, target: str, asked: Features, snapshot: Snapshot) -> None:
    """Compare the plan with what the long way leads to, where that finds anybody."""
    choice = known.choose(target, asked, Caller())
    features = filled(asked, choice.defaults)
    planning = _Planning(choice, Funds(features, snapshot, known.budgeting), features, snapshot)
    planning.take(known.prepared(choice, features, snapshot).groups)
    if planning.routes:
        plan = make_plan(known, choice, features, snapshot)
        assert list(plan.routes) == planning.routes
        assert list(plan.dropped) == planning.dropped


def variants_of(usual: Features) -> tuple[Features, ...]:
    """A usual call, and others that fewer may serve."""
    return (
        usual,
        structs.replace(usual, max_output_tokens=900, input_tokens_bound=4_000),
        structs.replace(usual, tools=2, images=1),
        structs.replace(usual, latency="batch"),
        structs.replace(usual, input_tokens=150_000, input_tokens_bound=600_000),
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_both_ways_lead_to_one_plan(shortcut: str, state: str) -> None:
    for asked in variants_of(features_for(BOOK, shortcut)):
        check(BOOK, shortcut, asked, STATES[state])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("providers", FEW.values(), ids=FEW)
def test_both_ways_lead_to_one_plan_where_few_can_be_called(
    providers: tuple[str, ...], state: str
) -> None:
    known = few(providers)
    for shortcut in SHORTCUTS:
        for asked in variants_of(features_for(known, shortcut)):
            check(known, shortcut, asked, STATES[state])
    for model in known.directory.models:
        for asked in variants_of(structs.replace(features_for(known, "smart"), prefill=True)):
            check(known, model, asked, STATES[state])


def goes(known: Book, shortcut: str, features: Features, snapshot: Snapshot) -> bool:
    """Say whether a call is planned the short way."""
    choice = known.choose(shortcut, features, Caller())
    features = filled(features, choice.defaults)
    usual = known.prepared(choice, features, snapshot).usual
    funds = Funds(features, snapshot, known.budgeting)
    return usual is not None and bool(_usual_routes(usual, funds, choice, features, snapshot))


def test_most_shortcuts_are_planned_the_short_way() -> None:
    asked = {name: features_for(BOOK, name) for name in SHORTCUTS}
    for state in ("nothing is seen", "caps with room"):
        short = [name for name in SHORTCUTS if goes(BOOK, name, asked[name], STATES[state])]
        assert len(short) > len(SHORTCUTS) / 2
    # What is seen of anybody may move him.
    assert not goes(BOOK, "smart", asked["smart"], BUSY)
    assert not goes(BOOK, "smart", asked["smart"], STATES["somebody is unhealthy"])
    assert not goes(BOOK, "smart", structs.replace(asked["smart"], latency="interactive"), QUIET)


def test_who_has_few_keys_is_planned_the_short_way_too() -> None:
    known = few(FEW["of two"])
    asked = features_for(known, "smart")
    assert goes(known, "smart", asked, QUIET)
    # Nobody else serves a model at the same vendor: who is busy changes nothing.
    assert goes(known, "smart", asked, BUSY)
