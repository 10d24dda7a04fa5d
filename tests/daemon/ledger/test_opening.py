"""What stands where the ledger is to be: nothing, a ledger, a damaged one, somebody else's file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from routerd.domain import Record
from routerd.errors import StartError
from routerd.ledger import Ledger, LedgerUnreadable, WriterSettings, open_reader, opening
from routerd.ledger.schema import APPLICATION_ID, MIGRATIONS
from routerd.telemetry.events import Event, LedgerMovedAside
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import decision_id, full_record, small_record

LATER_VERSION = len(MIGRATIONS) + 1


def use(path: Path, *records: Record, **arguments: Any) -> tuple[list[Record], list[Event]]:
    """Open a ledger, write records and close it; returns what was in it, and the events."""
    events: list[Event] = []

    async def write_and_read() -> list[Record]:
        ledger = Ledger(path, on_event=events.append, **arguments)
        await ledger.start()
        try:
            for record in records:
                ledger.write(record)
            return await ledger.recent(10_000)
        finally:
            await ledger.close()

    return anyio.run(write_and_read), events


def run_statements(path: Path, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = [row for text in statements for row in connection.execute(text)]
    connection.commit()
    connection.close()
    return rows


@pytest.fixture
def folder(path: Path) -> Path:
    path.parent.mkdir()
    return path.parent


def test_the_file_says_whose_it_is_and_how_it_is_written(path: Path) -> None:
    use(path)
    facts = ("application_id", "user_version", "journal_mode", "auto_vacuum")
    assert run_statements(path, *(f"PRAGMA {fact}" for fact in facts)) == [
        (APPLICATION_ID,),
        (len(MIGRATIONS),),
        ("wal",),
        (2,),
    ]
    strict = "SELECT strict FROM pragma_table_list WHERE name = 'calls'"
    assert run_statements(path, strict) == [(1,)]


async def test_a_second_daemon_is_told_who_has_the_ledger(
    open_ledger: OpenLedger, path: Path
) -> None:
    async with open_ledger() as ledger:
        with pytest.raises(StartError) as caught:
            await Ledger(path).start()
        assert str(path) in str(caught.value)
        assert f"process {os.getpid()}" in str(caught.value)
        assert "ledger.db.lock" in str(caught.value)
        ledger.write(small_record(1))
        assert await ledger.find(decision_id(1)) is not None


def test_the_ledger_is_free_again_after_the_end(path: Path) -> None:
    use(path)
    use(path)


def test_a_later_version_is_refused_and_left_alone(path: Path) -> None:
    use(path)
    run_statements(path, f"PRAGMA user_version = {LATER_VERSION}")
    with pytest.raises(StartError, match=f"version {LATER_VERSION}, this routerd knows"):
        use(path)
    with pytest.raises(LedgerUnreadable, match="later version"):
        open_reader(path)
    assert run_statements(path, "PRAGMA user_version") == [(LATER_VERSION,)]


def test_an_earlier_version_is_read_once_it_is_brought_up_to_date(path: Path) -> None:
    use(path, small_record(1))
    run_statements(path, "PRAGMA user_version = 1")
    with pytest.raises(LedgerUnreadable, match="start the daemon once"):
        open_reader(path)


@pytest.mark.usefixtures("folder")
def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    run_statements(path, "CREATE TABLE theirs (a)", "INSERT INTO theirs VALUES (1)")
    before = path.read_bytes()
    with pytest.raises(StartError, match="another program"):
        use(path)
    with pytest.raises(LedgerUnreadable, match="not a ledger"):
        open_reader(path)
    assert path.read_bytes() == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "content", [b"this was never a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_moved_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found, events = use(path, full_record(1))
    assert found == [full_record(1)]
    (event,) = events
    assert isinstance(event, LedgerMovedAside)
    assert Path(event.path).read_bytes() == content
    assert Path(event.path).name.startswith("ledger.db.damaged-")


def test_damage_inside_is_found_and_the_file_kept(path: Path) -> None:
    use(path, *(full_record(number) for number in range(500)))
    damaged = bytearray(path.read_bytes())
    damaged[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(damaged)
    found, events = use(path, full_record(1))
    assert found == [full_record(1)]
    (event,) = events
    assert isinstance(event, LedgerMovedAside)
    assert Path(event.path).read_bytes() == damaged


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_the_check_for_damage_gives_up_in_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    use(path, *(full_record(number) for number in range(200)))
    for_ever = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    )
    monkeypatch.setattr(opening, "CHECK", for_ever)
    found, events = use(path, writing=WriterSettings(check_seconds=seconds))
    assert len(found) == 200
    assert events == []


@pytest.mark.usefixtures("folder")
def test_an_empty_file_becomes_a_ledger_for_its_owner_alone(path: Path) -> None:
    path.touch(0o644)
    found, events = use(path, small_record(1))
    assert (found, events) == ([small_record(1)], [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "ledger.db"
    with pytest.raises(StartError) as caught:
        use(path)
    assert str(path) in str(caught.value)
    assert "--ledger" in str(caught.value)


@pytest.mark.usefixtures("folder")
def test_a_failed_start_gives_the_lock_back(path: Path) -> None:
    run_statements(path, "CREATE TABLE theirs (a)")
    with pytest.raises(StartError):
        use(path)
    path.unlink()
    use(path)


def test_a_reader_needs_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnreadable):
        open_reader(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_says_what_it_cannot_read(path: Path) -> None:
    use(path, small_record(1))
    run_statements(path, 'UPDATE calls SET record = \'{"of": "a later version"}\'')
    with pytest.raises(LedgerUnreadable, match="this version cannot read"):
        open_reader(path)


async def test_another_process_reads_beside_the_daemon(open_ledger: OpenLedger, path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from routerd.ledger import open_reader;"
        "print(open_reader(Path(sys.argv[1])).find(sys.argv[2]).call_id)"
    )
    async with open_ledger() as ledger:
        ledger.write(full_record(1))
        await ledger.flush()
        command = [sys.executable, "-c", script, str(path), decision_id(1)]
        run = await anyio.run_process(command)
        assert run.stdout.decode().split() == ["call-1"]


def test_the_name_of_a_file_is_no_address(tmp_path: Path) -> None:
    """A question mark or a percent sign in a path means itself."""
    path = tmp_path / "odd?mode=rwc&%41#.db"
    with pytest.raises(LedgerUnreadable):
        open_reader(path)
    assert list(tmp_path.iterdir()) == []
    use(path, small_record(1))
    assert open_reader(path).recent(1) == [small_record(1)]


def test_only_this_room_imports_the_database() -> None:
    script = (
        "import sys; import routerd.telemetry.logs, routerd.telemetry.traces;"
        "sys.exit('sqlite3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
