"""generateContent answers, streamed and plain, to parts and an outcome.

Rules of this file: one chunk or answer in, parts out; it never raises. A chunk has the shape of a
whole answer. The end is the end of the body: without a finish reason before it the answer was cut.
A signature belongs to the part it came with: that of a call is given out before the call and names
it, that of a text after the text, that of a thought with the thought. A part that the caller cannot
be shown (what the vendor's own tools did, a picture) is given out as data that goes back.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from routerd.domain import FinishReason, Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.body import BodyDecoder
from routerd.providers.bounds import TOO_LARGE_NOTE, can_be_carried
from routerd.providers.counts import ABSURD_NOTE
from routerd.providers.failure import error_of
from routerd.providers.gemini.calls import GrowingCall
from routerd.providers.gemini.failure import blocked, stream_failure
from routerd.providers.gemini.logprobs import read_logprobs
from routerd.providers.gemini.usage import is_too_large, read_usage
from routerd.providers.gemini.wire import (
    OWN_PARTS,
    Answer,
    AnswerPart,
    Candidate,
    answer_of,
    read_answer,
)
from routerd.providers.json_text import JSON_ERRORS, encode_json, read_json, text_of
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd_proto.frames import (
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)

__all__ = ["GenerateDecoder"]

VENDOR: Final = "gemini"
FINISHES: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        (
            *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"),
            *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"),
            *("ESCALATION", "PUP_LIMITED_DISABLED"),
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
            *("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
        ),
        "error",
    ),
}
# Reasons that are none of the shared ones: the answer is whole, as far as it goes.
OTHER_FINISHES: Final = ("OTHER", "NO_IMAGE", "IMAGE_OTHER", "FINISH_REASON_UNSPECIFIED")
# Where enums were asked for as numbers; the others differ between the vendor's two services.
NUMBERED: Final = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
END_OF_STREAM: Final = b"[DONE]"
# An error between the events may stand as plain JSON: of what came last, this much is kept.
MAX_TAIL_BYTES: Final = 64 * 1024
PLAIN_ERROR: Final = re.compile(rb"(?:^|[\r\n])[ \t]*(?=[{\[][ \t\r\n]*[{\"])")


class GenerateDecoder(BodyDecoder):
    """Decode one answer."""

    def __init__(self, *, stream: bool, max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        super().__init__(stream=stream, max_body_bytes=max_body_bytes)
        self._tail = bytearray()
        self._tools = 0
        self._reasons = False
        self._choice: Any = None
        self._saw_candidate = False
        self._finished = False
        self._is_whole = False
        self._cited: set[bytes] = set()
        self._growing: GrowingCall | None = None
        self._continuation: str | None = None

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that `data` completes, in order."""
        self._tail += data
        if len(self._tail) > 2 * MAX_TAIL_BYTES:
            del self._tail[:-MAX_TAIL_BYTES]
        return super().feed(data)

    def _take_event(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        try:
            answer = read_answer(data)
        except JSON_ERRORS:
            return self._take_odd_event(name, data, parts)
        if answer.candidates is None and answer.error is None and answer.usage_metadata is None:
            self._look_for_error(data)
        self._take(answer, parts)
        return True

    def _take_odd_event(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        """Read an event that is not a chunk by the book; return False if it is not JSON."""
        if data.strip() == END_OF_STREAM:
            return True
        try:
            was_read = self._take_value(read_json(data), parts)
        except JSON_ERRORS:
            was_read = False
        if not was_read and name == b"error":
            self._note_error(data.decode("utf-8", "replace"))
        return was_read

    def _take_plain(self, body: bytes, parts: list[Part]) -> bool:
        try:
            value = read_json(body)
        except JSON_ERRORS:
            # A list that was cut off: what is whole of it was said.
            for item in _whole_items(body):
                self._take_value(item, parts)
            return False
        # One whole answer is whole without a reason too; a list of chunks may have been cut.
        self._is_whole = isinstance(value, dict)
        return self._take_value(value, parts)

    def _take_value(self, value: Any, parts: list[Part]) -> bool:
        """Read decoded JSON, or a list of chunks; return False where it is neither."""
        if isinstance(value, list):
            return bool([self._take_value(item, parts) for item in value])
        answer = answer_of(value)
        if answer is None:
            return False
        self.join_surrogates()
        if answer.candidates is None and answer.error is None:
            self._find_error(value)
        self._take(answer, parts)
        return True

    def _close(self, parts: list[Part]) -> None:
        outcome = self.outcome
        if outcome.failure is None and not self._finished and self._is_stream:
            self._look_at_tail()
        if self._is_whole and not self._saw_candidate:
            self._fail("the answer holds no candidate")
        if outcome.failure is not None or not (self._finished or self._is_whole):
            return
        self._end_call(parts)
        self._end_reasoning({}, parts)
        if outcome.finish == "pause" and self._continuation is not None:
            self._give_back({"on": "pause", "token": self._continuation}, parts)
        if outcome.finish in (None, "stop"):
            outcome.finish = "tool_calls" if self._tools else "stop"
        outcome.complete = True

    def _look_at_tail(self) -> None:
        """Find an error that stood between the events, or after them, as plain JSON."""
        tail = bytes(self._tail)
        for match in PLAIN_ERROR.finditer(tail):
            for item in _whole_items(b"[" + tail[match.end() :]):
                self._find_error(item)
            if self.outcome.failure is not None:
                return

    def _look_for_error(self, data: bytes) -> None:
        try:
            self._find_error(read_json(data))
        except JSON_ERRORS:
            return

    def _find_error(self, value: Any) -> None:
        if (error := error_of(value)) is not None:
            self._note_error(error.fields or error.message)

    def _take(self, answer: Answer, parts: list[Part]) -> None:
        outcome = self.outcome
        if outcome.model is None and answer.model_version:
            outcome.model = text_of(answer.model_version)
        if outcome.response_id is None and answer.response_id:
            outcome.response_id = text_of(answer.response_id)
        if answer.usage_metadata is not None:
            self._take_usage(answer.usage_metadata)
        for candidate in answer.candidates or ():
            self._take_candidate(candidate, parts)
        if isinstance(answer.prompt_feedback, dict):
            failure = blocked(answer.prompt_feedback)
            if failure is not None:
                self._note_failure(failure)
        if isinstance(answer.model_status, dict):
            self._note_status(answer.model_status)
        if answer.error:
            self._note_error(answer.error)

    def _take_usage(self, value: Any) -> None:
        if (usage := read_usage(value)) is not None:
            self.outcome.usage = usage
            if self.outcome.early_usage is None:
                self.outcome.early_usage = usage
        elif is_too_large(value):
            self.outcome.usage = None
            self._note(ABSURD_NOTE)

    def _note_status(self, status: dict[str, Any]) -> None:
        stage, ends = status.get("modelStage"), status.get("retirementTime")
        if isinstance(ends, str) and ends:
            self._note(f"the provider says that this model ends at {ends[:30]!r}")
        elif isinstance(stage, str) and stage in ("DEPRECATED", "RETIRED", "LEGACY"):
            self._note(f"the provider says that this model is {stage.lower()}")

    def _take_candidate(self, candidate: Candidate, parts: list[Part]) -> None:
        index = candidate.index or 0
        if not self._saw_candidate:
            self._saw_candidate, self._choice = True, index
        elif index != self._choice:
            self._note("more than one candidate came; the first was read")
            return
        if candidate.content is not None:
            for part in candidate.content.parts or ():
                self._take_part(part, parts)
        self._take_citations(candidate, parts)
        self._continuation = text_of(candidate.continuation_token) or self._continuation
        if candidate.logprobs_result is not None:
            self._tell_logprobs(read_logprobs(candidate.logprobs_result), parts)
        if candidate.finish_reason:
            self._take_finish(candidate.finish_reason, candidate.finish_message, parts)

    def _take_part(self, part: AnswerPart, parts: list[Part]) -> None:
        text = part.text if isinstance(part.text, str) else ""
        signature = text_of(part.thought_signature)
        if part.thought is True:
            if text:
                self._reasons = True
                parts.append(ReasoningDelta(text))
            if signature is not None:
                self._give_back({"on": "thought", "signature": signature}, parts)
        elif part.function_call is not None:
            self._take_call(part.function_call, signature, parts)
        elif not text and (own := _own_part(part)):
            self._note(f"a part of the answer is not shown, and goes back: {', '.join(own)}")
            self._end_reasoning({}, parts)
            signed = {"signature": signature} if signature is not None else {}
            self._give_back({"on": "part", "part": own, **signed}, parts)
        else:
            if text:
                self._end_reasoning({}, parts)
                parts.append(TextDelta(text))
            if signature is not None:
                self._end_reasoning({}, parts)
                self._give_back({"on": "text" if text else "empty", "signature": signature}, parts)
            elif not text and part.text is None:
                self._note("a part of the answer was left out: it is of an unknown kind")

    def _take_call(self, call: Any, signature: str | None, parts: list[Part]) -> None:
        if not isinstance(call, dict):
            self.outcome.malformed_events += 1
            return
        name, growing = text_of(call.get("name")), self._growing
        is_new = growing is None or name is not None
        if is_new:
            self._end_call(parts)
            self._end_reasoning({}, parts)
        if growing is None or is_new:
            index, self._tools = self._tools, self._tools + 1
            call_id = self._own_id(text_of(call.get("id")), self._made_id(index))
            growing = GrowingCall(index, call_id)
        if signature is not None:
            self._give_back({"on": "call", "call": growing.id, "signature": signature}, parts)
        if is_new:
            parts.append(ToolCallStarted(growing.index, growing.id, name or ""))
        self._growing = growing
        if not growing.add(call):
            self._end_call(parts)

    def _end_call(self, parts: list[Part]) -> None:
        """Give out the arguments of the call that was still growing, if there is one."""
        growing, self._growing = self._growing, None
        if growing is not None:
            parts.append(ToolCallDelta(growing.index, growing.arguments()))
            self.outcome.malformed_events += growing.wrong_pieces

    def _made_id(self, index: int) -> str:
        answer = self.outcome.response_id or "answer"
        clean = "".join(c if c.isascii() and c.isalnum() else "_" for c in answer)
        return f"call_{clean[:40]}_{index}"

    def _give_back(self, data: dict[str, Any], parts: list[Part]) -> None:
        """Give out what must go back with the next turn, with the reasoning before it."""
        self._reasons = True
        self._end_reasoning(data, parts)

    def _end_reasoning(self, data: dict[str, Any], parts: list[Part]) -> None:
        if not self._reasons:
            return
        self._reasons = False
        if not can_be_carried(data):
            self._note(TOO_LARGE_NOTE)
            data = {}
        parts.append(ReasoningEnded(VENDOR, data))

    def _take_citations(self, candidate: Candidate, parts: list[Part]) -> None:
        found: list[Any] = []
        if isinstance(cited := candidate.citation_metadata, dict):
            for name in ("citations", "citationSources"):
                if isinstance(items := cited.get(name), list):
                    found += items
        for name, value in (
            ("groundingMetadata", candidate.grounding_metadata),
            ("urlContextMetadata", candidate.url_context_metadata),
        ):
            if isinstance(value, dict) and value:
                found.append({name: value})
        for citation in found:
            # Chunks may say again what an earlier one said.
            if (written := encode_json(citation)) not in self._cited:
                self._cited.add(written)
                self._cite(VENDOR, citation, parts)

    def _take_finish(self, reason: Any, message: Any, parts: list[Part]) -> None:
        self._finished = True
        if isinstance(reason, int):
            reason = NUMBERED.get(reason, str(reason))
        finish = FINISHES.get(reason) if isinstance(reason, str) else None
        if finish == "error":
            # The message may quote the answer, and is not repeated.
            told = f"the answer ended in an error of the model: {reason}"
            self._note_failure(Failure(ErrorClass.SERVER_ERROR, told, code=reason))
        elif finish is None:
            kind = "another" if reason in OTHER_FINISHES else "an unknown"
            self._note(f"the answer ended for {kind} reason: {str(reason)[:40]!r}")
        elif finish == "content_filter" and self.outcome.finish != finish:
            self._note(f"the provider stopped the answer: {reason}")
            if (words := text_of(message)) is not None:
                self._end_reasoning({}, parts)
                parts.append(RefusalDelta(words))
        # It may come more than once: `stop` or nothing never hides a reason that says more.
        if finish is not None and self.outcome.finish in (None, "stop"):
            self.outcome.finish = finish

    def _note_error(self, value: Any) -> None:
        self._note_failure(stream_failure(value))


def _own_part(part: AnswerPart) -> dict[str, Any]:
    """Return what a part holds that is neither text nor a call, as it was sent."""
    held = {sent: getattr(part, name) for sent, name in OWN_PARTS.items()}
    return {sent: value for sent, value in held.items() if value is not None}


def _whole_items(body: bytes) -> list[Any]:
    """Return the items of a list in JSON that are whole, up to where it was cut off."""
    text = body.decode("utf-8", "replace")
    items: list[Any] = []
    if not text.startswith("["):
        return items
    read = json.JSONDecoder(strict=False).raw_decode
    position = 1
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        try:
            item, position = read(text, position)
        except JSON_ERRORS:
            return items
        items.append(item)
