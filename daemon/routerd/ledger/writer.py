"""The thread that writes: it alone owns the connection that may.

Rules of this file: runs in one thread of its own and touches nothing of the event loop's. What is
written is committed before anybody is told so. Records that the disk does not take are kept in
order and tried again; a record that no disk would take is given up and counted, so that it cannot
hold back the others.
"""

from __future__ import annotations

import queue
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct

from routerd.domain import Record
from routerd.ledger.opening import DAMAGED, OpenLedger, open_for_writing
from routerd.ledger.rows import INSERT, Row, row_of
from routerd.telemetry.events import Event, LedgerDegraded, LedgerRecovered, RecordsLost

__all__ = ["Barrier", "Stop", "Writer", "WriterSettings"]

IDLE_SECONDS: Final = 30.0


class Barrier(Struct, frozen=True, eq=False):
    """Answered when all that came before was tried, with the records the disk did not take."""

    answer: Callable[[tuple[Record, ...]], None]


class Stop(Struct, frozen=True, eq=False):
    """The last thing in the queue."""


class WriterSettings(Struct, frozen=True):
    """Limits of the writer; times are seconds."""

    batch_limit: int = 256
    check_seconds: float = 1.0
    first_retry: float = 0.25
    last_retry: float = 10.0
    busy_milliseconds: int = 5000


Item = Record | Barrier | Stop


class Writer:
    """Write what comes through `items`, until Stop.

    `tell` and the answers of barriers are called in this thread. `settled` counts the records that
    are no longer held, `given_up` those of them that were lost.
    """

    def __init__(self, path: Path, settings: WriterSettings, tell: Callable[[Event], None]) -> None:
        self.items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.settled = 0
        self.given_up = 0
        self.degraded = False
        self._path = path
        self._settings = settings
        self._tell = tell
        self._kept: deque[Record] = deque()
        self._retry_at = 0.0
        self._retry_seconds = settings.first_retry
        self._checkpointed = True
        # So many of the first that are kept are tried one by one: one of them cannot be stored.
        self._alone = 0

    def run(self, opened: Callable[[Exception | None], None]) -> None:
        """Open the ledger, tell `opened` how that went, and write until Stop."""
        try:
            ledger = open_for_writing(
                self._path, check_seconds=self._settings.check_seconds, tell=self._tell
            )
        except Exception as error:  # noqa: BLE001 - raised again where the start waits for it
            opened(error)
            return
        try:
            ledger.connection.execute(f"PRAGMA busy_timeout = {self._settings.busy_milliseconds}")
            opened(None)
            self._serve(ledger.connection)
        finally:
            self._close(ledger)

    def _serve(self, connection: sqlite3.Connection) -> None:
        stopping = False
        while not stopping:
            barriers, stopping = self._take()
            if self._kept and (stopping or time.monotonic() >= self._retry_at):
                self._write_kept(connection)
            elif not self._kept and not barriers:
                self._checkpoint(connection)
            if barriers:
                kept = tuple(self._kept)
                for barrier in barriers:
                    barrier.answer(kept)

    def _take(self) -> tuple[list[Barrier], bool]:
        """Wait for something to do and take what is there, a batch at most.

        Records are kept; returns the barriers among them, and whether this is the end.
        """
        barriers: list[Barrier] = []
        patience = max(0.0, self._retry_at - time.monotonic()) if self._kept else IDLE_SECONDS
        for _ in range(self._settings.batch_limit):
            try:
                item = self.items.get(timeout=patience)
            except queue.Empty:
                break
            patience = 0.0
            if isinstance(item, Stop):
                return barriers, True
            if isinstance(item, Barrier):
                barriers.append(item)
            else:
                self._kept.append(item)
        return barriers, False

    def _write_kept(self, connection: sqlite3.Connection) -> None:
        """Write what is kept, batch by batch, until all is written or the disk refuses."""
        while self._kept:
            size = 1 if self._alone else self._settings.batch_limit
            batch = list(islice(self._kept, size))
            try:
                _commit(connection, [row_of(record) for record in batch])
            except Exception as error:  # noqa: BLE001 - a record's own fault may be of any kind
                if _is_of_the_disk(error):
                    self._refused(error)
                    return
                if len(batch) > 1:
                    self._alone = len(batch)
                    continue
                self.given_up += 1
                self._tell(RecordsLost(count=1))
            self._settle(len(batch))
        self._retry_at, self._retry_seconds = 0.0, self._settings.first_retry
        if self.degraded:
            self.degraded = False
            self._tell(LedgerRecovered())

    def _settle(self, count: int) -> None:
        for _ in range(count):
            self._kept.popleft()
        self._alone = max(0, self._alone - count)
        self.settled += count
        self._checkpointed = False

    def _refused(self, error: Exception) -> None:
        """Try again later, each time twice as late."""
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(self._retry_seconds * 2, self._settings.last_retry)
        if not self.degraded:
            self.degraded = True
            self._tell(LedgerDegraded(reason=str(error)))

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move the log into the database; what was written then survives a power cut too."""
        if self._checkpointed:
            return
        self._checkpointed = True
        with suppress(sqlite3.Error):  # it is tried again by itself as the log grows
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _close(self, ledger: OpenLedger) -> None:
        if self._kept:
            self.given_up += len(self._kept)
            self.settled += len(self._kept)
            self._tell(RecordsLost(count=len(self._kept)))
            self._kept.clear()
        self._checkpoint(ledger.connection)
        with suppress(sqlite3.Error):
            ledger.close()


def _commit(connection: sqlite3.Connection, rows: list[Row]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise


def _is_of_the_disk(error: Exception) -> bool:
    """Say whether the file is at fault, and not the record."""
    if isinstance(error, sqlite3.OperationalError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in DAMAGED
