"""How late the event loop is: what no call can tell of itself, because it starts when it is read.

Rules of this file: one timer, four times a second, which looks at the clock. What holds the loop up
for longer than its interval is seen for certain, what is shorter by chance, and in calls that were
on their way. uvloop counts in milliseconds, so less than one says nothing.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, Self

from routerd.telemetry.recent import Recent

__all__ = ["LoopLag"]

INTERVAL_SECONDS: Final = 0.25
WINDOW_SECONDS: Final = 300.0


class LoopLag:
    """Note how late a timer of the running loop is, from entering to leaving."""

    def __init__(self, interval: float = INTERVAL_SECONDS) -> None:
        self._interval = interval
        self._lateness = Recent(int(WINDOW_SECONDS / interval))
        self._due_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._set(asyncio.get_running_loop())
        return self

    def __exit__(self, *_how: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def report(self) -> dict[str, int | None]:
        """Return how many looks there were in the last minutes, and how late they were."""
        return self._lateness.report()

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at = monotonic() + self._interval
        self._timer = loop.call_later(self._interval, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        late = monotonic() - self._due_at
        self._lateness.add(max(int(late * 1_000_000), 0))
        self._set(loop)
