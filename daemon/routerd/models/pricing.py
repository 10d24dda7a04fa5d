"""What a call costs, and what a request can cost at most, in whole nanodollars.

Rules of this file: integers alone, no floating point, and one rounding at the very end. A rate that
is not known is None, never 0, and a cost that needs it is None. Nothing here reads a clock or a
file.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from routerd.domain import Usage
from routerd.models.amounts import (
    NANODOLLARS_PER_CENT,
    NANODOLLARS_PER_DOLLAR,
    dollars_to_nanodollars,
    format_cents,
    format_dollars,
)
from routerd.models.price import PARTS, LongContextPrice, Price, PriceChange, Rates

__all__ = [
    "MOST_TOKENS",
    "NANODOLLARS_PER_CENT",
    "NANODOLLARS_PER_DOLLAR",
    "TOKENS_PER_RATE",
    "LongContextPrice",
    "Price",
    "PriceChange",
    "cost",
    "cost_bound",
    "dearest_rates",
    "discounted",
    "dollars_to_nanodollars",
    "format_cents",
    "format_dollars",
    "largest_output",
    "own_price",
]

TOKENS_PER_RATE: Final = 1_000_000
HALF_OF_RATE: Final = TOKENS_PER_RATE // 2
SECONDS_PER_HOUR: Final = 3_600
# What everything is counted in until the end: the parts of a nanodollar that a token, a
# microsecond of an hour and a discount can make.
PARTS_PER_NANODOLLAR: Final = TOKENS_PER_RATE * SECONDS_PER_HOUR * PARTS
# More output than any model writes: the answer where output costs nothing.
MOST_TOKENS: Final = 2**53 - 1
PPM_PER_PERCENT: Final = PARTS // 100


def cost(
    price: Price | None, usage: Usage, *, queries: int = 0, duration_us: int = 0
) -> int | None:
    """Return what a call costs in nanodollars, None where that is not known.

    Everything is summed exactly, the discount is taken off, and the sum is rounded once: half a
    nanodollar up. What was not used needs no rate. Above the long-context threshold the whole call
    is charged at the long rates. Reasoning is part of the output and is charged as that, unless it
    has a rate of its own; what nobody counted as reasoning is none. Counts that make no sense
    (negative ones, more reasoning than output) have no cost.
    """
    if price is None:
        return None
    plain, read = usage.input_tokens, usage.cache_read_tokens
    write, write_long = usage.cache_write_tokens, usage.cache_write_long_tokens
    output = usage.output_tokens
    rates: Rates = price
    tier = price.long_context
    if tier is not None and plain + read + write + write_long > tier.above:
        rates = tier
    total = 0
    if rates.reasoning is not None and usage.reasoning_tokens:
        output -= usage.reasoning_tokens
        if usage.reasoning_tokens < 0 or output < 0:
            return None
        total = usage.reasoning_tokens * rates.reasoning
    counted: tuple[tuple[int, int | None], ...] = ((plain, rates.input), (output, rates.output))
    if read or write or write_long:
        counted += (
            (read, rates.cache_read),
            (write, rates.cache_write),
            (write_long, rates.cache_write_long),
        )
    for tokens, rate in counted:
        if tokens == 0:
            continue
        if rate is None or tokens < 0:
            return None
        total += tokens * rate
    if not (queries or price.per_hour or price.discount_ppm):
        return (total + HALF_OF_RATE) // TOKENS_PER_RATE
    sold = _sold_by_piece_and_hour(price, queries, duration_us)
    return None if sold is None else _rounded(price, total, sold)


def _rounded(price: Price, total: int, sold: int) -> int:
    """Return what tokens and the rest cost together, less the discount."""
    parts = (total * SECONDS_PER_HOUR + sold) * (PARTS - price.discount_ppm)
    return (parts + PARTS_PER_NANODOLLAR // 2) // PARTS_PER_NANODOLLAR


def cost_bound(
    price: Price, *, input_tokens: int, output_tokens: int, queries: int = 0, duration_us: int = 0
) -> int | None:
    """Return what a request costs at most in nanodollars, None where that is not known.

    At most so many tokens go in and come out, of whatever kind: all input is charged at the
    dearest rate of an input bucket, all output at the dearer of output and reasoning, in each tier
    that may apply, and the dearest tier counts. A cache bucket without a rate is left out: a call
    that uses it has no known cost. Rounded up.
    """
    sold = _sold_by_piece_and_hour(price, queries, duration_us)
    if sold is None:
        return None
    most = 0
    for rates, tokens in _tiers(price, input_tokens):
        total = 0
        for count, rate in ((tokens, _dearest_input(rates)), (output_tokens, _output(rates))):
            if count == 0:
                continue
            if rate is None:
                return None
            total += count * rate
        most = max(most, total)
    parts = (most * SECONDS_PER_HOUR + sold) * (PARTS - price.discount_ppm)
    return -(-parts // PARTS_PER_NANODOLLAR)


def dearest_rates(rates: Rates) -> tuple[int, int] | None:
    """Return the dearest rates of input and of output; None where one is not known."""
    input_rate, output_rate = _dearest_input(rates), _output(rates)
    if input_rate is None or output_rate is None:
        return None
    return input_rate, output_rate


def largest_output(
    price: Price, input_tokens: int, nanodollars: int, *, queries: int = 0, duration_us: int = 0
) -> int | None:
    """Return the largest output whose `cost_bound` is within an amount, at most MOST_TOKENS.

    None where there is none: the rest is too dear already, or a rate is not known.
    """
    sold = _sold_by_piece_and_hour(price, queries, duration_us)
    if sold is None:
        return None
    # All quotients are whole: rounding down after each step is rounding down once.
    parts = nanodollars * PARTS_PER_NANODOLLAR // (PARTS - price.discount_ppm)
    room = (parts - sold) // SECONDS_PER_HOUR
    most = MOST_TOKENS
    for rates, tokens in _tiers(price, input_tokens):
        input_rate, output_rate = _dearest_input(rates), _output(rates)
        if output_rate is None or (tokens and input_rate is None):
            return None
        left = room - tokens * (input_rate or 0)
        if left < 0:
            return None
        if output_rate:
            most = min(most, left // output_rate)
    return most


def own_price(
    *,
    input_dollars: float | str | None = None,
    output_dollars: float | str | None = None,
    hourly_dollars: float | str | None = None,
) -> Price:
    """Return what a server of one's own costs: dollars per million tokens, and per hour.

    What is left out costs nothing. The cache has no price of its own there. ValueError where an
    amount is none, or not in this unit.
    """
    rate, output, hourly = (
        0 if dollars is None else dollars_to_nanodollars(str(dollars))
        for dollars in (input_dollars, output_dollars, hourly_dollars)
    )
    return Price(
        source="declared in the configuration",
        input=rate,
        cache_read=rate,
        cache_write=rate,
        cache_write_long=rate,
        output=output,
        per_hour=hourly,
    )


def discounted(price: Price, percent: float | str) -> Price:
    """Return a price with so many percent taken off everything, to four decimals of a percent.

    A price that has a discount of its own keeps that one. ValueError where it is no percentage.
    """
    try:
        # Any decimal number will do: a billionth of a percent is finer than what is refused here.
        parts = dollars_to_nanodollars(str(percent)) * PPM_PER_PERCENT
    except ValueError:
        parts = -1
    ppm, finer = divmod(parts, NANODOLLARS_PER_DOLLAR)
    if finer or not 0 <= ppm < PARTS:
        raise ValueError(f"{percent} is no discount: expected 0 to below 100, to four decimals")
    return structs.replace(price, discount_ppm=ppm) if ppm and not price.discount_ppm else price


def _sold_by_piece_and_hour(price: Price, queries: int, duration_us: int) -> int | None:
    """Return the cost of queries and time, in parts before the discount."""
    if queries < 0 or duration_us < 0 or (queries and price.per_query is None):
        return None
    by_piece = queries * (price.per_query or 0) * TOKENS_PER_RATE * SECONDS_PER_HOUR
    return by_piece + duration_us * (price.per_hour or 0)


def _tiers(price: Price, input_tokens: int) -> list[tuple[Rates, int]]:
    """Return every tier that input of at most so many tokens can be in, with the most of it."""
    long = price.long_context
    if long is None or input_tokens <= long.above:
        return [(price, input_tokens)]
    return [(price, long.above), (long, input_tokens)]


def _dearest_input(rates: Rates) -> int | None:
    if rates.input is None:
        return None
    return max(
        rates.input, rates.cache_read or 0, rates.cache_write or 0, rates.cache_write_long or 0
    )


def _output(rates: Rates) -> int | None:
    return None if rates.output is None else max(rates.output, rates.reasoning or 0)
