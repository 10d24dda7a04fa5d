"""The frames: every kind of message that crosses the socket, as frozen tagged structs.

Rules of this file: a frame is a msgpack array whose first element is its tag, then its fields in
the order written here. New fields are only ever added at the end and have a default; a reader
ignores extra elements. A tag is never used again for something else. docs/protocol.md says the same
in prose, and a test holds the two together.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from routerd_proto.content import Message
from routerd_proto.errors import ErrorInfo
from routerd_proto.options import CallOptions, Latency, Sensitivity, TraceContext
from routerd_proto.search import EmbedRequested, RankingAdded, RerankRequested, VectorsAdded

__all__ = [
    "CALL_FRAMES",
    "CLIENT_FRAMES",
    "CONTENT_FRAMES",
    "DAEMON_FRAMES",
    "PROTOCOL_VERSION",
    "RESULT_FRAMES",
    "CallEnded",
    "CallOptions",
    "CallRequested",
    "CallRestarted",
    "CallStarted",
    "CitationAdded",
    "ClientFrame",
    "ClientHello",
    "CommandAnswered",
    "CommandRequested",
    "ConnectionEnded",
    "CostBasis",
    "DaemonFrame",
    "DaemonHello",
    "FinishReason",
    "Latency",
    "LikelyToken",
    "LogprobsAdded",
    "Part",
    "ReasoningDelta",
    "ReasoningEnded",
    "RefusalDelta",
    "Sensitivity",
    "TextDelta",
    "TokenLogprob",
    "ToolCallDelta",
    "ToolCallStarted",
    "TraceContext",
    "Usage",
]

PROTOCOL_VERSION: Final = 1

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error"]
CostBasis = Literal["measured", "estimated", "unknown"]


# --- from the client -------------------------------------------------------------------------


class ClientHello(Struct, array_like=True, frozen=True, tag=1):
    """The first frame of a connection. It travels together with the first request."""

    protocol_version: int
    client: str = ""


class CallRequested(Struct, array_like=True, frozen=True, tag=2):
    """One call.

    `call_id` is made by the client and is the same when a lost call is sent again; `sends` counts
    those earlier attempts. `target` is a shortcut, a model class or a model id. `messages` as a
    plain string is one user message. `stream` asks for parts as they come; without it the daemon
    may hold them until the answer is whole.
    """

    call_id: str
    target: str
    messages: str | list[Message]
    options: CallOptions = CallOptions()
    stream: bool = True
    trace: TraceContext | None = None
    sends: int = 0


class CommandRequested(Struct, array_like=True, frozen=True, tag=3):
    """A question or an order to the daemon itself, such as `status` or `explain`."""

    name: str
    arguments: dict[str, Any] = {}


# --- from the daemon -------------------------------------------------------------------------


class DaemonHello(Struct, array_like=True, frozen=True, tag=32):
    """The daemon's first frame on every connection. `max_frame_bytes` bounds what it reads."""

    protocol_version: int
    daemon: str = ""
    max_frame_bytes: int = 0


class ConnectionEnded(Struct, array_like=True, frozen=True, tag=33):
    """The daemon's last frame on a connection that it closes, with the reason."""

    error: ErrorInfo


class CallStarted(Struct, array_like=True, frozen=True, tag=40):
    """The call was accepted. `decision_id` names it for ever; `trace_id` is 32 hex digits."""

    decision_id: str
    trace_id: str = ""


class TextDelta(Struct, array_like=True, frozen=True, tag=41, gc=False):
    """A piece of the answer."""

    text: str


class ReasoningDelta(Struct, array_like=True, frozen=True, tag=42, gc=False):
    """A piece of the model's visible reasoning."""

    reasoning: str


class ReasoningEnded(Struct, array_like=True, frozen=True, tag=43):
    """A block of reasoning is complete; `data` must go back with it on the next turn.

    There may be none: then `data` is what the vendor's own tools did, or that the answer paused.
    """

    vendor: str = ""
    data: dict[str, Any] = {}


class RefusalDelta(Struct, array_like=True, frozen=True, tag=44, gc=False):
    """A piece of a refusal that the model wrote instead of an answer."""

    refusal: str


class ToolCallStarted(Struct, array_like=True, frozen=True, tag=45, gc=False):
    """The model began a tool call. `index` counts the answer's tool calls from 0."""

    index: int
    id: str
    name: str


class ToolCallDelta(Struct, array_like=True, frozen=True, tag=46, gc=False):
    """A piece of the JSON text of a tool call's arguments."""

    index: int
    arguments: str


class CitationAdded(Struct, array_like=True, frozen=True, tag=47):
    """A source the answer names, as the vendor gave it."""

    vendor: str
    citation: dict[str, Any]


class LikelyToken(Struct, array_like=True, frozen=True, gc=False):
    """A token that might have come, with its natural log probability.

    `data` is the token's own bytes where the vendor says them: a token may be half a character.
    """

    token: str
    logprob: float
    data: bytes | None = None


class TokenLogprob(Struct, array_like=True, frozen=True):
    """A token of the answer, with the likeliest at its place; that may include itself."""

    token: str
    logprob: float
    data: bytes | None = None
    alternatives: list[LikelyToken] = []


class LogprobsAdded(Struct, array_like=True, frozen=True, tag=50):
    """How likely the next tokens of the answer were; sent only where `logprobs` asks for it.

    The tokens go on where those of the frame before ended. They follow the text they stand for, and
    may come later than it.
    """

    tokens: list[TokenLogprob]


class CallRestarted(Struct, array_like=True, frozen=True, tag=48):
    """All content so far is void: a whole new answer follows. `reason` is the first error."""

    reason: ErrorInfo


class Usage(Struct, array_like=True, frozen=True):
    """Tokens as the provider counted them.

    The four input buckets are disjoint; their sum is the whole prompt. `output_tokens` holds all
    that is billed as output, reasoning included; `reasoning_tokens` is the known part of it, None
    where the vendor does not say.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int | None = None


class CallEnded(Struct, array_like=True, frozen=True, tag=49):
    """The last frame of every call; without it the answer is not complete.

    `model`, `deployment` and `provider` name what really answered, empty where nothing did.
    `cost_nanodollars` covers all attempts; None where `cost_basis` is unknown. Times are in
    microseconds from the moment the daemon read the request. `degraded` says why, if it was.
    `notes` says what was left out or changed on the way. `error` is None on success. `cached` says
    that the answer is that of an earlier identical call.
    """

    finish: FinishReason
    decision_id: str
    model: str = ""
    deployment: str = ""
    provider: str = ""
    usage: Usage | None = None
    cost_nanodollars: int | None = None
    cost_basis: CostBasis = "unknown"
    first_content_us: int | None = None
    total_us: int = 0
    attempts: int = 0
    degraded: str | None = None
    simulated: bool = False
    notes: list[str] = []
    error: ErrorInfo | None = None
    cached: bool = False


class CommandAnswered(Struct, array_like=True, frozen=True, tag=60):
    """The answer to a command: `body` is plain data, None if `error` says why there is none."""

    body: Any = None
    error: ErrorInfo | None = None


Part = (
    TextDelta
    | ReasoningDelta
    | ReasoningEnded
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | CitationAdded
    | LogprobsAdded
)
CONTENT_FRAMES: Final = (
    TextDelta,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    ToolCallStarted,
    ToolCallDelta,
    CitationAdded,
    LogprobsAdded,
)
# What asks for an answer of a model.
CALL_FRAMES: Final = (CallRequested, EmbedRequested, RerankRequested)
# The answers of calls that are no chat.
RESULT_FRAMES: Final = (VectorsAdded, RankingAdded)
ClientFrame = ClientHello | CallRequested | CommandRequested | EmbedRequested | RerankRequested
DaemonFrame = (
    DaemonHello
    | ConnectionEnded
    | CallStarted
    | TextDelta
    | ReasoningDelta
    | ReasoningEnded
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | CitationAdded
    | LogprobsAdded
    | VectorsAdded
    | RankingAdded
    | CallRestarted
    | CallEnded
    | CommandAnswered
)
CLIENT_FRAMES: Final = (
    ClientHello,
    CallRequested,
    CommandRequested,
    EmbedRequested,
    RerankRequested,
)
DAEMON_FRAMES: Final = (
    DaemonHello,
    ConnectionEnded,
    CallStarted,
    *CONTENT_FRAMES,
    *RESULT_FRAMES,
    CallRestarted,
    CallEnded,
    CommandAnswered,
)
