"""What a configuration's budgets become, and what is refused with its key."""

from __future__ import annotations

import math
from typing import Any

import pytest

from routerd.budget.definitions import DEFAULT_NAME, Definition, read_budgets
from routerd.errors import SettingsError
from routerd.settings import Budget, Budgeting

DOLLAR = 1_000_000_000


def read(budgeting: Budgeting = Budgeting(), **budgets: Budget) -> list[Definition]:  # noqa: B008
    return list(read_budgets(budgets, budgeting, "r.toml", can_be_billed=True))


@pytest.mark.parametrize(
    ("dollars", "nanodollars"),
    [
        (0.1, DOLLAR // 10),
        (5, 5 * DOLLAR),
        ("12.345678901", 12_345_678_901),
        (0, 0),
        (1e-05, 10_000),
    ],
)
def test_dollars_are_read_as_they_were_written(dollars: Any, nanodollars: int) -> None:
    assert read(mine=Budget(dollars=dollars))[0].nanodollars == nanodollars


@pytest.mark.parametrize(
    ("budget", "key", "expected"),
    [
        (Budget(), "budgets.mine", "caps nothing"),
        (Budget(dollars="ten"), "budgets.mine.dollars", "not an amount of dollars"),
        (Budget(dollars=-1), "budgets.mine.dollars", "0 or more"),
        (Budget(dollars="0.0000000001"), "budgets.mine.dollars", "finer than a nanodollar"),
        (
            Budget(calls=1, tenant="a", each="tenant"),
            "budgets.mine.each",
            "names one tenant already",
        ),
    ],
)
def test_what_cannot_be_meant_names_its_key(budget: Budget, key: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        read(mine=budget)
    assert (caught.value.file, caught.value.key) == ("r.toml", key)


def test_a_time_zone_nobody_knows() -> None:
    with pytest.raises(SettingsError, match="Europe/Atlantis") as caught:
        read(Budgeting(time_zone="Europe/Atlantis"))
    assert caught.value.key == "budgeting.time_zone"


def test_two_budgets_for_the_same_are_one_riddle() -> None:
    with pytest.raises(SettingsError, match=r"same spenders and window as budgets\.one"):
        read(one=Budget(tenant="a", dollars=1), two=Budget(tenant="a", dollars=2))


def test_a_provider_that_is_not_there() -> None:
    with pytest.raises(
        SettingsError, match="'opnai' is no known provider; known: openai"
    ) as caught:
        read_budgets(
            {"mine": Budget(provider="opnai", dollars=1)},
            Budgeting(),
            known={"provider": ["openai"]},
        )
    assert caught.value.key == "budgets.mine.provider"


@pytest.mark.parametrize(
    ("budgets", "is_there"),
    [
        ({}, True),
        ({"rate": Budget(each="tenant", window="1m", calls=5)}, True),
        ({"mine": Budget(tenant="acme", dollars=1)}, False),
    ],
)
def test_the_daily_default_holds_where_nothing_caps_dollars(
    budgets: dict[str, Budget], is_there: bool
) -> None:
    found = {item.name: item for item in read(Budgeting(), **budgets)}
    assert (DEFAULT_NAME in found) is is_there
    if is_there:
        assert found[DEFAULT_NAME].nanodollars == 10 * DOLLAR
        assert found[DEFAULT_NAME].is_default


def test_no_default_where_nobody_bills_or_it_was_switched_off() -> None:
    assert read_budgets({}, Budgeting(), can_be_billed=False) == ()
    assert read(Budgeting(default_daily_dollars=0)) == []


def test_who_is_named_has_no_second_budget_of_the_same_window() -> None:
    found = read(
        each=Budget(each="tenant", dollars=1),
        acme=Budget(tenant="acme", dollars=100),
        month=Budget(tenant="beta", window="month", dollars=100),
        users=Budget(each="user", tenant="acme", dollars=1),
        ann=Budget(user="ann", tenant="acme", dollars=5),
        bob=Budget(user="bob", dollars=5),
    )
    apart = {item.name: item.apart for item in found if item.each}
    assert apart == {"each": {"acme"}, "users": {"ann"}}


def test_a_scope_in_words() -> None:
    found = {
        item.name: item
        for item in read(
            all=Budget(dollars=1),
            users=Budget(each="user", tenant="acme", dollars=1),
        )
    }
    assert found["all"].scope(None) == "all calls"
    assert found["users"].scope("ann") == "tenant acme, user ann"
    assert found["users"].scope(None) == "tenant acme, no user named"


@pytest.mark.parametrize(("percent", "mark"), [(80, 800), (100, 1000), (0.1, 1), (33.3333, 334)])
def test_the_soft_mark_is_whole_and_exact(percent: float, mark: int) -> None:
    (budget,) = read(mine=Budget(dollars=1, soft_percent=percent))
    assert budget.soft(1000) == mark
    # Beyond what a float holds.
    assert budget.soft(10**18) == 10**12 * round(percent * 10_000)
    # Of few calls a share is no whole number: the mark is not before it, and never at nothing.
    assert [budget.soft(cap) for cap in (3, 1, 0)] == [math.ceil(3 * percent / 100), 1, 0]
