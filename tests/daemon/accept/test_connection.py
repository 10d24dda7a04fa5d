"""Connections over a real socket: order, mistakes, hang-ups, slow readers."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from routerd.accept.connection import Connection
from routerd.telemetry.events import BugSeen, ConnectionRejected
from routerd_proto import PROTOCOL_VERSION, encode_frame, encode_frames
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import (
    CallEnded,
    CallRequested,
    CallStarted,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
    TextDelta,
)
from tests.daemon.accept.app import ENDED, HELLO, App, Hanging, call, serving

GREETING = DaemonHello(PROTOCOL_VERSION, "1.2.3", 16 * 1024 * 1024)
ANSWER = [GREETING, CallStarted("d1"), TextDelta("hello"), ENDED]
BIG = TextDelta("x" * 4_000_000)


async def reason(app: App) -> ErrorInfo:
    """Return why the connection was ended; nothing comes after that."""
    frames = await app.receive_all()
    assert frames
    last = frames[-1]
    assert isinstance(last, ConnectionEnded)
    return last.error


async def test_hello_and_call_travel_together(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        app = await running.connect()
        app.send(HELLO, call())
        assert await app.receive_until(CallEnded) == ANSWER


async def test_the_bytes_may_be_split_anywhere(tmp_path: Path) -> None:
    data = bytes(encode_frames([HELLO, call()]))
    async with serving(tmp_path) as running:
        for position in range(1, len(data)):
            app = await running.connect()
            app.send_bytes(data[:position])
            for _ in range(3):
                await checkpoint()
            app.send_bytes(data[position:])
            assert await app.receive_until(CallEnded) == ANSWER
            await app.close()


async def test_the_bytes_may_come_one_by_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        app = await running.connect()
        for byte in bytes(encode_frames([HELLO, call()])):
            app.send_bytes(bytes([byte]))
            await checkpoint()
        assert await app.receive_until(CallEnded) == ANSWER


async def test_calls_and_commands_follow_each_other_on_a_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        app = await running.connect()
        app.send(HELLO)
        assert await app.receive() == GREETING
        for number in range(50):
            app.send(call(str(number)))
            frames = await app.receive_until(CallEnded)
            assert frames == [CallStarted("d1"), TextDelta(str(number)), ENDED]
            app.send(CommandRequested(f"n{number}"))
            assert await app.receive() == CommandAnswered(f"n{number}")
        assert len(running.server.connections) == 1


async def test_the_kernel_says_who_speaks(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def note(_request: CallRequested, sink: Connection) -> None:
        await checkpoint()
        seen.append(sink.peer_uid)
        sink.send((ENDED,))

    async with serving(tmp_path, note) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallEnded)
    assert seen == [os.getuid()]


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behind",
    [b"", bytes(encode_frame(call())), b"\x00\x00\x00\x03\x92\x02\x01", b"\xff\xff\xff\xff"],
)
async def test_another_version_is_told_so_whatever_comes_behind(
    tmp_path: Path, behind: bytes
) -> None:
    async with serving(tmp_path) as running:
        app = await running.connect()
        app.send_bytes(bytes(encode_frame(ClientHello(PROTOCOL_VERSION + 1))) + behind)
        info = await reason(app)
        assert info.code == "version_mismatch"
        assert "1.2.3" in info.message
        assert running.events == [ConnectionRejected(code="version_mismatch", peer_uid=os.getuid())]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x00\x00\x00\x01\xc1", "protocol_error"),
        (b"\x00\x00\x00\x00", "protocol_error"),
        (b"\x00\x00\x00\x02\x91\x63", "protocol_error"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "frame_too_large"),
        (b"\xff\xff\xff\xff", "frame_too_large"),
        (bytes(encode_frame(call())), "protocol_error"),
        (bytes(encode_frames([HELLO, HELLO])), "protocol_error"),
        (bytes(encode_frames([HELLO, GREETING])), "protocol_error"),
        (bytes(encode_frame(HELLO)) + b"\x00\x00\x00\x03\x92\x02\x01", "invalid_request"),
    ],
)
async def test_who_does_not_speak_the_protocol_is_told_why_and_closed(
    tmp_path: Path, data: bytes, code: str
) -> None:
    async with serving(tmp_path) as running:
        app = await running.connect()
        app.send_bytes(data)
        assert (await reason(app)).code == code
        await running.until_empty()
        assert running.events == [ConnectionRejected(code=code, peer_uid=os.getuid())]
        # Nobody else is the worse for it.
        other = await running.connect()
        other.send(HELLO, call())
        assert await other.receive_until(CallEnded) == ANSWER


async def test_a_frame_over_the_limit_is_refused_by_its_length_alone(tmp_path: Path) -> None:
    async with serving(tmp_path, max_frame_bytes=2048) as running:
        app = await running.connect()
        app.send(HELLO)
        greeting = await app.receive()
        assert isinstance(greeting, DaemonHello)
        assert greeting.max_frame_bytes == 2048
        app.send_bytes((2049).to_bytes(4, "big"))
        info = await reason(app)
        assert info.code == "frame_too_large"
        assert info.details == {"size": 2049, "limit": 2048}


async def test_a_second_call_while_one_runs_ends_both(tmp_path: Path) -> None:
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallStarted)
        app.send(call())
        info = await reason(app)
        assert info.code == "protocol_error"
        assert info.details == {"frame": "CallRequested", "state": "call_running"}
        await hanging.until(lambda: hanging.ended == 1)
        assert (hanging.started, hanging.cancelled) == (1, 1)


async def test_two_calls_in_one_write_are_a_mistake_too(tmp_path: Path) -> None:
    hanging = Hanging()
    async with serving(tmp_path, hanging) as running:
        app = await running.connect()
        app.send(HELLO, call(), call())
        assert (await reason(app)).code == "protocol_error"
        await running.until_empty()
        assert hanging.started == hanging.ended


async def test_a_bug_ends_its_connection_and_no_other(tmp_path: Path) -> None:
    async def broken(*_: Any) -> None:
        await checkpoint()
        raise ZeroDivisionError

    hanging = Hanging()

    async def serve(request: CallRequested, sink: Connection) -> None:
        await (broken() if request.messages == "break" else hanging(request, sink))

    async with serving(tmp_path, serve, broken) as running:
        healthy = await running.connect()
        healthy.send(HELLO, call())
        await healthy.receive_until(CallStarted)
        for request in (call("break"), CommandRequested("status")):
            app = await running.connect()
            app.send(HELLO, request)
            info = await reason(app)
            assert info.code == "internal_error"
            assert "ZeroDivisionError" in info.message
        assert [type(event) for event in running.events] == [BugSeen, BugSeen]
        assert running.server.in_flight == 1
        hanging.let_go()
        assert await healthy.receive_until(CallEnded) == [ENDED]


# --- hang-ups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [(CallStarted("d1"),), (CallStarted("d1"), BIG)])
@pytest.mark.parametrize("how", ["close", "half-close"])
async def test_a_hang_up_cancels_the_running_call_at_once(
    tmp_path: Path, how: str, first: tuple[Any, ...]
) -> None:
    """Also where half of the answer still waits for its reader."""
    hanging = Hanging(first)
    async with serving(tmp_path, hanging) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await hanging.until(lambda: hanging.started == 1)
        if how == "close":
            await app.close()
        else:
            app.writer.write_eof()
        await hanging.until(lambda: hanging.ended == 1)
        assert hanging.cancelled == 1
        assert running.server.in_flight == 0
        await app.close()
        await running.until_empty()


async def test_a_hang_up_between_calls_ends_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallEnded)
        await app.close()
        await running.until_empty()


async def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    """What serves a call may send its last frame though the connection is gone."""
    seen: list[str] = []

    async def tidy(_request: CallRequested, sink: Connection) -> None:
        sink.send((CallStarted("d1"),))
        try:
            await asyncio.Event().wait()
        finally:
            sink.send((ENDED,))
            seen.append("sent")

    async with serving(tmp_path, tidy) as running:
        for _ in range(2):
            app = await running.connect()
            app.send(HELLO, call())
            await app.receive_until(CallStarted)
            app.send(call())
            frames = await app.receive_all()
            assert [type(frame) for frame in frames] == [ConnectionEnded]
        gone = await running.connect()
        gone.send(HELLO, call())
        await gone.receive_until(CallStarted)
        await gone.close()
        await running.until_empty()
    assert seen == ["sent"] * 3
    assert [type(event) for event in running.events] == [ConnectionRejected] * 2


# --- slow readers --------------------------------------------------------------------------------


async def test_a_slow_reader_is_waited_for(tmp_path: Path) -> None:
    order: list[str] = []

    async def long_answer(_request: CallRequested, sink: Connection) -> None:
        sink.send((CallStarted("d1"), BIG))
        assert sink.congested
        order.append("waiting")
        await sink.drain()
        order.append("drained")
        assert not sink.congested
        sink.send((ENDED,))

    async with serving(tmp_path, long_answer) as running:
        app = await running.connect()
        app.send(HELLO, call())
        while order != ["waiting"]:
            await checkpoint()
        for _ in range(20):
            await checkpoint()
        assert order == ["waiting"]
        assert await app.receive_until(CallEnded) == [GREETING, CallStarted("d1"), BIG, ENDED]
        assert order == ["waiting", "drained"]


@pytest.fixture
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routerd.accept.server.SWEEP_SECONDS", 0.01)


def deaf(path: Path) -> socket.socket:
    """Connect without ever reading."""
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    client.connect(str(path))
    client.send(bytes(encode_frames([HELLO, call()])))
    return client


@pytest.mark.usefixtures("quick_sweep")
async def test_an_app_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    hanging = Hanging((CallStarted("d1"), BIG))
    async with serving(tmp_path, hanging, slow_reader_seconds=0.05) as running:
        with deaf(running.path):
            await hanging.until(lambda: hanging.ended == 1)
            await running.until_empty()
    assert hanging.cancelled == 1


@pytest.mark.usefixtures("quick_sweep")
async def test_an_app_that_does_not_read_its_end_is_cut_off(tmp_path: Path) -> None:
    """Less than what counts as congestion, and more than a socket holds."""
    hanging = Hanging((CallStarted("d1"), TextDelta("x" * 240_000)))
    async with serving(tmp_path, hanging, slow_reader_seconds=0.05) as running:
        with deaf(running.path) as client:
            await hanging.until(lambda: hanging.started == 1)
            client.send(bytes(encode_frame(call())))
            await hanging.until(lambda: hanging.ended == 1)
            await running.until_empty()


@pytest.mark.usefixtures("quick_sweep")
async def test_an_app_that_reads_slowly_but_reads_is_not_cut_off(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    slow_reader_seconds = 1.0
    hanging = Hanging((CallStarted("d1"), BIG))
    async with serving(tmp_path, hanging, slow_reader_seconds=slow_reader_seconds) as running:
        with deaf(running.path) as client:
            await hanging.until(lambda: hanging.started == 1)
            (connection,) = running.server.connections
            began = loop.time()
            # Congested for longer than a reader may stand still, and never standing still.
            while loop.time() - began < 1.5 * slow_reader_seconds:
                assert connection.congested
                await loop.sock_recv(client, 30_000)
                await asyncio.sleep(0.03)
            assert hanging.ended == 0


# --- time limits ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize(
    ("setting", "sent", "code"),
    [
        ("first_frame_seconds", b"", "protocol_error"),
        ("frame_seconds", b"\x00", "protocol_error"),
        ("frame_seconds", bytes(encode_frames([HELLO, call()]))[:-1], "protocol_error"),
        ("idle_seconds", bytes(encode_frame(HELLO)), "shutting_down"),
        ("idle_seconds", bytes(encode_frames([HELLO, call()])), "shutting_down"),
    ],
)
async def test_a_connection_that_breaks_a_time_limit_is_ended(
    tmp_path: Path, setting: str, sent: bytes, code: str
) -> None:
    limit: dict[str, Any] = {setting: 0.05}
    async with serving(tmp_path, **limit) as running:
        app = await running.connect()
        app.send_bytes(sent)
        assert (await reason(app)).code == code
        await running.until_empty()


@pytest.mark.usefixtures("quick_sweep")
async def test_a_running_call_is_neither_idle_nor_unfinished(tmp_path: Path) -> None:
    hanging = Hanging()
    limits: dict[str, Any] = dict.fromkeys(
        ("first_frame_seconds", "frame_seconds", "idle_seconds"), 0.05
    )
    async with serving(tmp_path, hanging, **limits) as running:
        app = await running.connect()
        app.send(HELLO, call())
        await app.receive_until(CallStarted)
        await asyncio.sleep(0.3)
        hanging.let_go()
        frames = await app.receive_all()
    assert frames[0] == ENDED
    # Then it was idle.
    assert isinstance(frames[1], ConnectionEnded)
