"""The output items of one Responses answer, turned into parts as they come.

Rules of this file: an item is told apart by its place in the output, or by its id where it has no
place; ids may change from event to event. Whatever came is given out once: of a part, an item or an
output that comes whole, what its pieces did not bring. Where they brought something else nothing
more is given out, and a note says so. What has no text and only the vendor can read, reasoning and
the items of its own tools, is held back until content follows (see `going_back`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from routerd.domain import Part
from routerd.providers.base import add_note
from routerd.providers.json_text import text_of
from routerd.providers.openai.responses.contents import (
    BETWEEN_SUMMARIES,
    Extra,
    kind_of,
    said_in,
    thoughts_in,
)
from routerd.providers.openai.responses.going_back import GoingBack
from routerd.providers.openai.responses.items import PHASES
from routerd.providers.openai.responses.open_items import OpenItem, OpenItems
from routerd.providers.openai.responses.whole_calls import arguments_of, known_calls, note_names
from routerd.providers.openai.told import (
    MOST_PIECES,
    OTHER_TEXT_NOTE,
    Rest,
    RunningText,
    TextKind,
    Told,
    units_of,
)
from routerd.providers.tool_calls import Function, ToolCallAssembler, ToolCallFragment
from routerd_proto.frames import ReasoningDelta, ReasoningEnded, RefusalDelta, TextDelta

__all__ = ["OutputReader"]

LATE_PIECE_NOTE: Final = "a piece that only came behind the end of its text was left out"
LATE_REASONING_NOTE: Final = "reasoning that only came behind the content was left out"


class OutputReader:
    """Read the items of one answer. `notes` is where it is said that something was left out."""

    def __init__(self, vendor: str, takes: frozenset[str], notes: list[str]) -> None:
        self.response_id = ""
        self.going_back = GoingBack(vendor, takes, notes)
        self._vendor = vendor
        self._notes = notes
        self._calls = ToolCallAssembler()
        self._items = OpenItems()
        self._told: dict[TextKind, Told] = {}
        self._thinking: OpenItem | None = None
        self._has_reasoning = self._has_messages = False
        self._running = RunningText()

    @property
    def has_calls(self) -> bool:
        """Whether the answer calls a tool."""
        return bool(self._calls)

    # --- deltas -----------------------------------------------------------------------------------

    def take_text(self, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part]) -> None:
        """Give out a piece of text; `place` is that of the content part."""
        if type(text) is not str or not text:
            return
        key, running = item_id if index is None else index, self._running
        if key == running.at and place == running.place:  # what nearly every piece is
            running.pieces.append(text)
            if len(running.pieces) >= MOST_PIECES:
                running.count()
            parts.append(TextDelta(text))
            return
        running.settle()
        item = self._items.of(index, item_id)
        part = item.part(place)
        if self._is_late(item, item_id, part):
            return
        self._say(item, "text", part, text, parts)
        if key is not None:
            running.begin(key, place, (part, item.count("text"), self._count("text")))

    def take_refusal(
        self, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part]
    ) -> None:
        """Give out a piece of a refusal."""
        if type(text) is str and text:
            self._running.settle()
            item = self._items.of(index, item_id)
            part = item.part(place)
            if not self._is_late(item, item_id, part):
                self._say(item, "refusal", part, text, parts)

    def take_reasoning(
        self, kind: str, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part]
    ) -> None:
        """Give out a piece of reasoning; of a block that comes as summary and as text, the first.

        A block may have several summaries, at their `place`s: they are set apart.
        """
        if isinstance(text, dict):
            text = text.get("text")
        if isinstance(text, str) and text:
            self._running.settle()
            item = self._items.of(index, item_id)
            if item.reasoning in ("", kind) and not item.ended:
                self._think_at(item, kind, place, text, parts)

    def take_arguments(self, index: Any, item_id: Any, text: Any, parts: list[Part]) -> None:
        """Give out a piece of a call's arguments."""
        if isinstance(text, str) and text:
            self._running.settle()
            item = self._items.of(index, item_id, "arguments")
            if not self._is_late(item, item_id, item.count("arguments")):
                self._argue(item, text, parts)

    # --- whole parts and items --------------------------------------------------------------------

    def whole_text(
        self, kind: TextKind, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part]
    ) -> bool:
        """Give out what no piece brought of a text at its end; return whether that is all of it."""
        item = self._whole(kind, index, item_id, text)
        if item is None:
            return False
        part = item.whole_part(place)
        is_new = not part.length
        if item.count(kind).rest_of(text) == "":  # said, be it at other places
            part.whole = True
            return False
        if rest := self._rest(part, text):
            self._say(item, kind, part, rest, parts)
        return is_new

    def whole_reasoning(
        self, kind: str, index: Any, item_id: Any, place: Any, text: Any, parts: list[Part]
    ) -> None:
        """Give out what no piece brought of a part of reasoning."""
        item = self._whole("reasoning", index, item_id, text)
        if item is None or item.count("reasoning").rest_of(text) == "":
            return
        if item.reasoning in ("", kind) and not item.ended:
            told = item.parts.get(place if type(place) is int else 0, Told())
            if rest := self._rest(told, text):
                self._think_at(item, kind, place, rest, parts)

    def whole_arguments(self, index: Any, item_id: Any, text: Any, parts: list[Part]) -> None:
        """Give out what no piece brought of a call's arguments."""
        if (item := self._whole("arguments", index, item_id, text)) is not None:
            self._fill_call(item, text, parts)

    def start(self, index: Any, fields: Any, parts: list[Part]) -> None:
        """Take the beginning of an item."""
        self._running.settle()
        if not isinstance(fields, dict):
            return
        item = self._items.begin(index, fields.get("id"))
        item.announced = fields
        if fields.get("type") == "function_call":
            self._begin_call(item, fields, parts)

    def finish(self, index: Any, fields: Any, parts: list[Part]) -> Iterator[Extra]:
        """Take a whole item; yields what comes with its text."""
        self._running.settle()
        if not isinstance(fields, dict):
            return
        item = self._items.ending(index, fields.get("id"), kind_of(fields))
        if item is None or (item.ended and self._lacks(item, fields)):
            self._note(OTHER_TEXT_NOTE)
        elif not item.ended:
            yield from self._end(item, fields, parts)

    def take_output(self, items: list[dict[str, Any]], parts: list[Part]) -> Iterator[Extra]:
        """Take the whole output at the end, for what no event before told of."""
        self._running.settle()
        messages = [fields for fields in items if kind_of(fields) == "text"]
        rest = self._rest_of_messages(self._told, messages)
        self._has_messages = bool(messages)
        wholes = [
            (fields, self._items.known(index, fields.get("id")))
            for index, fields in enumerate(items)
            if kind_of(fields) == "arguments"
        ]
        calls = iter(known_calls(self._items.calls(), wholes))
        lacks_reasoning = not self._has_reasoning
        own = [fields for fields in items if kind_of(fields) is None]
        lacks_items, is_late = len(own) > self.going_back.items, self._has_content()
        for index, fields in enumerate(items):
            kind = kind_of(fields)
            known = self._items.known(index, fields.get("id"))
            if kind == "text":
                yield from self._finish_message(self._items.open(None, None), fields, rest, parts)
            elif kind == "arguments":
                call = next(calls) or self._items.open(None, None)
                yield from self._end(call, fields, parts)
            elif kind == "reasoning" and lacks_reasoning:
                yield from self._end(self._items.open(None, None), fields, parts)
            elif kind == "reasoning" and known is not None and known is self._thinking:
                yield from self._end(known, fields, parts)
            elif kind is None and lacks_items:
                self.going_back.take_item(fields, is_late=is_late)
        if not lacks_reasoning:
            self._look_for_late_reasoning(items)

    def close(self, parts: list[Part]) -> None:
        """End what is open, at the end of a complete answer."""
        self._running.settle()
        for item in self._items.open_ones():
            self._end_announced(item, parts)
        self._speak(parts)
        self._calls.close(self.response_id, parts)

    # --- inside -----------------------------------------------------------------------------------

    def _note(self, note: str) -> None:
        add_note(self._notes, note)

    def _has_content(self) -> bool:
        kinds = self._told.items()
        return self.has_calls or any(told.length for kind, told in kinds if kind != "reasoning")

    def _count(self, kind: TextKind) -> Told:
        return self._told.setdefault(kind, Told())

    def _add(self, item: OpenItem, kind: TextKind, part: Told | None, text: str) -> None:
        """Count what is given out for the answer, its item and, if it is of one, its part."""
        units = units_of(text)
        for told in (self._count(kind), item.count(kind), part):
            if told is not None:
                told.add(units)

    def _rest(self, told: Told, whole: str) -> str:
        """Return what is to be given out of a whole text."""
        rest = told.rest_of(whole)
        if rest is None:
            self._note(OTHER_TEXT_NOTE)
        elif whole:
            told.whole = True
        return rest or ""

    def _is_late(self, item: OpenItem, item_id: Any, told: Told) -> bool:
        """Return whether a piece comes behind the end of its text, which had it already."""
        if not (told.whole and self._items.is_sure(item, item_id)):
            return False
        self._note(LATE_PIECE_NOTE)
        return True

    def _whole(self, kind: TextKind, index: Any, item_id: Any, text: Any) -> OpenItem | None:
        """Return the item that a whole text is of; None where it says nothing, or nobody knows."""
        self._running.settle()
        if type(text) is not str or not text:
            return None
        item = self._items.ending(index, item_id, kind)
        if item is None:
            self._note(OTHER_TEXT_NOTE)
        return item

    def _rest_of_messages(self, told: dict[TextKind, Told], messages: list[dict[str, Any]]) -> Rest:
        said = [(kind, text) for fields in messages for kind, text, _ in said_in(fields)]
        rest = Rest(told, said)
        if rest.differs:
            self._note(OTHER_TEXT_NOTE)
        return rest

    def _lacks(self, item: OpenItem, fields: dict[str, Any]) -> bool:
        """Return whether what comes for an item that has ended says more than the item did."""
        rest = self._rest_of_messages(item.told, [fields])
        return any(rest.take(kind, text) for kind, text, _ in said_in(fields))

    def _look_for_late_reasoning(self, items: list[dict[str, Any]]) -> None:
        """Note reasoning that can no longer be given out: content stands behind it."""
        thoughts = [fields for fields in items if kind_of(fields) == "reasoning"]
        told = self._count("reasoning")
        wholes = {
            whole
            for kind in ("", "summary", "content")
            if (whole := "".join(thoughts_in(fields, kind)[1] for fields in thoughts))
        }
        if wholes and all(told.rest_of(whole) != "" for whole in wholes):
            self._note(LATE_REASONING_NOTE)

    def _end(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> Iterator[Extra]:
        item.ended, kind = True, kind_of(fields)
        if kind == "text":
            rest = self._rest_of_messages(item.told, [fields])
            yield from self._finish_message(item, fields, rest, parts)
        elif kind == "arguments":
            self._begin_call(item, fields, parts)
            self._fill_call(item, arguments_of(fields), parts)
        elif kind == "reasoning":
            self._finish_reasoning(item, fields, parts)
        else:
            self.going_back.take_item(fields)

    def _end_announced(self, item: OpenItem, parts: list[Part]) -> None:
        """Give out what was in the beginning of an item, and what nobody said later."""
        fields = item.announced
        kind = kind_of(fields)
        if kind == "arguments" or (kind == "text" and not (item.told or self._has_messages)):
            list(self._end(item, fields, parts))
        elif fields and kind is None and not self.going_back.items:
            self.going_back.take_item(fields, is_late=True)

    def _speak(self, parts: list[Part]) -> None:
        """Make room for content: end the reasoning before it, and give out what was held back."""
        if self._thinking is not None:
            self._thinking = None
            parts.append(ReasoningEnded(self._vendor, {}))
        self.going_back.release(parts)

    def _say(
        self, item: OpenItem, kind: TextKind, part: Told, text: str, parts: list[Part]
    ) -> None:
        self._speak(parts)
        self._add(item, kind, part, text)
        parts.append(RefusalDelta(text) if kind == "refusal" else TextDelta(text))

    def _think_at(
        self, item: OpenItem, kind: str, place: Any, text: str, parts: list[Part]
    ) -> None:
        place = place if type(place) is int else 0
        if item.parts and place not in item.parts:
            self._think(item, kind, None, BETWEEN_SUMMARIES, parts)
        self._think(item, kind, item.part(place), text, parts)

    def _think(
        self, item: OpenItem, kind: str, part: Told | None, text: str, parts: list[Part]
    ) -> None:
        if self._thinking is not item:
            self._speak(parts)
        self._add(item, "reasoning", part, text)
        item.reasoning, self._thinking, self._has_reasoning = kind, item, True
        parts.append(ReasoningDelta(text))

    def _argue(self, item: OpenItem, text: str, parts: list[Part]) -> None:
        self._speak(parts)
        self._add(item, "arguments", None, text)
        self._take_call(item, parts, arguments=text)

    def _begin_call(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> None:
        note_names(item, fields)
        self._items.call_by(item, item.ids)
        name = text_of(fields.get("name"))
        if item.name or name is None:
            return
        item.name = name
        call_id = item.call_id or text_of(fields.get("id")) or ""
        self._speak(parts)
        self._take_call(item, parts, name=name, call_id=call_id)

    def _fill_call(self, item: OpenItem, whole: str, parts: list[Part]) -> None:
        if rest := self._rest(item.count("arguments"), whole):
            self._argue(item, rest, parts)

    def _take_call(
        self,
        item: OpenItem,
        parts: list[Part],
        *,
        name: str | None = None,
        call_id: str | None = None,
        arguments: str | None = None,
    ) -> None:
        function = Function(name=name, arguments=arguments)
        fragment = ToolCallFragment(index=item.number, id=call_id, function=function)
        self._calls.take(fragment, self.response_id, parts)

    def _finish_message(
        self, item: OpenItem, fields: dict[str, Any], rest: Rest, parts: list[Part]
    ) -> Iterator[Extra]:
        """Give out what is left of a message, and what comes with it."""
        for place, (kind, text, part) in enumerate(said_in(fields)):
            if left := rest.take(kind, text):
                self._say(item, kind, item.part(place), left, parts)
                if left == text:
                    yield "logprobs", part.get("logprobs")
            if isinstance(annotations := part.get("annotations"), list):
                yield from (("citation", annotation) for annotation in annotations)
        if (phase := fields.get("phase")) in PHASES and item.told:
            parts.append(ReasoningEnded(self._vendor, {"phase": phase}))

    def _finish_reasoning(self, item: OpenItem, fields: dict[str, Any], parts: list[Part]) -> None:
        self._has_reasoning = True
        kind, whole = thoughts_in(fields, item.reasoning)
        if rest := self._rest(item.count("reasoning"), whole):
            self._think(item, kind, None, rest, parts)
        data = self.going_back.reasoning(fields)
        if self._thinking is item:
            self._thinking = None
            parts.append(ReasoningEnded(self._vendor, data))
        elif data:
            self.going_back.held.append(ReasoningEnded(self._vendor, data))
