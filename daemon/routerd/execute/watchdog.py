"""One timer for all phases of an attempt.

Rules of this file: a phase is watched by moving a number; the timer itself is set anew only when it
fires too early or must fire earlier. So watching the silence between a thousand parts costs a
thousand assignments, not a thousand timers. It cancels the task by itself: a scope of anyio does
the same, and costs every attempt as much as its record.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Literal, Self

__all__ = ["Phase", "Watchdog"]

Phase = Literal["headers", "first_content", "content", "deadline"]


class Watchdog:
    """Cancel the block it is entered for when a phase takes too long.

    After the block, `expired` names the phase that did, None if none did.
    """

    __slots__ = (
        "_cancelling",
        "_ceiling",
        "_deadline",
        "_has_cancelled",
        "_limit",
        "_loop",
        "_task",
        "_timer",
        "_timer_at",
        "expired",
        "phase",
    )

    def __init__(self, deadline: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        # No phase lasts beyond this, however often it is prolonged.
        self._ceiling = deadline
        self._limit = deadline
        self._timer: asyncio.TimerHandle | None = None
        # Beside the timer: uvloop's handle of a moment that has come does not know its time.
        self._timer_at = deadline
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._has_cancelled = False
        self.phase: Phase = "headers"
        self.expired: Phase | None = None

    def __enter__(self) -> Self:
        self._task = task = asyncio.current_task()
        if task is not None:
            self._cancelling = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if not self._has_cancelled or task is None:
            return False
        # Where somebody else cancels too, it is theirs that goes on.
        others = task.uncancel() > self._cancelling
        return kind is asyncio.CancelledError and not others

    def now(self) -> float:
        """Return the time on the clock of the deadline."""
        return self._loop.time()

    def expect(self, phase: Phase, seconds: float) -> float:
        """Begin a phase that may last so many seconds from now; returns the time that is."""
        self.phase = phase
        now = self._loop.time()
        limit = min(now + seconds, self._ceiling)
        self._limit = limit
        if self._timer is None:
            self._set_timer()
        elif limit < self._timer_at:
            self._timer.cancel()
            self._set_timer()
        return now

    def alive(self, seconds: float) -> float:
        """Note a sign of life: the present phase may last so many seconds from the returned now."""
        now = self._loop.time()
        self._limit = min(now + seconds, self._ceiling)
        return now

    def bound(self, seconds: float) -> None:
        """Let all phases from here on end within so many seconds, whatever each of them may take.

        Which one lasts too long then is the one that runs.
        """
        self._ceiling = min(self._loop.time() + seconds, self._deadline)

    def pause(self) -> float:
        """Watch only the deadline, or the bound, until the next `expect`.

        Now it is not the provider who is slow. `alive` does not end a pause. Returns the time that
        is.
        """
        self._limit = self._ceiling
        return self._loop.time()

    def stop(self) -> None:
        """Watch nothing any more: what follows bounds itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        self._timer_at = self._limit
        self._timer = self._loop.call_at(self._limit, self._fire)

    def _fire(self) -> None:
        now = self._loop.time()
        # uvloop's clock has milliseconds: a timer may fire up to one early.
        if now + 0.001 < self._limit:
            self._set_timer()
            return
        self.expired = "deadline" if self._limit >= self._deadline else self.phase
        # What came in this very turn is taken first.
        self._loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        task = self._task
        # Two requests in one turn would be told as one: who came first is left alone with his.
        if task is not None and task.cancelling() <= self._cancelling:
            self._has_cancelled = True
            task.cancel()
