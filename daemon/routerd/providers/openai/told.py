"""What was given out of a text so far, so that its end can be compared with it.

Rules of this file: pure, and no event of the wire. A text comes in pieces, and at its end often
once more as a whole: of the whole only what did not come before may be given out. Nothing of a long
answer is kept for that, only its length and a checksum. Both are of UTF-16, where a character is
the same whether it came whole or in two halves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

__all__ = [
    "MOST_PIECES",
    "OTHER_TEXT_NOTE",
    "CountedText",
    "Rest",
    "RunningText",
    "TextKind",
    "Told",
    "units_of",
]

TextKind = Literal["text", "refusal", "reasoning", "arguments"]

OTHER_TEXT_NOTE: Final = "the provider's whole text is another than the pieces that it sent before"

MOST_PIECES: Final = 64
"""So many pieces are counted at once: most are a word, and counting has a price of its own."""

NOWHERE: Final = object()
CODEC: Final = "utf-16-le"
UNIT_BYTES: Final = 2


def units_of(text: str) -> bytes:
    """Return a text in UTF-16; halves of characters stay what they are."""
    return text.encode(CODEC, "surrogatepass")


class Told(Struct):
    """A text as far as it was given out: its length in bytes of UTF-16, and their checksum.

    `whole`: its end came, and nothing of it is missing.
    """

    length: int = 0
    checksum: int = 0
    whole: bool = False

    def add(self, units: bytes) -> None:
        """Count a piece that was given out."""
        self.length += len(units)
        self.checksum = zlib.crc32(units, self.checksum)

    def rest_of(self, whole: str) -> str | None:
        """Return what of a whole text was not given out; None where it begins otherwise.

        An empty one says nothing, and lacks nothing.
        """
        if not self.length or not whole:
            return whole
        units = units_of(whole)
        if len(units) < self.length or zlib.crc32(units[: self.length]) != self.checksum:
            return None
        return _text_of(units[self.length :])


class CountedText:
    """A text that is counted many pieces at a time, for all of `counted`.

    Where a call for every piece is too dear, `pieces` is added to, and counted at MOST_PIECES.
    """

    def __init__(self, *counted: Told) -> None:
        self.pieces: list[str] = []
        self._counted = counted

    def __bool__(self) -> bool:
        if self.pieces:
            return True
        for told in self._counted:  # noqa: SIM110 - a generator takes as long as the rest
            if told.length:
                return True
        return False

    @property
    def length(self) -> int:
        """How long the text is so far, in bytes of UTF-16."""
        self.count()
        return self._counted[0].length

    def add(self, text: str) -> None:
        """Take a piece that was given out."""
        self.pieces.append(text)
        if len(self.pieces) >= MOST_PIECES:
            self.count()

    def count(self) -> None:
        """Count the pieces so far."""
        units = units_of("".join(self.pieces))
        self.pieces.clear()
        for told in self._counted:
            told.add(units)

    def rest_of(self, whole: str) -> str | None:
        """Return what of a whole text was not given out; None where it begins otherwise."""
        self.count()
        return self._counted[0].rest_of(whole)


class RunningText(CountedText):
    """The text that goes on from piece to piece, as nearly all do.

    `at` is the item that it is of, as the events name it, NOWHERE for none; `place` that of its
    part. `settle` before anything else is looked at: only then every piece is counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.at: object = NOWHERE
        self.place: Any = None

    def begin(self, at: object, place: Any, counted: tuple[Told, ...]) -> None:
        """Go on from here, for all of `counted`."""
        self.at, self.place, self._counted = at, place, counted

    def settle(self) -> None:
        """Count the pieces, and stop: something else comes."""
        if self.pieces:
            self.count()
        self.at = NOWHERE


class Rest:
    """What is still to be given out of whole texts that follow each other.

    `told` is what was given out of them together, `texts` are all of them in order. `differs` says
    that what was given out is none of their beginnings: then there is no rest.
    """

    def __init__(
        self, told: Mapping[TextKind, Told], texts: Iterable[tuple[TextKind, str]]
    ) -> None:
        self.differs = False
        self._left: dict[TextKind, int] = {}  # of what was given out, in bytes
        wholes: dict[TextKind, list[str]] = {}
        for kind, text in texts:
            wholes.setdefault(kind, []).append(text)
        for kind, pieces in wholes.items():
            before, whole = told.get(kind, Told()), "".join(pieces)
            if before.rest_of(whole) is None:
                self.differs = True
                self._left[kind] = len(units_of(whole))
            else:
                self._left[kind] = before.length

    def take(self, kind: TextKind, text: str) -> str:
        """Return what of the next text was not given out yet."""
        left = self._left[kind]
        if not left:
            return text
        units = units_of(text)
        self._left[kind] = max(0, left - len(units))
        return _text_of(units[left:])


def _text_of(units: bytes) -> str:
    return units.decode(CODEC, "surrogatepass")
