"""What your contract says of prices: discounts at vendors, and what servers of your own cost you.

Rules of this file: what is wrong is a SettingsError that names file and key. Prices of a directory
are not changed in place: what changes them returns another directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from routerd.errors import SettingsError
from routerd.models.directory import Directory
from routerd.models.local import LOCAL_PRICE
from routerd.models.pricing import Price, discounted, own_price
from routerd.settings import ProviderSettings

__all__ = ["local_price", "with_contracts"]

OWN_PRICES: Final = ("input_dollars", "output_dollars", "hourly_dollars")


def with_contracts(
    directory: Directory, providers: Mapping[str, ProviderSettings], file: Path | str
) -> Directory:
    """Return the directory with the discounts and own prices of the configured providers."""
    prices: dict[str, Price] = {}
    for name, table in providers.items():
        own = _own_price(name, table, file)
        for deployment in directory.deployments.values():
            if deployment.provider != name:
                continue
            price = own or deployment.price
            if price is not None and table.discount_percent:
                price = _discounted(price, name, table, file)
            if price is not None and price is not deployment.price:
                prices[deployment.id] = price
    return directory.with_prices(prices) if prices else directory


def local_price(name: str, providers: Mapping[str, ProviderSettings], file: Path | str) -> Price:
    """Return what the models cost that a server of your own lists: nothing, unless you say so."""
    table = providers.get(name)
    return (_own_price(name, table, file) if table is not None else None) or LOCAL_PRICE


def _own_price(name: str, table: ProviderSettings, file: Path | str) -> Price | None:
    given = {
        setting: value for setting in OWN_PRICES if (value := getattr(table, setting)) is not None
    }
    try:
        return own_price(**given) if given else None
    except ValueError as error:
        key = f"providers.{name}.{min(given)}"
        raise SettingsError(str(error), file=file, key=key) from None


def _discounted(price: Price, name: str, table: ProviderSettings, file: Path | str) -> Price:
    try:
        return discounted(price, table.discount_percent)
    except ValueError as error:
        key = f"providers.{name}.discount_percent"
        raise SettingsError(str(error), file=file, key=key) from None
