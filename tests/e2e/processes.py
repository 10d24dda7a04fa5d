"""Commands run as processes of their own, with nothing of the environment of who runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio.to_thread

from tests.e2e.conftest import ROOT

# Only what hangs takes so long: a live drill on a busy machine takes half a minute.
LIMIT_SECONDS = 120


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without keys, settings and local servers."""
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "ROUTERD_LOCAL_SERVERS": ""}
    return own | dict(more or {})


def run(
    command: Sequence[str],
    home: Path,
    environ: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text."""
    return subprocess.run(
        command,
        input=stdin,
        env=environment(home, environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def routerd(
    *arguments: str,
    home: Path,
    environ: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run `routerd` with some arguments."""
    return run([sys.executable, "-m", "routerd", *arguments], home, environ, stdin, cwd)


async def routerd_beside(
    *arguments: str, home: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `routerd` while the test's own loop goes on."""
    return await anyio.to_thread.run_sync(lambda: routerd(*arguments, home=home, environ=environ))
