"""Calls to OpenAI in its other format: every way, with what must go back, failing over and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Pacing, Price, Simulator, expected_text, parse_fault
from routerd_client import Client, Message, ProviderError, Reply, Tool, ToolResult
from routerd_proto.content import Reasoning
from tests.e2e.asking import PROMPT, WAYS, Way, ask, explain, served_by
from tests.e2e.conftest import MOVING, NO_DISCOVERY, Daemon
from tests.e2e.processes import routerd_beside

OPENAI, CLAUDE = "gpt-6.1-sol", "claude-opus-5-5"
CLAUDES_BACKUP = "gpt-5.5-2026-04-23"
VENDOR = "openai-responses"
TOKENS = 40
PROVIDERS = """\
[providers.openai]
adapter = "openai-responses"
base_url = "{url}/openai-responses/v1"
simulated = true
keyless = true
[providers.anthropic]
base_url = "{url}/anthropic"
simulated = true
keyless = true
"""
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [Tool("get_weather", "", SCHEMA), Tool("get_tides", "", SCHEMA)]
SAID = "Call both tools"
LEFT_OUT = "reasoning of an earlier answer was left out: this provider cannot read it"


def text(model: str, said: str = PROMPT) -> str:
    return expected_text(model, said, TOKENS)


@pytest.fixture
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    """Simulate both vendors, OpenAI in this format and at its prices."""
    renamed = {name.replace("openai/", f"{VENDOR}/"): price for name, price in prices.items()}
    async with Simulator(
        vendors=[VENDOR, "anthropic"], prices=renamed, pacing=Pacing(output_tokens=TOKENS)
    ) as simulator:
        yield simulator


@pytest.fixture
async def daemon(simulator: Simulator, launch: Callable[..., Daemon], tmp_path: Path) -> Daemon:
    file = tmp_path / "routerd.toml"
    health = "[health]\nretest_seconds = 0.3\n"
    written = NO_DISCOVERY + MOVING + health + PROVIDERS.format(url=simulator.base_url)
    await anyio.Path(file).write_text(written)
    daemon = await anyio.to_thread.run_sync(launch, f"--config={file}")
    return await anyio.to_thread.run_sync(daemon.wait_until_ready)


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[Client]:
    async with daemon.client() as client:
        yield client


def fail(simulator: Simulator, *faults: str) -> None:
    simulator.script.replace([parse_fault(fault) for fault in faults])


def results_for(reply: Reply) -> Message:
    return Message("tool", [ToolResult(call.id, "calm") for call in reply.tool_calls])


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_gives_the_same_words_at_the_price_that_is_billed(
    client: Client, simulator: Simulator, way: Way
) -> None:
    heard = await ask(client, way, OPENAI, reasoning="high")
    reply = heard.answer
    assert (heard.text, reply.finish, reply.degraded) == (text(OPENAI), "stop", None)
    assert reply.notes == []
    [attempt] = simulator.account.attempts
    assert reply.usage is not None
    assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == (
        attempt.usage.output,
        attempt.usage.reasoning,
    )
    assert (reply.cost_basis, reply.cost_nanodollars) == ("measured", attempt.billed_nanodollars)


@pytest.mark.parametrize("way", WAYS)
async def test_every_token_of_the_answer_is_told(client: Client, way: Way) -> None:
    model = "gpt-4.1-2025-04-14"
    reply = (await ask(client, way, model, logprobs=3)).answer
    assert "".join(item.token for item in reply.logprobs) == reply.text == text(model)
    assert {len(item.alternatives) for item in reply.logprobs} == {3}


@pytest.mark.parametrize("way", WAYS)
async def test_tools_with_reasoning_which_goes_back(
    client: Client, simulator: Simulator, way: Way
) -> None:
    said = [Message("user", SAID)]
    first = (await ask(client, way, OPENAI, said, tools=TOOLS, reasoning="low")).answer
    assert (first.finish, len(first.tool_calls), first.notes) == ("tool_calls", 2, [])
    assert first.reasoning
    history = [*said, first.message, results_for(first)]
    second = (await ask(client, way, OPENAI, history, tools=TOOLS, reasoning="low")).answer
    assert (second.text, second.notes) == (text(OPENAI, SAID), [])
    assert [one.outcome for one in simulator.account.attempts] == ["completed"] * 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_failover_to_another_format_and_back(
    client: Client, simulator: Simulator, way: Way
) -> None:
    """The conversation begins here, is carried on elsewhere, and comes back whole."""
    options: Any = {"tools": TOOLS, "reasoning": "low"}
    history = [Message("user", SAID)]
    first = (await ask(client, way, OPENAI, history, **options)).answer
    history += [first.message, results_for(first)]
    fail(simulator, f"status:503,vendor={VENDOR}")
    other = (await ask(client, way, OPENAI, history, **options)).answer
    assert (other.model, other.text) == (CLAUDE, text(CLAUDE, SAID))
    assert LEFT_OUT in other.notes
    fail(simulator)
    # It would rest for a while.
    await client.acommand("reset", name="openai")
    history += [other.message, Message("user", PROMPT)]
    last = (await ask(client, way, OPENAI, history, **options)).answer
    assert (last.model, last.text) == (OPENAI, text(OPENAI))
    # Claude's thinking stays behind; what OpenAI gave out at first is read again.
    assert last.notes == [LEFT_OUT]
    assert any("item" in part.data for part in first.content if isinstance(part, Reasoning))
    served = served_by(simulator)
    assert (served[0], served[-1]) == (f"{VENDOR}/{OPENAI}", f"{VENDOR}/{OPENAI}")
    assert f"anthropic/{CLAUDE}" in served


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "fault", ["status:529", "reset", "error_in_stream:0", "cut:0", "missing_end:0"]
)
async def test_a_failover_from_another_format(
    client: Client, simulator: Simulator, way: Way, fault: str
) -> None:
    fail(simulator, f"{fault},vendor=anthropic")
    heard = await ask(client, way, CLAUDE)
    assert (heard.text, heard.answer.model) == (text(CLAUDES_BACKUP), CLAUDES_BACKUP)
    assert heard.answer.degraded is not None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        ("status:429", "rate_limit"),
        ("status:500", "server_error"),
        ("status:502", "server_error"),
        ("reset", "connection"),
        ("error_in_stream:0", "server_error"),
        ("error_in_stream:0,code=rate_limit_exceeded", "rate_limit"),
        ("cut:0", None),
        ("missing_end:0", None),
    ],
)
async def test_a_failure_before_content_is_silent(
    client: Client, simulator: Simulator, way: Way, fault: str, error_class: str | None
) -> None:
    fail(simulator, f"{fault},vendor={VENDOR}")
    # Hidden reasoning is no content yet.
    heard = await ask(client, way, OPENAI)
    assert (heard.text, heard.answer.model) == (text(CLAUDE), CLAUDE)
    record = await explain(client, heard.decision_id)
    first, *_, last = record.attempts
    assert (first.deployment, last.error_class) == (f"openai/{OPENAI}", None)
    if error_class is not None:
        assert first.error_class == error_class


@pytest.mark.parametrize("fault", ["cut:9", "error_in_stream:9", "missing_end:9", "missing_mark"])
async def test_a_failure_after_content_is_told(
    client: Client, simulator: Simulator, fault: str
) -> None:
    fail(simulator, f"{fault},vendor={VENDOR}")
    heard = await ask(client, "stream", OPENAI)
    assert isinstance(heard.failure, ProviderError)
    assert heard.failure.code == "interrupted"
    assert text(OPENAI).startswith(heard.text)
    assert heard.text
    again = await ask(client, "stream", OPENAI, restart=True)
    assert (again.text, len(again.restarts)) == (text(CLAUDE), 1)
    assert text(OPENAI).startswith(again.voided[0])


async def test_a_safety_block_is_not_routed_around(client: Client, simulator: Simulator) -> None:
    for fault in ("status:400,code=invalid_prompt", "error_in_stream:0,code=invalid_prompt"):
        fail(simulator, f"{fault},vendor={VENDOR}")
        assert (await ask(client, "stream", OPENAI)).failure.code == "content_policy"
    assert served_by(simulator) == [f"{VENDOR}/{OPENAI}"] * 2


async def test_a_summary_that_is_refused_is_not_asked_for_again(
    client: Client, simulator: Simulator
) -> None:
    fail(simulator, "status:400,code=unsupported_value,param=reasoning.summary,times=1")
    heard = await ask(client, "stream", OPENAI, reasoning="low")
    assert (heard.text, heard.answer.reasoning) == (text(OPENAI), "")
    assert (heard.answer.model, heard.answer.attempts) == (OPENAI, 2)
    note = "no summary of the reasoning was asked for: the provider refused it"
    assert note in heard.answer.notes


async def test_a_bound_that_is_too_small_here_is_kept_elsewhere(
    client: Client, simulator: Simulator
) -> None:
    heard = await ask(client, "stream", OPENAI, max_output_tokens=5)
    assert (heard.answer.model, heard.answer.finish) == (CLAUDE, "length")
    assert served_by(simulator) == [f"anthropic/{CLAUDE}"]


async def test_a_tripped_provider_is_tested_by_its_list_of_models(
    client: Client, simulator: Simulator
) -> None:
    async def state() -> Any:
        rows = (await client.acommand("status"))["health"]
        return next(row["state"] for row in rows if row["provider"] == "openai")

    fail(simulator, f"status:500,vendor={VENDOR},scope=all")
    while await state() == "passing":
        assert (await ask(client, "stream", OPENAI)).answer.model == CLAUDE
    before = simulator.account.probes.get(VENDOR, 0)
    await simulator.until(lambda account: account.probes.get(VENDOR, 0) >= before + 2)
    assert await state() == "tripped"
    fail(simulator)
    while await state() != "passing":
        await ask(client, "stream", OPENAI)
        await anyio.sleep(0.02)
    assert (await ask(client, "stream", OPENAI)).answer.model == OPENAI


@pytest.mark.time_limit(60)
async def test_the_drill_rehearses_it(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    providers = '[providers.anthropic]\n[providers.openai]\nadapter = "openai-responses"\n'
    await anyio.Path(file).write_text(NO_DISCOVERY + providers)
    ended = await routerd_beside(
        "drill", f"--config={file}", "--live", "--json", "--scenario=down:anthropic", home=tmp_path
    )
    assert ended.stderr == ""
    seen = {item["target"]: item for item in json.loads(ended.stdout)["live"]["seen"]}
    assert {item["verdict"] for item in seen.values()} == {"agrees"}
    for target in ("smart", "embed"):
        assert seen[target]["answered"].startswith("openai/")
