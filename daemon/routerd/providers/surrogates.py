"""Join the halves of characters that a provider cut in two.

Rules of this file: it knows the parts of an answer and nothing of a vendor. JSON escapes carry a
character beyond U+FFFF as two halves, and some servers cut a delta between them. Only answers in
which such a half was seen pass through here.
"""

from __future__ import annotations

from typing import Final

import msgspec

from routerd.domain import Part
from routerd.providers.json_text import repaired
from routerd_proto.codec import repair_text
from routerd_proto.frames import (
    LogprobsAdded,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)

__all__ = ["LOST_NOTE", "SurrogateJoiner"]

LOST_NOTE: Final = "half a character of the answer was given out as U+FFFD: the rest never came"
LOST: Final = "\ufffd"

TEXT_FIELDS: Final[dict[type, str]] = {
    TextDelta: "text",
    ReasoningDelta: "reasoning",
    RefusalDelta: "refusal",
    ToolCallDelta: "arguments",
}


class SurrogateJoiner:
    """Repair the parts of one answer, in order.

    The first half of a pair waits for the next part. If that one does not bring the second half,
    it is given out as U+FFFD; `lost` says that one was.
    """

    def __init__(self) -> None:
        self.lost = False
        self._waiting: Part | None = None

    def join(self, parts: list[Part]) -> list[Part]:
        """Return the parts with all text whole, holding back a half that ends the last one."""
        joined: list[Part] = []
        for part in parts:
            field = TEXT_FIELDS.get(type(part))
            if isinstance(part, LogprobsAdded):
                joined.append(part)  # its text is whole, and says nothing of where a run ends
            elif field is None:
                joined += self.end()
                joined.append(msgspec.convert(repaired(msgspec.to_builtins(part)), type(part)))
            else:
                self._join_text(part, field, joined)
        return joined

    def end(self) -> list[Part]:
        """Give out what still waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return []
        self.lost = True
        return [msgspec.structs.replace(waiting, **{TEXT_FIELDS[type(waiting)]: LOST})]

    def _join_text(self, part: Part, field: str, joined: list[Part]) -> None:
        text: str = getattr(part, field)
        waiting = self._waiting
        if waiting is not None and _flow(waiting) == _flow(part):
            text = getattr(waiting, field) + text
            self._waiting = None
        else:
            joined += self.end()
        if "\ud800" <= text[-1:] <= "\udbff":
            self._waiting = msgspec.structs.replace(part, **{field: text[-1]})
            text = text[:-1]
        if text:
            whole = repair_text(text)
            self.lost = self.lost or whole.count(LOST) > text.count(LOST)
            joined.append(msgspec.structs.replace(part, **{field: whole}))


def _flow(part: Part) -> tuple[type, int]:
    """Name the run of text that a part continues."""
    return type(part), getattr(part, "index", 0)
