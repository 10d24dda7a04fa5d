"""What a call costs, in whole nanodollars.

Rules of this file: integers alone, no floating point. A price is nanodollars per million tokens
(one dollar per million tokens is 1_000_000_000). A rate that is not known is None, never 0, and a
cost that needs it is None. Nothing here reads a clock or a file.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Final

from msgspec import Meta, Struct

from routerd.domain import Usage

__all__ = [
    "NANODOLLARS_PER_CENT",
    "NANODOLLARS_PER_DOLLAR",
    "LongContextPrice",
    "Price",
    "cost",
    "dollars_to_nanodollars",
    "format_cents",
    "format_dollars",
]

NANODOLLARS_PER_DOLLAR: Final = 1_000_000_000
NANODOLLARS_PER_CENT: Final = 10_000_000
TOKENS_PER_RATE: Final = 1_000_000
# More digits than any amount of money has; they would only take time.
MAX_DIGITS: Final = 50
# A rate beyond these was typed in another unit (dollars, cents, or per token). 0 means free.
LOWEST_RATE: Final = 100_000
HIGHEST_RATE: Final = 10_000 * NANODOLLARS_PER_DOLLAR

Rate = Annotated[
    int, Meta(ge=0, description="Nanodollars per million tokens. None: not known. 0: free.")
]


class _Rates(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What each bucket of tokens costs.

    `cache_write` is for the shortest lifetime a vendor offers, `cache_write_long` for the longer
    one (an hour at Anthropic, twelve at OpenAI).
    """

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_long: Rate | None = None

    def __post_init__(self) -> None:
        for name in _Rates.__struct_fields__:
            rate = getattr(self, name)
            if rate and not LOWEST_RATE <= rate <= HIGHEST_RATE:
                raise ValueError(
                    f"`{name}` is {rate}; expected nanodollars per million tokens: "
                    f"1 dollar per million tokens is {NANODOLLARS_PER_DOLLAR}"
                )


class LongContextPrice(_Rates, frozen=True, kw_only=True):
    """The price of a whole call whose input, cached or not, is above `above` tokens."""

    above: Annotated[int, Meta(ge=1)]


class Price(_Rates, frozen=True, kw_only=True):
    """What a deployment costs, and who says so."""

    source: str
    long_context: LongContextPrice | None = None


def cost(price: Price | None, usage: Usage) -> int | None:
    """Return what a call costs in nanodollars, None where that is not known.

    The rates of all buckets are summed exactly and divided once; half a nanodollar is rounded up.
    A bucket without tokens needs no rate. Above the long-context threshold the whole call is
    charged at the long rates. Reasoning is part of the output and is not charged again. Counts
    that make no sense (negative ones) have no cost.
    """
    if price is None:
        return None
    plain, read = usage.input_tokens, usage.cache_read_tokens
    write, write_long = usage.cache_write_tokens, usage.cache_write_long_tokens
    rates: _Rates = price
    tier = price.long_context
    if tier is not None and plain + read + write + write_long > tier.above:
        rates = tier
    total = 0
    for tokens, rate in (
        (plain, rates.input),
        (read, rates.cache_read),
        (write, rates.cache_write),
        (write_long, rates.cache_write_long),
        (usage.output_tokens, rates.output),
    ):
        if tokens == 0:
            continue
        if rate is None or tokens < 0:
            return None
        total += tokens * rate
    return (total + TOKENS_PER_RATE // 2) // TOKENS_PER_RATE


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
