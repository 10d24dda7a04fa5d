"""Spending that fills every cap to a share: a daemon that begins with it finds just that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from routerd.evaluate.spent import Spent, spending_for, write_ledger
from routerd.ledger import Connection, Ledger
from routerd.ledger.sums import WindowSum, window_sums
from routerd.settings import Budget
from routerd_proto.frames import CallOptions
from tests.daemon.evaluate.towns import town

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
DAY = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
MONTH = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
DOLLAR = 1_000_000_000


def spending(percent: int = 85, **budgets: Budget) -> list[Spent] | str:
    return spending_for(town(budgets=budgets), percent, NOON)


def test_one_cap_is_filled_by_what_was_spent_just_now() -> None:
    assert spending(day=Budget(dollars=10)) == [Spent(NOON - 1, 8_500_000_000)]
    assert spending(100, day=Budget(dollars=10)) == [Spent(NOON - 1, 10 * DOLLAR)]


def test_a_wider_window_has_the_rest_from_before_the_narrower_one() -> None:
    assert spending(month=Budget(window="month", dollars=100), day=Budget(dollars=10)) == [
        Spent(NOON - 1, 8_500_000_000),
        Spent((MONTH + DAY) / 2, 76_500_000_000),
    ]


def test_caps_that_are_filled_by_the_same_spending_need_it_once() -> None:
    found = spending(day=Budget(dollars=10), month=Budget(window="month", dollars=10))
    assert found == [Spent(NOON - 1, 8_500_000_000)]


@pytest.mark.parametrize(
    "budgets",
    [
        # The month is full before the day can be.
        {"day": Budget(dollars=10), "month": Budget(window="month", dollars=5)},
        {"west": Budget(provider="west", dollars=5)},
    ],
)
def test_what_cannot_be_so_full_at_once_is_not_made_up(budgets: dict[str, Budget]) -> None:
    assert isinstance(spending_for(town(budgets=budgets), 85, NOON), str)


async def test_a_ledger_with_it_is_what_a_daemon_counts(tmp_path: Path) -> None:
    acme = {"acme": Budget(tenant="acme", dollars=10, window="month"), "day": Budget(dollars=5)}
    world = structs.replace(town(budgets=acme, options=CallOptions(tenant="acme")), now=NOON)
    spent = spending_for(world, 100, NOON)
    assert isinstance(spent, list)
    await write_ledger(tmp_path / "ledger.db", world, spent)
    ledger = Ledger(tmp_path / "ledger.db")
    await ledger.start()
    (day,) = await ledger.ask(lambda connection: sums(connection, DAY))
    (month,) = await ledger.ask(lambda connection: sums(connection, MONTH, ("tenant", "acme")))
    await ledger.close()
    assert (day.nanodollars, month.nanodollars) == (5 * DOLLAR, 10 * DOLLAR)


def sums(connection: Connection, since: float, *filters: tuple[str, str]) -> list[WindowSum]:
    return window_sums(
        connection, since_ms=int(since * 1000), now_ms=int(NOON * 1000), filters=filters
    )
