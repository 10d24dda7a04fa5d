"""The nouns of routerd, as frozen data without behaviour.

Rules of this file: everything here can be written to the ledger and read back, so it holds names
and numbers, never connections, keys or callables. Times called `_us` are whole microseconds from
the moment the daemon read the request. The parts of an answer are the frames that carry them to
the caller, so that a delta is built once and never translated.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from routerd_proto.content import Message
from routerd_proto.frames import (
    CallOptions,
    CostBasis,
    FinishReason,
    Part,
    Sensitivity,
    TraceContext,
    Usage,
)

__all__ = [
    "Attempt",
    "AttemptReason",
    "Boundary",
    "Call",
    "Capabilities",
    "CostBasis",
    "Dropped",
    "Features",
    "FinishReason",
    "Part",
    "Plan",
    "Record",
    "Route",
    "SamplingParameters",
    "Sensitivity",
    "Snapshot",
    "Usage",
]

Boundary = Literal["machine", "own-network", "vendor"]
AttemptReason = Literal["first", "retry", "fallback"]
SamplingParameters = Literal["yes", "no", "without_reasoning"]
MAX_ROUTES: Final = 3
MAX_ATTEMPTS_PER_ROUTE: Final = 2


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model can take and do. `sampling` is for temperature and top_p."""

    vision: bool = False
    tools: bool = False
    forced_tool_choice: bool = False
    json_schema: bool = False
    reasoning: bool = False
    sampling: SamplingParameters = "yes"
    prefill: bool = False


class Call(Struct, frozen=True):
    """One call as the daemon accepted it.

    `received_at` and `deadline` are seconds of the monotonic clock, `received_at_ns` is the wall
    clock in nanoseconds since the epoch. `decision_id` is 32 hex digits, sorted by time.
    """

    decision_id: str
    call_id: str
    target: str
    messages: list[Message]
    options: CallOptions
    stream: bool
    received_at: float
    received_at_ns: int
    deadline: float
    trace: TraceContext | None = None
    sends: int = 0
    peer_uid: int | None = None


class Features(Struct, frozen=True):
    """Cheap facts of a call that a decision may look at. Never its text.

    `input_tokens` is an estimate. `max_output_tokens` is what the caller asked for, if anything.
    """

    input_tokens: int
    images: int = 0
    documents: int = 0
    tools: int = 0
    forced_tool: bool = False
    output_schema: bool = False
    prefill: bool = False
    max_output_tokens: int | None = None
    sensitivity: Sensitivity = "public"


class Snapshot(Struct, frozen=True):
    """The state of the system at the moment of a decision. `now` is seconds since the epoch."""

    now: float


class Route(Struct, frozen=True):
    """One entry of a plan. Never the same deployment twice in a plan.

    `degraded` says why it is not what was asked for, None if it is.
    """

    deployment: str
    model: str
    provider: str
    degraded: str | None = None


class Dropped(Struct, frozen=True):
    """A candidate that may not serve, with the coded reason and the numbers compared."""

    deployment: str
    code: str
    detail: str = ""


class Plan(Struct, frozen=True):
    """The decision before anything is sent.

    `rule` says in words what chose the candidates.
    """

    target: str
    rule: str
    model_class: str | None
    routes: tuple[Route, ...]
    dropped: tuple[Dropped, ...] = ()


class Attempt(Struct, kw_only=True):
    """One request on the wire, filled in while it runs.

    `sent` is False as long as the provider certainly saw nothing of it.
    """

    deployment: str
    model: str
    provider: str
    server: str
    reason: AttemptReason
    started_us: int
    headers_us: int | None = None
    first_content_us: int | None = None
    ended_us: int | None = None
    sent: bool = True
    status: int | None = None
    finish: FinishReason | None = None
    error_class: str | None = None
    error_code: str | None = None
    error_phase: str | None = None
    retry_after: float | None = None
    usage: Usage | None = None
    cost_nanodollars: int | None = None
    cost_basis: CostBasis = "unknown"
    answered_model: str | None = None
    response_id: str | None = None
    malformed_events: int = 0
    simulated: bool = False
    notes: list[str] = field(default_factory=list)


class Record(Struct, kw_only=True):
    """What happened to one call: one row of the ledger, and all that `explain` needs.

    `upstream_us` is the time of all attempts together, `waited_us` that between attempts, spent
    waiting before a second one on the same route; the rest of `total_us` is routerd's own.
    """

    decision_id: str
    call_id: str
    received_at_ns: int
    target: str
    stream: bool
    sends: int = 0
    tenant: str | None = None
    team: str | None = None
    agent: str | None = None
    user: str | None = None
    feature: str | None = None
    task: str | None = None
    trace_id: str = ""
    peer_uid: int | None = None
    features: Features | None = None
    plan: Plan | None = None
    attempts: list[Attempt] = field(default_factory=list)
    finish: FinishReason = "error"
    error_code: str | None = None
    model: str = ""
    deployment: str = ""
    provider: str = ""
    usage: Usage | None = None
    cost_nanodollars: int | None = None
    cost_basis: CostBasis = "unknown"
    first_content_us: int | None = None
    total_us: int = 0
    upstream_us: int = 0
    waited_us: int = 0
    degraded: str | None = None
    simulated: bool = False
    notes: list[str] = field(default_factory=list)
