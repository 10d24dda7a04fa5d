"""Who waits for a place, and whose turn it is.

Rules of this file: pure. Critical calls come first and batch calls last; within a class the tenants
take turns, and a tenant's calls keep their order. Nobody starves: a class that was passed over
often enough has the next turn. Where there is no room a newcomer takes that of a less important
call, or that of a tenant that has more than its share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from msgspec import Struct

__all__ = ["BATCH", "CRITICAL", "ORDINARY", "FairQueue", "Waiting"]

CRITICAL: Final = 0
ORDINARY: Final = 1
BATCH: Final = 2
# How often a class with somebody in it is passed over before it has a turn.
PATIENCE: Final = 8

# Whose call it is: a tenant by its name, a call without one by the user who sent it.
Tenant = str | int | None


class Waiting(Struct, eq=False):
    """One who waits: whose call it is, and how important."""

    tenant: Tenant
    rank: int


W = TypeVar("W", bound=Waiting)
Line = dict[W, None]


class FairQueue(Generic[W]):
    """Those who wait, by class and tenant."""

    def __init__(self) -> None:
        # By class and tenant, who has the next turn in front.
        self._classes: tuple[OrderedDict[Tenant, Line[W]], ...] = (
            OrderedDict(),
            OrderedDict(),
            OrderedDict(),
        )
        self._passed_over = [0, 0, 0]
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, waiter: W) -> None:
        """Let somebody wait behind the others of its tenant; a new tenant behind the others."""
        self._classes[waiter.rank].setdefault(waiter.tenant, {})[waiter] = None
        self._size += 1

    def remove(self, waiter: W) -> bool:
        """Forget somebody; says whether it was there."""
        tenants = self._classes[waiter.rank]
        line = tenants.get(waiter.tenant)
        if line is None or waiter not in line:
            return False
        del line[waiter]
        self._size -= 1
        if not line:
            del tenants[waiter.tenant]
            if not tenants:
                self._passed_over[waiter.rank] = 0
        return True

    def take(self, may_go: Callable[[W], bool]) -> W | None:
        """Take whose turn it is among those that may go, None if nobody may."""
        for rank in self._turns():
            tenants = self._classes[rank]
            for tenant, line in tenants.items():
                waiter = next(filter(may_go, line), None)
                if waiter is not None:
                    tenants.move_to_end(tenant)
                    self.remove(waiter)
                    self._pass_over(rank)
                    return waiter
        return None

    def gives_way(self, tenant: Tenant, rank: int) -> W | None:
        """Return who has to go so that a newcomer can wait, None if it is the newcomer.

        The last of a class that is less important, else of the same class and a tenant that even
        without it has as many there as the newcomer's would have.
        """
        for other in range(BATCH, rank - 1, -1):
            tenants = self._classes[other]
            if tenants:
                longest = max(tenants.values(), key=len)
                own = len(tenants.get(tenant, ()))
                if other > rank or len(longest) > own + 1:
                    return next(reversed(longest))
        return None

    def _turns(self) -> list[int]:
        """Return the classes in the order in which they are asked."""
        overdue = [rank for rank, passed in enumerate(self._passed_over) if passed >= PATIENCE]
        return overdue + [rank for rank in (CRITICAL, ORDINARY, BATCH) if rank not in overdue]

    def _pass_over(self, taken: int) -> None:
        self._passed_over[taken] = 0
        for rank in range(taken + 1, BATCH + 1):
            if self._classes[rank]:
                self._passed_over[rank] += 1
