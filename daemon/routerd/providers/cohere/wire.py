"""The shapes of the events of a Chat stream, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by `type`, so that an unknown event
still decodes. In an event `content`, `tool_calls` and `citations` hold one object, in
`message-start` and in a plain answer a list. Fields are `Any` where another type would cost the
rest of an event; they are checked where they are used. Source: the types of cohere 7.3.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.providers.json_text import read_json
from routerd.providers.tool_calls import ToolCallFragment, function_of

__all__ = [
    "ChatEvent",
    "Delta",
    "DeltaMessage",
    "Piece",
    "as_message",
    "read_event",
    "reread_event",
]


class Piece(Struct, gc=False):
    """A piece of a content block, or a whole one."""

    type: Any = None
    text: Any = None
    thinking: Any = None


class DeltaMessage(Struct, gc=False):
    """What an event adds to the message, or a whole message."""

    content: Piece | list[Piece] | str | None = None
    tool_plan: Any = None
    tool_calls: ToolCallFragment | list[ToolCallFragment] | None = None
    citations: Any = None


class Delta(Struct, gc=False):
    """What an event changes."""

    message: DeltaMessage | None = None
    finish_reason: Any = None
    usage: Any = None
    error: Any = None


class ChatEvent(Struct, gc=False):
    """One event. `message` and `error` are those of an error in place of an event."""

    type: Any = None
    id: Any = None
    index: Any = None
    delta: Delta | None = None
    message: Any = None
    error: Any = None
    logprobs: Any = None


read_event: Final = msgspec.json.Decoder(ChatEvent).decode


def reread_event(data: bytes) -> ChatEvent | None:
    """Read what `read_event` refuses; None where it is JSON but no object.

    Text in it may hold halves of surrogate pairs. One of JSON_ERRORS where it is no JSON.
    """
    fields = read_json(data)
    if not isinstance(fields, dict):
        return None
    delta = fields.get("delta")
    return ChatEvent(
        type=fields.get("type"),
        id=fields.get("id"),
        index=fields.get("index"),
        delta=Delta(
            message=as_message(delta.get("message")),
            finish_reason=delta.get("finish_reason"),
            usage=delta.get("usage"),
            error=delta.get("error"),
        )
        if isinstance(delta, dict)
        else None,
        message=fields.get("message"),
        error=fields.get("error"),
        logprobs=fields.get("logprobs"),
    )


def as_message(fields: Any) -> DeltaMessage | None:
    """Read a message out of plain data, None where it is no object."""
    if not isinstance(fields, dict):
        return None
    content = fields.get("content")
    calls = fields.get("tool_calls")
    return DeltaMessage(
        content=content
        if isinstance(content, str)
        else [_piece(item) for item in _items(content) if isinstance(item, dict | str)],
        tool_plan=fields.get("tool_plan"),
        tool_calls=[_call(item) for item in _items(calls) if isinstance(item, dict)],
        citations=fields.get("citations"),
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _piece(fields: dict[str, Any] | str) -> Piece:
    if isinstance(fields, str):
        return Piece(text=fields)
    return Piece(type=fields.get("type"), text=fields.get("text"), thinking=fields.get("thinking"))


def _call(fields: dict[str, Any]) -> ToolCallFragment:
    return ToolCallFragment(
        index=fields.get("index"), id=fields.get("id"), function=function_of(fields.get("function"))
    )
