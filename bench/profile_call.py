"""Where the microseconds of a call go: a daemon with clocks in it, and one table.

    .venv/bin/python bench/profile_call.py [--calls N]
    .venv/bin/python bench/profile_call.py --sampled    # by library, without clocks

Rules of this file: the clocks cost time themselves (a microsecond or so each time), so the shares
are to be read here, and the sum in the bench. "Itself" is a stage without those that are part of
it and have a line of their own. Where the second profile comes from is perf, of Debian's package
linux-perf; a share is one of all samples of a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
import uvloop

from bench.drivers import RouterdDriver
from bench.machine import choose_cores, pinned, thread_cpu_seconds
from bench.measures import calls_at_once
from bench.report import aligned
from bench.staged_daemon import Stage
from bench.systems import RunningDaemon, daemon, fake_provider

WIDTH: Final = 64
WARM_CALLS: Final = 500
RECORD: Final = ("perf", "record", "-q", "-e", "cpu-clock", "-F", "5000")
REPORT: Final = ("perf", "report", "--stdio", "--sort", "pid,dso")
LEAST_SHARE: Final = 0.5
LIBRARIES: Final = {"libpython3": "Python", "_core": "msgspec", "loop": "uvloop"}


class Profile(NamedTuple):
    """Seconds of CPU of the event loop's thread and of all others, and the stages of the first."""

    loop: float
    others: float
    stages: list[Stage]


async def drive(
    running: RunningDaemon, calls: int, *, has_clocks: bool = True
) -> tuple[float, float]:
    """Make the calls; returns the CPU seconds of the loop's thread and of the others."""
    driver = RouterdDriver(running.path)
    await calls_at_once(driver, WARM_CALLS, WIDTH, None)
    if has_clocks:
        os.kill(running.pid, signal.SIGUSR1)
    await asyncio.sleep(0.2)
    before = thread_cpu_seconds(running.pid)
    await calls_at_once(driver, calls, WIDTH, None)
    await asyncio.sleep(0.2)
    after = thread_cpu_seconds(running.pid)
    await driver.close()
    spent = {thread: seconds - before.get(thread, 0.0) for thread, seconds in after.items()}
    loop = spent.pop(running.pid)
    return loop, sum(spent.values())


def profile(calls: int) -> Profile:
    """Run the daemon with clocks and read them at its end."""
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name, pinned(cores.load):
        folder = Path(name)
        file = folder / "stages.json"
        program = ("-m", "bench.staged_daemon", str(file))
        with fake_provider(cores, folder) as port:
            with daemon(cores, folder, port, program) as running:
                loop, others = uvloop.run(drive(running, calls))
            stages = msgspec.json.decode(file.read_bytes(), type=list[Stage])
    return Profile(loop, others, stages)


def sampled(calls: int) -> list[list[str]]:
    """Run a plain daemon under perf; the share of each library in the time of its two threads."""
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name, pinned(cores.load):
        folder = Path(name)
        file = folder / "perf.data"
        with fake_provider(cores, folder) as port, daemon(cores, folder, port) as running:
            recorder = subprocess.Popen(
                [*RECORD, "-o", str(file), "-p", str(running.pid)], stderr=subprocess.DEVNULL
            )
            uvloop.run(drive(running, calls, has_clocks=False))
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        report = subprocess.run(
            [*REPORT, "-i", str(file)], capture_output=True, text=True, check=True
        ).stdout
    return shares_of(report, running.pid)


def shares_of(report: str, loop: int) -> list[list[str]]:
    """Lay out what perf reports of pairs of a thread and a library."""
    found = re.findall(r"^ *([\d.]+)% +(\d+):\S+ +(\S+)", report, re.MULTILINE)
    threads = {"the loop's thread": True, "the ledger's thread": False}
    rows = [["% of all samples", *threads]]
    parts: dict[str, dict[bool, float]] = {}
    for share, thread, library in found:
        name = library.partition(".")[0].strip("[]")
        of_library = parts.setdefault(LIBRARIES.get(name, name), {})
        is_loop = int(thread) == loop
        of_library[is_loop] = of_library.get(is_loop, 0.0) + float(share)
    for library, of_library in parts.items():
        if max(of_library.values()) >= LEAST_SHARE:
            rows.append(
                [library, *(f"{of_library.get(is_loop, 0):.1f}" for is_loop in threads.values())]
            )
    sums = [sum(each.get(is_loop, 0) for each in parts.values()) for is_loop in threads.values()]
    rows.append(["all", *(f"{value:.1f}" for value in sums)])
    return rows


def rows_of(found: Profile, calls: int) -> list[list[str]]:
    """Lay out the stages in the order of a call, then what is left."""
    rows = [["", "times a call", "µs", "µs itself"]]

    def add(label: str, times: float, seconds: float, itself: float) -> None:
        cells = [f"{times:.1f}" if times else ""]
        cells += [f"{value / calls * 1e6:.1f}" for value in (seconds, itself)]
        rows.append([label, *cells])

    outermost = 0.0
    for stage in found.stages:
        seconds = stage.nanoseconds / 1e9
        inside = sum(each.nanoseconds for each in found.stages if each.parent == stage.label)
        depth = 0
        parent = stage.parent
        while parent:
            depth += 1
            parent = next(each.parent for each in found.stages if each.label == parent)
        if not depth:
            outermost += seconds
        label = "- " * depth + stage.label
        add(label, stage.count / calls, seconds, seconds - inside / 1e9)
    rest = found.loop - outermost
    add("event loop, sockets, connection's task", 0, rest, rest)
    add("the loop's thread", 0, found.loop, found.loop)
    add("the ledger's thread", 0, found.others, found.others)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the CPU time of a call goes.")
    parser.add_argument("--calls", type=int, default=6000)
    parser.add_argument("--sampled", action="store_true", help="by library, with perf")
    arguments = parser.parse_args()
    calls = arguments.calls
    if arguments.sampled:
        if shutil.which("perf") is None:
            sys.exit("perf is not installed: Debian has it in linux-perf")
        print("\n".join(aligned(sampled(calls))))
        return
    print(f"CPU of the daemon for each of {calls} calls, {WIDTH} at once\n")
    print("\n".join(aligned(rows_of(profile(calls), calls))))


if __name__ == "__main__":
    main()
