"""The shapes of Responses events, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by `type`, so that an unknown event
still decodes. Fields are `Any` where a compatible server might send another type; they are checked
where they are used. Items and whole answers stay plain data: they come once, deltas by the
thousand.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.providers.json_text import read_json

__all__ = ["ResponseEvent", "read_event", "reread_event"]


class ResponseEvent(Struct, gc=False):
    """One event."""

    type: Any = None
    delta: Any = None
    output_index: Any = None
    item_id: Any = None
    content_index: Any = None
    summary_index: Any = None
    item: Any = None
    response: Any = None
    annotation: Any = None
    logprobs: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


read_event: Final = msgspec.json.Decoder(ResponseEvent).decode


def reread_event(data: bytes) -> ResponseEvent | None:
    """Read what `read_event` refuses; None where it is JSON but no object.

    Text in it may hold halves of surrogate pairs. One of JSON_ERRORS where it is no JSON.
    """
    fields = read_json(data)
    if not isinstance(fields, dict):
        return None
    return ResponseEvent(**{name: fields.get(name) for name in ResponseEvent.__struct_fields__})
