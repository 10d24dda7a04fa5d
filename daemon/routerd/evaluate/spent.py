"""A ledger in which a share of every cap in dollars is spent, for a daemon to begin with.

Rules of this file: what is spent is put where the daemon counts it by itself, as calls of before.
Where budgets cannot all be so full at once, nothing is made up, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from routerd.budget.definitions import Definition
from routerd.domain import Attempt, BudgetRoom, Record
from routerd.evaluate.world import World
from routerd.ledger import Ledger

__all__ = ["Spent", "spending_for", "write_ledger"]

NANOSECONDS: Final = 1_000_000_000


class Spent(Struct, frozen=True):
    """An amount that was spent at a time, in seconds since the epoch."""

    at: float
    nanodollars: int


def spending_for(world: World, percent: int, now: float) -> list[Spent] | str:
    """Return what fills every cap in dollars to a share, or why that cannot be.

    The shorter its window, the later must be what one budget counts and the next wider one too.
    """
    rooms = [
        room
        for room in world.rooms(world.book.directory.deployments.values())
        if room.unit == "nanodollars"
    ]
    if any(room.provider is not None or room.model is not None for room in rooms):
        return "a budget is for one provider or model, and what others spend is not in it"
    needs = sorted(_needs(rooms, world.budgets.definitions, percent, now), reverse=True)
    spent: list[Spent] = []
    total, until = 0, now
    for start, need in needs:
        more = need - total
        if more < 0 or (more and start >= until):
            return "the caps are such that not all of them can be so full at once"
        if more:
            # The first right now; the others before the window of the one that came first.
            at = max(start, now - 1) if not spent else (start + until) / 2
            spent.append(Spent(at, more))
            total = need
        until = min(until, start)
    return spent


def _needs(
    rooms: Iterable[BudgetRoom], definitions: Iterable[Definition], percent: int, now: float
) -> Iterable[tuple[float, int]]:
    by_name = {item.name: item for item in definitions}
    for room in rooms:
        start = by_name[room.budget].window.earliest(now)
        yield start, -(-room.limit * percent // 100)


async def write_ledger(path: Path, world: World, spent: Iterable[Spent]) -> None:
    """Write a ledger in which these amounts were spent by whose calls are rehearsed."""
    ledger = Ledger(path)
    await ledger.start()
    try:
        for number, item in enumerate(spent, 1):
            ledger.write(_record(world, number, item))
        await ledger.flush()
    finally:
        await ledger.close()


def _record(world: World, number: int, item: Spent) -> Record:
    options = world.options
    attempt = Attempt(
        deployment="drill/spent",
        model="spent",
        provider="drill",
        server="",
        reason="first",
        started_us=0,
        ended_us=0,
        status=200,
        finish="stop",
        cost_nanodollars=item.nanodollars,
        cost_basis="measured",
        simulated=True,
    )
    return Record(
        decision_id=f"{int(item.at * 1000):012x}{number:020x}",
        call_id=f"spent-{number}",
        received_at_ns=int(item.at * NANOSECONDS),
        target="drill",
        stream=False,
        tenant=options.tenant,
        team=options.team,
        agent=options.agent,
        attempts=[attempt],
        finish="stop",
        model=attempt.model,
        deployment=attempt.deployment,
        provider=attempt.provider,
        cost_nanodollars=item.nanodollars,
        cost_basis="measured",
        simulated=True,
    )
