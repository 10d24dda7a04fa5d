"""One bench: several runs, each of which measures every system once.

Rules of this file: systems take turns within a run, so that a machine that gets slower meanwhile
slows them all; ratios are taken within a run. The daemon is a new process in each run, with an
empty ledger. Other routers are measured where they are asked for, and are new processes too.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.callers import first_answer, run_load
from bench.load import Job, Sizes
from bench.machine import Cores, pinned, reference_cpu_seconds
from bench.measure_peers import measure_peer
from bench.systems import daemon, import_ms, relay

__all__ = ["SYSTEMS", "Failures", "Run", "one_run"]

Run = dict[str, dict[str, float]]
# Of a system, the measures it failed at, and why.
Failures = dict[str, dict[str, str]]
# What was measured, and what was on.
SYSTEMS: Final = {
    "direct": "a raw client straight to the provider; nothing between them",
    "relay": "the raw client through a relay that copies bytes, Unix socket to TCP: the floor",
    "sdk": "the vendor's own asyncio client (openai) straight to the provider, long time-outs",
    "routerd": "routerd_client on asyncio and uvloop, through the daemon: ledger on, a log line a "
    "call to /dev/null, tracing off, the shortcut `fast` planned over the whole directory",
    "blocking": "the blocking routerd_client through the same daemon",
    "frames": "the smallest asyncio client there can be of routerd's frames, through a daemon like "
    "that: the floor of the caller",
}
SDK_IS_SLOWER: Final = 4
# Its pool takes the longer for a stream the more there are.
SDK_HELD: Final = 100
# What the caller and the router spend is told apart, and together where they are compared.
CPU_TOGETHER: Final = ("call", "paced_part", "burst_part")


def one_run(
    cores: Cores,
    folder: Path,
    sizes: Sizes,
    port: int,
    tell: Callable[[str], None],
    peers: Sequence[str] = (),
) -> tuple[Run, Failures]:
    """Measure every system once; the numbers of each by name, and what a peer failed at."""
    with pinned(cores.system):
        reference = min(reference_cpu_seconds() for _ in range(20))
    run: Run = {"machine": {"reference_us": reference * 1e6}}
    failures: Failures = {}
    tell("direct")
    run["direct"] = run_load(Job("raw", port, sizes), cores.system).numbers
    tell("relay")
    with relay(cores, folder, port) as (pid, path):
        job = Job("raw", port, sizes, path=path, router=pid)
        run["relay"] = run_load(job, cores.load).numbers
    if importlib.util.find_spec("openai") is not None:
        tell("sdk")
        run["sdk"] = measure_sdk(cores, sizes, port)
    else:
        sys.stderr.write("openai is not installed: no row for the vendor's client\n")
    run |= measure_routerd(cores, folder, sizes, port, tell)
    for name in peers:
        tell(name)
        found = measure_peer(name, cores, folder, sizes, port)
        run[name], failures[name] = found.numbers, found.failed
    add_sums(run)
    add_differences(run)
    return run, failures


def measure_sdk(cores: Cores, sizes: Sizes, port: int) -> dict[str, float]:
    """Measure the vendor's client; memory and start are those of the caller's process."""
    job = Job("sdk", port, sizes.divided(SDK_IS_SLOWER))
    fewer = msgspec.structs.replace(job.sizes, held=SDK_HELD)
    held = msgspec.structs.replace(job, held=True, sizes=fewer)
    found = first_answer(job, cores.system)
    found |= run_load(job, cores.system) | run_load(held, cores.system)
    return found.numbers


def measure_routerd(
    cores: Cores, folder: Path, sizes: Sizes, port: int, tell: Callable[[str], None]
) -> Run:
    """Measure the daemon by both of its clients; memory with a daemon that has done nothing yet."""
    tell("routerd")
    run: Run = {}
    with daemon(cores, folder, port) as running:
        ready = [running.ready_ms]
        job = Job("routerd", port, sizes, path=running.path, router=running.pid)
        run["routerd"] = run_load(job, cores.load).numbers
        job = msgspec.structs.replace(job, caller="blocking")
        run["blocking"] = run_load(job, cores.load).numbers
    tell("smallest client")
    # Another one: the cap that is there by default has no room for as many calls again.
    with daemon(cores, folder, port) as running:
        ready.append(running.ready_ms)
        job = Job("frames", port, sizes, path=running.path, router=running.pid)
        run["frames"] = run_load(job, cores.load).numbers
    tell("memory")
    with daemon(cores, folder, port) as running:
        ready.append(running.ready_ms)
        job = Job("routerd", port, sizes, path=running.path, router=running.pid, held=True)
        run["routerd"] |= run_load(job, cores.load).numbers
    run["routerd"]["ready_ms"] = sum(ready) / len(ready)
    run["routerd"]["import_ms"] = sum(import_ms(cores.system) for _ in range(3)) / 3
    return run


def add_sums(run: Run) -> None:
    """Add what router and caller spend together; of a library that is the caller alone."""
    for numbers in run.values():
        for name in CPU_TOGETHER:
            if (caller := numbers.get(f"{name}_caller_cpu_us")) is not None:
                router = numbers.get(f"{name}_router_cpu_us", 0.0)
                numbers[f"{name}_cpu_us"] = caller + router


def add_differences(run: Run) -> None:
    """Add what each router puts on top of the direct call of the same run."""
    for name in run.keys() - {"machine", "direct", "relay"}:
        for key in ("call_p50_us", "call_p99_us", "first_part_p50_us"):
            if key in run[name]:
                run[name][f"added_{key}"] = run[name][key] - run["direct"][key]
    # What the client costs that speaks to routerd, beside one that does next to nothing.
    key = "call_caller_cpu_us"
    run["routerd"][f"added_{key}"] = run["routerd"][key] - run["frames"][key]
