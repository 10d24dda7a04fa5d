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

from routerd.app.token_sources import source_of_key, source_of_settings
from routerd.budget.key import KeyLimits
from routerd.budget.quota import read_tiers
from routerd.errors import SettingsError
from routerd.models.schema import Provider
from routerd.providers.base import (
    Adapter,
    Headers,
    RegionalAdapter,
    Signer,
    SigningAdapter,
    TokenAdapter,
)
from routerd.providers.tokens import TokenSource
from routerd.providers.tokens.google import project_of
from routerd.settings import KeySettings, ProviderSettings, read_key

__all__ = ["WantedKey", "read_keys"]

# A simulator takes any key but, like its vendor, not none.
SIMULATED_KEY: Final = "simulated"
OTHER_WAYS: Final = "or token_command, token_metadata, or $GOOGLE_APPLICATION_CREDENTIALS"
# It is part of a file's name, and stands in tables.
NAME: Final = re.compile("[A-Za-z0-9_-]+")


class WantedKey(Struct, frozen=True, eq=False):
    """A key that was found, in the headers that carry it, or in what signs or asks for tokens.

    `project` is the one that credentials name.
    """

    limits: KeyLimits
    headers: Headers
    signer: Signer | None = None
    tokens: TokenSource | None = None
    project: str | None = None

    @property
    def secrets(self) -> Headers:
        """What tells it from another key: all it sends, signs with or asks for tokens with."""
        if self.tokens is not None:
            return [*self.headers, (b"token-source", self.tokens.identity.encode())]
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
        tiers = read_tiers(table.free, known, file, f"{place}.free")
        return (_only_key(entry, table, adapter, KeyLimits(free=tiers), environ, file),)
    _refuse_mixture(table, file, place)
    found: dict[str, WantedKey] = {}
    for name, item in table.keys.items():
        inner = f"{place}.keys.{name}"
        if not NAME.fullmatch(name):
            raise SettingsError("expected a name of letters, digits, - and _", file=file, key=inner)
        limits = _limits(name, item, known, file, inner)
        tokens = source_of_settings(item, environ, file, inner)
        if tokens is not None:
            wanted = WantedKey(limits, [], tokens=tokens)
        else:
            is_lenient = _takes_tokens(adapter)
            key = read_key(entry.id, item, environ, file, name=name, may_be_credentials=is_lenient)
            wanted = _wanted(limits, adapter, key, environ, file, inner)
        # Its limits are the provider's, who would count what is asked with both as one.
        twin = next((other for other, key in found.items() if key.secrets == wanted.secrets), None)
        if twin is not None:
            raise SettingsError(f"is the same key as {place}.keys.{twin}", file=file, key=inner)
        found[name] = wanted
    return tuple(found.values())


def _only_key(
    entry: Provider,
    table: ProviderSettings,
    adapter: Adapter,
    limits: KeyLimits,
    environ: Mapping[str, str],
    file: Path | str,
) -> WantedKey:
    """Read the key of a provider that has one, or none."""
    place = f"providers.{entry.id}"
    if (tokens := source_of_settings(table, environ, file, place)) is not None:
        return WantedKey(limits, [], tokens=tokens)
    takes_tokens = _takes_tokens(adapter)
    needs_one = entry.key_env or table.key_file or takes_tokens
    settings = structs.replace(table, key_env=entry.key_env, keyless=table.keyless or not needs_one)
    try:
        key = read_key(entry.id, settings, environ, file, may_be_credentials=takes_tokens)
    except SettingsError as mistake:
        named = _own_file(settings, adapter, environ)
        if named is not None:
            settings = structs.replace(settings, key_file=named)
            key = read_key(entry.id, settings, environ, file, may_be_credentials=True)
        elif (key := _own_key(settings, adapter, environ)) is None and not (
            takes_tokens and table.simulated and not settings.key_file
        ):
            ways = f"; {OTHER_WAYS}" if takes_tokens and not settings.key_file else ""
            raise SettingsError(mistake.expected + ways, file=file, key=mistake.key) from None
    if key is None and table.simulated:
        key = SIMULATED_KEY
    return _wanted(limits, adapter, key, environ, file, place)


def _wanted(
    limits: KeyLimits,
    adapter: Adapter,
    key: str | None,
    environ: Mapping[str, str],
    file: Path | str,
    place: str,
) -> WantedKey:
    if _takes_tokens(adapter):
        tokens = source_of_key(key, file, place)
        if tokens is not None:
            return WantedKey(limits, [], tokens=tokens, project=project_of(key))
    region = adapter.region_in(environ) if isinstance(adapter, RegionalAdapter) else None
    signer = adapter.signer(key, region) if isinstance(adapter, SigningAdapter) else None
    return WantedKey(limits, adapter.authorize(key), signer)


def _takes_tokens(adapter: Adapter) -> bool:
    return isinstance(adapter, TokenAdapter) and adapter.takes_tokens


def _own_file(
    settings: ProviderSettings, adapter: Adapter, environ: Mapping[str, str]
) -> str | None:
    """Return the file of credentials in a vendor's own variable, where nothing else was given."""
    if settings.key_file or not isinstance(adapter, TokenAdapter):
        return None
    return adapter.credentials_file(environ)


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
        "token_command": table.token_command is not None,
        "token_metadata": table.token_metadata is not None,
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
