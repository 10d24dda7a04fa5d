"""The nouns of routerd, as frozen data without behaviour.

Rules of this file: everything here can be written to the ledger and read back, so it holds names
and numbers, never connections, keys or callables. Times called `_us` are whole microseconds from
the moment the daemon read the request. The parts of an answer are the frames that carry them to
the caller, so that a delta is built once and never translated.
"""

from __future__ import annotations

from routerd.domain.asked import Call, Caller, Capabilities, Features, Part
from routerd.domain.decided import BudgetRoom, Dropped, FreeQuota, Plan, Route, Snapshot
from routerd.domain.recorded import COST_BASES, Attempt, Intent, Record
from routerd.domain.words import (
    MAX_ATTEMPTS_PER_ROUTE,
    MAX_ROUTES,
    MOST_PER_IMAGE,
    AttemptReason,
    Boundary,
    Complexity,
    Kind,
    SamplingParameters,
    Script,
    Unit,
)
from routerd_proto.frames import CostBasis, FinishReason, Latency, Sensitivity, Usage

__all__ = [
    "COST_BASES",
    "MAX_ATTEMPTS_PER_ROUTE",
    "MAX_ROUTES",
    "MOST_PER_IMAGE",
    "Attempt",
    "AttemptReason",
    "Boundary",
    "BudgetRoom",
    "Call",
    "Caller",
    "Capabilities",
    "Complexity",
    "CostBasis",
    "Dropped",
    "Features",
    "FinishReason",
    "FreeQuota",
    "Intent",
    "Kind",
    "Latency",
    "Part",
    "Plan",
    "Record",
    "Route",
    "SamplingParameters",
    "Script",
    "Sensitivity",
    "Snapshot",
    "Unit",
    "Usage",
]
