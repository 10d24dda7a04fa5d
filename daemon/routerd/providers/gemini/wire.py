"""The shapes of generateContent answers, as far as they matter here.

Rules of this file: a chunk of a stream has the shape of a whole answer. Fields are `Any` where
another server might send another type; they are checked where they are used.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

__all__ = ["OWN_PARTS", "Answer", "AnswerPart", "Candidate", "answer_of", "read_answer"]

Shape = TypeVar("Shape", bound=Struct)


class AnswerPart(Struct, rename="camel", gc=False):
    """One part of a content; what it is shows by the field that is set."""

    text: Any = None
    thought: Any = None
    thought_signature: Any = None
    function_call: Any = None
    inline_data: Any = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None
    file_data: Any = None


OWN_PARTS: Final = {
    "inlineData": "inline_data",
    "fileData": "file_data",
    "executableCode": "executable_code",
    "codeExecutionResult": "code_execution_result",
    "toolCall": "tool_call",
    "toolResponse": "tool_response",
}
"""The parts that are neither text nor a call for the caller, as they are sent and in AnswerPart."""


class AnswerContent(Struct):
    """The parts of one candidate."""

    parts: list[AnswerPart] | None = None


class Candidate(Struct, rename="camel"):
    """One candidate, or what a chunk adds to it."""

    content: AnswerContent | None = None
    finish_reason: Any = None
    finish_message: Any = None
    index: Any = None
    citation_metadata: Any = None
    grounding_metadata: Any = None
    url_context_metadata: Any = None
    logprobs_result: Any = None
    continuation_token: Any = None


class Answer(Struct, rename="camel"):
    """One chunk or answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Any = None
    usage_metadata: Any = None
    model_version: Any = None
    response_id: Any = None
    model_status: Any = None
    error: Any = None


read_answer: Final = msgspec.json.Decoder(Answer).decode


def answer_of(value: Any) -> Answer | None:
    """Read decoded JSON of other types than expected; None where it is no object."""
    if not isinstance(value, dict):
        return None
    answer = _filled(Answer, value)
    candidates = value.get("candidates")
    if isinstance(candidates, dict):
        candidates = [candidates]
    answer.candidates = (
        [_candidate(item) for item in candidates if isinstance(item, dict)]
        if isinstance(candidates, list)
        else None
    )
    return answer


def _candidate(value: dict[str, Any]) -> Candidate:
    candidate = _filled(Candidate, value)
    content = value.get("content")
    parts = content.get("parts") if isinstance(content, dict) else content
    if not isinstance(parts, list):
        parts = [] if parts is None else [parts]
    candidate.content = AnswerContent(
        [
            _filled(AnswerPart, part) if isinstance(part, dict) else AnswerPart(text=part)
            for part in parts
        ]
    )
    return candidate


def _filled(shape: type[Shape], value: dict[str, Any]) -> Shape:
    names = zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
    return shape(**{name: value.get(sent) for name, sent in names})
