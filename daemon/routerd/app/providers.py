"""From settings to live providers: which there are, how each is reached, what each can serve.

Rules of this file: everything wrong with a provider is found here, before anything is served, and
is a SettingsError. A key goes from its source into the provider's headers and is kept nowhere
else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from routerd.app.addresses import (
    internet_name,
    is_public,
    is_this_machine,
    is_web_address,
    vendor_at,
)
from routerd.app.keys import WantedKey, read_keys
from routerd.app.model_names import check_names
from routerd.errors import SettingsError
from routerd.execute.target import Key, Target
from routerd.models.directory import Directory
from routerd.models.schema import Provider
from routerd.providers.base import Adapter, RegionalAdapter
from routerd.providers.registry import (
    KNOWN,
    build_adapter,
    documents_of,
    fitted_base_url,
    search_wires,
    wire_of,
)
from routerd.providers.transport import Channel, TokenKeeper, Transport
from routerd.settings import ProviderSettings, Settings
from routerd.telemetry.events import Event, OwnNetworkUnproven

__all__ = [
    "LiveProvider",
    "Wanted",
    "build_providers",
    "build_targets",
    "found_in",
    "live_local",
    "tell_unproven",
    "unproven",
    "wanted",
]


# What an address has where Google's wants a project.
PROJECT: Final = "{project}"
PROJECT_VARIABLE: Final = "GOOGLE_CLOUD_PROJECT"
PROJECT_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Wanted(Struct, frozen=True, eq=False):
    """A provider with every setting known: the file's over the directory's.

    `addresses` are those of regions that another than its own serves, by region. `watched`: see
    `Target`.
    """

    entry: Provider
    adapter: Adapter
    keys: tuple[WantedKey, ...]
    simulated: bool
    addresses: Mapping[str, str] = {}
    watched: bool | None = None

    def __repr__(self) -> str:
        return f"<Wanted {self.entry.id}>"


class LiveProvider(Struct, frozen=True, eq=False):
    """A provider that can be called, with any of its keys.

    `elsewhere` are the same keys at the address of a region, where it is not the provider's own.
    `tokens` keep the access tokens of those keys that have some, by the key's name. `watched`: see
    `Target`.
    """

    entry: Provider
    adapter: Adapter
    keys: tuple[Key, ...]
    simulated: bool
    elsewhere: Mapping[str, tuple[Key, ...]] = {}
    tokens: Mapping[str | None, TokenKeeper] = {}
    watched: bool | None = None

    @property
    def channel(self) -> Channel:
        """The channel of the first key: for what costs nothing and any key may ask."""
        return self.keys[0].channel

    def keys_in(self, region: str | None) -> tuple[Key, ...]:
        """Return the keys with the channels that reach a region."""
        return self.elsewhere.get(region or "", self.keys)

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels of the first key, by address: its own first, then those of regions."""
        keys = (self.keys, *self.elsewhere.values())
        return {item[0].channel.server: item[0].channel for item in keys}


def found_in(environ: Mapping[str, str], directory: Directory) -> dict[str, ProviderSettings]:
    """Return the providers whose keys are in the environment, as far as they can be spoken to.

    A key for a format that is not there is nobody's mistake: it may be for another program.
    """
    return {
        name: ProviderSettings()
        for name, entry in directory.providers.items()
        if entry.key_env and environ.get(entry.key_env, "").strip() and entry.adapter in KNOWN
    }


def wanted(
    settings: Settings, directory: Directory, environ: Mapping[str, str], file: Path | str
) -> dict[str, Wanted]:
    """Join the enabled providers of the settings to what the directory knows, and read their keys.

    SettingsError names the first that cannot be called. Reading keys blocks.
    """
    described: dict[str, set[str]] = {}
    for deployment in directory.deployments.values():
        names = {deployment.id, deployment.provider_model}
        described.setdefault(deployment.provider, set()).update(names)
    joined = {}
    for name, table in settings.providers.items():
        if not table.enabled:
            continue
        entry = _join(name, table, directory, file)
        adapter = _adapter_of(entry, file)
        check_names(entry, adapter, directory)
        if table.base_url is None and isinstance(adapter, RegionalAdapter):
            entry = _in_own_region(entry, adapter, environ, file)
        # Whatever the provider is called, it is this format that carries them or does not.
        entry = structs.replace(entry, documents=documents_of(entry.adapter, entry.dialect))
        keys = read_keys(entry, table, adapter, described.get(name, ()), environ, file)
        entry = _in_own_project(entry, keys, environ, file)
        # A server of your own is asked for its models; a vendor's are known, or nothing serves.
        if entry.boundary == "vendor" and name not in described:
            raise SettingsError(
                "serves nothing: no deployment in the directory is of this provider. Describe it "
                "and its models in a file that `directory` names",
                file=file,
                key=f"providers.{name}",
            )
        addresses = _addresses(entry, adapter, directory)
        watched = table.watch_silence
        if watched is None and entry.boundary != "vendor":
            watched = True
        joined[name] = Wanted(entry, adapter, keys, table.simulated, addresses, watched)
    return joined


def _in_own_region(
    entry: Provider, adapter: RegionalAdapter, environ: Mapping[str, str], file: Path | str
) -> Provider:
    """Move a provider to the region that its vendor's own variables name, if they do."""
    address = adapter.own_address(entry.base_url, environ)
    if address is None:
        # To call another one instead may be to call another country.
        raise SettingsError(
            f"is not set, and no region is called {adapter.region_in(environ)!r}, which the "
            "environment names",
            file=file,
            key=f"providers.{entry.id}.base_url",
        )
    return structs.replace(entry, base_url=address)


def _in_own_project(
    entry: Provider, keys: Iterable[WantedKey], environ: Mapping[str, str], file: Path | str
) -> Provider:
    """Put the project that the environment or credentials name into an address that wants one."""
    if PROJECT not in entry.base_url:
        return entry
    named = [environ.get(PROJECT_VARIABLE, "").strip(), *(key.project or "" for key in keys)]
    project = next((name for name in named if name), None)
    if project is None or PROJECT_NAME.fullmatch(project) is None:
        raise SettingsError(
            f"names no project: write it with one in the place of {PROJECT}, or set "
            f"${PROJECT_VARIABLE}; the credentials name none that can be one",
            file=file,
            key=f"providers.{entry.id}.base_url",
        )
    return structs.replace(entry, base_url=entry.base_url.replace(PROJECT, project))


def _addresses(entry: Provider, adapter: Adapter, directory: Directory) -> dict[str, str]:
    """Return the addresses of its deployments' regions, as far as they are not its own."""
    if not isinstance(adapter, RegionalAdapter):
        return {}
    return {
        deployment.region: address
        for deployment in directory.deployments.values()
        if deployment.provider == entry.id and deployment.region is not None
        if (address := adapter.address_in(entry.base_url, deployment.region)) != entry.base_url
    }


def _adapter_of(entry: Provider, file: Path | str) -> Adapter:
    try:
        return build_adapter(entry.adapter, entry.dialect)
    except SettingsError as error:
        place = f"providers.{entry.id}.{error.key}"
        raise SettingsError(error.expected, file=file, key=place) from None


def _join(name: str, table: ProviderSettings, directory: Directory, file: Path | str) -> Provider:
    known = directory.providers.get(name)
    given = {
        field: value
        for field in ("adapter", "dialect", "base_url", "key_env", "boundary")
        if (value := getattr(table, field)) is not None
    }
    if "base_url" in given:
        _check_address(name, str(given["base_url"]), file)
        given["base_url"] = str(given["base_url"]).rstrip("/")
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
        joined = msgspec.convert(entry, Provider)
    except msgspec.ValidationError as error:
        raise SettingsError(str(error), file=file, key=f"providers.{name}") from None
    _check_boundary(joined, table, directory, file)
    address = fitted_base_url(joined.adapter, joined.dialect, joined.base_url)
    return structs.replace(joined, base_url=address)


def _check_address(name: str, address: str, file: Path | str) -> None:
    if not is_web_address(address):
        raise SettingsError(
            "expected an address that begins with http:// or https:// and holds no password",
            file=file,
            key=f"providers.{name}.base_url",
        )


def _check_boundary(
    entry: Provider, table: ProviderSettings, directory: Directory, file: Path | str
) -> None:
    """Refuse a boundary that the address belies, whoever gave either: calls rely on it."""
    problem, field = "", "boundary"
    vendor = vendor_at(entry.base_url, directory.providers.values())
    if entry.boundary == "machine" and not is_this_machine(entry.base_url):
        problem = (
            "cannot be machine, because base_url is not on this machine: expected own-network, or "
            "vendor if it is somebody else's"
        )
    elif entry.boundary == "own-network" and vendor is not None:
        problem = f"cannot be own-network, because base_url is that of {vendor}: expected vendor"
    elif entry.boundary == "own-network" and is_public(entry.base_url):
        problem = (
            "cannot be own-network, because base_url is a public address: expected vendor, or a "
            "private address"
        )
    elif entry.boundary != "vendor" and (sent_on := directory.sent_on(entry.id)):
        problem = (
            f"cannot be {entry.boundary}, because it only sends {sent_on[0]} on to its maker's "
            "cloud: expected vendor"
        )
    elif table.contracted and entry.boundary != "vendor":
        problem = "is for vendors; internal calls may go to servers of your own anyway"
        field = "contracted"
    if problem:
        raise SettingsError(problem, file=file, key=f"providers.{entry.id}.{field}")


def build_providers(
    providers: Mapping[str, Wanted],
    transport: Transport,
    *,
    connect_seconds: float,
    user_agent: str,
) -> dict[str, LiveProvider]:
    """Make each provider callable."""
    live = {}
    for name, item in providers.items():
        tokens = {
            key.limits.name: TokenKeeper(key.tokens, transport)
            for key in item.keys
            if key.tokens is not None
        }
        at = {
            address: tuple(
                Key(
                    key.limits.name,
                    Channel(
                        transport,
                        address,
                        key.headers,
                        connect_seconds=connect_seconds,
                        user_agent=user_agent,
                        signer=key.signer,
                        tokens=tokens.get(key.limits.name),
                    ),
                )
                for key in item.keys
            )
            for address in {item.entry.base_url, *item.addresses.values()}
        }
        elsewhere = {region: at[address] for region, address in item.addresses.items()}
        keys = at[item.entry.base_url]
        live[name] = LiveProvider(
            item.entry, item.adapter, keys, item.simulated, elsewhere, tokens, item.watched
        )
    return live


def live_local(
    entry: Provider, transport: Transport, *, connect_seconds: float, user_agent: str
) -> LiveProvider:
    """Make a local server that was found callable; it takes no key."""
    adapter = build_adapter(entry.adapter, entry.dialect)
    channel = Channel(
        transport,
        entry.base_url,
        adapter.authorize(None),
        connect_seconds=connect_seconds,
        user_agent=user_agent,
    )
    return LiveProvider(entry, adapter, (Key(None, channel),), simulated=False, watched=True)


def unproven(entries: Iterable[Provider]) -> dict[str, str]:
    """Return the names that are taken for servers in one's own network, by provider.

    They may lead anywhere: names are not looked up, and what one leads to can change.
    """
    return {
        entry.id: name
        for entry in entries
        if entry.boundary == "own-network" and (name := internet_name(entry.base_url)) is not None
    }


def tell_unproven(entries: Iterable[Provider], tell: Callable[[Event], None]) -> None:
    """Tell of each name that is taken for a server in one's own network."""
    for provider, name in unproven(entries).items():
        tell(OwnNetworkUnproven(provider=provider, host=name))


def build_targets(directory: Directory, providers: Mapping[str, LiveProvider]) -> dict[str, Target]:
    """Join every deployment of a live provider to it."""
    targets = {}
    wires = {
        name: search_wires(item.entry.adapter, item.entry.dialect)
        for name, item in providers.items()
    }
    for deployment in directory.deployments.values():
        provider = providers.get(deployment.provider)
        if provider is None:
            continue
        keys = provider.keys_in(deployment.region)
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
            channel=keys[0].channel,
            simulated=provider.simulated,
            keys=keys,
            prompt=deployment.prompt,
            prompt_tokens=deployment.prompt_tokens,
            wire=wire_of(provider.entry.adapter, provider.entry.dialect),
            search=wires[deployment.provider] if deployment.kind != "chat" else {},
            watched=provider.watched,
        )
    return targets
