"""The shapes of the events of a Chat stream, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by `type`, so that an unknown event
still decodes. In an event `content`, `tool_calls` and `citations` hold one object, in
`message-start` and in a plain answer a list. Fields are `Any` where another type would cost the
rest of an event; they are checked where they are used. Source: the types of cohere 7.3.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Struct

from routerd.providers.loose import JsonShape
from routerd.providers.tool_calls import ToolCallFragment

__all__ = ["EVENTS", "ChatEvent", "Delta", "DeltaMessage", "Piece"]


class Piece(Struct, gc=False):
    """A piece of a content block, or a whole one."""

    BARE: ClassVar = "text"

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


EVENTS: Final = JsonShape(ChatEvent)
