"""Which totals are meant, and their sums by any names, over days or months.

Rules of this file: pure functions on a connection that may only read. Months are read where they
will do. Names that reach a statement are those of the schema; values are bound.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from routerd.ledger.schema import DIMENSIONS, SUMS
from routerd.ledger.totals import month_of

__all__ = ["EPOCH", "NAMES", "PERIODS", "Group", "Selection", "missing_days", "sums_of", "users_of"]

# What people ask by, and the column that holds it.
NAMES: Final = {
    **{column: column for column in DIMENSIONS if column not in ("model_class", "simulated")},
    "class": "model_class",
}
PERIODS: Final = ("day", "month")
EPOCH: Final = date(1970, 1, 1)
# Grouped by the beginning of their key, rows come in order and need not be sorted. Further along
# there are too many groups for that to pay.
ORDERED: Final = DIMENSIONS[:4]
# Nearly always 0: looking is cheaper than adding.
MOSTLY_ZERO: Final = (
    "cached",
    "refused",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "estimated_nanodollars",
    "unknown_requests",
)
ADDED_UP: Final = ", ".join(
    f"ifnull(sum({name}) FILTER (WHERE {name}), 0)" if name in MOSTLY_ZERO else f"sum({name})"
    for name in SUMS
)
MONTH_OF_DAY: Final = "CAST(strftime('%Y%m', day * 86400, 'unixepoch') AS INTEGER)"

# The values of the names that were asked for, in their order.
Group = tuple[str, ...]


class Selection(Struct, frozen=True, kw_only=True):
    """Which totals are meant, and `by` which names and periods they are told apart.

    A filter lets several values through; '' is for what has no such name. `since` counts, `until`
    no longer does; both are days of UTC. ValueError where something is not possible.
    """

    by: tuple[str, ...] = ()
    filters: dict[str, tuple[str, ...]] = {}
    since: date | None = None
    until: date | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        for names, known in ((self.by, (*NAMES, *PERIODS)), (self.filters, (*NAMES,))):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"nothing is kept by {name!r}; known: {', '.join(sorted(known))}"
                    )
        if len(set(self.by)) < len(self.by):
            raise ValueError("a name stands twice")
        if any(edge is not None and edge < EPOCH for edge in (self.since, self.until)):
            raise ValueError(f"nothing was before {EPOCH}")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError(f"until {self.until} is not after since {self.since}")


class _Source(Struct, frozen=True):
    """The table that answers, with the first and the last of its periods that are meant."""

    period: str
    first: int
    last: int
    with_user: bool

    @property
    def table(self) -> str:
        return f"{self.period}_totals" + ("" if self.with_user else "_without_user")


def sums_of(connection: sqlite3.Connection, selection: Selection) -> dict[Group, list[int]]:
    """Return the sums of every group, in the order of `SUMS`."""
    source = _source(selection)
    columns = _columns(selection)
    where, values = _conditions(selection)
    statement = (
        f"SELECT {', '.join((*columns, ADDED_UP))} FROM {source.table} "  # noqa: S608 - known names
        f"WHERE {source.period} = ? AND {where} GROUP BY {', '.join(columns) or source.period}"
    )
    groups: dict[Group, list[int]] = {}
    # Within one period rows come in the order of the key.
    for period in _periods(connection, source):
        places = [_place(name, columns, source, period) for name in selection.by]
        for row in connection.execute(statement, (period, *values)):
            group = tuple(row[place] if isinstance(place, int) else place for place in places)
            sums, known = row[len(columns) :], groups.get(group)
            groups[group] = (
                list(sums) if known is None else [a + b for a, b in zip(known, sums, strict=True)]
            )
    return groups


def users_of(connection: sqlite3.Connection, selection: Selection) -> dict[Group, int]:
    """Count the users of every group; one who came back is still one."""
    source = _source(selection, of_users=True)
    where, values = _conditions(selection)
    labels = {"day": "day", "month": "month" if source.period == "month" else MONTH_OF_DAY}
    columns = [labels[name] if name in labels else NAMES[name] for name in selection.by]
    rows = connection.execute(
        f"SELECT {''.join(column + ', ' for column in columns)}"  # noqa: S608 - known names
        f"count(DISTINCT user) FROM {source.table} "
        f"WHERE {source.period} BETWEEN ? AND ? AND user <> '' AND {where}"
        + (f" GROUP BY {', '.join(columns)}" if columns else ""),
        (source.first, source.last, *values),
    )
    return {
        tuple(
            _label(name, value) if name in PERIODS else value
            for name, value in zip(selection.by, group, strict=True)
        ): count
        for *group, count in rows
    }


def missing_days(connection: sqlite3.Connection, selection: Selection) -> date | None:
    """Return the first day that is kept where days before it were asked for and are gone."""
    source = _source(selection)
    if source.period == "month":
        return None
    (oldest,) = connection.execute("SELECT min(day) FROM day_totals").fetchone()
    if oldest is None or source.first >= oldest:
        return None
    month = month_of(oldest)
    following = (_date(oldest).replace(day=1) + timedelta(days=32)).replace(day=1)
    counted = "ifnull(sum(calls + refused + requests), 0)"
    (kept,) = connection.execute(
        f"SELECT {counted} FROM day_totals WHERE day < ?",  # noqa: S608 - the constant above
        (_days(following),),
    ).fetchone()
    (there_were,) = connection.execute(
        f"SELECT {counted} FROM month_totals WHERE month <= ?",  # noqa: S608 - the constant above
        (month,),
    ).fetchone()
    return None if kept == there_were else _date(oldest)


def _source(selection: Selection, *, of_users: bool = False) -> _Source:
    """Choose months where they are enough: they are fewer, and kept for ever; users if need be."""
    with_user = of_users or "user" in selection.by or "user" in selection.filters
    since, until = selection.since or EPOCH, selection.until
    first = _days(since)
    last = _days(date.max if until is None else until) - 1
    is_of_days = "day" in selection.by or any(edge.day != 1 for edge in (since, until or EPOCH))
    if is_of_days:
        return _Source("day", first, last, with_user)
    return _Source("month", month_of(first), month_of(last), with_user)


def _columns(selection: Selection) -> list[str]:
    """Return what to group by: what was asked for, or the beginning of the key that holds it."""
    wanted = [NAMES[name] for name in selection.by if name not in PERIODS]
    if wanted and all(column in ORDERED for column in wanted):
        return list(ORDERED[: max(ORDERED.index(column) for column in wanted) + 1])
    return wanted


def _conditions(selection: Selection) -> tuple[str, list[str]]:
    where = ["TRUE" if selection.simulated else "simulated = 0"]
    values: list[str] = []
    for name, allowed in selection.filters.items():
        where.append(f"{NAMES[name]} IN ({', '.join('?' * len(allowed))})")
        values += allowed
    return " AND ".join(where), values


def _periods(connection: sqlite3.Connection, source: _Source) -> Iterator[int]:
    """Return the periods there is anything of."""
    statement = (
        f"SELECT min({source.period}) FROM {source.table} "  # noqa: S608 - known names
        f"WHERE {source.period} BETWEEN ? AND ?"
    )
    following = source.first
    while True:
        (found,) = connection.execute(statement, (following, source.last)).fetchone()
        if found is None:
            return
        yield found
        following = found + 1


def _place(name: str, columns: list[str], source: _Source, period: int) -> int | str:
    """Return where in a row a name stands; for a period its label, the same for all rows."""
    if name not in PERIODS:
        return columns.index(NAMES[name])
    return _label(name, month_of(period) if name == "month" != source.period else period)


def _label(name: str, period: int) -> str:
    if name == "month":
        return f"{period // 100:04}-{period % 100:02}"
    return _date(period).isoformat()


def _date(days: int) -> date:
    return EPOCH + timedelta(days=days)


def _days(day: date) -> int:
    return (day - EPOCH).days
