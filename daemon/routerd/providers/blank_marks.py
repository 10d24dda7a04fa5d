"""Cache marks on texts of nothing but blanks, for wires that such a text is not sent to.

Rules of this file: pure. A mark says that the prompt is to be cached up to where it stands, so on a
text that is not sent it says the same as on the part before it; there it goes. Inside the result of
a tool with nothing before it, it goes to the end of that result. Elsewhere, with nothing before it
that takes a mark, it is left out with a note. Source: Anthropic's API refuses it where it stands
("cache_control cannot be set for empty text blocks").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from routerd.providers.alternating import BLANK_NOTE
from routerd.providers.request import Notes
from routerd_proto.content import CacheLifetime, Content, Document, Image, Text, ToolResult

__all__ = ["BLANK_MARK_NOTE", "BLANK_RESULT_NOTE", "with_marks_on_words"]

BLANK_MARK_NOTE: Final = "a cache mark on an empty text was left out: no part before it takes one"


BLANK_RESULT_NOTE: Final = "a text of nothing but blanks in the result of a tool was left out"


def with_marks_on_words(parts: Sequence[Content], notes: Notes) -> Sequence[Content]:
    """Return the parts with no mark on a blank text, the same ones where there was none.

    Blanks that are gone with their mark are noted, and so are those in the results of tools.
    """
    if any(map(_holds_blanks, parts)):
        notes.add(BLANK_RESULT_NOTE)
    if not any(map(_marks_blanks, parts)):
        return parts  # as nearly always
    kept: list[Content] = []
    for part in parts:
        if isinstance(part, ToolResult):
            kept.append(_of_result(part))
        elif not _is_blank(part):
            kept.append(part)
        elif isinstance(part, Text) and part.cache is not None and not _mark_last(kept, part.cache):
            notes.add(BLANK_MARK_NOTE)
    if kept and any(isinstance(part, Text) and _has_blanks(part) for part in parts):
        notes.add(BLANK_NOTE)
    return kept


def _of_result(result: ToolResult) -> ToolResult:
    if isinstance(result.content, str) or not _marks_blanks(result):
        return result
    kept: list[Content] = []
    cache = result.cache
    for part in result.content:
        if not _is_blank(part):
            kept.append(part)
        elif part.cache is not None and not _mark_last(kept, part.cache):
            cache = _longer(cache, part.cache)
    content = [part for part in kept if isinstance(part, Text | Image)]
    return replace(result, content=content, cache=cache)


def _mark_last(kept: list[Content], cache: CacheLifetime) -> bool:
    """Mark the last part, if it takes a mark; return whether it does."""
    last = kept[-1] if kept else None
    if not isinstance(last, Text | Image | Document | ToolResult):
        return False
    kept[-1] = replace(last, cache=_longer(last.cache, cache))
    return True


def _marks_blanks(part: Content) -> bool:
    if isinstance(part, ToolResult):
        return not isinstance(part.content, str) and any(map(_marks_blanks, part.content))
    return _is_blank(part) and isinstance(part, Text) and part.cache is not None


def _holds_blanks(part: Content) -> bool:
    """Say whether a part is the result of a tool in which blanks are told from words."""
    if not isinstance(part, ToolResult) or isinstance(part.content, str):
        return False
    return any(isinstance(item, Text) and _has_blanks(item) for item in part.content)


def _has_blanks(text: Text) -> bool:
    """Say whether something is lost where a text without words is not sent."""
    return bool(text.text) and not text.text.strip()


def _is_blank(part: Content) -> bool:
    return isinstance(part, Text) and not part.text.strip()


def _longer(one: CacheLifetime | None, other: CacheLifetime) -> CacheLifetime:
    return "1h" if "1h" in (one, other) else "5m"
