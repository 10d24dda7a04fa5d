"""The ledger as the daemon uses it, on the event loop.

Rules of this file: nothing here waits for a disk. A record is handed to the writer's thread and is
then its business; a question waits until what was written before it is on disk, and is answered in
a worker thread. Events reach the loop's thread before they reach anybody else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from routerd.domain import Record
from routerd.ledger.reading import LedgerReader, LedgerUnreadable, check_id, pick_one
from routerd.ledger.writer import Barrier, Stop, Writer, WriterSettings
from routerd.telemetry.events import Event, LedgerRecovered, RecordsLost

__all__ = ["Ledger"]

_Value = TypeVar("_Value")
SECONDS_BETWEEN_LOSSES: Final = 10.0
ANSWER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0


def _tell_nobody(event: Event) -> None:
    """Stand in where nobody asked for events."""


class Ledger:
    """The one writer of a ledger file, and questions about what is in it.

    `queue_limit` records are kept in memory while the disk does not take them, `batch_limit` go
    into one transaction. `on_event` is called on the event loop. `lost` counts the records nobody
    will find, `degraded` says whether the disk refuses at the moment.
    """

    def __init__(
        self,
        path: Path,
        *,
        queue_limit: int = 10_000,
        batch_limit: int = 256,
        check_seconds: float = 1.0,
        close_seconds: float = CLOSE_SECONDS,
        busy_milliseconds: int = 5000,
        on_event: Callable[[Event], None] = _tell_nobody,
    ) -> None:
        self.path = path
        self._queue_limit = queue_limit
        self._close_seconds = close_seconds
        self._on_event = on_event
        settings = WriterSettings(
            batch_limit=batch_limit,
            check_seconds=check_seconds,
            busy_milliseconds=busy_milliseconds,
        )
        self._writer = Writer(path, settings, self._tell_from_writer)
        self._reader = LedgerReader(path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open = False
        self._accepted = 0
        self._refused = 0
        self._untold = 0
        self._tell_losses_at = 0.0

    @property
    def lost(self) -> int:
        """How many records were lost since the start."""
        return self._refused + self._writer.given_up

    @property
    def degraded(self) -> bool:
        """Whether records wait in memory because the disk does not take them."""
        return self._writer.degraded

    async def start(self) -> None:
        """Open the file; StartError says why that cannot be."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()

        def settle(error: Exception | None) -> None:
            if opened.cancelled():
                return
            if error is None:
                opened.set_result(None)
            else:
                opened.set_exception(error)

        self._thread = threading.Thread(
            target=self._writer.run,
            args=(lambda error: self._post(settle, error),),
            name="ledger writer",
            daemon=True,  # a disk that hangs must not keep the process from ending
        )
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._writer.items.put(Stop())
            raise
        self._open = True

    def write(self, record: Record) -> None:
        """Take a record that no longer changes; never waits."""
        if not self._open or self._accepted - self._writer.settled >= self._queue_limit:
            self._refused += 1
            self._untold += 1
            self._tell_losses()
            return
        self._accepted += 1
        self._writer.items.put(record)

    async def flush(self) -> tuple[Record, ...]:
        """Wait until all that was written is on disk; returns the records it does not take."""
        if not self._open:
            return ()
        answered: asyncio.Future[tuple[Record, ...]] = asyncio.get_running_loop().create_future()

        def settle(kept: tuple[Record, ...]) -> None:
            if not answered.cancelled():
                answered.set_result(kept)

        self._writer.items.put(Barrier(lambda kept: self._post(settle, kept)))
        return await answered

    async def find(self, decision_id: str) -> Record | None:
        """Return the call of an id, or of the first 8 or more digits of one; None without any.

        ValueError where it is no id, AmbiguousId where several calls match, LedgerUnreadable
        where the file cannot be read.
        """
        prefix = check_id(decision_id)
        kept = await self._flush_in_time()
        stored = await anyio.to_thread.run_sync(self._reader.matching, prefix)
        waiting = [record for record in kept if record.decision_id.startswith(prefix)]
        return pick_one(decision_id, stored + waiting)

    async def recent(self, limit: int) -> list[Record]:
        """Return the newest calls, the newest first."""
        kept = await self._flush_in_time()
        stored = await anyio.to_thread.run_sync(self._reader.recent, limit)
        records = {record.decision_id: record for record in (*stored, *kept)}
        return [records[name] for name in sorted(records, reverse=True)[:limit]]

    async def close(self) -> None:
        """Write what is left, empty the log into the database and close; bounded in time."""
        if not self._open or self._thread is None:
            return
        self._open = False
        self._writer.items.put(Stop())
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join, self._close_seconds)
        if self._thread.is_alive():
            left = self._accepted - self._writer.settled
            self._refused += left
            self._untold += left
        self._tell_losses(at_once=True)

    async def _flush_in_time(self) -> tuple[Record, ...]:
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                return await self.flush()
        except TimeoutError as error:
            raise LedgerUnreadable(f"the disk of the ledger {self.path} does not answer") from error

    def _tell_losses(self, *, at_once: bool = False) -> None:
        """Tell how many records were lost since the last time; not for each of a thousand."""
        now = asyncio.get_running_loop().time()
        if self._untold and (at_once or now >= self._tell_losses_at):
            self._tell_losses_at = now + SECONDS_BETWEEN_LOSSES
            count, self._untold = self._untold, 0
            self._on_event(RecordsLost(count=count))

    def _tell_from_writer(self, event: Event) -> None:
        self._post(self._tell, event)

    def _tell(self, event: Event) -> None:
        self._on_event(event)
        if isinstance(event, LedgerRecovered):
            self._tell_losses(at_once=True)

    def _post(self, function: Callable[[_Value], None], value: _Value) -> None:
        """Call a function on the loop's thread; nobody listens once the loop is closed."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, value)
