"""The writer lets the event loop go first every few records, unless it falls behind."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from routerd.ledger.batch import RECORDS_A_BREATH, BatchWriter
from routerd.ledger.items import Entry
from routerd.ledger.retention import Retention
from routerd.ledger.rows import ROWS_AT_ONCE
from routerd.ledger.schema import migrate
from routerd.ledger.writer import Writer, WriterSettings
from tests.daemon.ledger.records import full_record

RECORDS = 50
BEHIND = 3


def test_nobody_waits_for_more_than_a_few_rows() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    done: list[str] = []
    writer = BatchWriter(connection, lambda: done.append("breath"))
    connection.set_trace_callback(done.append)
    writer.write([full_record(number) for number in range(RECORDS)])
    before_any_row = done.index(next(step for step in done if step.startswith("INSERT")))
    assert done[:before_any_row].count("breath") == RECORDS // RECORDS_A_BREATH
    rows = [
        at
        for at, step in enumerate(done)
        if step.startswith(("INSERT INTO calls", "INSERT INTO attempts"))
    ]
    assert len(rows) >= 2 * RECORDS // ROWS_AT_ONCE
    assert all(done[at + 1] == "breath" for at in rows)


def test_who_falls_behind_takes_no_breath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    settings = WriterSettings(batch_limit=BEHIND)
    writer = Writer(tmp_path / "ledger.db", settings, Retention(None), lambda _: None)
    for number in range(BEHIND):
        writer._breathe()
        assert len(slept) == number + 1
        writer.put(Entry(full_record(number), []))
    writer._breathe()
    assert len(slept) == BEHIND
    assert set(slept) == {settings.breath_seconds}
