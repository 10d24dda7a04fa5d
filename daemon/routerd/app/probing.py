"""Testing what was tripped, so that it gets its calls back soon after it is well.

Rules of this file: only what costs nothing is sent (the list of models), and an answer to it
permits one call to try, no more. It sleeps while nothing is tripped. Nobody's silence keeps another
one waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import anyio

from routerd.app.providers import LiveProvider
from routerd.health.breakers import Breakers
from routerd.health.degraded import DegradedShares

__all__ = ["Prober"]

TEST_SECONDS: Final = 5.0
# How often alerts are looked at that only time can end.
LOOK_SECONDS: Final = 15.0


class Prober:
    """Ask tripped endpoints; `providers` returns those that are in force."""

    def __init__(
        self,
        breakers: Breakers,
        degraded: DegradedShares,
        providers: Callable[[], Mapping[str, LiveProvider]],
    ) -> None:
        self._breakers = breakers
        self._degraded = degraded
        self._providers = providers
        self._tripped = anyio.Event()
        self._running: set[tuple[str, str]] = set()
        breakers.on_trip = self.look

    def look(self) -> None:
        """Look at once at what is tripped."""
        self._tripped.set()

    async def run(self) -> None:
        """Test what is due, for ever."""
        async with anyio.create_task_group() as tasks:
            while True:
                self._tripped = anyio.Event()
                for provider, server in self._breakers.begin_tests(monotonic()):
                    if (provider, server) not in self._running:
                        self._running.add((provider, server))
                        tasks.start_soon(self._test, provider, server, name=f"test {provider}")
                self._degraded.look(monotonic())
                with anyio.move_on_after(self._seconds()):
                    await self._tripped.wait()

    def _seconds(self) -> float:
        next_due = self._breakers.next_due()
        wait = None if next_due is None else max(0.0, next_due - monotonic())
        if self._degraded.alerts:
            wait = LOOK_SECONDS if wait is None else min(wait, LOOK_SECONDS)
        return float("inf") if wait is None else wait

    async def _test(self, name: str, server: str) -> None:
        provider = self._providers().get(name)
        answers = False
        try:
            channel = provider.channels.get(server) if provider is not None else None
            if provider is not None and channel is not None:
                report = await channel.warm(provider.adapter.warm_path, 1, TEST_SECONDS)
                answers = report.answers
        finally:
            self._running.discard((name, server))
        self._breakers.tested((name, server), answers=answers)
