"""An invoice: the exports of one provider, summed up by day and model.

Rules of this file: pure. An amount is rounded once, when a day and model is summed up: half a
nanodollar up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from msgspec import Struct

from routerd.ledger.exports.lines import Export, Kind
from routerd.models.amounts import NANODOLLARS_PER_CENT, NANODOLLARS_PER_DOLLAR

__all__ = ["BUCKETS", "Invoice", "InvoiceLine", "MixedExports", "invoice_of"]

BUCKETS: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
)

# Ten years: a longer export has a day in it that was mistyped.
MOST_DAYS: Final = 3653

Key = tuple[date, str, str]


class MixedExports(Exception):  # noqa: N818 - it says what was found
    """These exports make no invoice together."""


class InvoiceLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider says of one model on one day of UTC.

    `model` is the provider's name for it, '' where the line is for something else: then `item` says
    what for, and '' means that the export does not tell models apart. None: it does not say.
    """

    day: date
    model: str
    item: str = ""
    nanodollars: int | None = None
    requests: int | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None
    output_tokens: int | None = None


class Invoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one provider says of all days from `first_day` to `last_day`, both meant.

    `left_out` are days between them of which nothing is known: a page of the export is missing.
    `provider` is its name in the ledger, `source` that of the file. `has_amounts` and `has_counts`
    say whether there are costs and tokens in it: what has no line is then 0. Amounts that differ by
    no more than `tolerance_nanodollars` on a day and model agree.
    """

    provider: str
    lines: list[InvoiceLine]
    first_day: date
    last_day: date
    has_amounts: bool
    has_counts: bool
    left_out: list[date] = []
    source: str = ""
    tolerance_nanodollars: int = NANODOLLARS_PER_CENT


def invoice_of(
    exports: Sequence[Export],
    *,
    provider: str | None = None,
    source: str = "",
    first_day: date | None = None,
    last_day: date | None = None,
    tolerance_nanodollars: int = NANODOLLARS_PER_CENT,
) -> Invoice:
    """Sum exports up, for the days that every kind of export is about.

    Of these only from the first to the last day that is asked for.

    MixedExports where they are of several providers, about no day in common, or two about the same.
    """
    vendors = {export.vendor for export in exports}
    if len(vendors) != 1:
        raise MixedExports(f"they are of several providers: {', '.join(sorted(vendors))}")
    kinds: set[Kind] = {export.kind for export in exports}
    _refuse_repeated(exports)
    first, last = _edge(exports, 0), _edge(exports, -1)
    if first is None or last is None:
        raise MixedExports("there is no day that they are about")
    # A day that no export is about was not billed nothing: nobody knows.
    first_day, last_day = max(first, first_day or first), min(last, last_day or last)
    if last_day < first_day:
        raise MixedExports("there is no day that they are about")
    lines = _lines(exports, "usage" if "usage" in kinds else "costs")
    lines = [line for line in lines if first_day <= line.day <= last_day]
    counted = [line.input_tokens is not None for line in lines if line.model]
    return Invoice(
        provider=provider or min(vendors),
        lines=lines,
        first_day=first_day,
        last_day=last_day,
        has_amounts="costs" in kinds,
        has_counts="usage" in kinds or (bool(counted) and all(counted)),
        left_out=_left_out(exports, first_day, last_day),
        source=source,
        tolerance_nanodollars=tolerance_nanodollars,
    )


def _refuse_repeated(exports: Sequence[Export]) -> None:
    """Refuse the same given twice, such as a file and the page it was made of: it would add up."""
    seen: dict[tuple[Kind, Key], int] = {}
    for number, export in enumerate(exports):
        for row in export.amounts:
            key = (export.kind, (row.day, row.model, row.item))
            if seen.setdefault(key, number) != number:
                raise MixedExports(
                    f"two of them are about {row.model or row.item or 'the same'} on {row.day}: "
                    "give each export once"
                )


def _edge(exports: Sequence[Export], end: int) -> date | None:
    """Return the first (0) or last (-1) day that every kind of export is about."""
    edges = []
    for kind in {export.kind for export in exports}:
        days = [day for export in exports if export.kind == kind for day in _days(export)]
        if not days:
            return None
        edges.append(sorted(days)[end])
    return max(edges) if end == 0 else min(edges)


def _left_out(exports: Sequence[Export], first_day: date, last_day: date) -> list[date]:
    """Return the days of which some kind of export says nothing, because a page is missing."""
    if (last_day - first_day).days > MOST_DAYS:
        raise MixedExports(f"they are about all days from {first_day} to {last_day}")
    days = {first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)}
    left_out: set[date] = set()
    for kind in {export.kind for export in exports}:
        of_kind = [export for export in exports if export.kind == kind]
        left_out |= {day for day in days if not any(_is_about(export, day) for export in of_kind)}
    return sorted(left_out)


def _is_about(export: Export, day: date) -> bool:
    if export.every_day or export.first_day is None or export.last_day is None:
        return day in export.days
    return export.first_day <= day <= export.last_day


def _days(export: Export) -> list[date]:
    return [day for day in (export.first_day, export.last_day) if day is not None]


def _lines(exports: Sequence[Export], counted: Kind) -> list[InvoiceLine]:
    """Return one line for each day and model.

    Tokens and requests are taken from one kind of export only: costs may repeat those of usage.
    """
    dollars: dict[Key, Fraction] = {}
    counts: dict[Key, dict[str, int]] = {}
    for export in exports:
        for row in export.amounts:
            key = (row.day, row.model, row.item)
            sums = counts.setdefault(key, {})
            if row.dollars is not None:
                dollars[key] = dollars.get(key, Fraction(0)) + row.dollars
            if export.kind == counted:
                for name, count in row.counts.items():
                    sums[name] = sums.get(name, 0) + count
    return [
        InvoiceLine(
            day=key[0],
            model=key[1],
            item=key[2],
            nanodollars=_nanodollars(dollars[key]) if key in dollars else None,
            **sums,
        )
        for key, sums in sorted(counts.items())
    ]


def _nanodollars(dollars: Fraction) -> int:
    return (2 * dollars * NANODOLLARS_PER_DOLLAR + 1) // 2
