"""What of a Responses answer has to go back to its vendor on the next turn, and nobody else reads.

Rules of this file: no text. Reasoning goes back with the item that came after it, which may be one
of the vendor's own tools: without that the API refuses it. So the items that the server takes are
kept whole, beside the reasoning; what is not kept is noted, and marked where reasoning came before
it. All of it is held back until content follows, so that an answer that fails before that can still
be had elsewhere unnoticed.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Part
from routerd.providers.base import add_note
from routerd.providers.bounds import TOO_LARGE_NOTE, can_be_carried
from routerd.providers.json_text import encode_json, text_of
from routerd.providers.openai.responses.items import can_go_back, kept_of
from routerd.telemetry.plain import shown_name
from routerd_proto.frames import ReasoningEnded

__all__ = ["GoingBack"]

# The states of an item that nothing more is to come of.
SETTLED: Final = (None, "completed", "failed")


class GoingBack:
    """What goes back of one answer. `takes` are the kinds of the vendor's own items that may.

    `held` is what waits for content. `notes` is where it is said that something was left out.
    """

    def __init__(self, vendor: str, takes: frozenset[str], notes: list[str]) -> None:
        self.model: str | None = None
        self.held: list[Part] = []
        self._vendor = vendor
        self._takes = takes
        self._notes = notes
        self._seen: set[str | bytes] = set()
        self._awaits_next = False  # reasoning went back, and nothing came after it yet

    @property
    def items(self) -> int:
        """How many items of the vendor's own came."""
        return len(self._seen)

    def release(self, parts: list[Part]) -> None:
        """Give out what was held back: content follows."""
        parts += self.held
        self.held.clear()
        self._awaits_next = False

    def reasoning(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return what is to go back with a block of reasoning; of one that was cut off nothing."""
        if fields.get("status") == "incomplete" or not can_go_back(fields):
            return {}
        data = self._data(kept_of(fields))
        if not can_be_carried(data):
            self._note(TOO_LARGE_NOTE)
            return {}
        self._awaits_next = True
        return data

    def take_item(self, fields: dict[str, Any], *, is_late: bool = False) -> None:
        """Hold an item that brings no content, once; `is_late`: its place in the answer is lost."""
        key = text_of(fields.get("id")) or encode_json(fields)
        if key in self._seen or not fields:
            return
        self._seen.add(key)
        kind = text_of(fields.get("type")) or ""
        data = self._data(fields)
        takes = kind in self._takes and fields.get("status") in SETTLED and not is_late
        if takes and can_be_carried(data):
            self.held.append(ReasoningEnded(self._vendor, data))
        else:
            self._note(f"content of kind {shown_name(kind)} was left out")
            if self._awaits_next:
                self.held.append(ReasoningEnded(self._vendor, {"left_out": shown_name(kind)}))
        self._awaits_next = False

    def _data(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"item": item} if self.model is None else {"item": item, "model": self.model}

    def _note(self, note: str) -> None:
        add_note(self._notes, note)
