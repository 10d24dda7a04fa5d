"""A ledger with very many records, made in little time: a few are written, the others are copies.

Rules of this file: the first calls, with their attempts and totals, are written by the ledger's own
code. What follows are copies of those rows under ids and times of their own, later and later, so
that tables and indexes are as large and as deep as those of as many calls. The file is real, in the
folder given; so many calls end an hour before now. While the copies are made there is no log to
undo them by, so nothing is written twice: a ledger that is not finished is thrown away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from bench.money_traffic import month_of_calls
from routerd.domain import Record
from routerd.ledger.batch import transaction
from routerd.ledger.opening import open_for_writing
from routerd.ledger.rows import (
    ATTEMPT_COLUMNS,
    CALL_COLUMNS,
    attempt_rows,
    call_row,
    insert_attempts,
    insert_calls,
)
from routerd.ledger.totals import Totals
from routerd.telemetry.events import Event

__all__ = ["build_ledger"]

Tell = Callable[[str], None]
WRITTEN: Final = 10_000
DAYS_MS: Final = 20 * 86_400_000
HOUR_MS: Final = 3_600_000
CACHE_KIB: Final = 1024 * 1024
# How often is said how far it is.
ROWS_A_WORD: Final = 100_000

# An id is the time in milliseconds and what tells calls of one millisecond apart, in hex.
NEW_ID: Final = "printf('%012x%020x', call.received_at_ms + :later, :first + call.rowid)"
REPLACED: Final = {
    "decision_id": NEW_ID,
    "received_at_ms": "call.received_at_ms + :later",
    # As a client makes them: they have no order, so their index is met all over.
    "call_id": "lower(hex(randomblob(12)))",
}


def build_ledger(path: Path, count: int, tell: Tell) -> int:
    """Write a ledger of so many calls; returns its bytes."""
    opened = open_for_writing(path, check_seconds=0.0, tell=_hear)
    connection = opened.connection
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA synchronous = OFF")
        _journal(connection, "off")
        written = min(count, WRITTEN)
        step_ms = max(1, DAYS_MS // max(count, 1))
        began_ms = time.time_ns() // 1_000_000 - HOUR_MS - step_ms * count
        _write(connection, written, began_ms, step_ms)
        for first in range(written, count, WRITTEN):
            rows = min(WRITTEN, count - first)
            with transaction(connection):
                _copy(connection, rows, first, later=first * step_ms)
            if first % ROWS_A_WORD == 0:
                tell(f"{first:,} of {count:,} records")
        _journal(connection, "wal")
        (found,) = connection.execute("SELECT count(*) FROM calls").fetchone()
        if found != count:
            raise ValueError(f"{found} of {count} records")
    finally:
        opened.close()
    # Or the first to use it would wait for the disk.
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def _journal(connection: Connection, mode: str) -> None:
    (now,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    if now != mode:
        raise ValueError(f"the journal is {now}")


def _write(connection: Connection, count: int, began_ms: int, step_ms: int) -> None:
    totals = Totals()
    calls, attempts = [], []
    for number, record in enumerate(month_of_calls(count)):
        _move(record, number, began_ms + number * step_ms)
        totals.add(record)
        calls.append(call_row(record, None))
        attempts += attempt_rows(record)
    with transaction(connection):
        insert_calls(connection, calls)
        insert_attempts(connection, attempts)
        totals.write(connection)


def _move(record: Record, number: int, at_ms: int) -> None:
    record.decision_id = record.trace_id = f"{at_ms:012x}{number + 1:020x}"
    record.received_at_ns = at_ms * 1_000_000


def _copy(connection: Connection, rows: int, first: int, later: int) -> None:
    """Copy the first so many calls and their attempts, `later` milliseconds after them."""
    values = {"rows": rows, "first": first, "later": later}
    calls = [REPLACED.get(name, f"call.{name}") for name in CALL_COLUMNS]
    connection.execute(
        f"INSERT INTO calls ({', '.join(CALL_COLUMNS)}) SELECT {', '.join(calls)} "
        "FROM calls AS call WHERE call.rowid <= :rows ORDER BY call.rowid",
        values,
    )
    replaced = {"decision_id": NEW_ID, "started_ms": "attempt.started_ms + :later"}
    attempts = [replaced.get(name, f"attempt.{name}") for name in ATTEMPT_COLUMNS]
    connection.execute(
        f"INSERT INTO attempts ({', '.join(ATTEMPT_COLUMNS)}) SELECT {', '.join(attempts)} "
        "FROM calls AS call JOIN attempts AS attempt USING (decision_id) "
        "WHERE call.rowid <= :rows ORDER BY call.rowid",
        values,
    )


def _hear(event: Event) -> None:
    """Nothing is expected to be told of a new file."""
    raise ValueError(event)
