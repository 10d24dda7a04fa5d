"""A running daemon reads its configuration again: calls that run keep the old, all others the new.

Each test writes the file anew and asks for a reload, by the command or by SIGHUP, whose end is seen
in the log.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Simulator
from routerd.simulate.delivery import Delivery
from routerd_client import Client, RouterdError
from tests.e2e.asking import PROMPT, explain, until_idle
from tests.e2e.conftest import OPENAI, Daemon
from tests.e2e.money import budget_row, budget_rows, spent_in_ledger
from tests.e2e.reloading import Reloading

Start = Callable[..., Awaitable[Reloading]]
Launch = Callable[..., Daemon]

LUNA: Final = "openai/gpt-5.4-mini-2026-03-17"
OPUS: Final = "anthropic/claude-opus-5-5"
# What `smart` is, in a file of one's own.
SMART: Final = """\
[shortcuts.smart]
description = "Smart."
candidates = ["gpt-5.4-mini-2026-03-17"]
degraded = "fail"
"""
MINE: Final = 'directory = ["mine.toml"]\n'
BY: Final = ("signal", "command")


# --- old and new -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", BY)
async def test_a_running_call_ends_on_the_old_and_the_next_one_sees_the_new(
    reloading: Start,
    simulator: Simulator,
    door: anyio.Event,
    way: str,
) -> None:
    made = await reloading()
    served: list[str] = []

    async def ask(client: Client) -> None:
        served.append((await client.acomplete("smart", PROMPT)).deployment)

    async with made.daemon.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client)
        await simulator.until(lambda account: account.total.requests == 1)
        await made.write_beside("mine.toml", SMART)
        # The provider that serves the running call is not there any more.
        await made.write(first=MINE, providers=OPENAI)
        end = await made.by(way)
        assert end["event"] == "configuration_reloaded"
        assert end["providers_removed"] == ["anthropic"]
        tasks.start_soon(ask, client)
        await simulator.until(lambda account: account.total.requests == 2)
        door.set()
        while len(served) < 2:  # noqa: ASYNC110 - both at once
            await anyio.sleep(0.01)
        # On the connections that both were made on.
        connections = (await client.acommand("status"))["connections"]
        await ask(client)
        assert (await client.acommand("status"))["connections"] == connections
        assert sorted(served) == [OPUS, LUNA, LUNA]
        old, new = await hashes(client, OPUS), await hashes(client, LUNA)
    assert old[0] != new[0]


async def hashes(client: Client, deployment: str) -> tuple[str | None, str | None]:
    calls = await client.acommand("calls", limit=5)
    decision_id = next(call["decision_id"] for call in calls if call["deployment"] == deployment)
    record = await explain(client, decision_id)
    return record.directory_hash, record.policy_hash


async def test_a_policy_is_another_document_and_a_directory_that_stays_the_same(
    reloading: Start,
) -> None:
    made = await reloading()
    found = []
    async with made.daemon.client() as client:
        for _ in range(2):
            await client.acomplete("smart", PROMPT)
            found.append(await hashes(client, OPUS))
            await made.write("[timeouts]\ntotal = 500\n")
            await made.by("command")
        await client.acomplete("smart", PROMPT)
        found.append(await hashes(client, OPUS))
    assert {directory for directory, _ in found} == {found[0][0]}
    assert found[0][1] != found[1][1] == found[2][1]


async def test_connections_to_providers_survive(reloading: Start, simulator: Simulator) -> None:
    made = await reloading()
    async with made.daemon.client() as client:
        await client.acomplete("smart", PROMPT)
        accepted = simulator.account.connections_accepted
        await made.write("[timeouts]\nconnect = 4\n")
        await made.by("command")
        for target in ("smart", LUNA):
            await client.acomplete(target, PROMPT)
    assert simulator.account.connections_accepted == accepted == 4


async def test_kept_answers_of_another_directory_are_not_given(
    reloading: Start, simulator: Simulator
) -> None:
    cached = "[cache.shortcuts.smart]\nseconds = 600\n"
    made = await reloading(cached)
    async with made.daemon.client() as client:
        replies = [await client.acomplete("smart", PROMPT, tenant="a") for _ in range(2)]
        await made.write(cached + "[log]\nlevel = 'debug'\n")
        await made.by("command")
        replies.append(await client.acomplete("smart", PROMPT, tenant="a"))
        await made.write_beside("mine.toml", SMART)
        await made.write(cached, first=MINE)
        await made.by("command")
        assert (await client.acommand("status"))["cache"]["entries"] == 0
        replies.append(await client.acomplete("smart", PROMPT, tenant="a"))
        await made.write(first=MINE)
        await made.by("command")
        replies.append(await client.acomplete("smart", PROMPT, tenant="a"))
    assert [reply.cached for reply in replies] == [False, True, True, False, False]
    assert replies[3].deployment == LUNA


async def test_a_key_file_that_was_replaced_is_read_again(
    reloading: Start,
    recorder: tuple[str, list[str]],
    tmp_path: Path,
) -> None:
    address, noted = recorder
    await anyio.Path(tmp_path / "key").write_text("sk-of-before", encoding="utf-8")
    provider = f'[providers.openai]\nbase_url = "{address}"\nkey_file = "{tmp_path}/key"\n'
    made = await reloading(providers=provider)
    assert set(noted) == {"Bearer sk-of-before"}
    await made.write_beside("key", "sk-of-now")
    assert (await made.by("signal"))["providers_changed"] == ["openai"]
    async with made.daemon.client() as client:
        with pytest.raises(RouterdError):
            await client.acomplete(LUNA, PROMPT)
        assert noted[-1] == "Bearer sk-of-now"
        assert "sk-of" not in str(await client.acommand("status"))
        assert "sk-of" not in str(await client.acommand("reload"))
    assert "sk-of" not in str(await made.log())


async def test_a_local_server_that_came_up_since_is_found(
    simulator: Simulator, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator._vendors["openai"], "authenticate", lambda asked: None)
    local = Simulator(vendors=["openai"], models=["qwen3:8b"])
    async with local:
        pass  # its port is known from here on, and nobody listens
    monkeypatch.setattr(local._vendors["openai"], "authenticate", lambda asked: None)
    places = f"ollama={local.base_url}/openai/v1,vllm={simulator.base_url}/openai/v1"
    daemon = await anyio.to_thread.run_sync(
        lambda: launch(environ={"ROUTERD_LOCAL_SERVERS": places}).wait_until_ready()
    )
    async with daemon.client() as client:
        async with local:
            changed = await client.acommand("reload")
            assert changed["providers"]["added"] == ["ollama"]
            reply = await client.acomplete("ollama/qwen3:8b", "Hello", sensitivity="private")
            assert reply.provider == "ollama"
        changed = await client.acommand("reload")
        assert changed["providers"]["removed"] == ["ollama"]


async def test_a_server_of_your_own_that_is_silent_keeps_its_models(
    reloading: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Simulator(vendors=["openai"], models=["qwen3:8b"])
    monkeypatch.setattr(own._vendors["openai"], "authenticate", lambda asked: None)
    async with own:
        address = f'[providers.vllm]\nbase_url = "{own.base_url}/openai/v1"\nkeyless = true\n'
        made = await reloading(address)
    async with made.daemon.client() as client:
        changed = await client.acommand("reload")
        assert changed["silent"] == ["vllm"]
        assert changed["deployments"] == changed["deployments_before"]
        async with own:
            reply = await client.acomplete("vllm/qwen3:8b", "Hello")
            assert reply.provider == "vllm"


# --- refused -----------------------------------------------------------------------------------

MISTAKES = {
    "no TOML": ("[limits", "", "is not TOML"),
    "wrong type": ('[limits]\nin_flight = "many"\n', "limits.in_flight", "Expected `int`"),
    "no key": ("[providers.mistral]\n", "providers.mistral.key_env", "MISTRAL_API_KEY"),
    "a model that is nowhere": (
        '[budgets.mine]\nmodel = "gpt-6-lunna"\ndollars = 1\n',
        "budgets.mine.model",
        "near: gpt-6-luna",
    ),
    "certificates that are not there": ('[egress]\nca_file = "/no.pem"\n', "egress.ca_file", "PEM"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_bad_file_is_refused_and_the_old_stays(
    reloading: Start, tmp_path: Path, mistake: str
) -> None:
    text, key, expected = MISTAKES[mistake]
    made = await reloading()
    async with made.daemon.client() as client:
        before = await client.acommand("status")
        await made.write(text)
        done = await made.command()
        assert done.returncode == 1
        for words in (str(tmp_path / "routerd.toml"), key, expected):
            assert words in done.stderr
        assert "Traceback" not in done.stderr
        end = await made.by("signal")
        assert end["event"] == "reload_refused"
        assert end["level"] == "error"
        assert expected in end["reason"]
        assert (await client.acomplete("smart", PROMPT)).deployment == OPUS
        after = await client.acommand("status")
        assert expected in after["reload_refused"]
        assert after["providers"] == before["providers"]
        await made.write()
        assert (await made.by("signal"))["event"] == "configuration_reloaded"
        assert (await client.acommand("status"))["reload_refused"] is None


async def test_a_file_that_went_away_is_refused(reloading: Start, tmp_path: Path) -> None:
    made = await reloading()
    await anyio.Path(tmp_path / "routerd.toml").unlink()
    done = await made.command()
    assert (done.returncode, "no such file" in done.stderr) == (1, True)


async def test_what_needs_a_restart_is_named_and_the_rest_is_in_force(
    reloading: Start,
) -> None:
    made = await reloading()
    await made.write(
        '[socket]\nmode = "0600"\nmax_connections = 7\n'
        '[egress]\nengine = "httpx"\nwarm_every_seconds = 900\n'
        '[ledger]\npath = "/elsewhere.db"\ntexts_of = ["acme"]\n'
    )
    # The ledger was named on the command line, which comes first, at a start too.
    held = ["socket.mode", "egress.engine", "egress.warm_every_seconds"]
    done = await made.command("--json")
    assert json.loads(done.stdout)["needs_restart"] == held
    done = await made.command()
    assert f"needs restart  {', '.join(held)}" in done.stdout
    assert [line["settings"] for line in await made.log() if line["event"] == "restart_needed"] == [
        held,
        held,
    ]
    async with made.daemon.client() as client:
        assert (await client.acommand("status"))["needs_restart"] == held
        reply = await client.acomplete("smart", PROMPT, tenant="acme")
        texts = await client.acommand("texts", decision_id=reply.decision_id)
        assert texts["messages"][0]["content"] == PROMPT
    await made.write()
    assert json.loads((await made.command("--json")).stdout)["needs_restart"] == []


# --- money -------------------------------------------------------------------------------------


async def test_what_was_spent_and_is_held_counts_in_caps_old_and_new(
    reloading: Start,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = await reloading("[budgets.all]\ncalls = 3\ndollars = 1\n")
    door = anyio.Event()

    async def think(_delivery: Delivery) -> None:
        await door.wait()

    async with made.daemon.client() as client, anyio.create_task_group() as tasks:
        await client.acomplete(LUNA, PROMPT, max_output_tokens=64)
        # What comes now is in flight while the file is read.
        monkeypatch.setattr(Delivery, "think", think)
        tasks.start_soon(lambda: client.acomplete(LUNA, PROMPT, max_output_tokens=64))
        await simulator.until(lambda account: account.total.requests == 2)
        await made.write(
            "[budgets.all]\ncalls = 2\ndollars = 1\n"
            '[budgets.month]\nwindow = "month"\ncalls = 9\n'
            '[budgets.mini]\nmodel = "gpt-5.4-mini-2026-03-17"\nwindow = "1h"\n'
            "calls = 9\ndollars = 1\n"
        )
        changed = await client.acommand("reload")
        assert changed["budgets"] == {
            "added": ["mini", "month"],
            "removed": [],
            "changed": ["all"],
        }
        for name in ("all", "month", "mini"):
            rows = await budget_rows(client, name)
            calls = next(row for row in rows if row["unit"] == "calls")
            assert (calls["spent"], calls["held"]) == (1, 1), name
        with pytest.raises(RouterdError) as refused:
            await client.acomplete(LUNA, PROMPT)
        assert refused.value.code == "budget_exceeded"
        door.set()
        await until_idle(client)
        rows = await budget_rows(client)
        spent = await spent_in_ledger(made.daemon.ledger)
        for row in rows:
            assert row["held"] == 0
            assert row["spent"] == (spent if row["unit"] == "nanodollars" else 2)


async def test_a_cap_that_was_raised_lets_calls_through(
    reloading: Start,
) -> None:
    made = await reloading("[budgets.all]\ncalls = 1\n")
    async with made.daemon.client() as client:
        await client.acomplete(LUNA, PROMPT)
        with pytest.raises(RouterdError):
            await client.acomplete(LUNA, PROMPT)
        await made.write("[budgets.all]\ncalls = 2\n")
        await made.by("signal")
        await client.acomplete(LUNA, PROMPT)
        row = await budget_row(client, "all")
    assert (row["spent"], row["held"], row["limit"]) == (2, 0, 2)
