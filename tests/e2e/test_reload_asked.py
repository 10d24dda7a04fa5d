"""How a reload is asked for: by the command, by a signal, by systemd, and when it is not heard."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from routerd.simulate import Simulator
from routerd_client import Client
from tests.e2e.asking import PROMPT, until_running
from tests.e2e.conftest import BLOCKING, OPENAI, ROOT, Daemon
from tests.e2e.reloading import Reloading

Launch = Callable[..., Daemon]
Start = Callable[..., Awaitable[Reloading]]
OPUS = "anthropic/claude-opus-5-5"


async def test_the_command_says_what_changed(reloading: Start, tmp_path: Path) -> None:
    made = await reloading()
    await made.write("[budgets.mine]\ndollars = 1\n", providers=OPENAI)
    done = await made.command()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"reloaded {tmp_path}/routerd.toml"
    assert lines[1] == "providers      removed anthropic"
    assert lines[2] == "budgets        added mine"
    assert ", before " in lines[3]


async def test_many_at_once_are_all_answered(
    reloading: Start,
) -> None:
    made = await reloading()
    answers: list[Any] = []

    async def ask(client: Client) -> None:
        answers.append(await client.acommand("reload"))

    async with made.daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(ask, client)
                made.daemon.process.send_signal(signal.SIGHUP)
        reply = await client.acomplete("smart", PROMPT)
    assert len(answers) == 12
    assert reply.deployment == OPUS


def test_the_service_manager_waits_for_its_end(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(15)
        daemon = launch("--simulated", environ={"NOTIFY_SOCKET": str(path)})
        assert manager.recv(4096).startswith(b"READY=1\n")
        daemon.process.send_signal(signal.SIGHUP)
        began = dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())
        assert list(began) == ["RELOADING", "MONOTONIC_USEC"]
        assert began["MONOTONIC_USEC"].isdecimal()
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving, 3 providers"
        (tmp_path / ".config/routerd").mkdir(parents=True)
        (tmp_path / ".config/routerd/routerd.toml").write_text("[limits", encoding="utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        assert manager.recv(4096).startswith(b"RELOADING=1\n")
        assert b"refused" in manager.recv(4096)
    assert daemon.stop() == 0


async def test_while_it_stops_nothing_is_reloaded(
    reloading: Start, simulator: Simulator, door: anyio.Event
) -> None:
    made = await reloading()
    async with made.daemon.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.acomplete, "smart", PROMPT)
        await until_running(client, 1)
        await simulator.until(lambda account: account.total.requests == 1)
        made.daemon.process.send_signal(signal.SIGTERM)
        while not any(line["event"] == "daemon_stopping" for line in await made.log()):  # noqa: ASYNC110 - another process
            await anyio.sleep(0.02)
        made.daemon.process.send_signal(signal.SIGHUP)
        door.set()
    assert await anyio.to_thread.run_sync(made.daemon.wait_for_end) == 0
    assert await made.ends() == []


def test_a_terminal_that_is_closed_ends_what_was_started_in_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, str(BLOCKING), "serve", "--simulated"]
    with subprocess.Popen(
        [*command, f"--socket={tmp_path}/routerd.sock", f"--ledger={tmp_path}/ledger.db"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_COLOR": "1"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        log = b""
        while b"daemon_started" not in log:
            log += os.read(ours, 4096)
        # As long as it is there, the signal asks for a reload.
        process.send_signal(signal.SIGHUP)
        while b"configuration_reloaded" not in log:
            log += os.read(ours, 4096)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=15) == 0
