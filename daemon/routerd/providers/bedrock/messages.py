"""A conversation as Converse turns and blocks.

Rules of this file: turns alternate and begin with the user; leading system messages are lifted out,
later ones become user text in their place. The results of tool calls open their user turn. Blank
text is refused by the API and left out. A cache mark is a block of its own behind what it covers.
Reasoning goes back only where it came from here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from routerd.providers.json_text import JSON_ERRORS
from routerd.providers.request import Notes, ToolIdRule, base64_text, parts_of, refusal
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

__all__ = ["encode_system", "encode_turns", "limit_cache_marks", "split_system"]

Json = dict[str, Any]

MAX_CACHE_MARKS: Final = 4
TOOL_IDS: Final = ToolIdRule(r"[a-zA-Z0-9_.:-]{1,64}", "tooluse_", 30)
VENDOR: Final = "bedrock"
IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
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


def split_system(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """Return the system messages at the start, and the rest."""
    count = next(
        (index for index, message in enumerate(messages) if message.role != "system"),
        len(messages),
    )
    return messages[:count], messages[count:]


def encode_system(messages: list[Message]) -> list[Json]:
    """Write the system prompt, with its cache marks."""
    blocks: list[Json] = []
    for message in messages:
        for part in parts_of(message):
            if isinstance(part, Text) and part.text.strip():
                blocks += [{"text": part.text}, *_mark(part.cache)]
    return blocks


def encode_turns(messages: list[Message], notes: Notes, *, is_claude: bool) -> list[Json]:
    """Write the turns, merged where one side speaks twice."""
    turns: list[tuple[str, list[list[Json]]]] = []
    titles: set[str] = set()
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system":
            notes.add("a system message after the start was sent as user text")
        groups: list[list[Json]] = []
        for part in parts_of(message):
            block = _block(part, role, notes, titles, is_claude=is_claude)
            if block is not None:
                groups.append([block, *_mark(getattr(part, "cache", None))])
        if not groups:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(groups)
        else:
            turns.append((role, groups))
    written = [{"role": role, "content": _in_order(groups, notes)} for role, groups in turns]
    if not written or written[0]["role"] != "user":
        notes.add("a user turn was put first, which this provider asks for")
        written.insert(0, {"role": "user", "content": [{"text": "."}]})
    return written


def limit_cache_marks(body: Json, notes: Notes) -> None:
    """Keep the last four cache marks: they cover the longest prefixes."""
    lists = [body.get("system", []), *(turn["content"] for turn in body["messages"])]
    surplus = sum("cachePoint" in block for blocks in lists for block in blocks) - MAX_CACHE_MARKS
    if surplus > 0:
        notes.add(f"only the last {MAX_CACHE_MARKS} cache marks were sent")
    for blocks in lists:
        for block in [block for block in blocks if "cachePoint" in block][: max(surplus, 0)]:
            blocks.remove(block)
            surplus -= 1


def _in_order(groups: list[list[Json]], notes: Notes) -> list[Json]:
    groups.sort(key=lambda group: "toolResult" not in group[0])
    blocks = [block for group in groups for block in group]
    if any("document" in block for block in blocks) and not any(
        "text" in block for block in blocks
    ):
        notes.add("a text was added beside a document, which this provider asks for")
        blocks.append({"text": "."})
    return blocks


def _mark(cache: str | None) -> list[Json]:
    if cache is None:
        return []
    # Five minutes are what a mark means without a lifetime, to models that know no other too.
    return [{"cachePoint": {"type": "default", **({"ttl": cache} if cache != "5m" else {})}}]


def _block(
    part: Content, role: str, notes: Notes, titles: set[str], *, is_claude: bool
) -> Json | None:
    match part:
        case Text():
            return {"text": part.text} if part.text.strip() else None
        case Reasoning():
            return _reasoning(part, notes, is_claude=is_claude)
        case ToolCall():
            fields = {"toolUseId": TOOL_IDS.fit(part.id), "name": part.name}
            return {"toolUse": {**fields, "input": _input(part, notes)}}
        case ToolResult():
            return _tool_result(part)
        case Image() if role == "user":
            return _image(part)
        case Document() if role == "user":
            return _document(part, titles)
        case _:
            raise refusal(f"an {role} message cannot hold {type(part).__name__}", param="messages")


def _reasoning(part: Reasoning, notes: Notes, *, is_claude: bool) -> Json | None:
    if part.vendor == VENDOR:
        if isinstance(redacted := part.data.get("redacted"), str):
            return {"reasoningContent": {"redactedContent": redacted}}
        signature = part.data.get("signature")
        if isinstance(signature, str) and signature:
            return {"reasoningContent": {"reasoningText": _signed(part.text, signature)}}
        if part.text and not is_claude:
            return {"reasoningContent": {"reasoningText": {"text": part.text}}}
    notes.add("reasoning of an earlier answer was left out: this provider cannot read it")
    return None


def _signed(text: str, signature: str) -> Json:
    return {"text": text, "signature": signature}


def _input(call: ToolCall, notes: Notes) -> Json:
    """Return the arguments as the object the API wants."""
    if not call.arguments.strip():
        return {}
    try:
        value = json.loads(call.arguments, strict=False)
    except JSON_ERRORS:
        value = None
    if isinstance(value, dict):
        return value
    notes.add("arguments of an earlier tool call that are no JSON object were wrapped in one")
    return {"arguments": call.arguments}


def _tool_result(result: ToolResult) -> Json:
    parts = [Text(result.content)] if isinstance(result.content, str) else result.content
    content = [
        {"text": part.text} if isinstance(part, Text) else _image(part)
        for part in parts
        if not isinstance(part, Text) or part.text.strip()
    ]
    block: Json = {"toolUseId": TOOL_IDS.fit(result.call_id), "content": content}
    if result.is_error:
        block["status"] = "error"
    return {"toolResult": block}


def _image(image: Image) -> Json:
    media_type, data = _source(image.url, image.data, image.media_type or "image/png")
    kind = IMAGES.get(media_type.lower())
    if kind is None:
        raise refusal(f"this provider takes no images of type {media_type}", param="messages")
    return {"image": {"format": kind, "source": {"bytes": data}}}


def _document(document: Document, titles: set[str]) -> Json:
    media_type = document.media_type or "application/pdf"
    media_type, data = _source(document.url, document.data, media_type)
    kind = DOCUMENTS.get(media_type.lower())
    if kind is None and media_type.lower().startswith("text/"):
        kind = "txt"
    if kind is None:
        raise refusal(f"this provider takes no documents of type {media_type}", param="messages")
    name = _name(document.title, titles)
    return {"document": {"format": kind, "name": name, "source": {"bytes": data}}}


def _name(title: str | None, titles: set[str]) -> str:
    """Return a name that the API takes and that no other document of the request has."""
    plain = " ".join(re.sub(r"[^a-zA-Z0-9\s()\[\]-]", " ", title or "").split())[:180]
    name, number = plain or "document", 1
    while name in titles:
        number += 1
        name = f"{plain or 'document'} {number}"
    titles.add(name)
    return name


def _source(url: str | None, data: bytes | None, media_type: str) -> tuple[str, str]:
    """Return a media type and base64; a data URL is taken apart, no other can be sent."""
    if url is None:
        return media_type.partition(";")[0].strip(), base64_text(data or b"")
    head, _, text = url.removeprefix("data:").partition(",")
    if not url.startswith("data:"):
        raise refusal("this provider takes images and documents as bytes only", param="messages")
    if not head.endswith(";base64"):
        raise refusal("a data URL must be in base64", param="messages")
    return head.removesuffix(";base64").partition(";")[0] or media_type, text
