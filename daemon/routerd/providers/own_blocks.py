"""What a vendor's own tools did in an answer: kept, so that this vendor has it back as it was.

Rules of this file: no wire shape of any vendor. Such a block is no call for the caller and cannot
be shown, so it is given out as data without reasoning, under BLOCK, with a note on the record. It
goes back to its vendor alone, in its place. A use and its result go back together or not at all,
since a vendor refuses half of them; only the answer that is to go on may end before a result: one
that paused, or one whose calls the caller has just answered, behind which the vendor gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from routerd.providers.paused import PAUSE, paused_by
from routerd.providers.request import Notes, parts_of
from routerd_proto.content import Content, Message, Reasoning, ToolResult

__all__ = ["BLOCK", "is_no_reasoning", "kept_note", "own_block", "without_blocks", "without_halves"]

Json = dict[str, Any]

BLOCK: Final = "block"
HALVES_NOTE: Final = (
    "what the provider's own tools did was left out: a use or its result is not in the conversation"
)


def kept_note(kind: str) -> str:
    """Return the note on a block that is kept; `kind` is a name of the vendor's."""
    return f"a part of the answer is not shown, and goes back: {kind}"


def own_block(part: Content, vendor: str) -> Json | None:
    """Return the block of this vendor's that a part of the conversation holds, if it does."""
    if not isinstance(part, Reasoning) or part.vendor != vendor:
        return None
    block = part.data.get(BLOCK)
    return block if isinstance(block, dict) else None


def is_no_reasoning(part: Reasoning) -> bool:
    """Say whether a part holds what stays where all thinking has to be left out."""
    return BLOCK in part.data or part.data.get("on") == PAUSE


def without_blocks(
    messages: Sequence[Message], vendor: str, notes: Notes, why: str
) -> list[Message]:
    """Return the messages without the blocks of a vendor's own; `why` is the note on it."""
    return _filtered(messages, vendor, notes, lambda _block, _place: why)


def without_halves(
    messages: Sequence[Message],
    vendor: str,
    used_in: Callable[[Json], Any],
    answered_in: Callable[[Json], Any],
    notes: Notes,
    may_wait: Callable[[Json], bool] = lambda _block: False,
) -> list[Message]:
    """Return the messages without uses that no result is there of, and without lonely results.

    `used_in` returns the id of the use that a block is, `answered_in` that of the use that it is
    the result of, both None for any other block. `may_wait` says which uses the vendor answers
    after the calls that stand beside them.
    """
    blocks = [
        block
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
        if (block := own_block(part, vendor)) is not None
    ]
    if not blocks:
        return list(messages)
    used = [name for block in blocks if (name := used_in(block)) is not None]
    answered = [name for block in blocks if (name := answered_in(block)) is not None]
    paused = len(messages) - 1 if paused_by(messages) == vendor else None
    just_answered = _just_answered(messages)

    def is_to_come(block: Json, place: int) -> bool:
        return place == paused or (place == just_answered and may_wait(block))

    def reason_against(block: Json, place: int) -> str | None:
        use, answer = used_in(block), answered_in(block)
        lacks_use = answer is not None and answer not in used
        lacks_answer = use is not None and use not in answered and not is_to_come(block, place)
        return HALVES_NOTE if lacks_use or lacks_answer else None

    return _filtered(messages, vendor, notes, reason_against)


def _just_answered(messages: Sequence[Message]) -> int | None:
    """Return the place of the answer behind which nothing stands but the results of its calls."""
    place = len(messages)
    while place and _is_results(messages[place - 1]):
        place -= 1
    if place in (0, len(messages)) or messages[place - 1].role != "assistant":
        return None
    return place - 1


def _is_results(message: Message) -> bool:
    parts = parts_of(message)
    return bool(parts) and all(isinstance(part, ToolResult) for part in parts)


def _filtered(
    messages: Sequence[Message],
    vendor: str,
    notes: Notes,
    reason_against: Callable[[Json, int], str | None],
) -> list[Message]:
    kept: list[Message] = []
    for place, message in enumerate(messages):
        if isinstance(message.content, str):
            kept.append(message)
            continue
        content: list[Content] = []
        for part in message.content:
            block = own_block(part, vendor)
            why = None if block is None else reason_against(block, place)
            if why is None:
                content.append(part)
            else:
                notes.add(why)
        is_whole = len(content) == len(message.content)
        kept.append(message if is_whole else replace(message, content=content))
    return kept
