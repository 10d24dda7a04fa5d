"""Bedrock against a real daemon: the three entry points, with a bearer key and with credentials."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import anyio.to_thread
import pytest

from routerd.simulate import Fault, Simulator, expected_text
from tests.e2e.conftest import Daemon

ASKED = "Tell me a story"
BEARER = {"AWS_BEARER_TOKEN_BEDROCK": "ABSK-a-bearer-key"}
SIGNING = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a/secret+of+forty"}
PROVIDERS = '[providers.bedrock]\nbase_url = "{url}/bedrock"\nsimulated = true\n'
MAKER = '[providers.anthropic]\nbase_url = "{url}/anthropic"\nsimulated = true\n'


@pytest.mark.parametrize("keys", [BEARER, SIGNING], ids=["bearer", "signed"])
async def test_the_three_entry_points(
    start_daemon: Callable[..., Awaitable[Daemon]], simulator: Simulator, keys: dict[str, str]
) -> None:
    daemon = await start_daemon(providers=PROVIDERS, environ=keys)
    async with daemon.client() as client:
        stream = client.stream("smart", ASKED)
        pieces = [text async for text in stream.text]
        replies = [stream.reply, await client.acomplete("smart", ASKED)]
    with daemon.client() as client:
        replies.append(await anyio.to_thread.run_sync(client.complete, "smart", ASKED))
    assert "".join(pieces) == replies[0].text
    assert len(pieces) > 1
    for reply in replies:
        provider, _, model = reply.deployment.partition("/")
        assert (provider, reply.finish, reply.cost_basis) == ("bedrock", "stop", "measured")
        assert reply.text == expected_text(model, ASKED)
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["completed"] * 3
    log = await anyio.to_thread.run_sync(lambda: daemon.log)
    assert [secret for secret in keys.values() if secret in log] == []


async def test_an_answer_by_a_tool_is_json_whatever_the_model_says_beside_it(
    start_daemon: Callable[..., Awaitable[Daemon]],
) -> None:
    """Models of Amazon's say what they think before they call."""
    daemon = await start_daemon(providers=PROVIDERS, environ=BEARER)
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    async with daemon.client() as client:
        stream = client.stream("nova-pro-v1", ASKED, output_schema=schema)
        text = "".join([piece async for piece in stream.text])
        whole = await client.acomplete("nova-pro-v1", ASKED, output_schema=schema)
    for said in (text, whole.text):
        assert list(json.loads(said)) == ["a"]
    assert "<thinking>" in whole.reasoning
    assert (whole.finish, whole.tool_calls) == ("stop", [])


async def test_it_stands_in_for_the_makers_own_api(
    start_daemon: Callable[..., Awaitable[Daemon]], simulator: Simulator
) -> None:
    simulator.script.replace([Fault(kind="status", status=429, vendor="anthropic", times=1)])
    daemon = await start_daemon(
        providers=PROVIDERS + MAKER, environ={**BEARER, "ANTHROPIC_API_KEY": "x-a-key"}
    )
    async with daemon.client() as client:
        reply = await client.acomplete("smart", ASKED)
    assert reply.text == expected_text(reply.deployment.partition("/")[2], ASKED)
    outcomes = [attempt.outcome for attempt in simulator.account.attempts]
    assert outcomes == ["refused", "completed"]
    assert reply.deployment.startswith("bedrock/")
