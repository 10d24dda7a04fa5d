"""What `routerd status` shows: plain data about the daemon as it is now."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from routerd.accept.server import Server
from routerd.app.providers import LiveProvider
from routerd.app.reloading import Reloader
from routerd.ledger import Ledger
from routerd.pipeline import Pipeline
from routerd.telemetry.lag import LoopLag

__all__ = ["Status"]


class Status:
    """Collect the state of all parts on request."""

    def __init__(
        self,
        socket: str,
        reloader: Reloader,
        pipeline: Pipeline,
        ledger: Ledger,
        lag: LoopLag,
    ) -> None:
        self.socket = socket
        self.ready = False
        self.server: Server | None = None
        self._reloader = reloader
        self._pipeline = pipeline
        self._ledger = ledger
        self._lag = lag
        self._started = time.monotonic()

    @property
    def providers(self) -> Mapping[str, LiveProvider]:
        """Those that can be called now."""
        return self._reloader.now.providers

    @property
    def deployments(self) -> int:
        """How many deployments can be called now."""
        return len(self._pipeline.rules.targets)

    def report(self) -> dict[str, Any]:
        """Return everything as plain data."""
        server, in_force, accounts = self.server, self._reloader.now, self._pipeline.accounts
        startup = in_force.startup
        return {
            "version": startup.version,
            "pid": os.getpid(),
            "ready": self.ready,
            "draining": server.draining if server is not None else False,
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "socket": self.socket,
            "configuration": str(startup.file) if startup.file else None,
            "needs_restart": list(in_force.needs_restart),
            "reload_refused": in_force.refused,
            "simulated": any(provider.simulated for provider in self.providers.values()),
            "connections": len(server.connections) if server is not None else 0,
            "calls_in_flight": len(self._pipeline.in_flight) - self._pipeline.places.waiting,
            "tasks": len(asyncio.all_tasks()),
            "calls_waiting": self._pipeline.places.waiting,
            "places": self._pipeline.places.report(),
            "calls_served": self._pipeline.served,
            "overhead": self._pipeline.overheads.report(),
            "loop_lag": self._lag.report(),
            "providers": [
                {
                    "name": name,
                    "server": provider.channel.server,
                    "boundary": provider.entry.boundary,
                    "adapter": provider.entry.adapter,
                    "simulated": provider.simulated,
                    "deployments": sum(
                        target.provider == name for target in self._pipeline.rules.targets.values()
                    ),
                }
                for name, provider in self.providers.items()
            ],
            "ledger": {
                "path": str(self._ledger.path),
                "degraded": self._ledger.degraded,
                "records_lost": self._ledger.lost,
                "intents_lost": self._ledger.intents_lost,
            },
            "budgets": [
                {name: value for name, value in row.items() if name != "holders"}
                for row in accounts.budgets.report(time.time())
                if row["spent"] >= row["soft"] or row["left"] == 0 or row["default"]
            ],
            "free_tiers": accounts.keys.report_free(time.time()),
            "keys": [
                row
                for row in accounts.keys.report_keys(time.time())
                if row["key"] is not None
                or row["cooling_until"] is not None
                or row["told"]
                or row["resting"]
            ],
            "cache": self._pipeline.answers.report(),
            "health": accounts.breakers.report(time.monotonic()),
            "trips": to_builtins(accounts.breakers.trips.all()),
            "degraded": accounts.degraded.report(time.monotonic()),
            "answered_as": accounts.answering.report(),
            "gone": accounts.traffic.report(time.time()),
            "shadows": self._pipeline.shadows.report() if self._pipeline.shadows else {},
        }

    def budgets(self) -> list[dict[str, Any]]:
        """Return every counter of the budgets as plain data, with who holds something in it."""
        return self._pipeline.accounts.budgets.report(time.time())
