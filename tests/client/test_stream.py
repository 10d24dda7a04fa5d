"""Streams: parts in order, leaving early in every manner, a slow consumer."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest
import uvloop

from routerd_client import (
    CallerError,
    CallRestarted,
    CitationAdded,
    Client,
    ProviderError,
    ReasoningDelta,
    ReasoningEnded,
    RouterError,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from routerd_client.request import StreamPart
from routerd_client.testing import FakeRouter
from routerd_proto import error_info
from tests.client.raw_server import HELLO, STARTED, WHOLE, RawConnection, RawServer, answering
from tests.client.ways import Way

PARTS: list[StreamPart] = [
    ReasoningDelta("hm"),
    ReasoningEnded("anthropic", {"signature": "s"}),
    TextDelta("for"),
    TextDelta("ty"),
    CitationAdded("anthropic", {"url": "u"}),
    ToolCallStarted(0, "c1", "look"),
    ToolCallDelta(0, '{"a":'),
    ToolCallDelta(0, "1}"),
]
RESTARTED = CallRestarted(error_info("interrupted", "cut"))


def test_parts_come_as_they_were_sent_and_the_reply_after_them(
    router: FakeRouter, way: Way
) -> None:
    router.stream(PARTS, finish="tool_calls")
    read: list[StreamPart] = []
    with router.client() as client:
        stream = client.stream("smart", "x", team="t")
        assert stream.decision_id == ""
        way.read(stream, read)
    assert read == PARTS
    assert stream.reply.text == "forty"
    assert stream.reply.tool_calls[0].arguments == '{"a":1}'
    assert stream.decision_id == stream.reply.decision_id
    assert stream.reply is stream.reply
    assert router.calls[0].stream
    way.read(stream, read)  # the end stays the end
    assert read == PARTS


def test_text_alone(router: FakeRouter) -> None:
    router.stream(PARTS)
    with router.client() as client:
        assert list(client.stream("smart", "x").text) == ["for", "ty"]


async def test_text_alone_with_async_for(router: FakeRouter) -> None:
    router.stream(PARTS)
    async with router.client() as client, client.stream("smart", "x") as stream:
        assert [text async for text in stream.text] == ["for", "ty"]


def test_an_error_comes_after_what_arrived(router: FakeRouter, way: Way) -> None:
    router.fail("interrupted", after_parts=2)
    read: list[StreamPart] = []
    with router.client() as client:
        stream = client.stream("smart", "x")
        for _ in range(2):  # it does not turn into a silent end
            with pytest.raises(ProviderError, match="interrupted") as caught:
                way.read(stream, read)
            assert caught.value.reply is not None
            assert caught.value.reply.text == "part 1 part 2 "
        with pytest.raises(ProviderError, match="interrupted"):
            _ = stream.reply
    assert read == [TextDelta("part 1 "), TextDelta("part 2 ")]


def test_a_restart_is_told_where_it_was_allowed(router: FakeRouter, way: Way) -> None:
    parts: list[StreamPart] = [TextDelta("old"), RESTARTED, TextDelta("new")]
    router.stream(parts)
    read: list[StreamPart] = []
    with router.client() as client:
        stream = client.stream("smart", "x", restart=True)
        way.read(stream, read)
        assert read == parts
        assert stream.reply.text == "new"
        # A whole answer is only ever the new one.
        assert way.complete(client, "smart", "x").text == "new"


def test_a_restart_that_was_not_allowed_breaks_the_protocol(router: FakeRouter, way: Way) -> None:
    router.stream([TextDelta("old"), RESTARTED, TextDelta("new")])
    read: list[StreamPart] = []
    with router.client() as client, pytest.raises(RouterError, match="protocol_error"):
        way.read(client.stream("smart", "x"), read)
    assert read == [TextDelta("old")]


def test_before_the_end_there_is_no_reply(router: FakeRouter) -> None:
    router.stream(PARTS)
    with router.client() as client, client.stream("smart", "x") as stream:
        next(stream)
        with pytest.raises(CallerError, match="read it to its end"):
            _ = stream.reply


def leave_by_break(client: Client) -> object:
    for _ in client.stream("smart", "x"):
        break
    return None


def leave_by_with(client: Client) -> object:
    with client.stream("smart", "x") as stream:
        next(stream)
    return stream


def leave_by_close(client: Client) -> object:
    stream = client.stream("smart", "x")
    next(stream)
    stream.close()
    with pytest.raises(CallerError, match="cancelled"):
        next(stream)
    return stream


def leave_by_del(client: Client) -> object:
    stream = client.stream("smart", "x")
    next(stream)
    del stream
    return None


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_with, leave_by_close, leave_by_del])
def test_leaving_is_seen_as_a_hang_up(
    router: FakeRouter, leave: Callable[[Client], object]
) -> None:
    router.stream(["a", "b"], hold=True)
    with router.client() as client:
        kept = leave(client)
        assert router.wait_for_hang_up()
        del kept
    assert router.hang_ups == [router.calls[0].call_id]


async def leave_async_by_break(client: Client) -> object:
    async for _ in client.stream("smart", "x"):
        break
    return None


async def leave_async_by_with(client: Client) -> object:
    async with client.stream("smart", "x") as stream:
        await anext(stream)
    return stream


async def leave_async_by_close(client: Client) -> object:
    stream = client.stream("smart", "x")
    await anext(stream)
    await stream.aclose()
    with pytest.raises(CallerError, match="cancelled"):
        await anext(stream)
    return stream


async def leave_async_by_del(client: Client) -> object:
    stream = client.stream("smart", "x")
    await anext(stream)
    del stream
    return None


async def leave_async_by_cancelling(client: Client) -> object:
    stream = client.stream("smart", "x")
    with anyio.move_on_after(0.05):
        async for _ in stream:
            pass
    with pytest.raises(CallerError, match="cancelled"):
        await anext(stream)
    return stream


async def leave_async_by_cancelling_acomplete(client: Client) -> object:
    task = asyncio.create_task(client.acomplete("smart", "x"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return task


async def leave_async_from_another_thread(client: Client) -> object:
    stream = client.stream("smart", "x")
    await anext(stream)
    await anyio.to_thread.run_sync(stream.close)
    return stream


@pytest.mark.parametrize(
    "leave",
    [
        leave_async_by_break,
        leave_async_by_with,
        leave_async_by_close,
        leave_async_by_del,
        leave_async_by_cancelling,
        leave_async_by_cancelling_acomplete,
        leave_async_from_another_thread,
    ],
)
async def test_leaving_on_asyncio_is_seen_as_a_hang_up(
    router: FakeRouter, leave: Callable[[Client], object]
) -> None:
    router.stream(["a", "b"], hold=True)
    async with router.client() as client:
        kept = await leave(client)  # type: ignore[misc]
        assert await anyio.to_thread.run_sync(router.wait_for_hang_up)
        del kept
    assert router.hang_ups == [router.calls[0].call_id]


def test_another_thread_can_end_a_waiting_stream(router: FakeRouter) -> None:
    router.stream(["a"], hold=True)
    with router.client() as client:
        stream = client.stream("smart", "x")
        next(stream)
        waiting = threading.Event()

        def close_soon() -> None:
            waiting.wait()
            stream.close()

        thread = threading.Thread(target=close_soon)
        thread.start()
        waiting.set()
        with pytest.raises(CallerError, match="cancelled"):
            next(stream)
        thread.join()
    assert router.wait_for_hang_up()


def test_an_unread_stream_was_never_sent(router: FakeRouter) -> None:
    with router.client() as client:
        client.stream("smart", "x").close()
        with client.stream("smart", "x") as stream:
            pass
        with pytest.raises(CallerError, match="cancelled"):
            next(stream)
    assert router.calls == []


async def test_a_stream_is_read_in_one_manner(router: FakeRouter) -> None:
    router.stream(["a", "b"])
    async with router.client() as client:
        stream = client.stream("smart", "x")
        await anext(stream)
        with pytest.raises(RuntimeError, match="async for"):
            next(stream)
        await stream.aclose()


async def test_two_tasks_cannot_wait_for_one_stream(router: FakeRouter) -> None:
    router.stream(["a"], hold=True)
    async with router.client() as client:
        stream = client.stream("smart", "x")
        await anext(stream)
        outcomes = await asyncio.gather(anext(stream), anext(stream), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {RuntimeError, CallerError}


def test_a_stream_left_open_ends_with_its_loop(router: FakeRouter) -> None:
    router.stream(["a"], hold=True)
    client = router.client()
    kept = []

    async def leave_it_open() -> None:
        stream = client.stream("smart", "x")
        kept.append(stream)
        await anext(stream)

    asyncio.run(leave_it_open())
    assert router.wait_for_hang_up()
    kept.clear()
    gc.collect()


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_slow_consumer_stops_the_daemon_and_fills_no_memory(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    total = 4000
    text = TextDelta("x" * 1000)

    def script(connection: RawConnection) -> None:
        connection.next_call()
        connection.send(HELLO, STARTED)
        for _ in range(total):
            connection.send(text)
        connection.send(*WHOLE[1:])
        assert connection.next() is None

    async def read_slowly(client: Client) -> int:
        stream = client.stream("smart", "x")
        count = 1
        assert await anext(stream) == text
        assert stream._async is not None
        link = stream._async.link
        assert link is not None
        while not link._paused:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        # One read more than the limit, of at most 256 KiB; the rest is the kernel's to hold.
        assert len(link.wire.frames) <= 10 + 256 * 1024 // 1000
        async for _ in stream:
            count += 1
        return count

    with RawServer(script) as server, asyncio.Runner(loop_factory=make_loop) as runner:
        client = Client(server.path, max_waiting_frames=10)
        assert runner.run(read_slowly(client)) == total + 2
        runner.run(client.aclose())


def test_frames_behind_the_end_spoil_the_connection_not_the_answer(way: Way) -> None:
    with RawServer(answering(*WHOLE, TextDelta("more"))) as server, Client(server.path) as client:
        for count in (1, 2):
            assert way.complete(client, "smart", "x").text == "forty"
            assert server.connections == count
