"""One timer for all phases: each expires, signs of life postpone it, and it is gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from routerd.execute.watchdog import Phase, Watchdog

LONG, SHORT = 3600.0, 0.01


class CountingLoop:
    """The loop as a watchdog uses it, with its timers counted."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.handles: list[Any] = []

    def time(self) -> float:
        return self._loop.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        self.handles.append(self._loop.call_at(when, callback))
        return self.handles[-1]

    def call_soon(self, callback: Callable[[], None]) -> Any:
        return self._loop.call_soon(callback)


def watchdog(seconds: float = LONG) -> tuple[Watchdog, CountingLoop]:
    loop = CountingLoop()
    made = Watchdog(loop.time() + seconds)
    made._loop = loop  # type: ignore[assignment]
    return made, loop


@pytest.mark.parametrize("phase", ["headers", "first_content", "content"])
async def test_each_phase_expires(phase: Phase) -> None:
    guard, _ = watchdog()
    with guard:
        guard.expect("headers", LONG)
        guard.expect(phase, SHORT)
        await anyio.sleep_forever()
    assert guard.expired == phase


async def test_the_deadline_comes_before_any_phase() -> None:
    guard, _ = watchdog(SHORT)
    with guard:
        guard.expect("content", LONG)
        guard.alive(LONG)
        await anyio.sleep_forever()
    assert guard.expired == "deadline"


async def test_a_sign_of_life_postpones_the_end() -> None:
    guard, loop = watchdog()
    with guard:
        guard.expect("content", SHORT)
        guard.alive(LONG)
        await anyio.sleep(10 * SHORT)
    assert guard.expired is None
    assert len(loop.handles) == 2
    assert all(handle.cancelled() for handle in loop.handles[1:])


async def test_after_a_sign_of_life_silence_is_noticed_again() -> None:
    guard, _ = watchdog()
    with guard:
        guard.expect("content", SHORT)
        guard.alive(3 * SHORT)
        await anyio.sleep_forever()
    assert guard.expired == "content"


async def test_a_thousand_signs_of_life_take_no_timer() -> None:
    guard, loop = watchdog()
    with guard:
        guard.expect("headers", LONG)
        guard.expect("content", LONG)
        for _ in range(1000):
            guard.alive(LONG)
            guard.pause()
            guard.expect("content", LONG)
    assert len(loop.handles) == 1
    assert guard.expired is None


async def test_a_shorter_phase_sets_the_timer_anew_and_cancels_the_old_one() -> None:
    guard, loop = watchdog()
    with guard:
        guard.expect("headers", LONG)
        guard.expect("content", LONG / 2)
        assert loop.handles[0].cancelled()
    assert [handle.cancelled() for handle in loop.handles] == [True, True]


@pytest.mark.parametrize("how", ["end", "error", "cancelled"])
async def test_no_timer_is_left_behind(how: str) -> None:
    guard, loop = watchdog()
    with anyio.CancelScope() as scope, contextlib.suppress(ZeroDivisionError), guard:
        guard.expect("headers", LONG)
        if how == "error":
            _ = 1 // 0
        if how == "cancelled":
            scope.cancel()
            await anyio.sleep_forever()
    assert [handle.cancelled() for handle in loop.handles] == [True]
    assert guard.expired is None


async def test_a_pause_watches_the_deadline_alone() -> None:
    guard, _ = watchdog()
    with guard:
        guard.expect("content", SHORT)
        guard.pause()
        await anyio.sleep(10 * SHORT)
        assert guard.expired is None
        guard.expect("content", SHORT)
        await anyio.sleep_forever()
    assert guard.expired == "content"
    guard, _ = watchdog(SHORT)
    with guard:
        guard.expect("content", LONG)
        guard.pause()
        await anyio.sleep_forever()
    assert guard.expired == "deadline"


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.0001])
async def test_a_moment_that_has_come_ends_the_block_at_its_first_wait(seconds: float) -> None:
    guard, _ = watchdog(seconds)
    with guard:
        guard.expect("headers", LONG)
        guard.expect("content", LONG)
        guard.expect("content", -1.0)
        guard.alive(LONG)
        await anyio.sleep_forever()
    assert guard.expired == "deadline"


async def test_it_does_not_swallow_somebody_elses_cancellation() -> None:
    guard, _ = watchdog()
    reached = False
    with anyio.move_on_after(SHORT) as outer:
        with guard:
            guard.expect("headers", LONG)
            await anyio.sleep_forever()
        reached = True
    assert outer.cancelled_caught
    assert not reached
    assert guard.expired is None


@pytest.mark.parametrize("first", ["watchdog", "scope"])
async def test_somebody_who_cancels_in_the_same_turn_has_its_way(first: str) -> None:
    guard, _ = watchdog()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    reached = False
    with anyio.CancelScope() as scope:
        ends = [guard._fire, scope.cancel]
        with guard:
            guard.expect("headers", -1.0)
            for end in ends if first == "watchdog" else reversed(ends):
                loop.call_soon(end)
            await anyio.sleep_forever()
        await anyio.sleep_forever()
        reached = True
    assert scope.cancelled_caught
    assert not reached
    assert task is not None
    assert task.cancelling() == 0
