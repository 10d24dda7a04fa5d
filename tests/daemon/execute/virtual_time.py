"""An event loop whose time passes only while everybody waits, and then at once.

Rules of this file: nothing here waits for a clock. What sleeps for an hour has slept for an hour,
to the microsecond, as soon as nobody has anything else to do.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_in_virtual_time"]

Result = TypeVar("Result")


class _Clockwork(selectors.DefaultSelector):
    """Pass the time that the loop would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nothing is going to happen"
            self.now += max(0.0, timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clockwork = _Clockwork()
        super().__init__(self._clockwork)

    def time(self) -> float:
        return self._clockwork.now


def run_in_virtual_time(work: Coroutine[Any, Any, Result]) -> Result:
    """Run something to its end; its loop's time begins at 0."""
    loop = _Loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
