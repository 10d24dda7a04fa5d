"""Cache marks of two lifetimes in one prompt, for wires that want the longer ones first.

Rules of this file: pure. A mark of an hour must not come after one of five minutes: the vendor
refuses it. What was asked to be kept for an hour begins with what stands before it, so the earlier
marks are raised, never the later ones cut. It costs more to write, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from routerd.providers.request import Notes

__all__ = ["LOWERED_NOTE", "RAISED_NOTE", "WHOLE", "fit_to_raw", "raise_earlier", "surplus_note"]

RAISED_NOTE: Final = "a cache mark of 5m was sent as 1h: one of 1h comes after it"
# Where Anthropic has a mark: on a block, or beside them for all that is said.
WHOLE: Final = "cache_control"
MOST_MARKS: Final = 4
LOWERED_NOTE: Final = "a cache mark of 1h was sent as 5m: raw has one of 5m on a tool before it"


def raise_earlier(marks: Iterable[dict[str, Any]], notes: Notes) -> bool:
    """Give the hour to marks that one of an hour comes after, in place; return whether any has it.

    `marks` are in the order of the prompt, each with its `ttl`, of five minutes where it has none.
    """
    keeps_long = False
    for mark in reversed([*marks]):
        if mark.get("ttl") == "1h":
            keeps_long = True
        elif keeps_long:
            mark["ttl"] = "1h"
            notes.add(RAISED_NOTE)
    return keeps_long


def fit_to_raw(whole: Any, tools: Any, system: Any, turns: Any, notes: Notes) -> bool:
    """Fit the marks on blocks, in place, to those that a caller has beside them through `raw`.

    `whole` is one on all that is said, and counts as the last; those on `tools` come first. They
    are the caller's own and stay as they are. Return whether any other may differ.
    """
    firsts = [mark for tool in _listed(tools) if (mark := _mark_on(tool)) is not None]
    last = [whole] if isinstance(whole, dict) else []
    marked = [block for block in _blocks(system, turns) if _mark_on(block) is not None]
    room = max(0, MOST_MARKS - len(firsts) - len(last))
    surplus = marked[: max(0, len(marked) - room)]
    for block in surplus:
        del block[WHOLE]
        notes.add(surplus_note(room))
    kept = [block[WHOLE] for block in marked[len(surplus) :]]
    if any(mark.get("ttl") != "1h" for mark in firsts):
        lowered = [mark for mark in kept if mark.get("ttl") == "1h"]
        for mark in lowered:
            mark["ttl"] = "5m"
            notes.add(LOWERED_NOTE)
        return bool(lowered or surplus)
    return raise_earlier([*kept, *last], notes) or bool(surplus)


def surplus_note(room: int) -> str:
    """Say how many marks on blocks were sent."""
    return f"only the last {room} cache marks were sent beside raw's own"


def _mark_on(block: Any) -> dict[str, Any] | None:
    mark = block.get(WHOLE) if isinstance(block, dict) else None
    return mark if isinstance(mark, dict) else None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _blocks(system: Any, turns: Any) -> Iterator[dict[str, Any]]:
    """Go through the blocks of a prompt in their order, those inside of a tool's result first."""
    contents = [turn.get("content") for turn in turns] if isinstance(turns, list) else []
    for content in (system, *contents):
        for block in content if isinstance(content, list) else ():
            inner = block.get("content")
            yield from inner if isinstance(inner, list) else ()
            yield block
