"""The fake router itself, as a test of an app would use it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from routerd_client import CallerError, ConnectionLost, RouterdError
from routerd_client.testing import FakeRouter
from routerd_proto import daemon_frame_reader, encode_frame
from routerd_proto.frames import CallRequested, ConnectionEnded
from tests.client.ways import Way


def test_scripts_serve_one_call_each_and_the_last_all_further_ones(
    router: FakeRouter, way: Way
) -> None:
    router.fail("overloaded")
    router.answer("fast", text="fast")
    router.answer(text="first")
    router.answer(text="rest")
    with router.client() as client:
        with pytest.raises(RouterdError, match="overloaded"):
            way.complete(client, "smart", "x")
        texts = [way.complete(client, "smart", "x").text for _ in range(3)]
        assert texts == ["first", "rest", "rest"]
        texts = [way.complete(client, "fast", "x").text for _ in range(3)]
        assert texts == ["fast", "rest", "rest"]


def test_a_call_without_a_script_fails(router: FakeRouter, way: Way) -> None:
    router.answer("smart", text="ok")
    with router.client() as client, pytest.raises(CallerError, match="unknown_target"):
        way.complete(client, "fast", "x")


def test_a_hang_up_before_content_is_mended_and_after_it_is_not(
    router: FakeRouter, way: Way
) -> None:
    router.hang_up()
    router.hang_up(after_parts=2)
    with router.client() as client, pytest.raises(ConnectionLost) as caught:
        way.complete(client, "smart", "x")
    assert caught.value.reply is not None
    assert caught.value.reply.text == "part 1 part 2 "
    assert [call.sends for call in router.calls] == [0, 1]


def test_no_hang_up_is_reported_that_did_not_happen(router: FakeRouter, way: Way) -> None:
    router.answer(text="ok")
    with router.client() as client:
        way.complete(client, "smart", "x")
    assert not router.wait_for_hang_up(timeout=0.05)
    assert router.hang_ups == []


def test_it_leaves_nothing_behind() -> None:
    before = threading.active_count()
    with FakeRouter() as router:
        router.stream(["a"], hold=True)
        folder = Path(router.socket_path).parent
        client = router.client()
        stream = client.stream("smart", "x")
        next(stream)
    assert router.hang_ups == []  # it was the fake that left
    with pytest.raises(ConnectionLost):
        next(stream)
    assert not folder.exists()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="not running"):
        router.client()


@pytest.mark.parametrize(
    "data", [b"\0\0\0\1\xc1", bytes(encode_frame(CallRequested("c", "smart", "x")))]
)
def test_it_refuses_what_breaks_the_protocol(router: FakeRouter, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(router.socket_path)
        caller.sendall(data)
        (frame,) = daemon_frame_reader().feed(caller.recv(65536))
        assert isinstance(frame, ConnectionEnded)
        assert frame.error.code == "protocol_error"
        assert caller.recv(1) == b""
    assert router.calls == []
