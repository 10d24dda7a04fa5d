"""One amount set aside before an attempt, in every budget it concerns at once.

Rules of this file: a hold ends once, by being settled or released; whatever is said of it later
changes nothing. It goes back to the counters it was taken from, however late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from routerd.budget.lines import Line
from routerd.budget.meters import Tally
from routerd.domain import BudgetRoom

__all__ = ["Hold", "HoldRefused", "Spending"]


class Spending:
    """One call as the budgets know it: who spends, and whether it was counted as a call yet.

    `names` are tenant, team, agent, user and feature.
    """

    __slots__ = ("decision_id", "is_counted", "names")

    def __init__(self, names: tuple[str | None, ...], decision_id: str = "") -> None:
        self.names = names
        self.decision_id = decision_id
        self.is_counted = False


class HoldRefused(Struct, frozen=True):
    """No hold was taken: the code of a `Dropped`, the numbers in words, and the cap at fault."""

    code: str
    detail: str
    room: BudgetRoom


class Hold:
    """What is set aside for one attempt until it ends. Amounts are bounds.

    `nanodollars` is None where no price bounds the attempt. `tallies` are the counters it is in,
    each with the calls it counts as there, `lines` the budgets that these are of now; `counts_call`
    says that its call counts through it.
    """

    __slots__ = (
        "_on_end",
        "at",
        "counts_call",
        "deployment",
        "has_ended",
        "lines",
        "model",
        "nanodollars",
        "provider",
        "spending",
        "tallies",
        "tokens",
    )

    def __init__(
        self,
        spending: Spending,
        place: tuple[str, str, str],
        at: float,
        nanodollars: int | None,
        tokens: int,
        lines: Sequence[Line],
        on_end: Callable[[Hold], None],
    ) -> None:
        self.spending = spending
        self.deployment, self.provider, self.model = place
        self.at = at
        self.nanodollars = nanodollars
        self.tokens = tokens
        self.lines = lines
        self.tallies: list[tuple[Tally, int]] = []
        self.counts_call = False
        self.has_ended = False
        self._on_end = on_end

    def take(self, tally: Tally, calls: int) -> None:
        """Hold the amounts in one counter, where the call counts as so many."""
        tally.open += 1
        tally.hold(self.nanodollars or 0, calls, self.tokens)
        self.tallies.append((tally, calls))

    def settle(self, nanodollars: int, tokens: int) -> None:
        """Put what was really spent in the place of what is held."""
        if self.has_ended:
            return
        self._give_back()
        for tally, calls in self.tallies:
            tally.spend(nanodollars, calls, tokens)
        self._on_end(self)

    def release(self) -> None:
        """Give everything back: the provider never saw the request."""
        if self.has_ended:
            return
        self._give_back()
        if self.counts_call:
            self.spending.is_counted = False
        self._on_end(self)

    def _give_back(self) -> None:
        self.has_ended = True
        held = self.nanodollars or 0
        for tally, calls in self.tallies:
            tally.open -= 1
            tally.hold(-held, -calls, -self.tokens)
