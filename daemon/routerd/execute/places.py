"""How many calls run at once, in all and at each provider, and those that wait for a place.

Rules of this file: a call that has no place waits in the queue or is refused; one whose providers
are all full gives its place up while it waits, so that a slow provider takes none from the others.
A place that comes free goes to whose turn it is in the very same step: nobody slips in between.
Whoever leaves, in whatever way, leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final, Literal

from routerd.errors import CallRefused
from routerd.execute.fair_queue import ORDINARY, FairQueue, Tenant, Waiting
from routerd.execute.room import Room
from routerd.settings import Limits
from routerd_proto.errors import ErrorInfo, error_info

__all__ = ["Place", "Places"]

# What a caller is told to wait: less is no use, and what is further away nobody can tell.
LEAST_SECONDS: Final = 1.0
MOST_SECONDS: Final = 60.0

End = Literal["place", "too_long", "gave_way"]


class Place:
    """What one call has of the places; `queued_us` is how long it waited for them.

    `deadline` is on the monotonic clock. `waits` is False for what is refused where a call waits,
    and not counted in all: copies.
    """

    __slots__ = (
        "deadline",
        "places",
        "provider",
        "queued_us",
        "rank",
        "reserved",
        "tenant",
        "waits",
    )

    def __init__(
        self,
        places: Places,
        tenant: Tenant,
        deadline: float,
        *,
        rank: int = ORDINARY,
        waits: bool = True,
    ) -> None:
        self.places = places
        self.tenant = tenant
        self.deadline = deadline
        self.rank = rank
        self.waits = waits
        self.queued_us = 0
        # Where its attempt runs, and where a place was given to it that it has not used yet.
        self.provider: str | None = None
        self.reserved: str | None = None


class _Waiter(Waiting, eq=False):
    """A call that waits: for room at one of `providers`, for any where there is none."""

    place: Place
    providers: tuple[str, ...]
    turn: asyncio.Future[End]


class Places:
    """The places there are, who has one, and who waits.

    `providers` says how many requests may run at a provider at once; one that is not in it is not
    bounded.
    """

    def __init__(self, limits: Limits, providers: Mapping[str, int] | None = None) -> None:
        self._limits = limits
        self._all: Room[Place] = Room(limits.in_flight)
        self._at: dict[str, Room[Place]] = {}
        self._queue: FairQueue[_Waiter] = FairQueue()
        self.replace(limits, providers or {})

    def replace(self, limits: Limits, providers: Mapping[str, int]) -> None:
        """Have other limits from now on; who has a place keeps it, and who waits goes on."""
        self._limits = limits
        self._all.limit = limits.in_flight
        for name, limit in providers.items():
            room = self._at.setdefault(name, Room(limit))
            room.limit = limit
        self._hand_out()

    @property
    def running(self) -> int:
        """How many calls have a place."""
        return len(self._all.since)

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return len(self._queue)

    def report(self) -> dict[str, Any]:
        """Return how full it is, as plain data."""
        return {
            "running": self.running,
            "in_flight": self._limits.in_flight,
            "waiting": self.waiting,
            "queue": self._limits.queue,
            "providers": [
                {
                    "provider": name,
                    "running": len(room.since),
                    "max": room.limit,
                    "waiting": room.wanted,
                }
                for name, room in self._at.items()
            ],
        }

    # --- places in all ------------------------------------------------------------------------

    def has(self, place: Place) -> bool:
        """Say whether a call has a place."""
        return place in self._all.since

    def enter(self, place: Place) -> bool:
        """Take a place; False where there is none."""
        room = self._all
        # Spelled out, here and below: every call comes this way.
        if len(room.since) >= room.limit:
            return False
        room.since[place] = monotonic()
        return True

    async def come_back(self, place: Place) -> None:
        """Take a place after giving it up, or wait for one."""
        if not self.enter(place):
            await self.wait(place)

    async def wait(self, place: Place, providers: tuple[str, ...] = ()) -> None:
        """Wait for a place, and for one at any of some providers; CallRefused where that is vain.

        A place that it has is given up meanwhile.
        """
        self.leave(place)
        now = monotonic()
        if not place.waits:
            raise CallRefused(self._refusal("it is a copy, and does not wait", providers))
        if not self._all.is_full and (not providers or self._free_of(providers) is not None):
            self._give(place, providers, now)
            return
        self._make_way(place, providers)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(place.tenant, place.rank, place, providers, loop.create_future())
        self._queue.add(waiter)
        self._want(providers, 1)
        seconds = max(0.0, min(place.deadline - now, self._limits.queue_seconds))
        timer = loop.call_later(seconds, self._end, waiter, "too_long")
        try:
            end = await waiter.turn
        finally:
            timer.cancel()
            self._forget(waiter)
            place.queued_us += int((monotonic() - now) * 1_000_000)
        if end == "too_long":
            raise CallRefused(self._refusal(f"no place within {seconds:.3g} s", providers))
        if end == "gave_way":
            raise CallRefused(self._refusal("more important calls or tenants came", providers))

    def leave(self, place: Place) -> None:
        """Give up whatever a call has."""
        if place.provider is not None or place.reserved is not None:
            self.give_back(place)
            self._drop_reserved(place)
        room = self._all
        if place in room.since:
            was_full = len(room.since) >= room.limit
            room.leave(place, monotonic())
            # Who waits where this was not full waits for a provider.
            if was_full:
                self._hand_out()

    def hand_on(self, place: Place, to: Place) -> None:
        """Give the place of a call, if it has one, to another."""
        if place in self._all.since:
            self._all.since[to] = monotonic()
        self.leave(place)

    # --- places at providers ------------------------------------------------------------------

    def take(self, place: Place, provider: str) -> bool:
        """Take a place at a provider for one attempt; False where there is none."""
        room = self._at.get(provider)
        if room is None:
            return True
        if place.reserved == provider:
            place.reserved = None
        elif len(room.since) >= room.limit:
            return False
        else:
            # Wherever else room was kept for it, others may have that.
            if place.reserved is not None:
                self._drop_reserved(place)
            room.since[place] = monotonic()
        place.provider = provider
        return True

    def give_back(self, place: Place) -> None:
        """Give back the place at a provider, if there is one."""
        provider = place.provider
        if provider is not None:
            place.provider = None
            room = self._at[provider]
            room.leave(place, monotonic())
            if room.wanted:
                self._hand_out()

    def fullness(self, provider: str) -> str:
        """Say how full a provider is."""
        room = self._at[provider]
        return f"{len(room.since)} of its {room.limit} places are taken (max_in_flight)"

    def seconds_until_free(self, providers: Iterable[str] = ()) -> float:
        """Return about how long a newcomer would wait, for one of some providers or for any."""
        now = monotonic()
        waits = [
            room.expected_wait(room.wanted, now)
            for name in providers
            if (room := self._at.get(name)) is not None
        ]
        seconds = min(waits) if waits else self._all.expected_wait(len(self._queue), now)
        return min(MOST_SECONDS, max(LEAST_SECONDS, round(seconds, 1)))

    def _drop_reserved(self, place: Place) -> None:
        if place.reserved is not None:
            place.provider, place.reserved = place.reserved, None
            self.give_back(place)

    # --- the queue ----------------------------------------------------------------------------

    def _free_of(self, providers: tuple[str, ...]) -> str | None:
        """Return the first of some providers that is not full."""
        for name in providers:
            room = self._at.get(name)
            if room is None or not room.is_full:
                return name
        return None

    def _hand_out(self) -> None:
        """Give what is free to those whose turn it is."""
        while len(self._queue) and not self._all.is_full:
            full = {name for name, room in self._at.items() if room.is_full}
            waiter = self._queue.take(partial(_may_go, full))
            if waiter is None:
                return
            self._want(waiter.providers, -1)
            # Who was cancelled just now has not woken up to leave the queue.
            if waiter.turn.done():
                continue
            self._give(waiter.place, waiter.providers, monotonic())
            waiter.turn.set_result("place")

    def _give(self, place: Place, providers: tuple[str, ...], now: float) -> None:
        self._all.since[place] = now
        free = self._free_of(providers)
        if free is not None and free in self._at:
            self._at[free].since[place] = now
            place.reserved = free

    def _make_way(self, place: Place, providers: tuple[str, ...]) -> None:
        """Have room for one more in the queue; CallRefused where nobody has to go for it."""
        limit = self._limits.queue
        if len(self._queue) < limit:
            return
        other = self._queue.gives_way(place.tenant, place.rank) if limit else None
        if other is None:
            raise CallRefused(self._refusal(self._why_full(providers), providers))
        self._end(other, "gave_way")

    def _end(self, waiter: _Waiter, end: End) -> None:
        self._forget(waiter)
        if not waiter.turn.done():
            waiter.turn.set_result(end)

    def _forget(self, waiter: _Waiter) -> None:
        if self._queue.remove(waiter):
            self._want(waiter.providers, -1)

    def _want(self, providers: tuple[str, ...], change: int) -> None:
        for name in providers:
            room = self._at.get(name)
            if room is not None:
                room.wanted += change

    def _why_full(self, providers: tuple[str, ...]) -> str:
        if providers:
            told = "; ".join(f"{name}: {self.fullness(name)}" for name in providers)
        else:
            limit = self._limits.in_flight
            told = f"{limit} calls are running, the most limits.in_flight allows"
        waiting = len(self._queue)
        return f"{told}; {waiting} wait, the most limits.queue allows" if waiting else told

    def _refusal(self, why: str, providers: tuple[str, ...]) -> ErrorInfo:
        seconds = self.seconds_until_free(providers)
        return error_info("router_overloaded", why, retry_after=seconds)


def _may_go(full: set[str], waiter: _Waiter) -> bool:
    return not waiter.providers or not full.issuperset(waiter.providers)
