"""Visible reasoning out of the fields in which Chat Completions servers send it.

Rules of this file: the same text may stand in several fields of one delta; it is read once, from
the first that has any. `reasoning_details` go back to the server as they came, so their pieces are
put together again. `<think>` inside the text stays text: only the model knows what it meant.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Part
from routerd.providers.base import add_note
from routerd.providers.bounds import TOO_LARGE_NOTE, can_be_carried
from routerd.providers.openai.told import CountedText, Told
from routerd.providers.openai.wire import Delta
from routerd_proto.frames import ReasoningDelta, ReasoningEnded

__all__ = ["ReasoningReader"]

# The fields of a detail that come in pieces.
GROWING: Final = ("text", "summary", "data", "signature")


class ReasoningReader:
    """Read the reasoning of one answer. `is_open` says that a block has not ended yet.

    `told` is its text so far. `notes` is where it is said that something was left out.
    """

    def __init__(self, vendor: str, notes: list[str]) -> None:
        self.is_open = False
        self.told = CountedText(Told())
        self._vendor = vendor
        self._notes = notes
        self._details: list[dict[str, Any]] = []

    def take(self, delta: Delta, parts: list[Part]) -> None:
        """Add what a delta holds to `parts`."""
        details = _objects(delta.reasoning_details)
        in_details = "".join(_detail_text(item) for item in details) if details else ""
        for text in (delta.reasoning_content, delta.reasoning, in_details):
            if isinstance(text, str) and text:
                self.say(text, parts)
                break
        for item in details:
            self.is_open = True
            self._keep(item)

    def take_thinking(self, thinking: Any, parts: list[Part]) -> None:
        """Read a content part of Mistral: text, or a list of text parts."""
        for item in thinking if isinstance(thinking, list) else [thinking]:
            text = item.get("text") if isinstance(item, dict) else item
            if isinstance(text, str) and text:
                self.say(text, parts)

    def say(self, text: str, parts: list[Part]) -> None:
        """Give out a piece of it."""
        self.is_open = True
        self.told.add(text)
        parts.append(ReasoningDelta(text))

    def close(self, parts: list[Part]) -> None:
        """End the open block, if there is one."""
        if not self.is_open:
            return
        self.is_open = False
        details, self._details = self._details, []
        data = {"reasoning_details": details} if details else {}
        if not can_be_carried(data):
            add_note(self._notes, TOO_LARGE_NOTE)
            data = {}
        parts.append(ReasoningEnded(self._vendor, data))

    def _keep(self, item: dict[str, Any]) -> None:
        last = self._details[-1] if self._details else None
        if (
            last is None
            or item.get("type") != last.get("type")
            or item.get("index") != last.get("index")
            or (item.get("id") or last.get("id")) != (last.get("id") or item.get("id"))
        ):
            self._details.append(dict(item))
            return
        for key, value in item.items():
            if key in GROWING and isinstance(value, str) and isinstance(last.get(key), str):
                last[key] += value
            elif value is not None:
                last[key] = value


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _detail_text(item: dict[str, Any]) -> str:
    for key in ("text", "summary"):
        if isinstance(text := item.get(key), str):
            return text
    return ""
