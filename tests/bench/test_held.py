"""The memory of a held stream is told by who holds it, and little of it by nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.held import rows_of
from bench.traced_daemon import room_of

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "held.py"
# In KiB; there were 28. Of the daemon's own objects alone, so the same on every machine.
MOST_HELD = 36


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("/somewhere/daemon/routerd/execute/routes.py", "routerd/execute"),
        ("/somewhere/daemon/routerd/providers/openai/decode.py", "routerd/providers"),
        ("/somewhere/daemon/routerd/pipeline.py", "routerd"),
        ("/somewhere/proto/routerd_proto/codec.py", "routerd_proto"),
        ("/a/lib/python3.11/site-packages/anyio/_core/_tasks.py", "anyio"),
        ("/a/lib/python3.11/site-packages/typing_extensions.py", "typing_extensions"),
        ("/a/lib/python3.11/asyncio/locks.py", "Python and C"),
        ("<unknown>", "Python and C"),
    ],
)
def test_who_a_file_belongs_to(path: str, room: str) -> None:
    assert room_of(path) == room


def test_small_rooms_share_a_line_and_none_is_lost() -> None:
    rows = rows_of({"large": 20_480, "small": 1_024, "smaller": 1_024}, 10, 4.0)
    assert rows[1:] == [
        ["large", "2.0"],
        ["what holds less", "0.2"],
        ["all that Python holds", "2.2"],
        ["what the kernel counts (PSS)", "4.0"],
    ]


def test_a_stream_that_is_held_holds_no_more_than_it_did() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--streams", "100"],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    found = dict(re.findall(r"^\| (.+?) +\| +([\d.]+) \|$", done.stdout, re.MULTILINE))
    assert float(found["routerd/execute"]) > 1
    assert 10 < float(found["all that Python holds"]) < MOST_HELD
