"""What may explain that a ledger and an invoice differ, in words.

Rules of this file: it only reads. A reason is a finding, not a verdict: it says what was seen and
leaves the conclusion to whoever pays.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from msgspec import Struct, field

from routerd.ledger.comparing import Compared, Counts
from routerd.ledger.exports import BUCKETS, Invoice
from routerd.ledger.selection import EPOCH
from routerd.ledger.totals import DAY_MS
from routerd.models.pricing import format_dollars

__all__ = ["explain_differences"]

MOST_NAMED: Final = 2
FREE: Final = """
    SELECT deployment, count(*) FROM attempts
    WHERE started_ms >= ? AND started_ms < ? AND provider = ? AND sent AND free AND NOT simulated
    GROUP BY deployment
"""
# `{}` stands for as many question marks as there are amounts.
OF_AMOUNTS: Final = """
    SELECT deployment, cost_nanodollars + correction_nanodollars AS amount, min(decision_id)
    FROM attempts
    WHERE started_ms >= ? AND started_ms < ? AND provider = ? AND sent AND NOT simulated
        AND cost_nanodollars + correction_nanodollars IN ({})
    GROUP BY deployment, amount
"""


class _Attempts(Struct, frozen=True):
    """What single requests of a day say: those on a free tier, and what calls cost so much."""

    free: dict[str, int] = field(default_factory=dict)
    calls: dict[tuple[str, int], str] = field(default_factory=dict)


def explain_differences(
    connection: sqlite3.Connection, invoice: Invoice, rows: Sequence[Compared], now_ms: int
) -> None:
    """Add to every row that differs what may explain it."""
    (first,) = connection.execute("SELECT min(day) FROM day_totals").fetchone()
    first_day = None if first is None else EPOCH + timedelta(days=first)
    today = EPOCH + timedelta(days=now_ms // DAY_MS)
    differing = [row for row in rows if not row.agrees]
    by_day: dict[date, list[Compared]] = {}
    for row in differing:
        by_day.setdefault(row.day, []).append(row)
    for day, of_day in by_day.items():
        attempts = _attempts(connection, invoice.provider, day, of_day)
        near = [
            other
            for distance in (-1, 0, 1)
            for other in by_day.get(day + timedelta(days=distance), ())
        ]
        for row in of_day:
            row.reasons += [
                *_of_presence(row),
                *_of_one_call(row, attempts),
                *_of_others(row, near, invoice.tolerance_nanodollars),
                *_of_counts(row),
                *_of_basis(row, attempts),
                *_of_day(day, first_day, today),
            ]


def _attempts(
    connection: sqlite3.Connection, provider: str, day: date, rows: Iterable[Compared]
) -> _Attempts:
    start = (day - EPOCH).days * DAY_MS
    values = (start, start + DAY_MS, provider)
    amounts = {abs(row.difference_nanodollars) for row in rows if row.difference_nanodollars}
    statement = OF_AMOUNTS.format(", ".join("?" * len(amounts)))
    return _Attempts(
        free=dict(connection.execute(FREE, values).fetchall()),
        calls={
            (deployment, amount): decision_id
            for deployment, amount, decision_id in connection.execute(
                statement, (*values, *amounts)
            )
        },
    )


def _of_presence(row: Compared) -> Iterator[str]:
    if row.item:
        yield "this is no model: nothing that routerd sends is billed so"
    elif row.presence == "invoice":
        yield "the ledger has nothing of it that day: did another program use the account?"
    elif row.presence == "ledger":
        yield "the invoice has nothing of it that day"


def _of_one_call(row: Compared, attempts: _Attempts) -> Iterator[str]:
    difference = row.difference_nanodollars or 0
    if row.invoice is not None and not any(_more_tokens(row)):
        # The same was counted: a call more or less is not what differs.
        return
    for deployment in row.deployments:
        decision_id = attempts.calls.get((deployment, abs(difference)))
        if decision_id is not None:
            seen = "billed twice" if difference > 0 else "missing from the invoice"
            yield f"the difference is what call {decision_id} cost: {seen}?"
            return


def _of_others(row: Compared, rows: Iterable[Compared], tolerance: int) -> Iterator[str]:
    """Look for the same difference the other way round, on a day or at a model nearby."""
    found = 0
    for other in rows:
        days = abs((other.day - row.day).days)
        is_near = other.model == row.model if days == 1 else days == 0 and other is not row
        if is_near and found < MOST_NAMED and _cancel(row, other, tolerance):
            found += 1
            place = f"on {other.day}" if days else f"at {other.model}"
            yield f"{place} the same is missing the other way round"


def _cancel(one: Compared, other: Compared, tolerance: int) -> bool:
    if one.difference_nanodollars and other.difference_nanodollars:
        both = one.difference_nanodollars + other.difference_nanodollars
        smallest = min(abs(one.difference_nanodollars), abs(other.difference_nanodollars))
        if abs(both) <= tolerance < smallest:
            return True
    first, second = _more_tokens(one), _more_tokens(other)
    return any(first) and all(a + b == 0 for a, b in zip(first, second, strict=True))


def _of_counts(row: Compared) -> Iterator[str]:
    if row.invoice is None or row.presence != "both":
        return
    requests = row.invoice.requests
    if requests is not None and requests != row.ledger.requests:
        yield f"the invoice counts {requests} requests, the ledger {row.ledger.requests}"
    more = dict(zip(BUCKETS, _more_tokens(row), strict=True))
    output = more.pop("output_tokens")
    moved = -more["cache_read_tokens"]
    if not any((output, *more.values())):
        if row.difference_nanodollars:
            yield "the tokens agree: a price or a discount differs" + _times(row)
    elif moved and not output and not sum(more.values()):
        where = "were read from the cache here and not there"
        if moved < 0:
            where = "were read from the cache there and not here"
        yield f"{abs(moved)} tokens of input {where}"
    else:
        yield f"the invoice counts {_words(row.invoice)}, the ledger {_words(row.ledger)}"


def _of_basis(row: Compared, attempts: _Attempts) -> Iterator[str]:
    if row.estimated_nanodollars:
        yield f"{format_dollars(row.estimated_nanodollars)} of the ledger's amount are estimated"
    if row.unknown_requests:
        yield f"{row.unknown_requests} requests have no known cost in the ledger"
    free = sum(attempts.free.get(deployment, 0) for deployment in row.deployments)
    if free:
        yield f"{free} requests were counted on a free tier"


def _of_day(day: date, first_day: date | None, today: date) -> Iterator[str]:
    if first_day is None:
        yield "the ledger has no calls at all"
    elif day < first_day:
        yield f"the ledger has nothing of any call before {first_day}"
    elif day == first_day:
        yield "it is the first day of the ledger"
    if day >= today:
        yield "the day is not over"


def _more_tokens(row: Compared) -> list[int]:
    """Return how many tokens more the invoice has, by bucket."""
    if row.invoice is None:
        return [0] * len(BUCKETS)
    pairs = zip(row.invoice.tokens(), row.ledger.tokens(), strict=True)
    return [there - here for there, here in pairs]


def _words(counts: Counts) -> str:
    return ", ".join(
        f"{count} {bucket.removesuffix('_tokens').replace('_', ' ')}"
        for bucket, count in zip(BUCKETS, counts.tokens(), strict=True)
        if count or bucket in ("input_tokens", "output_tokens")
    )


def _times(row: Compared) -> str:
    if not row.ledger_nanodollars or row.invoice_nanodollars is None:
        return ""
    return f" ({row.invoice_nanodollars / row.ledger_nanodollars:.4g} times the ledger's amount)"
