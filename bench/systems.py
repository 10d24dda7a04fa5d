"""The processes of a bench: the fake provider, the relay, the daemon, and the callers.

Rules of this file: the daemon is started as anybody would start it, with a configuration file and
default settings but for where the provider is. Nothing is written outside of the folder given.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.load import Job, Outcome
from bench.machine import Cores, pinned
from routerd_client import Client, DaemonUnavailable

__all__ = [
    "NO_CAP",
    "ROOT",
    "RunningDaemon",
    "collector",
    "daemon",
    "distance",
    "fake_provider",
    "first_answer_ms",
    "import_ms",
    "process",
    "relay",
    "run_load",
    "wait_until",
]

ROOT: Final = Path(__file__).resolve().parents[1]
START_SECONDS: Final = 30.0
LOAD_SECONDS: Final = 120.0
CONFIGURATION: Final = """\
[discovery]
local_servers = false
"""
ONE_PROVIDER: Final = """\
[providers.openai]
base_url = "http://127.0.0.1:{port}/v1"
key_file = "{key_file}"
"""
# In place of the cap that holds where none is configured: it has no room for very many calls.
NO_CAP: Final = """\
[budgets.everything]
window = "month"
dollars = 1_000_000
"""
# For an interpreter that is not this environment's: where the bench and routerd_client are.
SOURCE: Final = os.pathsep.join(str(ROOT / name) for name in ("", "client", "proto"))
IMPORT_TIME: Final = """\
import time, msgspec
began_at = time.perf_counter()
import routerd_client
print((time.perf_counter() - began_at) * 1000)
"""


class RunningDaemon(NamedTuple):
    """A daemon that is ready. `ready_ms` is the time since its process was started."""

    pid: int
    path: str
    ready_ms: float


@contextmanager
def process(
    command: list[str], core: int, folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a program on a core until the block is left; what it says on stderr is thrown away."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environ or {})}
    with pinned(core):
        running = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()


@contextmanager
def fake_provider(cores: Cores, folder: Path, *options: str) -> Iterator[int]:
    """Run the provider beside the load; gives its port."""
    command = [sys.executable, "-m", "bench.fake_provider", "--core", str(cores.load), *options]
    with process(command, cores.load, folder) as running:
        yield port_of(running)


@contextmanager
def distance(cores: Cores, folder: Path, port: int, milliseconds: int) -> Iterator[int]:
    """Run a long way to a port; gives the port at its beginning."""
    command = [sys.executable, "-m", "bench.distance", str(cores.load), str(port)]
    with process([*command, str(milliseconds)], cores.load, folder) as running:
        yield port_of(running)


@contextmanager
def collector(cores: Cores, folder: Path) -> Iterator[int]:
    """Run a collector of traces beside the load; gives its port."""
    command = [sys.executable, "-m", "bench.collector", str(cores.load)]
    with process(command, cores.load, folder) as running:
        yield port_of(running)


def port_of(running: subprocess.Popen[str]) -> int:
    """Read the port that a server of the bench says it listens on."""
    if running.stdout is None:
        raise OSError("the server has no output")
    return int(running.stdout.readline())


@contextmanager
def relay(cores: Cores, folder: Path, port: int) -> Iterator[tuple[int, str]]:
    """Run the relay; gives its process and its socket."""
    path = folder / "relay.sock"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.relay", str(path), str(port)]
    with process(command, cores.system, folder) as running:
        wait_until(path.exists, running, "the relay")
        yield running.pid, str(path)


@contextmanager
def daemon(
    cores: Cores,
    folder: Path,
    port: int,
    program: Sequence[str] = ("-m", "routerd"),
    *,
    providers: str = ONE_PROVIDER,
    more: str = "",
    ledger: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[RunningDaemon]:
    """Run routerd in front of the provider; gives it once it is ready.

    `providers` is TOML that names `{port}` and `{key_file}`, `more` TOML as it is. The ledger is an
    empty one, unless one is given. Nothing is in its environment but `environ`, PATH and HOME.
    """
    home = Path(folder, f"daemon-{secrets.token_hex(4)}")
    home.mkdir()
    key_file = home / "key"
    key_file.write_text(secrets.token_hex(24))
    key_file.chmod(0o600)
    configuration = home / "routerd.toml"
    named = providers.format(port=port, key_file=key_file)
    configuration.write_text(CONFIGURATION + named + more)
    path = home / "routerd.sock"
    command = [sys.executable, *program, "serve", f"--config={configuration}"]
    command += [f"--socket={path}", f"--ledger={ledger or home / 'ledger.db'}"]
    began_at = time.perf_counter()
    with process(command, cores.system, home, environ) as running:
        with Client(path, connect_patience=0.0) as client:
            wait_until(lambda: is_ready(client), running, "the daemon")
        yield RunningDaemon(running.pid, str(path), (time.perf_counter() - began_at) * 1000)


def is_ready(client: Client) -> bool:
    try:
        return bool(client.command("status")["ready"])
    except DaemonUnavailable:
        return False


def wait_until(
    condition: Callable[[], bool],
    running: subprocess.Popen[str],
    name: str,
    seconds: float = START_SECONDS,
) -> None:
    """Look every two milliseconds."""
    pause = threading.Event()
    until = time.monotonic() + seconds
    while not condition():
        if running.poll() is not None:
            raise SystemExit(f"{name} ended with {running.returncode}")
        if time.monotonic() > until:
            raise SystemExit(f"{name} did not start within {seconds:.0f} s")
        pause.wait(0.002)


def run_load(job: Job, core: int, python: str = sys.executable) -> Outcome:
    """Run a caller process to its end and return what it measured."""
    done = subprocess.run(
        caller_command(job, core, python),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=LOAD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the caller {job.caller} failed:\n{done.stderr}")
    # A library may print too.
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Outcome)


def first_answer_ms(job: Job, core: int, python: str = sys.executable) -> float:
    """Time a caller from the start of its process to its first answer."""
    began_at = time.perf_counter()
    with subprocess.Popen(
        caller_command(msgspec.structs.replace(job, first=True), core, python),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        if running.stdout is None:
            raise OSError("the caller has no output")
        # A library may print too.
        has_answer = any(line.startswith('{"numbers"') for line in running.stdout)
        taken = (time.perf_counter() - began_at) * 1000
    if not has_answer:
        raise SystemExit(f"the caller {job.caller} got no answer")
    return taken


def caller_command(job: Job, core: int, python: str) -> list[str]:
    return [python, "-m", "bench.load", str(core), msgspec.json.encode(job).decode()]


def import_ms(core: int) -> float:
    """Time `import routerd_client` in a fresh interpreter that has imported msgspec."""
    with pinned(core):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT_TIME], capture_output=True, text=True, check=True
        )
    return float(done.stdout)
