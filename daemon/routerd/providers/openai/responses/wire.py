"""The shapes of Responses events, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by `type`, so that an unknown event
still decodes. Fields are `Any` where a compatible server might send another type; they are checked
where they are used. Items and whole answers stay plain data: they come once, deltas by the
thousand.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from routerd.providers.loose import JsonShape

__all__ = ["EVENTS", "ResponseEvent"]


class ResponseEvent(Struct, gc=False):
    """One event."""

    type: Any = None
    delta: Any = None
    output_index: Any = None
    item_id: Any = None
    content_index: Any = None
    summary_index: Any = None
    item: Any = None
    part: Any = None
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


EVENTS: Final = JsonShape(ResponseEvent)
