"""What the rows of every export are turned into, and the ones that make no sense.

Rules of this file: pure. Amounts pass through no floating point and are not rounded here. What
makes no sense is named, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final, Literal

from msgspec import Struct

__all__ = [
    "Amounts",
    "Export",
    "Kind",
    "OddRow",
    "Reading",
    "amount_of",
    "count_of",
    "day_of",
    "object_of",
]

# More digits than any amount of money has; they would only take time.
MAX_DIGITS: Final = 50

Kind = Literal["costs", "usage"]


class OddRow(Exception):  # noqa: N818 - it says what was found
    """Something in an export makes no sense."""


class Amounts(Struct, frozen=True, kw_only=True):
    """One row of an export, exact; `model` and `item` are those of `InvoiceLine`."""

    day: date
    model: str
    item: str = ""
    dollars: Fraction | None = None
    counts: dict[str, int] = {}


class Export(Struct, frozen=True, kw_only=True):
    """A file that was read: `first_day` and `last_day` are the days it is about, both included.

    `days` are those that it mentions; `every_day` says that such a file mentions all. `unread`
    names each row that makes no sense, `notes` what else is to be known.
    """

    vendor: str
    kind: Kind
    amounts: tuple[Amounts, ...]
    first_day: date | None
    last_day: date | None
    days: frozenset[date]
    every_day: bool
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Reading:
    """Collects what one file says, row by row."""

    def __init__(self, vendor: str, kind: Kind) -> None:
        self.vendor = vendor
        self.kind = kind
        self.notes: list[str] = []
        self._amounts: list[Amounts] = []
        self._days: set[date] = set()
        self._unread: list[str] = []

    def about(self, day: date) -> None:
        """Take note of a day that the file is about, be there anything on it or not."""
        self._days.add(day)

    def add(self, amounts: Amounts) -> None:
        """Take one row."""
        self._days.add(amounts.day)
        self._amounts.append(amounts)

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Name a row that makes no sense instead of failing on it."""
        try:
            yield
        except OddRow as error:
            self._unread.append(f"{name}: {error}")

    def export(self, *, every_day: bool) -> Export:
        """Return what was read; `every_day` says that such a file mentions all days."""
        return Export(
            vendor=self.vendor,
            kind=self.kind,
            amounts=tuple(self._amounts),
            first_day=min(self._days, default=None),
            last_day=max(self._days, default=None),
            days=frozenset(self._days),
            every_day=every_day,
            unread=tuple(self._unread),
            notes=tuple(self.notes),
        )


def object_of(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object of JSON, an empty one where there is none; OddRow where it is another."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OddRow(f"{name} is no object")
    return value


def amount_of(value: Any) -> Fraction:
    """Read an amount of money as it stands in JSON or CSV; OddRow where it is none."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise OddRow(f"{value!r} is no amount") from None
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or max(abs(exponent), amount.adjusted()) > MAX_DIGITS:
        raise OddRow(f"{value!r} is no amount")
    return Fraction(amount)


def count_of(row: Mapping[str, Any], name: str) -> int | None:
    """Read a number of tokens or requests, None where there is none; OddRow where it is odd."""
    value = row.get(name)
    if value is None or value == "":
        return None
    count = amount_of(value)
    if count.denominator != 1 or count < 0:
        raise OddRow(f"{name} is {value!r}")
    return int(count)


def day_of(value: Any) -> date:
    """Read a day of UTC from seconds since the epoch or from a date or time of ISO 8601."""
    try:
        if isinstance(value, str) and not value.isdigit():
            time = datetime.fromisoformat(value)
            return (time.astimezone(UTC) if time.tzinfo is not None else time).date()
        return datetime.fromtimestamp(int(value), UTC).date()
    except (TypeError, ValueError, OverflowError, OSError):
        raise OddRow(f"{value!r} is no time") from None
