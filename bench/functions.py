"""How many functions a call takes, and a part of a stream: in the daemon, and in who calls it.

    .venv/bin/python bench/functions.py

Rules of this file: a count is the same on every machine and at every load, give or take how the
kernel cuts what is sent. Functions of Python and of C count alike, and a coroutine that goes on
counts as a call. What happens once only, a connection for instance, is not counted: every load
runs twice, and the second time is taken. A part is one of a burst.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import uvloop

from bench.counted_daemon import CallCounter
from bench.drivers import (
    TARGET,
    Driver,
    RawDriver,
    RouterdDriver,
    behaviour_of,
    complete_blocking,
    messages,
)
from bench.frame_client import FrameDriver
from bench.machine import Cores, choose_cores, pinned
from bench.report import aligned
from bench.systems import daemon, fake_provider
from routerd_client import Client, TextDelta

__all__ = ["CALLS", "PARTS", "in_daemon", "in_driver", "in_thread", "make_calls", "read_stream"]

CALLS: Final = 200
PARTS: Final = 1000


def make_calls(client: Client, times: int) -> None:
    """Get whole answers, one after the other, waiting in this thread."""
    said = messages()
    for _ in range(times):
        complete_blocking(client, said)


def read_stream(client: Client, parts: int) -> None:
    """Read a stream that the provider sends in one piece."""
    arrived = 0
    for part in client.stream(TARGET, messages(behaviour_of(parts, 0))):
        arrived += type(part) is TextDelta
    if arrived != parts:
        raise ValueError(f"{arrived} of {parts} parts arrived")


def in_thread(load: Callable[[], None]) -> int:
    """Count what this thread calls during a load."""
    load()
    counter = CallCounter()
    counter.begin(0, None)
    try:
        load()
    finally:
        counter.end(0, None)
    return counter.count


def in_daemon(
    cores: Cores,
    folder: Path,
    port: int,
    load: Callable[[Client], None],
    *,
    what: str = "functions",
    program: Sequence[str] = ("bench.counted_daemon",),
) -> int:
    """Count what the event loop of a new daemon calls, or what it runs, during a load."""
    file = folder / "count"
    counted = ("-m", *program, what, str(file))
    with daemon(cores, folder, port, counted) as running, Client(running.path) as client:
        load(client)
        os.kill(running.pid, signal.SIGUSR1)
        load(client)
        os.kill(running.pid, signal.SIGUSR2)
    return int(file.read_text())


def in_driver(loop: asyncio.AbstractEventLoop, driver: Driver) -> tuple[float, float]:
    """Count for a call and for a part what a driver calls on asyncio."""

    async def calls() -> None:
        for _ in range(CALLS):
            await driver.call()

    async def stream() -> None:
        arrived = 0
        async for some in driver.stream(PARTS, 0):
            arrived += some
        if arrived != PARTS:
            raise ValueError(f"{arrived} of {PARTS} parts arrived")

    def count(load: Callable[[], Coroutine[Any, Any, None]]) -> int:
        return in_thread(lambda: loop.run_until_complete(load()))

    return count(calls) / CALLS, count(stream) / PARTS


def measure(cores: Cores, folder: Path, port: int) -> list[tuple[str, float, float]]:
    """Count for everybody; a name, and the functions of a call and of a part."""
    found = []
    found.append(
        (
            "the daemon",
            in_daemon(cores, folder, port, lambda client: make_calls(client, CALLS)) / CALLS,
            in_daemon(cores, folder, port, lambda client: read_stream(client, PARTS)) / PARTS,
        )
    )
    loop = uvloop.new_event_loop()
    with daemon(cores, folder, port) as running:
        with Client(running.path) as client:
            calls = in_thread(lambda: make_calls(client, CALLS)) / CALLS
            parts = in_thread(lambda: read_stream(client, PARTS)) / PARTS
        found.append(("routerd_client, blocking", calls, parts))
        clients: dict[str, Driver] = {
            "routerd_client, asyncio": RouterdDriver(running.path),
            "the smallest client of its frames": FrameDriver(running.path),
        }
        for who, client_driver in clients.items():
            found.append((who, *in_driver(loop, client_driver)))
            loop.run_until_complete(client_driver.close())
    driver = RawDriver(port=port)
    found.append(("the bench's raw client", *in_driver(loop, driver)))
    loop.run_until_complete(driver.close())
    loop.close()
    return found


def main() -> None:
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name, pinned(cores.load):
        folder = Path(name)
        with fake_provider(cores, folder) as port:
            found = measure(cores, folder, port)
    rows = [["functions called", "for a call", "for a part"]]
    rows += [[who, f"{calls:.1f}", f"{parts:.2f}"] for who, calls, parts in found]
    print("\n".join(aligned(rows)))


if __name__ == "__main__":
    main()
