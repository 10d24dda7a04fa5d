"""A real daemon process on a real socket, in front of a simulator whose books the tests can read.

The daemon runs through tests/blocking.py, so that a blocking call on its event loop fails the call.
It sees nothing of the environment of who runs the tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Price, Simulator
from routerd.simulate.delivery import Delivery
from routerd_client import Client
from tests.e2e.again import differences_in
from tests.e2e.money import prices_of_the_directory
from tests.e2e.recorder import recording_server

if TYPE_CHECKING:
    from tests.e2e.reloading import Reloading

ROOT = Path(__file__).parents[2]
BLOCKING = ROOT / "tests" / "blocking.py"
NO_DISCOVERY = """\
[discovery]
local_servers = false
"""
OPENAI = """\
[providers.openai]
base_url = "{url}/openai/v1"
simulated = true
keyless = true
"""
PROVIDERS = f"""\
[providers.anthropic]
base_url = "{{url}}/anthropic"
simulated = true
keyless = true
{OPENAI}"""
# These tests are about what happens to calls, not about which ids hold still.
MOVING = "[policies.default]\nmoving_aliases = true\n"
READY_SECONDS = 15


class Daemon:
    """A daemon process in a folder of its own. `arguments` follow `routerd serve`."""

    def __init__(self, folder: Path, *arguments: str, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.socket = folder / "routerd.sock"
        self.ledger = folder / "ledger.db"
        self._log = folder / "stderr.log"
        command = [sys.executable, str(BLOCKING), "serve", f"--socket={self.socket}"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, f"--ledger={self.ledger}", *arguments],
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
                cwd=ROOT,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """All it wrote to stderr so far."""
        return self._log.read_text(encoding="utf-8")

    async def events(self) -> list[dict[str, Any]]:
        """Return the lines of its log so far."""
        text = await anyio.to_thread.run_sync(lambda: self.log)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def client(self) -> Client:
        """Return a client that waits for a daemon that is starting."""
        return Client(self.socket, connect_patience=READY_SECONDS)

    def wait_until_ready(self) -> Daemon:
        """Return once calls are served; fails with the log if the daemon ends instead."""
        pause = threading.Event()
        with self.client() as client:
            while True:
                if self.process.poll() is not None:
                    pytest.fail(f"the daemon ended with {self.process.returncode}:\n{self.log}")
                if self.socket.exists() and client.command("status")["ready"]:
                    return self
                pause.wait(0.02)

    def wait_for_end(self) -> int:
        """Wait for the process to end by itself; returns its exit code."""
        return self.process.wait(timeout=READY_SECONDS)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(with_signal)
        return self.wait_for_end()

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Kill it after its test; whatever that was about, decisions made again are the same."""
        self.kill()
        assert differences_in(self.ledger) == []


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Start daemons that are killed after the test: `launch(*arguments, folder=, environ=)`."""
    started: list[Daemon] = []

    def start(
        *arguments: str, folder: Path = tmp_path, environ: Mapping[str, str] | None = None
    ) -> Daemon:
        daemon = Daemon(folder, *arguments, environ=environ or {})
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.kill()
    for daemon in started:
        daemon.end()


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[str]]]:
    """Run a provider that notes which keys it is shown; yields its address and the notes."""
    with recording_server() as (address, noted):
        yield address, noted


@pytest.fixture(scope="session")
def prices() -> dict[str, Price]:
    """Return the shipped prices, by deployment."""
    return prices_of_the_directory()


@pytest.fixture
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    """Simulate both vendors in the test's own loop, at their prices; answers come at once."""
    async with Simulator(prices=prices) as simulator:
        yield simulator


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Let no simulated model answer before this is set, so that calls surely run at once."""
    door = anyio.Event()

    async def think(_delivery: Delivery) -> None:
        await door.wait()

    monkeypatch.setattr(Delivery, "think", think)
    return door


@pytest.fixture
async def start_daemon(
    simulator: Simulator, launch: Callable[..., Daemon], tmp_path: Path
) -> Callable[..., Awaitable[Daemon]]:
    """Start a daemon in front of the simulator: `await start_daemon(more_toml, providers=)`.

    The order of the fixtures is that of the end, backwards: first the daemons, whose kept
    connections the simulator would wait for.
    """

    async def start(
        more: str = "", *, providers: str = PROVIDERS, environ: Mapping[str, str] | None = None
    ) -> Daemon:
        configuration = tmp_path / "routerd.toml"
        text = NO_DISCOVERY + MOVING + providers.format(url=simulator.base_url) + more
        await anyio.Path(configuration).write_text(text, encoding="utf-8")

        def run() -> Daemon:
            return launch(f"--config={configuration}", environ=environ).wait_until_ready()

        return await anyio.to_thread.run_sync(run)

    return start


@pytest.fixture
async def daemon(start_daemon: Callable[..., Awaitable[Daemon]]) -> Daemon:
    """Return a daemon in front of the simulator, with default settings."""
    return await start_daemon()


@pytest.fixture
def reloading(
    start_daemon: Callable[..., Awaitable[Daemon]], simulator: Simulator, tmp_path: Path
) -> Callable[..., Awaitable[Reloading]]:
    """Start a daemon to be reloaded; the arguments are those of `start_daemon`."""
    from tests.e2e.reloading import Reloading  # noqa: PLC0415 - it builds on this file

    async def start(more: str = "", **options: Any) -> Reloading:
        daemon = await start_daemon(more, **options)
        return Reloading(daemon, tmp_path, simulator.base_url)

    return start
