"""Every shipped shortcut, with all well, on a bad day, and when money is short."""

from __future__ import annotations

import csv
from itertools import combinations

import pytest

from routerd.decide import Book, PolicyDocument, plan_call, refusal
from routerd.domain import MAX_ROUTES, Caller, Features, Plan, Snapshot
from routerd.models import load_directory
from tests.daemon.decide.shortcuts import (
    CONDITIONS,
    NOW,
    TABLE,
    book,
    features_for,
    plan_under,
    table,
)

BOOK = book()
NOBODY = Caller()
SMALL = Features(500)
SHORTCUTS = tuple(BOOK.directory.shortcuts)
JOBS = tuple(name for name in SHORTCUTS if BOOK.directory.shortcuts[name].alias_of is None)
# What costs nothing, and stays on this machine.
LOCAL = {name for name, item in BOOK.directory.deployments.items() if item.provider == "ollama"}


def planned(shortcut: str, condition: str) -> Plan:
    return plan_under(BOOK, shortcut, condition)[0]


def price(known: Book, deployment: str) -> int:
    rates = known.directory.deployments[deployment].price
    assert rates is not None
    return 3 * (rates.input or 0) + (rates.output or 0)


def test_who_serves_is_what_the_table_says() -> None:
    """A difference is to be read: `python -m tests.daemon.decide.shortcuts` writes it anew."""
    assert table().splitlines() == TABLE.read_text(encoding="utf-8").splitlines()


def test_the_table_has_every_shortcut_under_every_condition() -> None:
    with TABLE.open(encoding="utf-8", newline="") as lines:
        rows = [(row["shortcut"], row["condition"]) for row in csv.DictReader(lines)]
    assert rows == [(name, condition) for name in SHORTCUTS for condition in CONDITIONS]
    assert len(SHORTCUTS) >= 25


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_all_healthy(shortcut: str) -> None:
    plan = planned(shortcut, "all healthy")
    kind = features_for(BOOK, shortcut).kind
    assert plan.routes
    assert plan.routes[0].degraded is None
    assert {BOOK.directory.deployments[route.deployment].kind for route in plan.routes} == {kind}


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_the_first_provider_is_down(shortcut: str) -> None:
    down = planned(shortcut, "all healthy").routes[0].provider
    plan, snapshot = plan_under(BOOK, shortcut, "first provider down")
    assert down not in {route.provider for route in plan.routes}
    assert "unhealthy" in {item.code for item in plan.dropped}
    if not plan.routes:
        # Vectors of another model are no help, and what is private goes nowhere else.
        assert refusal(plan, snapshot).code == "no_candidates"
        assert down == "ollama" or features_for(BOOK, shortcut).kind != "chat"


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_budget_at_85_percent(shortcut: str) -> None:
    healthy = planned(shortcut, "all healthy").routes[0]
    plan = planned(shortcut, "budget at 85 %")
    assert plan.nearly_spent == ("month",)
    first = plan.routes[0]
    if first.deployment != healthy.deployment:
        assert price(BOOK, first.deployment) < price(BOOK, healthy.deployment)
        assert first.degraded is not None
        assert first.degraded.startswith("month (all calls) has spent $85.00 of $100.00: ")
    critical = planned(shortcut, "budget at 85 %; critical")
    assert critical.routes[0].deployment == healthy.deployment


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_budget_at_its_cap(shortcut: str) -> None:
    plan, snapshot = plan_under(BOOK, shortcut, "budget at the cap")
    assert {route.deployment for route in plan.routes} <= LOCAL
    if not plan.routes:
        info = refusal(plan, snapshot)
        assert (info.code, info.details["budget"]) == ("budget_exceeded", "month")


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_a_private_call(shortcut: str) -> None:
    plan, snapshot = plan_under(BOOK, shortcut, "private")
    assert {route.deployment for route in plan.routes} <= LOCAL
    assert len(plan.routes) <= MAX_ROUTES
    if not plan.routes:
        assert refusal(plan, snapshot).code == "no_candidates"


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_the_key_of_one_vendor_is_enough(shortcut: str, vendor: str) -> None:
    """Who has one key has every job, unless the job is to stay near."""
    known = Book(load_directory(), PolicyDocument(providers=(vendor,)))
    resolution = known.directory.resolve(shortcut)
    if resolution.serves != "chat":
        return
    plan = plan_call(known, shortcut, features_for(known, shortcut), Caller(), Snapshot(NOW))
    near = resolution.boundary in ("machine", "own-network")
    assert bool(plan.routes) != near
    for route in plan.routes:
        assert route.provider == vendor
        asked_for = {
            item.id for item in known.choose(shortcut, SMALL, NOBODY).resolution.candidates
        }
        assert bool(route.degraded) == (route.deployment not in asked_for)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_every_member_of_the_classes_a_shortcut_chooses_from_has_its_reason(shortcut: str) -> None:
    known = BOOK.directory
    item = known.shortcuts[known.shortcuts[shortcut].alias_of or shortcut]
    if item.choose is None:
        return
    plan = planned(shortcut, "all healthy")
    listed = [route.deployment for route in plan.routes]
    listed += [dropped.deployment for dropped in plan.dropped]
    assert len(set(listed)) == len(listed)
    for name in item.choose.classes:
        assert {member.id for member in known.resolve(name).candidates} <= set(listed)


def who_serves(shortcut: str) -> tuple[tuple[str, ...], ...]:
    """Return the routes under each condition, and nothing else: defaults are no other plan."""
    plans = [planned(shortcut, condition) for condition in CONDITIONS]
    return tuple(tuple(route.deployment for route in plan.routes) for plan in plans)


def test_no_two_shortcuts_are_the_same_unless_one_says_so() -> None:
    seen = {name: who_serves(name) for name in SHORTCUTS}
    same = [pair for pair in combinations(JOBS, 2) if seen[pair[0]] == seen[pair[1]]]
    assert same == []
    for name in set(SHORTCUTS) - set(JOBS):
        other = BOOK.directory.shortcuts[name].alias_of
        assert other is not None
        assert seen[name] == seen[other]
        features = features_for(BOOK, name)
        assert (
            BOOK.choose(name, features, NOBODY).defaults
            == BOOK.choose(other, features, NOBODY).defaults
        )
