"""Estimated costs become what the invoice says, to the nanodollar, once and not again."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Usage
from routerd.ledger import Ledger
from routerd.ledger.comparing import compare
from routerd.ledger.corrections import MOST_TIMES, Corrected, correct, shares_of
from routerd.ledger.exports import Invoice, InvoiceLine
from routerd.ledger.schema import DIMENSIONS
from routerd.ledger.spending import SpendQuestion, SpendRow, spend
from routerd.ledger.sums import window_sums
from tests.daemon.ledger.book import book_of, bought, milliseconds
from tests.daemon.ledger.conftest import OpenLedger

DAY = date(2026, 11, 18)
NOW_MS = milliseconds("2026-11-21T12:00")
AMOUNTS = st.integers(0, 10**10)
SUMS = ("cost_nanodollars", "estimated_nanodollars", "unknown_requests")


def invoice_of_day(*amounts: tuple[str, int], day: date = DAY, **changes: Any) -> Invoice:
    known: dict[str, Any] = {"has_amounts": True, "has_counts": False, "source": "costs.json"}
    return Invoice(
        provider="openai",
        lines=[InvoiceLine(day=day, model=model, nanodollars=amount) for model, amount in amounts],
        first_day=day,
        last_day=day,
        **(known | changes),
    )


def apply(book: sqlite3.Connection, invoice: Invoice) -> list[Corrected]:
    book.execute("BEGIN")
    corrected, changes = correct(book, invoice, {}, NOW_MS)
    assert sum(change.nanodollars for change in changes) == sum(
        row.nanodollars for row in corrected
    )
    book.execute("COMMIT")
    return corrected


def state(book: sqlite3.Connection) -> list[list[Any]]:
    tables = ("attempts", "day_totals", "month_totals", "corrections")
    return [book.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def costs(book: sqlite3.Connection) -> list[int | None]:
    """Return what every request is taken to have cost, in the order of ids."""
    select = "SELECT cost_nanodollars + correction_nanodollars FROM attempts ORDER BY decision_id"
    return [amount for (amount,) in book.execute(select)]


def check_totals(book: sqlite3.Connection) -> None:
    """Check that days and months still say what requests say."""
    key = ", ".join(f"ifnull({name}, '')" for name in DIMENSIONS)
    asked = f"""
        SELECT {key}, sum(ifnull(cost_nanodollars, 0) + correction_nanodollars),
            sum(iif(cost_basis = 'estimated', cost_nanodollars + correction_nanodollars, 0)),
            sum(sent AND cost_basis = 'unknown')
        FROM attempts GROUP BY {key} ORDER BY {key}
    """
    expected = book.execute(asked).fetchall()
    names = ", ".join(DIMENSIONS)
    sums = ", ".join(f"sum({name})" for name in SUMS)
    for table in (
        "day_totals",
        "month_totals",
        "day_totals_without_user",
        "month_totals_without_user",
    ):
        asked = f"SELECT {names}, {sums} FROM {table} GROUP BY {names} ORDER BY {names}"
        assert book.execute(asked).fetchall() == expected


@st.composite
def books(draw: st.DrawFn) -> sqlite3.Connection:
    """Return a ledger with calls of a day and its neighbours, of all bases."""
    records = []
    for number in range(draw(st.integers(0, 8))):
        basis = draw(st.sampled_from(("measured", "estimated", "unknown")))
        day = DAY + timedelta(days=draw(st.sampled_from((0, 0, 0, 1, -20))))
        records.append(
            bought(
                number,
                f"{day}T10:00",
                draw(st.sampled_from(("openai/sol", "openai/luna", "other/sol"))),
                # Of some a part is known, such as the tokens of a call with a vendor's own tools.
                draw(st.none() | AMOUNTS) if basis == "unknown" else draw(AMOUNTS),
                Usage(draw(st.integers(0, 1000))),
                cost_basis=basis,
                simulated=draw(st.sampled_from((False, False, True))),
                names={"tenant": draw(st.sampled_from((None, "acme")))},
            )
        )
    return book_of(records)


@given(book=books(), amount=AMOUNTS)
def test_a_day_that_has_enough_estimated_spend_becomes_the_invoice(
    book: sqlite3.Connection, amount: int
) -> None:
    invoice = invoice_of_day(("sol", amount))
    before = {row.model: row for row in compare(book, invoice, {})}
    untouched = "SELECT * FROM attempts WHERE cost_basis = 'measured' OR provider <> 'openai'"
    measured = book.execute(untouched).fetchall()
    apply(book, invoice)
    for row in compare(book, invoice, {}):
        earlier = before[row.model]
        billed = row.invoice_nanodollars or 0
        assert row.ledger_nanodollars >= 0
        if earlier.ledger_nanodollars - earlier.estimated_nanodollars > billed:
            # What was measured is above the invoice alone.
            expected = earlier.ledger_nanodollars - earlier.estimated_nanodollars
        elif (
            not earlier.unknown_requests
            and billed - earlier.ledger_nanodollars > MOST_TIMES * earlier.estimated_nanodollars
        ):
            # No estimate is wrong by as much.
            expected = earlier.ledger_nanodollars
        elif earlier.estimated_nanodollars or (
            earlier.unknown_requests and billed > earlier.ledger_nanodollars
        ):
            expected = billed
        else:
            continue
        assert row.ledger_nanodollars == expected
    assert book.execute(untouched).fetchall() == measured
    assert all(cost is None or cost >= 0 for cost in costs(book))
    check_totals(book)
    # The same again changes nothing.
    once = state(book)
    assert apply(book, invoice) == []
    assert state(book) == once


@given(books(), st.lists(AMOUNTS, min_size=2, max_size=4))
def test_a_later_invoice_takes_the_place_of_an_earlier_one(
    book: sqlite3.Connection, amounts: list[int]
) -> None:
    for amount in amounts:
        apply(book, invoice_of_day(("sol", amount), ("luna", amount)))
        check_totals(book)
    deltas = dict(
        book.execute(
            "SELECT decision_id, sum(delta_nanodollars) FROM corrections GROUP BY decision_id"
        ).fetchall()
    )
    asked = "SELECT decision_id, correction_nanodollars FROM attempts"
    assert all(deltas.get(name, 0) == correction for name, correction in book.execute(asked))


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=9))
def test_shares_are_exact_and_fair(amount: int, weights: list[int]) -> None:
    shares = shares_of(amount, weights)
    whole = sum(weights)
    assert sum(shares) == amount
    assert min(shares) >= 0
    if whole:
        # Nobody is a whole nanodollar away from what is due.
        assert all(
            abs(share * whole - amount * weight) < whole
            for share, weight in zip(shares, weights, strict=True)
        )
        assert amount > whole or all(map(int.__le__, shares, weights))
    else:
        assert max(shares) - min(shares) <= 1


def test_what_is_too_much_is_taken_off_in_proportion() -> None:
    book = book_of(
        [
            bought(1, "2026-11-18", "openai/sol", 300, cost_basis="estimated"),
            bought(2, "2026-11-18", "openai/sol", 100, cost_basis="estimated"),
            bought(3, "2026-11-18", "openai/sol", 50),
        ]
    )
    assert apply(book, invoice_of_day(("sol", 250))) == [
        Corrected(day=DAY, model="sol", requests=2, nanodollars=-200)
    ]
    assert costs(book) == [150, 50, 50]
    assert apply(book, invoice_of_day(("sol", 20))) == [
        Corrected(day=DAY, model="sol", requests=2, nanodollars=-200)
    ]
    # Never below zero: what was measured is still too much, and the comparison says so.
    assert costs(book) == [0, 0, 50]
    (row,) = compare(book, invoice_of_day(("sol", 20)), {})
    assert row.difference_nanodollars == -30


def test_what_is_missing_belongs_to_what_nobody_knew() -> None:
    book = book_of(
        [
            bought(1, "2026-11-18", "openai/sol", 300, cost_basis="estimated"),
            bought(2, "2026-11-18", "openai/sol", None, Usage(1000, 0, 0, 0, 2000)),
            bought(3, "2026-11-18", "openai/sol", None, Usage(1000)),
        ]
    )
    apply(book, invoice_of_day(("sol", 700)))
    assert costs(book) == [300, 300, 100]
    (row,) = spend(book, SpendQuestion(by=("model",))).rows
    assert [getattr(row, name) for name in SUMS] == [700, 700, 0]


def test_what_is_known_of_a_cost_in_part_becomes_an_estimate_of_all_of_it() -> None:
    tokens = bought(1, "2026-11-18", "openai/sol", 300, Usage(1000), cost_basis="unknown")
    book = book_of([tokens, bought(2, "2026-11-18", "openai/sol", 50)])
    (row,) = spend(book, SpendQuestion(by=("model",))).rows
    assert [getattr(row, name) for name in SUMS] == [350, 0, 1]
    # A fee came on top that no price list has.
    apply(book, invoice_of_day(("sol", 1350)))
    assert costs(book) == [1300, 50]
    (row,) = spend(book, SpendQuestion(by=("model",))).rows
    assert [getattr(row, name) for name in SUMS] == [1350, 1300, 0]
    check_totals(book)


def test_what_is_known_of_a_cost_is_not_taken_off() -> None:
    tokens = bought(1, "2026-11-18", "openai/sol", 300, Usage(1000), cost_basis="unknown")
    book = book_of([tokens])
    assert apply(book, invoice_of_day(("sol", 200))) == []
    assert costs(book) == [300]


def test_a_request_that_was_never_billed_costs_nothing_in_the_end() -> None:
    book = book_of([bought(1, "2026-11-18", "openai/sol", 300, cost_basis="estimated")])
    apply(book, invoice_of_day())
    assert costs(book) == [0]
    assert book.execute("SELECT * FROM corrections").fetchall() == [
        (1, NOW_MS, 20_775, "openai", "sol", f"{1795176000001:012x}{0:020x}", 1, -300, "costs.json")
    ]


@pytest.mark.parametrize(
    ("changes", "invoice"),
    [
        ({"simulated": True}, invoice_of_day(("sol", 10))),
        ({"free": True}, invoice_of_day(("sol", 10))),
        ({"sent": False}, invoice_of_day(("sol", 10))),
        ({"cost_basis": "measured"}, invoice_of_day(("sol", 10))),
        ({}, invoice_of_day(("luna", 300), ("sol", 300))),
        ({}, invoice_of_day(("sol", 10), has_amounts=False)),
        ({}, invoice_of_day(("sol", 10), day=DAY + timedelta(days=1))),
    ],
)
def test_what_is_left_alone(changes: dict[str, Any], invoice: Invoice) -> None:
    estimated = {"cost_basis": "estimated"}
    book = book_of([bought(1, "2026-11-18", "openai/sol", 300, **(estimated | changes))])
    before = state(book)
    assert apply(book, invoice) == []
    assert state(book) == before


def test_a_day_that_is_not_over_is_left_alone() -> None:
    today = date(2026, 11, 21)
    book = book_of([bought(1, f"{today}", "openai/sol", 300, cost_basis="estimated")])
    assert apply(book, invoice_of_day(("sol", 10), day=today)) == []
    assert costs(book) == [300]


async def test_a_ledger_in_use_is_corrected_by_its_writer(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(bought(1, "2026-11-18", "openai/sol", 300, cost_basis="estimated"))
        invoice = invoice_of_day(("sol", 120))
        corrected, _ = await ledger.order(lambda book: correct(book, invoice, {}, NOW_MS))
        assert [item.nanodollars for item in corrected] == [-180]
        assert await spent(ledger) == 120
        since = milliseconds("2026-11-18")
        (found,) = await ledger.ask(lambda book: window_sums(book, since_ms=since, now_ms=since))
        assert found.nanodollars == 120


async def spent(ledger: Ledger) -> int:
    answer = await ledger.ask(lambda book: spend(book, SpendQuestion()))
    total: SpendRow = answer.total
    return total.cost_nanodollars
