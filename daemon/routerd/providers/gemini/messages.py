"""A conversation as the contents of generateContent.

Rules of this file: turns are the user's and the model's and begin with the user; leading system
messages are lifted out, later ones become user text in their place. The results of tool calls open
their user turn, in the order of the calls, and name the tool. A signature goes back with the part
it came with, and a part of the vendor's own tools as it came. Where the model checks signatures and
the first call of a turn has none (it was another model's, or is lost), the vendor's documented
stand-in takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from routerd.providers.chat_shapes import text_document, titled_text
from routerd.providers.gemini.thinking import Generation
from routerd.providers.gemini.wire import OWN_PARTS
from routerd.providers.media_types import OFFICE, known_type, plain_type
from routerd.providers.request import Notes, arguments_object, base64_text, parts_of, refusal
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
    "STAND_IN_SIGNATURE",
    "VENDOR",
    "encode_system",
    "encode_turns",
    "split_pause",
]

Json = dict[str, Any]

STAND_IN_SIGNATURE: Final = base64_text(b"skip_thought_signature_validator")
VENDOR: Final = "gemini"
# What an address ends in where the caller did not say what is there.
MEDIA_TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "html": "text/html",
    "csv": "text/csv",
}
TITLE_NOTE: Final = "the title of a document was left out"


def split_pause(messages: list[Message]) -> tuple[list[Message], str | None]:
    """Return the messages without an answer that paused at their end, and the token it goes on by.

    Such an answer goes on from what was asked: what was written of it is behind the token.
    """
    last = messages[-1] if messages and messages[-1].role == "assistant" else None
    for part in parts_of(last) if last is not None else ():
        if isinstance(part, Reasoning) and part.vendor == VENDOR and part.data.get("on") == "pause":
            token = part.data.get("token")
            if isinstance(token, str) and token:
                count = len(messages)
                while count and messages[count - 1].role == "assistant":
                    count -= 1
                return messages[:count], token
    return messages, None


def encode_system(messages: list[Message]) -> Json | None:
    """Write the system prompt, None where there is none."""
    parts = [
        {"text": part.text}
        for message in messages
        for part in parts_of(message)
        if isinstance(part, Text) and part.text
    ]
    return {"parts": parts} if parts else None


def encode_turns(messages: list[Message], generation: Generation, notes: Notes) -> list[Json]:
    """Write the turns, merged where one side speaks twice."""
    turns: list[Json] = []
    writer = TurnWriter(generation, notes)
    for message in messages:
        role = "model" if message.role == "assistant" else "user"
        if message.role == "system":
            notes.add("a system message after the start was sent as user text")
        parts = writer.write(parts_of(message), role)
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    for turn in turns:
        if turn["role"] == "user":
            turn["parts"] = writer.in_order(turn["parts"])
        elif generation.signs:
            _sign_first_call(turn["parts"], notes)
    if not turns or turns[0]["role"] != "user":
        notes.add("a user turn was put first, which this provider asks for")
        turns.insert(0, {"role": "user", "parts": [{"text": "."}]})
    return turns


class TurnWriter:
    """Write the parts of one conversation, message by message; it knows the calls so far."""

    def __init__(self, generation: Generation, notes: Notes) -> None:
        self._generation = generation
        self._notes = notes
        self._names: dict[str, str] = {}
        self._order: dict[str, int] = {}

    def write(self, content: Sequence[Content], role: str) -> list[Json]:
        """Write one message."""
        signatures = {
            str(part.data.get("call")): part.data.get("signature")
            for part in content
            if isinstance(part, Reasoning) and part.vendor == VENDOR
        }
        parts: list[Json] = []
        for part in content:
            match part:
                case Text():
                    if part.text:
                        parts.append({"text": part.text})
                case Reasoning():
                    self._add_reasoning(part, parts)
                case ToolCall():
                    parts.append(self._call(part, signatures.get(part.id)))
                case ToolResult():
                    parts += self._result(part)
                case Image() if role == "user":
                    parts.append(_image(part, self._notes))
                case Document() if role == "user":
                    parts.append(_document(part, self._notes))
                case _:
                    raise refusal(
                        f"a message of the {role} cannot hold {type(part).__name__}",
                        param="messages",
                    )
        return parts

    def in_order(self, parts: list[Json]) -> list[Json]:
        """Put the results of tool calls first, in the order of the calls."""

        def place(part: Json) -> tuple[int, int]:
            result = part.get("functionResponse")
            return (1, 0) if result is None else (0, self._order.get(result["id"], 0))

        return sorted(parts, key=place)

    def _add_reasoning(self, part: Reasoning, parts: list[Json]) -> None:
        if part.vendor != VENDOR:
            self._notes.add(
                "reasoning of an earlier answer was left out: this provider cannot read it"
            )
            return
        on, signature = part.data.get("on"), part.data.get("signature")
        signed = {"thoughtSignature": signature} if isinstance(signature, str) else {}
        own = part.data.get("part") if on == "part" else None
        if isinstance(own, dict) and len(own) == 1 and own.keys() <= OWN_PARTS.keys():
            thought = {"thought": True} if part.data.get("thought") is True else {}
            parts.append({**own, **thought, **signed})
        if part.text:
            with_thought = signed if on == "thought" else {}
            parts.append({"text": part.text, "thought": True, **with_thought})
        elif on == "thought" and signed:
            parts.append({"text": "", "thought": True, **signed})
        if on == "text" and signed and parts and set(parts[-1]) == {"text"}:
            parts[-1].update(signed)
        elif on in ("text", "empty") and signed:
            parts.append({"text": "", **signed})

    def _call(self, call: ToolCall, signature: Any) -> Json:
        self._names[call.id] = call.name
        self._order[call.id] = len(self._order)
        arguments = arguments_object(call, self._notes)
        part: Json = {"functionCall": {"id": call.id, "name": call.name, "args": arguments}}
        if isinstance(signature, str) and signature:
            part["thoughtSignature"] = signature
        return part

    def _result(self, result: ToolResult) -> list[Json]:
        name = self._names.get(result.call_id)
        if name is None:
            raise refusal(
                "a tool result answers no tool call of the conversation, and this provider asks "
                "for the tool's name",
                param="messages",
            )
        text: Any = result.content
        images: list[Json] = []
        if not isinstance(text, str):
            images = [_image(part, self._notes) for part in text if isinstance(part, Image)]
            text = "\n".join(part.text for part in text if isinstance(part, Text))
        response: Json = {
            "id": result.call_id,
            "name": name,
            "response": {"error" if result.is_error else "output": text},
        }
        inside = [image for image in images if "inlineData" in image]
        if inside and self._generation.result_images:
            response["parts"] = inside
            images = [image for image in images if "inlineData" not in image]
        return [{"functionResponse": response}, *images]


def _sign_first_call(parts: list[Json], notes: Notes) -> None:
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None and "thoughtSignature" not in first:
        first["thoughtSignature"] = STAND_IN_SIGNATURE
        notes.add("a tool call without a signature was sent with the provider's stand-in for one")


def _image(image: Image, notes: Notes) -> Json:
    return _media(image.url, image.data, image.media_type, "image/png", notes)


def _document(document: Document, notes: Notes) -> Json:
    if (text := text_document(document)) is not None:
        return {"text": titled_text(document, text, notes)}
    if document.title is not None:
        notes.add(TITLE_NOTE)
    sent = _media(document.url, document.data, document.media_type, "application/pdf", notes)
    told = next(iter(sent.values()))["mimeType"]
    if plain_type(told) in OFFICE:
        raise refusal(f"this provider takes no documents of type {told}", param="messages")
    return sent


def _media(
    url: str | None, data: bytes | None, media_type: str | None, usual: str, notes: Notes
) -> Json:
    """Write where a picture or document comes from; a data URL is taken apart."""
    known = known_type(media_type or usual)
    if url is None:
        return {"inlineData": {"mimeType": known, "data": base64_text(data or b"")}}
    if url.startswith("data:"):
        head, _, text = url[5:].partition(",")
        if not head.endswith(";base64"):
            raise refusal("a data URL must be in base64", param="messages")
        told = head.removesuffix(";base64").partition(";")[0]
        return {"inlineData": {"mimeType": known_type(told) or known, "data": text}}
    try:
        ending = urlsplit(url).path.rpartition(".")[2].lower()
    except ValueError:
        ending = ""
    if not media_type and ending not in MEDIA_TYPES:
        notes.add(f"what an address leads to was said to be {usual}: it names no type")
    told = known if media_type else MEDIA_TYPES.get(ending, usual)
    return {"fileData": {"mimeType": told, "fileUri": url}}
