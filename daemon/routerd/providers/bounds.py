"""How large a part of an answer may be, so that any reader's limit on a frame is kept.

Rules of this file: pure, and of no vendor. Text is never cut off, only cut into several parts; what
a vendor adds beside the text is passed on whole or not at all.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Part
from routerd_proto.frames import (
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)

__all__ = ["MAX_PART_CHARACTERS", "TOO_LARGE_NOTE", "can_be_carried", "is_too_long", "split_texts"]

MAX_PART_CHARACTERS: Final = 1024 * 1024
"""The most text of one part: at most 4 MiB of UTF-8, a quarter of the default limit on a frame."""

TOO_LARGE_NOTE: Final = "data to go back with reasoning was left out: too large, or too deep"

MAX_DATA_CHARACTERS: Final = 2 * 1024 * 1024
MAX_DATA_DEPTH: Final = 100
# What a number, a name's length or a bracket takes at most, in characters of four bytes.
CHARACTERS_PER_ITEM: Final = 4


def split_texts(parts: list[Part]) -> list[Part]:
    """Return the same parts with every text of more than MAX_PART_CHARACTERS in several."""
    split: list[Part] = []
    for part in parts:
        match part:
            case TextDelta(text=text) if len(text) > MAX_PART_CHARACTERS:
                split.extend(TextDelta(piece) for piece in _pieces(text))
            case ReasoningDelta(reasoning=text) if len(text) > MAX_PART_CHARACTERS:
                split.extend(ReasoningDelta(piece) for piece in _pieces(text))
            case RefusalDelta(refusal=text) if len(text) > MAX_PART_CHARACTERS:
                split.extend(RefusalDelta(piece) for piece in _pieces(text))
            case ToolCallDelta(arguments=text) if len(text) > MAX_PART_CHARACTERS:
                split.extend(ToolCallDelta(part.index, piece) for piece in _pieces(text))
            case _:
                split.append(part)
    return split


def is_too_long(call: ToolCallStarted) -> bool:
    """Return whether a tool call's id and name are too long for a part; half a name is none."""
    return len(call.id) + len(call.name) > MAX_PART_CHARACTERS


def can_be_carried(data: Any) -> bool:
    """Return whether plain data of a vendor is neither too large for a frame nor too deep."""
    left, depth = MAX_DATA_CHARACTERS, 0
    level: list[Any] = [data]
    while level:
        depth += 1
        if depth > MAX_DATA_DEPTH:
            return False
        inner: list[Any] = []
        for value in level:
            left -= CHARACTERS_PER_ITEM
            if isinstance(value, str):
                left -= len(value)
            elif isinstance(value, dict):
                inner.extend(value)
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if left < 0:
            return False
        level = inner
    return True


def _pieces(text: str) -> list[str]:
    return [
        text[start : start + MAX_PART_CHARACTERS]
        for start in range(0, len(text), MAX_PART_CHARACTERS)
    ]
