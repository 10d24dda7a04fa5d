"""The command line of the bench: run it, print one table, write one JSON file.

Rules of this file: nothing is written into the checkout. Without --json the file goes to a new
folder for temporary files, whose name is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.load import Sizes
from bench.machine import choose_cores, describe, pinned, raise_open_files
from bench.report import table, to_data
from bench.session import Run, one_run
from bench.systems import fake_provider

__all__ = ["main"]

RUNS = 5
QUICK_RUNS = 2
QUICK_DIVISOR = 4


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure what routerd costs.")
    parser.add_argument("--runs", type=int, help=f"how many runs (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help="two runs with less load: a look only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    count = chosen.runs or (QUICK_RUNS if chosen.quick else RUNS)
    sizes = Sizes().divided(QUICK_DIVISOR) if chosen.quick else Sizes()
    about = {
        "machine": describe(),
        "versions": {name: version(name) for name in ("routerd", "aiohttp", "httpx", "msgspec")},
        "uvloop": version("uvloop"),
        "quick": chosen.quick,
    }
    runs = measure(count, sizes)
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "bench.json")
    file.write_bytes(msgspec.json.format(msgspec.json.encode(to_data(runs, about))))
    print(table(runs, about))
    print(f"\nall numbers: {file}")
    return 0


def measure(count: int, sizes: Sizes) -> list[Run]:
    """Make the runs; tells on stderr where it is."""
    cores = choose_cores()
    raise_open_files()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name, pinned(cores.load):
        folder = Path(name)
        with fake_provider(cores, folder) as port:
            for number in range(1, count + 1):

                def tell(system: str, number: int = number) -> None:
                    sys.stderr.write(f"\rrun {number} of {count}: {system:10}")
                    sys.stderr.flush()

                runs.append(one_run(cores, folder, sizes, port, tell))
    sys.stderr.write("\r" + " " * 40 + "\r")
    return runs
