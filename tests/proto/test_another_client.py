"""A client written from docs/protocol.md alone works with a daemon built on routerd_proto.

The client here imports nothing of the project: `struct`, a socket and MessagePack on plain lists.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec.msgpack
import pytest

from routerd_proto import Conversation, ProtocolError, State, client_frame_reader, encode_frames
from routerd_proto.content import Image, Message, Text, Tool, ToolCall, ToolName, ToolResult
from routerd_proto.errors import error_info
from routerd_proto.frames import (
    CallEnded,
    CallOptions,
    CallRequested,
    CallStarted,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    TraceContext,
    Usage,
)

# --- the client -------------------------------------------------------------------------------


class CallFailedError(Exception):
    """What the daemon said: code, message, blame, retryable, ..."""

    def __init__(self, error: list[Any]) -> None:
        super().__init__(error[1])
        self.error = error


class TinyClient:
    """Speak version 1 on one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.greeted = False

    def request(self, *fields: Any) -> None:
        data = b""
        if not self.greeted:
            data += self.frame(1, 1, "tiny 1.0")
            self.greeted = True
        self.connection.sendall(data + self.frame(*fields))

    def frame(self, *elements: Any) -> bytes:
        body = msgspec.msgpack.encode(elements)
        return struct.pack(">I", len(body)) + body

    def read(self) -> list[Any]:
        (size,) = struct.unpack(">I", self.exactly(4))
        frame: list[Any] = msgspec.msgpack.decode(self.exactly(size))
        return frame

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise EOFError("the connection closed before the answer was complete")
            data += piece
        return data

    def call(self, call_id: str, target: str, messages: Any, *more: Any) -> dict[str, Any]:
        self.request(2, call_id, target, messages, *more)
        answer: dict[str, Any] = {"text": "", "tools": {}}
        while True:
            tag, *fields = self.read()
            match tag:
                case 32 | 40:  # daemon_hello, call_started
                    pass
                case 33:  # connection_ended
                    raise CallFailedError(fields[0])
                case 41:  # text_delta
                    answer["text"] += fields[0]
                case 45:  # tool_call_started
                    index, identity, name = fields[:3]
                    answer["tools"][index] = {"id": identity, "name": name, "arguments": ""}
                case 46:  # tool_call_delta
                    answer["tools"][fields[0]]["arguments"] += fields[1]
                case 49:  # call_ended
                    error = fields[14] if len(fields) > 14 else None
                    if error is not None:
                        raise CallFailedError(error)
                    return {**answer, "finish": fields[0], "model": fields[2], "usage": fields[5]}
                case _:
                    raise AssertionError(f"unexpected frame {tag}")

    def command(self, name: str) -> Any:
        self.request(3, name)
        while (frame := self.read())[0] != 60:
            pass
        return frame[1]


# --- the daemon -------------------------------------------------------------------------------


class FakeDaemon:
    """The daemon's end of one connection, on routerd_proto."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.reader = client_frame_reader()
        self.conversation = Conversation()
        self.received: list[Any] = []
        self.hung_up = False

    def receive(self) -> list[Any]:
        """Wait for one write of the client and return its frames, none at a hang-up."""
        data = self.connection.recv(1_000_000)
        self.hung_up = not data
        frames: list[Any] = []
        for frame in self.reader.read(data):
            self.conversation.advance(frame)
            frames.append(frame)
        self.received += frames
        return frames

    def send(self, *frames: Any) -> None:
        for frame in frames:
            self.conversation.advance(frame)
        self.connection.sendall(encode_frames(frames))


@contextmanager
def connected(
    daemon_does: Callable[[FakeDaemon], None],
) -> Iterator[tuple[TinyClient, FakeDaemon]]:
    """Connect a tiny client with a daemon that does this in a thread."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        ours.settimeout(10)
        theirs.settimeout(10)
        daemon = FakeDaemon(theirs)
        raised: list[BaseException] = []

        def run() -> None:
            try:
                daemon_does(daemon)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield TinyClient(ours), daemon
        finally:
            # A daemon that still waits sees the hang-up.
            ours.close()
            thread.join(10)
        if raised:
            raise raised[0]
        assert not thread.is_alive()


HELLO = DaemonHello(1, "0.1.0", 1 << 24)


def test_a_call_with_everything_is_understood_and_answered() -> None:
    def daemon_does(daemon: FakeDaemon) -> None:
        assert len(daemon.receive()) == 2, "the hello travels with the call"
        daemon.send(HELLO, CallStarted("d1", "ab" * 16), TextDelta("Look"))
        daemon.send(TextDelta("ing. "), ToolCallStarted(0, "t1", "weather"))
        daemon.send(ToolCallDelta(0, '{"city":'), ToolCallDelta(0, '"Ulm"}'))
        daemon.send(CallEnded("tool_calls", "d1", "m-1", usage=Usage(5, output_tokens=7)))

    with connected(daemon_does) as (client, daemon):
        answer = client.call(
            "c1",
            "smart",
            [
                {"role": "system", "content": "Be short."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "And this?", "cache": "5m"},
                        {"type": "image", "data": b"\x89PNG", "media_type": "image/png"},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [{"type": "tool_call", "id": "t0", "name": "weather"}],
                },
                {
                    "role": "tool",
                    "content": [{"type": "tool_result", "call_id": "t0", "content": "rain"}],
                },
            ],
            {
                "tenant": "acme",
                "temperature": 1,
                "tools": [{"name": "weather", "parameters": {"type": "object"}}],
                "tool_choice": {"name": "weather"},
            },
            True,
            ["00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"],
        )
    assert answer == {
        "text": "Looking. ",
        "tools": {0: {"id": "t1", "name": "weather", "arguments": '{"city":"Ulm"}'}},
        "finish": "tool_calls",
        "model": "m-1",
        "usage": [5, 0, 0, 0, 7, None],
    }
    assert daemon.received == [
        ClientHello(1, "tiny 1.0"),
        CallRequested(
            "c1",
            "smart",
            [
                Message("system", "Be short."),
                Message(
                    "user",
                    [Text("And this?", cache="5m"), Image(data=b"\x89PNG", media_type="image/png")],
                ),
                Message("assistant", [ToolCall("t0", "weather")]),
                Message("tool", [ToolResult("t0", "rain")]),
            ],
            CallOptions(
                tenant="acme",
                temperature=1.0,
                tools=[Tool("weather", parameters={"type": "object"})],
                tool_choice=ToolName("weather"),
            ),
            trace=TraceContext("00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"),
        ),
    ]


def test_calls_and_commands_follow_each_other_on_one_connection() -> None:
    def daemon_does(daemon: FakeDaemon) -> None:
        for turn in range(3):
            *_, request = daemon.receive()
            hello = (HELLO,) if turn == 0 else ()
            if isinstance(request, CommandRequested):
                daemon.send(*hello, CommandAnswered({"turn": turn, "name": request.name}))
            else:
                answer = (CallStarted("d"), TextDelta(f"{turn}"), CallEnded("stop", "d", "m"))
                daemon.send(*hello, *answer)
        assert daemon.conversation.state is State.IDLE

    with connected(daemon_does) as (client, daemon):
        assert client.call("c1", "fast", "hi")["text"] == "0"
        assert client.command("status") == {"turn": 1, "name": "status"}
        assert client.call("c2", "fast", "hi")["text"] == "2"
    assert [type(frame) for frame in daemon.received] == [
        ClientHello,
        CallRequested,
        CommandRequested,
        CallRequested,
    ]


def test_an_error_says_whose_fault_it_is_and_the_connection_goes_on() -> None:
    error = error_info("rate_limit", "too many requests", retry_after=2.5)

    def daemon_does(daemon: FakeDaemon) -> None:
        daemon.receive()
        daemon.send(HELLO, CallEnded("error", "d1", error=error))
        daemon.receive()
        daemon.send(CallStarted("d2"), TextDelta("now"), CallEnded("stop", "d2", "m"))

    with connected(daemon_does) as (client, _):
        with pytest.raises(CallFailedError) as caught:
            client.call("c1", "smart", "hi")
        assert caught.value.error[:5] == ["rate_limit", "too many requests", "provider", True, 2.5]
        assert client.call("c2", "smart", "hi")["text"] == "now"


def test_a_mistake_is_explained_before_the_connection_closes() -> None:
    def daemon_does(daemon: FakeDaemon) -> None:
        with pytest.raises(ProtocolError) as caught:
            daemon.receive()
        daemon.send(ConnectionEnded(caught.value.info))

    with connected(daemon_does) as (client, _), pytest.raises(CallFailedError) as caught:
        client.call("c1", "smart", [{"role": "robot", "content": "hi"}])
    code, message, blame, retryable, *_ = caught.value.error
    assert (code, blame, retryable) == ("invalid_request", "caller", False)
    assert message.startswith("messages[0].role: ")


def test_an_answer_without_its_end_is_not_taken_for_complete() -> None:
    def daemon_does(daemon: FakeDaemon) -> None:
        daemon.receive()
        daemon.send(HELLO, CallStarted("d1"), TextDelta("The answer is"))
        daemon.connection.close()

    with connected(daemon_does) as (client, _), pytest.raises(EOFError):
        client.call("c1", "smart", "hi")


def test_hanging_up_is_seen_by_the_daemon() -> None:
    def daemon_does(daemon: FakeDaemon) -> None:
        daemon.receive()
        daemon.send(HELLO, CallStarted("d1"), TextDelta("The"))
        assert daemon.receive() == []

    with connected(daemon_does) as (client, daemon):
        client.request(2, "c1", "smart", "hi")
        assert [client.read()[0] for _ in range(3)] == [32, 40, 41]
    assert daemon.hung_up


def test_a_call_sent_again_is_recognised() -> None:
    def stops(daemon: FakeDaemon) -> None:
        daemon.receive()
        stopping = error_info("shutting_down", "the daemon is stopping")
        daemon.send(HELLO, CallStarted("d1"), ConnectionEnded(stopping))

    def answers(daemon: FakeDaemon) -> None:
        daemon.receive()
        daemon.send(HELLO, CallStarted("d2"), TextDelta("Yes."), CallEnded("stop", "d2", "m"))

    with connected(stops) as (client, first), pytest.raises(CallFailedError) as caught:
        client.call("c1", "smart", "hi", {}, True, None, 0)
    assert caught.value.error[0] == "shutting_down"
    with connected(answers) as (client, second):
        assert client.call("c1", "smart", "hi", {}, True, None, 1)["text"] == "Yes."
    calls = [daemon.received[1] for daemon in (first, second)]
    assert [(call.call_id, call.sends) for call in calls] == [("c1", 0), ("c1", 1)]


def test_another_version_is_told_so_whatever_it_asks() -> None:
    def daemon_does(daemon: FakeDaemon) -> None:
        hello = next(daemon.reader.read(daemon.connection.recv(1000)))
        assert hello == ClientHello(2, "tiny 2.0")
        daemon.conversation.advance(hello)
        daemon.send(ConnectionEnded(error_info("version_mismatch", "this is version 1")))

    with connected(daemon_does) as (client, _):
        asked = client.frame(1, 2, "tiny 2.0") + client.frame(2, {"another": "layout"})
        client.connection.sendall(asked)
        tag, error = client.read()
    assert (tag, error[0]) == (33, "version_mismatch")
