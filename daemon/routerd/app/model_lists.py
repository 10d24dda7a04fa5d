"""The lists of models that providers keep: asked for once, outside of a running daemon.

Rules of this file: a GET of each list and nothing else, to providers that the configuration
enables. Who does not answer, be it with one list of several, is told beside the lists of the
others; nothing is retried.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
from msgspec import Struct, structs

from routerd.app.providers import LiveProvider, Wanted, build_providers
from routerd.app.startup import Startup, prepare_transport
from routerd.providers.base import ListedModel, ListingAdapter, ListsAdapter
from routerd.providers.transport import Channel, TransportError, read_content

__all__ = ["ModelLists", "ask_for_lists"]

ANSWER_SECONDS = 15.0
# OpenRouter's is the longest known, some megabytes.
LIST_BYTES = 16 * 1024 * 1024


class NoListError(Exception):
    """A provider answered, and not with a list."""


class ModelLists(Struct, frozen=True):
    """What each provider lists, and why another's list is not there."""

    lists: dict[str, list[ListedModel]]
    failures: dict[str, str]


def ask_for_lists(startup: Startup, only: Iterable[str] = ()) -> ModelLists:
    """Ask all enabled providers at once, or some of them. Blocks."""
    transport = prepare_transport(startup)
    live = build_providers(
        {name: _where_listed(item) for name, item in startup.providers.items()},
        transport,
        connect_seconds=startup.settings.timeouts.connect,
        user_agent=startup.user_agent,
    )
    wanted = set(only)
    chosen = [item for name, item in live.items() if not wanted or name in wanted]

    async def ask() -> ModelLists:
        try:
            return await _ask_all(chosen)
        finally:
            await transport.aclose()

    return anyio.run(ask)


def _where_listed(item: Wanted) -> Wanted:
    """Return a provider as it is asked for its lists alone."""
    adapter = item.adapter
    if not isinstance(adapter, ListingAdapter):
        return item
    entry = structs.replace(item.entry, base_url=adapter.list_address(item.entry.base_url))
    regions = {name: adapter.list_address(address) for name, address in item.addresses.items()}
    return structs.replace(item, entry=entry, addresses=regions)


async def _ask_all(providers: Iterable[LiveProvider]) -> ModelLists:
    found = ModelLists({}, {})

    async def ask(provider: LiveProvider) -> None:
        name = provider.entry.id
        with anyio.move_on_after(ANSWER_SECONDS):
            try:
                found.lists[name] = await _list_of(provider)
            except (TransportError, NoListError) as error:
                found.failures[name] = str(error)
            return
        found.failures[name] = f"no answer within {ANSWER_SECONDS:.0f} s"

    async with anyio.create_task_group() as tasks:
        for provider in providers:
            tasks.start_soon(ask, provider, name=f"list models of {provider.entry.id}")
    return found


async def _list_of(provider: LiveProvider) -> list[ListedModel]:
    """Return what a provider lists, of several lists only where all are there; else NoListError."""
    adapter = provider.adapter
    if isinstance(adapter, ListsAdapter):
        # What is called in another region is listed there.
        bodies = [
            await _get(channel, path)
            for channel in provider.channels.values()
            for path in adapter.models_paths
        ]
        models = adapter.join_lists(bodies)
    else:
        models = adapter.list_models(await _get(provider.channel, adapter.models_path))
    if not models:
        raise NoListError("status 200, no list")
    return models


async def _get(channel: Channel, path: str) -> bytes:
    """Fetch a list."""
    response = await channel.get(path)
    try:
        if response.status_code != 200:
            place = f"{channel.server}{path.partition('?')[0]}"
            raise NoListError(f"status {response.status_code}, no list at {place}")
        return await read_content(response, LIST_BYTES)
    finally:
        await response.aclose()
