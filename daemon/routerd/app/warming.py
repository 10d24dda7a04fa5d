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

__all__ = ["keep_warm"]

WARM_SECONDS = 10.0


async def keep_warm(
    providers: Mapping[str, LiveProvider],
    settings: Egress,
    events: Events,
    on_first_round: Callable[[], None],
) -> None:
    """Open connections, then use them now and then, for ever; tells only what changed."""
    reachable: dict[str, bool] = {}
    while settings.warm_connections:
        async with anyio.create_task_group() as tasks:
            for name, provider in providers.items():
                tasks.start_soon(
                    _warm, name, provider, settings, events, reachable, name=f"warm {name}"
                )
        on_first_round()
        await anyio.sleep(settings.warm_every_seconds)
    on_first_round()


async def _warm(
    name: str,
    provider: LiveProvider,
    settings: Egress,
    events: Events,
    reachable: dict[str, bool],
) -> None:
    report = await provider.channel.warm(
        provider.adapter.warm_path, settings.warm_connections, WARM_SECONDS
    )
    # A server that answers and then closes keeps none open, and is there all the same.
    answers = report.open > 0 or (report.error is None and report.seconds < WARM_SECONDS)
    if reachable.get(name) is answers:
        return
    reachable[name] = answers
    if answers:
        duration_us = int(report.seconds * 1_000_000)
        events.emit(ProviderWarmed(provider=name, connections=report.open, duration_us=duration_us))
    else:
        kind = type(report.error).__name__ if report.error else "Timeout"
        events.emit(ProviderUnreachable(provider=name, error_class=kind))
