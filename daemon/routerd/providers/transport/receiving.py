"""An answer on its way in, on a connection of aiohttp's.

Rules: bytes that came before a failure are handed over before the failure is raised; a reader that
is cancelled may read on; closing never waits and takes the connection down at once, unless the
body is complete.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any, Final, Protocol

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from routerd.providers.transport.failures import as_httpx_error, root_cause
from routerd.providers.transport.http_answer import AnswerParser, BrokenBodyError, BrokenHeadError
from routerd.providers.transport.sending import Sending

__all__ = ["Abortable", "AiohttpAnswer", "Carrier"]

# Of a body that nobody reads; then the connection waits.
MOST_BUFFERED: Final = 512 * 1024
NO_QUEUE: Final[deque[Any]] = deque(maxlen=0)


class Abortable(Protocol):
    """A part of a call that still holds a connection."""

    def abort(self) -> None:
        """Give the connection up at once."""
        ...


class Carrier(ResponseHandler):
    """A connection: it hands what comes to the answer that it carries at the moment.

    Without one it is idle, or a proxy's that is still asked for a tunnel; that aiohttp reads.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._answer: AiohttpAnswer | None = None

    def carry(self, answer: AiohttpAnswer, read_seconds: float | None) -> None:
        """Carry an answer from now on; no byte for so long ends it, once reading was begun."""
        self._answer = answer
        self._read_timeout = read_seconds
        # What aiohttp would queue its own answers in, kept for nothing by every connection.
        self._buffer = NO_QUEUE

    def let_go(self) -> None:
        """Carry nothing any more."""
        self._answer = None
        self._drop_timeout()

    def pause(self) -> None:
        """Read no further for now; that is no silence of the server's."""
        self._drop_timeout()
        self._pause_transport_reading()

    def go_on(self) -> None:
        """Read on."""
        self._resume_transport_reading()
        self._reschedule_timeout()

    # --- what the loop calls ------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Hand on what came; an idle connection on which something comes is not used again."""
        answer = self._answer
        if answer is not None:
            if self._read_timeout is not None:
                self._reschedule_timeout()
            answer.take(data)
        elif self._parser is not None:
            super().data_received(data)
        elif self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the answer that nothing more comes."""
        answer, self._answer = self._answer, None
        super().connection_lost(exc)
        if answer is not None:
            answer.lost(exc)

    def _on_read_timeout(self) -> None:
        if self._answer is None:
            super()._on_read_timeout()
        else:
            self._answer.fail(aiohttp.SocketTimeoutError())


class Keeper(Protocol):
    """Where connections go whose answer is complete."""

    def keep(self, connection: Connection, carrier: Carrier) -> None:
        """Take one."""
        ...


class AiohttpAnswer:
    """An answer, from the moment on that its request has a connection.

    `writer` is the task that writes a large request, None where all of it is written. `open_parts`
    holds the answer for as long as it has a connection, so that the transport can end it. `sending`
    counts how long it is waited for. `keeper` takes the connection when the body is complete.
    """

    __slots__ = (
        "_carrier",
        "_closed",
        "_connection",
        "_failure",
        "_host",
        "_keeper",
        "_loop",
        "_open_parts",
        "_parser",
        "_paused",
        "_sending",
        "_waiter",
        "writer",
    )

    def __init__(
        self,
        connection: Connection,
        carrier: Carrier,
        parser: AnswerParser,
        host: str,
        open_parts: set[Abortable],
        sending: Sending,
        keeper: Keeper,
    ) -> None:
        self._connection: Connection | None = connection
        self._carrier = carrier
        self._parser = parser
        self._host = host
        self._open_parts = open_parts
        self._sending = sending
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._closed = self._paused = False
        self.writer: asyncio.Task[None] | None = None
        open_parts.add(self)

    # --- what who asked for it calls ----------------------------------------------------------

    async def begin(self) -> None:
        """Wait for the headers; raises one of `ENGINE_ERRORS`."""
        while not self._parser.status:
            if self._failure is not None:
                raise self._failure
            self._sending.waits_since = monotonic()
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    @property
    def status_code(self) -> int:
        """The status."""
        return self._parser.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name, in any case; where one came several times, the first."""
        return CIMultiDict(
            (name.decode("ascii"), value.decode("latin-1")) for name, value in self._parser.headers
        )

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as they came."""
        return self._parser.headers

    @property
    def names(self) -> Mapping[bytes, bytes]:
        """The headers by their names in lower case; where one came several times, the last."""
        return self._parser.names

    @property
    def stays_open(self) -> bool:
        """Whether the server keeps a connection after this answer."""
        return self._parser.keeps_open

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        parser = self._parser
        while True:
            if self._closed:
                raise httpx.StreamClosed
            if parser.pieces:
                if self._paused:
                    self._go_on()
                return parser.take()
            if self._failure is not None:
                failure = as_httpx_error(self._failure, self._host, sent=True, proxied=False)
                raise failure from root_cause(self._failure)
            if parser.complete:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("two tasks read the same answer")
            # Here and not in functions of their own: each part of a stream comes this way.
            self._sending.waits_since = monotonic()
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    async def aclose(self) -> None:
        """Stop reading; gives the connection up unless the body is complete."""
        self._closed = True
        self._give_up()

    def abort(self) -> None:
        """Give the connection up; whoever reads gets an error."""
        self.fail(aiohttp.ClientConnectionError("transport closed"))

    # --- what its connection calls ------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take what came; from here on it is the router that takes time."""
        sending = self._sending
        if sending.waits_since:
            sending.waited += monotonic() - sending.waits_since
            sending.waits_since = 0.0
        parser = self._parser
        try:
            parser.feed(data)
        except BrokenHeadError as error:
            self.fail(HttpProcessingError(message=str(error)))
        except BrokenBodyError as error:
            self.fail(aiohttp.ClientPayloadError(str(error)))
        else:
            if parser.complete:
                self._complete()
            elif parser.buffered > MOST_BUFFERED and not self._paused:
                self._paused = True
                self._carrier.pause()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def lost(self, error: BaseException | None) -> None:
        """Take the end of the connection, which ends a body without a length if it is orderly."""
        parser = self._parser
        if error is None and parser.ends_with_connection:
            parser.complete = True
        elif not parser.complete:
            self._failure = self._failure or self._why(error)
        self._give_up()
        self._wake()

    def fail(self, error: Exception) -> None:
        """End with a failure, and give the connection up."""
        if not self._parser.complete:
            self._failure = self._failure or error
        self._give_up()
        self._wake()

    def _why(self, error: BaseException | None) -> Exception:
        """Return aiohttp's exception for the end of a connection."""
        parser = self._parser
        cut = parser.status and not parser.ends_with_connection
        if cut:
            why: Exception = aiohttp.ClientPayloadError("the connection ended in the body")
        elif isinstance(error, OSError):
            why = aiohttp.ClientOSError(*error.args)
        elif error is None:
            why = aiohttp.ServerDisconnectedError()
        else:
            why = aiohttp.ClientConnectionError("connection lost")
        why.__cause__ = error
        return why

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _go_on(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._carrier.go_on()

    # --- how its connection is let go ---------------------------------------------------------

    def _complete(self) -> None:
        """Give the connection back: the last byte of the body is here."""
        parser, connection, carrier = self._parser, self._connection, self._carrier
        if connection is None:
            return
        is_written = self.writer is None or self.writer.done()
        self._forget()
        if not is_written:  # it was answered before it was read
            close(connection)
        elif parser.keeps_open and not parser.left_over and not carrier.should_close:
            self._keeper.keep(connection, carrier)
        else:
            connection.close()

    def _give_up(self) -> None:
        """Take the connection down, if there still is one."""
        connection = self._connection
        if connection is not None:
            self._forget()
            close(connection)

    def _forget(self) -> None:
        self._connection = None
        self._carrier.let_go()
        self._open_parts.discard(self)
        if self.writer is not None:
            self.writer.cancel()


def close(connection: Connection) -> None:
    """Take a connection down at once; over TLS `close` alone would wait for a goodbye."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()
