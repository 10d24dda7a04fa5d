"""A conversation as Messages turns and blocks.

Rules of this file: turns alternate and begin with the user; leading system messages are lifted out,
later ones become user text in their place, so that what came before stays as it was. The results
of tool calls open their user turn. Empty text is refused by the API and left out, and a mark on it
goes to the part before. No answer ends with thinking. Thinking goes back only where Anthropic's own
signature stands on it, and what its own tools did as it came.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from routerd.providers.alternating import alternating, note_blanks, system_texts
from routerd.providers.anthropic.own_blocks import in_pairs, kept_block
from routerd.providers.blank_marks import with_marks_on_words
from routerd.providers.long_marks import raise_earlier
from routerd.providers.media_types import plain_type
from routerd.providers.own_blocks import is_no_reasoning
from routerd.providers.request import (
    Notes,
    ToolIdRule,
    ToolNameRule,
    arguments_object,
    base64_text,
    parts_of,
    refusal,
)
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

__all__ = [
    "MAX_CACHE_MARKS",
    "THINKING",
    "TOOL_NAMES",
    "VENDOR",
    "encode_system",
    "encode_turns",
    "limit_cache_marks",
]

Json = dict[str, Any]

MAX_CACHE_MARKS: Final = 4
TOOL_IDS: Final = ToolIdRule(r"[a-zA-Z0-9_-]{1,64}", "toolu_", 30)
# Source: what the API says when it refuses one, "String should match pattern".
TOOL_NAMES: Final = ToolNameRule(r"[a-zA-Z0-9_-]{1,128}", "letters, digits, - and _", 128)
VENDOR: Final = "anthropic"
PDF: Final = "application/pdf"
# Source: the types of anthropic-python, `Base64ImageSourceParam`.
IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
THINKING: Final = ("thinking", "redacted_thinking")


def encode_system(messages: list[Message], notes: Notes) -> str | list[Json] | None:
    """Write the system prompt: one string, or blocks where a part of it is to be cached."""
    said = [part for message in messages for part in parts_of(message)]
    texts = system_texts(with_marks_on_words(said, notes), notes)
    if any(part.cache for part in texts):
        return [_text(part) for part in texts]
    return "\n\n".join(part.text for part in texts) or None


def encode_turns(messages: list[Message], notes: Notes) -> list[Json]:
    """Write the turns, merged where one side speaks twice."""
    said = [_said(message, notes) for message in in_pairs(messages, notes)]
    turns = alternating(said, _is_thinking, lambda: {"type": "text", "text": "."}, notes)
    return [
        {
            "role": role,
            "content": sorted(blocks, key=lambda block: block["type"] != "tool_result"),
        }
        for role, blocks in turns
    ]


def limit_cache_marks(body: Json, notes: Notes) -> bool:
    """Keep the last four cache marks, the longest prefixes, with the longer lifetimes first.

    Return whether one of them asks for the longer lifetime, which costs more to write.
    """
    blocks = [*body["system"]] if isinstance(body.get("system"), list) else []
    for turn in body["messages"]:
        for block in turn["content"]:
            inner = block.get("content") if block["type"] == "tool_result" else None
            blocks += [*inner, block] if isinstance(inner, list) else [block]
    marked = [block for block in blocks if "cache_control" in block]
    for block in marked[:-MAX_CACHE_MARKS]:
        del block["cache_control"]
        notes.add(f"only the last {MAX_CACHE_MARKS} cache marks were sent")
    return raise_earlier([block["cache_control"] for block in marked[-MAX_CACHE_MARKS:]], notes)


def _said(message: Message, notes: Notes) -> tuple[str, list[Json]]:
    role = "assistant" if message.role == "assistant" else "user"
    if message.role == "system":
        notes.add("a system message after the start was sent as user text")
    blocks = [
        block
        for part in with_marks_on_words(parts_of(message), notes)
        if (block := _block(part, role, notes)) is not None
    ]
    note_blanks(message, notes, is_silent=not blocks)
    return role, blocks


def _is_thinking(block: Json) -> bool:
    return block["type"] in THINKING


def _block(part: Content, role: str, notes: Notes) -> Json | None:
    match part:
        case Text():
            return _text(part) if part.text.strip() else None
        case Reasoning():
            return _thinking(part, notes)
        case ToolCall():
            return {
                "type": "tool_use",
                "id": TOOL_IDS.fit(part.id),
                "name": TOOL_NAMES.fit_past(part.name, notes),
                "input": arguments_object(part, notes),
            }
        case ToolResult():
            return _tool_result(part)
        case Image() | Document() if role == "user":
            return _image(part) if isinstance(part, Image) else _document(part)
        case _:
            raise refusal(f"an {role} message cannot hold {type(part).__name__}", param="messages")


def _marked(block: Json, cache: str | None) -> Json:
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral", "ttl": cache}
    return block


def _text(part: Text) -> Json:
    return _marked({"type": "text", "text": part.text}, part.cache)


def _thinking(part: Reasoning, notes: Notes) -> Json | None:
    if (block := kept_block(part)) is not None:
        return block
    if part.vendor == VENDOR:
        if is_no_reasoning(part):
            return None
        if isinstance(redacted := part.data.get("redacted"), str):
            return {"type": "redacted_thinking", "data": redacted}
        if isinstance(signature := part.data.get("signature"), str) and signature:
            return {"type": "thinking", "thinking": part.text, "signature": signature}
    notes.add("reasoning of an earlier answer was left out: this provider cannot read it")
    return None


def _tool_result(result: ToolResult) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": TOOL_IDS.fit(result.call_id)}
    if isinstance(result.content, str):
        if result.content:
            block["content"] = result.content
    else:
        content = [
            _text(part) if isinstance(part, Text) else _image(part)
            for part in result.content
            if not isinstance(part, Text) or part.text.strip()
        ]
        if content:
            block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return _marked(block, result.cache)


def _image(image: Image) -> Json:
    source = _source(image.url, image.data, image.media_type or "image/png")
    if source["type"] == "base64" and source["media_type"] not in IMAGES:
        kind = source["media_type"]
        raise refusal(f"this provider takes no images of type {kind}", param="messages")
    return _marked({"type": "image", "source": source}, image.cache)


def _document(document: Document) -> Json:
    source = _source(document.url, document.data, document.media_type or PDF)
    is_sent = source["type"] == "base64"
    kind = source["media_type"] if is_sent else plain_type(document.media_type or PDF)
    if is_sent and kind.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _text_in(source["data"])}
    elif kind != PDF:
        raise refusal(f"this provider takes no documents of type {kind}", param="messages")
    block: Json = {"type": "document", "source": source}
    if document.title:
        block["title"] = document.title
    return _marked(block, document.cache)


def _source(url: str | None, data: bytes | None, media_type: str) -> Json:
    """Write where a picture or document comes from; a data URL is taken apart."""
    if url is not None and url.startswith("data:"):
        head, _, text = url[5:].partition(",")
        if not head.endswith(";base64"):
            raise refusal("a data URL must be in base64", param="messages")
        told = plain_type(head.removesuffix(";base64")) or plain_type(media_type)
        return {"type": "base64", "media_type": told, "data": text}
    if url is not None:
        return {"type": "url", "url": url}
    told = plain_type(media_type)
    return {"type": "base64", "media_type": told, "data": base64_text(data or b"")}


def _text_in(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except ValueError:
        raise refusal("a data URL must be in base64", param="messages") from None
