"""Reading an answer: what commits the call, and when what came is a whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import anyio
import httpx
import pytest

from routerd.domain import Attempt
from routerd.execute.answer import END_MARK_SECONDS, NO_END_MARK, AnswerReader
from routerd.execute.delivery import Delivery
from routerd.execute.watchdog import Watchdog
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.transport.httpx_engine import HttpxAnswer
from routerd.providers.transport.sending import Sending
from routerd.settings import Timeouts
from routerd_proto.frames import Usage
from tests.daemon.execute.run import SOON, Run
from tests.daemon.execute.scripted import (
    PATIENT,
    Exchange,
    RecordingSink,
    Vendor,
    answer,
    failing,
    until,
    usage,
    whole,
)

STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
PING = b"8\r\n: ping\n\n\r\n"


# --- an answer that is not streamed --------------------------------------------------------------


async def half_an_answer(exchange: Exchange) -> None:
    """Give content and an error in one plain answer."""
    choice = {"index": 0, "message": {"content": "Hel"}, "finish_reason": "error"}
    await exchange.plain(200, {"choices": [choice], "error": {"message": "no", "code": 401}})


async def test_half_a_plain_answer_is_not_delivered_and_another_is_asked() -> None:
    async with (
        Vendor(half_an_answer, half_an_answer) as vendor,
        Vendor(whole("Whole"), name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target(), stream=False).go()
    assert run.execution.error is None
    assert run.sink.kinds == ["TextDelta"]
    assert run.sink.text == "Whole"
    assert run.way[-1] == ("backup", "fallback", None)
    # What it wrote may be billed all the same.
    assert run.attempts[0].usage == Usage(input_tokens=100, output_tokens=1)


async def test_a_stream_where_none_was_asked_for_is_delivered_once_it_is_whole() -> None:
    async def cut_stream(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hel")
        exchange.reset()

    async with Vendor(cut_stream) as vendor, Vendor(answer("Who", "le"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), stream=False).go()
    assert run.execution.error is None
    assert run.sink.text == "Whole"
    # What broke inside the answer was written and is billed: the same is not bought twice.
    assert run.way == [("vendor", "first", "connection"), ("backup", "fallback", None)]


async def test_a_plain_answer_that_is_whole_though_its_body_is_cut() -> None:
    async def scene(exchange: Any) -> None:
        body = b'{"choices": [{"index": 0, "message": {"content": "Hello"}}]}'
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n" + body)
        exchange.reset()

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert run.attempts[0].notes == [NO_END_MARK]


async def test_what_a_cut_does_to_a_plain_answer_is_not_the_decoders_to_tell() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.send(b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"choices": [')
        exchange.reset()

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target(), stream=False).go()
    assert run.error.code == "connection"
    (attempt,) = run.attempts
    assert (attempt.finish, attempt.malformed_events, attempt.error_phase) == (None, 0, "content")


# --- an answer without its end mark --------------------------------------------------------------


async def test_an_answer_is_whole_after_its_finish_reason_however_its_connection_ends() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hello")
        await exchange.event({**STOP, "usage": usage(10, 5)})
        exchange.reset()

    async with Vendor(scene) as vendor:
        run = await Run(vendor.target()).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    (attempt,) = run.attempts
    assert (attempt.finish, attempt.error_class) == ("stop", None)
    assert attempt.notes == [NO_END_MARK]
    assert (attempt.usage, attempt.cost_basis) == (Usage(10, output_tokens=5), "measured")


async def silence_after_the_finish(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.text("Hello")
    await exchange.event(STOP)
    await exchange.until_gone()


async def pings_after_the_finish(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.text("Hello")
    await exchange.event(STOP)
    while not exchange.gone:
        await exchange.send(PING)
        await asyncio.sleep(SOON)


async def pings_after_the_end_mark(exchange: Exchange) -> None:
    await exchange.begin_stream()
    await exchange.text("Hello")
    await exchange.event(STOP)
    await exchange.event(b"[DONE]")
    while not exchange.gone:
        await exchange.send(PING)
        await asyncio.sleep(SOON)


@pytest.mark.parametrize(
    ("scene", "notes"),
    [
        (silence_after_the_finish, [NO_END_MARK]),
        (pings_after_the_finish, [NO_END_MARK]),
        (pings_after_the_end_mark, []),
    ],
)
async def test_the_end_of_an_answer_is_not_waited_for_for_long(
    scene: Any, notes: list[str]
) -> None:
    """Silence between parts may last an hour here: only the limits after a finish can end this."""
    timeouts = Timeouts(between_parts=3600.0, first_content=3600.0)
    async with Vendor(scene) as vendor:
        run = await Run(vendor.target(), timeouts=timeouts, seconds=500.0).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"
    assert run.attempts[0].finish == "stop"
    assert run.attempts[0].notes == notes


async def test_a_server_that_gives_a_reason_with_every_piece_may_think_in_between() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        for text in ("Hel", "lo"):
            await exchange.event(
                {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
            )
            await until(lambda text=text: run.sink.text.endswith(text))  # type: ignore[misc]
        await asyncio.sleep(1.3 * END_MARK_SECONDS)
        await exchange.text("!")
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    async with Vendor(scene) as vendor:
        run = Run(vendor.target())
        await run.go()
    assert run.sink.text == "Hello!"
    assert run.attempts[0].notes == []


async def test_a_whole_answer_is_one_though_the_time_of_the_call_is_over() -> None:
    async with Vendor(silence_after_the_finish) as vendor:
        run = await Run(vendor.target(), seconds=0.3).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"


# --- bytes that come as the time is over ---------------------------------------------------------


class HeldBody(httpx.AsyncByteStream):
    """A body whose bytes come when the test says so."""

    def __init__(self) -> None:
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.read = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.read.set()
        yield await self.data
        await asyncio.Event().wait()


async def test_bytes_that_come_in_the_turn_in_which_time_is_over_do_not_commit() -> None:
    sink = RecordingSink()
    delivery = Delivery(sink, monotonic())
    watchdog = Watchdog(asyncio.get_running_loop().time() + 3600)
    attempt = Attempt(
        deployment="v/m", model="m", provider="v", server="h:1", reason="first", started_us=0
    )
    delivery.begin(attempt)
    reader = AnswerReader(
        OpenAIAdapter().decoder(stream=True),
        attempt,
        delivery,
        watchdog,
        stream=True,
        whole=False,
        timeouts=PATIENT,
    )
    body = HeldBody()

    async def read() -> None:
        with watchdog:
            watchdog.expect("first_content", 3600)
            answer = httpx.Response(200, stream=body)
            await reader.read(HttpxAnswer(answer, "provider.test", Sending()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await body.read.wait()
        # One turn of the loop: the bytes are here, and then the timer fires.
        body.data.set_result(b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n')
        watchdog.expect("first_content", 0)
        watchdog._fire()
    assert watchdog.expired == "first_content"
    assert attempt.first_content_us is not None
    assert not delivery.committed
    assert sink.frames == []


# --- whose answer the caller holds ---------------------------------------------------------------


async def test_after_a_restart_that_fails_the_caller_still_holds_the_first_answer() -> None:
    async def cut_after_hel(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hel")
        exchange.reset()

    async with (
        Vendor(cut_after_hel) as vendor,
        Vendor(failing(401), name="backup") as backup,
    ):
        run = await Run(vendor.target(), backup.target(), restart=True).go()
    assert run.execution.held is run.attempts[0]
    assert run.error.message.startswith("the answer was cut after it began: ")
    assert "401" not in run.error.message


async def test_an_answer_without_parts_is_held_too() -> None:
    async with Vendor(answer()) as vendor:
        run = await Run(vendor.target()).go()
    assert run.sink.frames == []
    assert run.execution.held is run.attempts[0]


async def test_an_empty_answer_after_a_restart_voids_what_came_before() -> None:
    async def cut_after_hel(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hel")
        exchange.reset()

    async with Vendor(cut_after_hel) as vendor, Vendor(answer(), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), restart=True).go()
    assert run.execution.error is None
    assert run.sink.kinds == ["TextDelta", "CallRestarted"]
    assert run.execution.held is run.attempts[1]
