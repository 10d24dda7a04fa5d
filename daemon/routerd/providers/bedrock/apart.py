"""Tool calls and their results in turns of their own, for models that take nothing beside them.

Rules of this file: pure. Some makers' models refuse a turn that holds words too ("Conversation
blocks and tool result blocks cannot be provided in the same turn", and so for calls), Claude a
document beside results. Nothing of what was said is left out: a turn is cut in two, and the other
side says "." between them, as it does in recorded requests that were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, Literal

from msgspec.structs import replace

from routerd.providers.request import parts_of
from routerd_proto.content import Content, Document, Message, Reasoning, Text, ToolCall, ToolResult

__all__ = ["APART_NOTE", "Apart", "in_turns_of_their_own"]

Apart = Literal["documents", "all"]

APART_NOTE: Final = 'what stood beside tool calls or results was sent as a turn, with "." between'


def in_turns_of_their_own(messages: Sequence[Message], apart: Apart) -> list[Message]:
    """Return the messages with every turn cut in two that holds more than calls or results.

    `apart` says what does not go beside them: `documents` beside results, or `all` there is.
    """
    told: list[Message] = []
    for is_answer, run in groupby(messages, lambda message: message.role == "assistant"):
        said = list(run)
        if is_answer:
            calls, others = _split(said, ToolCall)
            if apart == "all" and calls and _holds(others, _is_said):
                said = [*others, Message("user", "."), Message("assistant", calls)]
        else:
            results, others = _split(said, ToolResult)
            if results and _holds(others, _is_said if apart == "all" else _is_document):
                said = [Message("user", results), Message("assistant", "."), *others]
        told += said
    return told


def _split(said: list[Message], kind: type[Content]) -> tuple[list[Content], list[Message]]:
    """Return the parts of one kind, and the messages without them."""
    own = [part for message in said for part in parts_of(message) if isinstance(part, kind)]
    others: list[Message] = []
    for message in said:
        kept = [part for part in parts_of(message) if not isinstance(part, kind)]
        if len(kept) == len(parts_of(message)):
            others.append(message)
        elif kept:
            others.append(replace(message, content=kept))
    return own, others


def _holds(messages: list[Message], is_meant: Callable[[Content], bool]) -> bool:
    return any(is_meant(part) for message in messages for part in parts_of(message))


def _is_said(part: Content) -> bool:
    """Say whether a part is sent as words or a picture; reasoning may stand beside calls."""
    if isinstance(part, Text):
        return bool(part.text.strip())
    return not isinstance(part, Reasoning)


def _is_document(part: Content) -> bool:
    return isinstance(part, Document)
