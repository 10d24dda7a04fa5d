"""What can still be read of a damaged ledger: calls, one by one.

Rules of this file: blocking, reads only. Whatever goes wrong means that a call cannot be read: what
it cost is then charged by its intent, at the most it may be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

from routerd.domain import Record
from routerd.ledger.reading import read_records

__all__ = ["Find", "salvaging"]

# Returns the record of a decision id, None where it cannot be read.
Find = Callable[[str], Record | None]


@contextmanager
def salvaging(damaged: Path | None) -> Iterator[Find]:
    """Look for calls in a ledger that was set aside; without one there are none."""
    try:
        connection = _connect(damaged)
    except sqlite3.Error:
        connection = _connect(None)

    def find(decision_id: str) -> Record | None:
        try:
            records = read_records(connection, "WHERE decision_id = ?", (decision_id,))
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError):
            return None
        # A broken index may lead to the row of another.
        return next((item for item in records if item.decision_id == decision_id), None)

    with closing(connection):
        yield find


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return sqlite3.connect(":memory:")
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
