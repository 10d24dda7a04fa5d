"""The routers that routerd is measured beside: where each is installed, and how it is started.

Rules of this file: a peer runs as its makers tell to run it, with nothing on that it can do
without: no database, no telemetry, no cache, no retries. What was on stands in its line. Each has
a folder of its own below `.peers`, filled by `bench/install_peers.py`; nothing is fetched here. A
peer that is not installed is left out, and one that fails at something has no figure there: both
are said in a line.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.load import Caller, Job, Sizes
from bench.machine import Cores
from bench.peer_drivers import MODEL
from bench.systems import ROOT, first_answer_ms, process, run_load, wait_until

__all__ = [
    "FOLDER",
    "LEFT_OUT",
    "LOCKS",
    "PEERS",
    "STAMP",
    "FailedAt",
    "Peer",
    "about",
    "digest",
    "is_installed",
    "measure_peer",
    "missing",
]

FOLDER: Final = ROOT / ".peers"
LOCKS: Final = ROOT / "bench" / "peer_locks"
# Says by which lock a folder was filled; written last.
STAMP: Final = "installed"
START_SECONDS: Final = 240.0
# To begin this many streams takes the slowest of them seconds; memory a stream stays the same.
HELD: Final = 100
# The provider is asked by a poll whether it was hung up on; who has not done so by then never does.
HANG_UP_SECONDS: Final = 10.0
GATEWAY: Final = "node_modules/@portkey-ai/gateway"
LEFT_OUT: Final = (
    "TensorZero's gateway: left out, no package has its program; the same code runs embedded",
)

FailedAt = dict[str, str]


class Peer(Struct, frozen=True):
    """One system beside routerd. `place` is its folder below `.peers`.

    `slower` divides the load: the slowest would take the time of all others together. `warm` calls
    come first, however little load there is: an engine that compiles what it runs often has to have
    run it. `is_gateway` tells a process of its own from a library in the caller's.
    """

    title: str
    what: str
    place: str
    package: str
    slower: int
    warm: int
    is_gateway: bool = False


PEERS: Final = {
    "litellm": Peer(
        "LiteLLM",
        "`litellm.acompletion` in the caller's process: one model, no callbacks, no retries, "
        "prices from its own file",
        "litellm",
        "litellm",
        slower=8,
        warm=50,
    ),
    "litellm-proxy": Peer(
        "LiteLLM proxy",
        "the raw client through its proxy, TCP to TCP: one worker, a master key, one model, no "
        "database, no telemetry, no retries",
        "litellm",
        "litellm",
        slower=12,
        warm=50,
        is_gateway=True,
    ),
    "tensorzero": Peer(
        "TensorZero",
        "its gateway in Rust, embedded in the caller's process by its Python package: one model, "
        "observability off",
        "tensorzero",
        "tensorzero",
        slower=2,
        warm=200,
    ),
    "portkey": Peer(
        "Portkey",
        "the raw client through its gateway on Node, TCP to TCP: provider and address in headers, "
        "no cache, no retries, no console",
        "portkey",
        GATEWAY,
        slower=3,
        warm=1000,
        is_gateway=True,
    ),
}


def missing(peer: Peer) -> str | None:
    """Say why a peer cannot be measured, None if it can."""
    if not is_installed(peer.place):
        return f"{peer.title}: left out, it is not installed (`make bench-peers` does that)"
    if peer.place == "portkey" and shutil.which("node") is None:
        return f"{peer.title}: left out, there is no node on this machine"
    return None


def digest(place: str) -> str:
    """Return what tells one state of a lock from another."""
    lock = LOCKS / place
    file = lock / "package-lock.json" if lock.is_dir() else lock.with_suffix(".lock")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def is_installed(place: str) -> bool:
    """Tell whether a folder is filled with what its lock says."""
    stamp = FOLDER / place / STAMP
    return stamp.is_file() and stamp.read_text() == digest(place)


def about(peer: Peer) -> str:
    """Say what was measured, its version included."""
    folder = FOLDER / peer.place
    if peer.place == "portkey":
        version = json.loads((folder / GATEWAY / "package.json").read_text())["version"]
        asked = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        return f"{version} on Node {asked.stdout.strip().removeprefix('v')}: {peer.what}"
    question = f"import importlib.metadata as m; print(m.version({peer.package!r}))"
    command = [python_of(peer), "-c", question]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"{version}: {peer.what}"


def python_of(peer: Peer) -> str:
    return str(FOLDER / peer.place / "bin" / "python")


def measure_peer(
    name: str, cores: Cores, folder: Path, sizes: Sizes, port: int
) -> tuple[dict[str, float], FailedAt]:
    """Measure one peer; its numbers, and why there are none of some."""
    peer = PEERS[name]
    smaller = msgspec.structs.replace(
        sizes.divided(peer.slower),
        warm_calls=peer.warm,
        held=HELD,
        hang_up_seconds=HANG_UP_SECONDS,
    )
    try:
        return measure_all(name, cores, folder, smaller, port)
    except (SystemExit, subprocess.TimeoutExpired) as failure:
        return {}, {"anything": str(failure).partition("\n")[0]}


def measure_all(
    name: str, cores: Cores, folder: Path, sizes: Sizes, port: int
) -> tuple[dict[str, float], FailedAt]:
    peer = PEERS[name]
    if not peer.is_gateway:
        caller: Caller = "tensorzero" if name == "tensorzero" else "litellm"
        job = Job(caller, port, sizes, may_fail=True)
        python = python_of(peer)
        ready_ms = first_answer_ms(job, cores.system, python)
        found = run_load(job, cores.system, python)
        found |= run_load(msgspec.structs.replace(job, held=True), cores.system, python)
        return {"ready_ms": ready_ms, **found.numbers}, found.failed
    with gateway(name, cores, folder, port, sizes) as (job, ready_ms):
        found = run_load(msgspec.structs.replace(job, held=True), cores.load)
        found |= run_load(job, cores.load)
    return {"ready_ms": ready_ms, **found.numbers}, found.failed


@contextmanager
def gateway(
    name: str, cores: Cores, folder: Path, port: int, sizes: Sizes
) -> Iterator[tuple[Job, float]]:
    """Run a peer in front of the provider; gives who calls it, and how long it took to start."""
    own = free_port()
    place = FOLDER / PEERS[name].place
    home = Path(folder, f"{name}-{secrets.token_hex(4)}")
    home.mkdir()
    if name == "portkey":
        command = ["node", str(place / GATEWAY / "build" / "start-server.js")]
        command += [f"--port={own}", "--headless"]
        environment = {"NODE_ENV": "production"}
        headers = {
            "authorization": "Bearer bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{port}/v1",
        }
    else:
        key = f"sk-{secrets.token_hex(24)}"  # it refuses short ones
        command = [str(place / "bin" / "litellm"), "--config", str(proxy_configuration(home, port))]
        command += ["--host", "127.0.0.1", "--port", str(own), "--num_workers", "1"]
        environment = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": key,
        }
        headers = {"authorization": f"Bearer {key}"}
    began_at = time.perf_counter()
    with process(command, cores.system, home, environment) as running:
        title = PEERS[name].title
        wait_until(lambda: is_answering(own, headers), running, title, START_SECONDS)
        ready_ms = (time.perf_counter() - began_at) * 1000
        yield (
            Job(
                "gateway",
                port,
                sizes,
                router=running.pid,
                may_fail=True,
                router_port=own,
                headers=headers,
            ),
            ready_ms,
        )


def proxy_configuration(home: Path, port: int) -> Path:
    """Write what LiteLLM's proxy reads, in JSON, which is YAML too."""
    parameters = {
        "model": f"openai/{MODEL}",
        "api_key": "bench",
        "api_base": f"http://127.0.0.1:{port}/v1",
    }
    file = home / "litellm.yaml"
    file.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
                "litellm_settings": {"telemetry": False, "num_retries": 0},
            }
        )
    )
    return file


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_answering(port: int, headers: dict[str, str]) -> bool:
    """Tell whether a gateway answers a call as the provider does."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Are you there?"}]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            body,
            {"content-type": "application/json", **headers},
        )
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
