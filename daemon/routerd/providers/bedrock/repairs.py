"""What a refused Converse request is sent as once more, where the refusal names the cure.

Rules of this file: pure. Only what does not change the meaning is left out: cache marks, sampling,
the effort of reasoning, and reasoning of earlier answers. Never tools, their choice, the schema, a
text or a bound. What may not stand in one turn comes in two. There are no codes for it: the vendor
names the field in its words.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Repair
from routerd.providers.bedrock.apart import APART_NOTE, in_turns_of_their_own
from routerd.providers.bedrock.makers import habits_of
from routerd.providers.claude_repairs import repair_request as repair_thinking
from routerd.providers.claude_repairs import without_reasoning
from routerd.providers.request import cache_of
from routerd_proto.content import Content, Message, ToolResult

__all__ = ["repair_request"]

CACHE_MARK: Final = re.compile(r"cache[ _]?point|prompt caching")
NOT_TOGETHER: Final = re.compile(
    r"conversation blocks and tool (?:use|result) blocks cannot be provided in the same turn"
)
REASONING_BACK: Final = re.compile(r"reasoningcontent|reasoning content|reasoning_content")
# What else may be left out: the words for it, and the option that it comes from.
OPTIONS: Final = (
    (re.compile(r"\btop_?p\b"), "top_p"),
    (re.compile(r"\btemperature\b"), "temperature"),
    (
        re.compile(
            r"\breasoning_?config\b|\breasoning config\b|\breasoning_effort\b|\boutput_config\b"
            r"|\bthinking\.(?:type|adaptive|enabled|budget_tokens)\b|\bkey \[thinking\]"
        ),
        "reasoning",
    ),
)
# That a field is refused, not one of its values: that may be the caller's mistake.
REFUSED: Final = re.compile(
    r"doesn't support|does not support|not supported|unsupported|extraneous key|not permitted"
    r"|cannot (?:both )?be (?:specified|inserted)|invalid cache point|value is invalid|deprecated"
)


def repair_request(request: ChatRequest, failure: Failure) -> Repair | None:
    """Return the request as the model may take it, None where the refusal names no cure."""
    if failure.error_class is not ErrorClass.BAD_REQUEST or failure.status != 400:
        return None
    message = failure.message.lower()
    if NOT_TOGETHER.search(message) is not None and habits_of(request.model_id).apart != "all":
        return _with_messages(request, in_turns_of_their_own(request.messages, "all"), APART_NOTE)
    return repair_thinking(request, failure) or _without_field(request, message)


def _without_field(request: ChatRequest, message: str) -> Repair | None:
    """Leave out the field that a refusal names, where that may be done."""
    if REFUSED.search(message) is None:
        return None
    if CACHE_MARK.search(message) is not None:
        note = "cache marks were left out: the provider refused them"
        return _with_messages(request, [_without_marks(item) for item in request.messages], note)
    if REASONING_BACK.search(message) is not None:
        note = "reasoning of earlier answers was left out: the provider refused it"
        return _with_messages(request, [without_reasoning(item) for item in request.messages], note)
    for pattern, option in OPTIONS:
        if pattern.search(message) is not None and getattr(request.options, option) is not None:
            options = replace(request.options, **{option: None})
            note = f"{option} was left out: the provider refused it"
            return Repair(replace(request, options=options), note)
    return None


def _with_messages(request: ChatRequest, messages: list[Message], note: str) -> Repair | None:
    if messages == request.messages:
        return None
    return Repair(replace(request, messages=messages), note)


def _without_marks(message: Message) -> Message:
    if isinstance(message.content, str):
        return message
    return replace(message, content=[_unmarked(part) for part in message.content])


def _unmarked(part: Content) -> Content:
    if cache_of(part) is None:
        return part
    if isinstance(part, ToolResult) and not isinstance(part.content, str):
        part = replace(part, content=[replace(item, cache=None) for item in part.content])
    return replace(part, cache=None)
