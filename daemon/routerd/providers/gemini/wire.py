"""The shapes of generateContent answers, as far as they matter here.

Rules of this file: a chunk of a stream has the shape of a whole answer. Fields are `Any` where
another server might send another type; they are checked where they are used.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from routerd.providers.loose import JsonShape

__all__ = ["CHUNKS", "OWN_PARTS", "Answer", "AnswerPart", "Candidate", "UsageMetadata"]


class AnswerPart(Struct, rename="camel", gc=False):
    """One part of a content; what it is shows by the field that is set."""

    BARE: ClassVar = "text"

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


class AnswerContent(Struct, gc=False):
    """The parts of one candidate."""

    BARE: ClassVar = "parts"

    parts: list[AnswerPart] | None = None


class Candidate(Struct, rename="camel", gc=False):
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


Count = Annotated[int, Meta(ge=0)] | None


class UsageMetadata(Struct, rename="camel", gc=False):
    """What was counted so far; it comes with every chunk."""

    prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    cached_content_token_count: Count = None
    service_tier: Any = None


class Answer(Struct, rename="camel", gc=False):
    """One chunk or answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Any = None
    usage_metadata: UsageMetadata | None = None
    model_version: Any = None
    response_id: Any = None
    model_status: Any = None
    error: Any = None


CHUNKS: Final = JsonShape(Answer)
