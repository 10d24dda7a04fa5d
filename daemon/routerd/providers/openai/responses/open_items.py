"""Which item of a Responses answer an event is about.

Rules of this file: an item is told apart by its place in the output, or by its id where it has no
place; ids may change from event to event. An event that names nothing is about the last item. One
that ends something that nobody began may mean what is open under another id: where that could be
several, nobody can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field

from routerd.providers.openai.told import TextKind, Told

__all__ = ["OpenItem", "OpenItems"]

UNPLACED: Final = -1
"""The place of all text that comes without one."""
NOT_ENDED: Final = object()
SAID: Final[frozenset[TextKind]] = frozenset({"text", "refusal"})


class OpenItem(Struct):
    """One item that has begun; `number` counts them.

    `told` is what was given out of it, `parts` of each of its parts, `last` of the latest of them.
    `reasoning` is which of its two texts a reasoning item shows, `announced` how it began.
    """

    number: int
    told: dict[TextKind, Told] = field(default_factory=dict)
    parts: dict[int, Told] = field(default_factory=dict)
    last: Told = field(default_factory=Told)
    ended_part: Any = NOT_ENDED  # where the text without a place has ended
    begun: bool = False
    again: bool = False  # what comes of it was there before
    named: bool = False  # by an id
    placed: bool = False  # by its place in the output
    name: str = ""  # of what it calls
    call_id: str = ""
    ids: set[str] = field(default_factory=set)  # that the call was known by
    reasoning: str = ""
    ended: bool = False
    announced: dict[str, Any] = field(default_factory=dict)

    def part(self, place: Any) -> Told:
        """Return the part that a piece belongs to."""
        if type(place) is not int:
            place = UNPLACED
            if self.ended_part is not NOT_ENDED:
                self.ended_part = NOT_ENDED
                self.parts[place] = Told()
        told = self.last = self.parts.setdefault(place, Told())
        return told

    def whole_part(self, place: Any) -> Told:
        """Return the part that a whole text belongs to; its pieces may have come without place."""
        unplaced = self.parts.get(UNPLACED)
        if type(place) is not int:
            place, told = None, self.last
        elif place not in self.parts and unplaced and self.ended_part in (NOT_ENDED, None, place):
            told = unplaced
        else:
            told = self.last = self.parts.setdefault(place, Told())
        self.ended_part = place
        return told

    def count(self, kind: TextKind) -> Told:
        """Return what was given out of one kind of text."""
        return self.told.setdefault(kind, Told())


class OpenItems:
    """The items of one answer, by where they stand and what they are called."""

    def __init__(self) -> None:
        self._by_key: dict[int | str, OpenItem] = {}
        self._all: list[OpenItem] = []

    def begin(self, index: Any, item_id: Any) -> OpenItem:
        """Begin an item, or take up the one that pieces came of before its beginning."""
        item = self.known(index, item_id)
        if item is not None and item.ended and self.is_sure(item, item_id):
            item.again = True
        elif item is None or item.ended or (item.begun and not self.is_sure(item, item_id)):
            item = self.open(index, item_id)
        elif type(item_id) is str:
            self._name(item, item_id)
        item.begun = True
        return item

    def is_sure(self, item: OpenItem, item_id: Any) -> bool:
        """Return whether an event is about this very item, and not only one in its place."""
        return item.again or (type(item_id) is str and self._by_key.get(item_id) is item)

    def open(self, index: Any, item_id: Any) -> OpenItem:
        """Begin a new item."""
        item = OpenItem(len(self._all))
        self._all.append(item)
        return self._placed(item, index, item_id)

    def known(self, index: Any, item_id: Any) -> OpenItem | None:
        """Return the item of a place, or of an id; None where there is no such item."""
        item = self._by_key.get(index) if type(index) is int else None
        if item is None and type(item_id) is str:
            item = self._by_key.get(item_id)
        return item

    def of(self, index: Any, item_id: Any, kind: TextKind | None = None) -> OpenItem:
        """Return the item that a piece is of: one that was begun, or a new one."""
        item, last = self.known(index, item_id), self._all[-1] if self._all else None
        if item is not None:
            return item
        if kind == "arguments" and (item := self._call_without_place(index, item_id)) is not None:
            return item
        if last is not None and not last.ended and type(index) is not int:
            if type(item_id) is not str:
                return last
            if last.begun and not (last.named or last.told):  # its beginning did not say its id
                return self._name(last, item_id)
        return self.open(index, item_id)

    def ending(self, index: Any, item_id: Any, kind: TextKind | None) -> OpenItem | None:
        """Return the item that an end is of; None where it could be one of several."""
        item = self.known(index, item_id)
        if item is not None or type(index) is int:
            if item is None and kind == "arguments":
                item = self._call_without_place(index, item_id)
            return item or self.open(index, item_id)
        kinds = SAID if kind in SAID else {kind}
        if type(item_id) is not str:
            last = self._all[-1] if self._all else None
            is_last = last is not None and (not last.ended or kinds & last.told.keys())
            return last if is_last else self.open(index, item_id)
        meant = [item for item in self._all if not item.ended and kinds & item.told.keys()]
        if not meant:
            return self.of(index, item_id)
        return meant[0] if len(meant) == 1 else None

    def call_by(self, item: OpenItem, names: Iterable[str]) -> None:
        """Know a call by its own id too: some servers name it so where that of its item belongs."""
        for name in names:
            self._by_key.setdefault(name, item)

    def calls(self) -> list[OpenItem]:
        """Return the items of which something was given out as a call."""
        return [item for item in self._all if item.name or "arguments" in item.told]

    def open_ones(self) -> list[OpenItem]:
        """Return the items that have not ended."""
        return [item for item in self._all if not item.ended]

    def _call_without_place(self, index: Any, item_id: Any) -> OpenItem | None:
        """Return the first open call whose beginning did not say where it stands; now it does.

        Nor what it is called, where this tells no place either.
        """
        if type(index) is not int:
            for item in self._all if type(item_id) is str else ():
                if item.name and not (item.named or item.ended or item.told):
                    return self._name(item, item_id)
            return None
        for item in self._all:
            is_other = item.named and type(item_id) is str
            if item.name and not (item.placed or item.ended or is_other):
                return self._placed(item, index, item_id)
        return None

    def _placed(self, item: OpenItem, index: Any, item_id: Any) -> OpenItem:
        if type(index) is int:
            self._by_key[index], item.placed = item, True
        return self._name(item, item_id) if type(item_id) is str else item

    def _name(self, item: OpenItem, item_id: str) -> OpenItem:
        self._by_key[item_id], item.named = item, True
        return item
