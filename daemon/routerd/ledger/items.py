"""What the event loop hands to the writer's thread.

Rules of this file: data and callables only. Callables run in the writer's thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from msgspec import Struct

from routerd.domain import Record
from routerd.ledger.journal import Segment

__all__ = ["Asked", "Barrier", "Entry", "Kept", "Order", "Stop", "Writing"]


class Entry(Struct, frozen=True, eq=False):
    """A record to write, and the files of the journal that may forget its call then."""

    record: Record
    segments: list[Segment]


class Writing(Struct, frozen=True, eq=False):
    """Something else to write; `size` are the bytes it keeps in memory until then."""

    write: Callable[[sqlite3.Connection], object]
    size: int = 0


class Barrier(Struct, frozen=True, eq=False):
    """Answered when all that came before was tried, with the records the disk did not take."""

    answer: Callable[[tuple[Record, ...]], None]


class Order(Struct, frozen=True, eq=False):
    """Run in one transaction when all that came before was tried; told the error, if any."""

    function: Callable[[sqlite3.Connection], None]
    answer: Callable[[Exception | None], None]


class Stop(Struct, frozen=True, eq=False):
    """The last thing in the queue."""


# What is kept until the disk takes it, and what somebody waits for.
Kept = Entry | Writing
Asked = Barrier | Order | Stop
