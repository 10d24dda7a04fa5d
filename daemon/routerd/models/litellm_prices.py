"""LiteLLM's price list: `model_prices_and_context_window.json`.

Rules of this file: pure, see `price_lists`. The file is one object of models by name, with or
without the provider before it; figures are dollars per token. Prices for batches, for priority and
for other regions are not ours.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

from msgspec import Raw, Struct

from routerd.models.price import ListedPrice, LongContextPrice
from routerd.models.price_lists import FoundPrice, nanodollars, read_as

__all__ = ["LiteLLMPrices"]

Entry = dict[str, Raw]

# The first one that is there: vendors keep what was written for long for one hour or for twelve.
FIGURES: Final = {
    "input": ("input_cost_per_token",),
    "output": ("output_cost_per_token",),
    "cache_read": ("cache_read_input_token_cost",),
    "cache_write": ("cache_creation_input_token_cost",),
    "cache_write_long": (
        "cache_creation_input_token_cost_above_1hr",
        "cache_creation_input_token_cost_above_12hr",
    ),
    "reasoning": ("output_cost_per_reasoning_token",),
}
NAMES: Final = "|".join(name for names in FIGURES.values() for name in names)
TIER: Final = re.compile(rf"(?:{NAMES})_above_([0-9]{{1,6}})k_tokens")
# Another way to write tiers: rates of their own, each with the input tokens it is for.
RANGES: Final = "tiered_pricing"
# More than any model reads.
MOST_TOKENS: Final = 1_000_000_000
OFF_PEAK: Final = "off_peak_pricing"
PER_QUERY: Final = "input_cost_per_query"
PER_REQUEST: Final = "input_cost_per_request"
SEARCHES: Final = "search_context_cost_per_query"
NOTHING: Final = Raw(b"null")
# From dollars per token to dollars per million tokens.
MILLION: Final = 6


class _Owned(Struct):
    """Whose model an entry describes."""

    litellm_provider: str


class _Range(Struct):
    """From how many input tokens on a tier holds, and up to how many."""

    range: tuple[Decimal, Decimal]


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
        tiers = _tiers(entry)
        rates = tiers.pop(0)
        if not rates["input"] and not rates["output"]:
            return None
        if len(tiers) > 1:
            raise ValueError(f"{len(tiers)} long-context tiers, and a price here has one")
        if _figure(entry, PER_REQUEST):
            raise ValueError("each request is charged too, which a price here cannot say")
        if entry.get(OFF_PEAK, NOTHING) != NOTHING:
            raise ValueError("it depends on the time of day, which a price here cannot say")
        tier = LongContextPrice(**tiers[0]) if tiers else None
        return FoundPrice(ListedPrice(**rates, long_context=tier, per_query=_per_query(entry)))


def _provider_of(raw: Raw) -> str | None:
    try:
        return read_as(raw, _Owned).litellm_provider
    except ValueError:
        return None


def _figure(entry: Entry, name: str) -> Decimal | None:
    raw = entry.get(name, NOTHING)
    return None if raw == NOTHING else read_as(raw, Decimal)


def _tiers(entry: Entry) -> list[dict[str, Any]]:
    """Return the rates, and behind them those of every long-context tier, each with `above`."""
    if entry.get(RANGES, NOTHING) != NOTHING:
        return _ranges(read_as(entry[RANGES], list[Raw])) or [_rates(entry)]
    thousands = {int(found[1]) for name in entry if (found := TIER.fullmatch(name))}
    long = [
        {"above": above * 1_000, **_rates(entry, f"_above_{above}k_tokens")}
        for above in sorted(thousands)
    ]
    return [_rates(entry), *long]


def _ranges(listed: list[Raw]) -> list[dict[str, Any]]:
    """Read tiers that are listed one by one; none where the list is for something else."""
    tiers: list[dict[str, Any]] = []
    for raw in listed:
        tier = read_as(raw, Entry)
        if "range" not in tier:
            continue
        start = read_as(raw, _Range).range[0]
        is_count = start.is_finite() and 0 <= start < MOST_TOKENS and start == int(start)
        if not is_count or bool(start) != bool(tiers):
            raise ValueError(f"a tier begins at {start} tokens")
        tiers.append({"above": int(start), **_rates(tier)} if tiers else _rates(tier))
    return tiers


def _rates(entry: Entry, suffix: str = "") -> dict[str, int | None]:
    rates: dict[str, int | None] = {}
    for rate, names in FIGURES.items():
        figures = (_figure(entry, f"{name}{suffix}") for name in names)
        known = next((figure for figure in figures if figure is not None), None)
        rates[rate] = nanodollars(known, MILLION)
    return rates


def _per_query(entry: Entry) -> int | None:
    """Return what a query costs, None where that depends on how much it is to read."""
    if PER_QUERY in entry:
        return nanodollars(_figure(entry, PER_QUERY))
    if SEARCHES not in entry:
        return None
    costs = set(read_as(entry[SEARCHES], dict[str, Decimal]).values())
    return nanodollars(costs.pop()) if len(costs) == 1 else None
