"""The bad days that are rehearsed: who is in trouble, how much money is gone, what is private.

Rules of this file: pure. A scenario has a name that people type and promises count by.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from msgspec import Struct

from routerd.settings import Hardship

__all__ = ["HEALTHY", "Scenario", "scenarios_for"]

DOWN: Final = "down"
SLOW: Final = "slow"
LIMITED: Final = "limited"
# It answers 429 too, and does not say for how long.
UNSAID: Final = "limited_unsaid"
# What the others say.
NAMED_SECONDS: Final = 60.0


class Scenario(Struct, frozen=True):
    """One bad day, on which providers are in trouble, or something else is.

    To who is `down` no connection holds. Who is `slow` lets streamed calls wait for longer than
    they do, and other requests too. Who is `limited` answers 429, and names `retry_after` seconds,
    None: no time. `percent` is what is spent of every cap in dollars.
    """

    name: str
    title: str
    down: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    retry_after: float | None = None
    percent: int = 0
    private: bool = False
    hardship: Hardship | None = None

    @property
    def struck(self) -> tuple[str, ...]:
        """Name the providers that do not answer, whatever the trouble."""
        return self.down or self.slow or self.limited

    @property
    def trouble(self) -> str:
        """Say in a word or two what is the matter with them."""
        if self.limited:
            return "at its rate limit"
        return SLOW if self.slow else DOWN


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
        *(_slow(name) for name in names),
        *(_limited(name, NAMED_SECONDS) for name in names),
        *(_limited(name, None) for name in names),
        *(MONEY if has_caps else ()),
        PRIVATE,
    )


def _down(hardship: Hardship, *providers: str) -> Scenario:
    return Scenario(
        f"{DOWN}:{'+'.join(providers)}",
        f"{' + '.join(providers)} down",
        down=providers,
        hardship=hardship,
    )


def _slow(provider: str) -> Scenario:
    return Scenario(
        f"{SLOW}:{provider}", f"{provider} slow", slow=(provider,), hardship="slow_provider"
    )


def _limited(provider: str, retry_after: float | None) -> Scenario:
    said = "names no time" if retry_after is None else f"names {retry_after:.0f} s"
    return Scenario(
        f"{UNSAID if retry_after is None else LIMITED}:{provider}",
        f"{provider} at 429, {said}",
        limited=(provider,),
        retry_after=retry_after,
        hardship="rate_limit",
    )
