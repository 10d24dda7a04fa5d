"""What a deployment costs: its rates, when they change, and what a contract takes off them.

Rules of this file: data and its checks, no arithmetic (that is `pricing`). Rates are whole
nanodollars; one that is not known is None, never 0. A number that was typed in another unit is
refused wherever that can be seen.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, Struct

from routerd.models.amounts import NANODOLLARS_PER_DOLLAR

__all__ = [
    "HUNDREDFOLD",
    "PARTS",
    "RATES",
    "SOLD_PER",
    "ListedPrice",
    "LongContextPrice",
    "Price",
    "PriceChange",
    "Rates",
]

# A price this many times another of the same thing was typed in another unit.
HUNDREDFOLD: Final = 100
# A discount is told in parts per million.
PARTS: Final = 1_000_000
# What is not sold by the million tokens.
SOLD_PER: Final = {"per_query": "query", "per_hour": "hour"}

Rate = Annotated[
    int, Meta(ge=0, description="Nanodollars per million tokens. None: not known. 0: free.")
]
QueryRate = Annotated[
    int, Meta(ge=0, description="Nanodollars per query. None: not known, or not sold so. 0: free.")
]
HourlyRate = Annotated[
    int, Meta(ge=0, description="Nanodollars per hour of a request's time. None: not sold so.")
]


class Rates(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What each bucket of tokens costs.

    `cache_write` is for the shortest lifetime a vendor offers, `cache_write_long` for the longer
    one (an hour at Anthropic, twelve at OpenAI). `reasoning` is for output that is not shown, None
    where it costs what all output costs.
    """

    input: Rate | None = None
    output: Rate | None = None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_long: Rate | None = None
    reasoning: Rate | None = None

    def __post_init__(self) -> None:
        for name in RATES:
            _check_unit(self, name, 100_000, 10_000 * NANODOLLARS_PER_DOLLAR)


# Without what a subclass adds.
RATES: Final = Rates.__struct_fields__


class LongContextPrice(Rates, frozen=True, kw_only=True):
    """The price of a whole call whose input, cached or not, is above `above` tokens."""

    above: Annotated[int, Meta(ge=1)]


class ListedPrice(Rates, frozen=True, kw_only=True):
    """Everything a price list says of one deployment on one day.

    `per_query` is for searches and the like that are sold by the piece, `per_hour` for servers of
    one's own.
    """

    long_context: LongContextPrice | None = None
    per_query: QueryRate | None = None
    per_hour: HourlyRate | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_unit(self, "per_query", 1_000, NANODOLLARS_PER_DOLLAR)
        _check_unit(self, "per_hour", 100_000, 10_000 * NANODOLLARS_PER_DOLLAR)


class PriceChange(ListedPrice, frozen=True, kw_only=True):
    """The whole price from the beginning of a day (UTC) on; what it leaves out is not known."""

    since: date


class Price(ListedPrice, frozen=True, kw_only=True):
    """What a deployment costs, and who says so.

    `discount_ppm` parts of a million are taken off everything. `changes` are in the order of their
    days; until the first one the price is what stands beside them.
    """

    source: str
    discount_ppm: Annotated[int, Meta(ge=0, lt=PARTS)] = 0
    changes: tuple[PriceChange, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.discount_ppm < PARTS:
            raise ValueError(f"`discount_ppm` is {self.discount_ppm}; expected 0 to {PARTS - 1}")
        for earlier, later in pairwise(self.changes):
            if later.since <= earlier.since:
                raise ValueError(f"`changes` has {later.since} behind {earlier.since}")
        for before, after in pairwise((self, *self.changes)):
            _check_change(before, after)

    def at(self, day: date) -> Price:
        """Return the price of a day (UTC)."""
        current: PriceChange | None = None
        for change in self.changes:
            if change.since > day:
                break
            current = change
        if current is None:
            return self
        listed = {name: getattr(current, name) for name in ListedPrice.__struct_fields__}
        return Price(source=self.source, discount_ppm=self.discount_ppm, **listed)


def _check_unit(rates: Struct, name: str, lowest: int, highest: int) -> None:
    """Refuse what was typed in another unit: dollars, cents, or per token."""
    rate = getattr(rates, name)
    if rate and not lowest <= rate <= highest:
        sold_per = SOLD_PER.get(name, "million tokens")
        raise ValueError(
            f"`{name}` is {rate}; expected nanodollars per {sold_per}: "
            f"1 dollar per {sold_per} is {NANODOLLARS_PER_DOLLAR}"
        )


def _check_change(before: ListedPrice, after: ListedPrice) -> None:
    """Refuse a change that is one of the unit, not of the price."""
    for name in (*RATES, *SOLD_PER):
        old, new = getattr(before, name), getattr(after, name)
        if old and new and max(old, new) >= HUNDREDFOLD * min(old, new):
            raise ValueError(f"`changes` has {name} = {new} after {old}: a hundredfold apart")
