"""Model servers of your own: looked for where they usually are, and asked which models they have.

Rules of this file: only lists of models are asked for, and only for a moment, so that a start
without any such server is not slower. What is found is told; what is not found is no error. A
server on another machine is never taken for one on this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio
from msgspec import Struct, structs

from routerd.app.addresses import is_public, is_this_machine, is_web_address, vendor_at
from routerd.app.providers import LiveProvider
from routerd.errors import StartError
from routerd.models.directory import Directory
from routerd.models.schema import Provider
from routerd.providers.base import ListedModel
from routerd.providers.transport import TransportError, read_content

__all__ = ["LocalServer", "list_models", "ollama_address", "places_to_look", "without_models"]

LOOK_SECONDS = 1.0
LIST_BYTES = 1024 * 1024
OLLAMA_PORT = 11434


class LocalServer(Struct, frozen=True):
    """A server that answered, and the models it lists."""

    provider: LiveProvider
    models: list[ListedModel]


def places_to_look(known: Mapping[str, Provider], environ: Mapping[str, str]) -> list[Provider]:
    """Return the local servers to ask: the usual ones, or those of $ROUTERD_LOCAL_SERVERS.

    The variable holds `kind=URL` pairs with commas between them; empty means none. $OLLAMA_HOST is
    honoured as Ollama itself does. A place on another machine is of the boundary own-network; one
    that is a vendor's or public is none of one's own.
    """
    kinds = {
        name: _at(entry, entry.base_url) for name, entry in known.items() if entry.local_server
    }
    named = environ.get("ROUTERD_LOCAL_SERVERS")
    if named is None:
        host = environ.get("OLLAMA_HOST", "").strip()
        if host and "ollama" in kinds:
            address = ollama_address(host)
            if address is None or _is_somebody_elses(address, known):
                del kinds["ollama"]
            else:
                kinds["ollama"] = _at(kinds["ollama"], address)
        return list(kinds.values())
    places = []
    for pair in filter(None, (item.strip() for item in named.split(","))):
        kind, _, url = pair.partition("=")
        if kind not in kinds or not is_web_address(url):
            raise StartError(
                f"ROUTERD_LOCAL_SERVERS holds {pair!r}; expected kind=URL with a kind of "
                f"{', '.join(kinds)}, such as ollama=http://127.0.0.1:11434/v1."
            )
        if _is_somebody_elses(url, known):
            raise StartError(
                f"ROUTERD_LOCAL_SERVERS holds {pair!r}, which is no server of your own; expected "
                "an address of this machine or of your own network."
            )
        places.append(_at(kinds[kind], url))
    return places


def ollama_address(host: str) -> str | None:
    """Read $OLLAMA_HOST as Ollama's own client does; None for nonsense.

    It is [scheme://][host][:port][/path]; the port is 11434, or with a scheme that of the scheme.
    Source: Ollama, envconfig/config.go (MIT).
    """
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "http", host
    default = {"http": 80, "https": 443}.get(scheme) if separator else OLLAMA_PORT
    place, _, path = rest.partition("/")
    with suppress(ValueError):  # a name, or one with a port
        place = f"[{place}]" if ip_address(place).version == 6 else place
    try:
        parts = urlsplit(f"//{place}")
        name, port = parts.hostname or "127.0.0.1", parts.port or default
    except ValueError:
        return None
    if port is None:
        return None
    # What a server binds to reach it from everywhere is reached on this machine's own address.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - not bound here
    name = f"[{name}]" if ":" in name else name
    path = f"/{path.strip('/')}" if path.strip("/") else ""
    return f"{scheme}://{name}:{port}{path}/v1"


def _is_somebody_elses(address: str, known: Mapping[str, Provider]) -> bool:
    return is_public(address) or vendor_at(address, known.values()) is not None


def _at(entry: Provider, url: str) -> Provider:
    boundary = entry.boundary if is_this_machine(url) else "own-network"
    return structs.replace(entry, base_url=url.rstrip("/"), boundary=boundary)


def without_models(providers: Iterable[LiveProvider], directory: Directory) -> list[LiveProvider]:
    """Return the servers of your own whose models no file names, so that they must be asked."""
    described = {deployment.provider for deployment in directory.deployments.values()}
    return [
        provider
        for provider in providers
        if provider.entry.boundary != "vendor" and provider.entry.id not in described
    ]


async def list_models(servers: Iterable[LiveProvider]) -> list[LocalServer]:
    """Ask all servers at once; returns those that answered with a model, in the order given."""
    servers = list(servers)
    found: dict[str, LocalServer] = {}

    async def ask(server: LiveProvider) -> None:
        try:
            response = await server.channel.get(server.adapter.models_path)
            try:
                body = await read_content(response, LIST_BYTES)
            finally:
                await response.aclose()
        except TransportError:
            return
        models = server.adapter.list_models(body) if response.status_code == 200 else []
        if models:
            found[server.entry.id] = LocalServer(server, models)

    with anyio.move_on_after(LOOK_SECONDS):
        async with anyio.create_task_group() as tasks:
            for server in servers:
                tasks.start_soon(ask, server, name=f"look for {server.entry.id}")
    return [found[server.entry.id] for server in servers if server.entry.id in found]
