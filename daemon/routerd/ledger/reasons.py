"""Why candidates were dropped, stored once: nearly every call drops the same ones.

Rules of this file: only reasons are kept here that no number of a call is part of, and no more of
them than a limit; others stand in the row of their call. Ids are given by the writer's thread, and
count once their transaction is committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from routerd.domain import Dropped

__all__ = ["Reasons", "read_dropped"]

# Reasons of these codes say nothing about the call, only about what it met.
STATIC_CODES: Final = frozenset(
    {
        "beyond_three",
        "boundary",
        "lacks_capability",
        "moving_alias",
        "no_forced_tool",
        "no_json_schema",
        "no_logprobs",
        "no_prefill",
        "policy",
        "provider_not_configured",
        "retired",
        "score_too_low",
        "too_dear",
        "window_too_small",
    }
)
MOST_REASONS: Final = 10_000
INSERT: Final = "INSERT INTO reasons (id, text) VALUES (?, ?)"


class Reasons:
    """The reasons that are known to a ledger, and those that its next transaction adds."""

    def __init__(self, connection: sqlite3.Connection, most: int = MOST_REASONS) -> None:
        rows = connection.execute("SELECT id, text FROM reasons ORDER BY id").fetchall()
        self._known = {msgspec.json.decode(text, type=Dropped): number for number, text in rows}
        self._next = rows[-1][0] + 1 if rows else 1
        self._new: dict[Dropped, int] = {}
        self._most = most

    def refer(self, dropped: tuple[Dropped, ...]) -> str | None:
        """Return a JSON list of ids and whole entries; None for nothing."""
        if not dropped:
            return None
        return msgspec.json.encode([self._id_of(item) or item for item in dropped]).decode()

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write the new ones, in the transaction of the rows that refer to them."""
        rows = [(number, msgspec.json.encode(item).decode()) for item, number in self._new.items()]
        connection.executemany(INSERT, rows)

    def committed(self) -> None:
        """Remember the new ones."""
        self._known |= self._new
        self._new.clear()

    def rolled_back(self) -> None:
        """Forget the new ones."""
        self._next -= len(self._new)
        self._new.clear()

    def _id_of(self, item: Dropped) -> int | None:
        if item.code not in STATIC_CODES:
            return None
        known = self._known.get(item) or self._new.get(item)
        if known is None and len(self._known) + len(self._new) < self._most:
            known = self._new[item] = self._next
            self._next += 1
        return known


def read_dropped(
    connection: sqlite3.Connection, texts: Iterable[str | None]
) -> list[tuple[Dropped, ...] | None]:
    """Return what the lists of `Reasons.refer` stand for; msgspec.DecodeError for an unknown id."""
    lists = [
        msgspec.json.decode(text, type=list[int | Dropped]) if text is not None else None
        for text in texts
    ]
    known: dict[int, Dropped] = {}
    for number in {item for items in lists if items for item in items if isinstance(item, int)}:
        row = connection.execute("SELECT text FROM reasons WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise msgspec.DecodeError(f"reason {number} is missing")
        known[number] = msgspec.json.decode(row[0], type=Dropped)
    return [
        tuple(known[item] if isinstance(item, int) else item for item in items)
        if items is not None
        else None
        for items in lists
    ]
