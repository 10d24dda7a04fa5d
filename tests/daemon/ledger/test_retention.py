"""Single calls go when they are old enough, months never."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from msgspec import structs

from routerd.domain import Record
from routerd.ledger import Ledger, WriterSettings
from routerd.ledger.retention import CHUNK, Retention
from routerd.ledger.schema import APPLICATION_ID, migrate
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import full_record
from tests.daemon.ledger.sums import by_month, stored_sums, sums_of
from tests.daemon.ledger.test_failures import stored

DAY = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
TABLES = ("calls", "attempts", "texts", "day_totals", "documents", "corrections")


def record_of(number: int, days_ago: int) -> Record:
    received_at_ms = NOW_MS - days_ago * DAY + number
    return structs.replace(
        full_record(number),
        decision_id=f"{received_at_ms:012x}{number:020x}",
        received_at_ns=received_at_ms * 1_000_000,
    )


def fill(path: Path, records: list[Record]) -> None:
    """Write records, each with a document of its day, its texts and a correction."""

    async def write() -> None:
        ledger = Ledger(path)
        await ledger.start()
        for record in records:
            day = record.received_at_ns // 10**6 // DAY
            record.policy_hash = ledger.keep_document("policy", b"of day %d" % day)
            ledger.write(record)
            ledger.keep_texts(record.decision_id, b"[]", b"{}")
        await ledger.close()
        assert ledger.lost == 0

    anyio.run(write)
    with connected(path) as connection:
        connection.execute(
            "INSERT INTO corrections (at_ms, day, provider, model, decision_id, number, "
            "delta_nanodollars, source) SELECT ?, received_at_ms / ?, provider, model, "
            "decision_id, 2, 1, 'invoice.csv' FROM calls",
            (NOW_MS, DAY),
        )
        # As if nobody had looked at them since.
        connection.execute(
            "UPDATE documents SET last_day = (SELECT min(day) FROM day_totals) WHERE hash = ?",
            (records[0].policy_hash,),
        )


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def count(connection: sqlite3.Connection) -> dict[str, int]:
    return {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES
    }


def test_what_is_old_goes_step_by_step_and_months_stay(path: Path) -> None:
    old = [record_of(number, days_ago=40) for number in range(CHUNK + 1)]
    new = [record_of(number, days_ago=30) for number in range(CHUNK + 1, CHUNK + 4)]
    fill(path, old + new)
    before = path.stat().st_size
    retention = Retention(30)
    with connected(path) as connection:
        assert retention.step(connection, idle=True)
        assert count(connection)["calls"] == 4  # no more than a chunk at a time
        steps = 1
        while retention.step(connection, idle=False):
            steps += 1
        assert steps > 5
        # Two deployments a call: one total of a day for each of them.
        assert count(connection) == {
            "calls": 3,
            "attempts": 6,
            "texts": 3,
            "day_totals": len(sums_of(new)),
            "documents": 1,
            "corrections": 3,
        }
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert path.stat().st_size < before / 10
    assert stored_sums(path, "day") == sums_of(new)
    assert stored_sums(path, "month") == by_month(sums_of(old + new))


@pytest.mark.parametrize("keep_days", [None, 41])
def test_what_is_not_old_stays(path: Path, keep_days: int | None) -> None:
    fill(path, [record_of(1, days_ago=40), record_of(2, days_ago=0)])
    with connected(path) as connection:
        before = count(connection)
        retention = Retention(keep_days)
        while retention.step(connection, idle=True):
            pass
        assert count(connection) == before


def test_what_calls_to_come_are_decided_by_stays(path: Path) -> None:
    record = record_of(1, days_ago=40)
    fill(path, [record])
    assert record.policy_hash is not None
    with connected(path) as connection:
        retention = Retention(30, {record.policy_hash})
        while retention.step(connection, idle=True):
            pass
        assert count(connection)["documents"] == 1
        assert count(connection)["calls"] == 0


def test_a_file_that_gives_nothing_back_is_left_as_it_is(tmp_path: Path) -> None:
    """One that was restored from a dump, and was not made to shrink."""
    path = tmp_path / "ledger.db"
    with connected(path) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
    fill(path, [record_of(number, days_ago=40) for number in range(100)])
    with connected(path) as connection:
        retention = Retention(30)
        for _ in range(20):
            more = retention.step(connection, idle=True)
        assert not more
        assert connection.execute("PRAGMA freelist_count").fetchone() > (0,)


def test_a_round_begins_when_there_is_nothing_else_to_do(path: Path) -> None:
    fill(path, [record_of(1, days_ago=40)])
    with connected(path) as connection:
        retention = Retention(30)
        assert not retention.step(connection, idle=False)
        assert count(connection)["calls"] == 1
        assert retention.step(connection, idle=True)
        assert count(connection)["calls"] == 0


def test_a_disk_that_refuses_ends_the_round(path: Path) -> None:
    fill(path, [record_of(1, days_ago=40)])
    with connected(path) as connection, connected(path) as other:
        connection.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")
        retention = Retention(30)
        assert not retention.step(connection, idle=True)
        other.execute("ROLLBACK")
        assert retention.step(connection, idle=True)
        assert count(connection)["calls"] == 0


async def test_a_ledger_that_has_nothing_to_do_deletes(open_ledger: OpenLedger, path: Path) -> None:
    async with open_ledger(keep_days=30, writing=WriterSettings(idle_seconds=0.01)) as ledger:
        ledger.write(record_of(1, days_ago=40))
        ledger.write(record_of(2, days_ago=1))
        await ledger.flush()
        while await stored(path) > 1:  # noqa: ASYNC110 - it happens in another thread
            await anyio.sleep(0.01)
        assert [record.call_id for record in await ledger.recent(10)] == ["call-2"]
