"""What public price lists have in common: how a list is asked, and how its figures are read.

Rules of this file: pure. A list is a stranger's file: what makes no sense is a ValueError with the
reason, for the one price it belongs to. What a list does not say is absent, never 0.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

from routerd.models.price import ListedPrice, PriceChange

__all__ = ["FoundPrice", "PriceList", "nanodollars", "read_as"]

Kind = TypeVar("Kind")

# Beyond this many digits before or behind the point no figure is a price.
MOST_DIGITS: Final = 30
NANO: Final = 9


class FoundPrice(Struct, frozen=True):
    """What a list says of one model: its price now, and what is announced."""

    now: ListedPrice
    changes: tuple[PriceChange, ...] = ()


class PriceList(Protocol):
    """A price list that was read."""

    @property
    def name(self) -> str:
        """What the source of its prices is called."""
        ...

    def find(self, provider: str, model: str, today: date) -> FoundPrice | None:
        """Return the price of a provider's model, None where the list knows none.

        ValueError where it says something that is no price, or none that can be told here.
        """
        ...


def read_as(raw: bytes | Raw, kind: type[Kind]) -> Kind:
    """Read JSON as a type, its numbers as they are written; ValueError where it is no such."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def nanodollars(dollars: Decimal | None, shift: int = 0) -> int | None:
    """Convert a figure in dollars, times ten to the power of `shift`; None where there is none.

    Lists are made with floating point, so the last of many digits are noise: what is finer than a
    nanodollar is rounded.
    """
    if dollars is None:
        return None
    if not dollars.is_finite() or abs(dollars.adjusted()) > MOST_DIGITS:
        raise ValueError(f"{dollars} is no amount of dollars")
    return round(dollars.scaleb(NANO + shift))
