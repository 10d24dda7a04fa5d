"""What the caller was given so far: the commit point, waiting, restarts and counted bytes."""

from __future__ import annotations

from time import monotonic

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Attempt, Part
from routerd.errors import ErrorClass, Failure
from routerd.execute.delivery import Delivery, written_bytes
from routerd_proto.frames import (
    CallRestarted,
    CitationAdded,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from tests.daemon.execute.scripted import RecordingSink

PARTS: list[Part] = [
    TextDelta("a"),
    ReasoningDelta("a"),
    ReasoningEnded("vendor", {}),
    RefusalDelta("a"),
    ToolCallStarted(0, "1", "f"),
    ToolCallDelta(0, "{"),
    CitationAdded("vendor", {}),
]


LOST = Failure(ErrorClass.CONNECTION, "lost")


def attempt() -> Attempt:
    return Attempt(
        deployment="p/m", model="m", provider="p", server="h:1", reason="first", started_us=0
    )


def delivery() -> tuple[Delivery, RecordingSink]:
    sink = RecordingSink()
    return Delivery(sink, monotonic()), sink


@pytest.mark.parametrize("part", PARTS)
async def test_any_content_commits(part: Part) -> None:
    made, sink = delivery()
    assert not made.committed
    assert made.first_content_us is None
    await made.deliver([part])
    assert made.committed
    assert made.first_content_us is not None
    assert sink.frames == [part]


async def test_the_first_content_is_timed_once() -> None:
    made, _ = delivery()
    await made.deliver([TextDelta("a")])
    first = made.first_content_us
    await anyio.sleep(0.002)
    await made.deliver([TextDelta("b")])
    assert made.first_content_us == first
    assert made.elapsed_us() > (first or 0)


async def test_a_caller_that_does_not_read_is_waited_for_after_sending() -> None:
    made, sink = delivery()
    sink.stop_reading()
    async with anyio.create_task_group() as tasks:
        parts: list[Part] = [TextDelta("a")]
        tasks.start_soon(made.deliver, parts)
        await sink.draining.wait()
        assert sink.frames == [TextDelta("a")]
        sink.read_on()


async def test_a_failure_before_content_says_nothing() -> None:
    made, sink = delivery()
    made.begin(attempt())
    made.fail(LOST)
    made.begin(attempt())
    await made.deliver([TextDelta("a")])
    assert sink.frames == [TextDelta("a")]


async def test_a_restart_voids_what_was_counted() -> None:
    made, sink = delivery()
    first, second = attempt(), attempt()
    made.begin(first)
    made.output_bytes = 7
    await made.deliver([TextDelta("a")])
    made.fail(LOST)
    made.begin(second)
    assert made.output_bytes == 0
    # Not void while nothing replaces it.
    assert sink.frames == [TextDelta("a")]
    assert made.held is first
    await made.deliver([TextDelta("b")])
    await made.deliver([TextDelta("c")])
    assert sink.frames[1:] == [CallRestarted(LOST.info()), TextDelta("b"), TextDelta("c")]
    assert made.held is second


async def test_what_cut_the_answer_is_told_whatever_failed_after_it() -> None:
    made, sink = delivery()
    for failure in (LOST, Failure(ErrorClass.AUTH, "no")):
        made.begin(attempt())
        if failure is LOST:
            await made.deliver([TextDelta("a")])
        made.fail(failure)
    made.begin(attempt())
    await made.deliver([TextDelta("b")])
    assert sink.frames[1:] == [CallRestarted(LOST.info()), TextDelta("b")]


async def test_an_empty_answer_replaces_what_came_before_it() -> None:
    made, sink = delivery()
    made.begin(attempt())
    await made.deliver([TextDelta("a")])
    made.fail(LOST)
    made.begin(last := attempt())
    made.end()
    assert sink.frames == [TextDelta("a"), CallRestarted(LOST.info())]
    assert made.held is last
    assert made.first_content_us is None


@given(st.text())
def test_what_a_model_wrote_is_counted_in_bytes(text: str) -> None:
    size = len(text.encode())
    written: list[Part] = [
        TextDelta(text),
        ReasoningDelta(text),
        RefusalDelta(text),
        ToolCallDelta(0, text),
    ]
    assert [written_bytes([part]) for part in written] == [size] * 4
    assert written_bytes(written) == 4 * size


def test_a_lone_surrogate_is_counted_too() -> None:
    assert written_bytes([TextDelta("\ud800")]) == 3
