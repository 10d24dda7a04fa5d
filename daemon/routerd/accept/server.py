"""The socket server: takes connections, watches their time limits, and drains at the end.

Rules of this file: no frame is interpreted here; requests go to the two callables `app` hands in.
Every connection has one task in the server's task group, named after what it does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from routerd.accept.connection import Connection, Request
from routerd.accept.listener import BACKLOG, Listener
from routerd.settings import Limits, Socket
from routerd.telemetry.events import BugSeen, ConnectionRejected, Events
from routerd_proto import ErrorInfo, error_info
from routerd_proto.frames import CallRequested, CommandRequested
from routerd_proto.search import SearchRequested

__all__ = ["Server"]

ServeCall = Callable[[CallRequested | SearchRequested, Connection], Awaitable[None]]
ServeCommand = Callable[[CommandRequested, Connection], Awaitable[None]]
SWEEP_SECONDS = 1.0
# For those who were cut at the end of the drain to hear of it.
LAST_WORDS_SECONDS = 0.2
# From Python 3.13 on a server removes the file of its socket by itself; it may be systemd's.
KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


class Server:
    """Serve apps on one listening socket until told to drain."""

    def __init__(
        self,
        listener: Listener,
        *,
        version: str,
        settings: Socket,
        limits: Limits,
        events: Events,
        serve_call: ServeCall,
        serve_command: ServeCommand,
    ) -> None:
        self.version = version
        self.max_frame_bytes = settings.max_frame_bytes
        self.connections: set[Connection] = set()
        self.in_flight = 0
        self.draining = False
        self._listener = listener
        self._settings = settings
        self._limits = limits
        self._events = events
        self._serve_call = serve_call
        self._serve_command = serve_command
        self._tasks: TaskGroup
        self._server: asyncio.Server
        self._changed = asyncio.Event()

    def replace(self, settings: Socket, limits: Limits) -> None:
        """Keep other limits from now on; that of a frame is for connections to come."""
        self._settings, self._limits = settings, limits
        self.max_frame_bytes = settings.max_frame_bytes

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Accept connections; reports started once the socket answers. Ends by cancellation."""
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as self._tasks:
            self._server = await loop.create_unix_server(
                lambda: Connection(self), sock=self._listener.socket, backlog=BACKLOG, **KEEP_FILE
            )
            try:
                self._tasks.start_soon(self._sweep, name="watch of time limits")
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._server.close()
                for connection in list(self.connections):
                    connection.abort()

    async def drain(self, seconds: float) -> int:
        """Stop accepting, let running calls end, then cut the rest; returns how many were cut.

        New connections stay in the queue of a socket that systemd passed, for the successor; with a
        socket of our own they are refused. Also when cancelled, everybody is told why.
        """
        self.draining = True
        self._server.close()
        self._end_connections(idle_only=True)
        cut = 0
        with anyio.move_on_after(seconds) as limit:
            try:
                await self._until(lambda: not self.in_flight)
            finally:
                cut = self.in_flight
                self._end_connections()
            # What was written may still wait for its reader: the end of an answer, the reason.
            await self._until(lambda: not self.connections)
        if limit.cancelled_caught and self.connections:
            with anyio.move_on_after(LAST_WORDS_SECONDS):
                await self._until(lambda: not self.connections)
        return cut

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _end_connections(self, *, idle_only: bool = False) -> None:
        going_away = error_info("shutting_down", "the daemon is stopping")
        for connection in list(self.connections):
            if not (idle_only and connection.busy):
                connection.end(going_away)

    # --- what a connection asks (ConnectionHost) ----------------------------------------------

    def opened(self, connection: Connection) -> ErrorInfo | None:
        """Start the connection's task, unless the daemon is full or stopping."""
        if self.draining:
            return error_info("shutting_down", "the daemon is stopping")
        if len(self.connections) >= self._settings.max_connections:
            limit = self._settings.max_connections
            return error_info(
                "router_overloaded",
                f"{limit} connections are open, the most socket.max_connections allows",
                retry_after=1.0,
            )
        self.connections.add(connection)
        self._tasks.start_soon(connection.run, self._serve, name="connection")
        return None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        self._changed.set()

    def rejected(self, connection: Connection, error: ErrorInfo) -> None:
        """Tell the operator that somebody does not speak the protocol."""
        self._events.emit(ConnectionRejected(code=error.code, peer_uid=connection.peer_uid))

    # --- requests -----------------------------------------------------------------------------

    async def _serve(self, request: Request, sink: Connection) -> None:
        try:
            if isinstance(request, CommandRequested):
                await self._serve_command(request, sink)
            else:
                self.in_flight += 1
                try:
                    await self._serve_call(request, sink)
                finally:
                    self.in_flight -= 1
                    if self.draining:
                        self._changed.set()
        except Exception as bug:  # noqa: BLE001 - a bug ends one connection, not the daemon
            self._events.emit(BugSeen(decision_id="", error=bug))
            sink.end(error_info("internal_error", f"{type(bug).__name__} in routerd"))
        if self.draining:
            sink.end(error_info("shutting_down", "the daemon is stopping"))

    async def _sweep(self) -> None:
        """Close what broke a time limit and write what is held, once a second for all of them."""
        clock = asyncio.get_running_loop().time
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            now = clock()
            for connection in list(self.connections):
                connection.flush()
                connection.look_at_reader()
                self._check_limits(connection, now - connection.since)

    def _check_limits(self, connection: Connection, seconds: float) -> None:
        settings = self._settings
        if connection.congested or connection.closing:
            if seconds > settings.slow_reader_seconds:
                connection.abort()
        elif connection.unfinished_frame and seconds > settings.frame_seconds:
            connection.end(error_info("protocol_error", "a frame was begun and never finished"))
        elif connection.awaiting_first_frame and seconds > settings.first_frame_seconds:
            connection.end(error_info("protocol_error", "no frame came after connecting"))
        elif not connection.busy and seconds > settings.idle_seconds:
            connection.end(error_info("shutting_down", "the connection was idle for too long"))
