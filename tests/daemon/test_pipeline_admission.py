"""Which calls are let in: their ids, their number, and those that come again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.telemetry.events import BugSeen
from routerd_proto.frames import CallEnded, CallRequested, ConnectionEnded, TextDelta
from tests.daemon.execute.house import ended, failed, house, quiet
from tests.daemon.execute.scripted import Vendor, answer, cut, silent, stalling


@pytest.mark.parametrize("call_id", ["", "x" * 129])
async def test_a_call_id_that_is_none_is_refused(tmp_path: Path, call_id: str) -> None:
    async with Vendor() as vendor, house(tmp_path, vendor) as made:
        app, frames = await made.ask(call_id, sends=1)
        assert failed(frames, "invalid_request").details == {"place": "call_id"}
        await quiet(app)
        await made.only_record()


async def test_a_call_id_that_is_in_use_is_refused(tmp_path: Path) -> None:
    async with Vendor(stalling("Hel")) as vendor, house(tmp_path, vendor) as made:
        running = await made.begin("c1")
        await vendor.waiting.wait()
        _, frames = await made.ask("c1")
        assert "in use" in failed(frames, "invalid_request").message
        assert len(made.pipeline.in_flight) == 1
        await running.close()
        await made.records(2)


async def test_a_call_that_comes_again_needs_no_free_place(tmp_path: Path) -> None:
    async with (
        Vendor(stalling("Hel"), answer("Hello")) as vendor,
        house(tmp_path, vendor, in_flight=1) as made,
    ):
        await made.begin("c1")
        await vendor.waiting.wait()
        _, frames = await made.ask("c1", sends=1)
        assert ended(frames).error is None
        record = await made.only_record()
    assert [attempt.error_class for attempt in record.attempts] == ["cancelled", None]


async def test_one_call_too_many_is_refused_and_may_be_tried_again(tmp_path: Path) -> None:
    async with Vendor(silent, answer("a")) as vendor, house(tmp_path, vendor, in_flight=1) as made:
        running = await made.begin("c1")
        await vendor.waiting.wait()
        _, frames = await made.ask("c2")
        error = failed(frames, "router_overloaded")
        assert error.retryable
        assert error.retry_after == 1.0
        assert "limits.in_flight" in error.message
        await running.close()
        await vendor.hung_up.wait()
        _, frames = await made.ask("c2")
        assert ended(frames).error is None
        records = await made.records(3)
    assert sorted(item.error_code or "" for item in records) == [
        "",
        "cancelled",
        "router_overloaded",
    ]


async def test_a_call_that_comes_again_cuts_the_first_and_is_answered(tmp_path: Path) -> None:
    async with Vendor(stalling("Hel"), answer("Hello")) as vendor, house(tmp_path, vendor) as made:
        first = await made.begin("c1")
        await vendor.waiting.wait()
        _, frames = await made.ask("c1", sends=1)
        assert ended(frames).error is None
        assert TextDelta("Hello") in frames
        # The first ended without a last frame: it is not complete, and does not look so.
        assert not any(isinstance(frame, CallEnded) for frame in await first.receive_all())
        record = await made.only_record()
    # One call, one record: the attempts of both copies, and what both cost.
    assert (record.call_id, record.sends, record.error_code) == ("c1", 1, None)
    assert [attempt.error_class for attempt in record.attempts] == ["cancelled", None]
    assert record.decision_id == ended(frames).decision_id
    costs = [attempt.cost_nanodollars for attempt in record.attempts]
    assert None not in costs
    assert record.cost_nanodollars == sum(cost or 0 for cost in costs)
    assert record.cost_basis == "estimated"


async def test_a_copy_that_comes_after_the_end_of_the_first_goes_on_from_its_record(
    tmp_path: Path,
) -> None:
    async with Vendor(cut("Hel"), answer("Hello")) as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask("c1")
        first = ended(frames)
        failed(frames, "interrupted")
        _, frames = await made.ask("c1", sends=1)
        assert ended(frames).decision_id == first.decision_id
        record = await made.ledger.find(first.decision_id)
        assert record is not None
        assert [item.call_id for item in await made.ledger.recent(10)] == ["c1"]
    assert [attempt.error_class for attempt in record.attempts] == ["connection", None]
    assert (record.sends, record.finish) == (1, "stop")
    # The second copy's times are counted from the first one's beginning.
    assert record.attempts[1].started_us > (record.attempts[0].ended_us or 0)


@pytest.mark.parametrize("turns", range(6))
async def test_a_copy_that_leaves_before_its_turn_has_no_record_of_its_own(
    tmp_path: Path, turns: int
) -> None:
    scenes = [stalling("Hel"), stalling("Hel")]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor) as made:
        first = await made.begin("c1")
        await vendor.waiting.wait()
        second = await made.begin("c1", sends=1)
        for _ in range(turns):
            await checkpoint()
        await second.close()
        await first.receive_all()
        await made.running.until_empty()
        while made.running.server.in_flight:
            await checkpoint()
        assert [item.call_id for item in await made.ledger.recent(10)] == ["c1"]
        assert made.pipeline.served == 1


async def test_a_call_that_comes_again_after_its_end_is_another_call(tmp_path: Path) -> None:
    async with Vendor(answer("a"), answer("b")) as vendor, house(tmp_path, vendor) as made:
        for _ in range(2):
            _, frames = await made.ask("c1")
            assert ended(frames).error is None
        await made.records(2)


async def test_a_second_call_on_the_connection_ends_the_first(tmp_path: Path) -> None:
    async with Vendor(stalling("Hel")) as vendor, house(tmp_path, vendor) as made:
        app = await made.begin("c1")
        await vendor.waiting.wait()
        app.send(CallRequested("c2", "smart", "a"))
        frames = await app.receive_all()
        assert isinstance(frames[-1], ConnectionEnded)
        await vendor.hung_up.wait()
        assert (await made.only_record()).error_code == "protocol_error"


async def test_many_calls_at_once_and_each_has_its_record(tmp_path: Path) -> None:
    count = 60
    scenes = [answer("a") for _ in range(count)]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor) as made:

        async def one(number: int) -> None:
            app = await made.begin(f"c{number}")
            if number % 4 == 0:
                # Anywhere between the first byte and the last.
                for _ in range(number):
                    await checkpoint()
            else:
                assert ended(await app.receive_until(CallEnded)).error is None
            await app.close()

        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(one, number)
        await made.running.until_empty()
        while made.running.server.in_flight:
            await checkpoint()
        records = await made.ledger.recent(100)
        assert len(records) == len(made.finished) == made.pipeline.served
        assert len({item.call_id for item in records}) == len(records)
        assert {f"c{number}" for number in range(count) if number % 4} <= {
            item.call_id for item in records
        }
        assert len(made.pipeline.in_flight) == 0
        assert not any(isinstance(event, BugSeen) for event in made.events)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "connection"]
