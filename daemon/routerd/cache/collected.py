"""The parts of one answer, gathered while they pass: bounded, and joined where they can be.

Rules of this file: what is gathered says what passed, in the same order; only where one piece of a
text ended and the next began is not kept. A part still fits a frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from routerd.domain import Part
from routerd.providers.bounds import MAX_PART_CHARACTERS
from routerd_proto.codec import encode_frame
from routerd_proto.frames import ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

__all__ = ["Collected", "joined"]

Piece = TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta


class Collected:
    """An answer as it is gathered; one of more than `max_bytes` is given up."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.restart()

    def restart(self) -> None:
        """Forget what was gathered: a whole new answer follows."""
        self._parts: list[Part] = []
        self._bytes = 0
        self._given_up = False
        # Pieces of one kind in a row are one text that grows, as UTF-8: the least memory.
        self._growing: Piece | None = None
        self._text = bytearray()

    def add(self, parts: Iterable[Part]) -> None:
        """Gather the parts that come next."""
        for part in parts:
            if self._given_up:
                return
            match part:
                case (
                    TextDelta(text=text)
                    | ReasoningDelta(reasoning=text)
                    | RefusalDelta(refusal=text)
                    | ToolCallDelta(arguments=text)
                ):
                    self._grow(part, text.encode(errors="surrogatepass"))
                case _:
                    self._close()
                    self._parts.append(part)
                    self._bytes += len(encode_frame(part))
            if self._bytes > self._max_bytes:
                self.restart()
                self._given_up = True

    def parts(self) -> tuple[Part, ...] | None:
        """Return all that was gathered, None where it was too much."""
        if self._given_up:
            return None
        self._close()
        return tuple(self._parts)

    def _grow(self, piece: Piece, data: bytes) -> None:
        is_full = len(self._text) + len(data) > MAX_PART_CHARACTERS
        if is_full or not _continues(piece, self._growing):
            self._close()
            self._growing = piece
        self._text += data
        self._bytes += len(data)

    def _close(self) -> None:
        if self._growing is None:
            return
        text = self._text.decode(errors="surrogatepass")
        if isinstance(self._growing, ToolCallDelta):
            self._parts.append(ToolCallDelta(self._growing.index, text))
        else:
            self._parts.append(type(self._growing)(text))
        self._growing = None
        self._text.clear()


def joined(parts: Iterable[Part]) -> list[Part]:
    """Return the same answer in as few parts as it can be."""
    collected = Collected(sys.maxsize)
    collected.add(parts)
    return list(collected.parts() or ())


def _continues(piece: Piece, growing: Piece | None) -> bool:
    if isinstance(piece, ToolCallDelta):
        return isinstance(growing, ToolCallDelta) and growing.index == piece.index
    return type(piece) is type(growing)
