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
from routerd.providers.failure import FailureRules
from routerd.providers.json_text import text_of
from routerd.providers.openai.failure import is_output_limit, stream_failure
from routerd.providers.openai.logprobs import read_logprobs
from routerd.providers.openai.reasoning import ReasoningReader
from routerd.providers.openai.usage import read_usage
from routerd.providers.openai.wire import CHUNKS, Choice, Chunk, Delta
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


class ChatDecoder(BodyDecoder[Chunk]):
    """Decode one answer."""

    answers_as_events = True

    def __init__(
        self,
        vendor: str,
        rules: FailureRules,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(CHUNKS, vendor, stream=stream, max_body_bytes=max_body_bytes)
        self._rules = rules
        self._reasoning = ReasoningReader(vendor, self.outcome.notes)
        self._tool_calls = ToolCallAssembler()
        self._choice_index: int | None = None
        self._saw_choice = False
        self._named = False
        self._said = 0  # characters of text
        self._last = ""  # piece of it
        self._refused = False

    def _take(self, name: bytes, chunk: Chunk, parts: list[Part]) -> bool:
        del name
        if not self._named:
            self._identify(chunk)
        if chunk.error:
            self._note_error(chunk.error)
        if chunk.usage is not None or chunk.x_groq is not None:
            self._take_usage(chunk)
        if chunk.choices is None:
            return chunk.usage is not None or chunk.error is not None
        for choice in chunk.choices:
            self._take_choice(choice, parts)
        return True

    def _take_end_mark(self, parts: list[Part]) -> None:
        self._done = True
        self._close(parts)

    def _end_content(self, parts: list[Part]) -> bool:
        if not self._saw_choice:
            self._fail("the answer holds no choice")
            return False
        self._reasoning.close(parts)
        self._tool_calls.close(self.outcome.response_id or "", parts)
        return bool(self._tool_calls)

    def _identify(self, chunk: Chunk) -> None:
        """Note who answers; it is said with every chunk."""
        outcome = self.outcome
        if outcome.model is None and chunk.model:
            outcome.model = text_of(chunk.model)
            outcome.fingerprint = text_of(chunk.system_fingerprint)
        if outcome.response_id is None and chunk.id:
            outcome.response_id = text_of(chunk.id)
        self._named = outcome.model is not None and outcome.response_id is not None

    def _take_choice(self, choice: Choice, parts: list[Part]) -> None:
        self._saw_choice = True
        if choice.index != self._choice_index and not self._is_our_choice(choice.index):
            return
        delta = choice.delta
        if choice.message is not None:
            delta = self._take_message(delta, choice.message, parts)
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
                    self._said += len(content)
                    self._last = content
                    parts.append(TextDelta(content))
            else:
                self._take_delta(delta, parts)
        if choice.logprobs is not None:
            self._tell_logprobs(read_logprobs(choice.logprobs), parts)
        if choice.error:
            self._note_error(choice.error)
        if choice.finish_reason is not None:
            self._take_finish(choice.finish_reason)

    def _take_message(self, delta: Delta | None, message: Delta, parts: list[Part]) -> Delta | None:
        """Return what is to be read of a choice that holds a whole message: all, if nothing came.

        In a stream some gateways repeat the message so far, or all of it at the end. What no piece
        brought of its text is given out then; where the pieces are not its beginning nothing is.
        """
        if delta is not None:
            self._take_delta(delta, parts)
        if not (self._said or self._refused or self._tool_calls or self._reasoning.is_open):
            return message
        whole, said = message.content, self._said
        if type(whole) is str and len(whole) > said:
            if whole[:said].endswith(self._last):
                self._take_content(whole[said:], parts)
            else:
                self._note("the provider's whole message is another than the pieces before it")
        if not self._tool_calls:
            for fragment in message.tool_calls or ():
                self._take_call(fragment, parts)
        return None

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
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            self._reasoning.take(delta, parts)
        if isinstance(delta.refusal, str) and delta.refusal:
            self._reasoning.close(parts)
            self._refused = True
            parts.append(RefusalDelta(delta.refusal))
        if delta.content:
            self._take_content(delta.content, parts)
        if isinstance(delta.annotations, list):
            for annotation in delta.annotations:
                self._cite(annotation, parts)
        for fragment in delta.tool_calls or ():
            self._take_call(fragment, parts)
        if delta.function_call is not None:
            self._take_call(ToolCallFragment(function=delta.function_call), parts)

    def _take_call(self, fragment: ToolCallFragment, parts: list[Part]) -> None:
        if self._reasoning.is_open:
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
                    self._cite(item, parts)
                    continue
                text = item.get("text")
            if isinstance(text, str) and text:
                self._reasoning.close(parts)
                self._said += len(text)
                self._last = text
                parts.append(TextDelta(text))

    def _take_finish(self, reason: Any) -> None:
        self._done = True
        finish = FINISHES.get(reason) if isinstance(reason, str) else None
        if reason == "insufficient_system_resource":
            self._note_failure(
                Failure(ErrorClass.OVERLOADED, "the server ran out of resources", code=reason)
            )
        elif finish == "error" and self.outcome.finish != "length":  # that is the error then
            self._note_failure(
                Failure(ErrorClass.SERVER_ERROR, "the answer ended in an error", code="error")
            )
        elif finish is None and reason:
            self._note(f"unknown finish reason {str(reason)[:40]!r}")
        # It may come more than once: `stop` or nothing never hides a reason that says more.
        if finish is not None and self.outcome.finish in (None, "stop"):
            self.outcome.finish = finish

    def _take_usage(self, chunk: Chunk) -> None:
        of_groq = chunk.x_groq.get("usage") if isinstance(chunk.x_groq, dict) else None
        if not self._tell_usage(chunk.usage, read_usage):
            self._tell_usage(of_groq, read_usage)

    def _note_error(self, value: Any) -> None:
        if is_output_limit(value):
            self._done = True
            if self.outcome.finish in (None, "stop"):
                self.outcome.finish = "length"
        else:
            self._note_failure(stream_failure(value, self._rules))
