"""A server of one's own that takes a call and says nothing: who waits for one piece is not kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from routerd.simulate import Pacing, Simulator, parse_fault
from routerd_client import Client, RouterdError
from tests.e2e.asking import PROMPT, explain
from tests.e2e.conftest import Daemon

StartDaemon = Callable[..., Awaitable[Daemon]]
MODEL = "gpt-oss-120b"
OWN, HOSTED = "ollama/gpt-oss:120b", "groq/openai/gpt-oss-120b"
CONFIGURATION = """
[providers.ollama]
base_url = "{own}/openai/v1"
keyless = true
{more}
[providers.groq]
base_url = "{hosted}/openai/v1"
simulated = true
keyless = true
"""
# Whoever is waited out fails the test by its own time limit.
PATIENT = """
[timeouts]
whole_answer = 3600.0
total = 3600.0
[interactive_timeouts]
headers = 1.0
first_content = 1.5
between_parts = 1.0
"""
PRIVATE = PATIENT.replace("whole_answer = 3600.0", "whole_answer = 2.0")

pytestmark = pytest.mark.time_limit(60)


class Town:
    """A daemon, a server of one's own with open weights, and a vendor that hosts the same."""

    def __init__(self, daemon: Daemon, own: Simulator, hosted: Simulator) -> None:
        self.daemon, self.own, self.hosted = daemon, own, hosted

    async def ask(self, client: Client, *faults: str) -> list[tuple[str, str | None]]:
        """Ask for one piece while faults strike the own server; each attempt and its phase."""
        self.own.script.replace([parse_fault(fault) for fault in faults])
        reply = await client.acomplete(MODEL, PROMPT, latency="interactive")
        assert reply.finish == "stop"
        assert reply.text
        record = await explain(client, reply.decision_id)
        assert reply.deployment == record.attempts[-1].deployment
        assert record.stream is False
        return [(item.deployment, item.error_phase) for item in record.attempts]

    @property
    def streamed(self) -> list[bool]:
        """Whether each request to the own server was for a stream."""
        return [attempt.stream for attempt in self.own.account.attempts]


Build = Callable[..., Awaitable[Town]]


@pytest.fixture
async def build(start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Build]:
    """Build a town: `await build(limits, more=)`; `more` is what the file says of the server."""
    own = Simulator(vendors=["openai"], models=["gpt-oss:120b"], pacing=Pacing(output_tokens=12))
    hosted = Simulator(vendors=["openai"], models=["openai/openai/gpt-oss-120b"])
    async with own, hosted:
        for simulator in (own, hosted):
            monkeypatch.setattr(simulator._vendors["openai"], "authenticate", lambda asked: None)

        async def make(limits: str = PATIENT, *, more: str = "") -> Town:
            places = CONFIGURATION.format(own=own.base_url, hosted=hosted.base_url, more=more)
            return Town(await start_daemon(limits, providers=places), own, hosted)

        yield make


@pytest.mark.parametrize(
    ("fault", "phase"),
    [("silence", "headers"), ("slow_first_token:600", "first_content"), ("stall:5", "content")],
)
async def test_silence_before_within_and_after_the_headers_leads_to_the_hosted_backup(
    build: Build, fault: str, phase: str
) -> None:
    town = await build()
    async with town.daemon.client() as client:
        assert await town.ask(client) == [(OWN, None)]
        assert await town.ask(client, fault) == [(OWN, phase), (HOSTED, None)]
        # It was hung up on, and is asked again until it has shown that it is down.
        await town.own.until(lambda account: account.total.aborted == 1)
        assert await town.ask(client) == [(OWN, None)]
    assert town.streamed == [True, True, True]
    assert [attempt.stream for attempt in town.hosted.account.attempts] == [False]


async def test_a_server_that_stays_silent_is_asked_three_times_and_then_passed_by(
    build: Build,
) -> None:
    town = await build()
    async with town.daemon.client() as client:
        for _ in range(3):
            assert await town.ask(client, "silence") == [(OWN, "headers"), (HOSTED, None)]
        assert await town.ask(client, "silence") == [(HOSTED, None)]
    assert len(town.own.account.attempts) == 3


@pytest.mark.parametrize("fault", ["cut:5", "missing_end:5", "error_in_stream:5", "reset"])
async def test_what_breaks_is_answered_whole_by_the_backup(build: Build, fault: str) -> None:
    town = await build()
    async with town.daemon.client() as client:
        attempts = await town.ask(client, fault)
    assert attempts[-1] == (HOSTED, None)
    assert {name for name, _ in attempts[:-1]} == {OWN}


async def test_a_private_call_waits_since_nobody_may_stand_in(
    build: Build,
) -> None:
    town = await build(PRIVATE)
    town.own.script.replace([parse_fault("silence")])
    async with town.daemon.client() as client:
        with pytest.raises(RouterdError) as failed:
            await client.acomplete(MODEL, PROMPT, latency="interactive", sensitivity="private")
    assert failed.value.code == "timeout"
    assert (town.streamed, len(town.hosted.account.attempts)) == ([False], 0)


async def test_the_file_may_say_that_a_server_is_not_watched(
    build: Build,
) -> None:
    town = await build(PRIVATE, more="watch_silence = false")
    async with town.daemon.client() as client:
        assert await town.ask(client, "silence") == [(OWN, "headers"), (HOSTED, None)]
    assert town.streamed == [False]


async def test_hanging_up_on_a_watched_call_closes_the_connection_to_the_server(
    build: Build,
) -> None:
    town = await build()
    town.own.script.replace([parse_fault("silence")])
    async with town.daemon.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.acomplete, MODEL, PROMPT)
        await town.own.until(lambda account: account.total.running == 1)
        tasks.cancel_scope.cancel()
    await town.own.until(lambda account: account.total.running == 0)
    assert town.own.account.total.aborted == 1
    assert len(town.hosted.account.attempts) == 0
