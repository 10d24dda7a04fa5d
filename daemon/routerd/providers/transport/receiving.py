"""The body of an answer on its way in, on aiohttp's connections.

Rules: bytes that came before a failure are handed over before the failure is raised; a reader that
is cancelled may read on; closing never waits and takes the connection down at once, unless the
body is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
import httpx

from routerd.providers.transport.failures import ENGINE_ERRORS, as_httpx_error, root_cause


class Abortable(Protocol):
    """A part of a call that still holds a connection."""

    def abort(self) -> None:
        """Give the connection up at once."""
        ...


class ResponseStream(httpx.AsyncByteStream):
    """The bytes of an answer as they come; all that is queued comes in one piece.

    `open_parts` holds the stream for as long as it has a connection, so that the transport can
    end it.
    """

    def __init__(self, response: aiohttp.ClientResponse, open_parts: set[Abortable]) -> None:
        self._response = response
        self._content = response.content
        self._open_parts = open_parts
        self._failure: Exception | None = None
        self._closed = False
        connection = response.connection
        # None: the whole body is here already, and the connection back in the pool.
        self._protocol = None if connection is None else connection.protocol
        if self._protocol is not None:
            open_parts.add(self)
            self._watch()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise httpx.StreamClosed
        if self._failure is None:
            try:
                data = await self._content.readany()
            except (*ENGINE_ERRORS, RuntimeError) as error:
                data = self._bytes_before(error)
            else:
                if not data:
                    self._end()
            if data:
                return data
        if self._failure is None:
            raise StopAsyncIteration
        host = self._response.url.host or ""
        failure = as_httpx_error(self._failure, host, sent=True, proxied=False)
        raise failure from root_cause(self._failure)

    async def aclose(self) -> None:
        """Stop reading; gives the connection up unless the body is complete."""
        self._closed = True
        self._release()

    def abort(self) -> None:
        """Give the connection up; whoever reads gets an error."""
        self._failure = self._failure or aiohttp.ClientConnectionError("transport closed")
        self._release()

    def _bytes_before(self, error: Exception) -> bytes:
        """Keep a failure and return what was received before it."""
        connection = self._response.connection
        if isinstance(error, RuntimeError):
            if connection is not None and not connection.closed:
                raise error  # two readers at once: a fault of ours, not of the connection
            error = aiohttp.ClientPayloadError("read after the connection was lost")
        self._failure = self._failure or error
        # aiohttp raises its error first and drops what is queued.
        data = self._content._read_nowait(-1)  # noqa: SLF001
        self._release()
        return data

    def _end(self) -> None:
        """Take the end of the body; a reset is none, where only the end of the connection ends it.

        aiohttp reports a body without a length as complete however its connection ended.
        """
        lost = None if self._protocol is None else self._protocol.exception()
        headers = self._response.headers
        if isinstance(lost, aiohttp.ClientOSError) and not (
            "Content-Length" in headers or "Transfer-Encoding" in headers
        ):
            self._failure = lost
        self._release()

    def _release(self) -> None:
        """Forget the connection: it is in the pool if the body was complete, else closed now."""
        self._open_parts.discard(self)
        if self._protocol is not None:
            closed = self._protocol.closed
            if closed is not None:
                closed.remove_done_callback(self._connection_lost)
            self._protocol = None
        response = self._response
        connection = response.connection
        if connection is not None and connection.transport is not None:
            # Not close(): over TLS that would wait for the provider to say goodbye.
            connection.transport.abort()
        if not response.closed:
            response.close()

    def _watch(self) -> None:
        """End the body when its connection ends.

        aiohttp does not where the body stops being HTTP: its parser gives up, the connection is
        closed, the read time-out is off, and the reader would wait for ever.
        """
        closed = None if self._protocol is None else self._protocol.closed
        if closed is None:
            self._connection_lost(None)
            return
        closed.remove_done_callback(take_exception)
        closed.add_done_callback(take_exception)
        closed.add_done_callback(self._connection_lost)

    def _connection_lost(self, _closed: asyncio.Future[None] | None) -> None:
        content = self._content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection ended in the body"))


def take_exception(closed: asyncio.Future[None]) -> None:
    """Look at how a connection ended, or asyncio complains that nobody did."""
    if not closed.cancelled():
        closed.exception()
