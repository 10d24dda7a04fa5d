"""The bench of decisions runs to its end and measures what it says; its numbers are for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.decisions import COPIES, LABELS, TARGETS, book_of, grown, steps_of
from routerd.domain import Plan
from routerd.models import load_directory

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "decisions.py"


def test_it_prints_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "decisions.json"
    command = [sys.executable, str(PROGRAM), "--quick", "--runs=1", f"--json={file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    for label in (*LABELS.values(), "rules and plan for smart, µs"):
        assert labels.count(label) == 1, done.stdout
    data: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    (run,) = data["runs"]
    for name in LABELS:
        assert set(run[name]) == set(TARGETS)
        assert all(run[name].values())
    assert set(run["grown"]) == {str(copies) for copies in COPIES}
    assert str(tmp_path) not in file.read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_measured_is_a_decision_that_no_rule_changes(target: str) -> None:
    steps = dict(steps_of(book_of(load_directory()), target))
    assert set(steps) == set(LABELS)
    plan = steps["plan"]()
    assert isinstance(plan, Plan)
    assert plan.routes
    assert "rule-" not in repr(steps["rules"]())
    together = steps["together"]()
    assert isinstance(together, tuple)
    assert together[1] == plan


def test_a_grown_directory_holds_so_many_times_the_models() -> None:
    shipped = load_directory()
    larger = grown(shipped, 3)
    assert len(larger.models) == 3 * len(shipped.models)
    assert larger.resolve("smart").candidates == shipped.resolve("smart").candidates
