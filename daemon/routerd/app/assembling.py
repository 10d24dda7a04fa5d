"""From what was read to what calls are served by: providers that can be called, rules to decide by.

Rules of this file: the same for a start and for a reload, so that both find the same. Nothing that
runs is changed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import anyio.to_thread
from msgspec import Struct, structs

from routerd.app.local_servers import LocalServer, list_models, without_models
from routerd.app.policy import build_book, policy_text
from routerd.app.providers import LiveProvider, build_targets
from routerd.app.startup import (
    Startup,
    configured_providers,
    local_servers,
    nothing_found,
    with_models_of,
)
from routerd.execute.story import Rules
from routerd.execute.target import Target
from routerd.health.trips import Place
from routerd.ledger import Ledger
from routerd.models.directory import Directory
from routerd.providers.transport import Transport
from routerd.settings import Settings

__all__ = ["InForce", "find_providers", "make_rules", "places_of", "pointed_at"]

# Of all places, in percent, what one provider among several can take if nothing else is said.
SHARE_OF_ONE = 75
SIMULATED_PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "voyage": "/voyage/v1"}


class InForce(Struct, frozen=True, eq=False):
    """What the daemon runs by.

    `startup` holds the settings that are in force, `needs_restart` names those that were changed
    and are not. `found` are the servers of your own that were asked for their models, `silent`
    those of them that are named in the file and did not answer this time. `refused` says why the
    last reload was, if it was.
    """

    startup: Startup
    directory: Directory
    providers: Mapping[str, LiveProvider]
    found: Mapping[str, LocalServer] = {}
    silent: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    refused: str | None = None


async def find_providers(
    startup: Startup, transport: Transport, before: Mapping[str, LocalServer] | None = None
) -> InForce:
    """Build the configured providers, and add the local servers that answer.

    A server that the file names and that does not answer keeps the models it listed `before`: it
    may be busy, and who has no models is never asked again.
    """
    providers = configured_providers(startup, transport)
    own = without_models(providers.values(), startup.directory)
    answered = await list_models([*own, *local_servers(startup, transport)])
    found = {item.provider.entry.id: item for item in answered}
    silent = [server for server in own if server.entry.id not in found]
    for server in silent:
        known = (before or {}).get(server.entry.id)
        if known is not None and known.provider.entry.base_url == server.entry.base_url:
            found[server.entry.id] = LocalServer(server, known.models)
    providers |= {name: item.provider for name, item in found.items()}
    if not providers:
        raise nothing_found(startup.file)
    names = tuple(server.entry.id for server in silent)
    directory = with_models_of(found.values(), startup)
    return InForce(startup, directory, providers, found, names)


async def make_rules(made: InForce, ledger: Ledger) -> Rules:
    """Return what calls are decided by, kept in the ledger under its hashes."""
    settings = made.startup.settings
    # Writing them out takes longer the more models there are.
    directory = await anyio.to_thread.run_sync(made.directory.document)
    book = await anyio.to_thread.run_sync(
        build_book, made.startup, made.directory, tuple(made.providers)
    )
    return Rules(
        book=book,
        targets=build_targets(made.directory, made.providers),
        limits=settings.limits,
        timeouts=settings.timeouts,
        interactive_timeouts=settings.interactive_timeouts,
        batch_timeouts=settings.batch_timeouts,
        provider_places=places_at(made.providers, settings),
        failover=settings.failover,
        texts_of=frozenset(settings.ledger.texts_of),
        directory_hash=ledger.keep_document("directory", directory),
        policy_hash=ledger.keep_document("policy", policy_text(book.document)),
        simulated=all(provider.simulated for provider in made.providers.values()),
    )


def places_of(targets: Iterable[Target]) -> list[Place]:
    """Return where each deployment is that can be called."""
    return [
        Place(target.deployment, target.model, target.provider, target.channel.server)
        for target in targets
    ]


def places_at(providers: Iterable[str], settings: Settings) -> dict[str, int]:
    """Return how many requests may run at once at each provider."""
    names = tuple(providers)
    all_places = settings.limits.in_flight
    share = all_places if len(names) == 1 else max(1, all_places * SHARE_OF_ONE // 100)
    found = {}
    for name in names:
        table = settings.providers.get(name)
        given = table.max_in_flight if table is not None else None
        found[name] = share if given is None else given
    return found


def pointed_at(base_url: str, startup: Startup) -> Startup:
    """Return a simulated start whose providers are the simulator at an address."""
    providers = {
        name: structs.replace(
            item,
            entry=structs.replace(
                item.entry, base_url=base_url + SIMULATED_PATHS[name], boundary="machine"
            ),
            addresses={},
        )
        for name, item in startup.providers.items()
    }
    directory = startup.directory
    for item in providers.values():
        directory = directory.with_provider(item.entry)
    return structs.replace(startup, providers=providers, directory=directory)
