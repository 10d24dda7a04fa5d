"""Responses answers, streamed and plain, to parts and an outcome.

Rules of this file: one event or answer in, parts out; it never raises. The output of a plain answer
runs through the same code as the items of a stream. Only `response.completed`, `.incomplete` and
`.failed` end a stream: without one of them the answer was cut. Events of any other kind are
skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from routerd.domain import FinishReason, Part
from routerd.providers.body import BodyDecoder
from routerd.providers.failure import FailureRules
from routerd.providers.json_text import text_of
from routerd.providers.openai.failure import stream_failure
from routerd.providers.openai.logprobs import read_logprobs
from routerd.providers.openai.responses.contents import Extra, items_of, text_in
from routerd.providers.openai.responses.dialects import ResponsesDialect
from routerd.providers.openai.responses.output import OutputReader
from routerd.providers.openai.responses.usage import read_usage, tells_lifetimes
from routerd.providers.openai.responses.wire import EVENTS, ResponseEvent
from routerd.providers.openai.told import TextKind
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES

__all__ = ["ResponsesDecoder"]

TEXT_DELTA: Final = "response.output_text.delta"
# Summaries and the reasoning itself, by the names that servers have for them.
REASONING_DELTAS: Final = {
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_summary.delta": "summary",
    "response.reasoning_text.delta": "content",
    "response.reasoning.delta": "content",
}
# The ends of the same; each text of a summary may also end as a part.
REASONING_ENDS: Final = {
    kind.replace(".delta", ".done"): told for kind, told in REASONING_DELTAS.items()
}
PART_ENDS: Final = {
    "response.content_part.done": "content",
    "response.reasoning_summary_part.done": "summary",
}
FINAL_EVENTS: Final = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
ERROR_EVENTS: Final = ("error", "response.error")
UNFINISHED: Final = ("in_progress", "queued")
INCOMPLETE: Final[dict[str, FinishReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "max_messages": "length",
    "steered": "length",
}


class ResponsesDecoder(BodyDecoder[ResponseEvent]):
    """Decode one answer."""

    def __init__(
        self,
        dialect: ResponsesDialect,
        rules: FailureRules,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(EVENTS, dialect.vendor, stream=stream, max_body_bytes=max_body_bytes)
        self._rules = rules
        self._output = OutputReader(self.vendor, dialect.own_items, self.outcome.notes)

    def _take(self, name: bytes, event: ResponseEvent, parts: list[Part]) -> bool:
        kind = event.type
        if kind == TEXT_DELTA:
            self._output.take_text(
                event.output_index, event.item_id, event.content_index, event.delta, parts
            )
            if event.logprobs:
                self._take_extras([("logprobs", event.logprobs)], parts)
            return True
        if not isinstance(kind, str):
            kind = name.decode("utf-8", "replace")
        return self._take_other(kind, event, parts)

    def _take_answer(self, answer: dict[str, Any], parts: list[Part]) -> None:
        outputs = (answer.get("output"), answer.get("output_text"))
        if not any(isinstance(value, list | str) for value in outputs) and not answer.get("error"):
            self._fail_without("output", answer)
        status = answer.get("status")
        if status in UNFINISHED:
            self._fail(f"the answer is not finished: {status}")
        self._take_final(str(status), answer, parts)

    def _end_content(self, parts: list[Part]) -> bool:
        self._output.close(parts)
        return self._output.has_calls

    def _take_other(self, kind: str, event: ResponseEvent, parts: list[Part]) -> bool:
        output, index, item_id = self._output, event.output_index, event.item_id
        if kind == "response.function_call_arguments.delta":
            output.take_arguments(index, item_id, event.delta, parts)
        elif kind in REASONING_DELTAS:
            shown = REASONING_DELTAS[kind]
            place = _place_of(shown, event)
            output.take_reasoning(shown, index, item_id, place, event.delta, parts)
        elif kind == "response.refusal.delta":
            output.take_refusal(index, item_id, event.content_index, event.delta, parts)
        elif kind in FINAL_EVENTS:
            answer = event.response if isinstance(event.response, dict) else {}
            self._take_final(FINAL_EVENTS[kind], answer, parts)
        elif kind in ERROR_EVENTS:
            self._note_error(event.error or _fields_of(event))
        else:
            return self._take_step(kind, event, parts) or kind.startswith("response.")
        return True

    def _take_step(self, kind: str, event: ResponseEvent, parts: list[Part]) -> bool:
        """Read the beginnings and ends of items; return False for any other event."""
        output, index, item_id = self._output, event.output_index, event.item_id
        if kind == "response.output_item.added":
            output.start(index, event.item, parts)
        elif kind == "response.output_item.done":
            self._take_extras(output.finish(index, event.item, parts), parts)
        elif kind == "response.output_text.done":
            self._take_whole_text("text", event, event.text, event.logprobs, parts)
        elif kind == "response.refusal.done":
            self._take_whole_text("refusal", event, event.refusal, None, parts)
        elif kind == "response.function_call_arguments.done":
            output.whole_arguments(index, item_id, event.arguments, parts)
        elif kind in REASONING_ENDS:
            shown = REASONING_ENDS[kind]
            place = _place_of(shown, event)
            output.whole_reasoning(shown, index, item_id, place, event.text, parts)
        elif kind in PART_ENDS and isinstance(event.part, dict):
            self._take_part(PART_ENDS[kind], event, event.part, parts)
        elif kind == "response.output_text.annotation.added":
            self._take_extras([("citation", event.annotation)], parts)
        elif isinstance(event.response, dict):
            self._identify(event.response)
        else:
            return False
        return True

    def _take_part(
        self, shown: str, event: ResponseEvent, part: dict[str, Any], parts: list[Part]
    ) -> None:
        """Read a whole part of an item: of a message, or of what is shown of reasoning."""
        if part.get("type") in ("summary_text", "reasoning_text"):
            index, item_id, place = event.output_index, event.item_id, _place_of(shown, event)
            self._output.whole_reasoning(shown, index, item_id, place, part.get("text"), parts)
        else:
            kind, text = text_in(part)
            self._take_whole_text(kind, event, text, part.get("logprobs"), parts)

    def _take_whole_text(
        self, kind: TextKind, event: ResponseEvent, text: Any, logprobs: Any, parts: list[Part]
    ) -> None:
        output, place = self._output, event.content_index
        if output.whole_text(kind, event.output_index, event.item_id, place, text, parts):
            self._take_extras([("logprobs", logprobs)], parts)

    def _take_extras(self, extras: Iterable[Extra], parts: list[Part]) -> None:
        """Give out what comes with a text."""
        for kind, value in extras:
            if kind == "logprobs":
                self._tell_logprobs(read_logprobs({"content": value}), parts)
            else:
                self._cite_once(value, parts)

    def _take_final(self, status: str, answer: dict[str, Any], parts: list[Part]) -> None:
        self._identify(answer)
        if (tier := answer.get("service_tier")) is not None:
            self.outcome.terms = {"servicetier": tier}
        if self._tell_usage(answer.get("usage"), read_usage):
            self.outcome.tells_lifetimes = tells_lifetimes(answer.get("usage"))
        self._take_extras(self._output.take_output(items_of(answer), parts), parts)
        error, details = answer.get("error"), answer.get("incomplete_details")
        if error:
            self._note_error(error)
        elif status in ("failed", "cancelled"):
            self._note_error({"message": f"the provider ended the answer: {status}"})
        elif details or status == "incomplete":
            self._take_incomplete(details)
        self._done = True
        self._close(parts)

    def _take_incomplete(self, details: Any) -> None:
        reason = details.get("reason") if isinstance(details, dict) else None
        finish = INCOMPLETE.get(reason) if isinstance(reason, str) else None
        if finish is None:
            self._note(f"unknown reason of an incomplete answer {str(reason)[:40]!r}")
        self.outcome.finish = finish or "length"

    def _identify(self, answer: dict[str, Any]) -> None:
        outcome, output = self.outcome, self._output
        outcome.model = output.going_back.model = text_of(answer.get("model")) or outcome.model
        outcome.response_id = text_of(answer.get("id")) or outcome.response_id
        output.response_id = outcome.response_id or ""
        if answer.get("input_transformations"):
            self._note("the provider left out reasoning of an earlier answer")

    def _note_error(self, value: Any) -> None:
        self._note_failure(stream_failure(value, self._rules))


def _place_of(shown: str, event: ResponseEvent) -> Any:
    """Return where a text of reasoning stands in its item."""
    return event.summary_index if shown == "summary" else event.content_index


def _fields_of(event: ResponseEvent) -> dict[str, Any]:
    """Return an error whose fields stand in the event itself."""
    return {"code": event.code, "message": event.message, "param": event.param}
