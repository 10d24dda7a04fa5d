"""How the command line shows data: tables for a person, JSON for a program."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec

__all__ = ["dimmed", "milliseconds", "print_json", "print_table", "printable", "spread_text"]

GAP = "  "


def print_json(value: Any) -> None:
    """Print plain data as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns; the last one is cut at the width of a terminal."""
    lines = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    room = shutil.get_terminal_size((0, 0)).columns if sys.stdout.isatty() else 0
    for number, line in enumerate(lines):
        text = GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text = text.rstrip()
        if room and len(text) > room:
            text = text[: room - 1] + "…"
        print(dimmed(text, sys.stdout) if number == 0 else text)


def printable(text: str) -> str:
    """Keep a stranger's text from moving the cursor, changing colours or ending the line."""
    return text if text.isprintable() else repr(text)


def dimmed(text: str, stream: TextIO) -> str:
    """Make text for a stream less bright, if that is a terminal that wants colours."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[2m{text}\033[0m"


def milliseconds(microseconds: int | None) -> str:
    """Write a duration for a person."""
    return "-" if microseconds is None else f"{microseconds / 1000:.1f} ms"


def spread_text(numbers: dict[str, int | None], of: str) -> str:
    """Write how microseconds are spread that the daemon gathered; `of` names what it looked at."""
    if not numbers["count"]:
        return "-"
    spread = [f"{name} {(numbers[f'{name}_us'] or 0) / 1000:.2f}" for name in ("p50", "p99", "max")]
    return f"{', '.join(spread)} ms, of the last {numbers['count']} {of}"
