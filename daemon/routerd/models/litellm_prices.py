"""LiteLLM's price list: `model_prices_and_context_window.json`.

Rules of this file: pure, see `price_lists`. The file is one object of models by name, with or
without the provider before it; figures are dollars per token. Prices for batches, for priority and
for other regions are not ours.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Raw, Struct

from routerd.models.price import ListedPrice, LongContextPrice
from routerd.models.price_lists import FoundPrice, nanodollars, read_as

__all__ = ["LiteLLMPrices"]

Entry = dict[str, Raw]

FIGURES: Final = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_long": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
}
TIER: Final = re.compile(rf"(?:{'|'.join(FIGURES.values())})_above_([0-9]{{1,6}})k_tokens")
PER_QUERY: Final = "input_cost_per_query"
PER_REQUEST: Final = "input_cost_per_request"
SEARCHES: Final = "search_context_cost_per_query"
NOTHING: Final = Raw(b"null")
# From dollars per token to dollars per million tokens.
MILLION: Final = 6


class _Owned(Struct):
    """Whose model an entry describes."""

    litellm_provider: str


class LiteLLMPrices:
    """The list, by the names it gives its models."""

    name = "LiteLLM model_prices"

    def __init__(self, data: bytes) -> None:
        """Read the file; ValueError where it is not this list."""
        self._entries = read_as(data, dict[str, Raw])
        if not any(_provider_of(entry) for entry in self._entries.values()):
            raise ValueError("no entry names its `litellm_provider`")

    def find(self, provider: str, model: str, today: date) -> FoundPrice | None:
        """Return the price of a model; both rates 0 mean that nobody entered them."""
        for name in (f"{provider}/{model}", model):
            raw = self._entries.get(name)
            if raw is not None and _provider_of(raw) == provider:
                entry = read_as(raw, Entry)
                break
        else:
            return None
        rates = _rates(entry, "")
        if not rates["input"] and not rates["output"]:
            return None
        if _figure(entry, PER_REQUEST):
            raise ValueError("each request is charged too, which a price here cannot say")
        return FoundPrice(
            ListedPrice(**rates, long_context=_long_context(entry), per_query=_per_query(entry))
        )


def _provider_of(raw: Raw) -> str | None:
    try:
        return read_as(raw, _Owned).litellm_provider
    except ValueError:
        return None


def _figure(entry: Entry, name: str) -> Decimal | None:
    raw = entry.get(name, NOTHING)
    return None if raw == NOTHING else read_as(raw, Decimal)


def _rates(entry: Entry, suffix: str) -> dict[str, int | None]:
    return {
        name: nanodollars(_figure(entry, f"{figure}{suffix}"), MILLION)
        for name, figure in FIGURES.items()
    }


def _long_context(entry: Entry) -> LongContextPrice | None:
    thousands = {found[1] for name in entry if (found := TIER.fullmatch(name))}
    if len(thousands) > 1:
        raise ValueError(f"{len(thousands)} long-context tiers, and a price here has one")
    if not thousands:
        return None
    above = thousands.pop()
    return LongContextPrice(above=int(above) * 1_000, **_rates(entry, f"_above_{above}k_tokens"))


def _per_query(entry: Entry) -> int | None:
    """Return what a query costs, None where that depends on how much it is to read."""
    if PER_QUERY in entry:
        return nanodollars(_figure(entry, PER_QUERY))
    if SEARCHES not in entry:
        return None
    costs = set(read_as(entry[SEARCHES], dict[str, Decimal]).values())
    return nanodollars(costs.pop()) if len(costs) == 1 else None
