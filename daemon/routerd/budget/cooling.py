"""Who cools down: a provider whose keys all do, a deployment that all of them are refused for.

Rules of this file: plain and synchronous, the time passed in. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from routerd.budget.key import Key

__all__ = ["Cooling", "look_at", "look_for"]


class Cooling(NamedTuple):
    """Until when all keys of a provider cool down, and why the first of them that is ready does.

    Of a deployment: until when none of them serves it.

    `is_guess` says that its provider named no time.
    """

    until: float
    because: str
    is_guess: bool


def look_at(
    provider: str, ring: Sequence[Key], now: float, cooling: dict[str, Cooling]
) -> int | None:
    """Return the headroom of a provider's best key, and note it if all cool down."""
    most: int | None = None
    first, first_until = ring[0], float("inf")
    are_limited = are_cooling = True
    for key in ring:
        until = max(key.cooling_until, key.used_up_until) if key.told else key.cooling_until
        is_cooling = until > now
        left = key.headroom(now) if is_cooling or key.is_limited or key.told else None
        if left is None:
            are_limited = False
        elif most is None or left > most:
            most = left
        are_cooling = are_cooling and is_cooling
        if until < first_until:
            first, first_until = key, until
    if are_cooling:
        is_guess = first.rests_by_guess(now)
        cooling[provider] = Cooling(first_until, first.why_it_rests(now), is_guess)
    return most if are_limited else None


def look_for(deployment: str, ring: Sequence[Key], now: float, cooling: dict[str, Cooling]) -> None:
    """Note a deployment that every key of its provider is refused for."""
    rests = [rest for key in ring if (rest := key.rest_of(deployment, now)) is not None]
    if len(rests) == len(ring):
        first = min(rests, key=lambda rest: rest.until)
        cooling[deployment] = Cooling(first.until, str(first.because), first.is_guess)
