"""Tool calls of earlier turns, told in words where no tool may be called.

Rules of this file: pure. Converse knows no tool choice `none`, and refuses a history with calls
where no tools are named. To name them would let the model call what the caller forbids, or did not
offer: no answer may hold such a call, and one that was left out for it would mostly be empty. So
the calls and their results become words of the user: not of the assistant, who would write its own
calls in the same form. Nothing that a tool said is lost, nor its pictures. It has a cost: the
prompt is another, so that the vendor's cache is not read, and signed reasoning, which newer models
bind to everything before it, has to stay out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from routerd.providers.claude_repairs import without_reasoning
from routerd.providers.request import Notes, end_mark, parts_of
from routerd_proto.content import Content, Message, Text, ToolCall, ToolResult

__all__ = ["in_words"]

NOTE: Final = (
    "tool calls of earlier turns were sent in words: this provider cannot forbid tools that it sees"
)
THINKING_NOTE: Final = "reasoning of earlier answers was left out with the tool calls it stood by"


def in_words(messages: Sequence[Message], notes: Notes, *, signed: bool) -> list[Message]:
    """Return a conversation without calls and results; one without any stays as it is.

    `signed` says that the model's reasoning is bound to what came before it.
    """
    if not any(_has_calls(message) for message in messages):
        return list(messages)
    notes.add(NOTE)
    calls: dict[str, ToolCall] = {}
    told: list[Message] = []
    for message in messages:
        kept = without_reasoning(message) if signed else message
        if kept != message:
            notes.add(THINKING_NOTE)
        results = [part for part in parts_of(kept) if isinstance(part, ToolResult)]
        others = [part for part in parts_of(kept) if not isinstance(part, ToolResult)]
        parts: list[Content] = []
        for result in results:
            parts += _result(calls.pop(result.call_id, None), result, notes)
        if others and calls:
            parts += _unanswered(calls)  # nothing else will come back from them
        if parts:
            told.append(Message("user", parts))
        calls.update((part.id, part) for part in others if isinstance(part, ToolCall))
        if said := [part for part in others if not isinstance(part, ToolCall)]:
            told.append(replace(message, content=said))
    if calls:
        told.append(Message("user", _unanswered(calls)))
    return told


def _has_calls(message: Message) -> bool:
    return any(isinstance(part, ToolCall | ToolResult) for part in parts_of(message))


def _result(call: ToolCall | None, result: ToolResult, notes: Notes) -> list[Content]:
    content = result.content
    inside = [Text(content)] if isinstance(content, str) else list(content)
    text = "\n\n".join(part.text for part in inside if isinstance(part, Text) and part.text)
    ending = " It failed:" if result.is_error else " It answered:"
    words = f"{_called(call)}{ending}\n\n{text}" if text else f"{_called(call)}{ending[:-1]}."
    pictures = [part for part in inside if not isinstance(part, Text)]
    parts: list[Content] = [Text(words), *(replace(part, cache=None) for part in pictures)]
    last = parts[-1]
    if not isinstance(last, ToolCall):
        parts[-1] = replace(last, cache=end_mark(result, notes))
    return parts


def _called(call: ToolCall | None) -> str:
    if call is None:
        return "A tool was called."
    return f"The tool {call.name} was called with {call.arguments.strip() or '{}'}."


def _unanswered(calls: dict[str, ToolCall]) -> list[Content]:
    """Tell the calls that nothing came back from, once."""
    told: list[Content] = [Text(f"{_called(call)} It gave no answer.") for call in calls.values()]
    calls.clear()
    return told
