"""Where the memory of a held stream is: what each room of the daemon holds for one, and a table.

    .venv/bin/python bench/held.py [--streams N]

Rules of this file: what Python allocates is counted where it is asked for, in a daemon that notes
it; what the kernel counts beside that comes from one that notes nothing. The shares are to be read
here, the sum in `bench/run.py`, which has others beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
import uvloop

from bench.drivers import RouterdDriver
from bench.machine import Cores, choose_cores, pinned, raise_open_files
from bench.measures import held_streams, holding
from bench.report import aligned
from bench.systems import RunningDaemon, daemon, fake_provider
from bench.traced_daemon import began_file

__all__ = ["rows_of"]

WARM_CALLS: Final = 20
PATIENCE_SECONDS: Final = 60.0
# Rooms that hold less than this of a stream, in KiB, have one line together.
LEAST: Final = 0.25


def wait_for(file: Path) -> None:
    """Wait until the daemon has answered a signal."""
    pause, until = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    while not file.exists():
        if pause.wait(0.02) or time.monotonic() > until:
            raise TimeoutError("the daemon does not say what it has allocated")


async def traced(running: RunningDaemon, file: Path, count: int) -> None:
    """Have the daemon write what each of its rooms holds of so many streams."""
    driver = RouterdDriver(running.path)
    for _ in range(WARM_CALLS):
        await driver.call()
    os.kill(running.pid, signal.SIGUSR1)
    await asyncio.to_thread(wait_for, began_file(file))
    async with holding(driver, count):
        os.kill(running.pid, signal.SIGUSR2)
        await asyncio.to_thread(wait_for, file)
    await driver.close()


async def counted(running: RunningDaemon, count: int) -> float:
    """Return the KiB that the kernel counts for a stream."""
    driver = RouterdDriver(running.path)
    for _ in range(WARM_CALLS):
        await driver.call()
    numbers = await held_streams(driver, count, running.pid)
    await driver.close()
    return numbers["held_stream_kib"]


def measure(cores: Cores, folder: Path, count: int) -> tuple[dict[str, int], float]:
    """Ask a daemon that notes what it allocates, and one that does not."""
    file = folder / "rooms.json"
    with fake_provider(cores, folder) as port:
        program = ("-m", "bench.traced_daemon", str(file))
        with daemon(cores, folder, port, program) as running:
            uvloop.run(traced(running, file, count))
        rooms = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
        with daemon(cores, folder, port) as running:
            return rooms, uvloop.run(counted(running, count))


def rows_of(rooms: dict[str, int], count: int, kernel: float) -> list[list[str]]:
    """Lay out the rooms by what they hold of a stream, then the sums."""
    held = {room: size / count / 1024 for room, size in rooms.items()}
    large = sorted((room for room in held if held[room] >= LEAST), key=lambda room: -held[room])
    rest = sum(size for size in held.values() if size < LEAST)
    rows = [["KiB a held stream", ""]]
    rows += [[room, f"{held[room]:.1f}"] for room in large]
    rows.append(["what holds less", f"{rest:.1f}"])
    rows.append(["all that Python holds", f"{sum(held.values()):.1f}"])
    rows.append(["what the kernel counts (PSS)", f"{kernel:.1f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the memory of a held stream is.")
    parser.add_argument("--streams", type=int, default=500, help="how many are held")
    count = parser.parse_args().streams
    raise_open_files()
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name, pinned(cores.load):
        rooms, kernel = measure(cores, Path(name), count)
    print("\n".join(aligned(rows_of(rooms, count, kernel))))


if __name__ == "__main__":
    main()
