"""A call has one place; sent again, it cuts off the earlier one and takes that one's place."""

from __future__ import annotations

from time import monotonic

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.domain import Attempt
from routerd.errors import CallRefused
from routerd.execute.in_flight import CallsInFlight
from routerd.execute.places import Place, Places
from routerd.settings import Limits
from tests.daemon.execute.scripted import RecordingSink, until
from tests.daemon.ledger.records import small_record

KEY = (1000, "c1")


class Copy(RecordingSink):
    """One copy of a call: who hears of it, its record and its place."""

    def __init__(self) -> None:
        super().__init__()
        self.place: Place
        self.scope = anyio.CancelScope()
        self.record = small_record(attempts=[made_attempt()])


class Calls(CallsInFlight):
    """The calls of a daemon that has so many places."""

    def __init__(self, places: int = 2048, queue: int = 0) -> None:
        self.places = Places(Limits(in_flight=places, queue=queue))
        super().__init__(self.places)

    def place(self) -> Place:
        return Place(self.places, "acme", monotonic() + 60)


def made_attempt() -> Attempt:
    return Attempt(
        deployment="p/m", model="m", provider="p", server="s", reason="first", started_us=1
    )


async def begin(calls: Calls, key: tuple[int, str], copy: Copy, *, again: bool = False) -> None:
    copy.place = calls.place()
    await calls.begin(key, copy, copy.record, copy.place, again=again)


def end(calls: Calls, key: tuple[int, str], copy: Copy) -> bool:
    return calls.end(key, copy, copy.record)


async def settle() -> None:
    for _ in range(5):
        await checkpoint()


async def test_calls_are_counted_from_begin_to_end() -> None:
    calls, one, two = Calls(), Copy(), Copy()
    await begin(calls, KEY, one)
    await begin(calls, (1000, "c2"), two)
    assert len(calls) == 2
    end(calls, KEY, one)
    assert len(calls) == 1
    assert (one.aborted, two.aborted) == (0, 0)


async def test_the_same_id_of_another_user_is_another_call() -> None:
    calls, one, two = Calls(), Copy(), Copy()
    await begin(calls, (1, "c1"), one)
    await begin(calls, (2, "c1"), two)
    assert one.aborted == 0
    assert len(calls) == 2


async def test_the_later_call_waits_for_the_end_of_the_earlier() -> None:
    calls, earlier, later = Calls(), Copy(), Copy()
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


async def refused(calls: Calls, call_id: str, *, again: bool = False) -> str:
    copy = Copy()
    with pytest.raises(CallRefused) as caught:
        await begin(calls, (1000, call_id), copy, again=again)
    assert end(calls, (1000, call_id), copy) is False
    assert caught.value.info.details.get("place", "call_id") == "call_id"
    return f"{caught.value.info.code}: {caught.value.info.message}"


async def test_only_a_call_that_was_sent_before_replaces_another() -> None:
    calls, running = Calls(), Copy()
    await begin(calls, KEY, running)
    assert await refused(calls, "c1") == "invalid_request: call_id: this call id is in use"
    assert running.aborted == 0
    assert len(calls) == 1


@pytest.mark.parametrize("call_id", ["", "x" * 129])
@pytest.mark.parametrize("again", [False, True])
async def test_an_id_that_is_none_is_refused(call_id: str, again: bool) -> None:
    calls = Calls()
    told = await refused(calls, call_id, again=again)
    assert told == "invalid_request: call_id: expected 1 to 128 characters"
    assert len(calls) == 0


async def test_the_longest_and_the_shortest_id() -> None:
    calls = Calls()
    await begin(calls, (1000, "x" * 128), Copy())
    await begin(calls, (1000, "x"), Copy())
    assert len(calls) == 2


async def test_at_the_limit_only_who_takes_over_a_place_gets_one() -> None:
    calls, running, later = Calls(1), Copy(), Copy()
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


async def test_the_copy_of_a_call_that_waits_for_a_place_waits_in_its_stead() -> None:
    calls, running = Calls(1, queue=1), Copy()
    queued, again = Copy(), Copy()
    began: list[Copy] = []

    async def serve(copy: Copy, *, again: bool = False) -> None:
        try:
            with copy.scope:
                await begin(calls, (1000, "c2"), copy, again=again)
                began.append(copy)
        finally:
            end(calls, (1000, "c2"), copy)

    await begin(calls, KEY, running)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, queued)
        await until(lambda: calls.places.waiting == 1)
        tasks.start_soon(lambda: serve(again, again=True))
        await until(lambda: queued.aborted == 1)
        # As a connection does that is cut off.
        queued.scope.cancel()
        await settle()
        assert (calls.places.waiting, len(calls)) == (1, 2)
        end(calls, KEY, running)
    assert began == [again]
    assert (calls.places.waiting, calls.places.running, len(calls)) == (0, 0, 0)


async def test_to_end_what_never_began_changes_nothing() -> None:
    calls, running, stranger = Calls(), Copy(), Copy()
    await begin(calls, KEY, running)
    end(calls, KEY, stranger)
    assert len(calls) == 1


async def test_who_gives_up_waiting_leaves_the_running_call_its_place() -> None:
    calls, running, impatient = Calls(), Copy(), Copy()
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
    calls, running, unlucky = Calls(), Copy(), Copy()
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
    calls, running = Calls(1), Copy()
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
    calls, earlier, later = Calls(), Copy(), Copy()
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
    calls, earlier, unlucky = Calls(), Copy(), Copy()
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
