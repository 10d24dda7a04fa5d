"""The lists of models that providers keep: asked for once, outside of a running daemon.

Rules of this file: a GET of the list and nothing else, to providers that the configuration enables.
Who does not answer is told beside the lists of the others; nothing is retried.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
from msgspec import Struct, structs

from routerd.app.providers import LiveProvider, Wanted, build_providers
from routerd.app.startup import Startup, prepare_transport
from routerd.providers.base import ListedModel, ListingAdapter
from routerd.providers.transport import TransportError, read_content

__all__ = ["ModelLists", "ask_for_lists"]

ANSWER_SECONDS = 15.0
# OpenRouter's is the longest known, some megabytes.
LIST_BYTES = 16 * 1024 * 1024


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
    """Return a provider as it is asked for its list alone."""
    if not isinstance(item.adapter, ListingAdapter):
        return item
    address = item.adapter.list_address(item.entry.base_url)
    return structs.replace(item, entry=structs.replace(item.entry, base_url=address))


async def _ask_all(providers: Iterable[LiveProvider]) -> ModelLists:
    found = ModelLists({}, {})

    async def ask(provider: LiveProvider) -> None:
        name = provider.entry.id
        failure = f"no answer within {ANSWER_SECONDS:.0f} s"
        with anyio.move_on_after(ANSWER_SECONDS):
            try:
                response = await provider.channel.get(provider.adapter.models_path)
                try:
                    body = await read_content(response, LIST_BYTES)
                finally:
                    await response.aclose()
            except TransportError as error:
                found.failures[name] = str(error)
                return
            models = provider.adapter.list_models(body) if response.status_code == 200 else []
            if models:
                found.lists[name] = models
                return
            failure = f"status {response.status_code}, no list"
        found.failures[name] = failure

    async with anyio.create_task_group() as tasks:
        for provider in providers:
            tasks.start_soon(ask, provider, name=f"list models of {provider.entry.id}")
    return found
