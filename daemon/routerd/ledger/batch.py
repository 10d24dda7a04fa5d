"""Writing records: all rows of a batch in one transaction.

Rules of this file: runs in the writer's thread. A call has one row however often it comes: the same
record twice changes nothing, and that of a call that was sent again takes the place of the earlier
one and adds only the attempts that are new. Either all of a batch is written or nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from routerd.domain import Record
from routerd.ledger.reasons import Reasons
from routerd.ledger.rows import (
    INSERT_ATTEMPT,
    REPLACE_CALL,
    Row,
    attempt_rows,
    call_row,
    insert_attempts,
    insert_calls,
    nothing,
    read_record,
)
from routerd.ledger.totals import DAY_MS, Totals

__all__ = ["BatchWriter", "transaction"]

Write = Callable[[sqlite3.Connection], object]
# After so many records others may go first: they take a fraction of a millisecond.
RECORDS_A_BREATH: Final = 8
USED_ON: Final = "UPDATE documents SET last_day = ?1 WHERE hash = ?2 AND last_day < ?1"


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # interrupted too: nothing is half written
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


class BatchWriter:
    """Write batches of records, and whatever else is to be written with them.

    `breathe` is called every fraction of a millisecond, for others who want the same lock or core.
    """

    def __init__(
        self, connection: sqlite3.Connection, breathe: Callable[[], None] = nothing
    ) -> None:
        self._connection = connection
        self._breathe = breathe
        self._reasons = Reasons(connection)
        # The last day on which each document is known to have been used.
        self._days: dict[str, int] = {}

    def write(self, records: Sequence[Record], writes: Sequence[Write] = ()) -> None:
        """Commit records and other writes; where that fails nothing of them is written."""
        try:
            days = self._new_days(records)
            try:
                self._insert(records, writes, days)
            except sqlite3.IntegrityError:
                self._merge(records, writes, days)
        except BaseException:  # whatever ends it, the ids it gave out are not in the table
            self._reasons.rolled_back()
            raise
        self._reasons.committed()
        self._days |= days

    def _insert(
        self, records: Sequence[Record], writes: Sequence[Write], days: dict[str, int]
    ) -> None:
        """Write calls that are all new."""
        totals = Totals()
        calls: list[Row] = []
        attempts: list[Row] = []
        for number, record in enumerate(records, 1):
            calls.append(self._call_row(record))
            attempts += attempt_rows(record)
            totals.add(record)
            if number % RECORDS_A_BREATH == 0:
                self._breathe()
        with transaction(self._connection):
            insert_calls(self._connection, calls, self._breathe)
            insert_attempts(self._connection, attempts, self._breathe)
            self._write_others(totals, writes, days)

    def _merge(
        self, records: Sequence[Record], writes: Sequence[Write], days: dict[str, int]
    ) -> None:
        """Write calls of which some are there already, one by one."""
        totals = Totals()
        with transaction(self._connection):
            for record in records:
                self._merge_one(record, totals)
            self._write_others(totals, writes, days)

    def _merge_one(self, record: Record, totals: Totals) -> None:
        name = (record.decision_id,)
        select = "SELECT record FROM calls WHERE decision_id = ?"
        row = self._connection.execute(select, name).fetchone()
        select = "SELECT number FROM attempts WHERE decision_id = ?"
        known = {number for (number,) in self._connection.execute(select, name)}
        for number, attempt in enumerate(attempt_rows(record), 1):
            if number not in known:
                self._connection.execute(INSERT_ATTEMPT, attempt)
                totals.add_attempt(record, number)
        earlier = read_record(row[0], None) if row is not None else None
        if earlier is None or record.sends > earlier.sends:
            if earlier is not None:
                totals.add_call(earlier, -1)
            totals.add_call(record)
            self._connection.execute(REPLACE_CALL, self._call_row(record))

    def _write_others(self, totals: Totals, writes: Sequence[Write], days: dict[str, int]) -> None:
        for write in writes:
            write(self._connection)
        self._reasons.insert(self._connection)
        totals.write(self._connection)
        self._connection.executemany(USED_ON, [(day, name) for name, day in days.items()])

    def _call_row(self, record: Record) -> Row:
        plan = record.plan
        return call_row(record, self._reasons.refer(plan.dropped) if plan is not None else None)

    def _new_days(self, records: Sequence[Record]) -> dict[str, int]:
        """Return the documents these records were decided by, on a later day than known."""
        days: dict[str, int] = {}
        for record in records:
            day = record.received_at_ns // 1_000_000 // DAY_MS
            for name in (record.directory_hash, record.policy_hash):
                if name is not None and day > days.get(name, self._days.get(name, -1)):
                    days[name] = day
        return days
