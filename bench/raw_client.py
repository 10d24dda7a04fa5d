"""The cheapest client in Python there can be: it reads just enough to know when an answer ends.

Rules of this file: it understands the fixed form in which the fake provider answers, and what
gateways make of that, and nothing else. It serves to call the provider directly, through the relay,
and through other routers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Final, cast

__all__ = ["RawClient", "get", "post"]

GOOD: Final = b"HTTP/1.1 200"
LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
HEAD_END: Final = b"\r\n\r\n"
STREAM_END: Final = b"0\r\n\r\n"
BENCH_KEY: Final = {"authorization": "Bearer bench"}


class RawConnection(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._received: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._received.append(b"")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        """Return all that came, as soon as something did."""
        while not self._received:
            self._waiter = self._loop.create_future()
            await self._waiter
        data = b"".join(self._received)
        if not data:
            raise ConnectionError("the connection ended before the answer")
        self._received.clear()
        return data


class RawClient:
    """Call the provider at a port, or what listens on a Unix socket."""

    def __init__(self, *, port: int = 0, path: str | None = None) -> None:
        self._port = port
        self._path = path
        self.idle: list[RawConnection] = []

    async def _connect(self) -> RawConnection:
        while self.idle:
            # Who was idle for some seconds may have been hung up on.
            if not (connection := self.idle.pop()).is_lost:
                return connection
        loop = asyncio.get_running_loop()
        if self._path is not None:
            _, connection = await loop.create_unix_connection(RawConnection, self._path)
        else:
            _, connection = await loop.create_connection(RawConnection, "127.0.0.1", self._port)
        return connection

    async def call(self, request: bytes) -> bytes:
        """Send a whole request and return the body of its answer."""
        connection = await self._connect()
        connection.transport.write(request)
        answer = await connection.read()
        while HEAD_END not in answer:
            answer += await connection.read()
        head, _, body = answer.partition(HEAD_END)
        length = LENGTH.search(head)
        if length is None or not head.startswith(GOOD):
            raise ValueError(f"it answers with {first_line(head)}")
        while len(body) < int(length[1]):
            body += await connection.read()
        self.idle.append(connection)
        return body

    async def stream(self, request: bytes) -> AsyncGenerator[bytes, None]:
        """Send a request and yield the bytes of its answer as they come; hangs up if left early."""
        connection = await self._connect()
        is_whole = False
        tail = b""
        try:
            connection.transport.write(request)
            while not is_whole:
                data = await connection.read()
                if not tail and not data.startswith(GOOD):
                    raise ValueError(f"it answers a stream with {first_line(data)}")
                tail = (tail + data[-len(STREAM_END) :])[-len(STREAM_END) :]
                is_whole = tail == STREAM_END
                yield data
            self.idle.append(connection)
        finally:
            if not is_whole:
                connection.transport.abort()

    def close(self) -> None:
        """Close what is idle."""
        for connection in self.idle:
            connection.transport.abort()
        self.idle.clear()


def first_line(head: bytes) -> str:
    return head.partition(b"\r\n")[0].decode("latin-1")


def post(body: bytes, headers: Mapping[str, str] = BENCH_KEY) -> bytes:
    """Return a request for a chat completion."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: application/json\r\n%s"
        b"content-length: %d\r\n\r\n%s" % (lines.encode(), len(body), body)
    )


def get(path: str) -> bytes:
    """Return a request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
