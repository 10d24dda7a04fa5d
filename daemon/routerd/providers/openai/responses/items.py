"""A conversation as the input items of Responses.

Rules of this file: it writes what the caller said, in the caller's order. An assistant's turn comes
apart into items: messages, calls, and the reasoning that this server gave out. Reasoning goes back
only with the item that came after it, which the API insists on, and never to another maker's model.
What the caller needs to send back beside texts and calls travels as `Reasoning`: `item` is a
reasoning item of the `model` that wrote it, or one of the vendor's own tools; `phase` is what the
message before it was; `left_out` says that an item came there that could not be kept.
"""

from __future__ import annotations

import re
from typing import Any, Final

from routerd.providers.base import ChatRequest
from routerd.providers.chat_shapes import ERROR_NOTE, image_part, text_document, titled_text
from routerd.providers.media_types import data_url, file_name, known_url
from routerd.providers.openai.cache_marks import keep_last_marks, marked
from routerd.providers.openai.responses.dialects import ResponsesDialect
from routerd.providers.request import (
    ANSWER_MARK_NOTE,
    MARKS_NOTE,
    Notes,
    ToolIdRule,
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
    ToolCall,
    ToolResult,
)

__all__ = ["ItemWriter", "can_go_back", "kept_of"]

Json = dict[str, Any]

TOOL_IDS: Final = ToolIdRule(r"[!-~]{1,64}", "call_", 29)
PHASES: Final = ("commentary", "final_answer")
UNREADABLE_NOTE: Final = "reasoning of an earlier answer was left out: this provider cannot read it"
TORN_NOTE: Final = "reasoning was left out: what came after it in its answer could not be kept"
MAKER: Final = re.compile(r"[a-z]+")


def can_go_back(item: Json) -> bool:
    """Return whether a reasoning item holds what a server without state can go on from."""
    return bool(item.get("encrypted_content") or item.get("content"))


def kept_of(item: Json) -> Json:
    """Return a reasoning item as it is to be sent back: as it came, but for what is only told."""
    kept = {name: value for name, value in item.items() if value is not None and name != "status"}
    kept.setdefault("summary", [])
    return kept


class ItemWriter:
    """Write the items of one conversation; `takes_marks`: the model takes marks of its cache."""

    def __init__(self, request: ChatRequest, dialect: ResponsesDialect, notes: Notes) -> None:
        self._request = request
        self._dialect = dialect
        self._notes = notes
        self.takes_marks = bool(
            dialect.cache_marks and re.search(dialect.cache_marks, request.model_id.lower())
        )

    def write(self) -> list[Json]:
        """Write all messages."""
        items: list[Json] = []
        for message in self._request.messages:
            if message.role == "assistant":
                items += self._assistant(message)
            else:
                items += self._turn(message)
        keep_last_marks(items, self._notes)
        return items

    def _turn(self, message: Message) -> list[Json]:
        """Write a turn of anybody else: results of tools as items of their own."""
        role: str = "user" if message.role == "tool" else message.role
        if role == "system" and self._request.system_role != "system":
            role = self._request.system_role
            self._notes.add(f"system text was sent in the role {role}")
        items: list[Json] = []
        said: list[Content] = []
        for part in parts_of(message):
            if isinstance(part, ToolResult):
                if said:
                    items.append({"role": role, "content": self._content(role, said)})
                    said = []
                items.append(self._result(part))
            else:
                said.append(part)
        if said:
            items.append({"role": role, "content": self._content(role, said)})
        return items

    def _content(self, role: str, parts: list[Content]) -> str | list[Json]:
        texts = [part for part in parts if isinstance(part, Text) and not self._takes(part.cache)]
        if len(texts) == len(parts) and (len(texts) == 1 or role != "user"):
            return "\n\n".join(part.text for part in texts)
        return [self._part(part) for part in parts]

    def _part(self, part: Content) -> Json:
        match part:
            case Text():
                return self._marked({"type": "input_text", "text": part.text}, part.cache)
            case Image():
                detail = part.detail or "auto"
                url = image_part(part)["image_url"]["url"]
                picture = {"type": "input_image", "image_url": url, "detail": detail}
                return self._marked(picture, part.cache)
            case Document():
                return self._marked(self._document(part), part.cache)
            case _:
                raise refusal(f"a user message cannot hold {type(part).__name__}", param="messages")

    def _document(self, document: Document) -> Json:
        if (text := text_document(document)) is not None:
            return {"type": "input_text", "text": titled_text(document, text, self._notes)}
        takes, url = self._dialect.files, document.url
        if document.data is not None:
            url = data_url(document.media_type or "application/pdf", document.data)
        elif url is not None:
            url = known_url(url)
        if takes is not None and url is not None and url.startswith("data:"):
            name = file_name(document.title, url)
            return {"type": "input_file", "file_data": url, "filename": name}
        if takes == "url" and url is not None:
            return {"type": "input_file", "file_url": url}
        raise refusal(
            "this provider takes no document by URL"
            if takes is not None
            else "this provider takes no documents",
            param="messages",
        )

    def _takes(self, cache: CacheLifetime | None) -> bool:
        """Return whether a mark is asked for and can be sent."""
        if cache is not None and not self.takes_marks:
            self._notes.add(MARKS_NOTE)
        return cache is not None and self.takes_marks

    def _marked(self, part: Json, cache: CacheLifetime | None) -> Json:
        return marked(part, cache) if self._takes(cache) else part

    def _result(self, result: ToolResult) -> Json:
        content = result.content
        output: str | list[Json]
        if content and not isinstance(content, str):
            output = [self._part(part) for part in content]
            self._marked(output[-1], result.cache)
        else:
            output = "error" if result.is_error else ""
            if isinstance(content, str) and content:
                output = content
            if self._takes(result.cache):
                output = [self._marked({"type": "input_text", "text": output}, result.cache)]
        if result.is_error and content:
            self._notes.add(ERROR_NOTE)
        return {
            "type": "function_call_output",
            "call_id": TOOL_IDS.fit(result.call_id),
            "output": output,
        }

    def _assistant(self, message: Message) -> list[Json]:
        turn = AssistantTurn()
        for part in parts_of(message):
            match part:
                case Text():
                    turn.texts.append(part.text)
                    if part.cache is not None:
                        self._notes.add(ANSWER_MARK_NOTE)
                case Reasoning():
                    self._add_own(turn, part)
                case ToolCall():
                    turn.end_message()
                    turn.add(_call(part))
                case _:
                    raise refusal(
                        f"an assistant message cannot hold {type(part).__name__}", param="messages"
                    )
        turn.end_message()
        if turn.waiting:
            self._notes.add("reasoning that nothing came after was left out")
        if not turn.items:
            self._notes.add("an assistant message without text or tool calls was left out")
        return turn.items

    def _add_own(self, turn: AssistantTurn, part: Reasoning) -> None:
        """Add what only this server can read, or what it said of the message before."""
        data = part.data if part.vendor == self._dialect.vendor else {}
        phase, item = data.get("phase"), data.get("item")
        if phase in PHASES:
            turn.end_message(str(phase))
        elif "left_out" in data:
            turn.end_message()
            if turn.waiting:
                turn.waiting.clear()
                self._notes.add(TORN_NOTE)
        elif isinstance(item, dict) and self._takes_item(item, data.get("model")):
            turn.end_message()
            if item["type"] == "reasoning":
                turn.waiting.append(item)
            else:
                turn.add(item)
        else:
            self._notes.add(UNREADABLE_NOTE)

    def _takes_item(self, item: Json, model: Any) -> bool:
        kind = item.get("type")
        is_known = kind == "reasoning" or any(kind == own for own in self._dialect.own_items)
        return is_known and self._request.reasoning_carried and self._can_read(model)

    def _can_read(self, model: Any) -> bool:
        if not self._dialect.many_makers or not isinstance(model, str):
            return True
        return _maker(model) == _maker(self._request.model_id)


class AssistantTurn:
    """The items of one turn of the assistant; reasoning waits for the item that came after it."""

    def __init__(self) -> None:
        self.items: list[Json] = []
        self.waiting: list[Json] = []
        self.texts: list[str] = []

    def add(self, item: Json) -> None:
        """Add an item, with the reasoning before it."""
        self.items += [*self.waiting, item]
        self.waiting.clear()

    def end_message(self, phase: str | None = None) -> None:
        """Make an item of the texts so far, if there are any."""
        if text := "".join(self.texts):
            item: Json = {"type": "message", "role": "assistant", "content": text}
            if phase is not None:
                item["phase"] = phase
            self.add(item)
        self.texts.clear()


def _call(call: ToolCall) -> Json:
    return {
        "type": "function_call",
        "call_id": TOOL_IDS.fit(call.id),
        "name": call.name,
        "arguments": call.arguments or "{}",
    }


def _maker(model_id: str) -> str:
    """Return the first word of a model's name: `gpt` of openai/gpt-6-sol."""
    name = model_id.lower().rpartition("/")[2]
    match = MAKER.search(name)
    return match[0] if match else name
