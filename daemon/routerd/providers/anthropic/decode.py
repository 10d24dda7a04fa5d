"""Messages answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. The blocks of a plain answer
run through the same code as those of a stream. Only `message_stop` ends a stream: without it the
answer was cut. Blocks of the vendor's own tools are not the caller's, and are skipped.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from routerd.domain import FinishReason, Part, Usage
from routerd.providers.anthropic.failure import stream_failure
from routerd.providers.anthropic.usage import UsageReader
from routerd.providers.anthropic.wire import EVENTS, ContentDelta, MessagesEvent
from routerd.providers.body import BodyDecoder
from routerd.providers.counts import ABSURD_NOTE
from routerd.providers.json_text import encode_json, text_of
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
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


class Block(Struct):
    """One content block that has begun. `tool` counts the answer's tool calls."""

    kind: str
    tool: int = -1
    input: Any = None
    has_arguments: bool = False
    signature: str = ""
    redacted: str | None = None


class MessagesDecoder(BodyDecoder[MessagesEvent]):
    """Decode one answer."""

    def __init__(self, *, stream: bool, max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        super().__init__(EVENTS, VENDOR, stream=stream, max_body_bytes=max_body_bytes)
        self._blocks: dict[int, Block] = {}
        self._tools = 0
        self._usage = UsageReader()

    def _take(self, name: bytes, event: MessagesEvent, parts: list[Part]) -> bool:
        if event.type != "content_block_delta":
            return self._take_other(event.type or name.decode("utf-8", "replace"), event, parts)
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
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if answer.get("error"):
            self._note_error(answer["error"])
        elif not isinstance(blocks, list):
            self._fail_without("content", answer)
        self._identify(answer)
        self.outcome.usage = self._take_usage(answer.get("usage"))
        for index, block in enumerate(blocks if isinstance(blocks, list) else ()):
            self._start_block(index, block, parts)
            self._stop_block(index, parts)
        self._take_stop(answer.get("stop_reason"), answer.get("stop_details"), parts)
        self._done = True

    def _end_content(self, parts: list[Part]) -> bool:
        for index in list(self._blocks):
            self._stop_block(index, parts)
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
        elif kind == "message_delta":
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
            return bool(kind)
        return True

    def _take_usage(self, value: Any) -> Usage | None:
        """Return what was used so far, by all that was counted."""
        usage = self._usage
        usage.take(value)
        if usage.other_models:
            self._note("an advisor model was used; its tokens are not in the usage")
        if usage.absurd:
            self._note(ABSURD_NOTE)
        return usage.usage()

    def _take_delta(self, index: Any, delta: ContentDelta, parts: list[Part]) -> None:
        kind = delta.type
        if kind == "thinking_delta":
            if isinstance(delta.thinking, str) and delta.thinking:
                parts.append(ReasoningDelta(delta.thinking))
        elif kind == "input_json_delta":
            self._take_arguments(index, delta.partial_json, parts)
        elif kind == "signature_delta":
            block = self._block(index)
            if block is not None and isinstance(delta.signature, str):
                block.signature += delta.signature
        elif kind == "citations_delta":
            self._cite(delta.citation, parts)

    def _take_arguments(self, index: Any, text: Any, parts: list[Part]) -> None:
        block = self._block(index)
        if block is None:
            self.outcome.malformed_events += 1
        elif block.tool >= 0 and isinstance(text, str) and text:
            block.has_arguments = True
            parts.append(ToolCallDelta(block.tool, text))

    def _block(self, index: Any) -> Block | None:
        return self._blocks.get(index) if isinstance(index, int) else None

    def _start_block(self, index: Any, fields: Any, parts: list[Part]) -> None:
        if not isinstance(fields, dict) or not isinstance(index, int):
            self.outcome.malformed_events += 1
            return
        kind = fields.get("type")
        block = self._blocks[index] = Block(str(kind))
        if kind == "text":
            citations = fields.get("citations")
            for citation in citations if isinstance(citations, list) else ():
                self._cite(citation, parts)
            if isinstance(text := fields.get("text"), str) and text:
                parts.append(TextDelta(text))
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

    def _stop_block(self, index: Any, parts: list[Part]) -> None:
        block = self._blocks.pop(index, None) if isinstance(index, int) else None
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

    def _take_stop(self, reason: Any, details: Any, parts: list[Part]) -> None:
        if not isinstance(reason, str) or not reason or self.outcome.failure is not None:
            return
        finish = FINISHES.get(reason)
        if finish is None:
            self._note(f"unknown stop reason {reason[:40]!r}")
        self.outcome.finish = finish
        if reason == "refusal" and isinstance(details, dict):
            if (category := text_of(details.get("category"))) is not None:
                self._note(f"the provider refused: category {category[:40]}")
            if (explanation := text_of(details.get("explanation"))) is not None:
                parts.append(RefusalDelta(explanation))

    def _identify(self, message: dict[str, Any]) -> None:
        self.outcome.model = text_of(message.get("model")) or self.outcome.model
        self.outcome.response_id = text_of(message.get("id")) or self.outcome.response_id

    def _note_error(self, value: Any) -> None:
        self._note_failure(stream_failure(value))
