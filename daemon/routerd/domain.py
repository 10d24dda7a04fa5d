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
    Latency,
    Sensitivity,
    TraceContext,
    Usage,
)
from routerd_proto.frames import Part as ChatPart
from routerd_proto.search import RankingAdded, SearchRequested, VectorsAdded

__all__ = [
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
    "Sensitivity",
    "Snapshot",
    "Unit",
    "Usage",
]

Boundary = Literal["machine", "own-network", "vendor"]
AttemptReason = Literal["first", "retry", "repair", "fallback"]
SamplingParameters = Literal["yes", "no", "without_reasoning"]
Complexity = Literal["simple", "medium", "complex"]
# What a model does.
Kind = Literal["chat", "embedding", "rerank"]
# A piece of an answer, whatever kind of call it is of.
Part = ChatPart | VectorsAdded | RankingAdded
# What a budget counts.
Unit = Literal["nanodollars", "calls", "tokens"]
# The largest picture at full detail takes 1,445 tokens (tiles) to 3,779 (patches) at OpenAI, 4,784
# at Anthropic, 2,240 at Gemini 3, 9,506 at Mistral: a test computes them. A model that bills more
# says so in the directory.
MOST_PER_IMAGE: Final = 16_384
MAX_ROUTES: Final = 3
MAX_ATTEMPTS_PER_ROUTE: Final = 2


class Capabilities(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model can take and do.

    `sampling` is for temperature and top_p. `logprobs` is for every call: what a model does only
    with its reasoning off is not claimed.
    """

    vision: bool = False
    tools: bool = False
    forced_tool_choice: bool = False
    json_schema: bool = False
    reasoning: bool = False
    sampling: SamplingParameters = "yes"
    prefill: bool = False
    logprobs: bool = False


class Call(Struct, frozen=True):
    """One call as the daemon accepted it.

    `received_at` and `deadline` are seconds of the monotonic clock, `received_at_ns` is the wall
    clock in nanoseconds since the epoch. `decision_id` is 32 hex digits, sorted by time. `search`
    is what is asked for by a call that is no chat, and has no messages.
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
    search: SearchRequested | None = None


class Caller(Struct, frozen=True):
    """Whose call it is and what it is for, as far as a decision looks at that.

    `decision_id` is what lots are drawn by, so that a decision made again draws the same.
    """

    tenant: str | None = None
    team: str | None = None
    agent: str | None = None
    user: str | None = None
    feature: str | None = None
    task: str | None = None
    decision_id: str = ""


class Features(Struct, frozen=True):
    """Cheap facts of a call that a decision may look at. Never its text.

    `input_tokens` is an estimate, `input_tokens_bound` what the prompt cannot be above whoever
    counts its tokens, None where nothing but a model's window bounds it. `max_output_tokens` is
    what the caller asked for, if anything, `seconds` how long the call may take. `text_rules` are
    the rules on words that found one of theirs. `reasoning` is whether medium or
    more of it was asked for, `code` whether the question holds some. `critical` calls stay where
    they are when money runs short. `max_nanodollars` is what the call may cost at most. `policy` is
    the one that holds for a copy: that of the call it copies. `document_files` are the documents
    that are no plain text sent along, `document_urls` those of them that only an address is given
    of. `other_script` is whether most of the text is in another script than Latin. `texts` is how
    many texts an embedding or a ranking is of, each of which has to fit into the window;
    `longest_text` is about how many tokens the longest has, None for chat, which has one prompt.
    `queries` is how many of what a ranking is sold by it takes.
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
    input_tokens_bound: int | None = None
    seconds: float = 600.0
    text_rules: dict[str, bool] = {}
    kind: Kind = "chat"
    reasoning: bool = False
    code: bool = False
    critical: bool = False
    latency: Latency | None = None
    region: str | None = None
    session: str | None = None
    max_nanodollars: int | None = None
    flags: tuple[str, ...] = ()
    policy: str | None = None
    document_files: int = 0
    document_urls: int = 0
    logprobs: bool = False
    other_script: bool = False
    texts: int = 1
    longest_text: int | None = None
    queries: int = 0


class BudgetRoom(Struct, frozen=True):
    """What one cap of a budget leaves at the moment of a decision, in whole `unit`s.

    `budget` is its name in the configuration, `scope` says in words whose it is ("tenant acme").
    `soft` is the mark from which on it is nearly used up; `resets_at` is in seconds since the
    epoch. With a `provider` or a `model` it concerns only the candidates of that.
    """

    budget: str
    scope: str
    unit: Unit
    limit: int
    spent: int
    held: int
    soft: int
    resets_at: float
    provider: str | None = None
    model: str | None = None


class FreeQuota(Struct, frozen=True):
    """What is left of a free tier: requests and tokens, None where that is not limited.

    `exhausted_means` says whether the deployment is still to be had, for money, once it is used up.
    """

    deployment: str
    key: str
    calls_left: int | None
    tokens_left: int | None
    resets_at: float
    exhausted_means: Literal["paid", "refused"] = "paid"


class Snapshot(Struct, frozen=True):
    """The state of the system at the moment of a decision, as plain data.

    `now` is seconds since the epoch. `rooms` are the caps that hold for the call, `free` the free
    tiers of its candidates. `surcharges` are, by deployment, the thousandths by which its bound is
    raised, because it was billed above its bound before. By deployment too: `latency_ms` to the
    first content as last seen, the requests `in_flight`, and `headroom`, the thousandths of its
    rate limits that are left. `unhealthy` says of providers and deployments why nothing is sent
    there, `unhealthy_seconds` for how long at least; what is not in it is not tried at all. Of
    these, `last_resorts` only rest by our own reckoning, their provider named no time: what else
    would fail may be tried there. `gone` says of deployments that their provider has them no more.
    `session_on` is the deployment that served the call's session last. `token_rates` are, by model,
    the thousandths of the estimated tokens that its provider counts of such text.
    """

    now: float
    rooms: tuple[BudgetRoom, ...] = ()
    free: tuple[FreeQuota, ...] = ()
    surcharges: dict[str, int] = {}
    latency_ms: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    headroom: dict[str, int] = {}
    unhealthy: dict[str, str] = {}
    gone: dict[str, str] = {}
    session_on: str | None = None
    unhealthy_seconds: dict[str, float] = {}
    last_resorts: tuple[str, ...] = ()
    token_rates: dict[str, int] = {}


class Route(Struct, frozen=True):
    """One entry of a plan. Never the same deployment twice in a plan.

    `degraded` says why it is not what was asked for, None if it is. `bound_nanodollars` is what
    one request can cost at most at its price, None where that is not known; `bound_tokens` is the
    same in tokens, None where nothing bounds them. `max_output_tokens` is the limit to send, None
    for the caller's own; `lowered_by` names the budget that made it smaller than it would be.
    `free` says that a free tier had room for it. `surcharge` is in the bounds, in thousandths.
    `code` says what put it in its place, `detail` with which numbers.
    """

    deployment: str
    model: str
    provider: str
    degraded: str | None = None
    bound_nanodollars: int | None = None
    bound_tokens: int | None = None
    max_output_tokens: int | None = None
    lowered_by: str | None = None
    free: bool = False
    surcharge: int = 1000
    code: str = "order"
    detail: str = ""


class Dropped(Struct, frozen=True):
    """A candidate that may not serve, with the coded reason and the numbers compared.

    `budget` and `unit` name the cap that has no room for it, where that is the reason.
    """

    deployment: str
    code: str
    detail: str = ""
    budget: str | None = None
    unit: Unit | None = None


class Plan(Struct, frozen=True):
    """The decision before anything is sent.

    `rule` says in words what chose the candidates, `serves` is the name they stand behind.
    `nearly_spent` names the budgets beyond their soft mark. `arm` is the experiment's, as
    `experiment/arm`; `shadows` are those that copy the call.
    """

    target: str
    rule: str
    model_class: str | None
    routes: tuple[Route, ...]
    dropped: tuple[Dropped, ...] = ()
    nearly_spent: tuple[str, ...] = ()
    serves: str = ""
    policy: str = "default"
    complexity: Complexity | None = None
    arm: str | None = None
    shadows: tuple[str, ...] = ()


class Attempt(Struct, kw_only=True):
    """One request on the wire, filled in while it runs.

    `sent` is False as long as the provider certainly saw nothing of it. `key` names the key that
    was used, None for a provider's only one; `free` says that a free tier paid for it.
    `held_nanodollars` was set aside for it, None where no price bounds it. `fingerprint` is
    what the provider calls the build that answered. `queries` counts what is sold by the piece.
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


class Intent(Struct, frozen=True, kw_only=True):
    """What is about to be sent, written down first, so that a crash cannot hide what it cost.

    `number` counts the attempts of the call from 1, `at_ms` is the wall clock in milliseconds since
    the epoch. `held_nanodollars` is charged if nobody lives to say better, None where no price
    bounds it; the tokens are bounds too.
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


class Record(Struct, kw_only=True):
    """What happened to one call: one row of the ledger, and all that `explain` needs.

    `upstream_us` is the time of all attempts together, `waited_us` that between attempts, spent
    waiting before a second one on the same route, `queued_us` that in the queue for a place; the
    rest of `total_us` is routerd's own. A call that was sent again has one record with the attempts
    of all its copies; `sends` is that of the last. `skipped` are routes that a budget or a full
    provider did not let be tried. `directory_hash` and `policy_hash` name what was decided by, as
    the ledger keeps it. `cached` says that the answer is that of an earlier identical call. `arm`,
    `gate` and `feedback` are for the experiment, the judgement of the answer and what the app said
    of it.
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
