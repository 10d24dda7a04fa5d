"""A conversation as Converse turns and blocks.

Rules of this file: turns alternate and begin with the user; leading system messages are lifted out,
later ones become user text in their place. The results of tool calls open their user turn. Blank
text is refused by the API and left out, and no answer of Claude's ends with thinking. A cache mark
is a block of its own behind what it covers. Reasoning goes back only where it came from here, and
with a signature only to models that sign; what the provider's own tools did goes back as it came,
where the request names any tool.
"""

from __future__ import annotations

import re
from typing import Any, Final

from routerd.providers.alternating import alternating, note_blanks, system_texts
from routerd.providers.bedrock.makers import Habits
from routerd.providers.bedrock.own_blocks import in_pairs, kept_block
from routerd.providers.bedrock.tools import TOOL_NAMES
from routerd.providers.blank_marks import with_marks_on_words
from routerd.providers.long_marks import raise_earlier
from routerd.providers.media_types import plain_type
from routerd.providers.request import (
    MARKS_NOTE,
    Notes,
    ToolIdRule,
    arguments_object,
    base64_text,
    cache_of,
    end_mark,
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

__all__ = ["encode_system", "encode_turns", "limit_cache_marks"]

Json = dict[str, Any]

MAX_CACHE_MARKS: Final = 4
TOOL_IDS: Final = ToolIdRule(r"[a-zA-Z0-9_.:-]{1,64}", "tooluse_", 30)
VENDOR: Final = "bedrock"
IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
}


def encode_system(messages: list[Message], habits: Habits, notes: Notes) -> list[Json]:
    """Write the system prompt, with its cache marks."""
    blocks: list[Json] = []
    said = [part for message in messages for part in parts_of(message)]
    for part in system_texts(with_marks_on_words(said, notes), notes):
        blocks += [{"text": part.text}, *_mark(part, habits, notes)]
    return blocks


def encode_turns(messages: list[Message], habits: Habits, notes: Notes) -> list[Json]:
    """Write the turns, merged where one side speaks twice."""
    titles: set[str] = set()
    said = [_said(message, titles, habits, notes) for message in in_pairs(messages, notes)]

    def is_thinking(group: list[Json]) -> bool:
        return habits.signs is not False and "reasoningContent" in group[0]

    turns = alternating(said, is_thinking, lambda: [{"text": "."}], notes)
    for role, groups in turns:
        if role == "user":
            groups.sort(key=lambda group: "toolResult" not in group[0])
    return [{"role": role, "content": _blocks(groups, notes)} for role, groups in turns]


def limit_cache_marks(body: Json, notes: Notes) -> bool:
    """Keep the last four cache marks, the longest prefixes, with the longer lifetimes first.

    Return whether one of them asks for the longer lifetime, which costs more to write.
    """
    lists = [body.get("system", []), *(turn["content"] for turn in body["messages"])]
    surplus = sum("cachePoint" in block for blocks in lists for block in blocks) - MAX_CACHE_MARKS
    if surplus > 0:
        notes.add(f"only the last {MAX_CACHE_MARKS} cache marks were sent")
    for blocks in lists:
        for block in [block for block in blocks if "cachePoint" in block][: max(surplus, 0)]:
            blocks.remove(block)
            surplus -= 1
    marks = [block["cachePoint"] for blocks in lists for block in blocks if "cachePoint" in block]
    return raise_earlier(marks, notes)


def _said(
    message: Message, titles: set[str], habits: Habits, notes: Notes
) -> tuple[str, list[list[Json]]]:
    """Write a message as its role and blocks, each with the mark behind it."""
    role = "assistant" if message.role == "assistant" else "user"
    if message.role == "system":
        notes.add("a system message after the start was sent as user text")
    groups = [
        _with_mark(block, _mark(part, habits, notes), notes)
        for part in parts_of(message)
        if (block := _block(part, role, titles, habits, notes)) is not None
    ]
    note_blanks(message, notes, is_silent=not groups)
    return role, groups


def _with_mark(block: Json, mark: list[Json], notes: Notes) -> list[Json]:
    """Put a mark behind its block: next to a document that is no PDF the vendor refuses it."""
    if mark and "document" in block and block["document"]["format"] != "pdf":
        notes.add("a text was added between a document and its cache mark, which is refused there")
        return [block, {"text": "."}, *mark]
    return [block, *mark]


def _blocks(groups: list[list[Json]], notes: Notes) -> list[Json]:
    blocks = [block for group in groups for block in group]
    if any("document" in block for block in blocks) and not any(
        "text" in block for block in blocks
    ):
        notes.add("a text was added beside a document, which this provider asks for")
        blocks.append({"text": "."})
    return blocks


def _mark(part: Content, habits: Habits, notes: Notes) -> list[Json]:
    """Write the mark behind a part: inside the result of a tool the format has none."""
    if not habits.lifetimes:
        if cache_of(part) is not None:
            notes.add(MARKS_NOTE)
        return []
    if (asked := end_mark(part, notes)) is None:
        return []
    if asked not in habits.lifetimes:
        notes.add(f"a cache mark of {asked} was sent as {habits.lifetimes[0]}")
        asked = habits.lifetimes[0]
    # Five minutes are what a mark means without a lifetime, to models that know no other too.
    return [{"cachePoint": {"type": "default", **({"ttl": asked} if asked != "5m" else {})}}]


def _block(part: Content, role: str, titles: set[str], habits: Habits, notes: Notes) -> Json | None:
    match part:
        case Text():
            return {"text": part.text} if part.text.strip() else None
        case Reasoning() if role == "assistant":
            return _reasoning(part, habits, notes)
        case ToolCall() if role == "assistant":
            name = TOOL_NAMES.fit_past(part.name, notes)
            fields = {"toolUseId": TOOL_IDS.fit(part.id), "name": name}
            return {"toolUse": {**fields, "input": arguments_object(part, notes)}}
        case ToolResult() if role == "user":
            return _tool_result(part, notes)
        case Image() if role == "user":
            return _image(part)
        case Document() if role == "user":
            return _document(part, titles)
        case _:
            article = "an" if role == "assistant" else "a"
            kind = type(part).__name__
            raise refusal(f"{article} {role} message cannot hold {kind}", param="messages")


def _reasoning(part: Reasoning, habits: Habits, notes: Notes) -> Json | None:
    if (block := kept_block(part)) is not None:
        return dict(block)
    if part.vendor == VENDOR:
        redacted, signature = part.data.get("redacted"), part.data.get("signature")
        # What is encrypted is as good as signed: another maker's model cannot read it.
        if habits.signs is not False:
            if isinstance(redacted, str) and redacted:
                return {"reasoningContent": {"redactedContent": redacted}}
            if isinstance(signature, str) and signature:
                signed = {"text": part.text, "signature": signature}
                return {"reasoningContent": {"reasoningText": signed}}
        is_aside = part.data.get("aside") is True  # words beside an answer by a tool
        if part.text and not (redacted or signature or is_aside) and habits.signs is not True:
            return {"reasoningContent": {"reasoningText": {"text": part.text}}}
    notes.add("reasoning of an earlier answer was left out: this provider cannot read it")
    return None


def _tool_result(result: ToolResult, notes: Notes) -> Json:
    parts = [Text(result.content)] if isinstance(result.content, str) else result.content
    content = [
        {"text": part.text} if isinstance(part, Text) else _image(part)
        for part in parts
        if not isinstance(part, Text) or part.text.strip()
    ]
    if not content:
        # Refused of a failed tool, and by some models of any.
        notes.add("a tool result without content was sent as `.`, which this provider asks for")
        content.append({"text": "."})
    block: Json = {"toolUseId": TOOL_IDS.fit(result.call_id), "content": content}
    if result.is_error:
        block["status"] = "error"
    return {"toolResult": block}


def _image(image: Image) -> Json:
    media_type, data = _source(image.url, image.data, image.media_type or "image/png")
    kind = IMAGES.get(media_type)
    if kind is None:
        raise refusal(f"this provider takes no images of type {media_type}", param="messages")
    return {"image": {"format": kind, "source": {"bytes": data}}}


def _document(document: Document, titles: set[str]) -> Json:
    media_type = document.media_type or "application/pdf"
    media_type, data = _source(document.url, document.data, media_type)
    kind = DOCUMENTS.get(media_type)
    if kind is None and media_type.startswith("text/"):
        kind = "txt"
    if kind is None:
        raise refusal(f"this provider takes no documents of type {media_type}", param="messages")
    name = _name(document.title, titles)
    return {"document": {"format": kind, "name": name, "source": {"bytes": data}}}


def _name(title: str | None, titles: set[str]) -> str:
    """Return a name that the API takes and that no other document of the request has."""
    plain = " ".join(re.sub(r"[^a-zA-Z0-9\s()\[\]-]", " ", title or "").split())[:180].rstrip()
    name, number = plain or "document", 1
    while name in titles:
        number += 1
        name = f"{plain or 'document'} {number}"
    titles.add(name)
    return name


def _source(url: str | None, data: bytes | None, media_type: str) -> tuple[str, str]:
    """Return a plain media type and base64; a data URL is taken apart, no other can be sent."""
    if url is None:
        if not data:
            raise refusal("this provider takes no empty images and documents", param="messages")
        return plain_type(media_type), base64_text(data)
    head, _, text = url.removeprefix("data:").partition(",")
    if not url.startswith("data:"):
        raise refusal("this provider takes images and documents as bytes only", param="messages")
    if not head.endswith(";base64") or not text:
        raise refusal("a data URL must be in base64 and hold something", param="messages")
    return plain_type(head.removesuffix(";base64")) or plain_type(media_type), text
