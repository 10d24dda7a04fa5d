"""Puts what a bench has printed where `docs/performance.md` shows it.

Rules of this file: a place is what stands between a comment that names it and the next `<!-- end
-->`, and nothing outside of it is touched. A document without the place is an error, told before
anything is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.systems import ROOT

__all__ = ["DOCUMENT", "NoPlace", "check", "fill"]

DOCUMENT: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- written by bench/run.py --document: {} -->\n"
END: Final = "<!-- end -->"


class NoPlace(SystemExit):
    """A document lacks a place that is to be filled."""


def check(document: Path, *places: str) -> None:
    """Raise NoPlace unless a document has each of the places once."""
    text = document.read_text()
    for place in places:
        begin = BEGIN.format(place)
        if text.count(begin) != 1 or END not in text.partition(begin)[2]:
            raise NoPlace(f"{document.name} has no place for {place}, or two: {begin.strip()}")


def fill(document: Path, place: str, printed: str) -> None:
    """Put what was printed in a place of a document."""
    check(document, place)
    begin = BEGIN.format(place)
    before, _, rest = document.read_text().partition(begin)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{begin}\n{printed.strip()}\n\n{END}{after}")
