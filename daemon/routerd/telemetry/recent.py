"""The last so many numbers of one kind, and how they are spread.

Rules of this file: to add one costs a call one function and no memory; sorting them costs whoever
asks.
"""

from __future__ import annotations

from array import array

__all__ = ["Recent"]


class Recent:
    """The last `size` whole numbers."""

    __slots__ = ("_next", "_numbers", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._numbers = array("q")
        self._next = 0

    def add(self, number: int) -> None:
        """Take a number in; it takes the place of the oldest."""
        if len(self._numbers) < self._size:
            self._numbers.append(number)
        else:
            self._numbers[self._next] = number
            self._next = (self._next + 1) % self._size

    def report(self) -> dict[str, int | None]:
        """Return how many there are, their percentiles and the largest; None of none."""
        ordered = sorted(self._numbers)
        return {
            "count": len(ordered),
            "p50_us": _percentile(ordered, 50),
            "p99_us": _percentile(ordered, 99),
            "max_us": ordered[-1] if ordered else None,
        }


def _percentile(ordered: list[int], percent: int) -> int | None:
    """Return the least number that so many percent are not above."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None
