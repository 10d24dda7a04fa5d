"""Every example, run as a reader would run it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Daemon
from tests.e2e.processes import run

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# What a run prints that only this example prints.
SHOWS = {
    "01_complete.py": "cents, decision ",
    "02_stream.py": "finished: stop, ",
    "03_async.py": " characters\n",
    "04_tools.py": "get_weather({'city': ",
    "05_json_schema.py": "urgent: ",
    "06_errors.py": "unknown_target: there is no shortcut, class or model 'smrt'",
    "07_routing.py": " of 0.1 cents, ",
    "08_search.py": "The warden does. (rerank-3, ",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("examples"), "--simulated", environ={})
    yield daemon.wait_until_ready()
    daemon.end()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(daemon: Daemon, tmp_path: Path, example: Path) -> None:
    environ = {"ROUTERD_SOCKET": str(daemon.socket), "PYTHONWARNINGS": "error"}
    ended = run([sys.executable, str(example)], tmp_path, environ, cwd=tmp_path)
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert SHOWS[example.name] in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_every_example_is_in_the_list() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    listed = [line.split("|")[1].strip() for line in text.splitlines() if ".py |" in line]
    assert listed == [path.name for path in EXAMPLES] == list(SHOWS)
