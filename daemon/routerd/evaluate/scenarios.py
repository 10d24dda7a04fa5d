"""The bad days that are rehearsed: who is down, how much money is gone, whether calls are private.

Rules of this file: pure. A scenario has a name that people type and promises count by.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from msgspec import Struct

from routerd.settings import Hardship

__all__ = ["HEALTHY", "Scenario", "scenarios_for"]

DOWN: Final = "down:"


class Scenario(Struct, frozen=True):
    """One bad day. `down` are providers, `percent` is what is spent of every cap in dollars."""

    name: str
    title: str
    down: tuple[str, ...] = ()
    percent: int = 0
    private: bool = False
    hardship: Hardship | None = None


HEALTHY: Final = Scenario("healthy", "all healthy")
MONEY: Final = (
    Scenario("budget_85", "budget at 85 %", percent=85, hardship="budget_85"),
    Scenario("budget_cap", "budget at the cap", percent=100, hardship="budget_cap"),
)
PRIVATE: Final = Scenario("private", "private call", private=True, hardship="private")


def scenarios_for(providers: Iterable[str], *, has_caps: bool) -> tuple[Scenario, ...]:
    """Return every scenario for these providers; about money only where dollars are capped."""
    names = sorted(set(providers))
    return (
        HEALTHY,
        *(_down("one_provider", name) for name in names),
        *(_down("two_providers", *pair) for pair in combinations(names, 2)),
        *(MONEY if has_caps else ()),
        PRIVATE,
    )


def _down(hardship: Hardship, *providers: str) -> Scenario:
    return Scenario(
        DOWN + "+".join(providers),
        f"{' + '.join(providers)} down",
        down=providers,
        hardship=hardship,
    )
