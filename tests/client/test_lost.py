"""Lost connections, broken bytes, silence: what is sent again, what is raised, and never a hang."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import Struct

from routerd_client import (
    CallerError,
    Client,
    ConnectionLost,
    ProviderError,
    RouterError,
    TextDelta,
)
from routerd_client.request import StreamPart
from routerd_proto import encode_frame, encode_frames, error_info
from routerd_proto.frames import CallRequested, CallStarted, ConnectionEnded, DaemonHello
from tests.client.raw_server import (
    ENDED,
    HELLO,
    STARTED,
    WHOLE,
    RawConnection,
    RawServer,
    answering,
    once,
)
from tests.client.ways import Way


def test_an_answer_cut_at_every_byte_is_whole(way: Way) -> None:
    answer = bytes(encode_frames(WHOLE))

    def script(connection: RawConnection) -> None:
        before = bytes(encode_frame(HELLO))
        while (call := connection.next_call()) is not None:
            data, before = before + answer, b""
            position = int(str(call.messages))
            connection.socket.sendall(data[:position])
            connection.socket.sendall(data[position:])

    with RawServer(script) as server, Client(server.path) as client:
        for position in range(1, len(answer)):
            assert way.complete(client, "smart", str(position)).text == "forty"
        assert server.connections == 1


def test_an_answer_byte_by_byte_is_whole(way: Way) -> None:
    def script(connection: RawConnection) -> None:
        connection.next_call()
        for byte in encode_frames((HELLO, *WHOLE)):
            connection.socket.sendall(bytes((byte,)))
        connection.next()

    with RawServer(script) as server, Client(server.path) as client:
        assert way.complete(client, "smart", "x").text == "forty"


def test_an_answer_that_stops_at_any_byte_is_never_whole(way: Way) -> None:
    data = bytes(encode_frames((HELLO, *WHOLE)))
    begins = len(encode_frames((HELLO, STARTED, WHOLE[1])))

    def script(connection: RawConnection) -> None:
        call = connection.next_call()
        assert call is not None
        connection.socket.sendall(data[: int(call.messages)])  # type: ignore[arg-type]

    with RawServer(script) as server, Client(server.path) as client:
        for position in range(len(data)):
            before = server.connections
            with pytest.raises(ConnectionLost) as caught:
                way.complete(client, "smart", str(position))
            # Before content it was tried three times, after it once.
            assert server.connections - before == (1 if position >= begins else 3)
            if position >= begins:
                assert caught.value.reply is not None
                assert caught.value.reply.text in {"for", "forty"}
                assert caught.value.decision_id == "decision-1"


def test_the_end_in_the_middle_of_a_frame_is_told(way: Way) -> None:
    def script(connection: RawConnection) -> None:
        connection.next_call()
        connection.socket.sendall(encode_frames((HELLO, STARTED, WHOLE[1]))[:-1])

    with (
        RawServer(script) as server,
        Client(server.path) as client,
        pytest.raises(ConnectionLost, match="in the middle of a frame"),
    ):
        way.complete(client, "smart", "x")


def test_a_lost_call_is_sent_again_under_its_own_id(way: Way) -> None:
    seen: list[CallRequested] = []

    def noting(*frames: Struct) -> Callable[[RawConnection], None]:
        def script(connection: RawConnection) -> None:
            call = connection.next_call()
            assert call is not None
            seen.append(call)
            connection.send(*frames)

        return script

    scripts = (noting(), noting(HELLO, CallStarted("other")), noting(HELLO, *WHOLE))
    with RawServer(*scripts) as server, Client(server.path) as client:
        reply = way.complete(client, "smart", "x")
    assert (reply.text, reply.decision_id) == ("forty", "decision-1")
    assert [call.sends for call in seen] == [0, 1, 2]
    assert len({call.call_id for call in seen}) == 1


def test_nothing_is_sent_again_after_content(way: Way) -> None:
    read: list[StreamPart] = []
    with RawServer(once(STARTED, TextDelta("for"))) as server, Client(server.path) as client:
        with pytest.raises(ConnectionLost):
            way.read(client.stream("smart", "x"), read)
        assert server.connections == 1
    assert read == [TextDelta("for")]


@pytest.mark.parametrize("farewell", [False, True])
def test_dead_idle_connections_are_replaced_without_a_word(way: Way, farewell: bool) -> None:
    ended = ConnectionEnded(error_info("shutting_down", "idle for too long"))
    frames = (*WHOLE, ended) if farewell else WHOLE
    with RawServer(once(*frames)) as server, Client(server.path) as client:
        for count in range(1, 6):
            assert way.complete(client, "smart", "x").text == "forty"
            assert server.connections == count


def test_a_connection_that_dies_with_the_next_call_in_it_is_replaced(way: Way) -> None:
    sends: list[int] = []

    def serve_one_read_two(connection: RawConnection) -> None:
        connection.next_call()
        connection.send(HELLO, *WHOLE)
        call = connection.next_call()
        sends.append(-1 if call is None else call.sends)

    def serve(connection: RawConnection) -> None:
        call = connection.next_call()
        sends.append(-1 if call is None else call.sends)
        connection.send(HELLO, *WHOLE)
        connection.next()

    with RawServer(serve_one_read_two, serve) as server, Client(server.path) as client:
        for _ in range(2):
            assert way.complete(client, "smart", "x").text == "forty"
    assert sends == [0, 1]


def test_a_command_is_not_sent_again_on_a_new_connection(way: Way) -> None:
    def lose(connection: RawConnection) -> None:
        connection.next()
        connection.next()

    with RawServer(lose) as server, Client(server.path) as client:
        with pytest.raises(ConnectionLost):
            way.command(client, "status")
        assert server.connections == 1


def test_a_daemon_that_stops_says_so_and_its_successor_answers(way: Way) -> None:
    stopping = ConnectionEnded(error_info("shutting_down", "stopping"))
    with RawServer(once(stopping), answering(*WHOLE)) as server, Client(server.path) as client:
        assert way.complete(client, "smart", "x").text == "forty"
        assert server.connections == 2


@pytest.mark.parametrize("greets", [False, True])
def test_a_refused_connection_is_not_tried_again(way: Way, greets: bool) -> None:
    refused = ConnectionEnded(error_info("router_overloaded", "too many connections"))

    def refuse(connection: RawConnection) -> None:
        if greets:
            connection.next_call()
        connection.send(refused)

    with RawServer(refuse) as server, Client(server.path) as client:
        for count in (1, 2, 3, 4, 5):
            with pytest.raises(RouterError, match="router_overloaded: too many connections"):
                way.complete(client, "smart", "x")
            assert server.connections == count


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ((HELLO, TextDelta("early"), ENDED), "protocol_error"),
        ((STARTED, ENDED), "protocol_error"),
        ((HELLO, HELLO), "protocol_error"),
        ((DaemonHello(99, "future"), *WHOLE), "version_mismatch"),
        ((HELLO, STARTED, STARTED), "protocol_error"),
    ],
)
def test_frames_out_of_order_or_of_another_version(
    way: Way, frames: tuple[Struct, ...], code: str
) -> None:
    with RawServer(answering(*frames, hello=())) as server, Client(server.path) as client:
        for count in (1, 2):  # and such a connection is not used again
            with pytest.raises(RouterError) as caught:
                way.complete(client, "smart", "x")
            assert caught.value.code == code
            assert caught.value.blame == "router"
            assert server.connections == count


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\1\xc1", b"\0\0\0\2\x91\x7f"]
)
def test_bytes_that_are_no_frames(way: Way, data: bytes) -> None:
    def script(connection: RawConnection) -> None:
        connection.next_call()
        connection.socket.sendall(data)
        connection.next()

    with RawServer(script) as server, Client(server.path) as client:
        with pytest.raises(RouterError, match="the daemon broke the protocol"):
            way.complete(client, "smart", "x")
        assert server.connections == 1


@pytest.mark.parametrize("said", [(), (HELLO,), (HELLO, STARTED, TextDelta("for"))])
def test_a_daemon_that_falls_silent_does_not_hold_a_call_with_a_timeout(
    way: Way, said: tuple[Struct, ...]
) -> None:
    def script(connection: RawConnection) -> None:
        connection.next_call()
        connection.send(*said)
        assert connection.next() is None  # the client hangs up

    with RawServer(script) as server, Client(server.path, timeout_grace=0.05) as client:
        with pytest.raises(CallerError, match="deadline_exceeded"):
            way.complete(client, "smart", "x", timeout=0.05)
        assert server.connections == 1


def test_a_timed_call_leaves_no_limit_on_the_connection(way: Way) -> None:
    def script(connection: RawConnection) -> None:
        connection.next_call()
        connection.send(HELLO, *WHOLE)
        connection.next_call()
        connection.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.next()
        connection.socket.settimeout(None)
        connection.send(*WHOLE)
        connection.next()

    with RawServer(script) as server, Client(server.path, timeout_grace=0.05) as client:
        assert way.complete(client, "smart", "x", timeout=0.1).text == "forty"
        assert way.complete(client, "smart", "x").text == "forty"


def test_a_large_first_call_waits_for_the_greeting_and_goes_whole(way: Way) -> None:
    text = "x" * 3_000_000
    sizes: list[int] = []

    def script(connection: RawConnection) -> None:
        connection.next()
        connection.send(HELLO)
        for _ in range(2):
            call = connection.next_call()
            assert call is not None
            sizes.append(len(call.messages))
            connection.send(*WHOLE)
        connection.next()

    with RawServer(script) as server, Client(server.path) as client:
        for _ in range(2):
            assert way.complete(client, "smart", text).text == "forty"
    assert sizes == [len(text)] * 2


def test_a_call_larger_than_the_daemon_reads_is_not_sent(way: Way) -> None:
    small = DaemonHello(1, "small", 100_000)

    def script(connection: RawConnection) -> None:
        connection.next()
        connection.send(small)
        assert connection.next() is None

    with (
        RawServer(script) as server,
        Client(server.path) as client,
        pytest.raises(CallerError, match="frame_too_large") as caught,
    ):
        way.complete(client, "smart", "x" * 200_000)
    assert caught.value.details["limit"] == 100_000


def test_an_answer_larger_than_the_client_reads(way: Way) -> None:
    read: list[StreamPart] = []
    long = TextDelta("x" * 2000)
    with (
        RawServer(answering(STARTED, TextDelta("for"), long, ENDED)) as server,
        Client(server.path, max_frame_bytes=1000) as client,
        pytest.raises(RouterError, match="over the limit of 1000"),
    ):
        way.read(client.stream("smart", "x"), read)
    assert read == [TextDelta("for")]  # what came before the frame that is refused


def test_a_failed_answer_is_no_loss(way: Way) -> None:
    failed = type(ENDED)("error", "decision-1", error=error_info("overloaded", "busy"))
    with RawServer(answering(failed)) as server, Client(server.path) as client:
        for _ in range(2):
            with pytest.raises(ProviderError, match="overloaded: busy"):
                way.complete(client, "smart", "x")
        assert server.connections == 1
