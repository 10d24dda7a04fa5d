"""The bench of TLS runs to its end; its numbers are for people. What it measures with, works."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.machine import choose_cores
from bench.raw_client import RawClient, get
from bench.systems import distance, fake_provider
from bench.tls import CPU, FIRST, POOLS, SCHEMES

PROGRAM = Path(__file__).resolve().parents[2] / "bench" / "tls.py"


def test_it_prints_a_table_of_first_calls_and_one_of_cpu(tmp_path: Path) -> None:
    file = tmp_path / "tls.json"
    command = [sys.executable, str(PROGRAM), "--quick", "--runs=1", f"--json={file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    labels = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    for label in (*FIRST.values(), *CPU.values()):
        assert labels.count(label) == 1, done.stdout
    data: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    assert len(data["firsts"]) == 2 * len(POOLS)
    assert list(data["cpu"]) == list(SCHEMES)
    assert str(tmp_path) not in file.read_text()


def test_a_long_way_takes_its_round_trips(tmp_path: Path) -> None:
    async def ask_twice(port: int) -> list[float]:
        client, taken = RawClient(port=port), []
        for _ in range(2):
            began_at = time.monotonic()
            assert b"bench-model" in await client.call(get("/v1/models"))
            taken.append(time.monotonic() - began_at)
        client.close()
        return taken

    cores = choose_cores()
    with fake_provider(cores, tmp_path) as near, distance(cores, tmp_path, near, 100) as far:
        first, second = asyncio.run(ask_twice(far))
    # Connecting is one round trip, and asking another; a timer may be a little early.
    assert first >= 0.195
    assert second >= 0.095
