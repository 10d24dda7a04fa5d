"""`routerd drill --live`: real daemons, real calls, and providers that go down."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from msgspec import structs

from routerd.app.startup import prepare
from routerd.cli.drill_live import script_of
from routerd.cli.drilling import world_of
from routerd.evaluate.drill import Drill, predict
from routerd.evaluate.live import rehearse_live
from routerd.evaluate.rehearsed_daemon import Script
from routerd.evaluate.scenarios import HEALTHY
from routerd.evaluate.world import World
from routerd.settings import PolicySettings
from routerd.simulate import Simulator
from routerd_proto.frames import CallOptions
from tests.e2e.conftest import ROOT
from tests.e2e.processes import environment, routerd_beside

CONFIGURATION = """\
[discovery]
local_servers = false
[health]
retest_seconds = 0.3
[providers.anthropic]
[providers.openai]
[providers.home]
adapter = "openai"
dialect = "compatible"
base_url = "http://127.0.0.1:9/v1"
boundary = "machine"
[budgets.day]
dollars = 10
[budgets.month]
window = "30d"
dollars = 50
[promises.chat]
shortcuts = ["smart", "fast"]
survives = ["one_provider", "budget_85"]
"""
SECONDS = 150


@pytest.fixture
def file() -> Iterator[Path]:
    # Not in the folder of the test: the path of a socket there may be too long for the kernel.
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        file = Path(folder) / "routerd.toml"
        file.write_text(CONFIGURATION, encoding="utf-8")
        yield file


def started(file: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a drill whose own folders are beside the file."""
    return subprocess.Popen(
        [sys.executable, "-m", "routerd", "drill", f"--config={file}", "--live", *arguments],
        env=environment(file.parent, {"TMPDIR": str(file.parent)}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def daemons_of(file: Path) -> list[str]:
    """Return the command lines of the rehearsed daemons that run."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().decode().replace("\0", " ")
        except OSError:
            continue  # it has ended
        if f"--config={file.parent}/routerd-drill-" in command:
            found.append(command)
    return found


def left_behind(file: Path) -> list[Any]:
    return [*file.parent.glob("routerd-drill-*"), *daemons_of(file)]


def test_what_happens_is_what_was_predicted(file: Path) -> None:
    process = started(file, "--json", f"--seconds={SECONDS}")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    report = json.loads(out)
    live = report["live"]
    verdicts = {(item["target"], item["scenario"]): item for item in live["seen"]}
    assert verdicts.keys() == {(item["target"], item["scenario"]) for item in report["outcomes"]}
    assert {item["verdict"] for item in live["seen"]} == {"agrees"}
    down = verdicts["smart", "down:anthropic"]
    assert down["predicted"] == down["answered"]
    assert down["answered"].startswith("openai/")
    assert verdicts["smart", "down:anthropic+openai"]["answered"] is None
    assert verdicts["smart", "budget_85"]["answered"] not in (
        None,
        verdicts["smart", "healthy"]["answered"],
    )
    assert verdicts["smart", "budget_cap"]["answered"] is None
    for trouble in ("slow", "limited", "limited_unsaid"):
        assert verdicts["smart", f"{trouble}:anthropic"]["answered"] == down["answered"]
        assert verdicts["smart", f"{trouble}:openai"]["answered"].startswith("anthropic/")
    measured = {item["scenario"] for item in live["recoveries"] if item["seconds"] is not None}
    assert {"down:anthropic", "down:openai", "down:anthropic+openai"} <= measured
    assert {"slow:anthropic", "limited:anthropic", "limited_unsaid:anthropic"} <= measured
    assert report["promises"] == {"chat": True}
    assert left_behind(file) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_nothing_behind(file: Path, number: int) -> None:
    process = started(file)
    pause = threading.Event()
    while not daemons_of(file):
        assert process.poll() is None, process.communicate()
        pause.wait(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (130, "")
    assert left_behind(file) == []


def test_one_scenario_can_be_rehearsed_alone(file: Path) -> None:
    process = started(file, "--json", "--scenario=down:anthropic", "--shortcut=smart")
    assert process.wait(timeout=SECONDS) == 2
    process.communicate()
    process = started(file, "--json", "--scenario=down:anthropic")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    live = json.loads(out)["live"]
    assert {item["scenario"] for item in live["seen"]} == {"down:anthropic"}
    assert [item["provider"] for item in live["recoveries"]] == ["anthropic"]


def test_what_there_is_no_time_for_is_not_run_and_no_success(file: Path) -> None:
    process = started(file, "--seconds=0.01")
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "live           0 calls: 0 outcomes agree, 0 disagree" in out
    assert "the time was over before" in " ".join(out.split())
    assert left_behind(file) == []


@pytest.mark.time_limit(60)
async def test_a_server_of_your_own_is_rehearsed_with_the_models_it_lists(
    file: Path, simulator: Simulator
) -> None:
    own = CONFIGURATION.replace("http://127.0.0.1:9/v1", f"{simulator.base_url}/openai/v1")
    own = own.replace('"machine"', '"machine"\nkey_env = "HOME_KEY"')
    await anyio.Path(file).write_text(own, encoding="utf-8")
    ended = await routerd_beside(
        "drill",
        f"--config={file}",
        "--live",
        "--json",
        "--scenario=private",
        home=file.parent,
        environ={"HOME_KEY": "mine"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    seen = {item["target"]: item for item in json.loads(ended.stdout)["live"]["seen"]}
    assert seen["smart"]["answered"] == seen["local"]["answered"] == "home/gpt-6-astra"
    assert {item["verdict"] for item in seen.values()} == {"agrees"}
    # It was asked for its models, and for nothing else.
    assert simulator.account.attempts == ()
    assert await anyio.to_thread.run_sync(left_behind, file) == []


@pytest.mark.time_limit(60)
@pytest.mark.parametrize(
    ("shortcut", "first", "instead"),
    [
        # None has the same vectors.
        ("embed", "voyage/voyage-4-large", None),
        ("rerank", "voyage/rerank-3", "cohere/rerank-v5.0-pro"),
    ],
)
async def test_vectors_and_rankings_are_asked_for_too(
    tmp_path: Path, shortcut: str, first: str, instead: str | None
) -> None:
    file = tmp_path / "routerd.toml"
    await anyio.Path(file).write_text(SEARCHING, encoding="utf-8")
    command = ("drill", f"--config={file}", "--live", "--json", f"--shortcut={shortcut}")
    ended = await routerd_beside(*command, home=tmp_path, environ={})
    assert (ended.returncode, ended.stderr) == (0, "")
    live = json.loads(ended.stdout)["live"]
    assert {item["verdict"] for item in live["seen"]} == {"agrees"}
    answered = {item["scenario"]: item["answered"] for item in live["seen"]}
    assert (answered["healthy"], answered["down:cohere"]) == (first, first)
    assert (answered["down:voyage"], answered["private"]) == (instead, None)
    recovered = {item["provider"]: item["seconds"] for item in live["recoveries"]}
    assert recovered["voyage"] is not None


SEARCHING = """\
[discovery]
local_servers = false
[health]
retest_seconds = 0.3
[policies.default]
moving_aliases = true
[budgeting]
unknown_price = "allow"
[providers.cohere]
[providers.voyage]
"""


@pytest.fixture
def mistaken(file: Path) -> tuple[Script, World]:
    """Return what a daemon starts with, and a world in which other rules hold."""
    startup = prepare(file, {}, rehearsed=True)
    policies = {"default": PolicySettings(without=["anthropic"])}
    other = structs.replace(startup, settings=structs.replace(startup.settings, policies=policies))
    return script_of(startup, []), world_of(other, [], CallOptions())


@pytest.mark.time_limit(60)
async def test_what_was_predicted_by_other_rules_disagrees(mistaken: tuple[Script, World]) -> None:
    script, world = mistaken
    outcomes = {("smart", HEALTHY.name): predict(world, "smart", HEALTHY)}
    drill = Drill(("smart",), ("smart",), (HEALTHY,), outcomes, {"smart": "chat"})
    live = await rehearse_live(script, world, drill, seconds=50, at_once=1)
    (seen,) = live.seen
    assert seen.verdict == "disagrees"
    assert seen.why.startswith("predicted was openai/")
    assert seen.answered is not None
    assert seen.answered.startswith("anthropic/")
    assert not live.is_as_predicted
