"""The whole answer to a call, put together from its parts.

Rules of this file: pure. The order of the parts is kept, so that `message` can go back to the model
as it came, reasoning included.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

import msgspec
from msgspec import field

from routerd_client.errors import error_from
from routerd_client.served import Served, served
from routerd_proto import error_info
from routerd_proto.content import Content, Message, Reasoning, Text, ToolCall
from routerd_proto.frames import (
    CallEnded,
    CitationAdded,
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
)

__all__ = ["Reply", "assemble"]

T = TypeVar("T")


class Reply(Served, frozen=True, kw_only=True):
    """An answer, or what arrived of one; who gave it and what it cost is told as in `Served`.

    `finish` says why it stopped; only `stop` and `tool_calls` are whole answers. `cached` says that
    the answer is that of an earlier identical call. `content` holds the parts in their order.
    `logprobs` are those of the answer's tokens, if the option asked for them.
    """

    text: str
    finish: FinishReason
    refusal: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list)
    content: list[Content] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

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
    refusal = ""
    citations: list[dict[str, Any]] = []
    logprobs: list[TokenLogprob] = []
    content: list[Content]
    match parts:
        case [TextDelta() as only]:  # most answers that were not streamed
            texts = [only.text]
        case _:
            texts = [part.text for part in parts if type(part) is TextDelta]
    text = "".join(texts)
    if len(texts) == len(parts):  # text and nothing else
        content = [Text(text)] if texts else []
    else:
        blocks = _Blocks()
        for part in parts:
            blocks.add(part)
        content = [block.build() for block in blocks.all]
        refusal = "".join([part.refusal for part in parts if type(part) is RefusalDelta])
        citations = [part.citation for part in parts if type(part) is CitationAdded]
        logprobs = [item for part in parts if type(part) is LogprobsAdded for item in part.tokens]
    return Reply(
        text=text,
        finish=ended.finish,
        refusal=refusal,
        citations=citations,
        content=content,
        logprobs=logprobs,
        **served(ended, trace_id),
    )
