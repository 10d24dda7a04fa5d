"""Measures one other router: its numbers, and why there are none of some.

Rules of this file: a peer is judged by nobody here. One that does not start, dies, hangs or answers
with something else has no figure there, and in its place the reason, which names no key and no
path; all other figures are taken. Whatever happens, no process is left.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.callers import first_answer, run_load
from bench.load import Job, Outcome, Sizes
from bench.machine import Cores
from bench.peer_drivers import MODEL
from bench.peers import FOLDER, PEERS, Peer, python_of
from bench.systems import Broken, process, wait_until

__all__ = ["free_port", "measure_peer"]

START_SECONDS: Final = 240.0
ASK_SECONDS: Final = 10.0
# To begin this many streams takes the slowest of them seconds; memory a stream stays the same.
HELD: Final = 100
# The provider is asked by a poll whether it was hung up on; who has not done so by then never does.
HANG_UP_SECONDS: Final = 10.0


def measure_peer(name: str, cores: Cores, folder: Path, sizes: Sizes, port: int) -> Outcome:
    """Measure one peer in front of the provider at a port."""
    peer = PEERS[name]
    smaller = msgspec.structs.replace(
        sizes.divided(peer.slower),
        warm_calls=peer.warm,
        held=HELD,
        hang_up_seconds=HANG_UP_SECONDS,
    )
    job = Job(peer.caller, port, smaller, may_fail=True)
    if peer.starting is None:
        return measure_library(peer, cores, job)
    try:
        with gateway(peer, cores, folder, job) as running:
            return measure_gateway(running, cores)
    except Broken as failure:
        return Outcome(failed={"anything": str(failure)})
    except OSError as failure:
        return Outcome(failed={"anything": failure.strerror or type(failure).__name__})


def measure_library(peer: Peer, cores: Cores, job: Job) -> Outcome:
    """Measure one that runs in the process of who calls it."""
    python = python_of(peer)
    found = first_answer(job, cores.system, python)
    found |= run_load(job, cores.system, python)
    return found | run_load(msgspec.structs.replace(job, held=True), cores.system, python)


class RunningGateway(NamedTuple):
    """A gateway that answers."""

    job: Job
    ready_ms: float
    program: subprocess.Popen[str]


def measure_gateway(running: RunningGateway, cores: Cores) -> Outcome:
    """Measure one that is a process of its own: memory first, before it was under load."""
    found = Outcome({"ready_ms": running.ready_ms})
    found |= run_load(msgspec.structs.replace(running.job, held=True), cores.load)
    found |= run_load(running.job, cores.load)
    if (code := running.program.poll()) is not None:
        # What a caller saw of it is a connection that cannot be made.
        reason = f"its process ended with {code}"
        return Outcome(found.numbers, dict.fromkeys(found.failed, reason))
    return found


@contextmanager
def gateway(peer: Peer, cores: Cores, folder: Path, job: Job) -> Iterator[RunningGateway]:
    """Run a peer until it answers; gives who calls it, and how long it took."""
    if peer.starting is None:
        raise ValueError(f"{peer.title} is no gateway")
    own = free_port()
    home = Path(folder, f"peer-{secrets.token_hex(4)}")
    home.mkdir()
    start = peer.starting(FOLDER / peer.place, home, own, job.provider_port)
    began_at = time.perf_counter()
    # It may log to stdout, where nobody reads.
    with process(
        start.command, cores.system, home, start.environ, says=subprocess.DEVNULL
    ) as program:
        wait_until(lambda: is_answering(own, start.headers), program, peer.title, START_SECONDS)
        ready_ms = (time.perf_counter() - began_at) * 1000
        job = msgspec.structs.replace(
            job, router=program.pid, router_port=own, headers=start.headers
        )
        yield RunningGateway(job, ready_ms, program)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_answering(port: int, headers: dict[str, str]) -> bool:
    """Tell whether a gateway answers a call as the provider does."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Are you there?"}]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_SECONDS)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            body,
            {"content-type": "application/json", **headers},
        )
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
