"""One bench: several runs, each of which measures every system once.

Rules of this file: systems take turns within a run, so that a machine that gets slower meanwhile
slows them all; ratios are taken within a run. The daemon is a new process in each run, with an
empty ledger.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.load import Job, Sizes
from bench.machine import Cores, pinned, reference_cpu_seconds
from bench.systems import daemon, import_ms, relay, run_load

__all__ = ["SYSTEMS", "Run", "one_run"]

Run = dict[str, dict[str, float]]
# What was measured, and what was on.
SYSTEMS: Final = {
    "direct": "a raw client straight to the provider; nothing between them",
    "relay": "the raw client through a relay that copies bytes, Unix socket to TCP: the floor",
    "sdk": "the vendor's own asyncio client (openai) straight to the provider, long time-outs",
    "routerd": "routerd_client on asyncio and uvloop, through the daemon: ledger on, a log line a "
    "call to /dev/null, tracing off, the shortcut `fast` planned over the whole directory",
    "blocking": "the blocking routerd_client through the same daemon",
}
SDK_IS_SLOWER: Final = 4


def one_run(
    cores: Cores, folder: Path, sizes: Sizes, port: int, tell: Callable[[str], None]
) -> Run:
    """Measure every system once; the numbers of each by name."""
    with pinned(cores.system):
        reference = min(reference_cpu_seconds() for _ in range(20))
    run: Run = {"machine": {"reference_us": reference * 1e6}}
    tell("direct")
    run["direct"] = run_load(Job("raw", port, sizes), cores.system)
    tell("relay")
    with relay(cores, folder, port) as (pid, path):
        run["relay"] = run_load(Job("raw", port, sizes, path=path, router=pid), cores.load)
    if importlib.util.find_spec("openai") is not None:
        tell("sdk")
        run["sdk"] = run_load(Job("sdk", port, sizes.divided(SDK_IS_SLOWER)), cores.system)
    else:
        sys.stderr.write("openai is not installed: no row for the vendor's client\n")
    tell("routerd")
    with daemon(cores, folder, port) as running:
        ready = [running.ready_ms]
        job = Job("routerd", port, sizes, path=running.path, router=running.pid)
        run["routerd"] = run_load(job, cores.load)
        job = Job("blocking", port, sizes, path=running.path, router=running.pid)
        run["blocking"] = run_load(job, cores.load)
    tell("memory")
    with daemon(cores, folder, port) as running:
        ready.append(running.ready_ms)
        job = Job("routerd", port, sizes, path=running.path, router=running.pid, held=True)
        run["routerd"] |= run_load(job, cores.load)
    run["routerd"]["ready_ms"] = sum(ready) / len(ready)
    run["routerd"]["import_ms"] = sum(import_ms(cores.system) for _ in range(3)) / 3
    add_differences(run)
    return run


def add_differences(run: Run) -> None:
    """Add what routerd puts on top of the direct call of the same run."""
    for name in ("routerd", "blocking"):
        for key in ("call_p50_us", "call_p99_us", "first_part_p50_us"):
            if key in run[name]:
                run[name][f"added_{key}"] = run[name][key] - run["direct"][key]
