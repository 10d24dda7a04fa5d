"""Cache marks of two lifetimes in one prompt, for wires that want the longer ones first.

Rules of this file: pure. A mark of an hour must not come after one of five minutes: the vendor
refuses it. What was asked to be kept for an hour begins with what stands before it, so the earlier
marks are raised, never the later ones cut. It costs more to write, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from routerd.providers.request import Notes

__all__ = ["RAISED_NOTE", "SURPLUS_NOTE", "WHOLE", "fit_below", "raise_earlier"]

RAISED_NOTE: Final = "a cache mark of 5m was sent as 1h: one of 1h comes after it"
# Where Anthropic has a mark: on a block, or beside them for all that is said.
WHOLE: Final = "cache_control"
MOST_BELOW: Final = 3  # of four that the vendor takes
SURPLUS_NOTE: Final = f"only the last {MOST_BELOW} cache marks were sent before raw's own"


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


def fit_below(whole: dict[str, Any], system: Any, turns: Any, notes: Notes) -> bool:
    """Fit the marks on blocks, in place, to one on all that is said; return whether any may differ.

    It counts as the last of the marks and is the caller's own, so it stays as it is.
    """
    marked = [block for block in _blocks(system, turns) if isinstance(block.get(WHOLE), dict)]
    surplus = marked[:-MOST_BELOW]
    for block in surplus:
        del block[WHOLE]
        notes.add(SURPLUS_NOTE)
    before = [block[WHOLE] for block in marked[-MOST_BELOW:]]
    return raise_earlier([*before, whole], notes) or bool(surplus)


def _blocks(system: Any, turns: Any) -> Iterator[dict[str, Any]]:
    """Go through the blocks of a prompt in their order, those inside of a tool's result first."""
    contents = [turn.get("content") for turn in turns] if isinstance(turns, list) else []
    for content in (system, *contents):
        for block in content if isinstance(content, list) else ():
            inner = block.get("content")
            yield from inner if isinstance(inner, list) else ()
            yield block
