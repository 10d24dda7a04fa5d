"""Days, times and amounts as they are typed on the command line.

Rules of this file: pure; ValueError where a text is none, so that argparse says what is wrong. Days
and times are of UTC, money becomes whole nanodollars.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from routerd.models.amounts import dollars_to_nanodollars

__all__ = ["cents", "day", "first_of_this_month", "moment", "month_after"]

MOST_NANODOLLARS = 2**63 - 1
MONTH_CHARACTERS = len("2026-11")


def cents(text: str) -> int:
    """Read an amount of cents; returns nanodollars."""
    amount = dollars_to_nanodollars(text)
    if amount < 0:
        raise ValueError("an amount cannot be negative")
    if amount > MOST_NANODOLLARS:
        raise ValueError("that is more than the ledger can hold")
    return amount // 100


def day(text: str) -> date:
    """Read 2026-11-20, or 2026-11 as the first day of that month."""
    return date.fromisoformat(f"{text}-01" if len(text) == MONTH_CHARACTERS else text)


def moment(text: str) -> int:
    """Read a day, a month or a time of ISO 8601; returns milliseconds since the epoch."""
    if len(text) == MONTH_CHARACTERS:
        text += "-01"
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return int(time.timestamp() * 1000)


def first_of_this_month() -> date:
    """Return the first day of the month that it is."""
    return datetime.now(UTC).date().replace(day=1)


def month_after(first: date) -> date:
    """Return the first day of the following month."""
    return (first.replace(day=1) + timedelta(days=32)).replace(day=1)
