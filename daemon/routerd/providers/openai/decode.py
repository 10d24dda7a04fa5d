"""Chat Completions answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. Order within a delta:
reasoning, refusal, text, citations, tool calls. A stream is complete after `[DONE]` or a finish
reason. An error is looked for before choices, but what stands beside it is read all the same:
text is never lost, and the usage of a failed answer is billed too.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import FinishReason, Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.body import BodyDecoder
from routerd.providers.counts import ABSURD_NOTE, is_absurd
from routerd.providers.failure import FailureRules, error_of
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of
from routerd.providers.openai.failure import is_output_limit, stream_failure
from routerd.providers.openai.logprobs import read_logprobs
from routerd.providers.openai.reasoning import ReasoningReader
from routerd.providers.openai.usage import read_usage
from routerd.providers.openai.wire import (
    Choice,
    Chunk,
    Delta,
    read_chunk,
    reread_chunk,
)
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd.providers.tool_calls import ToolCallAssembler, ToolCallFragment
from routerd_proto.frames import RefusalDelta, TextDelta

__all__ = ["ChatDecoder"]

FINISHES: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}
END_OF_STREAM: Final = b"[DONE]"


class ChatDecoder(BodyDecoder):
    """Decode one answer. `vendor` goes with what only this server can read back."""

    def __init__(
        self,
        vendor: str,
        rules: FailureRules,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(stream=stream, max_body_bytes=max_body_bytes)
        self._vendor = vendor
        self._rules = rules
        self._reasoning = ReasoningReader(vendor, self.outcome.notes)
        self._tool_calls = ToolCallAssembler()
        self._choice_index: int | None = None
        self._saw_choice = False
        self._finished = False
        self._done = False

    def _take_event(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        try:
            chunk = read_chunk(data)
        except JSON_ERRORS:
            return self._take_odd_event(name, data, parts)
        if chunk.choices is None and chunk.usage is None and chunk.error is None:
            self._look_for_error(name, data)
        self._take_chunk(chunk, parts)
        return True

    def _take_plain(self, body: bytes, parts: list[Part]) -> bool:
        try:
            chunk = read_chunk(body)
        except JSON_ERRORS:
            try:
                if not self._take_lenient(body, parts):
                    self._look_for_error(b"", body)
            except JSON_ERRORS:
                return False
        else:
            if chunk.choices is None and chunk.error is None:
                self._look_for_error(b"", body)
            self._take_chunk(chunk, parts)
        self._done = True
        return True

    def _close(self, parts: list[Part]) -> None:
        outcome = self.outcome
        if outcome.failure is not None or not (self._done or self._finished):
            return
        if not self._saw_choice:
            self._fail("the answer holds no choice")
            return
        self._reasoning.close(parts)
        self._tool_calls.close(outcome.response_id or "", parts)
        if outcome.finish in (None, "stop"):
            # Some servers never say why an answer ended, or say `stop` after tool calls.
            outcome.finish = "tool_calls" if self._tool_calls else "stop"
        outcome.complete = True

    def _take_odd_event(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        """Read an event that is not a chunk by the book; return False if it is not JSON."""
        if data.strip() == END_OF_STREAM:
            self._done = True
            self._close(parts)
            return True
        try:
            was_read = self._take_lenient(data, parts)
        except JSON_ERRORS:
            was_read = False
        if not was_read and name == b"error":
            self._note_error(data.decode("utf-8", "replace"))
        return was_read

    def _take_lenient(self, data: bytes, parts: list[Part]) -> bool:
        """Read JSON of another type or text than expected; return False if it is no object."""
        reread = reread_chunk(data)
        if reread is None:
            return False
        chunk, value = reread
        self.join_surrogates()
        if chunk.choices is None and chunk.error is None and (error := error_of(value)):
            self._note_error(error.fields or error.message)
        self._take_chunk(chunk, parts)
        return True

    def _look_for_error(self, name: bytes, data: bytes) -> None:
        """Find an error that is not under `error`: older vLLM, Mistral, FastAPI."""
        try:
            value = read_json(data)
        except JSON_ERRORS:
            return
        error = error_of(value)
        if error is not None:
            self._note_error(error.fields or error.message)
        elif name == b"error":
            self._note_error(value)

    def _take_chunk(self, chunk: Chunk, parts: list[Part]) -> None:
        outcome = self.outcome
        if outcome.model is None and chunk.model:
            outcome.model = text_of(chunk.model)
            outcome.fingerprint = text_of(chunk.system_fingerprint)
        if outcome.response_id is None and chunk.id:
            outcome.response_id = text_of(chunk.id)
        if chunk.error:
            self._note_error(chunk.error)
        if chunk.usage is not None or chunk.x_groq is not None:
            self._take_usage(chunk)
        for choice in chunk.choices or ():
            self._take_choice(choice, parts)

    def _take_choice(self, choice: Choice, parts: list[Part]) -> None:
        self._saw_choice = True
        if choice.index != self._choice_index and not self._is_our_choice(choice.index):
            return
        delta = choice.delta or choice.message
        if delta is not None:
            content = delta.content
            if type(content) is str and not (
                delta.tool_calls
                or delta.reasoning_content
                or delta.reasoning
                or delta.reasoning_details
                or delta.refusal
                or delta.annotations
                or delta.function_call
            ):
                if content:
                    if self._reasoning.is_open:
                        self._reasoning.close(parts)
                    parts.append(TextDelta(content))
            else:
                self._take_delta(delta, parts)
        if choice.logprobs is not None:
            self._tell_logprobs(read_logprobs(choice.logprobs), parts)
        if choice.error:
            self._note_error(choice.error)
        if choice.finish_reason is not None:
            self._take_finish(choice.finish_reason)

    def _is_our_choice(self, index: Any) -> bool:
        """Return whether a choice belongs to the one answer that is read: the first one seen."""
        if not isinstance(index, int) or isinstance(index, bool):
            return True
        if self._choice_index is None:
            self._choice_index = index
        if index == self._choice_index:
            return True
        self._note("more than one choice came; the first was read")
        return False

    def _take_delta(self, delta: Delta, parts: list[Part]) -> None:
        self._reasoning.take(delta, parts)
        if isinstance(delta.refusal, str) and delta.refusal:
            self._reasoning.close(parts)
            parts.append(RefusalDelta(delta.refusal))
        if delta.content:
            self._take_content(delta.content, parts)
        if isinstance(delta.annotations, list):
            for annotation in delta.annotations:
                self._cite(self._vendor, annotation, parts)
        fragments = list(delta.tool_calls or ())
        if delta.function_call is not None:
            fragments.append(ToolCallFragment(function=delta.function_call))
        for fragment in fragments:
            self._reasoning.close(parts)
            self._tool_calls.take(fragment, self.outcome.response_id or "", parts)

    def _take_content(self, content: Any, parts: list[Part]) -> None:
        """Read text, or Mistral's list of content parts."""
        for item in content if isinstance(content, list) else [content]:
            text = item
            if isinstance(item, dict):
                if item.get("type") == "thinking":
                    self._reasoning.take_thinking(item.get("thinking"), parts)
                    continue
                if item.get("type") == "reference":
                    self._cite(self._vendor, item, parts)
                    continue
                text = item.get("text")
            if isinstance(text, str) and text:
                self._reasoning.close(parts)
                parts.append(TextDelta(text))

    def _take_finish(self, reason: Any) -> None:
        self._finished = True
        finish = FINISHES.get(reason) if isinstance(reason, str) else None
        if reason == "insufficient_system_resource":
            self._note_failure(
                Failure(ErrorClass.OVERLOADED, "the server ran out of resources", code=reason)
            )
        elif finish == "error":
            self._note_failure(
                Failure(ErrorClass.SERVER_ERROR, "the answer ended in an error", code="error")
            )
        elif finish is None and reason:
            self._note(f"unknown finish reason {str(reason)[:40]!r}")
        # It may come more than once: `stop` or nothing never hides a reason that says more.
        if finish is not None and self.outcome.finish in (None, "stop"):
            self.outcome.finish = finish

    def _take_usage(self, chunk: Chunk) -> None:
        values = [chunk.usage]
        if isinstance(chunk.x_groq, dict):
            values.append(chunk.x_groq.get("usage"))
        for value in values:
            if (usage := read_usage(value)) is not None:
                self.outcome.usage = usage
                return
            if is_absurd(value):
                self._note(ABSURD_NOTE)

    def _note_error(self, value: Any) -> None:
        if is_output_limit(value):
            self._finished = True
            if self.outcome.finish in (None, "stop"):
                self.outcome.finish = "length"
        else:
            self._note_failure(stream_failure(value, self._rules))
