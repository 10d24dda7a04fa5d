"""Cache marks of two lifetimes in one prompt, for wires that want the longer ones first.

Rules of this file: pure. A mark of an hour must not come after one of five minutes: the vendor
refuses it. What was asked to be kept for an hour begins with what stands before it, so the earlier
marks are raised, never the later ones cut. It costs more to write, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from routerd.providers.request import Notes

__all__ = ["RAISED_NOTE", "raise_earlier"]

RAISED_NOTE: Final = "a cache mark of 5m was sent as 1h: one of 1h comes after it"


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
