"""What was spent and what is held in one window: counters and nothing else.

Rules of this file: plain arithmetic, the time passed in. What was held in a stretch of time is
settled in that stretch, however much later, and a stretch that has left its window changes the sums
no more.
"""

from __future__ import annotations

from collections import deque

from routerd.budget.windows import Window

__all__ = ["Meter", "Tally"]


class Tally:
    """Nanodollars, calls and tokens of one stretch of time: spent, and held beside that.

    It takes what happens before `until`, and counts before `leaves`; of sums of several, that is
    when the first of them counts no more.
    `told` keeps which marks were told of, so that each is told once; `open` counts the holds in it,
    also those of nothing.
    """

    __slots__ = (
        "calls",
        "held_calls",
        "held_nanodollars",
        "held_tokens",
        "leaves",
        "nanodollars",
        "open",
        "together",
        "tokens",
        "told",
        "until",
    )

    def __init__(self, until: float, leaves: float, together: Tally | None = None) -> None:
        self.until = until
        self.leaves = leaves
        self.together = together
        self.nanodollars = self.calls = self.tokens = 0
        self.held_nanodollars = self.held_calls = self.held_tokens = 0
        self.told = 0
        self.open = 0

    def hold(self, nanodollars: int, calls: int, tokens: int) -> None:
        """Set amounts aside; negative ones give them back."""
        self.held_nanodollars += nanodollars
        self.held_calls += calls
        self.held_tokens += tokens
        if self.together is not None:
            self.together.hold(nanodollars, calls, tokens)

    def spend(self, nanodollars: int, calls: int, tokens: int) -> None:
        """Add what was spent."""
        self.nanodollars += nanodollars
        self.calls += calls
        self.tokens += tokens
        if self.together is not None:
            self.together.spend(nanodollars, calls, tokens)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was spent and nothing is held."""
        return not (
            self.nanodollars
            or self.calls
            or self.tokens
            or self.held_nanodollars
            or self.held_calls
            or self.held_tokens
        )


class Meter:
    """The counters of one budget of one spender.

    `tally(now)` is where what happens now is counted; `total(now)` is what counts at all now.
    """

    __slots__ = ("_current", "_is_rolling", "_steps", "_total", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self._is_rolling = window.kind == "rolling"
        self._current: Tally | None = None
        self._total = Tally(0.0, 0.0)
        self._steps: deque[Tally] = deque()

    def total(self, now: float) -> Tally:
        """Return the sums of all that counts now; of a rolling window, those of its steps."""
        if self._is_rolling:
            steps = self._steps
            while steps and now >= steps[0].leaves:
                self._forget(steps.popleft())
            self._total.leaves = steps[0].leaves if steps else now
            return self._total
        # As `tally` does, which is spared: every call asks here for every budget.
        current = self._current
        return current if current is not None and now < current.until else self.tally(now)

    def tally(self, now: float) -> Tally:
        """Return the counters that take what happens now."""
        current = self._current
        # A clock that was set back does not open an earlier stretch again.
        if current is not None and now < current.until:
            return current
        span = self.window.span(now)
        if self._is_rolling:
            self.total(now)
            self._current = Tally(span.until, span.leaves, together=self._total)
            self._steps.append(self._current)
        else:
            self._current = Tally(span.until, span.leaves)
        return self._current

    def add_earlier(self, at: float, now: float, amounts: tuple[int, int, int]) -> None:
        """Count what was spent at a time before; nothing if that is no longer in the window."""
        self.earlier(at, now).spend(*amounts)

    def earlier(self, at: float, now: float) -> Tally:
        """Return the counters of a time before, such as that of a hold that is still open."""
        if now >= self.window.span(at).leaves:
            return Tally(0.0, 0.0)  # counted by nobody any more
        if not self._is_rolling:
            return self.tally(now)
        for place, step in enumerate(self._steps):
            if at < step.until - self.window.step:
                span = self.window.span(at)
                between = Tally(span.until, span.leaves, together=self._total)
                self._steps.insert(place, between)
                return between
            if at < step.until:
                return step
        return self.tally(at)

    def is_idle(self, now: float) -> bool:
        """Say whether nothing is in it, so that it can be forgotten."""
        current = self.tally(now)
        return (
            self.total(now).is_empty
            and not current.open
            and not any(step.open for step in self._steps)
        )

    def resets_at(self, now: float) -> float:
        """Return when something will count no more: the end of the window, or of its first step."""
        return self.total(now).leaves

    def _forget(self, step: Tally) -> None:
        """Take a step out of the sums; what is settled in it later changes nothing any more."""
        step.together = None
        self._total.hold(-step.held_nanodollars, -step.held_calls, -step.held_tokens)
        self._total.spend(-step.nanodollars, -step.calls, -step.tokens)
