"""Holds in all budgets at once, and what is told of them."""

from __future__ import annotations

import pytest

from routerd.budget.budgets import Budgets
from routerd.budget.definitions import read_budgets
from routerd.budget.holds import Hold, HoldRefused, Spending
from routerd.settings import Budget, Budgeting
from routerd.telemetry.events import BudgetNearlySpent, Event

NOW = 1_795_176_000.0
CENT = 10_000_000
PLACE = ("openai/gpt", "openai", "gpt")


def budgets(told: list[Event] | None = None, **items: Budget) -> Budgets:
    tell = told.append if told is not None else lambda _event: None
    return Budgets(read_budgets(items, Budgeting()), tell=tell)


def spender(tenant: str | None = "acme", user: str | None = "ann") -> Spending:
    return Spending((tenant, None, None, user, None), f"decision-of-{user}")


def held(made: Budgets, cents: int, spending: Spending | None = None, at: float = NOW) -> Hold:
    hold = made.hold(spending or spender(), PLACE, cents * CENT, 10, at)
    assert isinstance(hold, Hold), hold
    return hold


def refused(made: Budgets, cents: int | None, spending: Spending | None = None) -> HoldRefused:
    amount = cents if cents is None else cents * CENT
    hold = made.hold(spending or spender(), PLACE, amount, 10, NOW)
    assert isinstance(hold, HoldRefused)
    return hold


def state(made: Budgets, at: float = NOW) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (row["scope"], row["unit"]): (row["spent"], row["held"])
        for row in made.report(at)
        if row["spent"] or row["held"]
    }


def test_a_refusal_says_whose_cap_and_all_the_numbers() -> None:
    made = budgets(users=Budget(each="user", tenant="acme", dollars=1))
    held(made, 60)
    refusal = refused(made, 41)
    assert (refusal.code, refusal.room.budget) == ("budget", "users")
    assert refusal.detail == (
        "users (tenant acme, user ann) has $0.40 left for up to $0.41: "
        "$0.00 spent and $0.60 held of $1.00, resets 2026-11-21 00:00:00 UTC"
    )


def test_what_one_budget_refuses_is_held_in_none() -> None:
    made = budgets(all=Budget(dollars=1), users=Budget(each="user", dollars="0.10"))
    refused(made, 11)
    assert state(made) == {}
    assert not made.holds
    held(made, 10)
    refused(made, 1)
    assert state(made)["all calls", "nanodollars"] == (0, 10 * CENT)


def test_a_first_seen_user_has_its_budget_at_once() -> None:
    made = budgets(users=Budget(each="user", dollars="0.10"))
    # Both before anything is settled, and nobody asked for them before.
    for user in ("ann", "bob"):
        held(made, 10, spender(user=user))
        refused(made, 1, spender(user=user))


def test_calls_that_name_nobody_share_one_budget() -> None:
    made = budgets(users=Budget(each="user", calls=1))
    held(made, 1, spender(user=None))
    assert "no user named" in refused(made, 1, spender("other", user=None)).detail


def test_a_call_counts_once_and_at_a_provider_every_request() -> None:
    made = budgets(calls=Budget(calls=2), requests=Budget(provider="openai", calls=3))
    call = spender()
    for _ in range(2):
        held(made, 1, call).settle(CENT, 10)
    assert state(made) == {
        ("all calls", "calls"): (1, 0),
        ("provider openai", "calls"): (2, 0),
    }
    held(made, 1).settle(CENT, 10)
    assert refused(made, 1, call).room.budget == "requests"


def test_what_was_never_sent_counts_for_nothing() -> None:
    made = budgets(all=Budget(dollars=1, calls=1, tokens=10))
    call = spender()
    held(made, 5, call).release()
    assert state(made) == {}
    held(made, 5, call).settle(CENT, 3)
    assert state(made) == {
        ("all calls", "nanodollars"): (CENT, 0),
        ("all calls", "calls"): (1, 0),
        ("all calls", "tokens"): (3, 0),
    }


@pytest.mark.parametrize("refuses", [True, False])
def test_an_unknown_price_under_a_cap_in_dollars(refuses: bool) -> None:
    definitions = read_budgets({"mine": Budget(dollars=1, calls=1)}, Budgeting())
    made = Budgets(definitions, refuse_unknown=refuses)
    hold = made.hold(spender(), PLACE, None, 10, NOW)
    assert isinstance(hold, HoldRefused) is refuses
    if isinstance(hold, HoldRefused):
        assert hold.code == "unknown_price"
    else:
        hold.settle(0, 5)


def test_a_full_budget_takes_what_costs_nothing() -> None:
    made = budgets(all=Budget(dollars="0.05"))
    held(made, 5).settle(5 * CENT, 10)
    refused(made, 1)
    held(made, 0).settle(0, 10)


def test_a_long_stream_is_spent_on_the_day_it_was_held_on() -> None:
    made = budgets(day=Budget(dollars=1))
    hold = held(made, 60)
    tomorrow = NOW + 86_400
    held(made, 100, at=tomorrow).settle(70 * CENT, 10)
    hold.settle(60 * CENT, 10)
    assert state(made, tomorrow) == {("all calls", "nanodollars"): (70 * CENT, 0)}


def test_what_was_billed_above_the_bound_is_spent_all_the_same() -> None:
    made = budgets(all=Budget(dollars=1))
    held(made, 90).settle(120 * CENT, 10)
    assert state(made) == {("all calls", "nanodollars"): (120 * CENT, 0)}
    (row,) = made.report(NOW)
    assert row["left"] == 0
    refused(made, 1)


def test_nearly_spent_is_told_once_a_window() -> None:
    told: list[Event] = []
    made = budgets(told, day=Budget(dollars=1, soft_percent=50))
    held(made, 100).settle(49 * CENT, 10)
    assert told == []
    held(made, 1).settle(CENT, 10)
    held(made, 1).settle(CENT, 10)
    assert told == [
        BudgetNearlySpent(
            budget="day", scope="all calls", unit="nanodollars", spent=50 * CENT, limit=100 * CENT
        )
    ]
    held(made, 60, at=NOW + 86_400).settle(60 * CENT, 10)
    assert len(told) == 2


def test_the_report_says_who_holds() -> None:
    made = budgets(all=Budget(dollars=1), users=Budget(each="user", dollars=1))
    held(made, 10)
    held(made, 20, spender(user="bob"))
    rows = {row["scope"]: row for row in made.report(NOW + 5)}
    assert [holder["held"] for holder in rows["all calls"]["holders"]] in (
        [10 * CENT, 20 * CENT],
        [20 * CENT, 10 * CENT],
    )
    assert rows["user bob"]["holders"] == [
        {
            "decision_id": "decision-of-bob",
            "deployment": "openai/gpt",
            "seconds": 5.0,
            "held": 20 * CENT,
        }
    ]


def test_rooms_are_what_a_decision_sees() -> None:
    made = budgets(
        all=Budget(dollars=1, calls=5),
        openai=Budget(provider="openai", dollars=2),
        models=Budget(each="model", tokens=100),
        other=Budget(tenant="beta", dollars=1),
    )
    held(made, 10)
    rooms = made.rooms(
        spender(), (("mistral", "gpt"), ("mistral", "large"), ("openai", "gpt")), NOW
    )
    seen = {(room.budget, room.unit, room.provider, room.model): room.held for room in rooms}
    assert seen == {
        ("all", "nanodollars", None, None): 10 * CENT,
        ("all", "calls", None, None): 1,
        ("openai", "nanodollars", "openai", None): 10 * CENT,
        ("models", "tokens", None, "gpt"): 10,
        ("models", "tokens", None, "large"): 0,
    }


def test_the_mark_is_told_once_while_a_rolling_window_rolls() -> None:
    told: list[Event] = []
    made = budgets(told, rate=Budget(window="1m", calls=90, soft_percent=50))
    for second in range(600):
        held(made, 1, at=NOW + second).settle(0, 0)
    assert len(told) == 1


def test_many_users_of_yesterday_are_forgotten_and_nobody_who_runs() -> None:
    made = budgets(users=Budget(each="user", dollars=1))
    running = held(made, 0, spender(user="running"))
    for number in range(20_000):
        held(made, 1, spender(user=f"u{number}"), at=NOW + number / 1000).release()
    assert len(made._meters) < 15_000
    assert [row["scope"] for row in made.report(NOW)] == ["user running"]
    running.settle(30 * CENT, 1)
    assert made.report(NOW)[0]["spent"] == 30 * CENT


def test_who_is_only_refused_is_forgotten_too() -> None:
    made = budgets(all=Budget(dollars=0), users=Budget(each="user", dollars=1))
    for number in range(30_000):
        one = spender(user=f"u{number}")
        made.rooms(one, (), NOW)
        refused(made, 1, one)
    assert len(made._meters) < 20_000


def test_of_very_many_the_fullest_are_reported() -> None:
    made = budgets(users=Budget(each="user", dollars=1))
    for number in range(50):
        held(made, number, spender(user=f"u{number}")).settle(number * CENT, 1)
    assert [row["scope"] for row in made.report(NOW, 2)] == ["user u49", "user u48"]
