"""Calls on asyncio, with its own loop or uvloop; not on trio. Imported by the first such call.

Rules of this file: a link belongs to the loop that made it and is touched by that loop's thread
alone, but for `close`, which any thread may call. A pool belongs to one loop and ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Final

from routerd_client.address import Dialing
from routerd_client.errors import BROKE, Failed, Lost
from routerd_client.limits import Limits
from routerd_client.request import Request, StreamPart
from routerd_client.run import Run
from routerd_client.wire import GREET_FIRST_BYTES, Wire
from routerd_proto import ProtocolError

__all__ = ["AsyncPools", "AsyncRun"]

READ_BYTES: Final = 64 * 1024


class AsyncLink(asyncio.Protocol):
    """One connection, on one loop."""

    def __init__(
        self, connection: socket.socket, wire: Wire, max_waiting: int, links: Links
    ) -> None:
        self.wire = wire
        self.reused = False
        self.in_pool = False
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._owner = os.getpid()
        self._links = links
        self._max_waiting = max_waiting
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        # Why no more frames come; those that arrived before are still read.
        self._ending: Lost | None = None
        links.open.add(self)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # of a stream: reads and writes

    def data_received(self, data: bytes) -> None:
        """Cut frames; stop reading where the consumer is slow."""
        if self.in_pool:
            # Nothing was asked: at most this is the daemon's farewell.
            self._end(Lost("the daemon closed the idle connection"))
            return
        wire = self.wire
        wire.feed(data)
        if len(wire.frames) > self._max_waiting and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Take the daemon's hang-up."""
        self._end(Lost(self.wire.end_of_stream()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the transport."""
        self._end(Lost(BROKE.format(exc) if exc else self.wire.end_of_stream()))

    def _end(self, ending: Lost) -> None:
        if self._ending is None:
            self._ending = ending
        self._links.forget(self)
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What a run calls.

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._ending is None and self.wire.is_idle

    async def open(self, request: Request) -> None:
        """Send a request, with the greeting if it is the first one."""
        data = request.encode()
        if self.wire.is_new and len(data) > GREET_FIRST_BYTES:
            self._send(self.wire.greet())
            while not self.wire.is_idle:
                await self.receive(request.deadline)
                self.wire.take()
        self._send(self.wire.request(request.frame, data))

    def _send(self, data: bytes | bytearray) -> None:
        if self._ending is not None:
            raise self._farewell(self._ending)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            # A transport would throw away what it has not read: the daemon's reason to close.
            with contextlib.suppress(OSError):
                self.wire.feed(self._socket.recv(READ_BYTES))
            raise self._farewell(Lost(BROKE.format(error.strerror))) from error
        if sent < len(data) and self._transport is not None:
            self._transport.write(memoryview(data)[sent:])

    def _farewell(self, ending: Lost) -> Lost | ProtocolError:
        """Return the daemon's own reason if it gave one, else this."""
        try:
            while self.wire.frames:
                self.wire.take()
        except (Lost, ProtocolError) as reason:
            return reason
        return ending

    async def receive(self, deadline: float | None) -> None:
        """Return as soon as a frame is there. Raises Lost, ProtocolError, or TimeoutError."""
        wire = self.wire
        while not wire.frames:
            if wire.broken is not None:
                raise wire.broken
            if self._ending is not None:
                raise self._ending
            if self._waiter is not None:
                raise RuntimeError("two tasks read the same stream")
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            waiter = self._waiter = self._loop.create_future()
            try:
                if deadline is None:
                    await waiter
                else:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        await waiter
            finally:
                self._waiter = None

    def close(self) -> None:
        """Hang up, from whatever thread."""
        if os.getpid() != self._owner:
            return  # in a forked child loop, transport and descriptor are still the parent's
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        ending = Lost("the caller hung up")
        with contextlib.suppress(RuntimeError):  # the loop is closed
            if threading.get_ident() == self._thread:
                self._end(ending)
            else:
                self._loop.call_soon_threadsafe(self._end, ending)


class Links:
    """The links of one pool: all that are open, and the idle ones, the last one used at the end."""

    def __init__(self) -> None:
        self.open: set[AsyncLink] = set()
        self.idle: list[AsyncLink] = []
        self._closing: AsyncGenerator[None, None] | None = None

    def forget(self, link: AsyncLink) -> None:
        """Take out a link that is closed."""
        self.open.discard(link)
        if link.in_pool:
            link.in_pool = False
            self.idle.remove(link)

    def end_with_the_loop(self) -> None:
        """Arrange to be closed by `loop.shutdown_asyncgens`, the only farewell a loop has."""
        self._closing = self._wait_and_close()
        step(self._closing.asend(None))

    async def _wait_and_close(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._closing = None  # it would hold on to the loop
            for link in tuple(self.open):
                link.close()

    def close(self) -> None:
        """Close all links now."""
        if self._closing is not None:
            step(self._closing.aclose())


def step(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits, to its next yield or its end."""
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        coroutine.send(None)


class AsyncPool:
    """The connections of the running loop."""

    def __init__(self, paths: tuple[str, ...], limits: Limits) -> None:
        self._paths = paths
        self._limits = limits
        self._links = Links()
        self._links.end_with_the_loop()
        self.close = weakref.finalize(self, self._links.close)

    async def take(self, request: Request, *, fresh: bool) -> AsyncLink:
        """Return a connection, a new one if `fresh`. Raises Failed (`daemon_unavailable`)."""
        if self._links.idle and not fresh:
            link = self._links.idle.pop()
            link.in_pool = False
            return link
        limits = self._limits
        dialing = Dialing(self._paths, limits.connect_patience, request.deadline)
        while isinstance(found := dialing.attempt(), float):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(found)
        wire = Wire(limits.max_frame_bytes)
        link = AsyncLink(found, wire, limits.max_waiting_frames, self._links)
        try:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: link, sock=found)
        except BaseException:  # cancelled too: no socket stays behind
            link.close()
            found.close()
            raise
        return link

    def put(self, link: AsyncLink) -> None:
        """Take a connection back; close it if it cannot carry another request."""
        if link.is_usable and len(self._links.idle) < self._limits.max_idle:
            link.reused = link.in_pool = True
            self._links.idle.append(link)
        else:
            link.close()


class AsyncPools:
    """A pool for each loop, for as long as the loop lives."""

    def __init__(self, paths: tuple[str, ...], limits: Limits) -> None:
        self._paths = paths
        self._limits = limits
        self._lock = threading.Lock()
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncPool]
        self._pools = weakref.WeakKeyDictionary()
        self._inherited: list[object] = []
        self._last: tuple[weakref.ref[asyncio.AbstractEventLoop], AsyncPool] | None = None

    def current(self) -> AsyncPool:
        """Return the pool of the running loop."""
        loop = asyncio.get_running_loop()
        last = self._last  # nearly always the same loop as before
        if last is not None and last[0]() is loop:
            return last[1]
        pool = self._pools.get(loop)
        if pool is None:
            pool = AsyncPool(self._paths, self._limits)
            with self._lock:
                for other in [other for other in self._pools if other.is_closed()]:
                    del self._pools[other]
                self._pools[loop] = pool
        self._last = (weakref.ref(loop), pool)
        return pool

    def start(self, request: Request) -> AsyncRun:
        """Start a request on the running loop."""
        return AsyncRun(self.current(), request)

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        self._last = None
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            pool.close()
            await asyncio.sleep(0)  # the loop closes a transport one turn after it was told to

    def after_fork(self) -> None:
        """Leave the parent's connections alone, in the child.

        They are kept, not closed: to close one would take it out of the epoll set that child and
        parent share, and the parent would never hear from it again.
        """
        self._lock = threading.Lock()
        self._last = None
        self._inherited.append(self._pools)
        self._pools = weakref.WeakKeyDictionary()


class AsyncRun(Run[AsyncPool, AsyncLink]):
    """Carries one request to its end, waiting in the running loop."""

    async def advance(self, *, to_end: bool = False) -> StreamPart | None:
        """Return the next part of the answer, None at its end. Raises a RouterdError.

        `to_end` does not stop at parts: they are kept by the request.
        """
        request = self.request
        while not request.ended and request.failure is None:
            try:
                link = self.link
                if link is None:
                    link = self.link = await self.pool.take(request, fresh=self.lost)
                    await link.open(request)
                wire = link.wire
                if not wire.frames:
                    await link.receive(request.deadline)
                part = request.take(wire.take())
            except (Lost, Failed, ProtocolError, TimeoutError) as error:
                self.interrupt(error)
            except BaseException:  # cancelled: the daemon is to know at once
                self.close()
                raise
            else:
                if part is not None and not to_end:
                    return part
        if self.link is not None:
            link, self.link = self.link, None
            self.pool.put(link)
        if request.failure is not None:
            raise request.error()
        return None
