"""What is told of every answer, whatever kind of call it is of: who gave it, and what it cost.

Rules of this file: pure.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from routerd_proto.frames import CallEnded, CostBasis, Usage

__all__ = ["Served", "served"]

NANODOLLARS_PER_CENT = 10_000_000


class Served(Struct, frozen=True, kw_only=True):
    """Who answered, at what price.

    `model`, `deployment` and `provider` name what really answered. `cost_nanodollars` covers all
    attempts, None where `cost_basis` is `unknown`. Times are in seconds since the daemon read the
    call. `degraded` says why the answer came from a declared lesser path, None if it did not.
    `notes` says what was left out or changed on the way.
    """

    decision_id: str
    trace_id: str = ""
    model: str = ""
    deployment: str = ""
    provider: str = ""
    usage: Usage | None = None
    cost_nanodollars: int | None = None
    cost_basis: CostBasis = "unknown"
    degraded: str | None = None
    simulated: bool = False
    cached: bool = False
    attempts: int = 0
    notes: list[str] = []
    first_content_seconds: float | None = None
    total_seconds: float = 0.0

    @property
    def cost_cents(self) -> float | None:
        """What the call cost in US cents, None where nobody knows."""
        nanodollars = self.cost_nanodollars
        return None if nanodollars is None else nanodollars / NANODOLLARS_PER_CENT


def served(ended: CallEnded, trace_id: str) -> dict[str, Any]:
    """Return the fields of `Served` as the last frame of a call tells them."""
    first_content = ended.first_content_us
    return {
        "decision_id": ended.decision_id,
        "trace_id": trace_id,
        "model": ended.model,
        "deployment": ended.deployment,
        "provider": ended.provider,
        "usage": ended.usage,
        "cost_nanodollars": ended.cost_nanodollars,
        "cost_basis": ended.cost_basis,
        "degraded": ended.degraded,
        "simulated": ended.simulated,
        "cached": ended.cached,
        "attempts": ended.attempts,
        "notes": ended.notes,
        "first_content_seconds": None if first_content is None else first_content / 1e6,
        "total_seconds": ended.total_us / 1e6,
    }
