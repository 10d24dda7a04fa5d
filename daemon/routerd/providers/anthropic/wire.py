"""The shapes of Messages events and answers, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by `type`, so that an unknown event
still decodes. A plain answer has the shape of the `message` inside `message_start`. Fields are
`Any` where a compatible server might send another type; they are checked where they are used.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Struct

from routerd.providers.loose import JsonShape

__all__ = ["EVENTS", "ContentDelta", "MessagesEvent"]


class ContentDelta(Struct, gc=False):
    """What an event adds to a block, or to the message."""

    BARE: ClassVar = "text"

    type: Any = None
    text: Any = None
    partial_json: Any = None
    thinking: Any = None
    signature: Any = None
    citation: Any = None
    stop_reason: Any = None
    stop_details: Any = None


class MessagesEvent(Struct, gc=False):
    """One event."""

    type: Any = None
    index: Any = None
    delta: ContentDelta | None = None
    content_block: Any = None
    message: Any = None
    usage: Any = None
    error: Any = None
    input_transformations: Any = None


EVENTS: Final = JsonShape(MessagesEvent)
