"""The thread that writes: it alone owns the connection that may.

Rules of this file: runs in one thread of its own and touches nothing of the event loop's. What is
written is committed before anybody is told so. What the disk does not take is kept in order and
tried again; what no disk would take is given up and counted, so that it cannot hold back the rest.
Records wait a moment for others to be committed with them, unless somebody waits for them: until
then the journal has what they cost. Where both threads want one core the calls go first, but not
always: a writer that fell behind would have to give records up.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from routerd.domain import Record, Script
from routerd.ledger.batch import BatchWriter, transaction
from routerd.ledger.items import Asked, Barrier, Entry, Kept, Order, Stop
from routerd.ledger.journal import Journal
from routerd.ledger.opening import DAMAGED, OpenLedger, cannot_open, open_for_writing
from routerd.ledger.recovery import recover
from routerd.ledger.retention import Retention
from routerd.telemetry.events import (
    Event,
    IntentsLost,
    LedgerDegraded,
    LedgerRecovered,
    RecordsLost,
    SpendRecovered,
)

__all__ = ["Writer", "WriterSettings"]

KNOWN_BOUNDS: Final = "SELECT deployment, surcharge_thousandths FROM bounds"
KNOWN_RATES: Final = "SELECT model, script, thousandths FROM token_rates"
# Linux weighs 0 with 1024 and 5 with 335 (sched_prio_to_weight): a quarter of a core that both
# want. `bench/profile_call.py` prints what the ledger's thread needs beside the loop's.
NICENESS: Final = 5


class WriterSettings(Struct, frozen=True):
    """Limits of the writer; times are seconds.

    A record waits `gather_seconds` for others. A breath is as short as the kernel's timers allow.
    After `idle_seconds` with nothing to write the writer does what can wait.
    """

    batch_limit: int = 256
    check_seconds: float = 1.0
    first_retry: float = 0.25
    last_retry: float = 10.0
    busy_milliseconds: int = 5000
    gather_seconds: float = 0.1
    breath_seconds: float = 1e-6
    idle_seconds: float = 30.0


class Writer:
    """Write what comes through `put`, until Stop.

    `tell` and all answers are called in this thread. `settled` counts what is no longer held,
    `settled_bytes` its size, `given_up` what of it was lost. `recovered`, `bounds` and
    `token_rates` are what was found in the ledger; they are there when `opened` is called.
    """

    def __init__(
        self,
        path: Path,
        settings: WriterSettings,
        retention: Retention,
        tell: Callable[[Event], None],
    ) -> None:
        self.settled = 0
        self.settled_bytes = 0
        self.given_up = 0
        self.degraded = False
        self.recovered: list[Record] = []
        self.bounds: dict[str, int] = {}
        self.token_rates: dict[tuple[str, Script], int] = {}
        self.journal = Journal(path)
        self._path = path
        self._settings = settings
        self._tell = tell
        self._items: queue.SimpleQueue[Kept | Asked] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._kept: deque[Kept] = deque()
        self._retry_at = 0.0
        self._retry_seconds = settings.first_retry
        self._retention = retention
        self._checkpointed = True
        # So many of the first that are kept are tried one by one: one of them cannot be stored.
        self._alone = 0

    def put(self, item: Kept | Asked) -> None:
        """Take something to do; called on the event loop, never waits."""
        self._items.put(item)
        if isinstance(item, Asked):
            self._hurry.set()

    def run(self, opened: Callable[[Exception | None], None]) -> None:
        """Open the ledger, tell `opened` how that went, and write until Stop."""
        _stand_back()
        try:
            ledger, batches = self._open()
        except Exception as error:  # noqa: BLE001 - raised again where the start waits for it
            opened(error)
            return
        try:
            opened(None)
            self._serve(ledger.connection, batches)
        finally:
            self._close(ledger)

    def _open(self) -> tuple[OpenLedger, BatchWriter]:
        ledger = open_for_writing(
            self._path, check_seconds=self._settings.check_seconds, tell=self._tell
        )
        try:
            return ledger, self._begin(ledger.connection, ledger.aside)
        except BaseException:  # whatever it is, the file and its lock are let go
            ledger.close()
            raise

    def _begin(self, connection: sqlite3.Connection, damaged: Path | None) -> BatchWriter:
        """Read what the ledger knows, and charge what the process before had sent."""
        connection.execute(f"PRAGMA busy_timeout = {self._settings.busy_milliseconds}")
        try:
            batches = BatchWriter(connection, self._breathe)
            self.bounds.update(connection.execute(KNOWN_BOUNDS).fetchall())
            for model, script, thousandths in connection.execute(KNOWN_RATES):
                self.token_rates[model, script] = thousandths
            found = recover(connection, self._path, self._retention.first_ms(), damaged)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise cannot_open(self._path, str(error)) from error
        self.journal.begin(found.segments)
        self._kept.extend(Entry(record, segments) for record, segments in found.records)
        self.recovered = [record for record, _ in found.records]
        self.settled = -len(self.recovered)  # nobody handed them over
        if found.charged:
            self._tell(SpendRecovered(count=found.charged, nanodollars=found.nanodollars))
        if found.unreadable:
            self._tell(IntentsLost(count=found.unreadable, reason="they were not written whole"))
        self._write_kept(batches)
        return batches

    def _serve(self, connection: sqlite3.Connection, batches: BatchWriter) -> None:
        stopping, more_to_tidy = False, False
        while not stopping:
            asked = self._take(0.0 if more_to_tidy else self._patience())
            stopping = any(isinstance(item, Stop) for item in asked)
            idle = not self._kept and not asked
            if self._kept and (stopping or time.monotonic() >= self._retry_at):
                self._write_kept(batches)
            for item in asked:
                self._answer(connection, item)
            if self._kept or stopping:
                continue
            if idle and self.journal.problem is not None:
                self.journal.tend()
            more_to_tidy = self._retention.step(connection, idle=idle)
            self._checkpointed = self._checkpointed and not more_to_tidy
            if idle and not more_to_tidy:
                self._checkpoint(connection)

    def _patience(self) -> float:
        """Return how long nothing may come before the writer does what can wait."""
        idle_seconds = self._settings.idle_seconds
        if self.journal.problem is None:
            return idle_seconds
        return min(idle_seconds, self._settings.last_retry)

    def _take(self, patience: float) -> list[Asked]:
        """Wait for something to do and take all that is there.

        What is to be written is kept; returns what somebody waits for.
        """
        asked: list[Asked] = []
        if self._kept:
            patience = max(0.0, self._retry_at - time.monotonic())
        try:
            self._sort(self._items.get(timeout=patience), asked)
        except queue.Empty:
            return asked
        if not asked and self._items.qsize() < self._settings.batch_limit:
            self._hurry.wait(self._settings.gather_seconds)
        self._hurry.clear()
        for _ in range(self._items.qsize()):
            self._sort(self._items.get_nowait(), asked)
        return asked

    def _sort(self, item: Kept | Asked, asked: list[Asked]) -> None:
        if isinstance(item, Asked):
            asked.append(item)
        else:
            self._kept.append(item)

    def _answer(self, connection: sqlite3.Connection, item: Asked) -> None:
        if isinstance(item, Barrier):
            item.answer(tuple(kept.record for kept in self._kept if isinstance(kept, Entry)))
        elif isinstance(item, Order):
            try:
                with transaction(connection):
                    item.function(connection)
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                item.answer(error)
            else:
                item.answer(None)

    def _write_kept(self, batches: BatchWriter) -> None:
        """Write what is kept, batch by batch, until all is written or the disk refuses."""
        while self._kept:
            size = 1 if self._alone else self._settings.batch_limit
            batch = list(islice(self._kept, size))
            records = [item.record for item in batch if isinstance(item, Entry)]
            others = [item.write for item in batch if not isinstance(item, Entry)]
            is_written = True
            try:
                batches.write(records, others)
            except Exception as error:  # noqa: BLE001 - a record's own fault may be of any kind
                if _is_of_the_disk(error):
                    self._refused(error)
                    return
                if len(batch) > 1:
                    self._alone = len(batch)
                    continue
                is_written = False
                self.given_up += 1
                self._tell(RecordsLost(count=1))
            self._settle(len(batch), is_written=is_written)
        self._retry_at, self._retry_seconds = 0.0, self._settings.first_retry
        self.journal.tend()
        if self.degraded:
            self.degraded = False
            self._tell(LedgerRecovered())

    def _breathe(self) -> None:
        """Let the event loop go first, unless the writer falls behind.

        It waits for the interpreter's lock, up to five milliseconds, since nobody has to give that
        back before; and for the core, where there is one. To give the lock up and take it again at
        once would not help: who sleeps has not woken up by then.
        """
        if self._items.qsize() < self._settings.batch_limit:
            time.sleep(self._settings.breath_seconds)  # noqa: TID251 - in a thread of its own

    def _settle(self, count: int, *, is_written: bool) -> None:
        """Let go of the first that are kept; the journal forgets only what is on disk."""
        for _ in range(count):
            item = self._kept.popleft()
            if not isinstance(item, Entry):
                self.settled_bytes += item.size
            elif is_written:
                for segment in item.segments:
                    segment.closed += 1
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
        """Give up what no disk took; the journal keeps what that cost for the next start."""
        if self._kept:
            self.given_up += len(self._kept)
            self.settled += len(self._kept)
            self._tell(RecordsLost(count=len(self._kept)))
            self._kept.clear()
        self._checkpoint(ledger.connection)
        with suppress(OSError):
            self.journal.close()
        with suppress(sqlite3.Error):
            ledger.close()


def _stand_back() -> None:
    """Let the calls go first; only Linux has that for one thread of a process."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _is_of_the_disk(error: Exception) -> bool:
    """Say whether the file is at fault, and not the record."""
    if isinstance(error, sqlite3.OperationalError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in DAMAGED
