"""Keeping connections open to every provider, so that no call waits for one to be made.

Rules of this file: only requests that cost nothing are sent (the list of models). A provider that
cannot be reached is told once when that begins, and once when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio

from routerd.app.providers import LiveProvider
from routerd.settings import Egress
from routerd.telemetry.events import Events, ProviderUnreachable, ProviderWarmed

__all__ = ["Warmer"]

WARM_SECONDS = 10.0


class Warmer:
    """Open connections, then use them now and then; tells only what changed.

    The connections themselves are the transport's, by address: providers that take the place of
    others at the same address find theirs.
    """

    def __init__(
        self, providers: Mapping[str, LiveProvider], settings: Egress, events: Events
    ) -> None:
        self._providers = providers
        self._settings = settings
        self._events = events
        self._replaced = anyio.Event()
        # By name and address: at another address it is another server.
        self._reachable: dict[tuple[str, str], bool] = {}

    def replace(self, providers: Mapping[str, LiveProvider], settings: Egress) -> None:
        """Keep connections to these from now on; a round begins at once."""
        self._providers, self._settings = providers, settings
        kept = {(name, provider.channel.server) for name, provider in providers.items()}
        self._reachable = {
            place: known for place, known in self._reachable.items() if place in kept
        }
        self._replaced.set()

    async def run(self, on_round: Callable[[], None]) -> None:
        """Go round for ever; `on_round` is called after each."""
        while True:
            self._replaced = anyio.Event()
            if self._settings.warm_connections:
                async with anyio.create_task_group() as tasks:
                    for name, provider in self._providers.items():
                        tasks.start_soon(self._warm, name, provider, name=f"warm {name}")
            on_round()
            with anyio.move_on_after(self._settings.warm_every_seconds):
                await self._replaced.wait()

    async def _warm(self, name: str, provider: LiveProvider) -> None:
        place = (name, provider.channel.server)
        report = await provider.channel.warm(
            provider.adapter.warm_path, self._settings.warm_connections, WARM_SECONDS
        )
        # A server that answers and then closes keeps none open, and is there all the same.
        answers = report.open > 0 or (report.error is None and report.seconds < WARM_SECONDS)
        is_current = self._providers.get(name) is provider
        if self._reachable.get(place) is answers or not is_current:
            return
        self._reachable[place] = answers
        if answers:
            duration_us = int(report.seconds * 1_000_000)
            self._events.emit(
                ProviderWarmed(provider=name, connections=report.open, duration_us=duration_us)
            )
        else:
            kind = type(report.error).__name__ if report.error else "Timeout"
            self._events.emit(ProviderUnreachable(provider=name, error_class=kind))
