"""The server: how many connections, how it stops, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import anyio
import pytest

from routerd.accept.listener import BACKLOG, Listener
from routerd.accept.server import Server
from routerd.settings import Limits, Socket
from routerd.telemetry.events import Events
from routerd_proto.frames import (
    CallEnded,
    CallStarted,
    CommandAnswered,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
    TextDelta,
)
from tests.daemon.accept.app import (
    ENDED,
    HELLO,
    App,
    Hanging,
    call,
    descriptors,
    echo,
    echo_command,
    serving,
)

LONG = 3600.0


def codes(frames: list[object]) -> list[str]:
    return [frame.error.code for frame in frames if isinstance(frame, ConnectionEnded)]


async def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=2) as running:
        kept = [await running.connect() for _ in range(2)]
        for app in kept:
            app.send(HELLO)
            assert isinstance(await app.receive(), DaemonHello)
        third = await running.connect()
        third.send(HELLO, call())
        (ended,) = await third.receive_all()
        assert isinstance(ended, ConnectionEnded)
        assert ended.error.code == "router_overloaded"
        assert ended.error.retry_after == 1.0
        assert "socket.max_connections" in ended.error.message
        await kept[0].close()
        while len(running.server.connections) == 2:
            await anyio.lowlevel.checkpoint()
        fourth = await running.connect()
        fourth.send(HELLO, call())
        await fourth.receive_until(CallEnded)


async def test_draining_lets_running_calls_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        busy, idle, new = [await running.connect() for _ in range(3)]
        busy.send(HELLO, call())
        await busy.receive_until(CallStarted)
        idle.send(HELLO)
        await idle.receive()
        cut: list[int] = []

        async def drain() -> None:
            cut.append(await running.server.drain(LONG))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain)
            assert codes([*await idle.receive_all()]) == ["shutting_down"]
            assert codes([*await new.receive_all()]) == ["shutting_down"]
            with pytest.raises(OSError, match=r"refused|No such file"):
                await App.connect(running.path)
            assert (cut, hanging.ended) == ([], 0)
            hanging.let_go()
            frames = await busy.receive_all()
        assert frames[0] == ENDED
        assert codes([*frames]) == ["shutting_down"]
        assert cut == [0]


async def test_draining_ends_when_the_last_caller_hangs_up(tmp_path: Path) -> None:
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallStarted)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.server.drain, LONG)
            await anyio.lowlevel.checkpoint()
            await app.close()
        assert hanging.cancelled == 1


async def test_draining_cuts_what_does_not_end_in_time(tmp_path: Path) -> None:
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        apps = [await running.connect() for _ in range(3)]
        for app in apps:
            app.send(HELLO, call())
            await app.receive_until(CallStarted)
        assert await running.server.drain(0.05) == 3
        for app in apps:
            assert codes([*await app.receive_all()]) == ["shutting_down"]
        await hanging.until(lambda: hanging.ended == 3)
        assert hanging.cancelled == 3
        assert running.server.in_flight == 0


async def test_a_request_that_has_just_come_is_no_idle_connection(tmp_path: Path) -> None:
    """Its bytes are read, its task has not run yet: draining must not take it for idle."""
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        app = await running.connect()
        app.send(HELLO)
        await app.receive()
        (connection,) = running.server.connections
        app.send(call())
        while not connection._requests:
            await anyio.lowlevel.checkpoint()
        assert hanging.started == 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.server.drain, LONG)
            hanging.let_go()
            frames = await app.receive_all()
        assert frames[:2] == [CallStarted("d1"), ENDED]


async def descriptors_after_a_first_server(folder: Path) -> int:
    """Count once the loop has what it opens for its first server and keeps."""
    async with serving(folder) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallEnded)
    return await descriptors()


async def test_three_hundred_connections_at_once_leave_nothing_behind(tmp_path: Path) -> None:
    tasks_before = len(asyncio.all_tasks())
    descriptors_before = await descriptors_after_a_first_server(tmp_path)
    answered = 0
    async with serving(tmp_path) as running:

        async def one(number: int) -> None:
            nonlocal answered
            app = await App.connect(running.path)
            app.send(HELLO, call(str(number)))
            frames = await app.receive_until(CallEnded)
            assert TextDelta(str(number)) in frames
            if number % 3 == 0:
                app.send(CommandRequested("a"))
                assert await app.receive() == CommandAnswered("a")
            answered += 1
            await app.close()

        async with anyio.create_task_group() as tasks:
            for number in range(300):
                tasks.start_soon(one, number)
        assert answered == 300
        await running.until_empty()
        assert running.server.in_flight == 0
        # The server's host task, its sweep, and this one.
        assert len(asyncio.all_tasks()) <= tasks_before + 2
    assert len(asyncio.all_tasks()) == tasks_before
    assert await descriptors() == descriptors_before


async def test_three_hundred_hang_ups_leave_nothing_behind(tmp_path: Path) -> None:
    tasks_before = len(asyncio.all_tasks())
    descriptors_before = await descriptors_after_a_first_server(tmp_path)
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        apps = [await App.connect(running.path) for _ in range(300)]
        for app in apps:
            app.send(HELLO, call())
        await hanging.until(lambda: hanging.started == 300)
        for app in apps:
            await app.close()
        await hanging.until(lambda: hanging.ended == 300)
        assert hanging.cancelled == 300
        await running.until_empty()
    assert len(asyncio.all_tasks()) == tasks_before
    assert await descriptors() == descriptors_before


async def test_a_server_that_is_cancelled_cancels_its_calls(tmp_path: Path) -> None:
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallStarted)
    assert hanging.cancelled == 1


async def test_as_many_connections_may_wait_as_the_backlog_says(tmp_path: Path) -> None:
    """Nobody accepts here, the loop is held: all must wait in the kernel's queue."""
    clients: list[socket.socket] = []
    async with serving(tmp_path) as running:
        try:
            for _ in range(BACKLOG // 4):
                client = socket.socket(socket.AF_UNIX)
                clients.append(client)
                client.setblocking(False)
                client.connect(str(running.path))
        finally:
            for client in clients:
                client.close()
        await running.until_empty()


async def test_the_file_of_a_passed_socket_is_left_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "passed.sock"
    passed = socket.socket(socket.AF_UNIX)
    passed.bind(str(path))
    passed.listen()
    passed.setblocking(False)
    listener = Listener(passed, str(path), None)
    server = Server(
        listener,
        version="1",
        settings=Socket(),
        limits=Limits(),
        events=Events(),
        serve_call=echo,
        serve_command=echo_command,
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        app = await App.connect(path)
        app.send(HELLO, call())
        await app.receive_until(CallEnded)
        await server.drain(LONG)
        tasks.cancel_scope.cancel()
    await app.close()
    listener.close()
    assert await anyio.Path(path).is_socket()
