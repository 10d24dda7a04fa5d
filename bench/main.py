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
from bench.peers import PEERS, about, missing
from bench.report import beside_peers, table, to_data
from bench.session import Failures, Run, one_run
from bench.systems import fake_provider

__all__ = ["main"]

RUNS = 5
# With other routers a run takes three times as long.
PEER_RUNS = 3
QUICK_RUNS = 2
QUICK_DIVISOR = 4


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure what routerd costs.")
    parser.add_argument("--runs", type=int, help=f"how many runs (default {RUNS})")
    parser.add_argument("--quick", action="store_true", help="two runs with less load: a look only")
    parser.add_argument("--peers", action="store_true", help="other routers too: make bench-peers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    usual = PEER_RUNS if chosen.peers else RUNS
    count = chosen.runs or (QUICK_RUNS if chosen.quick else usual)
    sizes = Sizes().divided(QUICK_DIVISOR) if chosen.quick else Sizes()
    reasons = {name: missing(peer) for name, peer in PEERS.items()} if chosen.peers else {}
    peers = [name for name, reason in reasons.items() if reason is None]
    facts = {
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
    print(table(runs, facts))
    if chosen.peers:
        absent = [reason for reason in reasons.values() if reason is not None]
        print(f"\n{beside_peers(runs, failures, facts['peers'], absent)}")
    print(f"\nall numbers: {file}")
    return 0


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
                    sys.stderr.write(f"\rrun {number} of {count}: {system:15}")
                    sys.stderr.flush()

                run, failed = one_run(cores, folder, sizes, port, tell, peers)
                runs.append(run)
                failures.append(failed)
    sys.stderr.write("\r" + " " * 40 + "\r")
    return runs, failures
