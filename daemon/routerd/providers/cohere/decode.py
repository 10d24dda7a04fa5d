"""Chat answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. The message of a plain
answer runs through the same code as what the events of a stream add. Order within a message:
thinking and tool plan, text, citations, tool calls. Only `message-end` ends a stream: without it
the answer was cut. A tool plan is reasoning of its own kind, so that it can go back as one.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import FinishReason, Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.body import BodyDecoder
from routerd.providers.cohere.failure import stream_failure
from routerd.providers.cohere.logprobs import read_logprobs
from routerd.providers.cohere.messages import PLAN, THINKING, VENDOR
from routerd.providers.cohere.usage import read_usage
from routerd.providers.cohere.wire import EVENTS, ChatEvent, Delta, DeltaMessage, Piece
from routerd.providers.json_text import text_of
from routerd.providers.loose import loosely
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd.providers.tool_calls import ToolCallAssembler, ToolCallFragment
from routerd_proto.frames import ReasoningDelta, TextDelta

__all__ = ["ChatDecoder"]

# The last two are of version 1, and still in the types of cohere 7.3.
FINISHES: Final[dict[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_LIMIT": "length",
    "ERROR_TOXIC": "content_filter",
}
KINDS: Final = ("text", "thinking", None)
FAILED: Final = {"ERROR": ErrorClass.SERVER_ERROR, "TIMEOUT": ErrorClass.TIMEOUT}


class ChatDecoder(BodyDecoder[ChatEvent]):
    """Decode one answer."""

    def __init__(self, *, stream: bool, max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        super().__init__(EVENTS, VENDOR, stream=stream, max_body_bytes=max_body_bytes)
        self._tool_calls = ToolCallAssembler()
        self._reasoning: dict[str, str] | None = None  # the kind of the one that is open

    def _take(self, name: bytes, event: ChatEvent, parts: list[Part]) -> bool:
        kind, delta = event.type, event.delta
        if kind == "content-delta" and delta is not None:
            message = delta.message
            if message is not None and type(message.content) is Piece:
                self._take_piece(message.content, parts)
                if event.logprobs is not None:
                    self._tell_logprobs(read_logprobs(event.logprobs), parts)
                return True
        return self._take_other(kind or name.decode("utf-8", "replace"), event, parts)

    def _take_answer(self, answer: dict[str, Any], parts: list[Part]) -> None:
        message = loosely(DeltaMessage, answer.get("message"))
        if message is None:
            self._fail_without("message", answer)
        self.outcome.response_id = text_of(answer.get("id"))
        delta = Delta(message, answer.get("finish_reason"), answer.get("usage"))
        self._take_delta(None, delta, parts)
        if (logprobs := answer.get("logprobs")) is not None:
            self._tell_logprobs(read_logprobs(logprobs), parts)
        self._done = True

    def _end_content(self, parts: list[Part]) -> bool:
        self._end_open(parts)
        self._tool_calls.close(self.outcome.response_id or "", parts)
        return bool(self._tool_calls)

    def _take_other(self, kind: Any, event: ChatEvent, parts: list[Part]) -> bool:
        if self.outcome.response_id is None and event.id:
            self.outcome.response_id = text_of(event.id)
        if event.error:
            self._note_error(event.error)
        elif kind == "error":
            self._note_error({"message": text_of(event.message) or ""})
        if event.delta is not None:
            self._take_delta(event.index, event.delta, parts)
        if event.logprobs is not None:
            self._tell_logprobs(read_logprobs(event.logprobs), parts)
        if kind == "content-end":
            self._end_open(parts)
        elif kind == "message-end":
            self._done = True
            self._close(parts)
        return bool(kind) or event.delta is not None or bool(event.error)

    def _take_delta(self, index: Any, delta: Delta, parts: list[Part]) -> None:
        if delta.message is not None:
            self._take_message(index, delta.message, parts)
        if delta.usage is not None:
            self._tell_usage(delta.usage, read_usage)
        if delta.error:
            self._note_error(delta.error, str(delta.finish_reason))
        if delta.finish_reason:
            self._take_finish(delta.finish_reason)

    def _take_message(self, index: Any, message: DeltaMessage, parts: list[Part]) -> None:
        content = message.content
        if isinstance(content, str):
            content = Piece(text=content)
        pieces = [content] if isinstance(content, Piece) else content or ()
        for piece in pieces:
            if piece.thinking:
                self._take_piece(Piece(thinking=piece.thinking), parts)
            elif not piece.text and piece.type not in KINDS:
                self._note_kind(str(piece.type))
        if isinstance(message.tool_plan, str) and message.tool_plan:
            self._reason(PLAN, message.tool_plan, parts)
        for piece in pieces:
            if piece.text:
                self._take_piece(Piece(text=piece.text), parts)
        citations = message.citations
        for citation in citations if isinstance(citations, list) else [citations]:
            self._cite(citation, parts)
        calls = message.tool_calls
        for call in calls if isinstance(calls, list) else [calls] if calls is not None else ():
            self._take_call(index, call, parts)

    def _take_piece(self, piece: Piece, parts: list[Part]) -> None:
        if isinstance(piece.thinking, str) and piece.thinking:
            self._reason(THINKING, piece.thinking, parts)
        if isinstance(piece.text, str) and piece.text:
            if self._reasoning is not None:
                self._end_open(parts)
            parts.append(TextDelta(piece.text))

    def _take_call(self, index: Any, call: ToolCallFragment, parts: list[Part]) -> None:
        self._end_open(parts)
        if call.index is None:
            call.index = index
        self._tool_calls.take(call, self.outcome.response_id or "", parts)

    def _reason(self, kind: dict[str, str], text: str, parts: list[Part]) -> None:
        if self._reasoning is not kind:
            self._end_open(parts)
            self._reasoning = kind
        parts.append(ReasoningDelta(text))

    def _end_open(self, parts: list[Part]) -> None:
        if self._reasoning is not None:
            self._end_reasoning(dict(self._reasoning), parts)
            self._reasoning = None

    def _take_finish(self, reason: Any) -> None:
        if (error_class := FAILED.get(reason) if isinstance(reason, str) else None) is not None:
            told = f"the answer ended early: {reason}"
            self._note_failure(Failure(error_class, told, code=reason))
            return
        finish = FINISHES.get(reason) if isinstance(reason, str) else None
        if finish is None:
            self._note(f"unknown finish reason {str(reason)[:40]!r}")
        # It may come more than once: `stop` or nothing never hides a reason that says more.
        elif self.outcome.finish in (None, "stop"):
            self.outcome.finish = finish

    def _note_error(self, value: Any, reason: str = "") -> None:
        self._note_failure(stream_failure(value, FAILED.get(reason)))
