"""So many requests and tokens in a stretch of time: of a free tier's day, of a key's minute.

Rules of this file: plain and synchronous, the time passed in.
"""

from __future__ import annotations

from typing import Any

from routerd.budget.meters import Meter, Tally
from routerd.budget.windows import Window

__all__ = ["Allowance"]


class Allowance:
    """What may be asked in a window, and what of it was used and is held; None is no limit."""

    __slots__ = ("_meter", "calls", "tokens", "window")

    def __init__(self, window: Window, calls: int | None, tokens: int | None) -> None:
        self.window = window
        self.calls = calls
        self.tokens = tokens
        self._meter = Meter(window)

    def has_room(self, tokens: int | None, now: float) -> bool:
        """Say whether one request of at most so many tokens fits; None: nothing bounds them."""
        calls_left, tokens_left = self.left(now)
        if calls_left is not None and calls_left < 1:
            return False
        return tokens_left is None or (tokens is not None and tokens <= tokens_left)

    def left(self, now: float) -> tuple[int | None, int | None]:
        """Return the requests and the tokens that may still be held, None where not limited."""
        total = self._meter.total(now)
        calls = _left(self.calls, total.calls + total.held_calls)
        return calls, _left(self.tokens, total.tokens + total.held_tokens)

    def headroom(self, now: float) -> int:
        """Return the thousandths of the scarcer limit that are left."""
        shares = [
            1000 * left // limit
            for left, limit in zip(self.left(now), (self.calls, self.tokens), strict=True)
            if left is not None and limit
        ]
        return min(shares, default=1000)

    def hold(self, tokens: int | None, now: float) -> tuple[Tally, int]:
        """Set one request aside; returns where, and the tokens that are held there."""
        # What nothing bounds may take all there is.
        amount = tokens if tokens is not None else self.tokens or 0
        tally = self._meter.tally(now)
        tally.hold(0, 1, amount)
        return tally, amount

    def hold_earlier(self, tokens: int | None, at: float, now: float) -> tuple[Tally, int]:
        """Set a request aside that was sent at a time before and is still running."""
        amount = tokens if tokens is not None else self.tokens or 0
        tally = self._meter.earlier(at, now)
        tally.hold(0, 1, amount)
        return tally, amount

    def limit(self, calls: int | None, tokens: int | None) -> None:
        """Take other limits; what was used and is held stays."""
        self.calls, self.tokens = calls, tokens

    def seed(self, at: float, now: float, amounts: tuple[int, int]) -> None:
        """Count requests and tokens of before, at a time that may be of another window."""
        self._meter.add_earlier(at, now, (0, *amounts))

    def resets_at(self, now: float) -> float:
        """Return when something of it comes back."""
        return self._meter.resets_at(now)

    def rows(self, now: float) -> list[dict[str, Any]]:
        """Return it as plain data, one row for each limit."""
        total, (calls_left, tokens_left) = self._meter.total(now), self.left(now)
        limits = (
            ("calls", self.calls, total.calls, total.held_calls, calls_left),
            ("tokens", self.tokens, total.tokens, total.held_tokens, tokens_left),
        )
        return [
            {"unit": unit, "limit": limit, "used": used, "held": held, "left": left}
            for unit, limit, used, held, left in limits
            if limit is not None
        ]

    def words(self, now: float) -> str:
        """Say what is left: `3 of 100 calls and 0 of 5000 tokens`."""
        return " and ".join(
            f"{row['left']} of {row['limit']} {row['unit']}" for row in self.rows(now)
        )


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
