"""Who asks for reloads, and when: one at a time, none lost, none after the end.

What a reload does is tested with a real daemon in tests/e2e/test_reload.py, and its parts beside
this file; here it only waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest
from msgspec import structs

from routerd.app.assembling import InForce
from routerd.app.differences import differences, renewed_keys
from routerd.app.notify import Notifier
from routerd.app.reloading import Reloader, Reloads
from routerd.app.startup import prepare
from routerd.errors import CallRefused
from routerd.telemetry.events import Event, Events, event_name
from tests.daemon.execute.scripted import until

PROVIDERS = """
[discovery]
local_servers = false
[providers.openai]
key_file = "key"
[budgets.mine]
dollars = 1
"""


def in_force(folder: Path, text: str = PROVIDERS, key: str = "sk-never-shown") -> InForce:
    file, secret = folder / "routerd.toml", folder / "key"
    secret.write_text(key, encoding="utf-8")
    file.write_text(text.replace('"key"', f'"{secret}"'), encoding="utf-8")
    startup = prepare(file, {})
    return InForce(startup, startup.directory, cast("Any", startup.providers))


class Scripted(Reloader):
    """Reloads that end when they are told to."""

    def __init__(self, now: InForce) -> None:
        super().__init__(now)
        self.begun = 0
        self.running = 0
        self.ends: list[anyio.Event] = []
        self.fault: Exception | None = None

    async def _reload(self, parts: Reloads) -> dict[str, Any]:
        self.begun += 1
        self.running += 1
        assert self.running == 1, "one at a time"
        number = self.begun
        end = anyio.Event()
        self.ends.append(end)
        try:
            await end.wait()
        finally:
            self.running -= 1
        if self.fault is not None:
            raise self.fault
        return {"number": number}


class Made:
    """A reloader whose task runs, and what was told."""

    def __init__(self, reloader: Scripted, told: list[Event]) -> None:
        self.reloader = reloader
        self.told = told
        self.answers: list[Any] = []

    async def ask(self) -> None:
        try:
            self.answers.append((await self.reloader.reload())["number"])
        except CallRefused as refused:
            self.answers.append(refused.info.code)

    @property
    def names(self) -> list[str]:
        return [event_name(event) for event in self.told]


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    told: list[Event] = []
    nothing = cast("Any", None)
    parts = Reloads(
        transport=nothing,
        ledger=nothing,
        pipeline=nothing,
        server=nothing,
        warmer=nothing,
        tokens=nothing,
        notifier=Notifier({}),
        events=Events([told.append]),
        arrange=lambda startup: startup,
        change_log=lambda _settings: None,
    )
    reloader = Scripted(await anyio.to_thread.run_sync(in_force, tmp_path))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reloader.run, parts)
        yield Made(reloader, told)
        tasks.cancel_scope.cancel()


async def test_all_who_ask_while_one_runs_share_one_more(made: Made) -> None:
    reloader = made.reloader
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.ask)
        await until(lambda: reloader.begun == 1)
        for _ in range(5):
            tasks.start_soon(made.ask)
            reloader.ask()
        reloader.ends[0].set()
        await until(lambda: reloader.begun == 2)
        reloader.ends[1].set()
    assert sorted(made.answers) == [1, 2, 2, 2, 2, 2]
    await anyio.wait_all_tasks_blocked()
    assert reloader.begun == 2


async def test_who_leaves_ends_nothing(made: Made) -> None:
    reloader = made.reloader
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.ask)
        await until(lambda: reloader.begun == 1)
        tasks.cancel_scope.cancel()
    assert reloader.running == 1
    reloader.ends[0].set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.ask)
        await until(lambda: reloader.begun == 2)
        reloader.ends[1].set()
    assert made.answers == [2]


async def test_at_the_end_all_who_wait_are_told_and_the_old_stays(made: Made) -> None:
    reloader, before = made.reloader, made.reloader.now
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.ask)
        await until(lambda: reloader.begun == 1)
        tasks.start_soon(made.ask)
        await anyio.wait_all_tasks_blocked()
        reloader.close()
    await made.ask()
    reloader.ask()
    await anyio.wait_all_tasks_blocked()
    assert made.answers == ["shutting_down"] * 3
    assert reloader.begun == 1
    assert reloader.now is before
    assert made.names == []


async def test_a_bug_ends_the_reload_it_hit_and_the_next_one_goes_well(made: Made) -> None:
    reloader = made.reloader
    reloader.fault = KeyError("what nobody expected")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.ask)
        await until(lambda: reloader.begun == 1)
        reloader.ends[0].set()
    assert made.answers == ["internal_error"]
    assert made.names == ["bug_seen", "reload_refused"]
    assert reloader.now.refused == "KeyError in routerd"
    reloader.fault = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.ask)
        await until(lambda: reloader.begun == 2)
        reloader.ends[1].set()
    assert made.answers[1:] == [2]


def test_what_changed_is_told_in_names(tmp_path: Path) -> None:
    before = in_force(tmp_path)
    more = PROVIDERS.replace("dollars = 1", "dollars = 2")
    more += "[budgets.other]\nwindow = 'month'\ncalls = 1\n"
    more += "[providers.anthropic]\nkeyless = true\nsimulated = true\n"
    after = structs.replace(in_force(tmp_path, more, key="sk-another"), silent=("vllm",))
    changed = differences(before, after)
    assert changed["providers"] == {"added": ["anthropic"], "removed": [], "changed": ["openai"]}
    assert changed["budgets"] == {"added": ["other"], "removed": [], "changed": ["mine"]}
    assert changed["deployments"] > changed["deployments_before"] > 0
    assert changed["silent"] == ["vllm"]
    assert "sk-" not in str(changed)
    assert renewed_keys(before.startup, after.startup) == {("openai", None)}
    same = in_force(tmp_path)
    assert differences(before, same)["providers"]["changed"] == []
    assert renewed_keys(before.startup, same.startup) == set()


def test_a_new_secret_or_session_is_another_key_though_neither_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    text = f"[providers.bedrock]\nkey_file = '{file}'\n"

    def started_with(key: str) -> InForce:
        file.write_text(key)
        file.chmod(0o600)
        return in_force(tmp_path, text)

    before = started_with("AKIDEXAMPLE:a-secret:a-session")
    for key, expected in (
        ("AKIDEXAMPLE:a-secret:a-session", set()),
        ("AKIDEXAMPLE:another:a-session", {("bedrock", None)}),
        ("AKIDEXAMPLE:a-secret:another", {("bedrock", None)}),
    ):
        after = started_with(key)
        assert renewed_keys(before.startup, after.startup) == expected
        changed = differences(before, after)
        assert changed["providers"]["changed"] == [name for name, _ in expected]
        assert "AKIDEXAMPLE" not in str(changed)
