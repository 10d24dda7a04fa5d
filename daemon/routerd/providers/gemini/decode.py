"""generateContent answers, streamed and plain, to parts and an outcome.

Rules of this file: one chunk or answer in, parts out; it never raises. A chunk has the shape of a
whole answer. The end is the end of the body: without a finish reason before it the answer was cut.
A signature belongs to the part it came with: that of a call is given out before the call and names
it, that of a text after the text, that of a thought with the thought. A part that the caller cannot
be shown (what the vendor's own tools did, a picture) is given out as data that goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from routerd.domain import Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.body import BodyDecoder
from routerd.providers.counts import ABSURD_NOTE
from routerd.providers.gemini.calls import GrowingCall
from routerd.providers.gemini.failure import blocked, stream_failure
from routerd.providers.gemini.finishes import FINISHES, NUMBERED, OTHER_FINISHES
from routerd.providers.gemini.logprobs import read_logprobs
from routerd.providers.gemini.usage import is_too_large, read_usage
from routerd.providers.gemini.wire import (
    CHUNKS,
    OWN_PARTS,
    Answer,
    AnswerPart,
    Candidate,
    UsageMetadata,
)
from routerd.providers.json_text import encode_json, text_of
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd_proto.frames import (
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)

__all__ = ["GenerateDecoder"]

VENDOR: Final = "gemini"


class GenerateDecoder(BodyDecoder[Answer]):
    """Decode one answer; `numbered` says which numbers its service has for reasons to end."""

    answers_as_events = True

    def __init__(
        self,
        *,
        stream: bool,
        max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        numbered: Mapping[int, str] = NUMBERED,
    ) -> None:
        super().__init__(CHUNKS, VENDOR, stream=stream, max_body_bytes=max_body_bytes)
        self._numbered = numbered
        self._tools = 0
        self._reasons = False
        self._choice: Any = None
        self._saw_candidate = False
        self._cited: set[bytes] = set()
        self._growing: GrowingCall | None = None
        self._continuation: str | None = None

    def _take(self, name: bytes, answer: Answer, parts: list[Part]) -> bool:
        del name
        outcome = self.outcome
        if outcome.model is None and answer.model_version:
            outcome.model = text_of(answer.model_version)
        if outcome.response_id is None and answer.response_id:
            outcome.response_id = text_of(answer.response_id)
        if answer.usage_metadata is not None:
            self._take_usage(answer.usage_metadata)
        for candidate in answer.candidates or ():
            self._take_candidate(candidate, parts)
        if answer.prompt_feedback is not None:
            self._take_feedback(answer.prompt_feedback)
        if answer.model_status is not None:
            self._note_status(answer.model_status)
        if answer.error:
            self._note_error(answer.error)
        return answer.candidates is not None or not (
            answer.usage_metadata is None and answer.prompt_feedback is None and not answer.error
        )

    def _take_feedback(self, feedback: Any) -> None:
        failure = blocked(feedback) if isinstance(feedback, dict) else None
        if failure is not None:
            self._note_failure(failure)

    def _end_plain(self) -> None:
        super()._end_plain()  # one whole answer is whole without a reason too
        if not self._saw_candidate:
            self._fail("the answer holds no candidate")

    def _take_answers(self, answers: list[Any], parts: list[Part]) -> None:
        for chunk in answers:  # they may have been cut
            self._take_value(b"", chunk, parts)

    def _end_content(self, parts: list[Part]) -> bool:
        self._end_call(parts)
        self._end_open({}, parts)
        if self.outcome.finish == "pause" and self._continuation is not None:
            self._give_back({"on": "pause", "token": self._continuation}, parts)
        return self._tools > 0

    def _take_usage(self, counted: UsageMetadata) -> None:
        outcome = self.outcome
        if counted.service_tier is not None:
            outcome.terms = {"servicetier": counted.service_tier}
            counted.service_tier = None  # it counts nothing
        usage = read_usage(counted)
        if usage is not None:
            self._keep_usage(usage)
            if outcome.early_usage is None:
                outcome.early_usage = usage
        elif is_too_large(counted):
            outcome.usage = None
            self._note(ABSURD_NOTE)

    def _note_status(self, status: Any) -> None:
        if not isinstance(status, dict):
            return
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
        grounded = candidate.grounding_metadata or candidate.url_context_metadata
        if grounded or candidate.citation_metadata:
            self._take_citations(candidate, parts)
        if candidate.continuation_token is not None:
            self._continuation = text_of(candidate.continuation_token) or self._continuation
        if candidate.logprobs_result is not None:
            self._tell_logprobs(read_logprobs(candidate.logprobs_result), parts)
        if candidate.finish_reason:
            self._take_finish(candidate.finish_reason, candidate.finish_message, parts)

    def _take_part(self, part: AnswerPart, parts: list[Part]) -> None:
        text = part.text if type(part.text) is str else ""
        signature = None if part.thought_signature is None else text_of(part.thought_signature)
        if part.thought is True:
            self._take_thought(part, text, signature, parts)
        elif part.function_call is not None:
            if text:
                self._take_text(text, None, parts)
            self._take_call(part.function_call, signature, parts)
        elif text:
            self._take_text(text, signature, parts)
        else:
            self._take_odd_part(part, signature, parts)
            return
        if (
            part.inline_data is not None
            or part.file_data is not None
            or part.executable_code is not None
            or part.code_execution_result is not None
            or part.tool_call is not None
            or part.tool_response is not None
        ) and (text or part.function_call is not None):
            for kind in _own_part(part):
                self._note_kind(kind)

    def _take_text(self, text: str, signature: str | None, parts: list[Part]) -> None:
        if self._reasons:
            self._end_open({}, parts)
        parts.append(TextDelta(text))
        if signature is not None:
            self._give_back({"on": "text", "signature": signature}, parts)

    def _take_thought(
        self, part: AnswerPart, text: str, signature: str | None, parts: list[Part]
    ) -> None:
        """Read a part of the thinking; what it calls is a call, and not only thought of."""
        if text:
            self._reasons = True
            parts.append(ReasoningDelta(text))
        if part.function_call is not None:
            self._take_call(part.function_call, signature, parts)
        elif not text and (signature is None or _own_part(part)):
            self._take_odd_part(part, signature, parts)
        elif signature is not None:
            self._give_back({"on": "thought", "signature": signature}, parts)

    def _take_odd_part(self, part: AnswerPart, signature: str | None, parts: list[Part]) -> None:
        """Read what is neither text nor a call: it cannot be shown, but goes back."""
        if own := _own_part(part):
            self._note(f"a part of the answer is not shown, and goes back: {', '.join(own)}")
            self._end_open({}, parts)
            told = {"thought": True} if part.thought is True else {}
            signed = {"signature": signature} if signature is not None else {}
            self._give_back({"on": "part", "part": own, **told, **signed}, parts)
        elif signature is not None:
            self._end_open({}, parts)
            self._give_back({"on": "empty", "signature": signature}, parts)
        elif part.text is None:
            self._note("a part of the answer was left out: it is of an unknown kind")

    def _take_call(self, call: Any, signature: str | None, parts: list[Part]) -> None:
        if not isinstance(call, dict):
            self.outcome.malformed_events += 1
            return
        name, growing = text_of(call.get("name")), self._growing
        is_new = growing is None or name is not None
        if is_new and self._tools and not call and signature is None:
            return  # the end of a call that was over
        if is_new:
            self._end_call(parts)
            self._end_open({}, parts)
        if growing is None or is_new:
            index, self._tools = self._tools, self._tools + 1
            call_id = self._own_id(text_of(call.get("id")), f"call_{self._made_id(index)}")
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

    def _give_back(self, data: dict[str, Any], parts: list[Part]) -> None:
        """Give out what must go back with the next turn, with the reasoning before it."""
        self._reasons = True
        self._end_open(data, parts)

    def _end_open(self, data: dict[str, Any], parts: list[Part]) -> None:
        if self._reasons:
            self._reasons = False
            self._end_reasoning(data, parts)

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
                self._cite(citation, parts)

    def _take_finish(self, reason: Any, message: Any, parts: list[Part]) -> None:
        self._done = True
        if isinstance(reason, int) and not isinstance(reason, bool):
            reason = self._numbered.get(reason, str(reason))
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
                self._end_open({}, parts)
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
