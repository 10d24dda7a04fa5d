"""What to give out of whole messages, where a stream brings nothing else.

Rules of this file: pure, and no event of the wire. Some servers send the message so far each time,
others a piece of it each time in the shape of a message. One that does not begin with what was told
shows that they are pieces; one that holds all of a longer text, or of several, that they are not.
As long as a short text may have come again by chance, what begins with it is held until the next
message shows which it is. Where none does, all of it is given out: text may be said twice then, but
is never lost. A last message that only repeats, beside the reason for the end, shows it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from routerd.providers.openai.told import CountedText, TextKind, units_of

__all__ = ["MOST_BY_CHANCE", "WholeMessages"]

MOST_BY_CHANCE: Final = 16
"""So many characters of a text may be the beginning of its next piece as well; a token is fewer."""

Texts = Iterator[tuple[TextKind, str]]


class WholeMessages:
    """The messages of one stream. `told` is what was given out, of each kind.

    `held` are messages of one kind of text, each the beginning of the next.
    """

    def __init__(self, told: Mapping[TextKind, CountedText]) -> None:
        self.held: list[str] = []
        self._told = told
        self._kind: TextKind = "text"
        self._are_pieces: bool | None = None
        self._given: dict[TextKind, int] = {}  # in bytes

    def begin(self) -> None:
        """Go on from here: all that was told is of a message."""
        self._given = {kind: told.length for kind, told in self._told.items()}

    def are_alone(self) -> bool:
        """Return whether nothing was told since but what came from here."""
        return all(told.length == self._given[kind] for kind, told in self._told.items())

    def take(self, texts: Mapping[TextKind, str], *, calls: bool) -> Texts:
        """Return what is to be given out for a message of these texts, with tool calls or none."""
        said = {kind: text for kind, text in texts.items() if text}
        if self._are_pieces is None and len(said) + calls > 1:
            rests = [self._told[kind].rest_of(text) for kind, text in said.items()]
            if None not in rests and any(self._told[kind] for kind in said):
                self._are_pieces = False
                self.held.clear()
        for kind, text in said.items():
            yield from self._next(kind, text)
        if calls:
            yield from self.release()

    def release(self) -> Texts:
        """Return what is held: nothing showed that it had been told."""
        if self.held:
            self._are_pieces = True
        for text in self.held:
            yield self._counted(self._kind, text)
        self.held.clear()

    def end(self) -> Texts:
        """Return what is held where the last message came with the reason why the answer ended.

        One that repeats what was there before is all so far: a piece would have brought something.
        """
        last, before = self.held[-1], self.held[-2:-1]
        rest = self._told[self._kind].rest_of(last)
        if rest is not None and (not rest or before == [last]):
            self.held.clear()
            yield self._counted(self._kind, rest)
        else:
            yield from self.release()

    def _next(self, kind: TextKind, text: str) -> Texts:
        rest = self._told[kind].rest_of(text)
        told = 0 if rest is None else len(text) - len(rest)
        may_be_chance = 0 < told <= MOST_BY_CHANCE
        if self._are_pieces is None and told:
            if not may_be_chance or self._goes_on(kind, told, text):
                self._are_pieces = False
                self.held.clear()
            elif not self.held or self._follows(kind, text):
                self._kind = kind
                self.held.append(text)
                return
        yield from self.release()
        if rest is None or (may_be_chance and self._are_pieces is not False):
            self._are_pieces = self._are_pieces is not False
            yield self._counted(kind, text)
        elif rest:
            yield self._counted(kind, rest)

    def _follows(self, kind: TextKind, text: str) -> bool:
        return bool(self.held) and kind == self._kind and text.startswith(self.held[-1])

    def _goes_on(self, kind: TextKind, told: int, text: str) -> bool:
        """Return whether a message goes on from those that are held, by no chance."""
        if not self._follows(kind, text):
            return False
        before = len(self.held[-1])
        return before > MOST_BY_CHANCE or told < before < len(text)

    def _counted(self, kind: TextKind, text: str) -> tuple[TextKind, str]:
        self._given[kind] += len(units_of(text))
        return kind, text
