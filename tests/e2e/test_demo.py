"""The demo as a newcomer sees it, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT
from tests.e2e.processes import environment, run

DEMO = str(ROOT / "tools" / "demo.py")
BOLD = "\033[1m"
pytestmark = pytest.mark.timeout(120)


def left_behind(folder: Path) -> list[str]:
    """Return the command lines of processes that were started with this folder as TMPDIR."""
    marker = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # ended meanwhile
        # The daemon gets no TMPDIR, but it is told its folder.
        if marker in variables or str(folder) in command:
            found.append(command)
    return found


def wait_until_gone(folder: Path) -> list[str]:
    """Give processes that are ending a moment; returns those that do not."""
    pause = threading.Event()
    for _ in range(200):
        if not left_behind(folder):
            break
        pause.wait(0.05)
    return left_behind(folder)


def test_it_tells_the_whole_story(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "sk-never-used", "TMPDIR": str(tmp_path)}
    ended = run([sys.executable, DEMO], tmp_path, keys)
    assert ended.stderr == ""
    assert ended.returncode == 0
    shown = ended.stdout
    for entry in (
        'client.stream("smart"',
        'client.acomplete("fast"',
        'client.complete("workhorse"',
    ):
        assert entry in shown
    replies = re.findall(
        r"-> (\w+)/\S+ \(simulated\), (\d) attempts?, cost ([\d.]+)¢, "
        r"first token \d+ ms, total \d+ ms\n",
        shown,
    )
    assert [attempts for _, attempts, _ in replies] == ["1", "1", "1", "2", "2"]
    killed, backup = replies[0][0], replies[-1][0]
    assert {killed, backup} == {"anthropic", "openai"}
    assert f"{killed} is killed (kill -9)" in shown
    assert "(cut off here; what came so far is void)" in shown
    assert all(float(cost) > 0 for _, _, cost in replies)
    decision = re.search(r"routerd explain ([0-9a-f]{32})\ndecision   ([0-9a-f]{32})\n", shown)
    assert decision is not None
    assert decision[1] == decision[2]
    assert re.search(rf"\n1  first     {killed}/\S+ +-  +connection ", shown)
    assert re.search(rf"\n2  fallback  {backup}/\S+ +200  +stop ", shown)
    assert "\033" not in shown
    assert "sk-never-used" not in shown
    assert wait_until_gone(tmp_path) == []
    assert list(tmp_path.glob("routerd-demo-*")) == []


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped_in_the_middle(tmp_path: Path, with_signal: int) -> None:
    process = subprocess.Popen(
        [sys.executable, DEMO],
        env=environment(tmp_path, {"TMPDIR": str(tmp_path)}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("1. A stream"):
            break
    if with_signal == signal.SIGINT:
        os.killpg(process.pid, with_signal)  # as a terminal does: the whole group gets it
    else:
        process.send_signal(with_signal)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in told
    assert "Traceback" not in told
    assert wait_until_gone(tmp_path) == []
    assert list(tmp_path.glob("routerd-demo-*")) == []


@pytest.mark.parametrize(("environ", "is_bold"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_it_is_bold_on_a_terminal_that_wants_it(
    tmp_path: Path, environ: dict[str, str], is_bold: bool
) -> None:
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, DEMO],
        env=environment(tmp_path, {"TMPDIR": str(tmp_path), **environ}),
        cwd=ROOT,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while b"1. A stream" not in shown:
        shown += os.read(master, 4096)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    os.close(master)
    assert (BOLD in shown.decode()) is is_bold
    assert wait_until_gone(tmp_path) == []
