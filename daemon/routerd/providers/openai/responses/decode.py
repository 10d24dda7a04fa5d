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
from routerd.providers.counts import ABSURD_NOTE, is_absurd
from routerd.providers.failure import FailureRules, error_of
from routerd.providers.json_text import JSON_ERRORS, encode_json, read_json, text_of
from routerd.providers.openai.failure import stream_failure
from routerd.providers.openai.logprobs import read_logprobs
from routerd.providers.openai.responses.output import Extra, OutputReader
from routerd.providers.openai.responses.usage import read_usage
from routerd.providers.openai.responses.wire import ResponseEvent, read_event, reread_event
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES

__all__ = ["ResponsesDecoder"]

END_OF_STREAM: Final = b"[DONE]"
TEXT_DELTA: Final = "response.output_text.delta"
# Summaries and the reasoning itself, by the names that servers have for them.
REASONING_DELTAS: Final = {
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_summary.delta": "summary",
    "response.reasoning_text.delta": "content",
    "response.reasoning.delta": "content",
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


class ResponsesDecoder(BodyDecoder):
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
        self._output = OutputReader(vendor, self.outcome.notes)
        self._cited: set[bytes] = set()
        self._done = False

    def _take_event(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        try:
            event = read_event(data)
        except JSON_ERRORS:
            if data.strip() == END_OF_STREAM:
                return True
            reread = self._reread(name, data, reread_event)
            if reread is None:
                return False
            event = reread
        kind = event.type
        if kind == TEXT_DELTA:
            self._output.take_text(
                event.output_index,
                event.item_id,
                event.content_index,
                event.delta,
                parts,
                refused=False,
            )
            if event.logprobs:
                self._take_extras([("logprobs", event.logprobs)], parts)
        else:
            if not isinstance(kind, str):
                kind = name.decode("utf-8", "replace")
            self._take_other(kind, event, data, parts)
        return True

    def _take_plain(self, body: bytes, parts: list[Part]) -> bool:
        try:
            answer = read_json(body)
        except JSON_ERRORS:
            return False
        if not isinstance(answer, dict):
            return False
        self.join_surrogates()
        if not isinstance(answer.get("output"), list) and not answer.get("error"):
            if (error := error_of(answer)) is not None:
                self._note_error(error.fields or error.message)
            self._fail("the answer holds no output")
        status = answer.get("status")
        if status in UNFINISHED:
            self._fail(f"the answer is not finished: {status}")
        self._take_final(str(status), answer, parts)
        return True

    def _close(self, parts: list[Part]) -> None:
        outcome = self.outcome
        if outcome.failure is not None or not self._done:
            return
        self._output.close(parts)
        if outcome.finish is None:
            outcome.finish = "tool_calls" if self._output.has_calls else "stop"
        outcome.complete = True

    def _take_other(self, kind: str, event: ResponseEvent, data: bytes, parts: list[Part]) -> None:
        output, index, item_id = self._output, event.output_index, event.item_id
        if kind == "response.function_call_arguments.delta":
            output.take_arguments(index, item_id, event.delta, parts)
        elif kind in REASONING_DELTAS:
            reasoning = REASONING_DELTAS[kind]
            place = event.summary_index if reasoning == "summary" else event.content_index
            output.take_reasoning(reasoning, index, item_id, place, event.delta, parts)
        elif kind == "response.refusal.delta":
            place = event.content_index
            output.take_text(index, item_id, place, event.delta, parts, refused=True)
        elif kind in FINAL_EVENTS:
            answer = event.response if isinstance(event.response, dict) else {}
            self._take_final(FINAL_EVENTS[kind], answer, parts)
        elif kind in ERROR_EVENTS:
            self._note_error(event.error or _fields_of(event))
        elif not self._take_step(kind, event, parts) and not kind.startswith("response."):
            self._look_for_error(event, data)

    def _take_step(self, kind: str, event: ResponseEvent, parts: list[Part]) -> bool:
        """Read the beginnings and ends of items and parts; return False for any other event."""
        output, index, item_id = self._output, event.output_index, event.item_id
        place = event.content_index
        if kind == "response.output_item.added":
            output.start(index, event.item, parts)
        elif kind == "response.output_item.done":
            self._take_extras(output.finish(index, event.item, parts), parts)
        elif kind == "response.output_text.done":
            if output.whole_text(index, item_id, place, event.text, parts, refused=False):
                self._take_extras([("logprobs", event.logprobs)], parts)
        elif kind == "response.refusal.done":
            output.whole_text(index, item_id, place, event.refusal, parts, refused=True)
        elif kind == "response.function_call_arguments.done":
            output.whole_arguments(index, item_id, event.arguments, parts)
        elif kind == "response.output_text.annotation.added":
            self._take_extras([("citation", event.annotation)], parts)
        elif isinstance(event.response, dict):
            self._identify(event.response)
        else:
            return False
        return True

    def _take_extras(self, extras: Iterable[Extra], parts: list[Part]) -> None:
        """Give out what comes with a text; a source may come by itself and with its text again."""
        for kind, value in extras:
            if kind == "logprobs":
                self._tell_logprobs(read_logprobs({"content": value}), parts)
            elif isinstance(value, dict) and (written := encode_json(value)) not in self._cited:
                self._cited.add(written)
                self._cite(self._vendor, value, parts)

    def _take_final(self, status: str, answer: dict[str, Any], parts: list[Part]) -> None:
        self._identify(answer)
        self._take_usage(answer.get("usage"))
        self._take_extras(self._output.take_output(answer.get("output"), parts), parts)
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
        outcome.model = output.model = text_of(answer.get("model")) or outcome.model
        outcome.response_id = text_of(answer.get("id")) or outcome.response_id
        output.response_id = outcome.response_id or ""
        if answer.get("input_transformations"):
            self._note("the provider left out reasoning of an earlier answer")

    def _take_usage(self, value: Any) -> None:
        if (usage := read_usage(value)) is not None:
            self.outcome.usage = usage
        elif is_absurd(value):
            self._note(ABSURD_NOTE)

    def _look_for_error(self, event: ResponseEvent, data: bytes) -> None:
        """Find an error that is no event of its own: what gateways put into any stream."""
        if event.error:
            self._note_error(event.error)
            return
        try:
            error = error_of(read_json(data))
        except JSON_ERRORS:
            return
        if error is not None:
            self._note_error(error.fields or error.message)

    def _note_error(self, value: Any) -> None:
        self._note_failure(stream_failure(value, self._rules))


def _fields_of(event: ResponseEvent) -> dict[str, Any]:
    """Return an error whose fields stand in the event itself."""
    return {"code": event.code, "message": event.message, "param": event.param}
