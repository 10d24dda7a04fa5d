"""What the items of a Responses answer hold, read out of plain data.

Rules of this file: pure; whatever a server wrote, nothing is raised. What is no text is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from routerd.providers.openai.told import TextKind

__all__ = ["BETWEEN_SUMMARIES", "Extra", "items_of", "kind_of", "said_in", "text_in", "thoughts_in"]

# What comes with a text: where it is from, or how likely its tokens were.
Extra = tuple[Literal["citation", "logprobs"], Any]

BETWEEN_SUMMARIES: Final = "\n\n"
KINDS: Final[dict[str, TextKind]] = {
    "message": "text",
    "function_call": "arguments",
    "reasoning": "reasoning",
}


def kind_of(item: dict[str, Any]) -> TextKind | None:
    """Return what an item brings, None where nothing of it is the caller's."""
    kind = item.get("type")
    if kind is None and "content" in item:
        return "text"
    return KINDS.get(kind) if isinstance(kind, str) else None


def items_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a whole answer; some have their text beside them, as clients show it."""
    output, text = answer.get("output"), answer.get("output_text")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    if isinstance(text, str) and not any(kind_of(item) == "text" for item in items):
        items.append({"type": "message", "content": text})
    return items


def said_in(item: dict[str, Any]) -> Iterator[tuple[TextKind, str, dict[str, Any]]]:
    """Yield the parts of a message: what they are, their text, and all of them."""
    content = item.get("content")
    if isinstance(content, str):
        content = [{"text": content}]
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            yield (*text_in(part), part)


def text_in(part: dict[str, Any]) -> tuple[TextKind, str]:
    """Return whether a part of a message is a refusal, and its text."""
    kind: TextKind = "refusal" if part.get("type") == "refusal" else "text"
    text = part.get(kind)
    return kind, text if isinstance(text, str) else ""


def thoughts_in(item: dict[str, Any], shown: str) -> tuple[str, str]:
    """Return which of its two texts a reasoning item shows, and that text.

    `shown` is the one that was begun with; where none was, the summary goes first.
    """
    kind, texts = shown or "summary", _texts_in(item.get(shown or "summary"))
    if not (shown or texts):
        kind, texts = "content", _texts_in(item.get("content"))
    return kind, BETWEEN_SUMMARIES.join(texts)


def _texts_in(value: Any) -> list[str]:
    if not isinstance(value, list):
        value = [{"text": value}]
    found = [item.get("text") for item in value if isinstance(item, dict)]
    return [text for text in found if isinstance(text, str) and text]
