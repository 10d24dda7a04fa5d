"""Keeping connections open to every provider, so that no call waits for one to be made.

Rules of this file: only requests that cost nothing are sent (the list of models). A provider that
cannot be reached is told once when that begins, and once when it ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from routerd.app.providers import LiveProvider
from routerd.settings import Egress
from routerd.telemetry.events import Events, ProviderUnreachable, ProviderWarmed

__all__ = ["keep_warm", "warm_all"]

WARM_SECONDS = 10.0


async def warm_all(
    providers: Mapping[str, LiveProvider], connections: int, events: Events
) -> dict[str, bool]:
    """Warm every provider at once; returns which can be reached."""
    reachable: dict[str, bool] = {}

    async def warm(name: str, provider: LiveProvider) -> None:
        report = await provider.channel.warm(
            provider.adapter.models_path, connections, WARM_SECONDS
        )
        reachable[name] = report.open > 0
        if report.open:
            duration_us = int(report.seconds * 1_000_000)
            events.emit(
                ProviderWarmed(provider=name, connections=report.open, duration_us=duration_us)
            )
        else:
            kind = type(report.error).__name__ if report.error else "Timeout"
            events.emit(ProviderUnreachable(provider=name, error_class=kind))

    if connections:
        async with anyio.create_task_group() as tasks:
            for name, provider in providers.items():
                tasks.start_soon(warm, name, provider, name=f"warm {name}")
    return reachable


async def keep_warm(
    providers: Mapping[str, LiveProvider], settings: Egress, events: Events
) -> None:
    """Use the connections now and then, for ever; tells only what changed."""
    while settings.warm_connections:
        await anyio.sleep(settings.warm_every_seconds)
        await warm_all(providers, settings.warm_connections, events)
