"""The shapes of ConverseStream events, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by the name of their frame, so that an
unknown event still decodes. Fields are `Any` where another type might come; they are checked where
they are used. The padding `p` is passed over.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import Struct

from routerd.providers.loose import JsonShape

__all__ = ["EVENTS", "ConverseEvent", "Delta", "Reasoning", "ToolInput"]


class ToolInput(Struct, gc=False):
    """A piece of a tool call's arguments."""

    input: Any = None


class Reasoning(Struct, gc=False, rename="camel"):
    """A piece of reasoning: text, or what must go back with it."""

    text: Any = None
    signature: Any = None
    redacted_content: Any = None


class Delta(Struct, gc=False, rename="camel"):
    """What an event adds to a block: a union, of which one member is there."""

    BARE: ClassVar = "text"

    text: Any = None
    tool_use: ToolInput | None = None
    tool_result: Any = None
    reasoning_content: Reasoning | None = None
    citation: Any = None


class ConverseEvent(Struct, gc=False, rename="camel"):
    """One event."""

    content_block_index: Any = 0
    delta: Delta | None = None
    start: Any = None
    stop_reason: Any = None
    usage: Any = None
    trace: Any = None
    metrics: Any = None
    service_tier: Any = None
    performance_config: Any = None


EVENTS: Final = JsonShape(ConverseEvent)
