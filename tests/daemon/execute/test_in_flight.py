"""A call that comes again cuts off the earlier one, and begins when that one has ended."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from routerd.execute.in_flight import CallsInFlight
from tests.daemon.execute.scripted import RecordingSink, until

KEY = (1000, "c1")


async def settle() -> None:
    for _ in range(5):
        await checkpoint()


async def test_calls_are_counted_from_begin_to_end() -> None:
    calls, one, two = CallsInFlight(), RecordingSink(), RecordingSink()
    await calls.begin(KEY, one)
    await calls.begin((1000, "c2"), two)
    assert len(calls) == 2
    calls.end(KEY, one)
    assert len(calls) == 1
    assert (one.aborted, two.aborted) == (0, 0)


async def test_the_same_id_of_another_user_is_another_call() -> None:
    calls, one, two = CallsInFlight(), RecordingSink(), RecordingSink()
    await calls.begin((1, "c1"), one)
    await calls.begin((2, "c1"), two)
    assert one.aborted == 0
    assert len(calls) == 2


async def test_the_later_call_waits_for_the_end_of_the_earlier() -> None:
    calls, earlier, later = CallsInFlight(), RecordingSink(), RecordingSink()
    order: list[str] = []

    async def again() -> None:
        await calls.begin(KEY, later)
        order.append("later began")

    await calls.begin(KEY, earlier)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again)
        await until(lambda: earlier.aborted == 1)
        await settle()
        order.append("earlier ended")
        calls.end(KEY, earlier)
    assert order == ["earlier ended", "later began"]
    calls.end(KEY, later)
    assert len(calls) == 0


async def test_to_end_what_never_began_changes_nothing() -> None:
    calls, running, refused = CallsInFlight(), RecordingSink(), RecordingSink()
    await calls.begin(KEY, running)
    calls.end(KEY, refused)
    assert len(calls) == 1


async def test_who_gives_up_waiting_leaves_the_running_call_its_place() -> None:
    calls, running, impatient = CallsInFlight(), RecordingSink(), RecordingSink()
    await calls.begin(KEY, running)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(calls.begin, KEY, impatient)
        await until(lambda: running.aborted == 1)
        tasks.cancel_scope.cancel()
    calls.end(KEY, impatient)
    assert len(calls) == 1
    calls.end(KEY, running)
    third = RecordingSink()
    await calls.begin(KEY, third)
    assert third.aborted == 0


async def test_of_many_that_wait_each_has_its_turn_and_one_is_left() -> None:
    calls = CallsInFlight()
    sinks = [RecordingSink() for _ in range(5)]
    running: list[RecordingSink] = []
    most = 0

    async def serve(sink: RecordingSink) -> None:
        nonlocal most
        await calls.begin(KEY, sink)
        running.append(sink)
        most = max(most, len(running))
        last = len(done) == len(sinks) - 1
        if not last:
            await until(lambda: sink.aborted > 0)
        running.remove(sink)
        done.append(sink)
        calls.end(KEY, sink)

    done: list[RecordingSink] = []
    async with anyio.create_task_group() as tasks:
        for sink in sinks:
            tasks.start_soon(serve, sink)
    assert most == 1
    assert len(done) == len(sinks)
    assert len(calls) == 0
