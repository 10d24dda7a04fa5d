"""How long a provider may take, and the whole call, and who is blamed for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest

from routerd.health.trips import Place
from routerd.settings import USUAL_HEALTH, Timeouts
from tests.daemon.execute.run import SOON, Run
from tests.daemon.execute.scripted import (
    Scene,
    Vendor,
    answer,
    failing,
    silent,
    stalling,
    usage,
    whole,
)

# The body of an answer that comes in one piece.
WRITTEN = json.dumps(
    {
        "model": "m-1",
        "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
        "usage": usage(10, 5),
    }
).encode()


@pytest.mark.parametrize(
    ("scene", "timeouts", "phase"),
    [
        (silent, Timeouts(headers=SOON), "headers"),
        (stalling(), Timeouts(first_content=SOON), "first_content"),
    ],
)
async def test_a_slow_provider_is_left_for_the_backup(
    scene: Scene, timeouts: Timeouts, phase: str
) -> None:
    async with Vendor(scene) as vendor, Vendor(answer("Hello"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), timeouts=timeouts).go()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert run.attempts[0].error_phase == phase


async def test_the_first_content_is_awaited_from_sending() -> None:
    """Headers that come late leave less time for the content."""
    patience = 0.5

    async def late(exchange: Any) -> None:
        await asyncio.sleep(0.6 * patience)
        await exchange.begin_stream()
        await asyncio.sleep(0.6 * patience)
        await exchange.text("Hello")
        await exchange.until_gone()

    async with Vendor(late) as vendor:
        timeouts = Timeouts(headers=60.0, first_content=patience)
        run = await Run(vendor.target(), timeouts=timeouts).go()
        await vendor.hung_up.wait()
    assert run.attempts[0].error_phase == "first_content"


async def test_an_answer_that_is_not_streamed_has_its_own_limit() -> None:
    async with Vendor(silent) as vendor:
        timeouts = Timeouts(headers=3600.0, whole_answer=SOON)
        run = await Run(vendor.target(), timeouts=timeouts, stream=False).go()
    assert run.way == [("vendor", "first", "timeout")]
    assert run.attempts[0].error_phase == "headers"


async def test_a_plain_answer_whose_body_stalls_has_had_its_headers() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
        await exchange.until_gone()

    async with Vendor(scene) as vendor:
        timeouts = Timeouts(headers=3600.0, whole_answer=0.2)
        run = await Run(vendor.target(), timeouts=timeouts, stream=False).go()
    assert run.way == [("vendor", "first", "timeout")]
    assert run.attempts[0].error_phase == "content"


async def test_a_plain_answer_that_stalls_leaves_the_backup_its_share_of_the_callers_time() -> None:
    async def scene(exchange: Any) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
        await exchange.until_gone()

    async with Vendor(scene) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), stream=False, seconds=1.0).go()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert run.attempts[0].error_phase == "content"
    assert run.sink.text == "Hello"


async def test_silence_after_content_ends_the_call() -> None:
    async with Vendor(stalling("Hel")) as vendor, Vendor(name="backup") as backup:
        timeouts = Timeouts(between_parts=SOON)
        run = await Run(vendor.target(), backup.target(), timeouts=timeouts).go()
        await vendor.hung_up.wait()
    assert run.error.code == "interrupted"
    assert run.sink.text == "Hel"
    assert run.attempts[0].error_phase == "content"
    assert backup.requests == []


async def test_the_deadline_ends_the_call_whoever_is_being_asked() -> None:
    async with Vendor(silent) as vendor, Vendor(silent, name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), seconds=8 * SOON).go()
        await vendor.hung_up.wait()
        await backup.hung_up.wait()
    assert run.error.code == "deadline_exceeded"
    assert run.error.details["tried"] == ["vendor/m: timeout", "backup/m: timeout"]
    assert [item.error_phase for item in run.attempts] == ["headers", "deadline"]


async def test_the_first_failure_is_kept_when_time_is_over() -> None:
    async with Vendor(failing(503, "busy", retry_after_ms="10"), silent) as vendor:
        run = await Run(vendor.target(), seconds=0.3).go()
    error = run.error
    assert (error.code, error.blame) == ("deadline_exceeded", "caller")
    assert error.message.endswith("; the first failure: no")
    assert error.details == {
        "status": 503,
        "code": "busy",
        "first_failure": "overloaded",
        "tried": ["vendor/m: overloaded", "vendor/m: timeout"],
    }


@pytest.mark.parametrize("wanted", [None, 3600.0])
async def test_a_time_that_is_not_the_callers_is_not_the_callers_fault(
    wanted: float | None,
) -> None:
    async with Vendor(silent) as vendor:
        run = Run(vendor.target(), timeouts=Timeouts(total=60.0), age=10.0 - SOON, timeout=wanted)
        await run.go()
    assert (run.error.code, run.error.blame) == ("timeout", "provider")


async def test_a_timer_that_fires_a_little_early_asks_no_backup_either() -> None:
    async with Vendor(silent) as vendor, Vendor(name="backup") as backup:
        run = Run(vendor.target(), backup.target(), seconds=SOON)
        clock = asyncio.get_running_loop().time
        run.execution._clock = lambda: clock() - 0.5
        await run.go()
    assert run.error.code == "deadline_exceeded"
    assert len(run.attempts) == 1


async def test_the_deadline_counts_from_the_moment_the_call_was_read() -> None:
    async with Vendor(silent) as vendor:
        run = await Run(vendor.target(), seconds=600.0, age=600.0 - SOON).go()
    assert run.error.code == "deadline_exceeded"


async def test_a_call_whose_time_is_over_ends_before_it_waits_for_anything() -> None:
    async with Vendor(silent) as vendor:
        run = await Run(vendor.target(), seconds=1.0, age=2.0).go()
    assert run.error.code == "deadline_exceeded"


async def test_a_caller_that_reads_slowly_is_not_taken_for_a_slow_provider() -> None:
    patience = 0.5
    go_on = asyncio.Event()

    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hel")
        await go_on.wait()
        await exchange.text("lo")
        await exchange.until_gone()

    async with Vendor(scene) as vendor:
        run = Run(vendor.target(), timeouts=Timeouts(between_parts=patience))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.go)
            await run.sink.sent.wait()
            run.sink.stop_reading()
            go_on.set()
            await run.sink.draining.wait()
            await asyncio.sleep(2 * patience)
            assert run.execution.error is None
            assert run.attempts[0].ended_us is None
            # From here on it is the provider who is silent.
            run.sink.read_on()
    assert run.error.code == "interrupted"
    assert run.attempts[0].error_phase == "content"
    assert run.sink.text == "Hello"


async def test_the_deadline_holds_for_a_caller_that_reads_slowly() -> None:
    async with Vendor(stalling("Hello")) as vendor:
        run = Run(vendor.target(), seconds=2 * SOON)
        run.sink.stop_reading()
        await run.go()
    assert run.error.code == "deadline_exceeded"
    assert run.attempts[0].error_phase == "deadline"


async def test_pings_keep_a_silent_answer_alive() -> None:
    async def thinking(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hel")
        for _ in range(8):
            await asyncio.sleep(SOON)
            await exchange.send(b"8\r\n: ping\n\n\r\n")
        await exchange.text("lo")
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    async with Vendor(thinking) as vendor:
        run = await Run(vendor.target(), timeouts=Timeouts(between_parts=4 * SOON)).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"


def thinking(pings: int) -> Scene:
    """Send so many pings, one each `SOON`, before the first content."""

    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        for _ in range(pings):
            await asyncio.sleep(SOON)
            await exchange.send(b"8\r\n: ping\n\n\r\n")
        await exchange.text("Hello")
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    return scene


async def test_signs_of_life_before_the_first_content_are_waited_for() -> None:
    async with Vendor(thinking(pings=8)) as vendor:
        timeouts = Timeouts(first_content=4 * SOON, thinking=3600.0)
        run = await Run(vendor.target(), timeouts=timeouts).go()
    assert run.way == [("vendor", "first", None)]
    assert run.sink.text == "Hello"


async def test_signs_of_life_alone_are_not_waited_for_without_end() -> None:
    endless = thinking(pings=1_000_000)
    async with Vendor(endless) as vendor, Vendor(answer("Hi"), name="backup") as backup:
        timeouts = Timeouts(first_content=4 * SOON, thinking=8 * SOON)
        run = await Run(vendor.target(), backup.target(), timeouts=timeouts).go()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert run.attempts[0].error_phase == "first_content"
    assert run.sink.text == "Hi"


def trickle(piece: bytes | None, times: int = 1_000_000) -> Scene:
    """Send a text, then so often a piece of one, or a ping: one each `SOON`."""

    async def scene(exchange: Any) -> None:
        await exchange.begin_stream()
        await exchange.text("Hello")
        for _ in range(times):
            await asyncio.sleep(SOON)
            if piece is None:
                await exchange.send(b"8\r\n: ping\n\n\r\n")
            else:
                await exchange.text(piece.decode())
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    return scene


async def test_a_stream_that_trickles_is_cut() -> None:
    async with Vendor(trickle(b".")) as vendor:
        timeouts = Timeouts(throughput_seconds=8 * SOON, least_bytes_per_second=1000)
        run = await Run(vendor.target(), timeouts=timeouts).go()
    assert run.way == [("vendor", "first", "timeout")]
    assert run.attempts[0].error_phase == "throughput"
    assert run.error.code == "interrupted"
    assert run.sink.text.startswith("Hello")


async def test_signs_of_life_alone_are_no_trickle() -> None:
    """A model that thinks between two words says so, and nothing else."""
    async with Vendor(trickle(None, times=12)) as vendor:
        timeouts = Timeouts(throughput_seconds=4 * SOON, least_bytes_per_second=1000)
        run = await Run(vendor.target(), timeouts=timeouts).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello"


async def test_a_caller_in_a_hurry_leaves_time_for_the_backup() -> None:
    async with Vendor(silent) as vendor, Vendor(answer("Hi"), name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), timeout=40 * SOON).go()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    # Its hurry says nothing of the provider.
    assert run.accounts.breakers.report(0.0) == []


@pytest.mark.parametrize(
    ("seconds", "options", "stands_for"),
    [
        (1.0, {"latency": 100}, "a hint"),
        (SOON, {"latency": 100}, "nothing"),
        (1.0, {}, "a failure"),
    ],
)
async def test_what_a_callers_hurry_ended_is_a_hint_at_most(
    seconds: float, options: dict[str, Any], stands_for: str
) -> None:
    async with Vendor(silent) as vendor:
        timeouts = Timeouts(headers=seconds, first_content=seconds)
        run = Run(vendor.target(), timeouts=timeouts, **options)
        place = Place("vendor/m", "m", "vendor", vendor.channel.server)
        run.accounts.breakers.replace([place], USUAL_HEALTH)
        await run.go()
    endpoint = run.accounts.breakers._endpoints["vendor", vendor.channel.server]
    assert run.way == [("vendor", "first", "timeout")]
    counted = {"nothing": (0, 0), "a hint": (1, 0), "a failure": (0, 1)}
    assert (endpoint.hints, endpoint.in_a_row) == counted[stands_for]


async def test_a_caller_in_a_hurry_leaves_time_also_where_an_answer_comes_in_one_piece() -> None:
    async with Vendor(silent) as vendor, Vendor(whole("Hi"), name="backup") as backup:
        run = Run(vendor.target(), backup.target(), timeout=40 * SOON, stream=False)
        await run.go()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert run.attempts[0].error_phase == "headers"


async def test_an_answer_in_one_piece_that_has_begun_keeps_the_rest_of_the_time() -> None:
    seconds = 20 * SOON

    async def late(exchange: Any) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(WRITTEN))
        await asyncio.sleep(0.8 * seconds)
        await exchange.send(WRITTEN)

    async with Vendor(late) as vendor, Vendor(name="backup") as backup:
        run = Run(vendor.target(), backup.target(), timeout=seconds, stream=False)
        await run.go()
    assert run.way == [("vendor", "first", None)]
    assert run.sink.text == "Hello"


async def test_headers_that_do_not_come_count_against_the_first_content() -> None:
    async with Vendor(silent) as vendor, Vendor(answer("Hi"), name="backup") as backup:
        timeouts = Timeouts(headers=3600.0, first_content=SOON)
        run = await Run(vendor.target(), backup.target(), timeouts=timeouts).go()
        await vendor.hung_up.wait()
    assert run.attempts[0].error_phase == "headers"
    assert run.sink.text == "Hi"


@pytest.mark.parametrize("least", [0.0, 1.0])
async def test_a_stream_that_brings_enough_is_not(least: float) -> None:
    async with Vendor(trickle(b"words", times=12)) as vendor:
        timeouts = Timeouts(throughput_seconds=4 * SOON, least_bytes_per_second=least)
        run = await Run(vendor.target(), timeouts=timeouts).go()
    assert run.execution.error is None
    assert run.sink.text == "Hello" + "words" * 12
