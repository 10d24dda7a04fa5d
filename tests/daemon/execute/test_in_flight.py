"""A call has one place; sent again, it cuts off the earlier one and takes that one's place."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.domain import Attempt
from routerd.errors import CallRefused
from routerd.execute.in_flight import CallsInFlight
from tests.daemon.execute.scripted import RecordingSink, until
from tests.daemon.ledger.records import small_record

KEY = (1000, "c1")


class Copy(RecordingSink):
    """One copy of a call: who hears of it, and its record."""

    def __init__(self) -> None:
        super().__init__()
        self.record = small_record(attempts=[made_attempt()])


def made_attempt() -> Attempt:
    return Attempt(
        deployment="p/m", model="m", provider="p", server="s", reason="first", started_us=1
    )


async def begin(
    calls: CallsInFlight, key: tuple[int, str], copy: Copy, *, again: bool = False
) -> None:
    await calls.begin(key, copy, copy.record, again=again)


def end(calls: CallsInFlight, key: tuple[int, str], copy: Copy) -> bool:
    return calls.end(key, copy, copy.record)


async def settle() -> None:
    for _ in range(5):
        await checkpoint()


async def test_calls_are_counted_from_begin_to_end() -> None:
    calls, one, two = CallsInFlight(), Copy(), Copy()
    await begin(calls, KEY, one)
    await begin(calls, (1000, "c2"), two)
    assert len(calls) == 2
    end(calls, KEY, one)
    assert len(calls) == 1
    assert (one.aborted, two.aborted) == (0, 0)


async def test_the_same_id_of_another_user_is_another_call() -> None:
    calls, one, two = CallsInFlight(), Copy(), Copy()
    await begin(calls, (1, "c1"), one)
    await begin(calls, (2, "c1"), two)
    assert one.aborted == 0
    assert len(calls) == 2


async def test_the_later_call_waits_for_the_end_of_the_earlier() -> None:
    calls, earlier, later = CallsInFlight(), Copy(), Copy()
    order: list[str] = []

    async def again() -> None:
        await begin(calls, KEY, later, again=True)
        order.append("later began")

    await begin(calls, KEY, earlier)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again)
        await until(lambda: earlier.aborted == 1)
        await settle()
        order.append("earlier ended")
        end(calls, KEY, earlier)
    assert order == ["earlier ended", "later began"]
    assert len(calls) == 1
    end(calls, KEY, later)
    assert len(calls) == 0


async def refused(calls: CallsInFlight, call_id: str, *, again: bool = False) -> str:
    with pytest.raises(CallRefused) as caught:
        await begin(calls, (1000, call_id), Copy(), again=again)
    assert caught.value.info.details.get("place", "call_id") == "call_id"
    return f"{caught.value.info.code}: {caught.value.info.message}"


async def test_only_a_call_that_was_sent_before_replaces_another() -> None:
    calls, running = CallsInFlight(), Copy()
    await begin(calls, KEY, running)
    assert await refused(calls, "c1") == "invalid_request: call_id: this call id is in use"
    assert running.aborted == 0
    assert len(calls) == 1


@pytest.mark.parametrize("call_id", ["", "x" * 129])
@pytest.mark.parametrize("again", [False, True])
async def test_an_id_that_is_none_is_refused(call_id: str, again: bool) -> None:
    calls = CallsInFlight()
    told = await refused(calls, call_id, again=again)
    assert told == "invalid_request: call_id: expected 1 to 128 characters"
    assert len(calls) == 0


async def test_the_longest_and_the_shortest_id() -> None:
    calls = CallsInFlight()
    await begin(calls, (1000, "x" * 128), Copy())
    await begin(calls, (1000, "x"), Copy())
    assert len(calls) == 2


async def test_at_the_limit_only_who_takes_over_a_place_gets_one() -> None:
    calls, running, later = CallsInFlight(1), Copy(), Copy()
    await begin(calls, KEY, running)
    for again in (False, True):
        assert (await refused(calls, "c2", again=again)).startswith("router_overloaded")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: begin(calls, KEY, later, again=True))
        await until(lambda: running.aborted == 1)
        # Who waits counts too.
        assert len(calls) == 2
        end(calls, KEY, running)
        # The place is handed on: nobody slips in between.
        assert len(calls) == 1
        assert (await refused(calls, "c2")).startswith("router_overloaded")
    end(calls, KEY, later)
    await begin(calls, (1000, "c2"), Copy())


async def test_to_end_what_never_began_changes_nothing() -> None:
    calls, running, stranger = CallsInFlight(), Copy(), Copy()
    await begin(calls, KEY, running)
    end(calls, KEY, stranger)
    assert len(calls) == 1


async def test_who_gives_up_waiting_leaves_the_running_call_its_place() -> None:
    calls, running, impatient = CallsInFlight(), Copy(), Copy()
    await begin(calls, KEY, running)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: begin(calls, KEY, impatient, again=True))
        await until(lambda: running.aborted == 1)
        tasks.cancel_scope.cancel()
    end(calls, KEY, impatient)
    assert len(calls) == 1
    end(calls, KEY, running)
    assert len(calls) == 0
    third = Copy()
    await begin(calls, KEY, third)
    assert third.aborted == 0


async def test_who_is_cancelled_as_its_turn_comes_gives_the_place_back() -> None:
    calls, running, unlucky = CallsInFlight(), Copy(), Copy()
    await begin(calls, KEY, running)

    async def serve() -> None:
        try:
            await begin(calls, KEY, unlucky, again=True)
        finally:
            end(calls, KEY, unlucky)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await until(lambda: running.aborted == 1)
        end(calls, KEY, running)
        tasks.cancel_scope.cancel()
    assert len(calls) == 0


async def test_of_many_that_wait_the_latest_gets_the_place() -> None:
    calls, running = CallsInFlight(1), Copy()
    sinks = [Copy() for _ in range(5)]
    began: list[Copy] = []
    ends: list[str] = []

    async def serve(sink: Copy) -> None:
        try:
            await begin(calls, KEY, sink, again=True)
            began.append(sink)
        except CallRefused as refusal:
            ends.append(refusal.info.code)
        finally:
            end(calls, KEY, sink)

    await begin(calls, KEY, running)
    async with anyio.create_task_group() as tasks:
        for sink in sinks:
            tasks.start_soon(serve, sink)
            await settle()
            # However often it is sent: one runs, one waits.
            assert len(calls) == 2
        end(calls, KEY, running)
    assert began == [sinks[-1]]
    assert ends == ["cancelled"] * 4
    assert [sink.aborted for sink in sinks] == [1, 1, 1, 1, 0]
    assert len(calls) == 0


async def test_the_later_copy_goes_on_from_the_record_of_the_earlier() -> None:
    calls, earlier, later = CallsInFlight(), Copy(), Copy()
    earlier.record = small_record(1, attempts=[made_attempt(), made_attempt()])
    later.record = small_record(2, sends=1)
    await begin(calls, KEY, earlier)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: begin(calls, KEY, later, again=True))
        await until(lambda: earlier.aborted == 1)
        assert end(calls, KEY, earlier) is True
    assert later.record.decision_id == earlier.record.decision_id
    assert later.record.attempts == earlier.record.attempts
    assert later.record.received_at_ns == earlier.record.received_at_ns
    assert end(calls, KEY, later) is False


async def test_who_is_cancelled_as_its_turn_comes_has_the_record_of_the_earlier() -> None:
    calls, earlier, unlucky = CallsInFlight(), Copy(), Copy()
    earlier.record = small_record(1, attempts=[made_attempt(), made_attempt()])
    await begin(calls, KEY, earlier)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: begin(calls, KEY, unlucky, again=True))
        await until(lambda: earlier.aborted == 1)
        assert end(calls, KEY, earlier) is True
        tasks.cancel_scope.cancel()
    assert len(unlucky.record.attempts) == 2
    assert end(calls, KEY, unlucky) is False
    assert len(calls) == 0
