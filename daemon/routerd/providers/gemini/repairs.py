"""What a refused request is sent as once more, where the refusal names the cure.

Rules of this file: pure. One cure is for signatures of thoughts: one that is missing, or that the
provider does not accept. All that came with earlier answers are left out, and the first call of
every step gets the stand-in that the vendor documents. What anybody said, calls of tools and their
results stay. The other is for a level of thinking that the model does not have: the next one takes
its place. The vendor gives no code for either, so its words decide.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Repair
from routerd.providers.gemini.messages import STAND_IN_SIGNATURE, VENDOR
from routerd_proto.content import Content, Message, Reasoning, ReasoningEffort, ToolCall

__all__ = ["repair_request"]

OF_SIGNATURES: Final = ("thought_signature", "thought signature", "thoughtsignature")
NOTE: Final = (
    "signatures of earlier answers were left out: the provider refused the request for one; calls "
    "of tools were sent with its stand-in for them"
)
REFUSED_LEVEL: Final = re.compile(r"thinking level (\w+) is not supported")
# Every model that has levels takes these two.
OTHER_LEVEL: Final[dict[str, ReasoningEffort]] = {
    "minimal": "low",
    "medium": "low",
    "xhigh": "high",
}


def repair_request(request: ChatRequest, failure: Failure) -> Repair | None:
    """Return the request as the provider may take it, None where the refusal names no cure."""
    if failure.error_class is not ErrorClass.BAD_REQUEST or failure.status != 400:
        return None
    message = failure.message.lower()
    if (refused := REFUSED_LEVEL.search(message)) is not None:
        return _with_other_level(request, refused[1])
    if not any(words in message for words in OF_SIGNATURES):
        return None
    messages = [_with_stand_in(message) for message in request.messages]
    if messages == request.messages:
        return None
    return Repair(replace(request, messages=messages), NOTE)


def _with_other_level(request: ChatRequest, level: str) -> Repair | None:
    asked, other = request.options.reasoning, OTHER_LEVEL.get(level)
    if asked is None or other is None:
        return None
    options = replace(request.options, reasoning=other)
    note = f"reasoning {asked} was sent as {other}: the provider refused the level {level}"
    return Repair(replace(request, options=options), note)


def _with_stand_in(message: Message) -> Message:
    if message.role != "assistant" or isinstance(message.content, str):
        return message
    parts: list[Content] = []
    is_signed = False
    for part in message.content:
        if isinstance(part, Reasoning) and part.vendor == VENDOR and "signature" in part.data:
            if "part" not in part.data:
                continue
            unsigned = {key: value for key, value in part.data.items() if key != "signature"}
            part = replace(part, data=unsigned)  # noqa: PLW2901 - the same part, unsigned
        if isinstance(part, ToolCall) and not is_signed:
            is_signed = True
            data = {"on": "call", "call": part.id, "signature": STAND_IN_SIGNATURE}
            parts.append(Reasoning("", VENDOR, data))
        parts.append(part)
    return replace(message, content=parts)
