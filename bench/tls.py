"""What TLS costs, and what connections that are there already save: first calls, and CPU.

    .venv/bin/python bench/tls.py [--quick] [--runs N] [--json FILE]

Rules of this file: the provider has a certificate of an authority that only this run trusts. A
first call is that of a daemon which has made none, or none for longer than the provider keeps a
connection; the two daemons differ in `warm_connections` and nothing else. Each first call is of a
fresh daemon. The way to the provider is this machine's, and one with a round trip of its own, as
the handshakes are made of those. CPU with and without TLS is measured in turns; a number is the
least of them. Nothing is written into the checkout.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
import trustme
import uvloop
from msgspec import Struct

from bench.drivers import RouterdDriver, complete_blocking, messages
from bench.machine import choose_cores, cpu_seconds, describe, pinned, raise_open_files
from bench.measures import Numbers, calls_at_once, streams
from bench.report import aligned
from bench.systems import NO_CAP, RunningDaemon, daemon, distance, fake_provider
from routerd_client import Client

__all__ = ["main"]

RUNS: Final = 5
ROUND_TRIP_MS: Final = 20
# The provider closes what was idle for so long; warm connections are used twice as often.
KEPT_SECONDS: Final = 2.0
WARM_EVERY_SECONDS: Final = 0.5
IDLE_SECONDS: Final = 3.0
PROVIDER: Final = """\
[providers.openai]
base_url = "{scheme}://127.0.0.1:{{port}}/v1"
key_file = "{{key_file}}"
[egress]
ca_file = "{authority}"
warm_every_seconds = {warm_every}
warm_connections = {warm}
"""
POOLS: Final = {"without": 0, "with": 2}
FIRST: Final = {
    "after_start_us": "first call after start",
    "after_idle_us": "first call after the provider closed",
    "warm_us": "one of the calls between, p50",
}
SCHEMES: Final = ("http", "https")
CPU: Final = {
    "call_router_cpu_us": "CPU a call, 64 at once, µs",
    "paced_part_router_cpu_us": "CPU a part, 100 streams x 20 ms, µs",
}


class Sizes(Struct, frozen=True):
    """How much load each measure makes."""

    warm_calls: int = 50
    calls: int = 4000
    parts: int = 100


QUICK: Final = Sizes(warm_calls=5, calls=200, parts=10)
# By the way to the provider and the pool, or by the scheme: what each run found.
Found = dict[str, list[Numbers]]


class Authority:
    """Who vouches for the provider: what the daemon trusts, and what the provider shows."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        shown = authority.issue_cert("127.0.0.1")
        self.trusted, self.shown = folder / "authority.pem", folder / "provider.pem"
        authority.cert_pem.write_to_path(str(self.trusted))
        shown.private_key_and_cert_chain_pem.write_to_path(str(self.shown))

    def provider(self, scheme: str, *, warm: int, every: float = 60.0) -> str:
        """Return the daemon's configuration of the provider."""
        return PROVIDER.format(scheme=scheme, authority=self.trusted, warm=warm, warm_every=every)


def one_call(client: Client) -> float:
    """Make a call; returns the microseconds it took."""
    began_at = time.perf_counter()
    complete_blocking(client, messages())
    return (time.perf_counter() - began_at) * 1e6


def first_calls(path: str, warm_calls: int) -> Numbers:
    """Make the first call of a daemon, some more, and one after a pause."""
    with Client(path) as client:
        client.command("status")  # connects to the daemon
        after_start = one_call(client)
        warm = [one_call(client) for _ in range(warm_calls)]
        threading.Event().wait(IDLE_SECONDS)
        after_idle = one_call(client)
    return {
        "after_start_us": after_start,
        "warm_us": statistics.median(warm),
        "after_idle_us": after_idle,
    }


async def under_load(running: RunningDaemon, sizes: Sizes) -> Numbers:
    """Make many calls, and read many streams."""
    driver = RouterdDriver(running.path)
    router_cpu = partial(cpu_seconds, running.pid)
    numbers = await calls_at_once(driver, sizes.calls, 64, router_cpu)
    numbers |= await streams(driver, "paced_part", 100, sizes.parts, 20, 1, router_cpu)
    await driver.close()
    return numbers


@contextmanager
def ways(folder: Path, authority: Authority) -> Iterator[dict[str, int]]:
    """Run a provider over TLS; gives the ports that lead to it, by the way."""
    cores = choose_cores()
    options = (f"--certificate={authority.shown}", f"--idle-seconds={KEPT_SECONDS}")
    with (
        fake_provider(cores, folder, *options) as near,
        distance(cores, folder, near, ROUND_TRIP_MS) as far,
    ):
        yield {"on this machine": near, f"{ROUND_TRIP_MS} ms away": far}


def measure_firsts(folder: Path, authority: Authority, sizes: Sizes, runs: int) -> Found:
    """Start daemons with and without warm connections, again and again."""
    found: Found = {}
    with ways(folder, authority) as ports:
        for _ in range(runs):
            for way, port in ports.items():
                for pool, warm in POOLS.items():
                    provider = authority.provider("https", warm=warm, every=WARM_EVERY_SECONDS)
                    with daemon(choose_cores(), folder, port, providers=provider) as running:
                        numbers = first_calls(running.path, sizes.warm_calls)
                    found.setdefault(f"{way}, {pool}", []).append(numbers)
    return found


def measure_cpu(folder: Path, authority: Authority, sizes: Sizes, runs: int) -> Found:
    """Load two daemons in turns, one of which speaks TLS."""
    cores = choose_cores()
    found: Found = {scheme: [] for scheme in SCHEMES}
    with ExitStack() as stack:
        enter = stack.enter_context
        ports = {
            "http": enter(fake_provider(cores, folder)),
            "https": enter(fake_provider(cores, folder, f"--certificate={authority.shown}")),
        }
        daemons = {
            scheme: enter(
                daemon(
                    cores,
                    folder,
                    port,
                    providers=authority.provider(scheme, warm=2),
                    more=NO_CAP,
                )
            )
            for scheme, port in ports.items()
        }
        for turn in range(runs + 1):
            for scheme, running in daemons.items():
                numbers = uvloop.run(under_load(running, sizes))
                if turn:  # the first one opens connections
                    found[scheme].append(numbers)
    return found


def report(machine: dict[str, Any], firsts: Found, cpu: Found) -> str:
    """Return both tables as markdown, below a line on the machine."""
    runs = len(cpu["http"])
    head = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}; first calls: median of {runs} runs and the largest, CPU: least of "
        f"{runs} turns; load before: {machine['load_before']}"
    )
    rows = [["ms; warm connections:", *firsts]]
    for key, label in FIRST.items():
        cells = []
        for runs_of in firsts.values():
            values = [numbers[key] / 1000 for numbers in runs_of]
            cells.append(f"{statistics.median(values):.1f} ({max(values):.1f})")
        rows.append([label, *cells])
    costs = [["the daemon's", "plain", "TLS", "more"]]
    for key, label in CPU.items():
        plain, secured = (min(numbers[key] for numbers in cpu[scheme]) for scheme in SCHEMES)
        costs.append([label, f"{plain:.0f}", f"{secured:.0f}", f"{secured - plain:.0f}"])
    return "\n\n".join([head, "\n".join(aligned(rows)), "\n".join(aligned(costs))])


def main(arguments: list[str]) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="bench/tls.py", description="Measure what TLS costs.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"default {RUNS}")
    parser.add_argument("--quick", action="store_true", help="less load: a look only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    chosen = parser.parse_args(arguments)
    sizes = QUICK if chosen.quick else Sizes()
    machine = describe()
    raise_open_files()
    with (
        tempfile.TemporaryDirectory(prefix="routerd-bench-") as name,
        pinned(choose_cores().load),
    ):
        folder = Path(name)
        authority = Authority(folder)
        firsts = measure_firsts(folder, authority, sizes, chosen.runs)
        cpu = measure_cpu(folder, authority, sizes, chosen.runs)
    file = chosen.json or Path(tempfile.mkdtemp(prefix="routerd-bench-"), "tls.json")
    data = {"machine": machine, "quick": chosen.quick, "firsts": firsts, "cpu": cpu}
    file.write_bytes(msgspec.json.format(msgspec.json.encode(data)))
    print(report(machine, firsts, cpu))
    print(f"\nall numbers: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
