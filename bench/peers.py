"""The routers that routerd is measured beside: where each is installed, and how it is started.

Rules of this file: a peer runs as its makers tell to run it, with nothing on that it can do
without: no database, no telemetry, no cache, no retries. What was on stands in its line. Each has
a folder of its own below `.peers`, filled by `bench/install_peers.py`; nothing is fetched here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.load import Caller
from bench.peer_drivers import MODEL
from bench.systems import ROOT

__all__ = [
    "FOLDER",
    "LEFT_OUT",
    "LOCKS",
    "PEERS",
    "STAMP",
    "Peer",
    "Start",
    "about",
    "digest",
    "is_installed",
    "missing",
    "python_of",
]

FOLDER: Final = ROOT / ".peers"
LOCKS: Final = ROOT / "bench" / "peer_locks"
# Says by which lock a folder was filled; written last.
STAMP: Final = "installed"
GATEWAY: Final = "node_modules/@portkey-ai/gateway"
LEFT_OUT: Final = (
    "TensorZero's gateway: left out, no package has its program; the same code runs embedded"
)


class Start(Struct, frozen=True):
    """How a gateway is started, and with what headers it is called."""

    command: list[str]
    environ: dict[str, str]
    headers: dict[str, str]


# From the gateway's folder, one for its own files, its port and the provider's.
Starting = Callable[[Path, Path, int, int], Start]


class Peer(Struct, frozen=True):
    """One system beside routerd. `place` is its folder below `.peers`.

    `slower` divides the load: the slowest would take the time of all others together. `warm` calls
    come first, however little load there is: an engine that compiles what it runs often has to have
    run it. `starting` is of a gateway, a process of its own; a library is in the caller's.
    """

    title: str
    what: str
    place: str
    package: str
    slower: int
    warm: int
    caller: Caller = "gateway"
    starting: Starting | None = None


def litellm_proxy(place: Path, home: Path, own: int, port: int) -> Start:
    """Start LiteLLM's proxy; its file is JSON, which is YAML too."""
    parameters = {
        "model": f"openai/{MODEL}",
        "api_key": "bench",
        "api_base": f"http://127.0.0.1:{port}/v1",
    }
    configuration = {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    file = home / "litellm.yaml"
    file.write_text(json.dumps(configuration))
    key = f"sk-{secrets.token_hex(24)}"  # it refuses short ones
    return Start(
        [
            str(place / "bin" / "litellm"),
            f"--config={file}",
            "--host=127.0.0.1",
            f"--port={own}",
            "--num_workers=1",
        ],
        {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": key,
        },
        {"authorization": f"Bearer {key}"},
    )


def portkey(place: Path, home: Path, own: int, port: int) -> Start:
    """Start Portkey's gateway, which is told with each call where to go."""
    del home
    program = place / GATEWAY / "build" / "start-server.js"
    return Start(
        ["node", str(program), f"--port={own}", "--headless"],
        {"NODE_ENV": "production"},
        {
            "authorization": "Bearer bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{port}/v1",
        },
    )


PEERS: Final = {
    "litellm": Peer(
        "LiteLLM",
        "`litellm.acompletion` in the caller's process: one model, no callbacks, no retries, "
        "prices from its own file",
        "litellm",
        "litellm",
        slower=8,
        warm=50,
        caller="litellm",
    ),
    "litellm-proxy": Peer(
        "LiteLLM proxy",
        "the raw client through its proxy, TCP to TCP: one worker, a master key, one model, no "
        "database, no telemetry, no retries, its log of requests to /dev/null",
        "litellm",
        "litellm",
        slower=12,
        warm=50,
        starting=litellm_proxy,
    ),
    "tensorzero": Peer(
        "TensorZero",
        "its gateway in Rust, embedded in the caller's process by its Python package: one model, "
        "observability off",
        "tensorzero",
        "tensorzero",
        slower=2,
        warm=200,
        caller="tensorzero",
    ),
    "portkey": Peer(
        "Portkey",
        "the raw client through its gateway on Node, TCP to TCP: provider and address in headers, "
        "no cache, no retries, no console",
        "portkey",
        GATEWAY,
        slower=3,
        warm=1000,
        starting=portkey,
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
