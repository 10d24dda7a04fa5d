"""Calls on plain blocking sockets, from any number of threads.

Rules of this file: one thread at a time uses a link; the pool is the only thing they share. An idle
socket in the pool is not watched: that it died is found out, and mended, by the next call.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from typing import Final

from routerd_client.address import Dialing
from routerd_client.errors import BROKE, Failed, Lost
from routerd_client.limits import Limits
from routerd_client.request import Request, StreamPart
from routerd_client.run import Run
from routerd_client.wire import GREET_FIRST_BYTES, Wire
from routerd_proto import ProtocolError

__all__ = ["BlockingPool", "BlockingRun"]

READ_BYTES: Final = 32 * 1024


class BlockingLink:
    """One connection."""

    __slots__ = ("_owner", "_socket", "_timed", "reused", "wire")

    def __init__(self, connection: socket.socket, wire: Wire) -> None:
        connection.setblocking(True)
        self.wire = wire
        self.reused = False
        self._socket = connection
        self._timed = False
        self._owner = os.getpid()

    def open(self, request: Request) -> None:
        """Send a request, with the greeting if it is the first one."""
        data = request.encode()
        if self.wire.is_new and len(data) > GREET_FIRST_BYTES:
            self._send(self.wire.greet(), request.deadline)
            while not self.wire.is_idle:
                self.receive(request.deadline)
                self.wire.take()
        self._send(self.wire.request(request.frame, data), request.deadline)

    def _send(self, data: bytes | bytearray, deadline: float | None) -> None:
        self._limit(deadline)
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            # The daemon may have said why before it closed.
            with contextlib.suppress(Lost):
                self.receive(deadline)
            while self.wire.frames:
                self.wire.take()
            raise Lost(BROKE.format(error.strerror)) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise Lost(BROKE.format(error.strerror)) from error

    def receive(self, deadline: float | None) -> None:
        """Return as soon as a frame is there. Raises Lost, ProtocolError, or TimeoutError."""
        wire = self.wire
        while not wire.frames:
            if wire.broken is not None:
                raise wire.broken
            self._limit(deadline)
            try:
                data = self._socket.recv(READ_BYTES)
            except TimeoutError:
                raise
            except OSError as error:
                raise Lost(BROKE.format(error.strerror)) from error
            if not data:
                raise Lost(wire.end_of_stream())
            wire.feed(data)

    def _limit(self, deadline: float | None) -> None:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            self._timed = True
        elif self._timed:
            self._socket.settimeout(None)
            self._timed = False

    def close(self) -> None:
        """Hang up; a thread that waits in `receive` is woken."""
        if os.getpid() == self._owner:
            # Seen at once, even while a forked child holds a copy of the descriptor. Done in such
            # a child it would cut off the parent.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class BlockingPool:
    """Idle connections, the one used last first. Safe for threads; bounded by `max_idle`."""

    def __init__(self, paths: tuple[str, ...], limits: Limits) -> None:
        self._paths = paths
        self._limits = limits
        self._idle: list[BlockingLink] = []
        self._lock = threading.Lock()
        weakref.finalize(self, close_all, self._idle)

    def take(self, request: Request, *, fresh: bool) -> BlockingLink:
        """Return a connection, a new one if `fresh`. Raises Failed (`daemon_unavailable`)."""
        if not fresh:
            with self._lock:
                if self._idle:
                    return self._idle.pop()
        dialing = Dialing(self._paths, self._limits.connect_patience, request.deadline)
        while isinstance(found := dialing.attempt(), float):
            threading.Event().wait(found)
        return BlockingLink(found, Wire(self._limits.max_frame_bytes))

    def put(self, link: BlockingLink) -> None:
        """Take a connection back; close it if it cannot carry another request."""
        if link.wire.is_idle:
            link.reused = True
            with self._lock:
                if len(self._idle) < self._limits.max_idle:
                    self._idle.append(link)
                    return
        link.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle = self._idle[:]
            self._idle.clear()
        close_all(idle)

    def after_fork(self) -> None:
        """Drop the parent's connections, in the child, where the old lock may be held for ever."""
        self._lock = threading.Lock()
        close_all(self._idle)


def close_all(links: list[BlockingLink]) -> None:
    """Close these connections and empty the list."""
    while links:
        links.pop().close()


class BlockingRun(Run[BlockingPool, BlockingLink]):
    """Carries one request to its end, waiting in the calling thread."""

    def advance(self, *, to_end: bool = False) -> StreamPart | None:
        """Return the next part of the answer, None at its end. Raises a RouterdError.

        `to_end` does not stop at parts: they are kept by the request.
        """
        request = self.request
        while not request.ended and request.failure is None:
            try:
                link = self.link
                if link is None:
                    link = self.link = self.pool.take(request, fresh=self.lost)
                    link.open(request)
                wire = link.wire
                if not wire.frames:
                    link.receive(request.deadline)
                part = request.take(wire.take())
            except (Lost, Failed, ProtocolError, TimeoutError) as error:
                self.interrupt(error)
            except BaseException:  # Ctrl-C: the daemon is to know at once
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
