"""Calls to a provider that speaks Cohere's Chat, and to its backup at one that does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Price, Simulator, expected_text, parse_fault
from routerd_client import Tool
from tests.e2e.asking import WAYS, Way, ask, explain, served_by
from tests.e2e.conftest import NO_DISCOVERY, Daemon

MODEL = "command-a-03-2025"
BACKUP = "anthropic/claude-sonnet-5-5"
SAID = "Tell me a story"
PROVIDERS = """\
[providers.cohere]
base_url = "{url}/cohere"
simulated = true
keyless = true
[providers.anthropic]
base_url = "{url}/anthropic"
simulated = true
keyless = true
"""
MOVING = "[policies.default]\nmoving_aliases = true\n"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "The weather.", CITY)


@pytest.fixture
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["cohere", "anthropic"], prices=prices) as running:
        yield running


@pytest.fixture
async def daemon(simulator: Simulator, launch: Callable[..., Daemon], tmp_path: Path) -> Daemon:
    file = tmp_path / "config.toml"
    text = NO_DISCOVERY + MOVING + PROVIDERS.format(url=simulator.base_url)
    await anyio.Path(file).write_text(text)
    started = await anyio.to_thread.run_sync(launch, f"--config={file}")
    await anyio.to_thread.run_sync(started.wait_until_ready)
    return started


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_gives_the_same_words(
    daemon: Daemon, simulator: Simulator, way: Way
) -> None:
    async with daemon.client() as client:
        heard = await ask(client, way, MODEL, SAID)
    assert (heard.text, heard.answer.finish) == (expected_text(MODEL, SAID), "stop")
    assert heard.answer.deployment == f"cohere/{MODEL}"
    [attempt] = simulator.account.attempts
    assert attempt.outcome == "completed"
    assert (heard.answer.cost_basis, heard.answer.cost_nanodollars) == (
        "measured",
        attempt.billed_nanodollars,
    )


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_of_a_tool_and_the_turn_after_it(
    daemon: Daemon, simulator: Simulator, way: Way
) -> None:
    said = [{"role": "user", "content": "Use get_weather"}]
    async with daemon.client() as client:
        heard = await ask(client, way, MODEL, said, tools=[WEATHER])
        [call] = heard.answer.tool_calls
        assert (call.name, heard.answer.finish) == ("get_weather", "tool_calls")
        result = {"type": "tool_result", "call_id": call.id, "content": "22 C"}
        turn: list[Any] = [*said, heard.answer.message, {"role": "tool", "content": [result]}]
        heard = await ask(client, way, MODEL, turn, tools=[WEATHER])
    assert heard.answer.finish == "stop"
    assert heard.text == expected_text(MODEL, "Use get_weather")
    assert [one.outcome for one in simulator.account.attempts] == ["completed"] * 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["status:503", "error_in_stream:0", "reset"])
async def test_the_backup_speaks_another_format(
    daemon: Daemon, simulator: Simulator, way: Way, fault: str
) -> None:
    simulator.script.replace([parse_fault(f"{fault},vendor=cohere")])
    async with daemon.client() as client:
        heard = await ask(client, way, MODEL, SAID)
        record = await explain(client, heard.decision_id)
    assert heard.answer.deployment == BACKUP
    assert heard.text == expected_text(BACKUP.partition("/")[2], SAID)
    assert set(served_by(simulator)[:-1]) == {f"cohere/{MODEL}"}
    assert served_by(simulator)[-1] == BACKUP
    assert record.attempts[0].provider == "cohere"
    assert record.attempts[0].error_class in ("overloaded", "server_error", "connection")


async def test_what_was_said_before_a_failover_comes_along(
    daemon: Daemon, simulator: Simulator
) -> None:
    said = [{"role": "user", "content": "Use get_weather"}]
    async with daemon.client() as client:
        heard = await ask(client, "stream", MODEL, said, tools=[WEATHER])
        [call] = heard.answer.tool_calls
        simulator.script.replace([parse_fault("status:503,vendor=cohere")])
        result = {"type": "tool_result", "call_id": call.id, "content": "22 C"}
        turn: list[Any] = [*said, heard.answer.message, {"role": "tool", "content": [result]}]
        heard = await ask(client, "stream", MODEL, turn, tools=[WEATHER])
        record = await explain(client, heard.decision_id)
    assert heard.answer.deployment == BACKUP
    assert heard.text == expected_text(BACKUP.partition("/")[2], "Use get_weather")
    left_out = "reasoning of an earlier answer was left out: this provider cannot read it"
    assert left_out in record.attempts[-1].notes


async def test_a_block_is_not_routed_around(daemon: Daemon, simulator: Simulator) -> None:
    fault = "status:400,code=content_policy_violation,vendor=cohere"
    simulator.script.replace([parse_fault(fault)])
    async with daemon.client() as client:
        heard = await ask(client, "stream", MODEL, SAID)
    assert heard.failure.code == "content_policy"
    assert served_by(simulator) == [f"cohere/{MODEL}"]
