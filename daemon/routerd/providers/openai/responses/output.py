"""The output items of one Responses answer, turned into parts as they come.

Rules of this file: an item is told apart by its place in the output, or by its id where it has no
place; ids may change from event to event. What came in deltas is not said again when the whole item
comes; what did not is taken from there. Items of the vendor's own tools are not the caller's, and
are skipped. A block of reasoning without visible text is held back until content follows it, so
that an answer that fails before that can still be had elsewhere unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from msgspec import Struct, field

from routerd.domain import Part
from routerd.providers.bounds import TOO_LARGE_NOTE, can_be_carried
from routerd.providers.json_text import text_of
from routerd.providers.openai.responses.items import PHASES, can_go_back, kept_of
from routerd.providers.tool_calls import Function, ToolCallAssembler, ToolCallFragment
from routerd_proto.frames import ReasoningDelta, ReasoningEnded, RefusalDelta, TextDelta

__all__ = ["Extra", "OutputReader"]

# What comes with a text: where it is from, or how likely its tokens were.
Extra = tuple[Literal["citation", "logprobs"], Any]

ALL: Final = -1
BETWEEN_SUMMARIES: Final = "\n\n"


class OpenItem(Struct):
    """One item that has begun; `number` counts them. `told` are the parts of it that came."""

    number: int
    told: set[int] = field(default_factory=set)
    has_name: bool = False
    reasoning: str = ""
    ended: bool = False


class OutputReader:
    """Read the items of one answer. `notes` is where it is said that something was left out."""

    def __init__(self, vendor: str, notes: list[str]) -> None:
        self.model: str | None = None
        self.response_id = ""
        self._vendor = vendor
        self._notes = notes
        self._calls = ToolCallAssembler()
        self._items: dict[int | str, OpenItem] = {}
        self._call_items: dict[str, OpenItem] = {}
        self._opened = 0
        self._last: OpenItem | None = None
        self._thinking: OpenItem | None = None
        self._held: list[Part] = []
        self._has_text = False
        self._has_reasoning = False

    @property
    def has_calls(self) -> bool:
        """Whether the answer calls a tool."""
        return bool(self._calls)

    # --- deltas -----------------------------------------------------------------------------------

    def take_text(
        self,
        index: Any,
        item_id: Any,
        place: Any,
        text: Any,
        parts: list[Part],
        *,
        refused: bool = False,
    ) -> None:
        """Give out a piece of text, or of a refusal; `place` is that of the content part."""
        if type(text) is str and text:
            self._say(self._item(index, item_id), place, text, parts, refused=refused)

    def take_reasoning(
        self, kind: str, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part]
    ) -> None:
        """Give out a piece of reasoning; of a block that comes as summary and as text, the first.

        A block may have several summaries, at their `place`s: they are set apart.
        """
        if isinstance(text, dict):
            text = text.get("text")
        if isinstance(text, str) and text:
            item = self._item(index, item_id)
            if item.reasoning in ("", kind) and not item.ended:
                self._think(item, kind, place if type(place) is int else 0, text, parts)

    def take_arguments(self, index: Any, item_id: Any, text: Any, parts: list[Part]) -> None:
        """Give out a piece of a call's arguments."""
        if isinstance(text, str) and text:
            item = self._item(index, item_id)
            item.told.add(0)
            self._speak(parts)
            self._take_call(item, parts, arguments=text)

    # --- whole parts and items --------------------------------------------------------------------

    def whole_text(
        self, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part], *, refused: bool
    ) -> bool:
        """Give out a text at its end, if no piece of it came; return whether that was so."""
        if type(text) is not str or not text:
            return False
        item = self._item(index, item_id)
        if (place if type(place) is int else ALL) in item.told or ALL in item.told:
            return False
        self._say(item, place, text, parts, refused=refused)
        return True

    def whole_arguments(self, index: Any, item_id: Any, text: Any, parts: list[Part]) -> None:
        """Give out a call's arguments at their end, if no piece of them came."""
        if not self._item(index, item_id).told:
            self.take_arguments(index, item_id, text, parts)

    def start(self, index: Any, fields: Any, parts: list[Part]) -> None:
        """Take the beginning of an item."""
        if not isinstance(fields, dict):
            return
        item = self._open(index, fields.get("id"))
        if fields.get("type") == "function_call":
            self._begin_call(item, fields, parts)

    def finish(self, index: Any, fields: Any, parts: list[Part]) -> Iterator[Extra]:
        """Take a whole item; yields what comes with its text."""
        if not isinstance(fields, dict):
            return
        item = self._item(index, fields.get("id"))
        if not item.ended:
            yield from self._end(item, fields, parts)

    def take_output(self, output: Any, parts: list[Part]) -> Iterator[Extra]:
        """Take the whole output at the end, for what no event before told of."""
        lacks_text, lacks_reasoning = not self._has_text, not self._has_reasoning
        told_calls = dict(self._call_items)
        for fields in output if isinstance(output, list) else ():
            if not isinstance(fields, dict):
                continue
            kind = fields.get("type")
            if kind == "function_call":
                known = told_calls.get(text_of(fields.get("call_id")) or "")
                if known is not None:
                    self._fill_call(known, fields, parts)
                    continue
            elif not (lacks_text if kind == "message" else lacks_reasoning):
                continue
            yield from self._end(self._open(None, None), fields, parts)

    def close(self, parts: list[Part]) -> None:
        """End what is open, at the end of a complete answer."""
        self._speak(parts)
        self._calls.close(self.response_id, parts)

    # --- inside -----------------------------------------------------------------------------------

    def _item(self, index: Any, item_id: Any) -> OpenItem:
        """Return the item that an event is about: one that was begun, or a new one."""
        key = index if type(index) is int else item_id if type(item_id) is str else None
        item = self._last if key is None else self._items.get(key)
        if item is None and type(item_id) is str:
            item = self._items.get(item_id)
        if item is None:
            item = self._open(index, item_id)
        return item

    def _open(self, index: Any, item_id: Any) -> OpenItem:
        item = self._last = OpenItem(self._opened)
        self._opened += 1
        if type(index) is int:
            self._items[index] = item
        if type(item_id) is str:
            self._items[item_id] = item
        return item

    def _end(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> Iterator[Extra]:
        item.ended = True
        kind = fields.get("type")
        if kind == "message":
            yield from self._finish_message(item, fields, parts)
        elif kind == "function_call":
            self._begin_call(item, fields, parts)
            self._fill_call(item, fields, parts)
        elif kind == "reasoning":
            self._finish_reasoning(item, fields, parts)

    def _speak(self, parts: list[Part]) -> None:
        """Make room for content: end the reasoning before it, and give out what was held back."""
        if self._thinking is not None:
            self._thinking = None
            parts.append(ReasoningEnded(self._vendor, {}))
        if self._held:
            parts += self._held
            self._held.clear()

    def _say(
        self, item: OpenItem, place: Any, text: str, parts: list[Part], *, refused: bool
    ) -> None:
        item.told.add(place if type(place) is int else ALL)
        if self._held or self._thinking is not None:
            self._speak(parts)
        self._has_text = True
        parts.append(RefusalDelta(text) if refused else TextDelta(text))

    def _think(self, item: OpenItem, kind: str, place: int, text: str, parts: list[Part]) -> None:
        if self._thinking is not item:
            self._speak(parts)
        if item.told and place not in item.told:
            text = BETWEEN_SUMMARIES + text
        item.told.add(place)
        item.reasoning, self._thinking, self._has_reasoning = kind, item, True
        parts.append(ReasoningDelta(text))

    def _begin_call(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> None:
        name = text_of(fields.get("name"))
        if item.has_name or name is None:
            return
        item.has_name = True
        call_id = text_of(fields.get("call_id")) or text_of(fields.get("id")) or ""
        self._call_items.setdefault(call_id, item)
        self._speak(parts)
        self._take_call(item, parts, name=name, call_id=call_id)

    def _fill_call(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> None:
        arguments = fields.get("arguments")
        if not item.told and arguments:
            item.told.add(0)
            self._speak(parts)
            self._take_call(item, parts, arguments=arguments)

    def _take_call(
        self,
        item: OpenItem,
        parts: list[Part],
        *,
        name: str | None = None,
        call_id: str | None = None,
        arguments: Any = None,
    ) -> None:
        function = Function(name=name, arguments=arguments)
        fragment = ToolCallFragment(index=item.number, id=call_id, function=function)
        self._calls.take(fragment, self.response_id, parts)

    def _finish_message(
        self, item: OpenItem, fields: dict[str, Any], parts: list[Part]
    ) -> Iterator[Extra]:
        content = fields.get("content")
        if isinstance(content, str):
            content = [{"type": "output_text", "text": content}]
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict):
                continue
            refused = part.get("type") == "refusal"
            text = part.get("refusal") if refused else part.get("text")
            is_new = place not in item.told and ALL not in item.told
            if is_new and type(text) is str and text:
                self._say(item, place, text, parts, refused=refused)
                yield "logprobs", part.get("logprobs")
            if isinstance(annotations := part.get("annotations"), list):
                yield from (("citation", annotation) for annotation in annotations)
        if (phase := fields.get("phase")) in PHASES and item.told:
            parts.append(ReasoningEnded(self._vendor, {"phase": phase}))

    def _finish_reasoning(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> None:
        self._has_reasoning = True
        if not item.told:
            for kind in ("summary", "content"):
                for place, text in enumerate(_texts_in(fields.get(kind))):
                    if item.reasoning in ("", kind):
                        self._think(item, kind, place, text, parts)
        data = self._kept(fields)
        if self._thinking is item:
            self._thinking = None
            parts.append(ReasoningEnded(self._vendor, data))
        elif data:
            self._held.append(ReasoningEnded(self._vendor, data))

    def _kept(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return what is to go back with the reasoning; of a block that was cut off nothing."""
        if fields.get("status") == "incomplete" or not can_go_back(fields):
            return {}
        data: dict[str, Any] = {"item": kept_of(fields)}
        if self.model is not None:
            data["model"] = self.model
        if can_be_carried(data):
            return data
        if TOO_LARGE_NOTE not in self._notes:
            self._notes.append(TOO_LARGE_NOTE)
        return {}


def _texts_in(value: Any) -> list[str]:
    """Return the texts of a summary, or of the content of a reasoning item."""
    if not isinstance(value, list):
        value = [{"text": value}]
    found = [item.get("text") for item in value if isinstance(item, dict)]
    return [text for text in found if isinstance(text, str) and text]
