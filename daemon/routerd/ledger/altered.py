"""Whether what the ledger says of a call is what was written of it.

Rules of this file: read-only. It finds what somebody changed by hand, not what somebody forged who
can work out a digest too. What the ledger itself changes later is no alteration: an invoice may
correct what an attempt cost, where that was estimated or not known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from routerd.domain import Record
from routerd.ledger.rows import ATTEMPT_COLUMNS, CALL_COLUMNS, attempt_rows, digest_of, read_record
from routerd.ledger.totals import DAY_MS

__all__ = ["alterations", "is_document"]

ROW: Final = "its row in the ledger is not the one that was written: somebody changed it"
CALL: Final = f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE decision_id = ?"  # noqa: S608
# Calls up to this one were written by a version that knew no digest.
LAST_WITHOUT: Final = "SELECT decision_id FROM undigested"
ATTEMPTS: Final = (
    f"SELECT {', '.join(ATTEMPT_COLUMNS)}, correction_nanodollars "  # noqa: S608 - of the schema
    "FROM attempts WHERE decision_id = ? ORDER BY number"
)
CORRECTIONS: Final = """
    SELECT ifnull(sum(delta_nanodollars), 0) FROM corrections
    WHERE day = ? AND provider = ? AND model = ? AND decision_id = ? AND number = ?
"""
STARTED: Final = ATTEMPT_COLUMNS.index("started_ms")
PROVIDER: Final = ATTEMPT_COLUMNS.index("provider")
MODEL: Final = ATTEMPT_COLUMNS.index("model")
Values = Sequence[str | int | None]


def alterations(connection: sqlite3.Connection, decision_id: str) -> list[str]:
    """Say in sentences what of a call is not as it was written; empty: nothing, or no such call."""
    row = connection.execute(CALL, (decision_id,)).fetchone()
    if row is None:
        return []
    *values, digest = row
    if digest is None:
        (last,) = connection.execute(LAST_WITHOUT).fetchone()
        # What was written before there were digests is not known to be anything.
        return [] if last is not None and decision_id <= last else [ROW]
    if digest != digest_of(values):
        return [ROW]
    record = read_record(values[CALL_COLUMNS.index("record")], None)
    # A call that was sent again keeps the attempts of its earlier copies as those wrote them.
    return [] if record.sends else list(_altered_attempts(connection, record))


def is_document(name: str, content: bytes) -> bool:
    """Say whether a document is the one of that name: its SHA-256."""
    return sha256(content).hexdigest() == name


def _altered_attempts(connection: sqlite3.Connection, record: Record) -> Iterator[str]:
    written = attempt_rows(record)
    found = connection.execute(ATTEMPTS, (record.decision_id,)).fetchall()
    if len(found) != len(written):
        yield f"its attempts in the ledger are {len(found)}, its record has {len(written)}"
        return
    for number, (expected, row) in enumerate(zip(written, found, strict=True), 1):
        *values, corrected = row
        different = [
            name
            for name, before, now in zip(ATTEMPT_COLUMNS, expected, values, strict=True)
            if before != now
        ]
        if different and not _is_known_better(expected, values, different):
            yield f"its attempt {number} is another than was written: {', '.join(different)}"
        day = int(expected[STARTED] or 0) // DAY_MS
        key = (day, expected[PROVIDER], expected[MODEL], record.decision_id, number)
        (sum_of_changes,) = connection.execute(CORRECTIONS, key).fetchone()
        if sum_of_changes != corrected:
            yield f"its attempt {number} has a correction that no invoice made"


def _is_known_better(written: Values, now: Values, different: list[str]) -> bool:
    """Say whether only an invoice made the difference: of an unknown cost it makes an estimate."""
    cost, basis = (ATTEMPT_COLUMNS.index(name) for name in ("cost_nanodollars", "cost_basis"))
    return (
        set(different) <= {"cost_nanodollars", "cost_basis"}
        and written[basis] == "unknown"
        and (now[cost], now[basis]) == (written[cost] or 0, "estimated")
    )
