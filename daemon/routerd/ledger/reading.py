"""Reading the ledger: by id, by what the client calls it, and the newest.

Rules of this file: blocking; every question opens its own connection, read-only, and closes it, so
that no reader keeps the writer's log from being emptied. Errors of the database end here.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from routerd.domain import Record
from routerd.ledger.altered import alterations, is_document
from routerd.ledger.reasons import read_dropped
from routerd.ledger.rows import read_record
from routerd.ledger.schema import APPLICATION_ID, MIGRATIONS

__all__ = [
    "AlteredDocument",
    "AmbiguousId",
    "Connection",
    "LedgerReader",
    "LedgerUnreadable",
    "check_id",
    "open_reader",
    "pick_one",
    "read_records",
]

# For those who ask through functions of this room, and may not know the database.
Connection = sqlite3.Connection
_Answer = TypeVar("_Answer")
MIN_PREFIX_DIGITS: Final = 8
ID: Final = re.compile(f"[0-9a-f]{{{MIN_PREFIX_DIGITS},32}}")
# Sorts after every hex digit.
AFTER_HEX: Final = "g"
BUSY_SECONDS: Final = 5.0
HOUR_MS: Final = 3_600_000


class AmbiguousId(ValueError):  # noqa: N818 - it says what is wrong with the id
    """Several calls have ids that begin like this."""


class LedgerUnreadable(Exception):  # noqa: N818 - it says what was found
    """The file cannot be read: missing, not a ledger, damaged, or of a later version."""


class AlteredDocument(LedgerUnreadable):
    """What calls were decided by is another than its name says: somebody changed it."""


class LedgerReader:
    """Answers questions about a ledger that may be in use by a daemon."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, decision_id: str) -> Record | None:
        """Return the call of an id, or of the first 8 or more digits of one; None without any.

        ValueError where it is no id, AmbiguousId where several calls match.
        """
        return pick_one(decision_id, self.matching(check_id(decision_id)))

    def matching(self, prefix: str) -> list[Record]:
        """Return at most two calls whose ids begin with a prefix."""
        return self._records(
            "WHERE decision_id >= ? AND decision_id < ? LIMIT 2", (prefix, prefix + AFTER_HEX)
        )

    def recent(self, limit: int) -> list[Record]:
        """Return the newest calls, the newest first."""
        # Ids sort by time.
        return self._records("ORDER BY decision_id DESC LIMIT ?", (limit,))

    def find_call(self, call_id: str, peer_uid: int | None, since_ms: int) -> Record | None:
        """Return the newest call that a user's client gave an id, of the two hours since then."""
        first_hour = since_ms // HOUR_MS
        found = self._records(
            "WHERE received_at_ms / 3600000 IN (?, ?, ?) AND call_id = ? AND peer_uid IS ? "
            "AND received_at_ms >= ? ORDER BY decision_id DESC LIMIT 1",
            (first_hour, first_hour + 1, first_hour + 2, call_id, peer_uid, since_ms),
        )
        return found[0] if found else None

    def document(self, name: str) -> bytes | None:
        """Return what calls were decided by, by its hash; AlteredDocument where it is not that."""
        columns = self._compressed("SELECT content FROM documents WHERE hash = ?", name)
        if columns and not is_document(name, columns[0]):
            raise AlteredDocument(
                f"the policy or directory {name[:12]} in the ledger is not the one that was "
                "written: somebody changed it"
            )
        return columns[0] if columns else None

    def alterations(self, decision_id: str) -> list[str]:
        """Say in sentences what of a call was changed since it was written; empty: nothing."""
        return self.ask(partial(alterations, decision_id=decision_id))

    def texts(self, decision_id: str) -> tuple[bytes, bytes] | None:
        """Return the messages and the answer of a call, as JSON, where they were kept."""
        select = "SELECT messages, answer FROM texts WHERE decision_id = ?"
        columns = self._compressed(select, decision_id)
        return (columns[0], columns[1]) if columns else None

    def ask(self, function: Callable[[sqlite3.Connection], _Answer]) -> _Answer:
        """Run a function on a connection of its own that may only read."""
        with self._connect() as connection:
            return function(connection)

    def _records(self, clause: str, values: tuple[str | int | None, ...]) -> list[Record]:
        return self.ask(lambda connection: read_records(connection, clause, values))

    def _compressed(self, statement: str, value: str) -> list[bytes]:
        """Return the columns of one row; none where there is no row."""
        with self._connect() as connection:
            row = connection.execute(statement, (value,)).fetchone()
            return [zlib.decompress(column) for column in row or ()]

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro"
        try:
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_SECONDS)
            try:
                self._recognise(connection)
                yield connection
            finally:
                connection.close()
        except (sqlite3.Error, zlib.error) as error:
            raise LedgerUnreadable(f"the ledger {self.path} cannot be read: {error}") from error
        except msgspec.DecodeError as error:
            raise LedgerUnreadable(
                f"the ledger {self.path} holds a call that this version cannot read: {error}"
            ) from error

    def _recognise(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise LedgerUnreadable(f"{self.path} is not a ledger of routerd")
        if version > len(MIGRATIONS):
            raise LedgerUnreadable(f"the ledger {self.path} is of a later version of routerd")
        if version < len(MIGRATIONS):
            raise LedgerUnreadable(
                f"the ledger {self.path} is of an earlier version of routerd: start the daemon once"
            )


def read_records(
    connection: sqlite3.Connection, clause: str, values: tuple[str | int | None, ...]
) -> list[Record]:
    """Return the calls that the end of a SELECT from `calls` asks for, in its order."""
    rows = connection.execute(
        f"SELECT record, dropped FROM calls {clause}",  # noqa: S608 - a clause of this package
        values,
    ).fetchall()
    dropped = read_dropped(connection, [listed for _, listed in rows])
    return [read_record(text, items) for (text, _), items in zip(rows, dropped, strict=True)]


def open_reader(path: Path) -> LedgerReader:
    """Return a reader of a ledger; LedgerUnreadable where it is none."""
    reader = LedgerReader(path)
    reader.recent(1)
    return reader


def check_id(decision_id: str) -> str:
    """Return an id or its beginning in lower case; ValueError where it cannot be one."""
    prefix = decision_id.strip().lower()
    if not ID.fullmatch(prefix):
        raise ValueError(
            f"{decision_id[:40]!r} is no decision id: give its 32 hex digits, or at least the "
            f"first {MIN_PREFIX_DIGITS}"
        )
    return prefix


def pick_one(decision_id: str, records: Iterable[Record]) -> Record | None:
    """Return the only record; AmbiguousId where there are several."""
    by_id = {record.decision_id: record for record in records}
    if len(by_id) > 1:
        raise AmbiguousId(f"several calls have ids that begin with {decision_id}: give more digits")
    return next(iter(by_id.values()), None)
