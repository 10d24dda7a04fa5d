"""What was tripped by hand: a provider, an endpoint, a deployment or a model.

Rules of this file: plain and synchronous. A trip holds until it is reset, also over a restart: the
list is written out and read back as JSON. A name that nothing has any more is kept: it may come
back with the next configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

__all__ = ["Kind", "Place", "Trip", "Trips", "UnknownName"]

Kind = Literal["provider", "endpoint", "deployment", "model"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Place(Struct, frozen=True):
    """Where a deployment is: `server` is the address of its endpoint."""

    deployment: str
    model: str
    provider: str
    server: str

    def named(self, kind: Kind) -> str:
        """Return the name that a trip of a kind knows it by."""
        return self.server if kind == "endpoint" else str(getattr(self, kind))


class Trip(Struct, frozen=True):
    """One trip by hand; `at` is in seconds since the epoch."""

    kind: Kind
    name: str
    because: str
    at: float


class UnknownName(LookupError):  # noqa: N818 - it says what was asked for
    """Nothing, or more than one thing, has this name; the message says which."""


# Made here, while one thread runs: see `ledger.rows`.
_decoder: Final = msgspec.json.Decoder(tuple[Trip, ...])


class Trips:
    """The trips that are `held`, by kind and name, and what they are of."""

    def __init__(self) -> None:
        self.held: dict[tuple[Kind, str], Trip] = {}
        self._places: tuple[Place, ...] = ()

    def replace(self, places: Iterable[Place]) -> None:
        """Know these places from now on."""
        self._places = tuple(places)

    def kind_of(self, name: str, kind: Kind | None = None) -> Kind:
        """Say what has a name; UnknownName where nothing has it, or where two kinds do."""
        kinds = [
            item
            for item in ((kind,) if kind is not None else KINDS)
            if any(place.named(item) == name for place in self._places) or (item, name) in self.held
        ]
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            both = " and ".join(kinds)
            raise UnknownName(f"{name!r} is the name of a {both}: say which with --kind")
        known = {place.named(item) for place in self._places for item in KINDS}
        near = get_close_matches(name, known, 3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UnknownName(
            f"no {kind or 'provider, endpoint, deployment or model'} here is called {name!r}{hint}"
        )

    def trip(self, trip: Trip) -> None:
        """Hold from now on."""
        self.held[trip.kind, trip.name] = trip

    def lift(self, kind: Kind, name: str) -> bool:
        """End a trip; says whether there was one."""
        return self.held.pop((kind, name), None) is not None

    def places(self, kind: Kind, name: str) -> list[Place]:
        """Return what has a name."""
        return [place for place in self._places if place.named(kind) == name]

    def why(self, place: Place) -> tuple[str, str] | None:
        """Return what is tripped of a place, its provider or the deployment, and why."""
        if not self.held:
            return None
        for kind in KINDS:
            trip = self.held.get((kind, place.named(kind)))
            if trip is not None:
                key = place.provider if kind == "provider" else place.deployment
                return key, f"{kind} tripped by hand: {trip.because}"
        return None

    def all(self) -> list[Trip]:
        """Return the trips, the oldest first."""
        return sorted(self.held.values(), key=lambda trip: trip.at)

    def encoded(self) -> bytes:
        """Return them as they are kept."""
        return msgspec.json.format(msgspec.json.encode(self.all()))

    def read(self, content: bytes) -> None:
        """Hold what was kept; msgspec.DecodeError where that is something else."""
        for trip in _decoder.decode(content):
            self.trip(trip)
