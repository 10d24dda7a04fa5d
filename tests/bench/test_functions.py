"""The count of functions says the same each time, and who calls the daemon takes no detour."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bench.functions import in_thread

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "functions.py"

# On Python 3.11 there are 95 and 105 for a call, 11 and 12 for a part.
MOST_FUNCTIONS = {"blocking": (105, 13), "asyncio": (115, 14)}


def test_a_count_is_of_the_second_time_alone() -> None:
    made: list[int] = []

    def load() -> None:
        for _ in range(3 if made else 30):
            made.append(len(made))

    # The load itself, and for each turn `append` and `len`; to end the count is a call too.
    assert 7 <= in_thread(load) <= 10


def test_the_table_names_everybody_and_no_client_takes_a_detour() -> None:
    # In a process of its own: where OpenTelemetry was imported, a client looks for its trace.
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=100, check=True
    )
    rows = re.findall(r"^\| (.+?) +\| +([\d.]+) \| +([\d.]+) \|$", done.stdout, re.MULTILINE)
    found = {name: (float(calls), float(parts)) for name, calls, parts in rows}
    assert list(found) == [
        "the daemon",
        "routerd_client, blocking",
        "routerd_client, asyncio",
        "the smallest client of its frames",
        "the bench's raw client",
    ]
    for name, most in MOST_FUNCTIONS.items():
        calls, parts = found[f"routerd_client, {name}"]
        assert 0 < calls < most[0]
        assert 0 < parts < most[1]
    least_calls, least_parts = found["the smallest client of its frames"]
    assert least_calls < found["routerd_client, asyncio"][0] / 2
    assert least_parts < found["routerd_client, asyncio"][1] / 2


def test_the_documents_show_programs_that_are_there() -> None:
    root = Path(__file__).resolve().parents[2]
    text = (root / "docs" / "performance.md").read_text("utf-8")
    shown = set(re.findall(r"\.venv/bin/python (bench/\w+\.py)", text))
    assert "bench/functions.py" in shown
    assert all((root / program).is_file() for program in shown)
