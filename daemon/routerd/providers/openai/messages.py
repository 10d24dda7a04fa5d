"""A conversation as Chat Completions messages.

Rules of this file: it writes what the caller said, in the caller's order, but for results of tools:
all of a turn come right behind their calls, before other words of it. They take text only, so their
pictures follow in a user message, after the last one. Reasoning goes back only to the server it
came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routerd.providers.chat_shapes import (
    PICTURES_NOTE,
    called_tools,
    end_of_calls,
    image_part,
    put_result,
    result_pictures,
    result_text,
    text_document,
    titled_text,
)
from routerd.providers.media_types import data_url, file_name, known_url
from routerd.providers.openai.cache_marks import any_marked, keep_last_marks, marked
from routerd.providers.openai.dialects import Dialect
from routerd.providers.openai.extras import put_back
from routerd.providers.request import (
    ANSWER_MARK_NOTE,
    MARKS_NOTE,
    Notes,
    cache_of,
    end_mark,
    parts_of,
    refusal,
)
from routerd_proto.content import (
    CacheLifetime,
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolResult,
)

__all__ = ["encode_messages"]

Json = dict[str, Any]


def encode_messages(
    messages: list[Message],
    dialect: Dialect,
    notes: Notes,
    *,
    reasons: bool,
    marks: bool = False,
) -> list[Json]:
    """Write the messages.

    `reasons` says whether this call may reason at all, `marks` whether the model takes marks up to
    where to cache.
    """
    encoded: list[Json] = []
    pictures: list[Json] = []
    place: int | None = None  # of the next result
    for message in messages:
        content = message.content
        if isinstance(content, str) and message.role != "assistant" and not pictures:
            encoded.append({"role": message.role, "content": content})  # as nearly all are
            continue
        parts = parts_of(message)
        if parts is content and not (marks and message.role != "assistant"):
            _note_marks(parts, notes, ANSWER_MARK_NOTE if marks else MARKS_NOTE)
        place = _add_results(parts, encoded, pictures, place, dialect, notes, marks=marks)
        others: list[Content] = [part for part in parts if not isinstance(part, ToolResult)]
        if pictures and (others or message is messages[-1]):
            encoded.append({"role": "user", "content": pictures})
            pictures = []
        if not others:
            continue
        if message.role == "assistant":
            if (turn := _assistant(others, dialect, notes, reasons=reasons)) is not None:
                encoded.append(turn)
                place = end_of_calls(encoded)
        else:
            is_marked = marks and any_marked(others)
            encoded.append(_turn(message.role, others, dialect, notes, is_marked=is_marked))
    if marks:
        keep_last_marks(encoded, notes)
    return encoded


def _add_results(
    parts: Sequence[Content],
    encoded: list[Json],
    pictures: list[Json],
    place: int | None,
    dialect: Dialect,
    notes: Notes,
    *,
    marks: bool,
) -> int | None:
    """Write what tools returned, each a message of its own; return the place of the next one.

    Pictures come behind all of them.
    """
    for part in parts:
        if isinstance(part, ToolResult):
            result = _tool_result(part, dialect, notes, pictures)
            place = put_result(encoded, result, place)
            if marks and (mark := end_mark(part, notes)) is not None:
                _mark_result(result, part, pictures, mark)
    return place


def _note_marks(parts: Sequence[Content], notes: Notes, note: str) -> None:
    if any(map(cache_of, parts)):
        notes.add(note)


def _turn(
    role: str, parts: list[Content], dialect: Dialect, notes: Notes, *, is_marked: bool
) -> Json:
    if is_marked:
        content = [
            marked(_part(part, dialect, notes), getattr(part, "cache", None)) for part in parts
        ]
        return {"role": role, "content": content}
    if all(isinstance(part, Text) for part in parts):
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) == 1 or role == "system":
            return {"role": role, "content": "\n\n".join(texts)}
    return {"role": role, "content": [_part(part, dialect, notes) for part in parts]}


def _part(part: Content, dialect: Dialect, notes: Notes) -> Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            _refuse_unfetched(part, dialect)
            return image_part(part)
        case Document():
            return _document(part, dialect, notes)
        case _:
            raise refusal(f"a user message cannot hold {type(part).__name__}", param="messages")


def _refuse_unfetched(image: Image, dialect: Dialect) -> None:
    """Refuse an image at an address where the server fetches none."""
    if not (dialect.image_urls or image.url is None or image.url.startswith("data:")):
        raise refusal("this provider takes images as bytes only", param="messages")


def _document(document: Document, dialect: Dialect, notes: Notes) -> Json:
    if (text := text_document(document)) is not None:
        return {"type": "text", "text": titled_text(document, text, notes)}
    url = document.url
    if document.data is not None:
        url = data_url(document.media_type or "application/pdf", document.data)
    elif url is not None:
        url = known_url(url)
    if url is not None and dialect.documents == "document_url":
        part: Json = {"type": "document_url", "document_url": url}
        if document.title:
            part["document_name"] = document.title
        return part
    if url is not None and url.startswith("data:") and dialect.documents == "file":
        return {
            "type": "file",
            "file": {"file_data": url, "filename": file_name(document.title, url)},
        }
    raise refusal(
        "this provider takes no document by URL"
        if dialect.documents == "file"
        else "this provider takes no documents",
        param="messages",
    )


def _tool_result(result: ToolResult, dialect: Dialect, notes: Notes, pictures: list[Json]) -> Json:
    text = result_text(result, notes)
    content: str | list[Json] = text
    if dialect.tool_result_images == "inside" and not isinstance(result.content, str):
        content = [_part(part, dialect, notes) for part in result.content]
    elif images := result_pictures(result, dialect.tool_ids):
        for part in result.content:
            if isinstance(part, Image):
                _refuse_unfetched(part, dialect)
        pictures.extend(images)
        notes.add(PICTURES_NOTE)
    return {
        "role": "tool",
        "tool_call_id": dialect.tool_ids.fit(result.call_id),
        "content": content or text,
    }


def _mark_result(
    message: Json, result: ToolResult, pictures: list[Json], mark: CacheLifetime
) -> None:
    """Mark the end of a result: the last of its pictures, if one is marked and they come behind."""
    inside = () if isinstance(result.content, str) else result.content
    if pictures and any(isinstance(part, Image) and part.cache for part in inside):
        marked(pictures[-1], mark)
        return
    if isinstance(message["content"], str):
        message["content"] = [{"type": "text", "text": message["content"]}]
    marked(message["content"][-1], mark)


def _assistant(
    parts: list[Content], dialect: Dialect, notes: Notes, *, reasons: bool
) -> Json | None:
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = called_tools(parts, dialect.tool_ids)
    if dialect.extra_back:
        parts = put_back(parts, calls, dialect.name)
    own = _own_reasoning(parts, dialect, notes)
    if not text and not calls:
        notes.add("an assistant message without text or tool calls was left out")
        return None
    turn: Json = {"role": "assistant", "content": text or None}
    if calls:
        turn["tool_calls"] = calls
    if reasons:
        _add_reasoning(turn, own, dialect)
    return turn


def _own_reasoning(parts: list[Content], dialect: Dialect, notes: Notes) -> list[Reasoning]:
    """Return the reasoning that this server can read; where nobody said whose it is, it is too."""
    reasoning = [part for part in parts if isinstance(part, Reasoning)]
    own = [part for part in reasoning if part.vendor in ("", dialect.name)]
    if dialect.reasoning_back is None:
        own = []
    if len(own) < len(reasoning):
        notes.add("reasoning of an earlier answer was left out: this provider cannot read it")
    return own


def _add_reasoning(turn: Json, own: list[Reasoning], dialect: Dialect) -> None:
    text = "".join(part.text for part in own)
    if dialect.reasoning_back == "reasoning_content":
        if text or (dialect.reasoning_required and "tool_calls" in turn):
            turn["reasoning_content"] = text
    elif dialect.reasoning_back == "reasoning_details":
        details = [
            detail
            for part in own
            if isinstance(kept := part.data.get("reasoning_details"), list)
            for detail in kept
        ]
        if details:
            turn["reasoning_details"] = details
        elif text:
            turn["reasoning"] = text
    elif dialect.reasoning_back == "thinking" and text:
        content: list[Json] = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]
        if turn["content"]:
            content.append({"type": "text", "text": turn["content"]})
        turn["content"] = content
