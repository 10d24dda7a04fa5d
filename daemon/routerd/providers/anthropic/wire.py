"""The shapes of Messages events and answers, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by `type`, so that an unknown event
still decodes. A plain answer has the shape of the `message` inside `message_start`. Fields are
`Any` where a compatible server might send another type; they are checked where they are used.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.providers.json_text import read_json

__all__ = ["ContentDelta", "MessagesEvent", "read_event", "reread_event"]


class ContentDelta(Struct, gc=False):
    """What an event adds to a block, or to the message."""

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


read_event: Final = msgspec.json.Decoder(MessagesEvent).decode


def reread_event(data: bytes) -> MessagesEvent | None:
    """Read what `read_event` refuses; None where it is JSON but no object.

    Text in it may hold halves of surrogate pairs. One of JSON_ERRORS where it is no JSON.
    """
    fields = read_json(data)
    if not isinstance(fields, dict):
        return None
    delta = fields.get("delta")
    return MessagesEvent(
        type=fields.get("type"),
        index=fields.get("index"),
        delta=ContentDelta(**{name: delta.get(name) for name in ContentDelta.__struct_fields__})
        if isinstance(delta, dict)
        else None,
        content_block=fields.get("content_block"),
        message=fields.get("message"),
        usage=fields.get("usage"),
        error=fields.get("error"),
    )
