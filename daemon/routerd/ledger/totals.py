"""What is summed up by day and by month, as the rows come in.

Rules of this file: increments of one transaction are merged before any of them is written. An
attempt counts on its own day, under its own model and provider; what no request was sent for counts
as its record says. `calls` and `refused` together are the calls there were.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from routerd.domain import Attempt, Record
from routerd.ledger.rows import first_sent, started_ms
from routerd.ledger.schema import DIMENSIONS, SUMS

__all__ = ["ADD_TO_DAYS", "ADD_TO_MONTHS", "DAY_MS", "Totals", "month_of"]

DAY_MS: Final = 86_400_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Where each of `SUMS` stands.
(
    CALLS,
    CACHED,
    REFUSED,
    REQUESTS,
    INPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_LONG,
    OUTPUT,
    REASONING,
    COST,
    ESTIMATED,
    UNKNOWN,
) = range(len(SUMS))
Key = tuple[int | str, ...]


def _upsert(table: str, period: str) -> str:
    names = (period, *DIMENSIONS, *SUMS)
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
    return (
        f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 - only names of the schema
        f"VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO UPDATE SET {added}"
    )


ADD_TO_DAYS: Final = _upsert("day_totals", "day")
ADD_TO_MONTHS: Final = _upsert("month_totals", "month")
ADD_TO_DAYS_WITHOUT_USER: Final = _upsert("day_totals_without_user", "day")
ADD_TO_MONTHS_WITHOUT_USER: Final = _upsert("month_totals_without_user", "month")
# In a key the period comes before the names.
USER: Final = 1 + DIMENSIONS.index("user")


@lru_cache(maxsize=64)
def month_of(day: int) -> int:
    """Return the month of a day, counted from the epoch, as 202611."""
    date = EPOCH + timedelta(days=day)
    return date.year * 100 + date.month


class Totals:
    """Increments of the totals of days and months."""

    def __init__(self) -> None:
        self._days: dict[Key, list[int]] = {}

    def add(self, record: Record) -> None:
        """Add a call that is new, with all its attempts."""
        for number in range(1, len(record.attempts) + 1):
            self.add_attempt(record, number)
        self.add_call(record)

    def add_attempt(self, record: Record, number: int) -> None:
        """Add one attempt of a call."""
        attempt = record.attempts[number - 1]
        cost, usage = attempt.cost_nanodollars, attempt.usage
        if not (attempt.sent or cost or usage):
            return  # what never left would only be a row of zeros
        sums = self._sums(record, attempt, started_ms(record, attempt))
        sums[CALLS] += number == first_sent(record)
        sums[REQUESTS] += attempt.sent
        if usage is not None:
            sums[INPUT] += usage.input_tokens
            sums[CACHE_READ] += usage.cache_read_tokens
            sums[CACHE_WRITE] += usage.cache_write_tokens
            sums[CACHE_WRITE_LONG] += usage.cache_write_long_tokens
            sums[OUTPUT] += usage.output_tokens
            sums[REASONING] += usage.reasoning_tokens or 0
        if cost is not None:
            sums[COST] += cost
            sums[ESTIMATED] += cost if attempt.cost_basis == "estimated" else 0
        if cost is None or attempt.cost_basis == "unknown":
            sums[UNKNOWN] += attempt.sent

    def add_call(self, record: Record, times: int = 1) -> None:
        """Add a call that no request was sent for; `times` is -1 where it is replaced."""
        if first_sent(record):
            return
        sums = self._sums(record, record, record.received_at_ns // 1_000_000)
        sums[CALLS] += times * record.cached
        sums[CACHED] += times * record.cached
        sums[REFUSED] += times * (not record.cached)

    def write(self, connection: sqlite3.Connection) -> None:
        """Add everything to what the tables hold."""
        days = self._days
        months = _merged(days, lambda key: (month_of(int(key[0])), *key[1:]))
        for statement, sums in (
            (ADD_TO_DAYS, days),
            (ADD_TO_MONTHS, months),
            (ADD_TO_DAYS_WITHOUT_USER, _merged(days, _without_user)),
            (ADD_TO_MONTHS_WITHOUT_USER, _merged(months, _without_user)),
        ):
            connection.executemany(statement, [(*key, *values) for key, values in sums.items()])

    def _sums(self, record: Record, answered: Attempt | Record, at_ms: int) -> list[int]:
        """Return the sums of a call's names, of who answered, and of a day."""
        key = (
            at_ms // DAY_MS,
            record.tenant or "",
            answered.model,
            answered.provider,
            record.feature or "",
            record.task or "",
            record.team or "",
            record.agent or "",
            record.user or "",
            record.target,
            (record.plan.model_class if record.plan is not None else None) or "",
            answered.deployment,
            int(answered.simulated),
        )
        sums = self._days.get(key)
        if sums is None:
            sums = self._days[key] = [0] * len(SUMS)
        return sums


def _merged(sums: dict[Key, list[int]], change: Callable[[Key], Key]) -> dict[Key, list[int]]:
    """Return the same sums by other keys."""
    merged: dict[Key, list[int]] = {}
    for key, values in sums.items():
        changed = change(key)
        known = merged.get(changed)
        merged[changed] = (
            values if known is None else [a + b for a, b in zip(known, values, strict=True)]
        )
    return merged


def _without_user(key: Key) -> Key:
    return (*key[:USER], "", *key[USER + 1 :])
