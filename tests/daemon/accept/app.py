"""An app as the daemon sees it: bytes on a Unix socket, and the frames that come back."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Struct

from routerd.accept.commands import Commands
from routerd.accept.connection import Connection
from routerd.accept.listener import open_listener
from routerd.accept.server import Server
from routerd.budget.budgets import Budgets
from routerd.budget.keys import Keys
from routerd.decide import Book, PolicyDocument
from routerd.execute.accounts import Accounts
from routerd.execute.story import Rules
from routerd.health.trips import Trips
from routerd.ledger import Ledger
from routerd.ledger.corrections import Change
from routerd.models import load_directory
from routerd.settings import Limits, Socket
from routerd.telemetry.events import Event, Events
from routerd_proto import PROTOCOL_VERSION, daemon_frame_reader, encode_frames
from routerd_proto.frames import (
    CallEnded,
    CallRequested,
    CallStarted,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    TextDelta,
)

HELLO = ClientHello(PROTOCOL_VERSION, "test")
ENDED = CallEnded("stop", "d1")

ServeCall = Callable[[Any, Connection], Awaitable[None]]
ServeCommand = Callable[[CommandRequested, Connection], Awaitable[None]]


# What questions are answered by where a test does not say otherwise.
RULES = Rules(Book(load_directory(), PolicyDocument(providers=("openai",))), {})


async def kept_at_once(_trips: Trips) -> bool:
    """Take what a command wants to be kept."""
    await checkpoint()
    return True


async def no_reload() -> dict[str, Any]:
    """Stand in where nobody reloads."""
    return {}


def commands_of(
    ledger: Ledger,
    *,
    report: Callable[[], dict[str, Any]] = dict,
    budgets: Callable[[], list[dict[str, Any]]] = list,
    rules: Rules = RULES,
    accounts: Accounts | None = None,
    take_changes: Callable[[Sequence[Change], float], None] | None = None,
    reload: Callable[[], Awaitable[dict[str, Any]]] = no_reload,
    keep_trips: Callable[[Trips], Awaitable[bool]] = kept_at_once,
) -> Commands:
    """The commands of a daemon with a ledger, and with whatever else a test gives it."""
    used = accounts or Accounts(Budgets(()), Keys({}, ()), ledger, lambda _event: None)
    if take_changes is not None:
        used.correct = take_changes  # type: ignore[method-assign,assignment]
    return Commands(
        report,
        ledger,
        budgets,
        lambda: rules,
        lambda: used,
        reload=reload,
        keep_trips=keep_trips,
        tell=lambda _event: None,
    )


def call(text: str = "hello") -> CallRequested:
    return CallRequested("c1", "smart", text)


async def echo(request: Any, sink: Connection) -> None:
    """Answer a call with its own text."""
    sink.send((CallStarted("d1"),))
    await checkpoint()
    sink.send((TextDelta(str(request.messages)), ENDED))


async def echo_command(request: CommandRequested, sink: Connection) -> None:
    await checkpoint()
    sink.send((CommandAnswered(request.name),))


class Hanging:
    """Serves calls that go on until they are let go or cancelled, and counts both."""

    def __init__(self, first: tuple[Struct, ...] = (CallStarted("d1"),)) -> None:
        self.started = 0
        self.ended = 0
        self.cancelled = 0
        self.changed = asyncio.Event()
        self._first = first
        self._go = asyncio.Event()

    async def __call__(self, _request: CallRequested, sink: Connection) -> None:
        self.started += 1
        self.changed.set()
        try:
            sink.send(self._first)
            if sink.congested:
                await sink.drain()
            await self._go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.ended += 1
            self.changed.set()
        sink.send((ENDED,))

    def let_go(self) -> None:
        self._go.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class App:
    """One connection to the daemon."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames: deque[Struct] = deque()
        self._cut = daemon_frame_reader(64 * 1024 * 1024)

    @classmethod
    async def connect(cls, path: Path) -> Self:
        return cls(*await asyncio.open_unix_connection(path))

    def send(self, *frames: Struct) -> None:
        self.writer.write(encode_frames(frames))

    def send_bytes(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Struct | None:
        """Return the next frame, None at the end of the connection."""
        while not self._frames:
            try:
                data = await self.reader.read(65_536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._frames.extend(self._cut.feed(data))
        return self._frames.popleft()

    async def receive_all(self) -> list[Struct]:
        """Return every frame up to the end of the connection."""
        frames = []
        while (frame := await self.receive()) is not None:
            frames.append(frame)
        return frames

    async def receive_until(self, kind: type[Struct]) -> list[Struct]:
        frames = []
        while (frame := await self.receive()) is not None:
            frames.append(frame)
            if isinstance(frame, kind):
                return frames
        raise AssertionError(f"the connection ended after {frames}")

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


class Running:
    """A server that runs, and what it told."""

    def __init__(self, server: Server, path: Path, events: list[Event]) -> None:
        self.server = server
        self.path = path
        self.events = events
        self._apps: list[App] = []

    async def connect(self) -> App:
        app = await App.connect(self.path)
        self._apps.append(app)
        return app

    async def until_empty(self) -> None:
        while self.server.connections:
            await checkpoint()

    async def hang_up(self) -> None:
        for app in self._apps:
            await app.close()


@asynccontextmanager
async def serving(
    folder: Path,
    serve_call: ServeCall = echo,
    serve_command: ServeCommand = echo_command,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Run a server on a socket of its own; nothing of it is left afterwards."""
    path = folder / "routerd.sock"
    # As the daemon does: off the loop.
    listener = await anyio.to_thread.run_sync(open_listener, path, 0o600, {})
    told: list[Event] = []
    server = Server(
        listener,
        version="1.2.3",
        settings=Socket(**settings),
        limits=Limits(),
        events=Events([told.append]),
        serve_call=serve_call,
        serve_command=serve_command,
    )
    running = Running(server, path, told)
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(server.run)
            yield running
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await running.hang_up()
            await running.until_empty()
            await anyio.to_thread.run_sync(listener.close)


async def descriptors() -> int:
    """Count the open files of this process."""
    return await anyio.to_thread.run_sync(lambda: len(os.listdir("/proc/self/fd")))  # noqa: PTH208
