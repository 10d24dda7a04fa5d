"""Counting what is lost, and telling it: at once, and then not for each of a thousand.

Rules of this file: used on the event loop. Whatever was counted is told sooner or later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["Losses"]

SECONDS_BETWEEN: Final = 10.0


class Losses:
    """Losses of one kind. `tell` gets how many there were since the last time."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.count = 0
        self._tell = tell
        self._untold = 0
        self._tell_at = 0.0

    def add(self, now: float, count: int = 1) -> None:
        """Count some; `now` is the loop's time."""
        self.count += count
        self._untold += count
        if now >= self._tell_at:
            self.tell(now)

    def tell(self, now: float) -> None:
        """Tell those that were not told yet."""
        if self._untold:
            self._tell_at = now + SECONDS_BETWEEN
            count, self._untold = self._untold, 0
            self._tell(count)
