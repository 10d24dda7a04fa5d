"""The servers of a bench: the fake provider, the relay, the daemon.

Rules of this file: the daemon is started as anybody would start it, with a configuration file and
default settings but for where the provider is. Nothing is written outside of the folder given.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from bench.machine import Cores, pinned, process_tree
from routerd_client import Client, DaemonUnavailable

__all__ = [
    "ENDINGS",
    "NO_CAP",
    "ROOT",
    "Broken",
    "RunningDaemon",
    "collector",
    "daemon",
    "distance",
    "fake_provider",
    "import_ms",
    "kill",
    "process",
    "relay",
    "started",
    "wait_until",
]

ROOT: Final = Path(__file__).resolve().parents[1]
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
# What tells a bench to end: Ctrl-C, `kill`, and a terminal that is closed.
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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
IMPORT_TIME: Final = """\
import time, msgspec
began_at = time.perf_counter()
import routerd_client
print((time.perf_counter() - began_at) * 1000)
"""


class Broken(SystemExit):
    """A program of the bench does not do its part; the bench ends with that unless it is caught."""


class RunningDaemon(NamedTuple):
    """A daemon that is ready. `ready_ms` is the time since its process was started."""

    pid: int
    path: str
    ready_ms: float


@contextmanager
def process(
    command: list[str],
    core: int,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    says: int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Run a program on a core until the block is left; what it says on stderr is thrown away.

    `says` is where its stdout goes: nobody reads a pipe but for the first line of it.
    """
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environ or {})}

    def start() -> subprocess.Popen[str]:
        with pinned(core):
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdout=says,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    with started(start) as running:
        yield running


@contextmanager
def started(start: Callable[[], subprocess.Popen[str]]) -> Iterator[subprocess.Popen[str]]:
    """Run what `start` starts; leave neither it nor what it has started behind.

    However the block is left, and whenever a signal comes.
    """
    running = None
    try:
        with uninterrupted():
            running = start()
        yield running
    finally:
        if running is not None:
            with uninterrupted():
                stop(running)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep what tells this process to end for the end of the block; then KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told
        return
    told: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: told.append(number)) for number in ENDINGS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if told:
            raise KeyboardInterrupt


def stop(running: subprocess.Popen[str]) -> None:
    """End a process and all that it has started, in the end without asking."""
    family = process_tree(running.pid) if running.poll() is None else []
    running.terminate()
    with suppress(subprocess.TimeoutExpired):
        running.communicate(timeout=STOP_SECONDS)
    kill(family)
    running.communicate()


def kill(processes: Iterable[int]) -> None:
    """End processes at once, those that have not ended yet."""
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


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
            raise Broken(f"{name} ended with {running.returncode}")
        if time.monotonic() > until:
            raise Broken(f"{name} did not start within {seconds:g} s")
        pause.wait(0.002)


def import_ms(core: int) -> float:
    """Time `import routerd_client` in a fresh interpreter that has imported msgspec."""
    with pinned(core):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT_TIME], capture_output=True, text=True, check=True
        )
    return float(done.stdout)
