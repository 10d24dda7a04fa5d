"""What no client of ours would send: it hurts nobody but the connection it came on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from routerd.simulate import Pacing, Simulator, expected_text
from routerd_client import CallerError, Image, Message, RouterError, Text
from routerd_client.options import Messages
from routerd_proto import encode_frame
from routerd_proto.frames import (
    PROTOCOL_VERSION,
    CallEnded,
    CallStarted,
    ClientHello,
    CommandAnswered,
    CommandRequested,
    DaemonHello,
    TextDelta,
)
from tests.e2e.asking import PROMPT, newest_record, served_by, until_idle
from tests.e2e.conftest import Daemon
from tests.e2e.raw import HELLO, STATUS, call, connect, prefixed

StartDaemon = Callable[..., Awaitable[Daemon]]

LIMIT = 4096
SMALL_FRAMES = f"[socket]\nmax_frame_bytes = {LIMIT}\n"
HELLO_BYTES = bytes(encode_frame(HELLO))
encode = msgspec.msgpack.encode


async def check_served(daemon: Daemon) -> None:
    """Check that the daemon serves the next call, and has no call left over."""
    async with daemon.client() as client:
        assert (await client.acomplete("fast", PROMPT)).finish == "stop"
        await until_idle(client)


BROKEN: dict[str, tuple[bytes, str]] = {
    "unknown tag": (HELLO_BYTES + prefixed(encode([99, "what"])), "protocol_error"),
    "no tag": (HELLO_BYTES + prefixed(encode([])), "protocol_error"),
    "a map": (HELLO_BYTES + prefixed(encode({"type": "hello"})), "protocol_error"),
    "an empty frame": (HELLO_BYTES + prefixed(b""), "protocol_error"),
    "no msgpack": (HELLO_BYTES + prefixed(b"\xc1\xc1"), "protocol_error"),
    "more after the frame": (
        prefixed(encode([1, PROTOCOL_VERSION, "x"]) + b"\0"),
        "protocol_error",
    ),
    "text that is no UTF-8": (
        HELLO_BYTES + prefixed(b"\x94\x02\xa1\xff\xa1x\xa1y"),
        "protocol_error",
    ),
    "a hello of a wrong type": (prefixed(encode([1, "one"])), "protocol_error"),
    "a call of a wrong type": (
        HELLO_BYTES + prefixed(encode([2, "1", ["smart"], PROMPT])),
        "invalid_request",
    ),
    "a call without messages": (
        HELLO_BYTES + prefixed(encode([2, "1", "smart"])),
        "invalid_request",
    ),
    "an unknown option": (
        HELLO_BYTES + prefixed(encode([2, "1", "smart", PROMPT, {"colour": "red"}])),
        "invalid_request",
    ),
    "an unknown role": (
        HELLO_BYTES + prefixed(encode([2, "1", "smart", [{"role": "king", "content": "x"}]])),
        "invalid_request",
    ),
    "an extension type": (
        HELLO_BYTES + prefixed(encode([3, "status", {"x": msgspec.msgpack.Ext(5, b"x")}])),
        "invalid_request",
    ),
    "too deep": (
        HELLO_BYTES + prefixed(b"\x93\x03\xa1x\x81\xa1x" + b"\x91" * 3000 + b"\xc0"),
        "protocol_error",
    ),
    "a call before the hello": (bytes(encode_frame(call())), "protocol_error"),
    "two hellos": (HELLO_BYTES * 2, "protocol_error"),
    "a second call while one runs": (
        HELLO_BYTES + bytes(encode_frame(call()) + encode_frame(call(call_id="2"))),
        "protocol_error",
    ),
    "a frame of the daemon's": (
        HELLO_BYTES + bytes(encode_frame(TextDelta("x"))),
        "protocol_error",
    ),
    "another version": (
        bytes(encode_frame(ClientHello(PROTOCOL_VERSION + 1)) + encode_frame(STATUS)),
        "version_mismatch",
    ),
    "another version, and a call nobody understands": (
        bytes(encode_frame(ClientHello(PROTOCOL_VERSION + 1))) + prefixed(encode([2, {"v": 2}])),
        "version_mismatch",
    ),
    "one byte over the limit": (
        HELLO_BYTES + (LIMIT + 1).to_bytes(4, "big"),
        "frame_too_large",
    ),
    "the longest length there is": (b"\xff\xff\xff\xff", "frame_too_large"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "frame_too_large"),
    "TLS": (bytes.fromhex("1603010200010001fc0303"), "frame_too_large"),
}


@pytest.mark.time_limit(60)
async def test_what_breaks_the_protocol_is_named_and_ends_the_connection(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(SMALL_FRAMES)
    simulator.pacing = Pacing(think_seconds=600)
    for name, (data, code) in BROKEN.items():
        async with connect(daemon.socket) as connection:
            await connection.send_bytes(data)
            error = await connection.farewell()
        assert (name, error.code) == (name, code)
        assert error.blame == ("router" if code == "version_mismatch" else "caller"), name
        assert error.next_step, name
    simulator.pacing = Pacing()
    await check_served(daemon)
    # Only the call that was running when a second one came was ever sent to a provider.
    assert [attempt.outcome for attempt in simulator.account.attempts] in (
        ["completed"],
        ["aborted", "completed"],
    )


async def test_a_frame_that_is_cut_off_ends_with_its_connection(daemon: Daemon) -> None:
    whole = HELLO_BYTES + bytes(encode_frame(call()))
    for length in (1, 3, 4, len(HELLO_BYTES) - 1, len(HELLO_BYTES) + 2, len(whole) - 1):
        async with connect(daemon.socket) as connection:
            await connection.send_bytes(whole[:length])
            await connection.end_writing()
            frames = await connection.read_to_end()
            assert all(isinstance(frame, DaemonHello) for frame in frames)
    await check_served(daemon)
    async with daemon.client() as client:
        assert (await client.acommand("status"))["calls_served"] == 1


async def test_a_frame_may_come_byte_by_byte(daemon: Daemon) -> None:
    async with connect(daemon.socket) as connection:
        for byte in HELLO_BYTES + bytes(encode_frame(STATUS)):
            await connection.send_bytes(bytes([byte]))
        await connection.read_until(CommandAnswered)
    await check_served(daemon)


async def test_a_connection_that_says_nothing_is_closed(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon("[socket]\nfirst_frame_seconds = 0.1\nframe_seconds = 0.1\n")
    async with connect(daemon.socket) as silent, connect(daemon.socket) as halfway:
        await halfway.send(HELLO, STATUS)
        await halfway.read_until(CommandAnswered)
        await halfway.send_bytes(b"\0\0")
        assert (await silent.farewell()).code == "protocol_error"
        assert (await halfway.farewell()).code == "protocol_error"
    await check_served(daemon)


@hypothesis.settings(
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    data=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=100).map(prefixed),
        st.binary(max_size=100).map(lambda body: HELLO_BYTES + prefixed(body)),
        st.recursive(
            st.none() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(max_size=20),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=20,
        ).map(lambda value: HELLO_BYTES + prefixed(encode([2, "1", "smart", value]))),
    )
)
async def test_random_bytes_hurt_nobody(daemon: Daemon, data: bytes) -> None:
    async with connect(daemon.socket) as connection:
        await connection.send_bytes(data)
        await connection.end_writing()
        await connection.read_to_end()
    async with connect(daemon.socket) as connection:
        await connection.send(HELLO, STATUS)
        await connection.read_until(CommandAnswered)
    assert daemon.process.poll() is None
    assert "bug_seen" not in await anyio.to_thread.run_sync(lambda: daemon.log)


PICTURE = Image(data=b"\x89PNG", media_type="image/png")

BAD_REQUESTS: dict[str, tuple[Messages, dict[str, Any], str]] = {
    "no messages": ([], {}, "messages"),
    "an empty text": ("", {}, "messages[0].content"),
    "an empty list": ([Message("user", [])], {}, "messages[0].content"),
    "nobody asks": ([Message("system", "Be kind.")], {}, "messages"),
    "an unknown role": ([{"role": "king", "content": "x"}], {}, "messages[0].role"),
    "a picture of the system's": (
        [Message("system", [PICTURE]), Message("user", "x")],
        {},
        "messages[0].content[0]",
    ),
    "no picture": ([Message("user", [Image()])], {}, "messages[0].content[0]"),
    "a schema that is none": (
        PROMPT,
        {"output_schema": {"type": "thing"}},
        "options.output_schema.type",
    ),
    "an empty schema": (PROMPT, {"output_schema": {}}, "options.output_schema"),
    "a tool without a name": (PROMPT, {"tools": [{"name": ""}]}, "options.tools[0].name"),
    "an unknown choice of tools": (PROMPT, {"tool_choice": "perhaps"}, "options.tool_choice"),
    "a warm temperature": (PROMPT, {"temperature": 7}, "options.temperature"),
    "no time": (PROMPT, {"timeout": 0}, "options.timeout"),
    "a timeout that is no number": (PROMPT, {"timeout": "soon"}, "options.timeout"),
    "a result of no call": (
        [{"role": "tool", "content": [{"type": "tool_result", "call_id": "7"}]}],
        {},
        "messages[0].content[0].call_id",
    ),
}


async def test_what_cannot_be_meant_is_the_callers_fault(
    daemon: Daemon, simulator: Simulator
) -> None:
    async with daemon.client() as client:
        for name, (messages, options, place) in BAD_REQUESTS.items():
            with pytest.raises(CallerError) as caught:
                await client.acomplete("smart", messages, **options)
            error = caught.value
            found = error.code, error.details.get("place")
            assert (name, *found) == (name, "invalid_request", place)
            assert not error.retryable
    assert simulator.account.attempts == ()
    await check_served(daemon)


async def test_an_unknown_target_is_answered_with_its_neighbours(
    daemon: Daemon, simulator: Simulator
) -> None:
    async with daemon.client() as client:
        with pytest.raises(CallerError) as caught:
            await client.acomplete("smrt", PROMPT)
        assert caught.value.code == "unknown_target"
        assert "smart" in caught.value.details["near_matches"]
        record = await newest_record(client)
    assert (record.error_code, record.target) == ("unknown_target", "smrt")
    assert simulator.account.attempts == ()


async def test_nothing_is_sent_to_a_model_that_cannot_see(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(
        f'[providers.mistral]\nbase_url = "{simulator.base_url}/openai/v1"\nkeyless = true\n'
        "simulated = true\n"
    )
    picture = [Message("user", [Text("What is this?"), PICTURE])]
    async with daemon.client() as client:
        reply = await client.acomplete("codestral-2508", PROMPT)
        assert (reply.deployment, reply.degraded) == ("mistral/codestral-2508", None)
        with pytest.raises(CallerError) as caught:
            await client.acomplete("codestral-2508", picture)
        assert caught.value.code == "invalid_request"
        assert caught.value.details["codes"] == {"no_vision": 1}
    assert served_by(simulator) == ["openai/codestral-2508"]


async def test_where_no_model_may_serve_nothing_is_sent(
    daemon: Daemon, simulator: Simulator
) -> None:
    async with daemon.client() as client:
        with pytest.raises(RouterError) as caught:
            await client.acomplete("smart", PROMPT, sensitivity="private")
        assert caught.value.code == "no_candidates"
    assert simulator.account.attempts == ()


async def test_a_call_sent_again_cuts_the_first(daemon: Daemon, simulator: Simulator) -> None:
    simulator.pacing = Pacing(think_seconds=600)
    async with connect(daemon.socket) as first, connect(daemon.socket) as second:
        await first.send(HELLO, call(call_id="same"))
        await simulator.until(lambda account: account.total.running == 1)
        simulator.pacing = Pacing()
        await second.send(HELLO, call(call_id="same", sends=1))
        frames = await first.read_to_end()
        assert [type(frame) for frame in frames] == [DaemonHello, CallStarted]
        await second.read_until(CallEnded)
        ended = second.frames[-1]
        assert isinstance(ended, CallEnded)
        assert ended.error is None
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["aborted", "completed"]
    async with daemon.client() as client:
        await until_idle(client)
        # One record with the attempts of both copies, at the cost of both.
        [record] = await client.acommand("calls", limit=10)
    assert (record["call_id"], record["sends"], record["error_code"]) == ("same", 1, None)
    assert [attempt["error_class"] for attempt in record["attempts"]] == ["cancelled", None]
    started = frames[1]
    assert isinstance(started, CallStarted)
    assert started.decision_id == ended.decision_id == record["decision_id"]
    costs = [attempt["cost_nanodollars"] for attempt in record["attempts"]]
    assert min(costs) > 0
    assert ended.cost_nanodollars == record["cost_nanodollars"] == sum(costs)


async def test_calls_of_different_names_do_not_cut_each_other(
    daemon: Daemon, simulator: Simulator
) -> None:
    simulator.pacing = Pacing(think_seconds=0.2)
    async with connect(daemon.socket) as first, connect(daemon.socket) as second:
        await first.send(HELLO, call(call_id="one"))
        await second.send(HELLO, call(call_id="two"))
        for connection in (first, second):
            await connection.read_until(CallEnded)
    assert simulator.account.total.completed == 2


async def test_one_call_too_many_is_refused_and_the_connection_stays(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon("[limits]\nin_flight = 1\n")
    simulator.pacing = Pacing(think_seconds=600)
    async with connect(daemon.socket) as first, connect(daemon.socket) as second:
        await first.send(HELLO, call(call_id="one"))
        await simulator.until(lambda account: account.total.running == 1)
        await second.send(HELLO, call(call_id="two"))
        await second.read_until(CallEnded)
        ended = second.frames[-1]
        assert isinstance(ended, CallEnded)
        assert ended.error is not None
        assert (ended.error.code, ended.error.blame) == ("router_overloaded", "router")
        assert ended.error.retryable
        assert ended.error.retry_after
        await first.end_writing()
        await simulator.until(lambda account: account.total.aborted == 1)
        simulator.pacing = Pacing()
        async with daemon.client() as client:
            await until_idle(client)
        second.frames.clear()
        await second.send(call(call_id="three"))
        await second.read_until(CallEnded)
        assert isinstance(second.frames[0], CallStarted)
    assert simulator.account.total.requests == 2


async def test_one_connection_too_many_is_told_so(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon("[socket]\nmax_connections = 2\n")
    async with connect(daemon.socket) as first, connect(daemon.socket) as second:
        for connection in (first, second):
            await connection.send(HELLO, STATUS)
            await connection.read_until(CommandAnswered)
        async with connect(daemon.socket) as third:
            assert (await third.farewell()).code == "router_overloaded"
    await check_served(daemon)


async def test_a_frame_too_large_is_refused_to_our_own_client_too(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(SMALL_FRAMES)
    async with daemon.client() as client:
        for size in (LIMIT, 100 * LIMIT):
            for _ in range(2):
                with pytest.raises(CallerError) as caught:
                    await client.acomplete("smart", "x" * size)
                assert caught.value.code == "frame_too_large"
    assert simulator.account.attempts == ()
    await check_served(daemon)


async def test_half_a_character_becomes_the_replacement_character(
    daemon: Daemon, simulator: Simulator
) -> None:
    async with daemon.client() as client:
        for target in ("smart", "cheap"):
            reply = await client.acomplete(target, "Half a \ud83d smile")
            model = reply.deployment.partition("/")[2]
            assert reply.text == expected_text(model, "Half a \ufffd smile")
    assert simulator.account.total.completed == 2


async def test_commands_check_their_arguments(daemon: Daemon) -> None:
    wrong = [
        CommandRequested("dance"),
        CommandRequested("status", {"loud": True}),
        CommandRequested("explain"),
        CommandRequested("explain", {"decision_id": 7}),
        CommandRequested("explain", {"decision_id": "no hex"}),
        CommandRequested("explain", {"decision_id": "0" * 32}),
        CommandRequested("calls", {"limit": 0}),
    ]
    async with connect(daemon.socket) as connection:
        await connection.send(HELLO)
        for command in wrong:
            connection.frames.clear()
            await connection.send(command)
            await connection.read_until(CommandAnswered)
            answered = connection.frames[-1]
            assert isinstance(answered, CommandAnswered)
            assert answered.error is not None
            assert answered.error.code == "invalid_request", command
    await check_served(daemon)
