"""A room with so many places: who is in it, and about how long the next one has to wait.

Rules of this file: pure, the time passed in. The estimate goes by how long those who left were
there: if so many stay so long, a place comes free every so often.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

__all__ = ["Room"]

# How much the newest counts in the estimate: five of them are two thirds of it.
NEWEST_COUNTS: Final = 0.2

T = TypeVar("T")


class Room(Generic[T]):
    """Those who have a place here, and `since` when.

    `limit` may change, `wanted` is how many wait for one.
    """

    __slots__ = ("_stay", "limit", "since", "wanted")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.wanted = 0
        self.since: dict[T, float] = {}
        self._stay: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether there is no place left."""
        return len(self.since) >= self.limit

    def leave(self, who: T, now: float) -> None:
        """Let somebody out."""
        stayed = now - self.since.pop(who)
        before = stayed if self._stay is None else self._stay
        self._stay = before + NEWEST_COUNTS * (stayed - before)

    def expected_wait(self, ahead: int, now: float) -> float:
        """Return about how many seconds a newcomer waits behind so many others.

        As long as nobody has left, the first one who came is all there is to go by.
        """
        stay = self._stay
        if stay is None:
            stay = now - next(iter(self.since.values()), now)
        return (ahead + 1) * stay / self.limit
