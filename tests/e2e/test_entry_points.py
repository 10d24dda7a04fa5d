"""The three entry points against a real daemon, word for word."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Simulator, expected_text
from routerd_client import Client
from tests.e2e.conftest import Daemon

CALLS = 200


async def test_stream_delivers_every_word(daemon: Daemon, simulator: Simulator) -> None:
    async with daemon.client() as client:
        stream = client.stream("smart", "Tell me a story")
        pieces = [text async for text in stream.text]
        reply = stream.reply
    assert "".join(pieces) == expected_text(reply.deployment.partition("/")[2], "Tell me a story")
    assert len(pieces) > 1
    assert reply.simulated
    assert reply.cost_nanodollars
    assert reply.cost_basis == "measured"
    assert reply.degraded is None
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["completed"]


async def test_acomplete_gives_the_whole_answer(daemon: Daemon) -> None:
    async with daemon.client() as client:
        reply = await client.acomplete("fast", "Tell me a story", tenant="acme")
    assert reply.text == expected_text(reply.deployment.partition("/")[2], "Tell me a story")
    assert reply.finish == "stop"


async def test_complete_gives_the_whole_answer(daemon: Daemon) -> None:
    with daemon.client() as client:
        reply = await anyio.to_thread.run_sync(client.complete, "workhorse", "Tell me a story")
    assert reply.text == expected_text(reply.deployment.partition("/")[2], "Tell me a story")
    assert reply.total_seconds > 0


@pytest.mark.time_limit(60)
async def test_200_calls_at_once_do_not_mix(daemon: Daemon, simulator: Simulator) -> None:
    texts: dict[int, tuple[str, str]] = {}

    async def ask(client: Client, number: int) -> None:
        prompt = f"Question {number}"
        if number % 3 == 0:
            reply = await client.acomplete("fast", prompt)
        elif number % 3 == 1:
            async for _ in (stream := client.stream("fast", prompt)):
                pass
            reply = stream.reply
        else:
            reply = await anyio.to_thread.run_sync(client.complete, "fast", prompt)
        texts[number] = reply.text, expected_text(reply.deployment.partition("/")[2], prompt)

    async with daemon.client() as client, anyio.create_task_group() as tasks:
        for number in range(CALLS):
            tasks.start_soon(ask, client, number)
    assert len(texts) == CALLS
    assert [number for number, (got, expected) in texts.items() if got != expected] == []
    assert len(simulator.account.attempts) == CALLS
    with daemon.client() as client:
        report = await anyio.to_thread.run_sync(client.command, "status")
    assert report["calls_served"] == CALLS
    assert report["calls_in_flight"] == 0
