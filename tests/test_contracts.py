"""The rules about who may import whom: they hold, and breaking one is noticed.

A rule that cannot fail is no rule, so each is broken in a copy of the tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_FOLDERS = ("proto", "client", "daemon")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy the packages and the settings of the tools to a place where they may be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in PACKAGE_FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of a tree, and not of the installed one."""
    script = Path(sys.executable).with_name("lint-imports")
    paths = os.pathsep.join(str(tree / folder) for folder in PACKAGE_FOLDERS)
    return subprocess.run(
        [sys.executable, str(script), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def ruff(tree: Path, file: str) -> subprocess.CompletedProcess[str]:
    """Check one file of a tree for calls that are banned where it lies."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251", file]
    return subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)


def plant(tree: Path, file: str, lines: str) -> None:
    """Add lines at the end of a file, which is made if it is not there."""
    with (tree / file).open("a") as opened:
        opened.write(f"\n{lines}\n")


def test_every_contract_holds(tree: Path) -> None:
    run = lint_imports(tree)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@pytest.mark.parametrize(
    ("file", "line", "told"),
    [
        pytest.param(
            "daemon/routerd/domain.py",
            "import routerd.pipeline",
            "routerd.domain -> routerd.pipeline",
            id="upward",
        ),
        pytest.param(
            "daemon/routerd/errors.py",
            "def late() -> None:\n    import routerd.settings",
            "routerd.errors -> routerd.settings",
            id="upward, inside a function",
        ),
        pytest.param(
            "daemon/routerd/classify/__init__.py",
            "import routerd.decide",
            "routerd.classify -> routerd.decide",
            id="sideways",
        ),
        pytest.param(
            "client/routerd_client/__init__.py",
            "import routerd.domain",
            "routerd_client -> routerd.domain",
            id="from the client into the daemon",
        ),
        pytest.param(
            "proto/routerd_proto/__init__.py",
            "import routerd_client",
            "routerd_proto -> routerd_client",
            id="from the wire into the client",
        ),
        pytest.param(
            "daemon/routerd/decide/__init__.py",
            "import httpx",
            "routerd.decide -> httpx",
            id="HTTP outside the transport",
        ),
        pytest.param(
            "daemon/routerd/app.py",
            "import aiohttp.web",
            "routerd.app -> aiohttp",
            id="aiohttp outside the transport and the simulator",
        ),
        pytest.param(
            "daemon/routerd/simulate/__init__.py",
            "import httpx",
            "routerd.simulate -> httpx",
            id="an HTTP client in the simulator",
        ),
        pytest.param(
            "daemon/routerd/pipeline.py",
            "import sqlite3",
            "routerd.pipeline -> sqlite3",
            id="a database outside the ledger",
        ),
        pytest.param(
            "daemon/routerd/accept/__init__.py",
            "from opentelemetry import trace",
            "routerd.accept -> opentelemetry",
            id="OpenTelemetry outside telemetry",
        ),
        pytest.param("daemon/routerd/newcomer.py", "", "newcomer", id="a room that is in no layer"),
    ],
)
def test_a_planted_import_is_caught(file: str, line: str, told: str, tree: Path) -> None:
    plant(tree, file, line)
    run = lint_imports(tree)
    assert run.returncode == 1, run.stdout + run.stderr
    assert told in " ".join(run.stdout.split())


@pytest.mark.parametrize("call", ["ClientSession", "request"])
def test_a_planted_http_client_is_caught(call: str, tree: Path) -> None:
    # import-linter cannot tell aiohttp's client from its server: they are one package.
    planted = f"import aiohttp\n\nPLANTED = aiohttp.{call}"
    plant(tree, "daemon/routerd/simulate/planted.py", planted)
    run = ruff(tree, "daemon/routerd/simulate/planted.py")
    assert run.returncode == 1
    assert f"TID251 `aiohttp.{call}` is banned" in run.stdout


def test_the_transport_may_use_the_http_client(tree: Path) -> None:
    plant(
        tree,
        "daemon/routerd/providers/transport/planted.py",
        "import aiohttp\n\nPLANTED = aiohttp.ClientSession",
    )
    run = ruff(tree, "daemon/routerd/providers/transport/planted.py")
    assert run.returncode == 0, run.stdout
