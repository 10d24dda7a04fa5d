"""The price list of genai-prices: `data.json`, or `data_slim.json`.

Rules of this file: pure, see `price_lists`. The file lists providers, each with its models, their
rules of names, and their prices, some of them dated; figures are dollars per million tokens. Prices
for batches and other variants are not ours.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct, field, structs

from routerd.models.price import ListedPrice, LongContextPrice, PriceChange
from routerd.models.price_lists import FoundPrice, nanodollars, read_as

__all__ = ["GenaiPrices"]

# The first one that is there.
FIGURES: Final = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cache_read": ("cache_read_mtok",),
    "cache_write": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_long": ("cache_write_1h_mtok",),
    "reasoning": ("output_reasoning_mtok",),
}
PER_THOUSAND_QUERIES: Final = "web_searches_kcount"
PER_THOUSAND_REQUESTS: Final = "requests_kcount"
# From dollars per thousand to dollars apiece.
THOUSANDTH: Final = -3
# What may follow a name without making it another model's: a date, or nothing.
SAME_MODEL: Final = re.compile(r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d|latest))?")


class _Tier(Struct):
    """What all tokens cost once the input is above `start` tokens."""

    start: Annotated[int, Meta(ge=1)]
    price: Decimal


class _Tiered(Struct):
    """A figure that depends on the length of the input."""

    base: Decimal
    tiers: list[_Tier]


Figures = dict[str, Decimal | _Tiered | None]


class _Constraint(Struct):
    """When prices hold; without a date it is a time of day."""

    start_date: date | None = None


class _Dated(Struct):
    """Prices, and from when on; the last that hold count, and if none do the first of all."""

    prices: Figures
    constraint: _Constraint | None = None


class _Rule(Struct):
    """Which names a model goes by: one of these. A rule of another kind fits nothing."""

    any_of: list[_Rule] = field(default_factory=list, name="or")
    all_of: list[_Rule] = field(default_factory=list, name="and")
    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = None


class _Model(Struct):
    """One model, read further when it is the one that is asked for."""

    match: Raw
    prices: Raw


class _Provider(Struct):
    id: str
    models: list[_Model]


class _WithUnits(Struct):
    """The newer form of the file."""

    providers: list[_Provider]


class GenaiPrices:
    """The list, by provider."""

    name = "genai-prices"

    def __init__(self, data: bytes) -> None:
        """Read the file; ValueError where it is not this list."""
        if data.lstrip().startswith(b"["):
            providers = read_as(data, list[_Provider])
        else:
            providers = read_as(data, _WithUnits).providers
        if not providers:
            raise ValueError("no provider is in it")
        self._models = {provider.id: provider.models for provider in providers}

    def find(self, provider: str, model: str, today: date) -> FoundPrice | None:
        """Return the price of the first model whose rules fit the name."""
        name = model.lower()
        for entry in self._models.get(provider, ()):
            if _goes_by(entry, name):
                return _found(_dated(entry.prices), today)
        return None


def _goes_by(entry: _Model, name: str) -> bool:
    try:
        return _fits(read_as(entry.match, _Rule), name)
    except (ValueError, re.error):
        # A rule that nobody here understands is another model's trouble.
        return False


def _fits(rule: _Rule, name: str) -> bool:
    """Say whether a rule fits a name in lower case."""
    if rule.any_of or rule.all_of:
        return any(_fits(inner, name) for inner in rule.any_of) or (
            bool(rule.all_of) and all(_fits(inner, name) for inner in rule.all_of)
        )
    if rule.starts_with is not None:
        # Stricter than the list's own reader: claude-opus-5 must not price claude-opus-5-5.
        rest = name.removeprefix(rule.starts_with.lower())
        return rest != name and SAME_MODEL.fullmatch(rest) is not None
    return (
        (rule.equals is not None and name == rule.equals.lower())
        or (rule.ends_with is not None and name.endswith(rule.ends_with.lower()))
        or (rule.contains is not None and rule.contains.lower() in name)
        or (rule.regex is not None and re.search(rule.regex, name) is not None)
    )


def _dated(prices: Raw) -> list[_Dated]:
    if bytes(prices).lstrip().startswith(b"["):
        return read_as(prices, list[_Dated])
    return [_Dated(read_as(prices, Figures))]


def _found(dated: list[_Dated], today: date) -> FoundPrice | None:
    starts = [item.constraint.start_date for item in dated if item.constraint is not None]
    if None in starts:
        raise ValueError("it depends on the time of day, which a price here cannot say")
    now = _listed(_held(dated, today))
    if now is None:
        return None
    days = sorted({start for start in starts if start is not None and start > today})
    announced = [(day, _listed(_held(dated, day)) or ListedPrice()) for day in days]
    return FoundPrice(
        now, tuple(PriceChange(since=day, **structs.asdict(listed)) for day, listed in announced)
    )


def _held(dated: list[_Dated], day: date) -> Figures:
    """Return the prices of a day."""
    for item in reversed(dated):
        start = item.constraint.start_date if item.constraint is not None else None
        if start is None or start <= day:
            return item.prices
    return dated[0].prices if dated else {}


def _listed(prices: Figures) -> ListedPrice | None:
    """Convert one set of prices, None where it has neither input nor output."""
    if prices.get(PER_THOUSAND_REQUESTS):
        raise ValueError("each request is charged too, which a price here cannot say")
    figures = {
        name: next((prices[key] for key in keys if prices.get(key) is not None), None)
        for name, keys in FIGURES.items()
    }
    if figures["input"] is None and figures["output"] is None:
        return None
    queries = prices.get(PER_THOUSAND_QUERIES)
    return ListedPrice(
        **{name: nanodollars(_base(figure)) for name, figure in figures.items()},
        long_context=_long_context(figures),
        per_query=nanodollars(_base(queries), THOUSANDTH),
    )


def _long_context(figures: Figures) -> LongContextPrice | None:
    """Convert the tier; what has none costs the same above it."""
    tiers = {name: item.tiers for name, item in figures.items() if isinstance(item, _Tiered)}
    starts = {tier.start for listed in tiers.values() for tier in listed}
    if len(starts) > 1:
        raise ValueError(f"{len(starts)} long-context tiers, and a price here has one")
    if not starts:
        return None
    return LongContextPrice(
        above=starts.pop(),
        **{
            name: nanodollars(tiers[name][0].price if tiers.get(name) else _base(figure))
            for name, figure in figures.items()
        },
    )


def _base(figure: Decimal | _Tiered | None) -> Decimal | None:
    return figure.base if isinstance(figure, _Tiered) else figure
