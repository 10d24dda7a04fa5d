"""What a cap leaves and what lacks, in words and as facts: for reasons, refusals and reports.

Rules of this file: pure; numbers as they were compared. Dollars are shown to a person, nanodollars
given to a program.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from routerd.domain import BudgetRoom, Unit
from routerd.models.pricing import format_dollars

__all__ = ["amount_text", "facts_of", "lacking", "left_in"]


def left_in(room: BudgetRoom) -> int:
    """Return what may still be held; never below 0."""
    return max(0, room.limit - room.spent - room.held)


def amount_text(unit: Unit, amount: int) -> str:
    """Write an amount of a unit: `$1.25`, `3 calls`."""
    return format_dollars(amount) if unit == "nanodollars" else f"{amount} {unit}"


def lacking(room: BudgetRoom, needed: int) -> str:
    """Say what a call needs and what its budget has: the numbers that were compared."""
    unit = room.unit
    return (
        f"{room.budget} ({room.scope}) has {amount_text(unit, left_in(room))} left for up to "
        f"{amount_text(unit, needed)}: {amount_text(unit, room.spent)} spent and "
        f"{amount_text(unit, room.held)} held of {amount_text(unit, room.limit)}, "
        f"resets {datetime.fromtimestamp(room.resets_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )


def facts_of(room: BudgetRoom) -> dict[str, Any]:
    """Return a room as plain data for a program."""
    return {
        "budget": room.budget,
        "scope": room.scope,
        "unit": room.unit,
        "limit": room.limit,
        "spent": room.spent,
        "held": room.held,
        "resets_at": room.resets_at,
    }
