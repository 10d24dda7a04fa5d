"""The bench of tracing runs to its end, and every span arrives; its numbers are for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "tracing.py"


def test_it_prints_what_a_sampled_call_costs_more() -> None:
    command = [sys.executable, str(PROGRAM), "--calls=40", "--turns=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.partition("  ")[0] for line in done.stdout.splitlines()]
    assert lines == [
        "tracing off",
        "on, every call",
        "a sampled call more",
        "reference work",
        "spans, made",
        "- written",
    ]
