"""What was tried, what was intended, and what is kept of a call."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from routerd.domain.asked import Features
from routerd.domain.decided import Dropped, Plan, Snapshot
from routerd.domain.words import AttemptReason
from routerd_proto.frames import CostBasis, FinishReason, Usage

__all__ = ["COST_BASES", "Attempt", "Intent", "Record"]

COST_BASES: Final[tuple[CostBasis, ...]] = ("measured", "estimated", "unknown")
"""The worst of several is the basis of their sum: it stands last."""


class Attempt(Struct, kw_only=True):
    """One request on the wire, filled in while it runs.

    `sent` is False as long as the provider certainly saw nothing of it. `key` names the key that
    was used, None for a provider's only one; `free` says that a free tier paid for it.
    `held_nanodollars` was set aside for it, None where no price bounds it. `fingerprint` is
    what the provider calls the build that answered. `queries` counts what is sold by the piece.
    `request_id` is the provider's own for the request, `took_ms` what it says it took for it in
    milliseconds, `headroom` the thousandths that it says are left of the nearest of its limits;
    None where it does not say.
    `streamed` says that it was asked for in parts, whatever the caller asked for. `waited_us` is
    the part of its time in which nothing of the answer was there to hand on: a token was fetched, a
    connection made, the request sent, or the provider wrote. At `last_content_us` all content was
    there; usage and end mark may come later. `unlisted_cost`: part of what it cost stands in no
    price list (a vendor's own tool, another tier); `cost_nanodollars` is the rest, and
    `cost_basis` is unknown.
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
    key: str | None = None
    free: bool = False
    held_nanodollars: int | None = None
    fingerprint: str | None = None
    queries: int = 0
    request_id: str | None = None
    took_ms: int | None = None
    headroom: int | None = None
    streamed: bool = False
    waited_us: int = 0
    unlisted_cost: bool = False
    last_content_us: int | None = None


class Intent(Struct, frozen=True):
    """What is about to be sent, written down first, so that a crash cannot hide what it cost.

    `number` counts the attempts of the call from 1, `at_ms` is the wall clock in milliseconds since
    the epoch. `held_nanodollars` is charged if nobody lives to say better, None where no price
    bounds it; the tokens are bounds too. `unlisted_cost`: it can cost more than that.
    """

    decision_id: str
    number: int
    call_id: str
    peer_uid: int | None
    at_ms: int
    target: str
    stream: bool
    deployment: str
    model: str
    provider: str
    server: str
    reason: AttemptReason
    held_nanodollars: int | None
    input_tokens: int
    output_tokens: int
    model_class: str | None = None
    key: str | None = None
    free: bool = False
    simulated: bool = False
    tenant: str | None = None
    team: str | None = None
    agent: str | None = None
    user: str | None = None
    feature: str | None = None
    task: str | None = None
    unlisted_cost: bool = False


class Record(Struct, kw_only=True):
    """What happened to one call: one row of the ledger, and all that `explain` needs.

    `upstream_us` is the time of all attempts together, routerd's work on them included.
    `overhead_us` is what routerd added: the part of `total_us`, from the request read to the last
    part handed to the socket, in which it waited for nobody. Waits are `waited_us` of the attempts
    (of pieces beside each other, only the row of them that waited longest); `waited_us`, before a
    second attempt on the same route and for an identical call; `queued_us`, in the queue for a
    place; and `reader_us`, until the caller had read. It is None where an earlier version wrote the
    record. A call that was sent again has one record with the attempts of all its copies; `sends`
    is that of the last. `skipped` are routes that were not to be tried: by a budget or a full
    provider, or because their vectors or scores do not go with those of the first.
    `directory_hash` and `policy_hash` name what was decided by, as the ledger keeps it. `cached`
    says that the answer is that of an earlier identical call. `arm`, `gate` and `feedback` are for
    the experiment, the judgement of the answer and what the app said of it.
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
    snapshot: Snapshot | None = None
    skipped: list[Dropped] = field(default_factory=list)
    directory_hash: str | None = None
    policy_hash: str | None = None
    cached: bool = False
    arm: str | None = None
    gate: str | None = None
    feedback: str | None = None
    shadow_of: str | None = None
    queued_us: int = 0
    reader_us: int = 0
    overhead_us: int | None = None
    last_content_us: int | None = None
