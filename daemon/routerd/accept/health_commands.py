"""The commands about health: trip something by hand, and reset it.

Rules of this file: what is tripped by hand stays so until it is reset, over restarts too. A reset
forgets what was seen of it as well, so that the next call tries it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct, to_builtins

from routerd.accept.arguments import read_arguments, refusal
from routerd.execute.accounts import Accounts
from routerd.health.trips import Kind, Trip, Trips, UnknownName
from routerd.telemetry.events import Event, ResetByHand, TrippedByHand

__all__ = ["HealthCommands"]

MOST_REASON: Final = 200


class TripQuestion(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be left alone, and why."""

    name: str
    kind: Kind | None = None
    because: str = ""


class ResetQuestion(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to pass again; without a name everything that was tripped by hand."""

    name: str | None = None
    kind: Kind | None = None


class HealthCommands:
    """Change what calls are sent to; `keep` writes down what holds, and says whether it could."""

    def __init__(
        self,
        accounts: Callable[[], Accounts],
        keep: Callable[[Trips], Awaitable[bool]],
        tell: Callable[[Event], None],
    ) -> None:
        self._accounts = accounts
        self._keep = keep
        self._tell = tell

    async def trip(self, arguments: dict[str, Any]) -> Any:
        """Send nothing more to a provider, endpoint, deployment or model."""
        question = read_arguments(arguments, TripQuestion)
        trips = self._accounts().breakers.trips
        kind = _kind(trips, question.name, question.kind)
        because = " ".join(question.because.split())[:MOST_REASON] or "no reason given"
        trips.trip(Trip(kind, question.name, because, time.time()))
        self._tell(TrippedByHand(kind=kind, name=question.name))
        return await self._answer(trips, [(kind, question.name)])

    async def reset(self, arguments: dict[str, Any]) -> Any:
        """Let it pass again, whatever was seen of it."""
        question = read_arguments(arguments, ResetQuestion)
        accounts = self._accounts()
        trips = accounts.breakers.trips
        named = [(trip.kind, trip.name) for trip in trips.all()]
        if question.name is not None:
            named = [(_kind(trips, question.name, question.kind), question.name)]
        for kind, name in named:
            trips.lift(kind, name)
            places = trips.places(kind, name)
            accounts.breakers.reset(places)
            accounts.traffic.found_again(place.deployment for place in places)
            for provider in {place.provider for place in places}:
                accounts.keys.warm_up(provider)
            self._tell(ResetByHand(kind=kind, name=name))
        return await self._answer(trips, named)

    async def _answer(self, trips: Trips, named: list[tuple[Kind, str]]) -> dict[str, Any]:
        is_kept = await self._keep(trips)
        return {
            "changed": [{"kind": kind, "name": name} for kind, name in named],
            "kept": is_kept,
            "trips": to_builtins(trips.all()),
        }


def _kind(trips: Trips, name: str, kind: Kind | None) -> Kind:
    try:
        return trips.kind_of(name, kind)
    except UnknownName as error:
        raise refusal(str(error)) from None
