"""A disk that refuses, a full queue, a process that is killed: what is kept, and what is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from routerd.ledger import Ledger, WriterSettings, open_reader
from routerd.telemetry.events import Event, LedgerDegraded, LedgerRecovered, RecordsLost
from tests.daemon.ledger.children import run_child
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import decision_id, full_record, small_record

# How long a commit waits for another program that writes to the file.
IMPATIENT = WriterSettings(busy_milliseconds=1)
PATIENT = WriterSettings(busy_milliseconds=3000)


@contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    """Hold the ledger as a program would that writes to it: every commit is refused."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@asynccontextmanager
async def held_in_a_thread(path: Path) -> AsyncIterator[None]:
    held = held_by_another(path)
    await anyio.to_thread.run_sync(held.__enter__)
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(held.__exit__, None, None, None)


async def stored(path: Path) -> int:
    """Count what another program would find in the file."""
    return len(await anyio.to_thread.run_sync(lambda: open_reader(path).recent(1000)))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
        await anyio.sleep(0.01)


async def test_a_disk_that_refuses_stops_nothing(
    open_ledger: OpenLedger, path: Path, events: list[Event]
) -> None:
    async with open_ledger(writing=IMPATIENT) as ledger:
        ledger.write(small_record(1))
        await ledger.flush()
        async with held_in_a_thread(path):
            ledger.write(small_record(2))
            await until(lambda: ledger.degraded)
            ledger.write(small_record(3))
            # Still found, from memory; and in order beside what is on disk.
            assert await ledger.find(decision_id(3)) == small_record(3)
            assert [record.call_id for record in await ledger.recent(9)] == [
                "call-3",
                "call-2",
                "call-1",
            ]
            assert await stored(path) == 1
        await until(lambda: not ledger.degraded)
        assert await ledger.flush() == ()
        assert await stored(path) == 3
        assert ledger.lost == 0
    assert [type(event) for event in events] == [LedgerDegraded, LedgerRecovered]


async def test_beyond_the_limit_records_are_lost_and_told(
    open_ledger: OpenLedger, path: Path, events: list[Event]
) -> None:
    async with open_ledger(writing=IMPATIENT, queue_limit=10) as ledger:
        async with held_in_a_thread(path):
            for number in range(25):
                ledger.write(small_record(number))
            await until(lambda: ledger.degraded)
            assert ledger.lost == 15
            # Told at once, and then not for each.
            assert [event for event in events if isinstance(event, RecordsLost)] == [
                RecordsLost(count=1)
            ]
        await until(lambda: not ledger.degraded)
        await ledger.flush()
        assert await stored(path) == 10
        ledger.write(small_record(50))
        assert await ledger.find(decision_id(50)) is not None
    assert [event for event in events if isinstance(event, RecordsLost)] == [
        RecordsLost(count=1),
        RecordsLost(count=14),
    ]


async def test_what_no_disk_took_by_the_end_is_lost_and_told(
    open_ledger: OpenLedger, path: Path, events: list[Event]
) -> None:
    async with open_ledger(writing=IMPATIENT) as ledger:
        pass
    ledger = Ledger(path, on_event=events.append, writing=IMPATIENT)
    await ledger.start()
    async with held_in_a_thread(path):
        for number in range(5):
            ledger.write(small_record(number))
        await until(lambda: ledger.degraded)
        await ledger.close()
    assert ledger.lost == 5
    assert events[-1] == RecordsLost(count=5)


async def test_closing_does_not_wait_for_a_disk_that_hangs(
    open_ledger: OpenLedger, path: Path, events: list[Event]
) -> None:
    ledger = Ledger(path, on_event=events.append, writing=PATIENT, close_seconds=0.05)
    await ledger.start()
    async with held_in_a_thread(path):
        ledger.write(small_record(1))
        await ledger.close()
        assert ledger.lost == 1
        assert events == [RecordsLost(count=1)]


@pytest.mark.parametrize("rounds", [1, 7, 40])
def test_kill_9_loses_nothing_that_was_acknowledged(path: Path, rounds: int) -> None:
    body = """
        number = 0
        while True:
            for _ in range(17):
                number += 1
                ledger.write(full_record(number))
            await ledger.flush()
            print(number, flush=True)
        """
    with run_child(path, body) as child:
        assert child.stdout is not None
        for _ in range(rounds):
            acknowledged = int(child.stdout.readline())
        child.kill()
        rest = child.stdout.read().rpartition("\n")[0]
        acknowledged = int((rest or str(acknowledged)).split()[-1])

    reader = open_reader(path)
    for number in range(1, acknowledged + 1):
        assert reader.find(decision_id(number)) == full_record(number)

    async def start_again() -> list[Event]:
        events: list[Event] = []
        ledger = Ledger(path, on_event=events.append)
        await ledger.start()
        assert len(await ledger.recent(acknowledged + 1000)) >= acknowledged
        await ledger.close()
        return events

    assert anyio.run(start_again) == []


@pytest.mark.time_limit(60)
def test_a_full_disk_is_survived(path: Path) -> None:
    """The kernel refuses every byte beyond a limit, then takes them again."""
    body = """
        import json, os, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ledger.write(small_record(0))
        await ledger.flush()
        used = os.path.getsize(sys.argv[1] + "-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + 10_000, resource.RLIM_INFINITY))
        for number in range(1, 200):
            ledger.write(full_record(number))
        while not ledger.degraded:
            await anyio.sleep(0.01)
        during = len(await ledger.flush())
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        while ledger.degraded:
            await anyio.sleep(0.01)
        after = len(await ledger.flush())
        await ledger.close()
        names = [type(event).__name__ for event in events]
        print(json.dumps([during, after, ledger.lost, names]))
        """
    with run_child(path, body) as child:
        output, _ = child.communicate(timeout=50)
    during, after, lost, names = json.loads(output)
    assert during > 0
    assert (after, lost, names) == (0, 0, ["LedgerDegraded", "LedgerRecovered"])
    assert len(open_reader(path).recent(500)) == 200


@pytest.mark.time_limit(60)
def test_a_disk_that_takes_intents_again_is_found_out_without_a_call(path: Path) -> None:
    body = """
        import os, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        assert ledger.intend(intent_of(full_record(1)))
        (journal,) = [name for name in os.listdir(Path(sys.argv[1]).parent) if ".intents-" in name]
        used = os.path.getsize(Path(sys.argv[1]).parent / journal)
        # Room for a part of a line alone: that is no disk that works.
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + 20, resource.RLIM_INFINITY))
        assert not ledger.intend(intent_of(full_record(2)))
        assert ledger.degraded
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + 40, resource.RLIM_INFINITY))
        for _ in range(5):
            await ledger.flush()
            await anyio.sleep(0.02)
        assert ledger.degraded
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        while ledger.degraded:
            await anyio.sleep(0.01)
        assert ledger.intend(intent_of(full_record(3)))
        print(ledger.intents_lost, flush=True)
        await anyio.sleep_forever()
        """
    with run_child(path, body, writing="WriterSettings(idle_seconds=0.01)") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"

    async def start_again() -> list[str]:
        ledger = Ledger(path)
        await ledger.start()
        found = [record.decision_id for record in await ledger.recent(10)]
        await ledger.close()
        return found

    # What was sent without an intent is not charged; the lines around it are.
    assert anyio.run(start_again) == [decision_id(3), decision_id(1)]
