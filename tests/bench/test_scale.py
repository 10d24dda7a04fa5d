"""The bench of load and history runs to its end; its numbers are for people."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import msgspec
import pytest

from bench.scale import QUICK
from bench.scale_ledger import WRITTEN, build_ledger
from routerd.ledger import LedgerReader

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "scale.py"
LABELS = (
    "CPU a call beside them, µs",
    "CPU a part of theirs, µs",
    "CPU a call, the ledger's thread included, µs",
    "process start to ready, ms",
)


def test_it_prints_a_table_for_streams_and_one_for_records(tmp_path: Path) -> None:
    file = tmp_path / "scale.json"
    command = [sys.executable, str(PROGRAM), "--quick", "--turns=1", f"--json={file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    for label in LABELS:
        assert labels.count(label) == 1, done.stdout
    data: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    for kind, sizes in (("streams", QUICK.streams), ("records", QUICK.records)):
        assert list(data[kind]) == [str(size) for size in sizes]
        for turns in data[kind].values():
            assert turns[-1]["call_router_cpu_us"] > 0
    assert str(tmp_path) not in file.read_text()


@pytest.mark.parametrize("count", [0, 5, WRITTEN + 7])
def test_the_copies_of_a_ledger_are_calls_of_their_own(tmp_path: Path, count: int) -> None:
    path = tmp_path / "ledger.db"
    build_ledger(path, count, tell=lambda _what: None)
    with closing(connect(path)) as connection:
        calls = connection.execute("SELECT decision_id FROM calls ORDER BY rowid").fetchall()
        attempts = connection.execute("SELECT decision_id FROM attempts").fetchall()
        assert calls == attempts == sorted(set(calls))
        assert len(calls) == count
        assert all(len(name) == 32 for (name,) in calls)
        (names,) = connection.execute("SELECT count(DISTINCT call_id) FROM calls").fetchone()
        assert names == count
    newest = LedgerReader(path).recent(3)
    assert len(newest) == min(count, 3)
