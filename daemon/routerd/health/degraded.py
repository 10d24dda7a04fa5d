"""How many of a class's calls are answered by stand-ins, and when that is too many.

Rules of this file: plain and synchronous, the time passed in. An alert is raised once and ends
once: between the two shares nothing changes. A class that is not asked any more ends its alert when
its calls have left the window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routerd.domain import Record
from routerd.health.window import Share
from routerd.settings import USUAL_HEALTH, Health
from routerd.telemetry.events import DegradedFalling, DegradedRising, Event

__all__ = ["DegradedShares"]


class DegradedShares:
    """The rolling share of degraded answers, by class; `alerts` are the classes with too many."""

    def __init__(
        self, limits: Health = USUAL_HEALTH, tell: Callable[[Event], None] = lambda _: None
    ) -> None:
        self.alerts: dict[str, float] = {}
        self._limits = limits
        self._tell = tell
        self._shares: dict[str, Share] = {}

    def limit(self, limits: Health) -> None:
        """Go by other limits from now on."""
        if limits.degraded_window_seconds != self._limits.degraded_window_seconds:
            self._shares.clear()
        self._limits = limits

    def learn(self, record: Record, now: float) -> None:
        """Count a call that was answered by a provider."""
        plan = record.plan
        if not record.deployment or record.cached or plan is None or record.shadow_of is not None:
            return
        name = plan.model_class or plan.serves or record.target
        share = self._shares.get(name)
        if share is None:
            share = self._shares[name] = Share(self._limits.degraded_window_seconds)
        share.count(now, is_hit=record.degraded is not None)
        if name in self.alerts or record.degraded is not None:
            self._judge(name, share, now)

    def look(self, now: float) -> None:
        """End the alerts of classes whose calls have left the window."""
        for name in list(self.alerts):
            self._judge(name, self._shares.get(name) or Share(1.0), now)
        for name, share in list(self._shares.items()):
            share.forget(now)
            if not share.of and name not in self.alerts:
                del self._shares[name]

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return the share of every class with a degraded answer, as plain data."""
        self.look(now)
        return [
            {
                "class": name,
                "percent": round(share.percent(now), 1),
                "calls": share.of,
                "alert": name in self.alerts,
            }
            for name, share in sorted(self._shares.items())
            if share.hits
        ]

    def _judge(self, name: str, share: Share, now: float) -> None:
        limits, percent = self._limits, share.percent(now)
        if name in self.alerts:
            if percent < limits.degraded_clear_percent:
                del self.alerts[name]
                self._tell(DegradedFalling(model_class=name, percent=percent))
        elif share.of >= limits.degraded_volume and percent >= limits.degraded_percent:
            self.alerts[name] = now
            self._tell(DegradedRising(model_class=name, percent=percent, calls=share.of))
