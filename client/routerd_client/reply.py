"""The whole answer to a call, put together from its parts.

Rules of this file: pure. The order of the parts is kept, so that `message` can go back to the model
as it came, reasoning included.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec
from msgspec import Struct

from routerd_client.errors import error_from
from routerd_proto import error_info
from routerd_proto.content import Content, Message, Reasoning, Text, ToolCall
from routerd_proto.frames import (
    CallEnded,
    CitationAdded,
    CostBasis,
    FinishReason,
    LogprobsAdded,
    Part,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

__all__ = ["Reply", "assemble"]

NANODOLLARS_PER_CENT = 10_000_000
T = TypeVar("T")


class Reply(Struct, frozen=True, kw_only=True):
    """An answer, or what arrived of one.

    `model`, `deployment` and `provider` name what really answered. `finish` says why it stopped;
    only `stop` and `tool_calls` are whole answers. `cost_nanodollars` covers all attempts, None
    where `cost_basis` is `unknown`. Times are in seconds since the daemon read the call.
    `degraded` says why the answer came from a declared lesser path, None if it did not. `notes`
    says what was left out or changed on the way. `cached` says that the answer is that of an
    earlier identical call. `content` holds the parts in their order. `logprobs` are those of
    the answer's tokens, if the option asked for them.
    """

    text: str
    finish: FinishReason
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
    refusal: str = ""
    citations: list[dict[str, Any]] = []
    content: list[Content] = []
    logprobs: list[TokenLogprob] = []

    @property
    def cost_cents(self) -> float | None:
        """What the call cost in US cents, None where nobody knows."""
        nanodollars = self.cost_nanodollars
        return None if nanodollars is None else nanodollars / NANODOLLARS_PER_CENT

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls that the model made, in their order."""
        return [part for part in self.content if isinstance(part, ToolCall)]

    @property
    def reasoning(self) -> str:
        """The visible reasoning, all blocks in one text."""
        return "".join(part.text for part in self.content if isinstance(part, Reasoning))

    @property
    def message(self) -> Message:
        """This answer as a message for the next turn, with all that must go back to the model."""
        return Message("assistant", self.content)

    @overload
    def parsed(self) -> Any: ...
    @overload
    def parsed(self, kind: type[T]) -> T: ...
    def parsed(self, kind: Any = Any) -> Any:
        """Return `text` read as JSON, as `kind` if given (a Struct, a dataclass, `list[int]`, ...).

        For answers to an `output_schema`. Raises ProviderError (`bad_answer`) if it is not that.
        """
        try:
            return msgspec.json.decode(self.text, type=kind)
        except msgspec.DecodeError:
            # What msgspec says may quote the answer.
            info = error_info(
                "bad_answer", f"the answer is not the JSON asked for (finish: {self.finish})"
            )
            raise error_from(info, self, self.decision_id) from None


class _Block:
    """A content part that is still growing."""

    def __init__(self, kind: type[Text | Reasoning | ToolCall], **fields: Any) -> None:
        self.kind = kind
        self.fields = fields
        self.pieces: list[str] = []

    def build(self) -> Content:
        joined = "".join(self.pieces)
        if self.kind is ToolCall:
            return ToolCall(arguments=joined or "{}", **self.fields)
        if self.kind is Reasoning:
            return Reasoning(joined, **self.fields)
        return Text(joined)


class _Blocks:
    """The content parts of one answer, in the order in which they began."""

    def __init__(self) -> None:
        self.all: list[_Block] = []
        self._tool_calls: dict[int, _Block] = {}

    def begin(self, kind: type[Text | Reasoning | ToolCall], **fields: Any) -> _Block:
        block = _Block(kind, **fields)
        self.all.append(block)
        return block

    def growing(self, kind: type[Text | Reasoning]) -> list[str]:
        """Return the pieces of the last block if it is of this kind, else of a new one."""
        last = self.all[-1] if self.all else None
        if last is None or last.kind is not kind or last.fields:
            last = self.begin(kind)
        return last.pieces

    def add(self, part: Part) -> None:
        match part:
            case TextDelta():
                self.growing(Text).append(part.text)
            case RefusalDelta():
                self.growing(Text).append(part.refusal)
            case ReasoningDelta():
                self.growing(Reasoning).append(part.reasoning)
            case ReasoningEnded():
                self.growing(Reasoning)
                self.all[-1].fields = {"vendor": part.vendor, "data": part.data}
            case ToolCallStarted():
                block = self.begin(ToolCall, id=part.id, name=part.name)
                self._tool_calls[part.index] = block
            case ToolCallDelta() if part.index in self._tool_calls:
                self._tool_calls[part.index].pieces.append(part.arguments)
            case _:
                pass


def assemble(parts: list[Part], ended: CallEnded, trace_id: str = "") -> Reply:
    """Put the parts of an answer together with what its last frame says."""
    texts = [part.text for part in parts if type(part) is TextDelta]
    text = "".join(texts)
    refusal = ""
    citations: list[dict[str, Any]] = []
    logprobs: list[TokenLogprob] = []
    content: list[Content]
    if len(texts) == len(parts):  # most answers: text and nothing else
        content = [Text(text)] if texts else []
    else:
        blocks = _Blocks()
        for part in parts:
            blocks.add(part)
        content = [block.build() for block in blocks.all]
        refusal = "".join([part.refusal for part in parts if type(part) is RefusalDelta])
        citations = [part.citation for part in parts if type(part) is CitationAdded]
        logprobs = [item for part in parts if type(part) is LogprobsAdded for item in part.tokens]
    first_content = ended.first_content_us
    return Reply(
        text=text,
        finish=ended.finish,
        decision_id=ended.decision_id,
        trace_id=trace_id,
        model=ended.model,
        deployment=ended.deployment,
        provider=ended.provider,
        usage=ended.usage,
        cost_nanodollars=ended.cost_nanodollars,
        cost_basis=ended.cost_basis,
        degraded=ended.degraded,
        simulated=ended.simulated,
        cached=ended.cached,
        attempts=ended.attempts,
        notes=ended.notes,
        first_content_seconds=None if first_content is None else first_content / 1e6,
        total_seconds=ended.total_us / 1e6,
        refusal=refusal,
        citations=citations,
        content=content,
        logprobs=logprobs,
    )
