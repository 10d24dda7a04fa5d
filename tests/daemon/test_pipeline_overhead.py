"""What routerd added to a call: its time, less every wait, each of which is named apart.

The provider takes its time on purpose, so that a wait has a least length however fast the machine
is; nothing here says how long routerd may take.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import anyio
import pytest

from routerd.domain import Record
from routerd.execute.places import Place
from routerd.settings import CachedShortcut
from routerd_proto.frames import CallEnded
from tests.daemon.execute.house import ended, house
from tests.daemon.execute.scripted import (
    Exchange,
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    stalling,
    until,
    whole,
)

PAUSE = 0.06
# A loop's timer may be a millisecond early.
PAUSE_US = int(PAUSE * 1e6) - 2_000


def slow(scene: Scene) -> Scene:
    """Play a scene after a pause."""

    async def play(exchange: Exchange) -> None:
        await anyio.sleep(PAUSE)
        await scene(exchange)

    return play


async def halting(exchange: Exchange) -> None:
    """Stream an answer with a pause before its headers, and one inside."""
    await anyio.sleep(PAUSE)
    await exchange.begin_stream()
    await exchange.text("Hel")
    await anyio.sleep(PAUSE)
    await exchange.text("lo")
    await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    await exchange.event(b"[DONE]")
    await exchange.end_stream()


def waits_of(record: Record) -> int:
    """Return all that is named apart."""
    at_providers = sum(attempt.waited_us for attempt in record.attempts)
    return at_providers + record.waited_us + record.queued_us + record.reader_us


async def test_a_provider_that_takes_its_time_is_waited_for(tmp_path: Path) -> None:
    async with Vendor(halting) as vendor, house(tmp_path, vendor) as made:
        await made.ask()
        record = await made.only_record()
        report = made.pipeline.overheads.report()
    (attempt,) = record.attempts
    assert attempt.ended_us is not None
    assert 2 * PAUSE_US <= attempt.waited_us <= attempt.ended_us - attempt.started_us
    assert record.overhead_us == record.total_us - attempt.waited_us > 0
    # Work on an attempt is routerd's own all the same.
    assert record.overhead_us > record.total_us - record.upstream_us
    assert report == {
        "count": 1,
        "p50_us": record.overhead_us,
        "p99_us": record.overhead_us,
        "max_us": record.overhead_us,
    }


async def test_a_plain_answer_is_waited_for_too(tmp_path: Path) -> None:
    async with Vendor(slow(whole("Hello"))) as vendor, house(tmp_path, vendor) as made:
        await made.ask(stream=False)
        record = await made.only_record()
    assert record.attempts[0].waited_us >= PAUSE_US
    assert record.overhead_us == record.total_us - waits_of(record) > 0


async def test_a_call_that_is_hung_up_has_waited_until_then(tmp_path: Path) -> None:
    async with Vendor(stalling("Hel")) as vendor, house(tmp_path, vendor) as made:
        app = await made.begin()
        await vendor.waiting.wait()
        await anyio.sleep(PAUSE)
        await app.close()
        record = await made.only_record()
    assert record.error_code == "cancelled"
    assert record.attempts[0].waited_us >= PAUSE_US
    assert record.overhead_us == record.total_us - waits_of(record) > 0


async def test_the_pause_before_a_second_attempt_is_named_apart(tmp_path: Path) -> None:
    scenes = [slow(failing(503)), slow(answer("Hello"))]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask()
        record = await made.only_record()
    assert ended(frames).error is None
    assert len(record.attempts) == 2
    assert all(attempt.waited_us >= PAUSE_US for attempt in record.attempts)
    assert record.waited_us > 0
    assert record.overhead_us == record.total_us - waits_of(record) > 0


async def test_the_wait_for_a_place_is_named_apart(tmp_path: Path) -> None:
    async with (
        Vendor(answer("Hello")) as vendor,
        house(tmp_path, vendor, in_flight=1, queue=1) as made,
    ):
        there = Place(made.pipeline.places, "other", monotonic() + 60)
        assert made.pipeline.places.enter(there)
        app = await made.begin()
        await until(lambda: made.pipeline.places.waiting == 1)
        await anyio.sleep(PAUSE)
        made.pipeline.places.leave(there)
        await app.receive_until(CallEnded)
        record = await made.only_record()
    assert record.queued_us >= PAUSE_US
    assert record.overhead_us == record.total_us - waits_of(record) > 0


async def test_the_wait_for_an_identical_call_is_named_apart(tmp_path: Path) -> None:
    cached = {"smart": CachedShortcut(seconds=60)}
    async with (
        Vendor(slow(answer("Hello"))) as vendor,
        house(tmp_path, vendor, cached=cached) as made,
    ):
        first = await made.begin("c1")
        await until(lambda: len(vendor.requests) == 1)
        since = monotonic()
        second = await made.begin("c2")
        for app in (first, second):
            assert ended(await app.receive_until(CallEnded)).error is None
        between_us = int((monotonic() - since) * 1e6)
        records = {record.call_id: record for record in await made.records(2)}
    asked, given = records["c1"], records["c2"]
    assert (asked.waited_us, given.cached, given.attempts) == (0, True, [])
    assert 0 < given.waited_us <= between_us
    for record in (asked, given):
        assert record.overhead_us == record.total_us - waits_of(record) > 0


@pytest.mark.parametrize("first", [cut("Hel"), stalling("Hel")], ids=["ended", "running"])
async def test_the_time_between_two_copies_is_nobodys(tmp_path: Path, first: Scene) -> None:
    async with (
        Vendor(slow(first), slow(answer("Hello"))) as vendor,
        house(tmp_path, vendor) as made,
    ):
        await made.begin("c1")
        await until(lambda: made.pipeline.served == 1 or vendor.waiting.is_set())
        await anyio.sleep(PAUSE)
        _, frames = await made.ask("c1", sends=1)
        record = await made.ledger.find(ended(frames).decision_id)
    assert record is not None
    assert len(record.attempts) == 2
    assert all(attempt.waited_us >= PAUSE_US for attempt in record.attempts)
    assert record.overhead_us is not None
    assert 0 < record.overhead_us <= record.total_us - 3 * PAUSE_US
