"""What is kept for how long: single calls for some days, the sums of every month for ever.

Rules of this file: runs in the writer's thread when that has nothing else to do, and takes little
each time, so that nobody waits for it. What was deleted gives its place in the file back.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Container
from typing import Final

from routerd.ledger.batch import transaction
from routerd.ledger.schema import DIMENSIONS
from routerd.ledger.totals import DAY_MS

__all__ = ["Retention"]

CHUNK: Final = 1000
SECONDS_BETWEEN_ROUNDS: Final = 3600.0
DAY_KEY: Final = ", ".join(("day", *DIMENSIONS))
OLD_CALLS: Final = "SELECT decision_id FROM calls WHERE received_at_ms < ? LIMIT ?"
# All rows that are of one call.
DELETE_CALL: Final = tuple(
    f"DELETE FROM {table} WHERE decision_id = ?"  # noqa: S608 - only names of the schema
    for table in ("calls", "attempts", "texts")
)
# For each: the first day to keep, and how many to take at a time.
DELETE_DAYS: Final = (
    *(
        f"""
        DELETE FROM {table} WHERE ({DAY_KEY}) IN (
            SELECT {DAY_KEY} FROM {table} WHERE day < ? LIMIT ?
        )
        """  # noqa: S608 - only names of the schema
        for table in ("day_totals", "day_totals_without_user")
    ),
    "DELETE FROM corrections WHERE id IN (SELECT id FROM corrections WHERE day < ? LIMIT ?)",
)
OLD_DOCUMENTS: Final = "SELECT hash FROM documents WHERE last_day < ?"
DELETE_DOCUMENT: Final = "DELETE FROM documents WHERE hash = ?"
GIVE_BACK: Final = f"PRAGMA incremental_vacuum({CHUNK})"


class Retention:
    """Deletes what is older than `keep_days`, in rounds of small steps; None keeps everything.

    `keep_days` may be set by another thread between two steps.
    `in_use` are the documents that calls to come are decided by; they stay however old they are.
    """

    def __init__(self, keep_days: int | None, in_use: Container[str] = ()) -> None:
        self.keep_days = keep_days
        self._in_use = in_use
        self._round_at = time.monotonic() + SECONDS_BETWEEN_ROUNDS
        self._under_way = False

    def first_ms(self) -> int:
        """Return the time from which on calls are kept, in milliseconds since the epoch."""
        days = self.keep_days
        if days is None:
            return 0
        return (time.time_ns() // 1_000_000 // DAY_MS - days) * DAY_MS

    def step(self, connection: sqlite3.Connection, *, idle: bool) -> bool:
        """Take a step if it is time for one; returns whether there is more to do.

        A round begins when there is nothing else to do, and otherwise once an hour.
        """
        if self.keep_days is None:
            return False
        if not (idle or self._under_way or time.monotonic() >= self._round_at):
            return False
        first_ms = self.first_ms()
        try:
            self._under_way = (
                _delete_calls(connection, first_ms)
                or _delete_days(connection, first_ms // DAY_MS)
                or self._delete_documents(connection, first_ms // DAY_MS)
                or _give_back(connection)
            )
        except sqlite3.Error:
            # The disk is the matter of whoever writes records; the next round tries again.
            self._under_way = False
        if not self._under_way:
            self._round_at = time.monotonic() + SECONDS_BETWEEN_ROUNDS
        return self._under_way

    def _delete_documents(self, connection: sqlite3.Connection, first_day: int) -> bool:
        """Delete what no call that is kept was decided by; returns whether there was any."""
        old = connection.execute(OLD_DOCUMENTS, (first_day,)).fetchall()
        found = [row for row in old if row[0] not in self._in_use]
        if found:
            with transaction(connection):
                connection.executemany(DELETE_DOCUMENT, found)
        return bool(found)


def _delete_calls(connection: sqlite3.Connection, first_ms: int) -> bool:
    """Delete some calls with all that is theirs; returns whether there were any."""
    found = connection.execute(OLD_CALLS, (first_ms, CHUNK)).fetchall()
    if found:
        with transaction(connection):
            for statement in DELETE_CALL:
                connection.executemany(statement, found)
    return bool(found)


def _delete_days(connection: sqlite3.Connection, first_day: int) -> bool:
    """Delete something of what is kept by day; returns whether there was anything."""
    return any(
        connection.execute(statement, (first_day, CHUNK)).rowcount for statement in DELETE_DAYS
    )


def _give_back(connection: sqlite3.Connection) -> bool:
    """Give free pages back to the file system; returns whether there are more that go."""
    before = _free_pages(connection)
    if before:
        connection.execute(GIVE_BACK).fetchall()
    # A file that was restored from a dump was not made to shrink, and keeps them.
    return 0 < _free_pages(connection) < before


def _free_pages(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(pages)
