"""Marks up to where a prompt is to be cached, as OpenAI's newer models take them.

Rules of this file: a mark stands on a part of a message. The API writes four of them at most, so
the last four stay: they cover the longest prefixes. Its lifetimes are the least that it keeps a
prefix; the caller's are rounded up to one. Source: the types of openai-python 3.51.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from routerd.providers.request import Notes
from routerd_proto.content import CacheLifetime, Content, Document, Image, Text

__all__ = ["any_marked", "keep_last_marks", "keeps_long", "marked"]

Json = dict[str, Any]

FIELD: Final = "prompt_cache_breakpoint"
LIFETIMES: Final = {"5m": "30m", "1h": "12h"}
MOST_MARKS: Final = 4


def any_marked(parts: Sequence[Content]) -> bool:
    """Return whether one of the parts asks to be cached."""
    return any(isinstance(part, Text | Image | Document) and part.cache for part in parts)


def keeps_long(turns: list[Json]) -> bool:
    """Return whether a mark that is sent asks for the longer lifetime, which costs more to write.

    Where both are asked for and the answer tells neither, the dearer is what may be billed.
    """
    return any(part[FIELD]["ttl"] == LIFETIMES["1h"] for part in _marked_parts(turns))


def marked(part: Json, cache: CacheLifetime | None) -> Json:
    """Return the part, marked where that is asked for."""
    if cache is not None:
        part[FIELD] = {"mode": "explicit", "ttl": LIFETIMES[cache]}
    return part


def keep_last_marks(turns: list[Json], notes: Notes) -> None:
    """Take away all marks but the last ones, of messages or of items with their results."""
    for part in _marked_parts(turns)[:-MOST_MARKS]:
        del part[FIELD]
        notes.add(f"only the last {MOST_MARKS} cache marks were sent")


def _marked_parts(turns: list[Json]) -> list[Json]:
    return [
        part
        for turn in turns
        for content in (turn.get("content"), turn.get("output"))
        if isinstance(content, list)
        for part in content
        if isinstance(part, dict) and FIELD in part  # a vendor's own items go back as they came
    ]
