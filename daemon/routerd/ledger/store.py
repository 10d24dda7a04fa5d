"""The ledger as the daemon uses it, on the event loop.

Rules of this file: nothing here waits for a disk, but for the kernel to take an intent. A record is
handed to the writer's thread and is then its business; a question waits until what was written
before it is on disk, and is answered in a worker thread. Events reach the loop's thread before they
reach anybody else.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from routerd.domain import Intent, Record, Script
from routerd.ledger.items import Barrier, Entry, Kept, Order, Stop, Writing
from routerd.ledger.losses import Losses
from routerd.ledger.reading import LedgerReader, LedgerUnreadable, check_id, pick_one
from routerd.ledger.retention import Retention
from routerd.ledger.totals import DAY_MS
from routerd.ledger.writer import Writer, WriterSettings
from routerd.telemetry.events import Event, IntentsLost, LedgerRecovered, RecordsLost

__all__ = ["Ledger"]

_Value = TypeVar("_Value")
ANSWER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
WRITING: Final = WriterSettings()
# So many bytes of prompts and answers wait in memory for the disk; beyond, they are lost.
MOST_TEXT_BYTES: Final = 64 * 1024 * 1024
KEEP_DOCUMENT: Final = (
    "INSERT INTO documents (hash, kind, content, last_day) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET last_day = max(last_day, excluded.last_day)"
)
KEEP_TEXTS: Final = "REPLACE INTO texts (decision_id, messages, answer) VALUES (?, ?, ?)"
KEEP_BOUND: Final = "REPLACE INTO bounds (deployment, surcharge_thousandths) VALUES (?, ?)"
KEEP_RATE: Final = "REPLACE INTO token_rates (model, script, thousandths) VALUES (?, ?, ?)"


def _tell_nobody(event: Event) -> None:
    """Stand in where nobody asked for events."""


class Ledger:
    """The one writer of a ledger file, and questions about what is in it.

    `queue_limit` records are kept in memory while the disk does not take them, calls of more than
    `keep_days` ago are deleted when there is nothing else to do. `on_event` is called on the event
    loop. `counting` is held by who reads sums to count on from, and by who changes what is summed
    up and has counters follow.
    """

    def __init__(
        self,
        path: Path,
        *,
        queue_limit: int = 10_000,
        keep_days: int | None = None,
        close_seconds: float = CLOSE_SECONDS,
        writing: WriterSettings = WRITING,
        on_event: Callable[[Event], None] = _tell_nobody,
    ) -> None:
        self.path = path
        self.counting = anyio.Lock()
        self._queue_limit = queue_limit
        self._close_seconds = close_seconds
        self._on_event = on_event
        self._documents: set[str] = set()
        retention = Retention(keep_days, self._documents)
        self._writer = Writer(path, writing, retention, self._tell_from_writer)
        self._journal = self._writer.journal
        self._reader = LedgerReader(path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open = False
        self._accepted = 0
        self._accepted_bytes = 0
        self._why_not: str | None = None
        self._followers: list[list[Record]] = []
        self._retention = retention
        self._records_lost = Losses(lambda count: on_event(RecordsLost(count=count)))
        self._intents_lost = Losses(self._tell_lost_intents)

    @property
    def lost(self) -> int:
        """How many records were lost since the start, and how much else that belongs to them."""
        return self._records_lost.count + self._writer.given_up

    @property
    def intents_lost(self) -> int:
        """How many requests were sent that would be forgotten if the process died."""
        return self._intents_lost.count

    @property
    def waiting(self) -> int:
        """How much is written and not on disk yet."""
        return self._accepted - self._writer.settled

    @property
    def degraded(self) -> bool:
        """Whether the disk refuses: records wait in memory, or no intent is taken."""
        return self._writer.degraded or self._journal.problem is not None

    @property
    def recovered(self) -> list[Record]:
        """The calls that were found in the journal and in no table, as they were charged."""
        return self._writer.recovered

    @property
    def bounds(self) -> dict[str, int]:
        """The thousandths by which the bound of a deployment is raised, as last learned."""
        return self._writer.bounds

    @property
    def token_rates(self) -> dict[tuple[str, Script], int]:
        """The thousandths of an estimate that a model counts, as last learned.

        By the model, and whether its texts were in another script than Latin letters.
        """
        return self._writer.token_rates

    async def start(self) -> None:
        """Open the file; StartError says why that cannot be."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(
            target=self._writer.run,
            args=(lambda error: self._post(partial(_settle, opened), error),),
            name="ledger writer",
            daemon=True,  # a disk that hangs must not keep the process from ending
        )
        self._thread.start()
        try:
            await opened
        except BaseException:  # cancelled too: the thread must not wait for ever
            self._writer.put(Stop())
            raise
        self._open = True

    def intend(self, intent: Intent) -> bool:
        """Write down what is about to be sent; returns whether that survives the process."""
        if self._open and self._journal.append(intent):
            return True
        self._why_not = self._journal.problem if self._open else "the ledger is closed"
        self._intents_lost.add(asyncio.get_running_loop().time())
        return False

    def write(self, record: Record) -> None:
        """Take a record that no longer changes; never waits."""
        for written in self._followers:
            written.append(record)
        self._put(Entry(record, self._journal.take(record.decision_id)))

    @contextmanager
    def following(self) -> Iterator[list[Record]]:
        """List the records that are written inside the block, also those that no disk takes.

        A record is in the list before it can be on disk.
        """
        written: list[Record] = []
        self._followers.append(written)
        try:
            yield written
        finally:
            self._followers = [item for item in self._followers if item is not written]

    def change(self, *, queue_limit: int, keep_days: int | None) -> None:
        """Keep so much from now on."""
        self._queue_limit = queue_limit
        self._retention.keep_days = keep_days

    def keep_document(self, kind: str, content: bytes) -> str:
        """Keep what calls are decided by, once; returns its hash."""
        name = hashlib.sha256(content).hexdigest()
        if name not in self._documents:
            day = time.time_ns() // 1_000_000 // DAY_MS
            if self._put(Writing(partial(_write_document, name, kind, content, day))):
                self._documents.add(name)
        return name

    def keep_texts(self, decision_id: str, messages_json: bytes, answer_json: bytes) -> None:
        """Keep the prompt and the answer of a call, of a tenant for whom that is switched on."""
        size = len(messages_json) + len(answer_json)
        write = partial(_write_texts, decision_id, messages_json, answer_json)
        self._put(Writing(write, size))

    def learn_bound(self, deployment: str, thousandths: int) -> None:
        """Remember by how much the bound of a deployment is raised."""
        self.bounds[deployment] = thousandths
        self._put(Writing(lambda to: to.execute(KEEP_BOUND, (deployment, thousandths))))

    def learn_token_rate(self, model: str, thousandths: int, script: Script) -> None:
        """Remember how many thousandths of an estimate a model counts."""
        self.token_rates[model, script] = thousandths
        values = (model, script, thousandths)
        self._put(Writing(lambda to: to.execute(KEEP_RATE, values)))

    def _put(self, item: Kept) -> bool:
        """Hand something to the writer; returns whether there was room for it."""
        size = item.size if isinstance(item, Writing) else 0
        kept_bytes = self._accepted_bytes - self._writer.settled_bytes
        too_much = size > 0 and kept_bytes + size > MOST_TEXT_BYTES
        if not self._open or too_much or self.waiting >= self._queue_limit:
            self._records_lost.add(asyncio.get_running_loop().time())
            return False
        self._accepted += 1
        self._accepted_bytes += size
        self._writer.put(item)
        return True

    async def flush(self) -> tuple[Record, ...]:
        """Wait until all that was written is on disk; returns the records it does not take."""
        if not self._open:
            return ()
        answered: asyncio.Future[tuple[Record, ...]] = asyncio.get_running_loop().create_future()

        def settle(kept: tuple[Record, ...]) -> None:
            if not answered.cancelled():
                answered.set_result(kept)

        self._writer.put(Barrier(lambda kept: self._post(settle, kept)))
        return await answered

    async def find(self, decision_id: str) -> Record | None:
        """Return the call of an id, or of the first 8 or more digits of one; None without any.

        ValueError where it is no id, AmbiguousId where several calls match, LedgerUnreadable
        where the file cannot be read.
        """
        prefix = check_id(decision_id)
        kept = await self.flush_in_time()
        stored = await anyio.to_thread.run_sync(self._reader.matching, prefix)
        waiting = [record for record in kept if record.decision_id.startswith(prefix)]
        return pick_one(decision_id, stored + waiting)

    async def recent(self, limit: int) -> list[Record]:
        """Return the newest calls, the newest first."""
        kept = await self.flush_in_time()
        stored = await anyio.to_thread.run_sync(self._reader.recent, limit)
        records = {record.decision_id: record for record in (*stored, *kept)}
        return [records[name] for name in sorted(records, reverse=True)[:limit]]

    async def find_call(self, call_id: str, peer_uid: int | None, since_ms: int) -> Record | None:
        """Return the newest call that a user's client gave an id, if it came in since then."""
        kept = await self.flush_in_time()
        found = await anyio.to_thread.run_sync(self._reader.find_call, call_id, peer_uid, since_ms)
        matching = [
            record
            for record in kept
            if (record.call_id, record.peer_uid) == (call_id, peer_uid)
            and record.received_at_ns >= since_ms * 1_000_000
        ]
        # What is kept in memory is newer than its row, if it has one.
        return max((*matching, *([found] if found else [])), key=_age, default=None)

    async def alterations(self, decision_id: str) -> list[str]:
        """Say in sentences what of a call was changed since it was written; empty: nothing."""
        return await anyio.to_thread.run_sync(self._reader.alterations, decision_id)

    async def document(self, name: str) -> bytes | None:
        """Return what calls were decided by, by its hash; None where it is not there.

        AlteredDocument where it is not the one that the hash is of.
        """
        await self.flush_in_time()
        return await anyio.to_thread.run_sync(self._reader.document, name)

    async def texts(self, decision_id: str) -> tuple[bytes, bytes] | None:
        """Return the messages and the answer of a call, as JSON, where they were kept."""
        await self.flush_in_time()
        return await anyio.to_thread.run_sync(self._reader.texts, decision_id)

    async def ask(self, function: Callable[[sqlite3.Connection], _Value]) -> _Value:
        """Run a function in a worker thread, on a connection that may only read.

        What was written before is on disk then, as far as the disk takes it: see `waiting`.
        LedgerUnreadable where the file cannot be read, or its disk does not answer.
        """
        await self.flush_in_time()
        return await anyio.to_thread.run_sync(self._reader.ask, function)

    async def order(self, function: Callable[[sqlite3.Connection], _Value]) -> _Value:
        """Run a function in the writer's thread, in one transaction; returns what it returns.

        What it raises is raised here, and nothing of it is written then; LedgerUnreadable where
        the disk refuses.
        """
        if not self._open:
            raise LedgerUnreadable(f"the ledger {self.path} is closed")
        results: list[_Value] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        run = Order(
            lambda connection: results.append(function(connection)),
            lambda error: self._post(partial(_settle, done), error),
        )
        self._writer.put(run)
        try:
            await done
        except sqlite3.Error as error:
            message = f"the ledger {self.path} cannot be written: {error}"
            raise LedgerUnreadable(message) from error
        return results[0]

    async def close(self) -> None:
        """Write what is left, empty the log into the database and close; bounded in time."""
        if not self._open or self._thread is None:
            return
        self._open = False
        self._writer.put(Stop())
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join, self._close_seconds)
        now = asyncio.get_running_loop().time()
        if self._thread.is_alive():
            self._records_lost.add(now, self.waiting)
        self._records_lost.tell(now)
        self._intents_lost.tell(now)

    async def flush_in_time(self) -> tuple[Record, ...]:
        """Do what `flush` does; LedgerUnreadable where the disk does not answer."""
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                return await self.flush()
        except TimeoutError as error:
            raise LedgerUnreadable(f"the disk of the ledger {self.path} does not answer") from error

    def _tell_lost_intents(self, count: int) -> None:
        self._on_event(IntentsLost(count=count, reason=self._why_not or ""))

    def _tell_from_writer(self, event: Event) -> None:
        self._post(self._tell, event)

    def _tell(self, event: Event) -> None:
        self._on_event(event)
        if isinstance(event, LedgerRecovered):
            self._records_lost.tell(asyncio.get_running_loop().time())

    def _post(self, function: Callable[[_Value], None], value: _Value) -> None:
        """Call a function on the loop's thread; nobody listens once the loop is closed."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, value)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    """Tell who waits that something is done, or why not."""
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _age(record: Record) -> tuple[str, int]:
    return record.decision_id, record.sends


def _write_document(name: str, kind: str, content: bytes, day: int, to: sqlite3.Connection) -> None:
    to.execute(KEEP_DOCUMENT, (name, kind, zlib.compress(content), day))


def _write_texts(decision_id: str, messages: bytes, answer: bytes, to: sqlite3.Connection) -> None:
    to.execute(KEEP_TEXTS, (decision_id, zlib.compress(messages), zlib.compress(answer)))
