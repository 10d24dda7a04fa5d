"""What is asked, by whom, and what a decision may know of it."""

from __future__ import annotations

from msgspec import Struct

from routerd.domain.words import Kind, SamplingParameters, Script
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions, Latency, Sensitivity, TraceContext
from routerd_proto.frames import Part as ChatPart
from routerd_proto.search import RankingAdded, SearchRequested, VectorsAdded

__all__ = ["Call", "Caller", "Capabilities", "Features", "Part"]

# A piece of an answer, whatever kind of call it is of.
Part = ChatPart | VectorsAdded | RankingAdded


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
    of. `script` is the kind of script that most of the text is in. `texts` is how
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
    script: Script = "latin"
    texts: int = 1
    longest_text: int | None = None
    queries: int = 0
