"""The pieces of a request that Chat Completions and the formats shaped like it have in common.

Rules of this file: no vendor. What differs (roles, reasoning, which parts are taken) is decided by
who asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from routerd.providers.media_types import data_url, known_url
from routerd.providers.request import Notes, ToolIdRule
from routerd_proto.content import Content, Document, Image, Text, Tool, ToolCall, ToolResult

__all__ = [
    "ERROR_NOTE",
    "PICTURES_NOTE",
    "called_tools",
    "end_of_calls",
    "function_tool",
    "image_part",
    "put_result",
    "result_pictures",
    "result_text",
    "text_document",
    "titled_text",
]

Json = dict[str, Any]

ERROR_NOTE: Final = "that a tool failed was left to its own words: this provider has no mark for it"
PICTURES_NOTE: Final = "images of a tool result were sent in a user message"


def image_part(image: Image) -> Json:
    """Write an image as an `image_url` part; bytes go along in a data URL."""
    if image.url is not None:
        url = known_url(image.url)
    else:
        url = data_url(image.media_type or "image/png", image.data or b"")
    picture: Json = {"url": url}
    if image.detail is not None:
        picture["detail"] = image.detail
    return {"type": "image_url", "image_url": picture}


def text_document(document: Document) -> str | None:
    """Return the text of a document of plain text that was sent along, None for any other."""
    media_type = document.media_type or "application/pdf"
    if document.data is None or not media_type.startswith("text/"):
        return None
    return document.data.decode("utf-8", "replace")


def titled_text(document: Document, text: str, notes: Notes) -> str:
    """Return the text of a document that is sent among others, its title first."""
    notes.add("a text document was sent as plain text")
    return f"{document.title}\n\n{text}" if document.title else text


def result_text(result: ToolResult, notes: Notes) -> str:
    """Return the text of a tool's result; an error without words is called one."""
    text = result.content
    if not isinstance(text, str):
        text = "\n\n".join(part.text for part in text if isinstance(part, Text))
    if not result.is_error:
        return text
    if text:
        notes.add(ERROR_NOTE)
    return text or "error"


def result_pictures(result: ToolResult, ids: ToolIdRule) -> list[Json]:
    """Write the images of a tool's result as parts of the user message that follows it."""
    if isinstance(result.content, str):
        return []
    pictures = [image_part(part) for part in result.content if isinstance(part, Image)]
    if not pictures:
        return []
    name = ids.fit(result.call_id)
    return [{"type": "text", "text": f"Images of the tool result {name}:"}, *pictures]


def called_tools(parts: Iterable[Content], ids: ToolIdRule) -> list[Json]:
    """Write the calls of an assistant message, with ids that the provider takes."""
    return [
        {
            "id": ids.fit(part.id),
            "type": "function",
            "function": {"name": part.name, "arguments": part.arguments or "{}"},
        }
        for part in parts
        if isinstance(part, ToolCall)
    ]


def with_properties(schema: Json | None) -> Json:
    """Return the parameters of a tool; an object has properties, which OpenAI misses else."""
    if not schema or (schema.get("type") == "object" and "properties" not in schema):
        return {"type": "object", **(schema or {}), "properties": {}}
    return schema


def function_tool(tool: Tool) -> Json:
    """Write a tool the model may call; one without parameters gets an empty schema."""
    function: Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = with_properties(tool.parameters)
    return {"type": "function", "function": function}


def end_of_calls(written: list[Json]) -> int | None:
    """Return where the results of the last message's calls go; None where it calls nothing."""
    return len(written) if written and "tool_calls" in written[-1] else None


def put_result(written: list[Json], result: Json, place: int | None) -> int | None:
    """Put a result behind the calls and the results before it; return where the next one goes.

    What else was said in that turn comes behind: between calls and results nothing may stand.
    Without a `place` no call was made, and it goes to the end.
    """
    if place is None:
        written.append(result)
        return None
    written.insert(place, result)
    return place + 1
