"""One budget of one spender: its caps, its counters, what they leave.

Rules of this file: it is looked at for every call, so what can be is worked out beforehand.
"""

from __future__ import annotations

from typing import Final

from routerd.budget.definitions import Definition
from routerd.budget.meters import Meter
from routerd.domain import BudgetRoom, Unit

__all__ = ["Line"]

UNITS: Final[tuple[Unit, ...]] = ("nanodollars", "calls", "tokens")
Lack = tuple[Unit, int]


class Line:
    """One budget of one spender, with what is looked at for every call worked out.

    `of_route` says that it depends on who serves: its calls are requests then.
    """

    __slots__ = (
        "budget",
        "calls",
        "marks",
        "meter",
        "name",
        "nanodollars",
        "of_route",
        "scope",
        "tokens",
    )

    def __init__(self, budget: Definition, name: str | None, meter: Meter) -> None:
        self.budget = budget
        self.name = name
        self.meter = meter
        self.nanodollars, self.calls, self.tokens = budget.nanodollars, budget.calls, budget.tokens
        self.of_route = budget.of_route
        self.scope = budget.scope(name)
        # Of each cap: its bit in `told`, its unit, and the mark from which on it is nearly spent.
        self.marks = [
            (1 << bit, unit, budget.soft(cap))
            for bit, unit in enumerate(UNITS)
            if (cap := budget.cap(unit)) is not None
        ]

    def lacking(self, nanodollars: int, calls: int, tokens: int, at: float) -> Lack | None:
        """Return the first cap that has no room for these amounts, and what it lacks room for.

        What is not needed fits into a full budget.
        """
        total = self.meter.total(at)
        cap = self.nanodollars
        if cap is not None and nanodollars:
            taken = total.nanodollars + total.held_nanodollars + nanodollars
            if taken > cap:
                return "nanodollars", nanodollars
        cap = self.calls
        if cap is not None and calls and total.calls + total.held_calls + calls > cap:
            return "calls", calls
        cap = self.tokens
        if cap is not None and tokens and total.tokens + total.held_tokens + tokens > cap:
            return "tokens", tokens
        return None

    def rooms(
        self, now: float, provider: str | None = None, model: str | None = None
    ) -> list[BudgetRoom]:
        """Return what each of its caps leaves."""
        total = self.meter.total(now)
        rooms = []
        for _, unit, soft in self.marks:
            if unit == "nanodollars":
                parts = self.nanodollars, total.nanodollars, total.held_nanodollars
            elif unit == "calls":
                parts = self.calls, total.calls, total.held_calls
            else:
                parts = self.tokens, total.tokens, total.held_tokens
            cap, spent, held = parts
            rooms.append(
                BudgetRoom(
                    self.budget.name,
                    self.scope,
                    unit,
                    cap or 0,
                    spent,
                    held,
                    soft,
                    total.leaves,
                    provider,
                    model,
                )
            )
        return rooms

    def room(self, unit: Unit, now: float) -> BudgetRoom:
        """Return what its cap in a unit leaves."""
        return next(room for room in self.rooms(now) if room.unit == unit)
