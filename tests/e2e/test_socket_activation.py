"""The daemon on a socket that a service manager made before it, as routerd.socket does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routerd_client import Client
from tests.e2e.conftest import BLOCKING, READY_SECONDS, ROOT
from tests.e2e.processes import environment

RequireCommand = Callable[[str, str], Path]
Activate = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def activate(require_command: RequireCommand, tmp_path: Path) -> Iterator[Activate]:
    """Make a socket whose first connection starts a daemon: `activate(name_of_descriptor)`."""
    command = require_command("systemd-socket-activate", "systemd")
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        passed = environment(tmp_path, {"NO_COLOR": "1"})
        process = subprocess.Popen(
            [
                str(command),
                f"--listen={tmp_path / 'passed.sock'}",
                f"--fdname={name}",
                *(f"--setenv={variable}={value}" for variable, value in passed.items()),
                *(sys.executable, str(BLOCKING), "serve", "--simulated"),
                f"--ledger={tmp_path / 'ledger.db'}",
            ],
            env=passed,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def client_of(folder: Path) -> Client:
    """Return a client once the socket is there, without connecting: that starts the daemon."""
    pause = threading.Event()
    for _ in range(READY_SECONDS * 50):
        if (folder / "passed.sock").exists():
            break
        pause.wait(0.02)
    return Client(folder / "passed.sock", connect_patience=READY_SECONDS)


def test_a_passed_socket_is_served_and_left_in_place(activate: Activate, tmp_path: Path) -> None:
    process = activate("routerd")
    with client_of(tmp_path) as client:
        reply = client.complete("fast", "Hello", max_output_tokens=8)
        report = client.command("status")
    assert reply.simulated
    assert report["socket"] == str(tmp_path / "passed.sock")
    assert report["pid"] == process.pid  # systemd-socket-activate becomes what it starts
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=READY_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in log
    assert (tmp_path / "passed.sock").exists()
    assert not (tmp_path / ".local/state/routerd").exists()


def test_a_descriptor_of_another_name_is_refused(activate: Activate, tmp_path: Path) -> None:
    process = activate("http")
    with client_of(tmp_path) as client, pytest.raises(Exception, match="connection_lost"):
        client.command("status")
    _, log = process.communicate(timeout=READY_SECONDS)
    assert process.returncode == 2
    assert "systemd passed 1 descriptors, none of them named routerd" in log
    assert "Set FileDescriptorName=routerd in the socket unit" in log
    assert "Traceback" not in log
