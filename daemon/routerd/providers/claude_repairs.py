"""What a request to Claude that was refused is sent as once more, where the refusal names the cure.

Rules of this file: pure. One cure is to leave all thinking of earlier answers out: a signature is
bound to the account and to everything before it, and a part of them does not help. The other is not
to ask for a summary of the thinking. What anybody said, tool calls and their results stay. The
vendor gives no code for it, so its words decide.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Repair
from routerd.providers.own_blocks import is_no_reasoning
from routerd_proto.content import Message, Reasoning

__all__ = ["repair_request", "without_reasoning"]

OF_ANOTHER_CONVERSATION: Final = "block is bound to a different conversation"
BAD_SIGNATURE: Final = ("invalid `signature`", "`thinking` block")
NOTE: Final = "thinking of earlier answers was left out: the provider refused its signature"
# An older server of this format names the field as its path, or by itself.
DISPLAY: Final = re.compile(r"thinking[.\w]*\.display\b|\bkey \[display\]")
DISPLAY_NOTE: Final = "no summary of the thinking was asked for: the provider refused it"


def repair_request(request: ChatRequest, failure: Failure) -> Repair | None:
    """Return the request as the provider may take it, None where the refusal names no cure."""
    if failure.error_class is not ErrorClass.BAD_REQUEST or failure.status != 400:
        return None
    message = failure.message.lower()
    if request.reasoning_shown and DISPLAY.search(message) is not None:
        return Repair(replace(request, reasoning_shown=False), DISPLAY_NOTE)
    is_bound = OF_ANOTHER_CONVERSATION in message
    if not is_bound and not all(words in message for words in BAD_SIGNATURE):
        return None
    messages = [without_reasoning(item) for item in request.messages]
    if messages == request.messages:
        return None
    return Repair(replace(request, messages=messages), NOTE)


def without_reasoning(message: Message) -> Message:
    """Return a message without any reasoning in it; what the vendor's own tools did stays."""
    if isinstance(message.content, str):
        return message
    return replace(
        message,
        content=[
            part
            for part in message.content
            if not isinstance(part, Reasoning) or is_no_reasoning(part)
        ],
    )
