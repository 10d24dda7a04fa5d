"""Messages answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. The blocks of a plain answer
run through the same code as those of a stream. Only `message_stop` ends a stream: without it the
answer was cut. Blocks of the vendor's own tools are not the caller's: they are given out as data
that goes back, as is that an answer paused.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field

from routerd.domain import FinishReason, Part, Usage
from routerd.providers.anthropic.failure import stream_failure
from routerd.providers.anthropic.own_blocks import GO_BACK
from routerd.providers.anthropic.usage import UsageReader
from routerd.providers.anthropic.wire import EVENTS, ContentDelta, MessagesEvent
from routerd.providers.body import BodyDecoder
from routerd.providers.counts import ABSURD_NOTE
from routerd.providers.json_text import encode_json, object_in, text_of
from routerd.providers.paused import PAUSE
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd.telemetry.plain import shown_name
from routerd_proto.frames import (
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)

__all__ = ["MessagesDecoder"]

VENDOR: Final = "anthropic"
FINISHES: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
# The pieces of content, and the field that each comes in.
PIECES: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "signature_delta": "signature",
    "citations_delta": "citation",
}
# What some servers call them: as the block that they belong to. The field tells a block likewise.
SHORT_KINDS: Final = {"text": "text_delta", "thinking": "thinking_delta"}
NAMELESS_NOTE: Final = "the arguments of a tool call were left out: its name never came"


class Block(Struct):
    """One content block that has begun. `tool` counts the answer's tool calls.

    `own` is one of the vendor's own tools, and `pieces` what it is called with.
    """

    kind: str
    tool: int = -1
    input: Any = None
    has_arguments: bool = False
    is_known: bool = True
    signature: str = ""
    redacted: str | None = None
    own: dict[str, Any] | None = None
    pieces: list[str] = field(default_factory=list)


class MessagesDecoder(BodyDecoder[MessagesEvent]):
    """Decode one answer."""

    def __init__(self, *, stream: bool, max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        super().__init__(EVENTS, VENDOR, stream=stream, max_body_bytes=max_body_bytes)
        self._blocks: dict[int, Block] = {}
        self._tools = 0
        self._paused = False
        self._usage = UsageReader()

    def _take(self, name: bytes, event: MessagesEvent, parts: list[Part]) -> bool:
        if event.type != "content_block_delta":
            told = event.type if isinstance(event.type, str) else ""
            kind = told or name.decode("utf-8", "replace") or _kind_of(event)
            if kind != "content_block_delta":
                return self._take_other(kind, event, parts)
        delta = event.delta
        if delta is not None:
            if delta.type == "text_delta" and type(delta.text) is str:
                if delta.text:
                    parts.append(TextDelta(delta.text))
            else:
                self._take_delta(event.index, delta, parts)
        return True

    def _take_answer(self, answer: dict[str, Any], parts: list[Part]) -> None:
        blocks = answer.get("content")
        if answer.get("error"):
            self._note_error(answer["error"])
        elif not isinstance(blocks, list | str):
            self._fail_without("content", answer)
        self._identify(answer)
        self.outcome.usage = self._take_usage(answer.get("usage"))
        self._take_blocks(blocks, parts)
        self._take_stop(answer.get("stop_reason"), answer.get("stop_details"), parts)
        self._done = True

    def _take_blocks(self, blocks: Any, parts: list[Part]) -> None:
        """Read blocks that are whole where they stand."""
        if isinstance(blocks, str):
            blocks = [blocks]
        for index, block in enumerate(blocks if isinstance(blocks, list) else ()):
            self._start_block(index, block, parts)
            self._stop_block(index, parts)

    def _end_content(self, parts: list[Part]) -> bool:
        for index in list(self._blocks):
            self._stop_block(index, parts)
        if self.outcome.finish == PAUSE and not self._paused:
            self._paused = True
            self._end_reasoning({"on": PAUSE}, parts)
        return self._tools > 0

    def _take_other(self, kind: Any, event: MessagesEvent, parts: list[Part]) -> bool:
        if kind == "content_block_start":
            self._start_block(event.index, event.content_block, parts)
        elif kind == "content_block_stop":
            self._stop_block(event.index, parts)
        elif kind == "message_start":
            message = event.message if isinstance(event.message, dict) else {}
            self._identify(message)
            self.outcome.early_usage = self._take_usage(message.get("usage"))
            self._take_blocks(message.get("content"), parts)
        elif kind == "message_delta":
            self._take_changes(event.input_transformations)
            if event.usage is not None:
                self.outcome.usage = self._take_usage(event.usage)
            if event.delta is not None:
                self._take_stop(event.delta.stop_reason, event.delta.stop_details, parts)
        elif kind == "message_stop":
            self._done = True
            self._close(parts)
        elif kind == "error" or event.error:
            self._note_error(event.error or {"message": text_of(event.message) or ""})
        else:
            if event.delta is not None or event.content_block is not None:
                self._note_kind(kind)
            return bool(kind)
        return True

    def _take_usage(self, value: Any) -> Usage | None:
        """Return what was used so far, by all that was counted."""
        usage = self._usage
        usage.take(value)
        self.outcome.tells_lifetimes = usage.tells_lifetimes
        self.outcome.terms = usage.terms
        if usage.other_models:
            self._note("an advisor model was used; its tokens are not in the usage")
        if usage.absurd:
            self._note(ABSURD_NOTE)
        return usage.usage()

    def _take_delta(self, index: Any, delta: ContentDelta, parts: list[Part]) -> None:
        """Read any piece; by what it holds where it does not say what it is."""
        told = text_of(delta.type)
        for kind in list(PIECES) if told is None else [SHORT_KINDS.get(told, told)]:
            field = PIECES.get(kind)
            if field is None:
                self._note_kind(kind)
            elif piece := getattr(delta, field):
                self._take_piece(index, kind, piece, parts)

    def _take_piece(self, index: Any, kind: str, piece: Any, parts: list[Part]) -> None:
        if kind == "citations_delta":
            self._cite(piece, parts)
        elif not isinstance(piece, str):
            self.outcome.malformed_events += 1
        elif kind == "text_delta":
            parts.append(TextDelta(piece))
        elif kind == "input_json_delta":
            self._take_arguments(index, piece, parts)
        else:
            self._take_thought(index, kind, piece, parts)

    def _take_thought(self, index: Any, kind: str, piece: str, parts: list[Part]) -> None:
        block = self._blocks.get(_place(index))
        if block is None:  # its beginning was lost, and it is to end as any other
            block = self._blocks[_place(index)] = Block("thinking")
        elif block.kind == "text":  # it was begun as what it is not
            block.kind = "thinking"
        if kind == "thinking_delta":
            parts.append(ReasoningDelta(piece))
        else:
            block.signature += piece

    def _take_arguments(self, index: Any, text: str, parts: list[Part]) -> None:
        block = self._blocks.get(_place(index))
        if block is None:
            self.outcome.malformed_events += 1
            self._note(NAMELESS_NOTE)
        elif block.tool >= 0:
            block.has_arguments = True
            parts.append(ToolCallDelta(block.tool, text))
        elif block.own is not None:
            block.pieces.append(text)
        elif block.is_known:
            self.outcome.malformed_events += 1

    def _start_block(self, index: Any, fields: Any, parts: list[Part]) -> None:
        if isinstance(fields, str):
            fields = {"text": fields}
        if not isinstance(fields, dict):
            self.outcome.malformed_events += 1
            return
        self._stop_block(index, parts)  # of another one there, whose end was lost
        kind = fields.get("type") or next((kind for kind in SHORT_KINDS if kind in fields), None)
        block = self._blocks[_place(index)] = Block(str(kind))
        if kind == "text":
            self._start_text(fields, parts)
        elif kind == "thinking":
            if isinstance(text := fields.get("thinking"), str) and text:
                parts.append(ReasoningDelta(text))
            if isinstance(signature := fields.get("signature"), str):
                block.signature = signature
        elif kind == "redacted_thinking":
            block.redacted = text_of(fields.get("data"))
        elif kind == "tool_use":
            block.tool, block.input = self._tools, fields.get("input")
            self._tools += 1
            made = f"toolu_{self._made_id(block.tool)}"
            call_id = self._own_id(text_of(fields.get("id")), made)
            name = text_of(fields.get("name")) or ""
            parts.append(ToolCallStarted(block.tool, call_id, name))
        elif block.kind in GO_BACK:
            block.own = fields
        else:
            block.is_known = False
            self._note_kind(block.kind)

    def _start_text(self, fields: dict[str, Any], parts: list[Part]) -> None:
        citations = fields.get("citations")
        for citation in citations if isinstance(citations, list) else ():
            self._cite(citation, parts)
        if isinstance(text := fields.get("text"), str) and text:
            parts.append(TextDelta(text))

    def _stop_block(self, index: Any, parts: list[Part]) -> None:
        block = self._blocks.pop(_place(index), None)
        if block is None:
            return
        if block.kind == "thinking":
            self._end_reasoning({"signature": block.signature} if block.signature else {}, parts)
        elif block.redacted is not None:
            self._end_reasoning({"redacted": block.redacted}, parts)
        elif block.tool >= 0 and not block.has_arguments:
            # A plain answer holds the arguments whole, and a call without any sends no piece.
            whole = block.input if isinstance(block.input, dict) else {}
            parts.append(ToolCallDelta(block.tool, encode_json(whole).decode("utf-8")))
        elif block.own is not None:
            self._end_own(block.kind, block.own, "".join(block.pieces), parts)

    def _end_own(self, kind: str, own: dict[str, Any], arguments: str, parts: list[Part]) -> None:
        """Give out a block of the vendor's own, called with what came behind its beginning."""
        if arguments:
            if (given := object_in(arguments)) is None:
                self.outcome.malformed_events += 1
                self._note_kind(kind)
                return
            own = {**own, "input": given}
        self._keep_block(kind, own, parts)

    def _take_stop(self, reason: Any, details: Any, parts: list[Part]) -> None:
        if not isinstance(reason, str) or not reason or self.outcome.failure is not None:
            return
        finish = FINISHES.get(reason)
        if finish is None:
            self._note(f"unknown stop reason: {shown_name(reason)}")
        self.outcome.finish = finish
        if reason == "refusal" and isinstance(details, dict):
            if (category := text_of(details.get("category"))) is not None:
                self._note(f"the provider refused: category {shown_name(category)}")
            if (explanation := text_of(details.get("explanation"))) is not None:
                parts.append(RefusalDelta(explanation))

    def _identify(self, message: dict[str, Any]) -> None:
        self.outcome.model = text_of(message.get("model")) or self.outcome.model
        self.outcome.response_id = text_of(message.get("id")) or self.outcome.response_id
        self._take_changes(message.get("input_transformations"))

    def _take_changes(self, changes: Any) -> None:
        """Note what the vendor left out of the history; what else it tells of it was shown."""
        for change in changes if isinstance(changes, list) else ():
            if isinstance(change, dict) and change.get("type") == "thinking_dropped":
                self._note("the provider left out reasoning of an earlier answer")

    def _note_error(self, value: Any) -> None:
        self._note_failure(stream_failure(value))


def _kind_of(event: MessagesEvent) -> str:
    """Return what an event is that does not say it, if it adds anything."""
    delta = event.delta
    if delta is None:
        return "content_block_start" if event.content_block is not None else ""
    return "message_delta" if delta.stop_reason else "content_block_delta"


def _place(index: Any) -> int:
    """Return where a block stands; what has no place has one of its own."""
    return index if isinstance(index, int) else -1
