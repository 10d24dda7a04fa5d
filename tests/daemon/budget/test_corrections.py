"""What an invoice corrects is in the counters at once, and never lets too much through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.budget.budgets import Budgets, Seed
from routerd.budget.definitions import read_budgets
from routerd.budget.holds import Hold, Spending
from routerd.settings import Budget, Budgeting

DAY = 86_400
# The noon of a day in the middle of a month.
NOON = 1_763_467_200.0
NAMES = ("acme", None, None, "ann", None)
PLACE = ("openai/sol", "openai", "sol")


def budgets_of(**budgets: Budget) -> Budgets:
    return Budgets(read_budgets(budgets, Budgeting()))


def spend(budgets: Budgets, at: float, amount: int) -> None:
    hold = budgets.hold(Spending(NAMES), PLACE, amount, 1, at)
    assert isinstance(hold, Hold)
    hold.settle(amount, 1)


def spent(budgets: Budgets, now: float) -> dict[str, int]:
    return {row["budget"]: row["spent"] for row in budgets.report(now)}


def test_a_correction_is_in_all_budgets_of_its_call_and_in_no_other() -> None:
    budgets = budgets_of(
        all=Budget(dollars=1, window="month"),
        acme=Budget(dollars=1, window="month", tenant="acme"),
        users=Budget(dollars=1, window="30d", each="user"),
        sol=Budget(dollars=1, window="month", model="sol"),
        beta=Budget(dollars=1, window="month", tenant="beta"),
        day=Budget(dollars=1),
    )
    spend(budgets, NOON - DAY, 500)
    budgets.correct(NAMES, ("openai", "sol"), NOON - DAY, -200, NOON)
    assert spent(budgets, NOON) == {
        "all": 300,
        "acme": 300,
        "users": 300,
        "sol": 300,
        "beta": 0,
        "day": 0,
    }
    budgets.correct(NAMES, ("openai", "sol"), NOON - DAY, 50, NOON)
    assert spent(budgets, NOON)["users"] == 350


def test_a_cap_counts_what_was_corrected() -> None:
    budgets = budgets_of(all=Budget(dollars="0.000000500", window="month"))
    spend(budgets, NOON - DAY, 500)
    assert not isinstance(budgets.hold(Spending(NAMES), PLACE, 100, 1, NOON), Hold)
    budgets.correct(NAMES, ("openai", "sol"), NOON - DAY, -100, NOON)
    assert isinstance(budgets.hold(Spending(NAMES), PLACE, 100, 1, NOON), Hold)
    assert not isinstance(budgets.hold(Spending(NAMES), PLACE, 1, 1, NOON), Hold)


@pytest.mark.parametrize("window", ["7d", "24h", "90m"])
@given(
    spendings=st.lists(
        st.tuples(st.integers(0, 8 * DAY), st.integers(0, 1000), st.integers(0, 1500)), max_size=8
    ),
    is_seeded=st.booleans(),
    later=st.lists(st.integers(0, 9 * DAY), min_size=1, max_size=5),
)
def test_a_rolling_window_never_counts_less_than_what_is_in_it(
    window: str,
    spendings: list[tuple[int, int, int]],
    is_seeded: bool,
    later: list[int],
) -> None:
    """Also where a restart put a day's amounts into its end, and they leave with that."""
    budgets = budgets_of(all=Budget(dollars=1, window=window))
    (definition,) = budgets.definitions
    seconds = definition.window.seconds
    for ago, before, _ in sorted(spendings, reverse=True):
        at = NOON - ago
        if is_seeded:
            # As late in its day as a start may put it, and not in the future.
            end = min(at - at % DAY + DAY - 1, NOON)
            seed = Seed(definition.identity, None, end, (before, 1, 1))
            budgets.seed([seed], NOON)
        else:
            spend(budgets, at, before)
    for ago, before, after in spendings:
        budgets.correct(NAMES, ("openai", "sol"), NOON - ago, after - before, NOON)
    for moment in sorted(later):
        now = NOON + moment
        inside = sum(after for ago, _, after in spendings if NOON - ago > now - seconds)
        assert spent(budgets, now)["all"] >= inside
