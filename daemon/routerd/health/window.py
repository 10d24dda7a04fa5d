"""How many of the last so many seconds' events were of one kind.

Rules of this file: plain and synchronous, the time passed in. A window is counted in tenths of it,
so that it costs the same however much happens.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Share"]

PARTS: Final = 10


class Share:
    """A rolling share; `of` all events `hits` were of the kind that is looked for."""

    __slots__ = ("_parts", "_seconds", "hits", "of")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # When a part began, its events, and those of the kind.
        self._parts: deque[list[float]] = deque()
        self.of = self.hits = 0

    def count(self, now: float, *, is_hit: bool) -> None:
        """Count one event."""
        parts = self._parts
        if not parts or now - parts[-1][0] >= self._seconds / PARTS:
            self.forget(now)
            parts.append([now, 0, 0])
        part = parts[-1]
        part[1] += 1
        part[2] += is_hit
        self.of += 1
        self.hits += is_hit

    def percent(self, now: float) -> float:
        """Return the share in percent; 0 without any event."""
        self.forget(now)
        return 100.0 * self.hits / self.of if self.of else 0.0

    def forget(self, now: float) -> None:
        """Leave out what is older than the window."""
        while self._parts and now - self._parts[0][0] >= self._seconds:
            _, of, hits = self._parts.popleft()
            self.of -= int(of)
            self.hits -= int(hits)

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
        self.of = self.hits = 0
