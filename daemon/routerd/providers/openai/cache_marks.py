"""Marks up to where a prompt is to be cached, as OpenAI's newer models take them.

Rules of this file: a mark stands on a part of a message. The API writes four of them at most, so
the last four stay: they cover the longest prefixes. Its lifetimes are the least that it keeps a
prefix; the caller's are rounded up to one. Source: the types of openai-python 3.51.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from routerd.providers.request import Notes, cache_of
from routerd_proto.content import CacheLifetime, Content, Document, Image, Message, Text

__all__ = ["any_marked", "asks_for_long", "keep_last_marks", "marked"]

Json = dict[str, Any]

FIELD: Final = "prompt_cache_breakpoint"
LIFETIMES: Final = {"5m": "30m", "1h": "12h"}
MOST_MARKS: Final = 4


def any_marked(parts: Sequence[Content]) -> bool:
    """Return whether one of the parts asks to be cached."""
    return any(isinstance(part, Text | Image | Document) and part.cache for part in parts)


def asks_for_long(messages: Sequence[Message]) -> bool:
    """Return whether anything is to be kept for the longer lifetime, which costs more to write."""
    return any(
        cache_of(part) == "1h"
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
    )


def marked(part: Json, cache: CacheLifetime | None) -> Json:
    """Return the part, marked where that is asked for."""
    if cache is not None:
        part[FIELD] = {"mode": "explicit", "ttl": LIFETIMES[cache]}
    return part


def keep_last_marks(turns: list[Json], notes: Notes) -> None:
    """Take away all marks but the last ones, of messages or of items with their results."""
    parts = [
        part
        for turn in turns
        for content in (turn.get("content"), turn.get("output"))
        if isinstance(content, list)
        for part in content
        if FIELD in part
    ]
    for part in parts[:-MOST_MARKS]:
        del part[FIELD]
        notes.add(f"only the last {MOST_MARKS} cache marks were sent")
