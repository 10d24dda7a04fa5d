"""The harness itself, tried in a pytest run of its own, under this project's settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HARNESS = ("pyproject.toml", "tests/conftest.py", "tests/blocking.py")


def run_pytest(folder: Path, test_file: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one test file under a copy of the harness; a run that hangs fails by time-out."""
    (folder / "tests").mkdir()
    for name in HARNESS:
        shutil.copy(ROOT / name, folder / name)
    (folder / "tests" / "test_planted.py").write_text(textwrap.dedent(test_file))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_test_that_waits_for_ever_is_ended_and_the_next_one_runs(tmp_path: Path) -> None:
    run = run_pytest(
        tmp_path,
        """
        import asyncio

        import pytest
        import uvloop
        from hypothesis import given, strategies


        @pytest.mark.time_limit(0.2)
        async def test_waits():
            assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
            await asyncio.Event().wait()


        @pytest.mark.time_limit(0.2)
        class TestInClass:
            async def test_waits(self):
                await asyncio.Event().wait()


        @pytest.mark.time_limit(0.2)
        @given(strategies.just(1))
        async def test_waits_in_an_example(number):
            await asyncio.Event().wait()


        @pytest.mark.parametrize("case", [1, 2, 3])
        @given(number=strategies.integers())
        async def test_examples(case, number):
            await asyncio.sleep(0)


        async def test_next():
            await asyncio.sleep(0)
        """,
    )
    assert run.returncode == 1, run.stdout
    for name in ("test_waits", "TestInClass::test_waits", "test_waits_in_an_example"):
        assert f"FAILED tests/test_planted.py::{name} - TimeoutError" in run.stdout
    assert "3 failed, 4 passed" in run.stdout


def test_a_thread_that_hangs_ends_the_run_with_its_stack(tmp_path: Path) -> None:
    run = run_pytest(
        tmp_path,
        """
        import threading

        import anyio.to_thread


        async def test_hangs():
            await anyio.to_thread.run_sync(the_hanging_function)


        def the_hanging_function():
            threading.Event().wait()
        """,
        "--timeout=1",
    )
    assert run.returncode == 1
    assert "Timeout" in run.stdout + run.stderr
    assert "the_hanging_function" in run.stdout + run.stderr


def test_calls_that_block_the_loop_raise(tmp_path: Path) -> None:
    run = run_pytest(
        tmp_path,
        """
        import fcntl, os, socket, sqlite3, time

        import pytest

        CALLS = {
            "time.sleep": lambda: time.sleep(0),
            "fcntl.flock": lambda: fcntl.flock(1, fcntl.LOCK_UN),
            "os.fdatasync": lambda: os.fdatasync(1),
            "os.fsync": lambda: os.fsync(1),
            "os.open": lambda: os.open("/dev/null", os.O_RDONLY),
            "socket.getaddrinfo": lambda: socket.getaddrinfo("127.0.0.1", 80),
            "sqlite3.connect": lambda: sqlite3.connect(":memory:"),
        }

        @pytest.mark.parametrize("name", CALLS)
        async def test_blocks(name):
            CALLS[name]()
        """,
    )
    assert run.returncode == 1, run.stdout
    assert "7 failed" in run.stdout
    assert run.stdout.count("BlockingError: Blocking call to ") >= 7


def test_a_daemon_started_through_the_watch_raises_too(tmp_path: Path) -> None:
    (tmp_path / "routerd").mkdir()
    (tmp_path / "routerd" / "__init__.py").touch()
    (tmp_path / "routerd" / "__main__.py").write_text(
        textwrap.dedent(
            """
            import asyncio
            import sqlite3
            import sys

            async def serve():
                sqlite3.connect(sys.argv[1])

            def main():
                asyncio.run(serve())
            """
        )
    )
    run = subprocess.run(
        [sys.executable, ROOT / "tests" / "blocking.py", ":memory:"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "BlockingError: Blocking call to sqlite3.connect" in run.stderr


def test_a_warning_is_an_error(tmp_path: Path) -> None:
    run = run_pytest(
        tmp_path,
        """
        import asyncio

        async def test_forgets_to_await():
            asyncio.sleep(0)
        """,
    )
    assert run.returncode == 1, run.stdout
    assert "was never awaited" in run.stdout


@pytest.mark.parametrize(("asked", "outcome"), [("", "1 skipped"), ("1", "1 failed")])
def test_a_missing_command_skips_and_fails_where_packages_were_asked_for(
    asked: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTERD_INSTALL_SYSTEM_PACKAGES", asked)
    run = run_pytest(
        tmp_path,
        """
        def test_needs_a_command(require_command):
            assert require_command("sh", "dash").is_absolute()
            require_command("no-such-command", "the-package")
        """,
    )
    assert outcome in run.stdout
    assert "comes with the Debian package the-package" in run.stdout
