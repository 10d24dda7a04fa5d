"""Raw servers on loopback, written byte for byte, and transports that are closed again.

The servers here know nothing of HTTP but where a request ends; what they answer is in the tests.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import pytest
import trustme

from routerd.providers.transport import (
    Request,
    Timeouts,
    Transport,
    TransportSettings,
    build_transport,
    open_answer,
    read_content,
)


@dataclass
class Received:
    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    connection: int

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Connection:
    server: Server
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_head(self) -> Received | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        line, *rest = head[:-4].split(b"\r\n")
        headers = [
            (name, value.strip()) for name, _, value in (each.partition(b":") for each in rest)
        ]
        return Received(line, headers, b"", self.number)

    async def read_request(self) -> Received | None:
        received = await self.read_head()
        if received is not None:
            length = int(received.header(b"content-length") or 0)
            received.body = await self.reader.readexactly(length)
            self.server.requests.append(received)
            self.server.received.set()
            self.server.changed.set()
        return received

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"ok", status: str = "200 OK", more: bytes = b"") -> None:
        length = b"content-length: %d\r\n" % len(body)
        await self.send(b"HTTP/1.1 " + status.encode() + b"\r\n" + more + length + b"\r\n" + body)

    def reset(self) -> None:
        """End the connection with a reset instead of an orderly end."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        """Wait until the client has closed the connection, and say so."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass
        self.server.closed_by_client.append(self.number)
        self.server.client_closed.set()
        self.server.changed.set()


Handler = Callable[[Connection], Awaitable[None]]


@dataclass
class Server:
    handler: Handler
    scheme: str
    port: int = 0
    accepted: int = 0
    open: int = 0
    requests: list[Received] = field(default_factory=list)
    received: asyncio.Event = field(default_factory=asyncio.Event)
    closed_by_client: list[int] = field(default_factory=list)
    client_closed: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def url(self, path: str = "/") -> str:
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the server counts."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.accepted += 1
        self.open += 1
        try:
            await self.handler(Connection(self, self.accepted, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left in the middle, or the test is over
        finally:
            self.open -= 1
            self.tasks.discard(task)
            writer.transport.abort()
            self.changed.set()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    running: list[tuple[Server, asyncio.Server]] = []

    async def start(handler: Handler, tls: ssl.SSLContext | None = None) -> Server:
        server = Server(handler, "http" if tls is None else "https")
        listener = await asyncio.start_server(
            server.handle, "127.0.0.1", 0, ssl=tls, backlog=2048, limit=2**20
        )
        server.port = listener.sockets[0].getsockname()[1]
        running.append((server, listener))
        return server

    yield start
    for server, listener in running:
        listener.close()
        tasks = tuple(server.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["aiohttp", "httpx"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Engine = Literal["aiohttp", "httpx"]


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Awaitable[Transport]]]:
    """Build transports as the daemon does, off the loop, and close them."""
    made: list[Transport] = []

    async def build(engine: Engine = "aiohttp", **settings: Any) -> Transport:
        wanted = TransportSettings(engine=engine, **settings)
        transport = await anyio.to_thread.run_sync(build_transport, wanted)
        made.append(transport)
        return transport

    yield build
    for transport in made:
        await transport.aclose()


def host_of(url: str) -> tuple[bytes, bytes]:
    """Return the header that names the host of a URL."""
    return b"host", urlsplit(url).netloc.rpartition("@")[2].encode()


@pytest.fixture
def request_to() -> Callable[..., Request]:
    def build(
        url: str,
        *,
        method: str = "POST",
        content: bytes = b'{"q":1}',
        headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),),
        connect: float = 5.0,
        read: float = 5.0,
        write: float = 5.0,
    ) -> Request:
        host = [] if any(name.lower() == b"host" for name, _ in headers) else [host_of(url)]
        return Request(
            method,
            url,
            [*host, *headers],
            content if method == "POST" else None,
            Timeouts(connect=connect, read=read, write=write),
        )

    return build


@pytest.fixture
def fetch(request_to: Callable[..., Request]) -> Callable[..., Awaitable[tuple[int, bytes]]]:
    async def call(transport: Transport, url: str, **kwargs: Any) -> tuple[int, bytes]:
        async with open_answer(transport, request_to(url, **kwargs)) as response:
            return response.status_code, await read_content(response)

    return call


@dataclass
class Authority:
    ca_file: str
    server: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority and a server that it vouches for as localhost."""
    ca = trustme.CA()
    path: Path = tmp_path_factory.mktemp("authority") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    return Authority(str(path), context)


@pytest.fixture
def full_listener() -> Iterator[str]:
    """Yield the URL of a listener whose backlog is full: connecting to it hangs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    for each in (listener, *fillers):
        each.close()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
