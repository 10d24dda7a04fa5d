"""What was spent in a stretch of time, to the millisecond: counters begin with it.

Rules of this file: pure functions on a connection that may only read. Every request counts when it
began, and a call with its first one, as holds do. Simulated ones count too: a counter that is
filled as they go must be found as full after a restart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

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
    each: str | None = None,
    filters: Iterable[tuple[str, str]] = (),
    bucket_ms: int | None = None,
) -> list[WindowSum]:
    """Add up what began from `since_ms` on, in the order of time.

    It is told apart by the names of `each`, and by stretches of `bucket_ms` of the clock; without
    these there is one. ValueError for a name that nothing is counted by.
    """
    filters = tuple(filters)
    columns = [name for name, _ in filters]
    for name in (each, *columns):
        if name is not None and name not in COLUMNS:
            raise ValueError(f"nothing is counted by {name!r}")
    at_ms = f"{since_ms:d}" if bucket_ms is None else f"started_ms / {bucket_ms:d} * {bucket_ms:d}"
    rows = connection.execute(
        f"SELECT {each or 'NULL'} AS name, {at_ms} AS at_ms, {SPENT} "  # noqa: S608 - known names
        "FROM attempts WHERE started_ms >= ?"
        + "".join(f" AND {column} = ?" for column in columns)
        + " GROUP BY name, at_ms ORDER BY at_ms",
        (since_ms, *(value for _, value in filters)),
    )
    return [WindowSum(*row) for row in rows]


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
