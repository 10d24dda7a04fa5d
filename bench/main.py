"""The command line of the bench: run it, print one table, write one JSON file.

Rules of this file: nothing is written into the checkout, but by --document. Without --json the file
goes to a new folder for temporary files, whose name is printed. Told to stop, by Ctrl-C or as
`kill` does, it leaves no process behind.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.document import DOCUMENT, check, fill
from bench.load import Sizes
from bench.machine import choose_cores, describe, pinned, raise_open_files
from bench.peers import PEERS, about, missing
from bench.peers_report import beside_peers
from bench.report import about_the_machine, table, to_data
from bench.session import Failures, Run, one_run
from bench.systems import ENDINGS, fake_provider

__all__ = ["main"]

RUNS = 5
QUICK_RUNS = 2
QUICK_SIZES = Sizes().divided(4)
STOPPED = 130
ROUTERD, BESIDE_PEERS = "routerd", "beside peers"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Measure what routerd costs.")
    parser.add_argument("--runs", type=int, help=f"how many runs (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help="two runs with less load: a look only")
    parser.add_argument("--peers", action="store_true", help="other routers too: make bench-peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    parser.add_argument(
        "--document", action="store_true", help="put the tables into docs/performance.md too"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    for number in ENDINGS:
        signal.signal(number, signal.default_int_handler)
    try:
        return run(options().parse_args(arguments))
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return STOPPED


def run(chosen: argparse.Namespace) -> int:
    """Measure what was chosen, and tell it."""
    if chosen.document:
        check(DOCUMENT, ROUTERD, *([BESIDE_PEERS] if chosen.peers else []))
    count = chosen.runs or (QUICK_RUNS if chosen.quick else RUNS)
    sizes = QUICK_SIZES if chosen.quick else Sizes()
    reasons = {name: missing(peer) for name, peer in PEERS.items()} if chosen.peers else {}
    peers = [name for name, reason in reasons.items() if reason is None]
    facts = {
        "date": time.strftime("%d %B %Y").lstrip("0"),
        "command": command_of(chosen),
        "machine": describe(),
        "versions": {name: version(name) for name in ("routerd", "aiohttp", "httpx", "msgspec")},
        "uvloop": version("uvloop"),
        "quick": chosen.quick,
        "peers": {name: about(PEERS[name]) for name in peers},
    }
    runs, failures = measure(count, sizes, peers)
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "bench.json")
    data = to_data(runs, facts | {"failed": failures})
    file.write_bytes(msgspec.json.format(msgspec.json.encode(data)))
    printed = {ROUTERD: table(runs, facts)}
    if chosen.peers:
        absent = [reason for reason in reasons.values() if reason is not None]
        tables = beside_peers(runs, failures, facts["peers"], absent)
        printed[BESIDE_PEERS] = f"{about_the_machine(runs, facts)}\n\n{tables}"
    for place, text in printed.items():
        print(f"{text}\n")
        if chosen.document:
            fill(DOCUMENT, place, text)
    print(f"all numbers: {file}")
    return 0


def command_of(chosen: argparse.Namespace) -> str:
    """Return what would measure the same again; where the numbers went is nobody's business."""
    words = [f"--{name}" for name in ("quick", "peers", "document") if getattr(chosen, name)]
    if chosen.runs:
        words.append(f"--runs {chosen.runs}")
    return " ".join([".venv/bin/python bench/run.py", *words])


def measure(count: int, sizes: Sizes, peers: list[str]) -> tuple[list[Run], list[Failures]]:
    """Make the runs; tells on stderr where it is."""
    cores = choose_cores()
    raise_open_files()
    runs: list[Run] = []
    failures: list[Failures] = []
    with tempfile.TemporaryDirectory(prefix="routerd-bench-") as name, pinned(cores.load):
        folder = Path(name)
        with fake_provider(cores, folder) as port:
            for number in range(1, count + 1):

                def tell(system: str, number: int = number) -> None:
                    sys.stderr.write(f"\rrun {number} of {count}: {system:20}")
                    sys.stderr.flush()

                run, failed = one_run(cores, folder, sizes, port, tell, peers)
                runs.append(run)
                failures.append(failed)
    sys.stderr.write("\r" + " " * 40 + "\r")
    return runs, failures
