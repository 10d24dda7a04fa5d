"""A conversation as the messages and documents of Chat.

Rules of this file: it writes what the caller said, in the caller's order, but for results of tools:
all of a turn come right behind their calls, before other words of it. The system's messages at the
start become one, which has to be the first; later ones become user text in their place. Results
hold text only, so their pictures follow in a user message, after the last one of the turn.
Documents of plain text go beside the messages, where the model can cite them; other documents the
format does not take. Reasoning goes back as what it was, and only to this vendor. Sources: the API
reference, its page of errors, and the types of cohere 7.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

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
from routerd.providers.request import Notes, ToolIdRule, parts_of, refusal
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    ToolResult,
)

__all__ = ["PLAN", "THINKING", "VENDOR", "MessageWriter"]

Json = dict[str, Any]

VENDOR: Final = "cohere"
# What goes back with a block of reasoning: which of the two it was.
PLAN: Final = {"kind": "tool_plan"}
THINKING: Final = {"kind": "thinking"}
TOOL_IDS: Final = ToolIdRule(r"[!-~]{1,128}", "call_", 29)


class MessageWriter:
    """Write one conversation. `documents` is what it holds to be sent beside the messages.

    `reasons` says whether the model takes thinking back, `cites` whether documents may be sent
    beside the messages; where not they are text.
    """

    def __init__(self, notes: Notes, *, reasons: bool, cites: bool) -> None:
        self.documents: list[Json] = []
        self._notes = notes
        self._reasons = reasons
        self._cites = cites

    def write(self, messages: list[Message]) -> list[Json]:
        """Return the messages."""
        leading = next(
            (place for place, message in enumerate(messages) if message.role != "system"),
            len(messages),
        )
        written = self._system(messages[:leading])
        pictures: list[Json] = []
        place: int | None = None  # of the next result
        for message in messages[leading:]:
            parts = parts_of(message)
            for result in parts:
                if isinstance(result, ToolResult):
                    place = put_result(written, _tool_result(result, self._notes), place)
                    pictures += result_pictures(result, TOOL_IDS)
            others = [part for part in parts if not isinstance(part, ToolResult)]
            if pictures and (others or message is messages[-1]):
                self._notes.add(PICTURES_NOTE)
                written.append({"role": "user", "content": pictures})
                pictures = []
            if others:
                written += self._turn(message.role, others)
                if message.role == "assistant":
                    place = end_of_calls(written)
        return written

    def _system(self, messages: list[Message]) -> list[Json]:
        texts = [
            part.text
            for message in messages
            for part in parts_of(message)
            if isinstance(part, Text) and part.text
        ]
        return [{"role": "system", "content": "\n\n".join(texts)}] if texts else []

    def _turn(self, role: str, parts: Sequence[Content]) -> list[Json]:
        if role == "assistant":
            return self._assistant(parts)
        if role == "system":
            self._notes.add("a system message after the start was sent as user text")
        has_words = any(isinstance(part, Image) or _has_text(part) for part in parts)
        content = [
            written
            for part in parts
            if (written := self._part(part, beside=self._cites and has_words)) is not None
        ]
        if not content:
            return []
        if len(content) == 1 and content[0]["type"] == "text":
            return [{"role": "user", "content": content[0]["text"]}]
        return [{"role": "user", "content": content}]

    def _part(self, part: Content, *, beside: bool) -> Json | None:
        match part:
            case Text():
                return {"type": "text", "text": part.text} if part.text else None
            case Image():
                return image_part(part)
            case Document():
                return self._document(part, beside=beside)
            case _:
                raise refusal(f"a user message cannot hold {type(part).__name__}", param="messages")

    def _document(self, document: Document, *, beside: bool) -> Json | None:
        text = text_document(document)
        if text is None:
            raise refusal("this provider takes documents of plain text only", param="messages")
        if not text:
            self._notes.add("an empty document was left out")
            return None
        if not beside:
            return {"type": "text", "text": titled_text(document, text, self._notes)}
        titled = {"title": document.title} if document.title else {}
        self.documents.append({"data": {**titled, "text": text}})
        return None

    def _assistant(self, parts: Sequence[Content]) -> list[Json]:
        text = "".join(part.text for part in parts if isinstance(part, Text))
        calls = called_tools(parts, TOOL_IDS)
        if not text and not calls:
            self._notes.add("an assistant message without text or tool calls was left out")
            return []
        turn: Json = {"role": "assistant"}
        thoughts, plan = self._reasoning(parts)
        if thoughts:
            words = [{"type": "text", "text": text}] if text else []
            turn["content"] = [{"type": "thinking", "thinking": thoughts}, *words]
        elif text:
            turn["content"] = text
        if calls:
            turn["tool_calls"] = calls
            if plan:
                turn["tool_plan"] = plan
        return [turn]

    def _reasoning(self, parts: Sequence[Content]) -> tuple[str, str]:
        """Return the thinking and the tool plan that may go back."""
        thoughts = plan = ""
        for part in parts:
            if not isinstance(part, Reasoning):
                continue
            if part.vendor == VENDOR and part.data == PLAN:
                plan += part.text
            elif part.vendor in ("", VENDOR) and self._reasons:
                thoughts += part.text
            else:
                self._notes.add(
                    "reasoning of an earlier answer was left out: this model cannot read it"
                )
        return thoughts, plan


def _has_text(part: Content) -> bool:
    return isinstance(part, Text) and bool(part.text)


def _tool_result(result: ToolResult, notes: Notes) -> Json:
    return {
        "role": "tool",
        "tool_call_id": TOOL_IDS.fit(result.call_id),
        "content": result_text(result, notes),
    }
