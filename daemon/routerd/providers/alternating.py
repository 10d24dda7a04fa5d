"""Turns that alternate, begin with the user and end as the caller's do, for Claude's wires.

Rules of this file: pure, no wire shape. Messages of one side that follow each other become one
turn. An answer cannot end with thinking: the vendor refuses it ("The final block in an assistant
message cannot be `thinking`"), so what stands at an end is left out. A last turn of the user's that
nothing is sent of does not make the answer before it the last: the model would go on with that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from routerd.providers.request import Notes, parts_of
from routerd_proto.content import Content, Message, Text

__all__ = [
    "BLANK_NOTE",
    "FIRST_NOTE",
    "LAST_NOTE",
    "SILENT_NOTE",
    "THOUGHT_NOTE",
    "alternating",
    "note_blanks",
    "system_texts",
]

Piece = TypeVar("Piece")

FIRST_NOTE: Final = "a user turn was put first, which this provider asks for"
LAST_NOTE: Final = 'a last user message without words was sent as "."'
BLANK_NOTE: Final = "a part of nothing but blanks was left out"
SILENT_NOTE: Final = "a message of nothing but blanks was left out"
THOUGHT_NOTE: Final = "thinking at the end of an earlier answer was left out: nothing came after it"


def alternating(
    said: Iterable[tuple[str, Sequence[Piece]]],
    is_thinking: Callable[[Piece], bool],
    stand_in: Callable[[], Piece],
    notes: Notes,
) -> list[tuple[str, list[Piece]]]:
    """Return turns of a role and its pieces.

    `said` are the role and the pieces of each message, no pieces where nothing of it is sent.
    `is_thinking` says which pieces no answer may end with; `stand_in` makes one for a user who
    says nothing.
    """
    turns: list[tuple[str, list[Piece]]] = []
    is_silent = False
    for role, pieces in said:
        if pieces:
            _join(turns, role, pieces)
        if role == "user":
            is_silent = not pieces
        elif not all(map(is_thinking, pieces)):
            is_silent = False
    turns = _without_last_thinking(turns, is_thinking, notes)
    if is_silent and turns and turns[-1][0] == "assistant":
        notes.add(LAST_NOTE)
        turns.append(("user", [stand_in()]))
    if not turns or turns[0][0] != "user":
        notes.add(FIRST_NOTE)
        turns.insert(0, ("user", [stand_in()]))
    return turns


def note_blanks(message: Message, notes: Notes, *, is_silent: bool) -> None:
    """Note that nothing of a message is sent, or not the blanks in it: they are refused.

    What else it held is noted by itself.
    """
    texts = [part.text for part in parts_of(message) if isinstance(part, Text)]
    if is_silent and len(texts) == len(parts_of(message)):
        notes.add(SILENT_NOTE)
    elif any(text and not text.strip() for text in texts):
        notes.add(BLANK_NOTE)


def system_texts(parts: Iterable[Content], notes: Notes) -> list[Text]:
    """Return the texts of a system prompt that hold words; blanks are noted, and not sent."""
    texts = [part for part in parts if isinstance(part, Text) and part.text]
    worded = [part for part in texts if part.text.strip()]
    if len(worded) < len(texts):
        notes.add(BLANK_NOTE)
    return worded


def _join(turns: list[tuple[str, list[Piece]]], role: str, pieces: Sequence[Piece]) -> None:
    if turns and turns[-1][0] == role:
        turns[-1][1].extend(pieces)
    else:
        turns.append((role, [*pieces]))


def _without_last_thinking(
    turns: list[tuple[str, list[Piece]]], is_thinking: Callable[[Piece], bool], notes: Notes
) -> list[tuple[str, list[Piece]]]:
    kept: list[tuple[str, list[Piece]]] = []
    for role, pieces in turns:
        while role == "assistant" and pieces and is_thinking(pieces[-1]):
            pieces.pop()
            notes.add(THOUGHT_NOTE)
        if pieces:
            _join(kept, role, pieces)
    return kept
