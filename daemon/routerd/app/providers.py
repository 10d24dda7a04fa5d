"""From settings to live providers: which there are, how each is reached, what each can serve.

Rules of this file: everything wrong with a provider is found here, before anything is served, and
is a SettingsError. A key goes from its source into the provider's headers and is kept nowhere
else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from routerd.errors import SettingsError
from routerd.execute.target import Target
from routerd.models.directory import Directory
from routerd.models.schema import Provider
from routerd.providers.base import Adapter
from routerd.providers.registry import build_adapter
from routerd.providers.transport import Channel, Transport
from routerd.settings import ProviderSettings, Settings, read_key

__all__ = [
    "LiveProvider",
    "Wanted",
    "build_providers",
    "build_targets",
    "found_in",
    "live_local",
    "wanted",
]


class Wanted(Struct, frozen=True):
    """A provider with every setting known: the file's over the directory's."""

    entry: Provider
    settings: ProviderSettings


class LiveProvider(Struct, frozen=True, eq=False):
    """A provider that can be called."""

    entry: Provider
    adapter: Adapter
    channel: Channel
    simulated: bool


def found_in(environ: Mapping[str, str], directory: Directory) -> dict[str, ProviderSettings]:
    """Return the providers whose keys are in the environment."""
    return {
        name: ProviderSettings()
        for name, entry in directory.providers.items()
        if entry.key_env and environ.get(entry.key_env, "").strip()
    }


def wanted(settings: Settings, directory: Directory, file: Path | str) -> dict[str, Wanted]:
    """Join the enabled providers of the settings to what the directory knows of them."""
    return {
        name: _join(name, table, directory, file)
        for name, table in settings.providers.items()
        if table.enabled
    }


def _join(name: str, table: ProviderSettings, directory: Directory, file: Path | str) -> Wanted:
    known = directory.providers.get(name)
    given = {
        field: value
        for field in ("adapter", "dialect", "base_url", "key_env", "boundary")
        if (value := getattr(table, field)) is not None
    }
    if known is not None:
        entry = {**msgspec.to_builtins(known), **given}
    else:
        for field in ("adapter", "base_url", "boundary"):
            if field not in given:
                names = ", ".join(sorted(directory.providers))
                raise SettingsError(
                    f"is needed, because {name} is none of the known providers ({names})",
                    file=file,
                    key=f"providers.{name}.{field}",
                )
        entry = {"id": name, **given}
    if table.keyless:
        entry.pop("key_env", None)
    try:
        provider = msgspec.convert(entry, Provider)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error), file=file, key=f"providers.{name}") from None
    keyless = table.keyless or not (provider.key_env or table.key_file)
    return Wanted(provider, structs.replace(table, key_env=provider.key_env, keyless=keyless))


def build_providers(
    providers: Mapping[str, Wanted],
    transport: Transport,
    environ: Mapping[str, str],
    file: Path | str,
    *,
    connect_seconds: float,
) -> dict[str, LiveProvider]:
    """Make each provider callable; SettingsError names the first that cannot be."""
    live = {}
    for name, item in providers.items():
        adapter = _adapter(name, item.entry, file)
        key = read_key(name, item.settings, environ, file)
        if key is None and item.settings.simulated:
            key = "simulated"  # a simulator takes any key, but, like its vendor, not none
        channel = Channel(
            transport,
            item.entry.base_url,
            adapter.authorize(key),
            connect_seconds=connect_seconds,
        )
        live[name] = LiveProvider(item.entry, adapter, channel, item.settings.simulated)
    return live


def live_local(entry: Provider, transport: Transport, connect_seconds: float) -> LiveProvider:
    """Make a local server that was found callable; it takes no key."""
    adapter = build_adapter(entry.adapter, entry.dialect)
    channel = Channel(
        transport, entry.base_url, adapter.authorize(None), connect_seconds=connect_seconds
    )
    return LiveProvider(entry, adapter, channel, simulated=False)


def _adapter(name: str, entry: Provider, file: Path | str) -> Adapter:
    try:
        return build_adapter(entry.adapter, entry.dialect)
    except ValueError as error:
        raise SettingsError(str(error), file=file, key=f"providers.{name}.adapter") from None


def build_targets(directory: Directory, providers: Mapping[str, LiveProvider]) -> dict[str, Target]:
    """Join every deployment of a live provider to it."""
    targets = {}
    for deployment in directory.deployments.values():
        provider = providers.get(deployment.provider)
        if provider is None:
            continue
        targets[deployment.id] = Target(
            deployment=deployment.id,
            model=deployment.model,
            provider=deployment.provider,
            provider_model=deployment.provider_model,
            capabilities=deployment.capabilities,
            context_window=deployment.context_window,
            output_limit=deployment.max_output_tokens,
            price=deployment.price,
            adapter=provider.adapter,
            channel=provider.channel,
            simulated=provider.simulated,
        )
    return targets
