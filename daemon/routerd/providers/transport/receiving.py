"""An answer on its way in, on aiohttp's connections.

Rules: bytes that came before a failure are handed over before the failure is raised; a reader that
is cancelled may read on; closing never waits and takes the connection down at once, unless the
body is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader

from routerd.providers.transport.failures import ENGINE_ERRORS, as_httpx_error, root_cause

SWITCHING_PROTOCOLS = 101
FIRST_FINAL = 200


class Abortable(Protocol):
    """A part of a call that still holds a connection."""

    def abort(self) -> None:
        """Give the connection up at once."""
        ...


class AiohttpAnswer:
    """An answer, from the moment on that its request has a connection.

    `writer` is the task that writes a large request, None where all of it is written. `open_parts`
    holds the answer for as long as it has a connection, so that the transport can end it.
    """

    __slots__ = (
        "_closed",
        "_connection",
        "_content",
        "_failure",
        "_host",
        "_open_parts",
        "_watched",
        "headers",
        "http_version",
        "protocol",
        "raw_headers",
        "status_code",
        "writer",
    )

    def __init__(self, connection: Connection, host: str, open_parts: set[Abortable]) -> None:
        protocol = connection.protocol
        if protocol is None:  # the connector gives out none like that
            raise aiohttp.ClientConnectionError("a connection without a protocol")
        self._connection: Connection | None = connection
        self._host = host
        self._open_parts = open_parts
        self._content: StreamReader | None = None
        self._failure: Exception | None = None
        self._closed = False
        self._watched: asyncio.Future[None] | None = None
        self.protocol: ResponseHandler = protocol
        self.writer: asyncio.Task[None] | None = None
        self.status_code = 0
        self.headers: Mapping[str, str] = {}
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.http_version = aiohttp.HttpVersion11
        open_parts.add(self)

    async def begin(self) -> None:
        """Wait for the headers of the final answer."""
        while True:
            message, content = await self.protocol.read()
            code = message.code
            if code >= FIRST_FINAL or code == SWITCHING_PROTOCOLS or code < 100:
                break
        self.status_code = code
        self.headers, self.raw_headers = message.headers, message.raw_headers
        self.http_version = message.version
        self._content = content
        content.on_eof(self._complete)
        if self._connection is not None:
            self._watch()

    @property
    def stays_open(self) -> bool:
        """Whether the server keeps a connection after this answer."""
        options = self.headers.get("Connection", "").lower()
        return "close" not in options and (
            self.http_version != aiohttp.HttpVersion10 or "keep-alive" in options
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        content = self._content
        if self._closed or content is None:
            raise httpx.StreamClosed
        if self._failure is None:
            try:
                data = await content.readany()
            except (*ENGINE_ERRORS, RuntimeError) as error:
                data = self._bytes_before(error, content)
            else:
                if not data:
                    self._end()
            if data:
                return data
        if self._failure is None:
            raise StopAsyncIteration
        failure = as_httpx_error(self._failure, self._host, sent=True, proxied=False)
        raise failure from root_cause(self._failure)

    async def aclose(self) -> None:
        """Stop reading; gives the connection up unless the body is complete."""
        self._closed = True
        if self._connection is not None:
            self._give_up()

    def abort(self) -> None:
        """Give the connection up; whoever reads gets an error."""
        self._failure = self._failure or aiohttp.ClientConnectionError("transport closed")
        self._give_up()

    def _bytes_before(self, error: Exception, content: StreamReader) -> bytes:
        """Keep a failure and return what was received before it."""
        connection = self._connection
        if isinstance(error, RuntimeError):
            if connection is not None and not connection.closed:
                raise error  # two readers at once: a fault of ours, not of the connection
            error = aiohttp.ClientPayloadError("read after the connection was lost")
        self._failure = self._failure or error
        # aiohttp raises its error first and drops what is queued.
        data = content._read_nowait(-1)  # noqa: SLF001
        self._give_up()
        return data

    def _end(self) -> None:
        """Take the end of the body; a reset is none, where only the end of the connection ends it.

        aiohttp reports a body without a length as complete however its connection ended.
        """
        lost = self.protocol.exception()
        headers = self.headers
        if isinstance(lost, aiohttp.ClientOSError) and not (
            "Content-Length" in headers or "Transfer-Encoding" in headers
        ):
            self._failure = lost

    def _complete(self) -> None:
        """Give the connection back: the last byte of the body is here."""
        connection = self._forget()
        if connection is None:
            return
        if self.writer is None or self.writer.done():
            connection.release()
        else:  # it was answered before it was read
            close(connection)

    def _give_up(self) -> None:
        """Take the connection down, if there still is one; whoever reads hears of it."""
        connection = self._forget()
        if connection is None:
            return
        content = self._content
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientConnectionError("connection closed"))
        close(connection)

    def _forget(self) -> Connection | None:
        """Hold the connection no longer; returns it, None where it was let go before."""
        connection, self._connection = self._connection, None
        self._open_parts.discard(self)
        if self._watched is not None:
            self._watched.remove_done_callback(self._connection_lost)
            self._watched = None
        if self.writer is not None:
            self.writer.cancel()
        return connection

    def _watch(self) -> None:
        """End the body when its connection ends.

        aiohttp does not where the body stops being HTTP: its parser gives up, the connection is
        closed, the read time-out is off, and the reader would wait for ever.
        """
        closed = self._watched = self.protocol.closed
        if closed is None:
            self._connection_lost(None)
            return
        closed.remove_done_callback(take_exception)
        closed.add_done_callback(take_exception)
        closed.add_done_callback(self._connection_lost)

    def _connection_lost(self, _closed: asyncio.Future[None] | None) -> None:
        content = self._content
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection ended in the body"))


def close(connection: Connection) -> None:
    """Take a connection down at once; over TLS `close` alone would wait for a goodbye."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


def take_exception(closed: asyncio.Future[None]) -> None:
    """Look at how a connection ended, or asyncio complains that nobody did."""
    if not closed.cancelled():
        closed.exception()
