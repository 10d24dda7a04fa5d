"""From settings to the keys of a provider: where each is found, and what may be asked with it.

Rules of this file: those of `providers`. A key goes from its source into the headers that carry it
and is kept nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from routerd.budget.key import KeyLimits
from routerd.budget.quota import read_tiers
from routerd.errors import SettingsError
from routerd.models.schema import Provider
from routerd.providers.base import Adapter, Headers, RegionalAdapter, Signer, SigningAdapter
from routerd.settings import KeySettings, ProviderSettings, read_key

__all__ = ["WantedKey", "read_keys"]

# A simulator takes any key but, like its vendor, not none.
SIMULATED_KEY: Final = "simulated"
# It is part of a file's name, and stands in tables.
NAME: Final = re.compile("[A-Za-z0-9_-]+")


class WantedKey(Struct, frozen=True, eq=False):
    """A key that was found, in the headers that carry it, or in what signs with it."""

    limits: KeyLimits
    headers: Headers
    signer: Signer | None = None

    @property
    def secrets(self) -> Headers:
        """What tells it from another key: all that it sends, and all that it signs with."""
        return self.headers if self.signer is None else [*self.headers, *self.signer.secrets]

    def __repr__(self) -> str:
        return f"<WantedKey {self.limits.name}>"


def read_keys(
    entry: Provider,
    table: ProviderSettings,
    adapter: Adapter,
    known: Collection[str],
    environ: Mapping[str, str],
    file: Path | str,
) -> tuple[WantedKey, ...]:
    """Read every key of a provider, in the order of the file; SettingsError names a mistake.

    `known` are the models and deployments that a free tier may be for, empty where they are only
    known once the provider was asked. Reading keys blocks.
    """
    place = f"providers.{entry.id}"
    if not table.keys:
        keyless = table.keyless or not (entry.key_env or table.key_file)
        settings = structs.replace(table, key_env=entry.key_env, keyless=keyless)
        try:
            key = read_key(entry.id, settings, environ, file)
        except SettingsError:
            if (key := _own_key(settings, adapter, environ)) is None:
                raise
        if key is None and table.simulated:
            key = SIMULATED_KEY
        tiers = read_tiers(table.free, known, file, f"{place}.free")
        return (_wanted(KeyLimits(free=tiers), adapter, key, environ),)
    _refuse_mixture(table, file, place)
    found: dict[str, WantedKey] = {}
    texts: dict[str, str | None] = {}
    for name, item in table.keys.items():
        inner = f"{place}.keys.{name}"
        if not NAME.fullmatch(name):
            raise SettingsError("expected a name of letters, digits, - and _", file=file, key=inner)
        key = read_key(entry.id, item, environ, file, name=name)
        # Its limits are the provider's, who would count what is asked with both as one.
        twin = next((other for other, known_key in texts.items() if known_key == key), None)
        if twin is not None:
            raise SettingsError(f"is the same key as {place}.keys.{twin}", file=file, key=inner)
        texts[name] = key
        found[name] = _wanted(_limits(name, item, known, file, inner), adapter, key, environ)
    return tuple(found.values())


def _wanted(
    limits: KeyLimits, adapter: Adapter, key: str | None, environ: Mapping[str, str]
) -> WantedKey:
    region = adapter.region_in(environ) if isinstance(adapter, RegionalAdapter) else None
    signer = adapter.signer(key, region) if isinstance(adapter, SigningAdapter) else None
    return WantedKey(limits, adapter.authorize(key), signer)


def _own_key(
    settings: ProviderSettings, adapter: Adapter, environ: Mapping[str, str]
) -> str | None:
    """Return the key in a vendor's several variables, where neither a file nor one holds it."""
    if settings.keyless or settings.key_file or environ.get(settings.key_env or "", "").strip():
        return None
    return adapter.key_in(environ) if isinstance(adapter, SigningAdapter) else None


def _limits(
    name: str, item: KeySettings, known: Collection[str], file: Path | str, place: str
) -> KeyLimits:
    tiers = read_tiers(item.free, known, file, f"{place}.free")
    return KeyLimits(name, item.calls_a_minute, item.tokens_a_minute, tiers)


def _refuse_mixture(table: ProviderSettings, file: Path | str, place: str) -> None:
    """Refuse what says of the only key something else than its own table would say."""
    given = {
        "key_env": bool(table.key_env),
        "key_file": bool(table.key_file),
        "keyless": table.keyless,
        "free": bool(table.free),
    }
    for setting, is_given in given.items():
        if is_given:
            raise SettingsError(
                f"is for a provider with one key, and this one has [{place}.keys]: write it at a "
                "key of these, or leave them out",
                file=file,
                key=f"{place}.{setting}",
            )
