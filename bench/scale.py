"""What a call costs as load and history grow: streams that are open, records in the ledger.

    .venv/bin/python bench/scale.py [--quick] [--turns N] [--only streams|records] [--ten-million]
        [--folder DIR] [--json FILE]

Rules of this file: CPU of the daemon's process, its ledger's thread included, on a core of its own.
What is compared is measured in turns, so that a neighbour disturbs all alike; a number is the least
of the turns, which is what a disturbance spares, beside it the largest over the least. Parts come
at one rate however many streams share it: otherwise a busier core would look like a cheaper part.
Nothing is written into the checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
import uvloop
from msgspec import Struct

from bench.drivers import RouterdDriver
from bench.machine import choose_cores, cpu_seconds, describe, pinned, raise_open_files
from bench.measures import HOLD_MS, Numbers, calls_at_once, latencies
from bench.report import aligned
from bench.scale_ledger import build_ledger
from bench.systems import NO_CAP, RunningDaemon, daemon, fake_provider
from routerd_client import Client

__all__ = ["main"]

TURNS: Final = 5
WIDTH: Final = 8
# All streams together bring so many parts a second.
PARTS_A_SECOND: Final = 1000
OPENED_AT_ONCE: Final = 100
OPEN_SECONDS: Final = 60.0
# So large that no stream ends before it is left.
MANY_PARTS: Final = 100_000
MOST_RECORDS: Final = 10_000_000
# Nothing is deleted, however old it is, and streams that are held are not taken for dead ones.
SETTINGS: Final = f"""\
[ledger]
keep_days = 0
[timeouts]
between_parts = 600
{NO_CAP}"""


class Sizes(Struct, frozen=True):
    """How large everything gets, and how much load each measure makes."""

    streams: tuple[int, ...] = (1, 100, 1000, 2000)
    records: tuple[int, ...] = (0, 100_000, 1_000_000)
    calls: int = 1500
    seconds: float = 4.0


QUICK: Final = Sizes(streams=(1, 20, 200), records=(0, 2000, 20_000), calls=200, seconds=0.5)

# For each size, what every turn found.
Column = dict[int, list[Numbers]]


class OpenStreams:
    """Streams that are read as they come, until the block is left; `parts` came so far."""

    def __init__(self, driver: RouterdDriver, count: int, gap: int) -> None:
        self._driver, self._count, self._gap = driver, count, gap
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = 0
        self._all_begun = asyncio.Event()
        self.parts = 0

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(OPEN_SECONDS):
            while len(self._tasks) < self._count:
                more = min(OPENED_AT_ONCE, self._count - len(self._tasks))
                self._all_begun.clear()
                self._tasks += [asyncio.create_task(self._read()) for _ in range(more)]
                await self._all_begun.wait()
        return self

    async def __aexit__(self, *_how: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _read(self) -> None:
        parts = 2 if self._gap == HOLD_MS else MANY_PARTS
        stream = self._driver.stream(parts, self._gap)
        try:
            self.parts += await anext(stream)
            self._begun += 1
            if self._begun == len(self._tasks):
                self._all_begun.set()
            async for some in stream:
                self.parts += some
        finally:
            await stream.aclose()


async def beside_streams(running: RunningDaemon, count: int, sizes: Sizes) -> Numbers:
    """Measure calls beside so many streams that say nothing, and the parts of so many that do."""
    driver = RouterdDriver(running.path)
    router_cpu = partial(cpu_seconds, running.pid)
    async with OpenStreams(driver, count, HOLD_MS):
        await calls_at_once(driver, sizes.calls // 10, WIDTH, None)
        numbers = await calls_at_once(driver, sizes.calls, WIDTH, router_cpu)
    gap = max(1, count * 1000 // PARTS_A_SECOND)
    async with OpenStreams(driver, count, gap) as streams:
        before, parts = router_cpu(), streams.parts
        await asyncio.sleep(max(sizes.seconds, 2 * gap / 1000))
        spent, came = router_cpu() - before, streams.parts - parts
    await driver.close()
    return numbers | {"part_router_cpu_us": spent / came * 1e6}


async def beside_records(running: RunningDaemon, sizes: Sizes) -> Numbers:
    """Measure calls, until all of them are in the ledger."""
    driver = RouterdDriver(running.path)
    before = cpu_seconds(running.pid)
    seconds: list[float] = []
    for _ in range(sizes.calls // 4):
        began_at = time.perf_counter()
        await driver.call()
        seconds.append(time.perf_counter() - began_at)
    await calls_at_once(driver, sizes.calls, WIDTH, None)
    await driver.close()
    async with Client(running.path) as client:
        await client.acommand("calls", limit=1)  # answers when all is written
    made = sizes.calls + len(seconds)
    spent = cpu_seconds(running.pid) - before
    return latencies("call", seconds) | {"call_router_cpu_us": spent / made * 1e6}


def measure_streams(folder: Path, port: int, sizes: Sizes, turns: int, tell: Tell) -> Column:
    """Measure one daemon with more and more streams, again and again."""
    found: Column = {count: [] for count in sizes.streams}
    with daemon(choose_cores(), folder, port, more=SETTINGS) as running:
        for turn in range(turns + 1):
            for count in sizes.streams:
                tell(f"turn {turn} of {turns}: {count:,} streams")
                numbers = uvloop.run(beside_streams(running, count, sizes))
                if turn:  # the first one opens connections and fills memory
                    found[count].append(numbers)
    return found


def measure_records(folder: Path, port: int, sizes: Sizes, turns: int, tell: Tell) -> Column:
    """Measure daemons with a ledger each, in turns."""
    found: Column = {count: [] for count in sizes.records}
    with ExitStack() as stack:
        daemons: dict[int, RunningDaemon] = {}
        for count in sizes.records:
            path = folder / f"{count}.db"
            size = build_ledger(path, count, tell) if count else 0
            daemons[count] = running = stack.enter_context(
                daemon(choose_cores(), folder, port, more=SETTINGS, ledger=path)
            )
            found[count].append({"ready_ms": running.ready_ms, "ledger_mb": size / 1e6})
        for turn in range(turns + 1):
            for count, running in daemons.items():
                tell(f"turn {turn} of {turns}: {count:,} records")
                numbers = uvloop.run(beside_records(running, sizes))
                if turn:
                    found[count].append(numbers)
    return found


Tell = Callable[[str], None]


def tell(what: str) -> None:
    """Say where the bench is, to a person only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what}".ljust(70))
        sys.stderr.flush()


def cell(turns: Iterable[Numbers], key: str, decimals: int = 0) -> str:
    """Write the least of a number, and how far the largest is above it."""
    values = [numbers[key] for numbers in turns if key in numbers]
    least = min(values)
    more = f" +{max(values) / least - 1:.0%}" if len(values) > 1 else ""
    return f"{least:,.{decimals}f}{more}"


KINDS: Final = {"streams": measure_streams, "records": measure_records}
# The head of a table and its lines, each with what it shows.
ROWS: Final = {
    "streams": (
        "streams that are open",
        {
            "CPU a call beside them, µs": "call_router_cpu_us",
            "CPU a part of theirs, µs": "part_router_cpu_us",
        },
    ),
    "records": (
        "records in the ledger",
        {
            "CPU a call, the ledger's thread included, µs": "call_router_cpu_us",
            "one call, p50, µs": "call_p50_us",
            "process start to ready, ms": "ready_ms",
            "size of the ledger, MB": "ledger_mb",
        },
    ),
}


def rows_of(head: str, lines: dict[str, str], column: Column) -> list[list[str]]:
    rows = [[text, *(cell(column[size], key) for size in column)] for text, key in lines.items()]
    return [[head, *(f"{size:,}" for size in column)], *rows]


def report(machine: dict[str, Any], turns: int, found: dict[str, Column]) -> str:
    """Return a table for each way to grow, as markdown, below a line on the machine."""
    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}; the least of {turns} turns, + the largest over the least; "
        f"load before: {machine['load_before']}"
    )
    tables = (aligned(rows_of(*ROWS[kind], column)) for kind, column in found.items())
    return "\n\n".join([head, *("\n".join(table) for table in tables)])


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/scale.py", description="Measure what a call costs as load and history grow."
    )
    parser.add_argument("--turns", type=int, default=TURNS, help=f"default {TURNS}")
    parser.add_argument("--quick", action="store_true", help="less of everything: a look only")
    parser.add_argument("--only", choices=KINDS, help="one of the two tables")
    parser.add_argument(
        "--ten-million", action="store_true", help="a ledger of ten million records too"
    )
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    return parser


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    chosen = options().parse_args(arguments)
    sizes = QUICK if chosen.quick else Sizes()
    if chosen.ten_million:
        sizes = msgspec.structs.replace(sizes, records=(*sizes.records, MOST_RECORDS))
    machine = describe()
    raise_open_files()
    cores = choose_cores()
    with (
        tempfile.TemporaryDirectory(prefix="routerd-bench-", dir=chosen.folder) as name,
        pinned(cores.load),
        fake_provider(cores, Path(name)) as port,
    ):
        found = {
            kind: measure(Path(name), port, sizes, chosen.turns, tell)
            for kind, measure in KINDS.items()
            if chosen.only in {None, kind}
        }
    tell("")
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "scale.json")
    data = {"machine": machine, "quick": chosen.quick, **found}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(data)))
    print(report(machine, chosen.turns, found))
    print(f"\nall numbers: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
