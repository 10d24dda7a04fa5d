"""From a public price list to a directory file of one's own, and what that changes.

Rules of this file: pure, no file is read or written and the day is passed in. A price that differs
from the known one as only another unit does is refused, and the others go on. A rate that the list
does not say stays what it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any, Final

from msgspec import Struct, structs

from routerd.models.directory import Directory
from routerd.models.genai_prices import GenaiPrices
from routerd.models.litellm_prices import LiteLLMPrices
from routerd.models.price import HUNDREDFOLD, ListedPrice, LongContextPrice, Price
from routerd.models.price_lists import PriceList
from routerd.models.schema import Deployment

__all__ = ["ABOVE", "HEADER", "ChangedRate", "PriceImport", "import_prices", "read_price_list"]

HEADER: Final = (
    "# Written by `routerd prices import`: what is changed by hand here is lost with the next one."
)
LISTS: Final = (GenaiPrices, LiteLLMPrices)
# Counted in tokens, so it has no unit to mistake.
LONG: Final = "long_context."
ABOVE: Final = f"{LONG}above"


class ChangedRate(Struct, frozen=True):
    """One rate that the list gives anew: nanodollars, or tokens for `long_context.above`.

    `since` is the day from which it holds, None for now. `percent` is None where nothing is to be
    compared.
    """

    deployment: str
    rate: str
    since: date | None
    old: int | None
    new: int
    percent: float | None


class PriceImport(Struct, frozen=True, kw_only=True):
    """What came of an import: `text` is the file to write.

    By deployment: `prices` are written, `refused` are not, with the reason. `kept` are rates of the
    directory of which the list says nothing, `unknown` those that nobody will know where the price
    is another one: above a number of tokens, or from a day on. `missing` are the deployments that
    the list does not know.
    """

    source: str
    text: str
    prices: dict[str, Price]
    changed: tuple[ChangedRate, ...]
    kept: dict[str, tuple[str, ...]]
    unknown: dict[str, tuple[str, ...]]
    refused: dict[str, str]
    missing: tuple[str, ...]


def read_price_list(data: bytes) -> PriceList:
    """Recognise a list by its content; ValueError where it is none that is known."""
    problems = []
    for kind in LISTS:
        try:
            return kind(data)
        except ValueError as error:
            problems.append(f"{kind.name}: {error}")
    raise ValueError(f"is no price list that is known ({'; '.join(problems)})")


def import_prices(
    listed: PriceList, directory: Directory, today: date, providers: Collection[str] = ()
) -> PriceImport:
    """Convert the prices of what vendors serve, of some providers or of all."""
    source = f"{listed.name}, imported {today}"
    prices: dict[str, Price] = {}
    changed: list[ChangedRate] = []
    kept: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    missing: list[str] = []
    for deployment in directory.deployments.values():
        if deployment.boundary != "vendor":
            continue
        if providers and deployment.provider not in providers:
            continue
        try:
            price = _price_in(listed, deployment, source, today)
            if price is None:
                missing.append(deployment.id)
                continue
            rows = _compare(deployment, price, today)
        except ValueError as error:
            refused[deployment.id] = str(error)
            continue
        prices[deployment.id] = price
        changed += rows
        unsaid = _rates_of(deployment.price, today).keys() - _rates_of(price, today).keys()
        if unsaid:
            kept[deployment.id] = tuple(sorted(unsaid))
        nobody_knows = tuple(_unknown(deployment.price, price, today))
        if nobody_knows:
            unknown[deployment.id] = nobody_knows
    return PriceImport(
        source=source,
        text=_document(prices, source),
        prices=prices,
        changed=tuple(changed),
        kept=kept,
        unknown=unknown,
        refused=refused,
        missing=tuple(missing),
    )


def _price_in(listed: PriceList, deployment: Deployment, source: str, today: date) -> Price | None:
    found = listed.find(deployment.provider, deployment.provider_model, today)
    if found is None:
        return None
    return Price(source=source, changes=found.changes, **structs.asdict(found.now))


def _compare(deployment: Deployment, price: Price, today: date) -> list[ChangedRate]:
    """List the rates that differ on the days from which they hold; ValueError for a wrong unit."""
    rows: list[ChangedRate] = []
    for since in (None, *(change.since for change in price.changes)):
        day = since or today
        before = _rates_of(deployment.price, day)
        for name, new in _rates_of(price, day).items():
            old = before.get(name)
            if new == old:
                continue
            if old and name != ABOVE:
                _check_unit(name, old, new)
            percent = round((new - old) * 100 / old, 1) if old else None
            rows.append(ChangedRate(deployment.id, name, since, old, new, percent))
    return rows


def _unknown(known: Price | None, price: Price, today: date) -> Iterator[str]:
    """Name the rates that calls may need later and that neither side says, each with its place."""
    rates = _rates_of(known, today) | _rates_of(price, today)
    tiers = [("", rates)]
    for change in price.changes:
        tiers.append((f" from {change.since}", _rates_of(price, change.since)))
        for name in rates:
            if name not in tiers[-1][1] and not name.startswith(LONG):
                yield f"{name}{tiers[-1][0]}"
    for when, of_that_day in tiers:
        if ABOVE in of_that_day:
            for name in sorted(of_that_day.keys() & LongContextPrice.__struct_fields__):
                # Without a rate of its own reasoning costs what all output costs.
                if f"{LONG}{name}" not in of_that_day and name != "reasoning":
                    yield f"{name} above {of_that_day[ABOVE]} tokens{when}"


def _check_unit(name: str, old: int, new: int) -> None:
    if new == 0:
        raise ValueError(f"{name} is 0 instead of {old}: free, or not known")
    if max(old, new) >= HUNDREDFOLD * min(old, new):
        raise ValueError(f"{name} is {new} instead of {old}: a hundredfold apart")


def _rates_of(price: Price | None, day: date) -> dict[str, int]:
    """Return the known rates of a day, those of the long context under names of their own."""
    if price is None:
        return {}
    on_that_day = price.at(day)
    tier = on_that_day.long_context
    return _known(on_that_day, ListedPrice) | {
        f"{LONG}{name}": rate
        for name, rate in (_known(tier, LongContextPrice) if tier is not None else {}).items()
    }


def _known(rates: Struct, kind: type[Struct]) -> dict[str, int]:
    values = {name: getattr(rates, name) for name in kind.__struct_fields__}
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _document(prices: Mapping[str, Price], source: str) -> str:
    blocks = [f"{HEADER}\n# From {source}.\n"]
    for deployment, price in prices.items():
        place = f"deployments.{json.dumps(deployment, ensure_ascii=False)}.price"
        _write_table(blocks, place, {"source": price.source} | _known(price, ListedPrice))
        _write_tier(blocks, place, price)
        for change in price.changes:
            listed = {"since": change.since} | _known(change, ListedPrice)
            _write_table(blocks, f"{place}.changes", listed, listed_table=True)
            _write_tier(blocks, f"{place}.changes", change)
    return "\n".join(blocks)


def _write_tier(blocks: list[str], place: str, price: ListedPrice) -> None:
    if price.long_context is not None:
        tier = _known(price.long_context, LongContextPrice)
        _write_table(blocks, f"{place}.long_context", tier)


def _write_table(
    blocks: list[str], place: str, values: Mapping[str, Any], *, listed_table: bool = False
) -> None:
    heading = f"[[{place}]]" if listed_table else f"[{place}]"
    lines = [f"{name} = {_value_text(value)}" for name, value in values.items()]
    blocks.append("\n".join((heading, *lines)) + "\n")


def _value_text(value: str | int | date) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:_}" if isinstance(value, int) else value.isoformat()
