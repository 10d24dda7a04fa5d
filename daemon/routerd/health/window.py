"""How many of the last so many seconds' events were of one kind.

Rules of this file: plain and synchronous, the time passed in. A window is counted in tenths of it,
so that it costs the same however much happens: most events are two numbers that go up.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

__all__ = ["Share"]

PARTS: Final = 10


class Share:
    """A rolling share; `of` all events `hits` were of the kind that is looked for."""

    __slots__ = ("_forgotten", "_parts", "_seconds", "_until", "hits", "of")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # When a part began, and all events, and all of the kind, that there had ever been then.
        self._parts: deque[tuple[float, int, int]] = deque()
        # When the last part ends, and what of all there ever was is in the window no more.
        self._until = -inf
        self._forgotten = (0, 0)
        self.of = self.hits = 0

    def count(self, now: float, *, is_hit: bool) -> None:
        """Count one event."""
        if now >= self._until:
            self.forget(now)
            of, hits = self._forgotten
            self._parts.append((now, of + self.of, hits + self.hits))
            self._until = now + self._seconds / PARTS
        self.of += 1
        if is_hit:
            self.hits += 1

    def percent(self, now: float) -> float:
        """Return the share in percent; 0 without any event."""
        self.forget(now)
        return 100.0 * self.hits / self.of if self.of else 0.0

    def forget(self, now: float) -> None:
        """Leave out what is older than the window."""
        parts = self._parts
        while parts and now - parts[0][0] >= self._seconds:
            parts.popleft()
            if not parts:
                self.clear()
                return
            _, of, hits = parts[0]
            self.of -= of - self._forgotten[0]
            self.hits -= hits - self._forgotten[1]
            self._forgotten = of, hits

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
        self._until = -inf
        self._forgotten = (0, 0)
        self.of = self.hits = 0
