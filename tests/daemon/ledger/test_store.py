"""What is written is found: at once, by id and by its beginning, and again after a restart."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import Record
from routerd.ledger import AmbiguousId, Ledger, WriterSettings, open_reader
from routerd.telemetry.events import Event, RecordsLost
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import any_record, decision_id, full_record, small_record


async def test_a_call_that_just_ended_is_found(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(full_record(1))
        assert await ledger.find(decision_id(1)) == full_record(1)
        assert await ledger.find(decision_id(2)) is None


async def test_a_record_survives_a_restart(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(full_record(1))
    async with open_ledger() as ledger:
        assert await ledger.find(decision_id(1)) == full_record(1)


async def test_the_newest_come_first(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        for number in (3, 1, 4, 2, 5):
            ledger.write(small_record(number))
        assert [record.call_id for record in await ledger.recent(3)] == [
            "call-5",
            "call-4",
            "call-3",
        ]


async def test_the_beginning_of_an_id_is_enough(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(small_record(1))
        ledger.write(small_record(2**20))
        found = await ledger.find(decision_id(1)[:12].upper())
        assert found == small_record(1)


async def test_a_beginning_of_several_ids_is_refused(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(small_record(1))
        ledger.write(small_record(2))
        with pytest.raises(AmbiguousId, match="more digits"):
            await ledger.find(decision_id(1)[:8])


@pytest.mark.parametrize("wrong", ["", "0123456", "g" * 8, "0" * 33, "0000000%", "00000000\n0"])
async def test_what_is_no_id_is_refused(open_ledger: OpenLedger, wrong: str) -> None:
    async with open_ledger() as ledger:
        with pytest.raises(ValueError, match="no decision id"):
            await ledger.find(wrong)


async def test_a_record_written_twice_is_one_row(open_ledger: OpenLedger) -> None:
    async with open_ledger() as ledger:
        ledger.write(small_record(1))
        ledger.write(small_record(1))
        assert len(await ledger.recent(10)) == 1
        assert ledger.lost == 0


def read_row(path: Path) -> dict[str, Any]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM calls").fetchone())
    connection.close()
    return row


async def test_every_column_says_what_the_record_says(open_ledger: OpenLedger, path: Path) -> None:
    record = full_record(1)
    async with open_ledger() as ledger:
        ledger.write(record)
    row = await anyio.to_thread.run_sync(read_row, path)
    plan = record.plan
    assert plan is not None
    rest = structs.replace(record, plan=structs.replace(plan, dropped=()))
    assert msgspec.json.decode(row.pop("record"), type=Record) == rest
    # What this call alone met is in its row, what any call meets is written once.
    assert msgspec.json.decode(row.pop("dropped")) == [msgspec.to_builtins(plan.dropped[0]), 1]
    assert len(row.pop("digest")) == 32
    assert row == {
        "decision_id": decision_id(1),
        "call_id": "call-1",
        "received_at_ms": 1_795_176_000_001,
        "tenant": "acme",
        "team": "search",
        "agent": "tagger",
        "user": "u-17",
        "feature": "tags",
        "task": "extract",
        "target": "smart",
        "model_class": "flagship",
        "model": "large",
        "deployment": "mistral/large",
        "provider": "mistral",
        "finish": "stop",
        "error_code": None,
        "degraded": None,
        "simulated": 0,
        "attempts": 2,
        "input_tokens": 100,
        "cache_read_tokens": 20,
        "cache_write_tokens": 3,
        "cache_write_long_tokens": 4,
        "output_tokens": 50,
        "reasoning_tokens": 10,
        "cost_nanodollars": 1_234_567,
        "cost_basis": "measured",
        "first_content_us": 350_100,
        "total_us": 1_400_200,
        "upstream_us": 1_399_600,
        "trace_id": decision_id(1),
        "peer_uid": 1000,
        "sends": 0,
        "cached": 0,
        "skipped": 1,
        "arm": "control",
        "gate": None,
        "feedback": None,
    }


@settings(max_examples=40)
@given(batch_limit=st.integers(1, 3), records=st.lists(any_record(), max_size=4))
def test_any_record_is_stored_whole_or_counted_as_lost(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], batch_limit: int
) -> None:
    """Numbers beyond 64 bits fit no column; they must not hold back their neighbours."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    for number, record in enumerate(records):
        record.decision_id = decision_id(number)

    async def write_and_read() -> tuple[list[Record], int, list[Event]]:
        events: list[Event] = []
        ledger = Ledger(
            path, writing=WriterSettings(batch_limit=batch_limit), on_event=events.append
        )
        await ledger.start()
        for record in records:
            ledger.write(record)
        found = await ledger.recent(100)
        await ledger.close()
        return found, ledger.lost, events

    found, lost, events = anyio.run(write_and_read)
    assert len(found) + lost == len(records)
    assert lost == sum(event.count for event in events if isinstance(event, RecordsLost))
    for record in found:
        assert record == records[int(record.decision_id[:12], 16) - int(decision_id(0)[:12], 16)]


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_files_are_for_their_owner_alone(open_ledger: OpenLedger, path: Path) -> None:
    async with open_ledger() as ledger:
        ledger.write(small_record(1))
        await ledger.flush()
        names = (
            "ledger.db",
            "ledger.db-wal",
            "ledger.db-shm",
            "ledger.db.lock",
            "ledger.db.intents-000001",
        )
        modes = await anyio.to_thread.run_sync(modes_in, path.parent)
        assert modes == dict.fromkeys(names, 0o600)
        above = await anyio.to_thread.run_sync(modes_in, path.parent.parent)
        assert above[path.parent.name] == 0o700


async def test_closing_empties_the_log_into_the_database(
    open_ledger: OpenLedger, path: Path
) -> None:
    async with open_ledger() as ledger:
        for number in range(1000):
            ledger.write(small_record(number))
    modes = await anyio.to_thread.run_sync(modes_in, path.parent)
    assert sorted(modes) == ["ledger.db", "ledger.db.lock"]
    reader = await anyio.to_thread.run_sync(open_reader, path)
    assert len(await anyio.to_thread.run_sync(reader.recent, 2000)) == 1000


async def test_writing_wakes_nobody_but_the_thread(open_ledger: OpenLedger) -> None:
    """Nothing of the database runs on the loop's thread, encoding included."""
    async with open_ledger() as ledger:
        loop_thread = threading.get_ident()
        seen: list[int] = []

        class Watched(Record):
            def __getattribute__(self, name: str) -> Any:
                if name == "decision_id":
                    seen.append(threading.get_ident())
                return super().__getattribute__(name)

        ledger.write(msgspec.convert(msgspec.to_builtins(small_record(1)), Watched))
        seen.clear()
        await ledger.flush()
        assert seen
        assert loop_thread not in seen


async def test_a_record_written_after_the_end_is_lost_and_told(
    path: Path, events: list[Event]
) -> None:
    ledger = Ledger(path, on_event=events.append)
    await ledger.start()
    await ledger.close()
    ledger.write(small_record(1))
    assert ledger.lost == 1
    assert events == [RecordsLost(count=1)]
