"""The shapes of ConverseStream events, as far as they matter here.

Rules of this file: all events are one flat shape, told apart by the name of their frame, so that an
unknown event still decodes. Fields are `Any` where another type might come; they are checked where
they are used. The padding `p` is passed over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.providers.json_text import read_json

__all__ = ["ConverseEvent", "Delta", "Reasoning", "ToolInput", "delta_of", "read_event", "reread"]


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

    text: Any = None
    tool_use: ToolInput | None = None
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


read_event: Final = msgspec.json.Decoder(ConverseEvent).decode


def reread(data: bytes) -> ConverseEvent | None:
    """Read what `read_event` refuses; None where it is JSON but no object.

    Text in it may hold halves of surrogate pairs. One of JSON_ERRORS where it is no JSON.
    """
    fields = read_json(data)
    if not isinstance(fields, dict):
        return None
    return ConverseEvent(
        content_block_index=fields.get("contentBlockIndex", 0),
        delta=delta_of(fields.get("delta")),
        start=fields.get("start"),
        stop_reason=fields.get("stopReason"),
        usage=fields.get("usage"),
        trace=fields.get("trace"),
    )


def delta_of(fields: Any) -> Delta | None:
    """Return plain data as a delta; None where it is no object."""
    if not isinstance(fields, dict):
        return None
    tool, reasoning = fields.get("toolUse"), fields.get("reasoningContent")
    return Delta(
        text=fields.get("text"),
        tool_use=ToolInput(tool.get("input")) if isinstance(tool, dict) else None,
        reasoning_content=reasoning_of(reasoning) if isinstance(reasoning, dict) else None,
        citation=fields.get("citation"),
    )


def reasoning_of(fields: dict[str, Any]) -> Reasoning:
    """Return a piece of reasoning, of a stream or of a plain answer."""
    inner = fields.get("reasoningText")
    if isinstance(inner, dict):
        fields = {**fields, **inner}
    return Reasoning(
        text=fields.get("text"),
        signature=fields.get("signature"),
        redacted_content=fields.get("redactedContent"),
    )
