"""Calls for one piece at a watched provider: it is asked for a stream, and left if silent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routerd.domain import Latency
from routerd.execute import answer as answers
from routerd.execute.asking import NO_STREAM_NOTE, WATCHED_NOTE
from routerd.settings import Timeouts
from tests.daemon.execute.run import SOON, Run
from tests.daemon.execute.scripted import (
    Exchange,
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    silent,
    stalling,
    unfinished,
    usage,
    whole,
)

PATIENT: dict[str, float] = {
    "headers": 3600.0,
    "first_content": 3600.0,
    "between_parts": 3600.0,
    "whole_answer": 3600.0,
    "total": 3600.0,
}


def limits(**seconds: float) -> Timeouts:
    return Timeouts(**(PATIENT | seconds))


async def ask(vendor: Vendor, *others: Vendor, **arguments: Any) -> Run:
    """Ask a watched provider with others behind it, for an answer in one piece."""
    targets = [vendor.target(watched=True), *(other.target() for other in others)]
    return await Run(*targets, stream=False, **arguments).go()


@pytest.mark.parametrize(
    ("scene", "timeouts", "phase"),
    [
        (silent, limits(headers=SOON), "headers"),
        (silent, limits(first_content=SOON), "headers"),
        (stalling(), limits(first_content=SOON), "first_content"),
        (stalling("Hel"), limits(between_parts=SOON), "content"),
        (stalling("Hel"), limits(whole_answer=0.2), "content"),
        (silent, limits(whole_answer=SOON), "headers"),
    ],
)
async def test_a_silent_server_is_left_for_the_backup(
    scene: Scene, timeouts: Timeouts, phase: str
) -> None:
    async with Vendor(scene) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await ask(vendor, backup, timeouts=timeouts)
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert run.attempts[0].error_phase == phase
    assert run.sink.text == "Hello"
    assert run.sink.kinds == ["TextDelta"]
    # Only where nobody stands by is an answer in one piece waited for.
    assert [vendor.requests[0].get("stream"), backup.requests[0].get("stream")] == [True, None]


@pytest.mark.parametrize("scene", [cut("Hel"), unfinished("Hel"), cut(), unfinished()])
async def test_what_is_cut_is_answered_whole_by_the_backup(scene: Scene) -> None:
    async with Vendor(scene, scene) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await ask(vendor, backup)
    assert run.way[-1] == ("backup", "fallback", None)
    assert run.sink.text == "Hello"
    assert run.sink.kinds == ["TextDelta"]


async def test_a_whole_answer_comes_in_one_piece() -> None:
    async with Vendor(answer("Hel", "lo ", "there")) as vendor, Vendor(name="backup") as backup:
        run = await ask(vendor, backup)
    assert run.way == [("vendor", "first", None)]
    assert run.sink.text == "Hello there"
    assert run.sink.kinds == ["TextDelta"]
    (attempt,) = run.attempts
    assert WATCHED_NOTE in attempt.notes
    assert attempt.streamed
    assert attempt.cost_basis == "measured"
    assert vendor.requests[0]["stream_options"] == {"include_usage": True}


async def test_what_was_seen_of_a_cut_answer_is_all_that_is_charged() -> None:
    """Of a plain answer nobody sees what was written: it would cost its bound."""
    async with Vendor(cut("Hel", "lo")) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await ask(vendor, backup)
    lost = run.attempts[0]
    assert lost.usage is not None
    assert (lost.usage.output_tokens, lost.cost_basis) == (2, "estimated")


async def test_the_only_one_is_not_watched() -> None:
    """It may be loading: rather late than never."""
    async with Vendor(whole("Hello")) as vendor:
        run = await ask(vendor, timeouts=limits(headers=SOON, first_content=SOON))
    assert run.sink.text == "Hello"
    assert "stream" not in vendor.requests[0]
    assert WATCHED_NOTE not in run.attempts[0].notes


@pytest.mark.parametrize("latency", [None, "batch"])
async def test_who_is_not_watched_is_asked_as_the_caller_asks(latency: Latency | None) -> None:
    async with Vendor(whole("Hello")) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(), backup.target(), stream=False, latency=latency).go()
    assert run.way == [("vendor", "first", None)]
    assert "stream" not in vendor.requests[0]


@pytest.mark.parametrize("latency", ["interactive", 100])
async def test_a_call_that_somebody_awaits_watches_whoever_it_asks(latency: Latency) -> None:
    async with Vendor(silent) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        calls: dict[str, Any] = {
            "stream": False,
            "latency": latency,
            "timeouts": limits(first_content=SOON),
        }
        run = await Run(vendor.target(), backup.target(), **calls).go()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert [attempt.streamed for attempt in run.attempts] == [True, False]
    async with Vendor(whole("Hello")) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(watched=False), backup.target(), **calls).go()
    assert [attempt.streamed for attempt in run.attempts] == [False]
    assert "stream" not in vendor.requests[0]


async def test_an_answer_in_one_piece_is_taken_too() -> None:
    async with Vendor(whole("Hello")) as vendor, Vendor(name="backup") as backup:
        run = await ask(vendor, backup)
    assert vendor.requests[0]["stream"] is True
    assert run.way == [("vendor", "first", None)]
    assert run.sink.text == "Hello"


def refusing_streams(param: str) -> Scene:
    async def scene(exchange: Exchange) -> None:
        error = {"message": "no streams", "param": param, "code": "unsupported_value"}
        await exchange.plain(400, {"error": error})

    return scene


async def test_a_stream_that_is_refused_is_done_without() -> None:
    scenes = [refusing_streams("stream"), whole("Hello")]
    async with Vendor(*scenes) as vendor, Vendor(name="backup") as backup:
        run = await ask(vendor, backup, timeouts=limits(headers=60.0))
    assert run.way == [("vendor", "first", "bad_request"), ("vendor", "repair", None)]
    assert run.sink.text == "Hello"
    assert [item.get("stream") for item in vendor.requests] == [True, None]
    assert "stream_options" not in vendor.requests[1]
    assert run.attempts[1].notes.count(NO_STREAM_NOTE) == 1
    assert WATCHED_NOTE not in run.attempts[1].notes


async def test_a_stream_that_the_caller_asked_for_is_not_done_without() -> None:
    async with Vendor(refusing_streams("stream")) as vendor, Vendor(name="backup") as backup:
        run = await Run(vendor.target(watched=True), backup.target()).go()
    assert run.way == [("vendor", "first", "bad_request")]
    assert run.error.code == "bad_request"


async def test_a_slow_answer_that_is_alive_is_not_left() -> None:
    """What comes now and then is no silence, though all of it takes longer than any limit."""

    async def scene(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for _ in range(5):
            await exchange.text("word ")
            await asyncio.sleep(0.15)
        await exchange.event(
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage(1, 5)}
        )
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    async with Vendor(scene) as vendor, Vendor(name="backup") as backup:
        run = await ask(vendor, backup, timeouts=limits(first_content=0.5, between_parts=0.5))
    assert run.way == [("vendor", "first", None)]
    assert run.sink.text == "word " * 5


async def test_a_second_attempt_is_watched_too() -> None:
    scenes = [failing(503, retry_after_ms="1"), silent]
    async with Vendor(*scenes) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await ask(vendor, backup, timeouts=limits(headers=SOON))
    assert [item["stream"] for item in vendor.requests] == [True, True]
    assert run.way[1:] == [("vendor", "retry", "timeout"), ("backup", "fallback", None)]


async def test_who_hurries_leaves_half_of_the_time_to_the_backup() -> None:
    async with Vendor(silent) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await ask(vendor, backup, seconds=8 * SOON, timeouts=limits())
    first = run.attempts[0]
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert first.ended_us is not None
    assert first.ended_us - first.started_us < 6 * SOON * 1e6


async def test_who_hurries_is_not_kept_by_silence_in_an_answer_either() -> None:
    async with Vendor(stalling("Hel")) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = Run(vendor.target(watched=True), backup.target(), stream=False, seconds=1.0)
        run = await run.go()
        await vendor.hung_up.wait()
    assert run.way == [("vendor", "first", "timeout"), ("backup", "fallback", None)]
    assert run.attempts[0].error_phase == "content"
    assert run.sink.text == "Hello"


async def test_an_answer_without_end_is_not_held_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "DEFAULT_MAX_EVENT_BYTES", 100)

    async def endless(exchange: Exchange) -> None:
        await exchange.begin_stream()
        while not exchange.gone:
            await exchange.text("and so on ")
            await asyncio.sleep(0)

    async with Vendor(endless) as vendor, Vendor(whole("Hello"), name="backup") as backup:
        run = await ask(vendor, backup)
    assert run.way == [("vendor", "first", "bad_answer"), ("backup", "fallback", None)]
    assert run.sink.text == "Hello"
