"""The bench of decisions as all grows runs to its end; its numbers are for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench.decisions_scale import TABLES

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "decisions_scale.py"


def test_it_prints_a_table_for_each_way_to_grow(tmp_path: Path) -> None:
    file = tmp_path / "scale.json"
    command = [sys.executable, str(PROGRAM), "--quick", "--runs=1", f"--json={file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    for label, _ in TABLES.values():
        assert labels.count(label) == 1, done.stdout
    data: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    (run,) = data["runs"]
    for table, (_, sizes) in TABLES.items():
        assert set(run[table]) == {str(size) for size in sizes}
        assert all(run[table].values())
    assert str(tmp_path) not in file.read_text()
