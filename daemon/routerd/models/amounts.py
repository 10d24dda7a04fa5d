"""Amounts of money as people write them, and as they are shown.

Rules of this file: money is whole nanodollars and passes through no floating point. Pure.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

__all__ = [
    "NANODOLLARS_PER_CENT",
    "NANODOLLARS_PER_DOLLAR",
    "dollars_to_nanodollars",
    "format_cents",
    "format_dollars",
]

NANODOLLARS_PER_DOLLAR: Final = 1_000_000_000
NANODOLLARS_PER_CENT: Final = 10_000_000
# More digits than any amount of money has; they would only take time.
MAX_DIGITS: Final = 50


def dollars_to_nanodollars(dollars: str | Decimal) -> int:
    """Convert dollars exactly; ValueError where they are no amount, or finer than a nanodollar."""
    try:
        amount = Decimal(dollars)
    except InvalidOperation:
        raise ValueError(f"{dollars!r} is not an amount of dollars") from None
    sign, digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int) or max(len(digits), abs(exponent)) > MAX_DIGITS:
        raise ValueError(f"{dollars!r} is not an amount of dollars")
    # Not through Decimal arithmetic: that rounds to the precision of the context.
    scale: int = 10**MAX_DIGITS
    step: int = 10 ** (MAX_DIGITS + exponent)
    number, rest = divmod(int("".join(map(str, digits))) * step * NANODOLLARS_PER_DOLLAR, scale)
    if rest:
        raise ValueError(f"{dollars} dollars is finer than a nanodollar")
    return -number if sign else number


def format_cents(nanodollars: int) -> str:
    """Write an amount in cents: two decimals, or three significant digits below one cent.

    Half is rounded away from zero, and what is not zero is never shown as zero: `12.35¢`,
    `0.0123¢`, `0.0000001¢`.
    """
    return f"{_format(nanodollars, NANODOLLARS_PER_CENT)}¢"


def format_dollars(nanodollars: int) -> str:
    """Write an amount in dollars, by the same rule: `$12.50`, `$0.075`."""
    sign = "-" if nanodollars < 0 else ""
    return f"{sign}${_format(abs(nanodollars), NANODOLLARS_PER_DOLLAR)}"


def _format(nanodollars: int, unit: int) -> str:
    """Write a multiple of `unit`, a power of ten."""
    amount = abs(nanodollars)
    decimals = 2
    if 0 < amount < unit:
        # Leading zeros after the point, then three digits.
        decimals = len(str(unit)) - 1 - len(str(amount)) + 3
    finest = len(str(unit)) - 1
    decimals = min(decimals, finest)
    step = 10 ** (finest - decimals)
    whole, fraction = divmod((amount + step // 2) // step, 10**decimals)
    digits = f"{fraction:0{decimals}d}".rstrip("0").ljust(2, "0")
    sign = "-" if nanodollars < 0 else ""
    return f"{sign}{whole}.{digits}"
