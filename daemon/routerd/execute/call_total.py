"""What a call may cost in all, whoever is asked and however often.

Rules of this file: pure. The plan bounds one attempt; here all of them are bounded together.
"""

from __future__ import annotations

from collections.abc import Iterable

from routerd.domain import Attempt, Dropped, Route
from routerd.execute.purse import NoRoom
from routerd.models.pricing import format_dollars

__all__ = ["check_total"]


def check_total(most: int, route: Route, attempts: Iterable[Attempt]) -> None:
    """Raise NoRoom where one more attempt could bring a call above `most` nanodollars.

    What still runs counts with its bound, what has no known cost with none.
    """
    spent = sum(map(_cost, attempts))
    bound = 0 if route.free else route.bound_nanodollars or 0
    if spent + bound > most:
        allowed, before = format_dollars(most), format_dollars(spent)
        detail = f"up to {format_dollars(bound)} beside {before}, the call may cost {allowed}"
        raise NoRoom(Dropped(route.deployment, "max_cost", detail), 0.0)


def _cost(attempt: Attempt) -> int:
    is_open = attempt.ended_us is None
    return (attempt.held_nanodollars if is_open else attempt.cost_nanodollars) or 0
