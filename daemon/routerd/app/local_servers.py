"""Model servers on this machine: looked for at their usual ports, or where the environment says.

Rules of this file: only lists of models are asked for, for a fraction of a second, so that a start
without any such server is not slower. What is found is told; what is not found is no error.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
from msgspec import Struct, structs

from routerd.errors import StartError
from routerd.models.schema import Provider
from routerd.providers.base import ListedModel
from routerd.providers.registry import build_adapter
from routerd.providers.transport import Channel, Transport, TransportError, read_content

__all__ = ["LocalServer", "find_local_servers", "places_to_look"]

LOOK_SECONDS = 0.5
LIST_BYTES = 1024 * 1024


class LocalServer(Struct, frozen=True):
    """A server that answered, and the models it lists."""

    entry: Provider
    models: list[ListedModel]


def places_to_look(known: Mapping[str, Provider], environ: Mapping[str, str]) -> list[Provider]:
    """Return the local servers to ask: the usual ones, or those of $ROUTERD_LOCAL_SERVERS.

    The variable holds `kind=URL` pairs with commas between them; empty means none. $OLLAMA_HOST is
    honoured as Ollama itself does.
    """
    kinds = {name: entry for name, entry in known.items() if entry.local_server}
    named = environ.get("ROUTERD_LOCAL_SERVERS")
    if named is None:
        host = environ.get("OLLAMA_HOST", "").strip().rstrip("/")
        if host and "ollama" in kinds:
            host = host.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - a server's own bind address
            base = host if host.startswith(("http://", "https://")) else f"http://{host}"
            if base.count(":") == 1:
                base += ":11434"
            kinds["ollama"] = structs.replace(kinds["ollama"], base_url=f"{base}/v1")
        return list(kinds.values())
    places = []
    for pair in filter(None, (item.strip() for item in named.split(","))):
        kind, separator, url = pair.partition("=")
        if not separator or kind not in kinds or not url.startswith("http"):
            raise StartError(
                f"ROUTERD_LOCAL_SERVERS holds {pair!r}; expected kind=URL with a kind of "
                f"{', '.join(kinds)}, such as ollama=http://127.0.0.1:11434/v1."
            )
        places.append(structs.replace(kinds[kind], base_url=url.rstrip("/")))
    return places


async def find_local_servers(places: list[Provider], transport: Transport) -> list[LocalServer]:
    """Ask all places at once; returns those that answered, in the order given."""
    found: dict[str, LocalServer] = {}

    async def look(entry: Provider) -> None:
        adapter = build_adapter(entry.adapter, entry.dialect)
        channel = Channel(
            transport, entry.base_url, adapter.authorize(None), connect_seconds=LOOK_SECONDS
        )
        try:
            response = await channel.get(adapter.models_path)
            try:
                body = await read_content(response, LIST_BYTES)
            finally:
                await response.aclose()
        except TransportError:
            return
        models = adapter.list_models(body) if response.status_code == 200 else []
        if models:
            found[entry.id] = LocalServer(entry, models)

    with anyio.move_on_after(LOOK_SECONDS):
        async with anyio.create_task_group() as tasks:
            for entry in places:
                tasks.start_soon(look, entry, name=f"look for {entry.id}")
    return [found[entry.id] for entry in places if entry.id in found]
