"""Bedrock in two regions, and beside its models' maker, against a real daemon.

The regions' addresses are AWS's own. The simulator is the proxy that leads to them, so that no name
is ever looked up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.domain import Record
from routerd.simulate import Fault, Simulator
from routerd_client import Message, Reasoning, Reply, Tool, ToolCall, ToolResult
from tests.e2e.asking import explain
from tests.e2e.conftest import Daemon

ASKED = "Tell me a story"
MODEL = "claude-opus-5-5"
GLOBAL, US = (f"bedrock/{place}.anthropic.{MODEL}" for place in ("global", "us"))
EUROPE = "bedrock-runtime.eu-west-1.amazonaws.com:80"
AMERICA = "bedrock-runtime.us-east-1.amazonaws.com:80"
IN_EUROPE = """\
[providers.bedrock]
base_url = "http://bedrock-runtime.eu-west-1.amazonaws.com/bedrock"
simulated = true
"""
HERE = '[providers.bedrock]\nbase_url = "{url}/bedrock"\nsimulated = true\n'
MAKER = '[providers.anthropic]\nbase_url = "{url}/anthropic"\nsimulated = true\nkeyless = true\n'
SIGNING = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a/secret+of+forty",
    "AWS_SESSION_TOKEN": "a+session+token==",
}
TOOLS = [Tool("get_weather", "", {"type": "object", "properties": {"city": {}}})]
WARM_SECONDS = 10
PAUSE_SECONDS = 0.02
Start = Callable[..., Awaitable[Daemon]]


def throttled(**fields: Any) -> Fault:
    return Fault(kind="status", status=429, vendor="bedrock", **fields)


def ways(record: Record) -> list[tuple[str, str, str | None]]:
    return [(item.deployment, item.server, item.error_class) for item in record.attempts]


@pytest.fixture
async def in_two_regions(start_daemon: Start, simulator: Simulator) -> Daemon:
    environ = {**SIGNING, "HTTP_PROXY": simulator.base_url}
    return await start_daemon(providers=IN_EUROPE, environ=environ)


async def test_a_region_that_is_throttled_leaves_the_other_one(
    in_two_regions: Daemon, simulator: Simulator
) -> None:
    simulator.script.replace([throttled(times=1)])
    async with in_two_regions.client() as client:
        first = await client.acomplete(MODEL, ASKED)
        second = await client.acomplete(MODEL, ASKED, temperature=0.5)
        records = [await explain(client, reply.decision_id) for reply in (first, second)]
        status = await client.acommand("status")
    assert ways(records[0]) == [(GLOBAL, EUROPE, "rate_limit"), (US, AMERICA, None)]
    # The throttled one rests; what the key may ask elsewhere does not.
    assert ways(records[1]) == [(US, AMERICA, None)]
    [key] = status["keys"]
    assert [item["deployment"] for item in key["resting"]] == [GLOBAL]
    assert key["cooling_until"] is None
    assert [attempt.outcome for attempt in simulator.account.attempts] == [
        "refused",
        "completed",
        "completed",
    ]


async def test_both_regions_are_kept_warm_and_watched(in_two_regions: Daemon) -> None:
    warmed: list[str] = []
    with anyio.fail_after(WARM_SECONDS):
        while len(warmed) < 2:
            await anyio.sleep(PAUSE_SECONDS)
            events = await in_two_regions.events()
            warmed = [item["server"] for item in events if item["event"] == "provider_warmed"]
    async with in_two_regions.client() as client:
        status = await client.acommand("status")
    health = {row["endpoint"]: row["state"] for row in status["health"]}
    assert health == {EUROPE: "passing", AMERICA: "passing"}
    assert sorted(warmed) == sorted(health)
    log = await anyio.to_thread.run_sync(lambda: in_two_regions.log)
    assert [secret for secret in SIGNING.values() if secret in log] == []


async def test_an_overloaded_region_leaves_the_other_one(
    in_two_regions: Daemon, simulator: Simulator
) -> None:
    simulator.script.replace([Fault(kind="status", status=503, vendor="bedrock", times=2)])
    async with in_two_regions.client() as client:
        reply = await client.acomplete(MODEL, ASKED)
        record = await explain(client, reply.decision_id)
    assert ways(record) == [
        (GLOBAL, EUROPE, "overloaded"),
        (GLOBAL, EUROPE, "overloaded"),
        (US, AMERICA, None),
    ]


async def test_the_only_one_there_is_gets_a_second_attempt(
    start_daemon: Start, simulator: Simulator
) -> None:
    simulator.script.replace([throttled(times=1)])
    daemon = await start_daemon(providers=HERE, environ=SIGNING)
    async with daemon.client() as client:
        reply = await client.acomplete("nova-pro-v1", ASKED)
        record = await explain(client, reply.decision_id)
    assert [(item.reason, item.error_class) for item in record.attempts] == [
        ("first", "rate_limit"),
        ("retry", None),
    ]
    assert record.waited_us > 0


async def test_the_environment_names_the_region(start_daemon: Start, simulator: Simulator) -> None:
    environ = {
        **SIGNING,
        "AWS_REGION": "ap-southeast-2",
        "HTTPS_PROXY": simulator.base_url,
        "HTTP_PROXY": simulator.base_url,
    }
    daemon = await start_daemon(providers="[providers.bedrock]\n", environ=environ)
    async with daemon.client() as client:
        status = await client.acommand("status")
    servers = {row["endpoint"] for row in status["health"]}
    assert "bedrock-runtime.ap-southeast-2.amazonaws.com:443" in servers
    [provider] = status["providers"]
    assert provider["server"] == "bedrock-runtime.ap-southeast-2.amazonaws.com:443"


async def test_a_conversation_goes_to_the_maker_and_back(
    start_daemon: Start, simulator: Simulator
) -> None:
    daemon = await start_daemon(providers=HERE + MAKER, environ=SIGNING)
    said = [Message("user", "use get_weather")]
    replies: list[Reply] = []
    async with daemon.client() as client:
        for region in ("us", None, "us"):
            reply = await client.acomplete(MODEL, said, tools=TOOLS, reasoning="low", region=region)
            replies.append(reply)
            said.append(reply.message)
            calls = [part for part in reply.message.content if isinstance(part, ToolCall)]
            if calls:
                said.append(Message("tool", [ToolResult(call.id, "22 C") for call in calls]))
            else:
                said.append(Message("user", "use get_weather again"))
    makers = [reply.deployment.partition("/")[0] for reply in replies]
    assert makers == ["bedrock", "anthropic", "bedrock"]
    assert [reply.finish for reply in replies] == ["tool_calls", "stop", "tool_calls"]
    vendors = [
        part.vendor for message in said for part in message.content if isinstance(part, Reasoning)
    ]
    # What each one thought is kept for it alone.
    assert vendors == makers
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["completed"] * 3
