"""What was spent in a stretch of time: counters begin with it.

Rules of this file: pure functions on a connection that may only read. Every request counts when it
began, and a call with its first one, as holds do. Simulated ones count too: a counter that is
filled as they go must be found as full after a restart. Whole days are read from the totals, and
only their edges request by request, so that a start does not take longer with every call.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from routerd.ledger.totals import DAY_MS, month_of

__all__ = ["WindowSum", "key_sums", "window_sums"]

# What counters can be for.
COLUMNS: Final = frozenset({"tenant", "team", "agent", "user", "feature", "provider", "model"})
TOKENS: Final = (
    "sum(ifnull(input_tokens, 0) + ifnull(cache_read_tokens, 0) + ifnull(cache_write_tokens, 0)"
    " + ifnull(cache_write_long_tokens, 0) + ifnull(output_tokens, 0))"
)
SPENT: Final = (
    "sum(ifnull(cost_nanodollars, 0) + correction_nanodollars), sum(first), sum(sent), " + TOKENS
)
# In totals corrections are in the cost, and calls that needed no request are among the calls.
SPENT_IN_TOTALS: Final = f"sum(cost_nanodollars), sum(calls - cached), sum(requests), {TOKENS}"
# Of a rolling window the last days are read to the step they belong to.
EXACT_DAYS: Final = 2

Filters = tuple[tuple[str, str], ...]


class WindowSum(Struct, frozen=True):
    """What one name spent in the stretch that begins at `at_ms`.

    `tokens` are all of input and output. A cost that is not known counts as none.
    """

    name: str | None
    at_ms: int
    nanodollars: int
    calls: int
    requests: int
    tokens: int


def window_sums(
    connection: sqlite3.Connection,
    *,
    since_ms: int,
    now_ms: int,
    each: str | None = None,
    filters: Iterable[tuple[str, str]] = (),
    bucket_ms: int | None = None,
) -> list[WindowSum]:
    """Add up what began from `since_ms` on, in the order of time.

    It is told apart by the names of `each`, and by stretches of `bucket_ms` since the epoch,
    without which there is one. With stretches, days long past count as if all of them had been
    spent in their last one: such an amount leaves a rolling window up to a day too late, never too
    early. ValueError for a name that nothing is counted by.
    """
    filters = tuple(filters)
    for name in (each, *(name for name, _ in filters)):
        if name is not None and name not in COLUMNS:
            raise ValueError(f"nothing is counted by {name!r}")
    first_day = -(-since_ms // DAY_MS)
    exact_from = now_ms // DAY_MS + 1 if bucket_ms is None else now_ms // DAY_MS - EXACT_DAYS
    if first_day >= exact_from:
        return _of_attempts(connection, since_ms, None, each, filters, since_ms, bucket_ms)
    edge = _of_attempts(
        connection, since_ms, first_day * DAY_MS, each, filters, since_ms, bucket_ms
    )
    if bucket_ms is None:
        whole = _of_month(connection, first_day, now_ms // DAY_MS, each, filters)
        if whole is None:
            whole = _of_days(connection, first_day, exact_from, each, filters)
        return _together(since_ms, [*edge, *whole])
    days = _of_days(connection, first_day, exact_from, each, filters)
    last = [
        WindowSum(item.name, (item.at_ms + DAY_MS - 1) // bucket_ms * bucket_ms, *_amounts(item))
        for item in days
    ]
    rest = _of_attempts(connection, exact_from * DAY_MS, None, each, filters, since_ms, bucket_ms)
    return [*edge, *last, *rest]


def _of_attempts(
    connection: sqlite3.Connection,
    since_ms: int,
    until_ms: int | None,
    each: str | None,
    filters: Filters,
    at_ms: int,
    bucket_ms: int | None,
) -> list[WindowSum]:
    """Add up single requests; without stretches all of it is said to be of `at_ms`."""
    at = f"{at_ms:d}" if bucket_ms is None else f"started_ms / {bucket_ms:d} * {bucket_ms:d}"
    rows = connection.execute(
        f"SELECT {each or 'NULL'} AS name, {at} AS at_ms, {SPENT} "  # noqa: S608 - known names
        "FROM attempts WHERE started_ms >= ?"
        + ("" if until_ms is None else f" AND started_ms < {until_ms:d}")
        + "".join(f" AND {column} = ?" for column, _ in filters)
        + " GROUP BY name, at_ms ORDER BY at_ms",
        (since_ms, *(value for _, value in filters)),
    )
    return [WindowSum(*row) for row in rows]


def _of_month(
    connection: sqlite3.Connection, first: int, today: int, each: str | None, filters: Filters
) -> list[WindowSum] | None:
    """Add up the month of today, if that is what the days from the first one on are; else None."""
    month = month_of(today)
    if month_of(first) != month or month_of(first - 1) == month:
        return None
    return _of_totals(connection, "month", "month = ?", (month,), each, filters)


def _of_days(
    connection: sqlite3.Connection, first: int, beyond: int, each: str | None, filters: Filters
) -> list[WindowSum]:
    """Add up whole days, day by day, in their order."""
    days = (first, beyond)
    return _of_totals(connection, "day", "day >= ? AND day < ?", days, each, filters)


def _of_totals(
    connection: sqlite3.Connection,
    period: str,
    condition: str,
    values: tuple[int, ...],
    each: str | None,
    filters: Filters,
) -> list[WindowSum]:
    """Add up totals, period by period; those of days say when the day began."""
    names = (each, *(name for name, _ in filters))
    table = f"{period}_totals" + ("" if "user" in names else "_without_user")
    rows = connection.execute(
        f"SELECT {each or 'NULL'} AS name, {period} * {DAY_MS}, "  # noqa: S608 - known names
        f"{SPENT_IN_TOTALS} FROM {table} WHERE {condition}"
        + "".join(f" AND {column} = ?" for column, _ in filters)
        + f" GROUP BY {period}, name HAVING sum(requests) ORDER BY {period}",
        (*values, *(value for _, value in filters)),
    )
    # In totals an empty name stands for none.
    return [WindowSum(name or None, *amounts) for name, *amounts in rows]


def _together(at_ms: int, found: list[WindowSum]) -> list[WindowSum]:
    """Add up what is of the same name."""
    sums: dict[str | None, list[int]] = {}
    for item in found:
        known = sums.get(item.name, [0, 0, 0, 0])
        sums[item.name] = [a + b for a, b in zip(known, _amounts(item), strict=True)]
    return [WindowSum(name, at_ms, *amounts) for name, amounts in sums.items()]


def _amounts(item: WindowSum) -> tuple[int, int, int, int]:
    return item.nanodollars, item.calls, item.requests, item.tokens


def key_sums(
    connection: sqlite3.Connection, *, deployment: str, key: str | None, since_ms: int
) -> tuple[int, int]:
    """Return the requests sent to a deployment with one key since then, and their tokens.

    Free or not: a provider counts all of them against its free tier.
    """
    (requests, tokens) = connection.execute(
        f"SELECT ifnull(sum(sent), 0), ifnull({TOKENS}, 0) "  # noqa: S608 - the constant above
        "FROM attempts WHERE started_ms >= ? AND deployment = ? AND key IS ?",
        (since_ms, deployment, key),
    ).fetchone()
    return requests, tokens
