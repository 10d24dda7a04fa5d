"""What totals must say, added up from records in the plainest way, and what a ledger says."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from routerd.domain import Attempt, Record
from routerd.ledger.schema import DIMENSIONS, SUMS

__all__ = ["by_month", "stored_sums", "sums_of", "without_user"]

Sums = dict[tuple[int | str, ...], dict[str, int]]
DAY_NS = 86_400 * 10**9
TOKENS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def sums_of(records: Iterable[Record]) -> Sums:
    """Return what each day has, without what is nothing but zeros."""
    sums: defaultdict[tuple[int | str, ...], Counter[str]] = defaultdict(Counter)
    for record in records:
        sent = [attempt for attempt in record.attempts if attempt.sent]
        for attempt in record.attempts:
            started_ns = record.received_at_ns + attempt.started_us * 1000
            counter = sums[(started_ns // DAY_NS, *dimensions(record, attempt))]
            counter["calls"] += bool(sent) and attempt is sent[0]
            counter["requests"] += attempt.sent
            unknown = attempt.cost_nanodollars is None or attempt.cost_basis == "unknown"
            counter["unknown_requests"] += attempt.sent and unknown
            counter["cost_nanodollars"] += attempt.cost_nanodollars or 0
            if attempt.cost_basis == "estimated":
                counter["estimated_nanodollars"] += attempt.cost_nanodollars or 0
            for name in TOKENS if attempt.usage is not None else ():
                counter[name] += getattr(attempt.usage, name) or 0
        counter = sums[(record.received_at_ns // DAY_NS, *dimensions(record, record))]
        counter["cached"] += record.cached and not sent
        counter["calls"] += record.cached and not sent
        counter["refused"] += not record.cached and not sent
    return _without_zeros(sums)


def dimensions(record: Record, answered: Record | Attempt) -> list[int | str]:
    """Return the names a call, or one of its attempts, counts under."""
    known: dict[str, str | int | None] = {
        "model_class": record.plan.model_class if record.plan is not None else None,
        "model": answered.model,
        "provider": answered.provider,
        "deployment": answered.deployment,
        "simulated": int(answered.simulated),
    }
    names = [known[name] if name in known else getattr(record, name) for name in DIMENSIONS]
    return ["" if name is None else name for name in names]


def by_month(days: Sums) -> Sums:
    """Return the same by month."""
    sums: defaultdict[tuple[int | str, ...], Counter[str]] = defaultdict(Counter)
    for (day, *names), counts in days.items():
        date = datetime.fromtimestamp(int(day) * 86_400, UTC)
        sums[(int(date.strftime("%Y%m")), *names)] += Counter(counts)
    return _without_zeros(sums)


def without_user(sums: Sums) -> Sums:
    """Return the same with all users together."""
    place = 1 + DIMENSIONS.index("user")
    merged: defaultdict[tuple[int | str, ...], Counter[str]] = defaultdict(Counter)
    for key, counts in sums.items():
        merged[(*key[:place], "", *key[place + 1 :])] += Counter(counts)
    return _without_zeros(merged)


def stored_sums(path: Path, period: str, more: str = "") -> Sums:
    """Return what the totals of days or months in a file say, without what is nothing but zeros."""
    connection = sqlite3.connect(path)
    names = ", ".join((period, *DIMENSIONS, *SUMS))
    rows = connection.execute(f"SELECT {names} FROM {period}_totals{more}").fetchall()
    connection.close()
    length = 1 + len(DIMENSIONS)
    return _without_zeros(
        {row[:length]: dict(zip(SUMS, row[length:], strict=True)) for row in rows}
    )


def _without_zeros(sums: Sums | dict[tuple[int | str, ...], Counter[str]]) -> Sums:
    named: Sums = {}
    for key, counts in sums.items():
        present = {name: count for name, count in counts.items() if count}
        if present:
            named[key] = present
    return named
