"""The ids of tool calls in a conversation, each made one of its own, and which have no result.

Rules of this file: pure, and of no vendor. Some servers count calls anew in every answer, so that
after two of them, or after a change of vendor, two calls have one id; most vendors refuse that, and
others pair results wrongly. What a call was before decides its new id, never what follows, so that
a longer conversation begins as the shorter one was sent. What fits a vendor's own rule for ids is
its adapter's to say, and so is whether it takes a call without a result. None is ever made up: the
model would believe it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from routerd.errors import CallRefused
from routerd.providers.request import refusal
from routerd_proto.content import Content, Message, Reasoning, ToolCall, ToolResult

__all__ = ["SAME_ID_NOTE", "unanswered_refusal", "with_distinct_calls"]

SAME_ID_NOTE: Final = "tool calls that had the same id were given others"


def with_distinct_calls(messages: list[Message], unanswered: list[ToolCall]) -> list[Message]:
    """Return the messages with an id for every tool call; the same list where that was so.

    Calls without a result are added to `unanswered`, by the ids that they came with.
    """
    seen: set[str] = set()
    waiting: dict[str, ToolCall] = {}
    for message in messages:
        if type(message.content) is str:
            continue
        for part in message.content:
            if type(part) is ToolCall:
                if part.id in seen:
                    return _with_new_ids(messages, unanswered)
                seen.add(part.id)
                waiting[part.id] = part
            elif type(part) is ToolResult:
                waiting.pop(part.call_id, None)
    if waiting:
        unanswered += waiting.values()
    return messages


def _with_new_ids(messages: list[Message], unanswered: list[ToolCall]) -> list[Message]:
    renamed, found = _renamed(messages), list[ToolCall]()
    with_distinct_calls(renamed, found)
    # By the ids that the caller gave them.
    given = {new.id: old for new, old in zip(_calls(renamed), _calls(messages), strict=True)}
    unanswered += [given[call.id] for call in found]
    return renamed


def _calls(messages: list[Message]) -> Iterator[ToolCall]:
    for message in messages:
        if not isinstance(message.content, str):
            yield from (part for part in message.content if isinstance(part, ToolCall))


def unanswered_refusal(call: ToolCall) -> CallRefused:
    """Return the refusal of a conversation in which a tool call has no result."""
    return refusal(
        f"the tool call {call.id[:100]!r} of {call.name[:100]!r} has no result, and this provider "
        "refuses that: add a tool_result for it, which may say that it was cancelled, or leave the "
        "call out",
        param="messages",
    )


def _renamed(messages: list[Message]) -> list[Message]:
    ids = _Ids()
    renamed: list[Message] = []
    for message in messages:
        if isinstance(message.content, str):
            renamed.append(message)
            continue
        parts: list[Content] = []
        # By old id, behind which part of this message the reasoning of the next such call begins.
        behind: dict[str, int] = {}
        for part in message.content:
            match part:
                case ToolCall(id=old):
                    name = ids.begin(old)
                    if name != old:
                        _rename_reasoning(parts, behind.get(old, 0), old, name)
                    parts.append(replace(part, id=name))
                    behind[old] = len(parts)
                case ToolResult():
                    parts.append(replace(part, call_id=ids.answer(part.call_id)))
                case _:
                    parts.append(part)
        renamed.append(replace(message, content=parts))
    return renamed


class _Ids:
    """The calls so far: which ids are taken, and which calls of an old id have no result yet."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._open: dict[str, deque[str]] = {}
        self._last: dict[str, str] = {}

    def begin(self, old: str) -> str:
        name, number = old, 1
        while name in self._taken:
            number += 1
            name = f"{old}_{number}"
        self._taken.add(name)
        self._open.setdefault(old, deque()).append(name)
        self._last[old] = name
        return name

    def answer(self, old: str) -> str:
        waiting = self._open.get(old)
        return waiting.popleft() if waiting else self._last.get(old, old)


def _rename_reasoning(parts: list[Content], start: int, old: str, new: str) -> None:
    """Rename a call in what its vendor left before it: a signature may say whose it is."""
    for index in range(start, len(parts)):
        part = parts[index]
        if isinstance(part, Reasoning) and part.data:
            parts[index] = replace(part, data=_with_name(part.data, old, new))


def _with_name(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_name(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_name(item, old, new) for item in value]
    return new if value == old else value
