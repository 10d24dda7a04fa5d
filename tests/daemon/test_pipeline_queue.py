"""Calls that wait for a place: in all, or at a provider. Each has one end and one record."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
from anyio.lowlevel import checkpoint

from routerd.execute.places import Place
from routerd.settings import CachedShortcut, Shadow
from routerd_proto.content import Message
from routerd_proto.frames import CallEnded, CallStarted, TextDelta
from tests.daemon.execute.house import House, ended, failed, house, quiet
from tests.daemon.execute.scripted import (
    Vendor,
    answer,
    failing,
    silent,
    stalling,
    until,
)


async def waiting(made: House, calls: int) -> None:
    await until(lambda: made.pipeline.places.waiting == calls)


def fill(made: House, provider: str) -> Place:
    """Take the only place at a provider, as something does that nobody here sees."""
    place = Place(made.pipeline.places, "other", monotonic() + 60)
    assert made.pipeline.places.take(place, provider)
    return place


async def test_a_call_waits_for_a_place_and_is_answered(tmp_path: Path) -> None:
    async with (
        Vendor(silent, answer("Hello")) as vendor,
        house(tmp_path, vendor, in_flight=1, queue=1) as made,
    ):
        running = await made.begin("c1")
        await vendor.waiting.wait()
        queued = await made.begin("c2")
        await waiting(made, 1)
        assert len(vendor.requests) == 1
        await running.close()
        frames = await queued.receive_until(CallEnded)
        assert ended(frames).error is None
        assert [frame for frame in frames if isinstance(frame, TextDelta)] == [TextDelta("Hello")]
        await quiet(queued)
        records = {record.call_id: record for record in await made.records(2)}
    assert records["c1"].queued_us == 0
    assert 0 < records["c2"].queued_us <= records["c2"].attempts[0].started_us
    own_us = records["c2"].total_us - records["c2"].upstream_us - records["c2"].waited_us
    assert own_us >= records["c2"].queued_us


@pytest.mark.parametrize("turns", range(4))
async def test_who_hangs_up_in_the_queue_is_recorded_once_and_asks_nobody(
    tmp_path: Path, turns: int
) -> None:
    async with (
        Vendor(silent) as vendor,
        house(tmp_path, vendor, in_flight=1, queue=1) as made,
    ):
        running = await made.begin("c1")
        await vendor.waiting.wait()
        queued = await made.begin("c2")
        await waiting(made, 1)
        await queued.close()
        for _ in range(turns):
            await checkpoint()
        await waiting(made, 0)
        await running.close()
        records = {record.call_id: record for record in await made.records(2)}
        assert len(vendor.requests) == 1
    assert records["c2"].error_code == "cancelled"
    assert records["c2"].attempts == []
    assert records["c2"].queued_us > 0
    assert (records["c2"].cost_nanodollars, records["c2"].cost_basis) == (0, "measured")


async def test_who_waits_too_long_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with (
        Vendor(silent) as vendor,
        house(tmp_path, vendor, in_flight=1, queue=1, queue_seconds=0.01) as made,
    ):
        running = await made.begin("c1")
        await vendor.waiting.wait()
        app, frames = await made.ask("c2")
        error = failed(frames, "router_overloaded")
        assert (error.retryable, error.retry_after) == (True, 1.0)
        assert not any(isinstance(frame, CallStarted) for frame in frames)
        await quiet(app)
        await running.close()
        records = {record.call_id: record for record in await made.records(2)}
    assert records["c2"].error_code == "router_overloaded"
    assert records["c2"].queued_us > 0


async def test_where_a_provider_is_full_the_backup_answers(tmp_path: Path) -> None:
    async with (
        Vendor(name="first") as first,
        Vendor(answer("b"), name="second") as second,
        house(tmp_path, first, second, queue=1, provider_places={"first": 1}) as made,
    ):
        fill(made, "first")
        _, frames = await made.ask("c1")
        assert ended(frames).provider == "second"
        record = await made.only_record()
    [busy] = record.skipped
    assert (busy.deployment, busy.code) == ("first/m", "busy")
    assert busy.detail == "1 of its 1 places are taken (max_in_flight)"
    assert [(item.provider, item.reason) for item in record.attempts] == [("second", "fallback")]
    assert record.queued_us == 0


async def test_where_all_providers_are_full_the_call_waits_for_one_of_them(tmp_path: Path) -> None:
    places = {"first": 1, "second": 1}
    async with (
        Vendor(silent, name="first") as first,
        Vendor(silent, answer("b"), name="second") as second,
        house(tmp_path, first, second, in_flight=3, queue=1, provider_places=places) as made,
    ):
        running = [await made.begin("c1")]
        await first.waiting.wait()
        running.append(await made.begin("c2"))
        await second.waiting.wait()
        queued = await made.begin("c3")
        await waiting(made, 1)
        # It takes no place from others meanwhile.
        assert made.pipeline.places.running == 2
        await running[1].close()
        frames = await queued.receive_until(CallEnded)
        assert ended(frames).provider == "second"
        # It was told once that it has begun.
        assert [type(frame) for frame in frames].count(CallStarted) == 1
        await running[0].close()
        records = {record.call_id: record for record in await made.records(3)}
    [attempt] = records["c3"].attempts
    assert attempt.reason == "fallback"
    assert 0 < records["c3"].queued_us <= attempt.started_us
    assert [(item.deployment, item.code) for item in records["c3"].skipped] == [
        ("first/m", "busy"),
        ("second/m", "busy"),
    ]


async def test_the_first_failure_is_the_cause_also_where_the_backup_stays_full(
    tmp_path: Path,
) -> None:
    async with (
        Vendor(failing(401), name="first") as first,
        Vendor(silent, name="second") as second,
        house(
            tmp_path,
            first,
            second,
            queue=1,
            queue_seconds=0.01,
            provider_places={"first": 1, "second": 1},
        ) as made,
    ):
        fill(made, "second")
        _, frames = await made.ask("c1")
        error = failed(frames, "auth")
        assert error.details["tried"] == ["first/m: auth", "second/m: busy"]
        [record] = await made.records(1)
        assert second.requests == []
    assert record.queued_us > 0


async def test_who_waited_for_its_first_provider_is_no_fallback(tmp_path: Path) -> None:
    places = {"first": 1, "second": 1}
    async with (
        Vendor(answer("a"), name="first") as first,
        Vendor(name="second") as second,
        house(tmp_path, first, second, queue=1, provider_places=places) as made,
    ):
        there, _ = fill(made, "first"), fill(made, "second")
        app = await made.begin("c1")
        await waiting(made, 1)
        made.pipeline.places.leave(there)
        assert ended(await app.receive_until(CallEnded)).error is None
        record = await made.only_record()
    assert [(item.provider, item.reason) for item in record.attempts] == [("first", "first")]


async def test_who_hangs_up_while_its_providers_are_full_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    async with (
        Vendor(stalling("Hel")) as vendor,
        house(tmp_path, vendor, queue=1, provider_places={"vendor": 1}) as made,
    ):
        running = await made.begin("c1")
        await vendor.waiting.wait()
        queued = await made.begin("c2")
        await waiting(made, 1)
        await queued.close()
        await waiting(made, 0)
        await running.close()
        records = {record.call_id: record for record in await made.records(2)}
    assert records["c2"].error_code == "cancelled"
    assert records["c2"].attempts == []
    assert records["c2"].queued_us > 0


async def test_a_second_attempt_that_finds_its_provider_full_is_given_up(tmp_path: Path) -> None:
    """Two attempts on a route at most, also where the call could come back to it."""
    async with (
        Vendor(failing(500)) as vendor,
        house(tmp_path, vendor, queue=1, provider_places={"vendor": 1}) as made,
    ):
        app = await made.begin("c1")
        room = {"provider": "vendor", "running": 0, "max": 1, "waiting": 0}
        await until(
            lambda: bool(vendor.requests) and made.pipeline.places.report()["providers"] == [room]
        )
        fill(made, "vendor")
        frames = await app.receive_until(CallEnded)
        error = failed(frames, "server_error")
        assert error.details["tried"] == ["vendor/m: server_error", "vendor/m: busy"]
        record = await made.only_record()
    assert record.queued_us == 0


async def test_a_shadow_is_left_out_where_its_provider_is_full(tmp_path: Path) -> None:
    shadow = {"twin": Shadow(target="smart", use="second/m", percent=100, daily_dollars="1")}
    async with (
        Vendor(answer("a"), name="first") as first,
        Vendor(name="second") as second,
        house(
            tmp_path, first, second, queue=5, provider_places={"second": 1}, shadows=shadow
        ) as made,
    ):
        fill(made, "second")
        _, frames = await made.ask("c1")
        assert ended(frames).error is None
        records = {record.arm or "": record for record in await made.records(2)}
        assert second.requests == []
    assert records["shadow/twin"].error_code == "router_overloaded"
    assert records["shadow/twin"].queued_us == 0


async def test_who_waits_for_an_identical_call_takes_no_place_that_it_needs(tmp_path: Path) -> None:
    cached = {"smart": CachedShortcut(seconds=60)}
    async with (
        Vendor(answer("Hello")) as vendor,
        house(
            tmp_path,
            vendor,
            in_flight=2,
            queue=1,
            provider_places={"vendor": 1},
            cached=cached,
        ) as made,
    ):
        there = fill(made, "vendor")
        first = await made.begin("c0")
        await waiting(made, 1)
        others = [await made.begin(f"c{number}") for number in range(1, 5)]
        await until(lambda: len(made.pipeline.in_flight) == 5)
        await until(lambda: made.pipeline.places.running == 0)
        made.pipeline.places.leave(there)
        for app in (first, *others):
            assert ended(await app.receive_until(CallEnded)).error is None
        records = await made.records(5)
    assert sorted(record.cached for record in records) == [False, True, True, True, True]


async def test_who_has_to_ask_after_all_waits_for_a_place_again(tmp_path: Path) -> None:
    cached = {"smart": CachedShortcut(seconds=60)}
    async with (
        Vendor(silent, stalling("b"), answer("a")) as vendor,
        house(tmp_path, vendor, in_flight=2, queue=5, cached=cached) as made,
    ):
        first = await made.begin("c1")
        await vendor.waiting.wait()
        second = await made.begin("c2")
        # It has left its place to others by now.
        await until(lambda: len(made.pipeline.in_flight) == 2)
        await until(lambda: made.pipeline.places.running == 1)
        there = fill(made, "none")
        assert made.pipeline.places.enter(there)
        other = await made.begin("c3", messages=[Message("user", "something else")])
        await waiting(made, 1)
        await first.close()
        # The third has the place of the first, and the second is to ask.
        await until(lambda: len(vendor.requests) == 2)
        await waiting(made, 1)
        made.pipeline.places.leave(there)
        assert ended(await second.receive_until(CallEnded)).error is None
        await other.close()
        records = {record.call_id: record for record in await made.records(3)}
    assert records["c2"].queued_us > 0
    assert [records[name].error_code for name in ("c1", "c2", "c3")] == [
        "cancelled",
        None,
        "cancelled",
    ]
