"""Keeping connections open to every provider, so that no call waits for one to be made.

A provider with endpoints in several regions is kept warm, and probed, at each of their addresses.

Rules of this file: only requests that cost nothing are sent (the list of models), and none to whom
calls keep busy. Each round is a probe too: `health` hears who answers. A provider that cannot be
reached is told once when that begins, and once when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

import anyio

from routerd.app.providers import LiveProvider
from routerd.health.breakers import Breakers
from routerd.settings import Egress
from routerd.telemetry.events import Events, ProviderUnreachable, ProviderWarmed

__all__ = ["Warmer"]

WARM_SECONDS = 10.0
# A provider's name, and an address of it.
Server = tuple[str, str]


class Warmer:
    """Open connections, then use them now and then; tells only what changed.

    The connections themselves are the transport's, by address: providers that take the place of
    others at the same address find theirs.
    """

    def __init__(
        self,
        providers: Mapping[str, LiveProvider],
        settings: Egress,
        events: Events,
        breakers: Breakers,
    ) -> None:
        self._breakers = breakers
        self._places = _places_of(providers)
        self._settings = settings
        self._events = events
        self._new: dict[Server, LiveProvider] = {}
        self._replaced = anyio.Event()
        self._reachable: dict[Server, bool] = {}

    def replace(self, providers: Mapping[str, LiveProvider], settings: Egress) -> None:
        """Keep connections to these from now on, and open those that are not there at once."""
        are_more = settings.warm_connections > self._settings.warm_connections
        places = _places_of(providers)
        # The others are left alone: a call would miss the connection that is being used.
        self._new = {
            place: provider
            for place, provider in places.items()
            if are_more or place in self._new or place not in self._places
        }
        self._places, self._settings = places, settings
        self._reachable = {
            place: answers for place, answers in self._reachable.items() if place in places
        }
        self._replaced.set()

    async def run(self, on_round: Callable[[], None]) -> None:
        """Go round for ever; `on_round` is called after each."""
        while True:
            await self._go_round(self._places)
            on_round()
            next_at = anyio.current_time() + self._settings.warm_every_seconds
            while (seconds := next_at - anyio.current_time()) > 0:
                with anyio.move_on_after(seconds):
                    await self._replaced.wait()
                if self._replaced.is_set():
                    self._replaced = anyio.Event()
                    new, self._new = self._new, {}
                    await self._go_round(new)
                    on_round()
                    seconds = self._settings.warm_every_seconds
                    next_at = min(next_at, anyio.current_time() + seconds)

    async def _go_round(self, places: Mapping[Server, LiveProvider]) -> None:
        if not self._settings.warm_connections:
            return
        async with anyio.create_task_group() as tasks:
            for place, provider in places.items():
                tasks.start_soon(self._warm, place, provider, name=f"warm {place[0]}")

    async def _warm(self, place: Server, provider: LiveProvider) -> None:
        name, server = place
        every = self._settings.warm_every_seconds
        if self._reachable.get(place) and self._breakers.is_used(place, monotonic(), every):
            return  # calls keep its connections warm, and show how it is
        report = await provider.channels[server].warm(
            provider.adapter.warm_path, self._settings.warm_connections, WARM_SECONDS
        )
        # A server that answers and then closes keeps none open, and is there all the same.
        answers = report.open > 0 or (report.error is None and report.seconds < WARM_SECONDS)
        is_current = self._places.get(place) is provider
        if is_current:
            self._breakers.probed(place, monotonic(), answers=report.answers, every_seconds=every)
        if self._reachable.get(place) is answers or not is_current:
            return
        self._reachable[place] = answers
        if answers:
            duration_us = int(report.seconds * 1_000_000)
            self._events.emit(
                ProviderWarmed(
                    provider=name,
                    server=server,
                    connections=report.open,
                    duration_us=duration_us,
                )
            )
        else:
            kind = type(report.error).__name__ if report.error else "Timeout"
            self._events.emit(ProviderUnreachable(provider=name, server=server, error_class=kind))


def _places_of(providers: Mapping[str, LiveProvider]) -> dict[Server, LiveProvider]:
    """Return every address of every provider: at another one it is another server."""
    return {
        (name, server): provider
        for name, provider in providers.items()
        for server in provider.channels
    }
