"""Every time limit, shortened, with a real daemon: what the caller heard, what the provider saw."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack

import pytest

from routerd.domain import Latency
from routerd.simulate import Pacing, Simulator, parse_fault
from routerd_client import Client, ProviderError, RouterdError
from tests.e2e.asking import PROMPT, SIDES, explain, served_by
from tests.e2e.conftest import NO_DISCOVERY, OPENAI, PROVIDERS, Daemon

StartDaemon = Callable[..., Awaitable[Daemon]]
SIDE = SIDES[0]
FIRST, BACKUP = SIDE.first, SIDE.backup
# Calls without a target of their own would wait for minutes.
SHORT = """\
[interactive_timeouts]
headers = 1.0
first_content = 1.5
between_parts = 1.0
whole_answer = 2.0
"""

pytestmark = pytest.mark.time_limit(60)


async def ask(
    client: Client, latency: Latency = "interactive"
) -> tuple[str, list[tuple[str, str | None]]]:
    """Return who answered, and each attempt with the phase in which it failed."""
    reply = await client.acomplete(SIDE.target, PROMPT, latency=latency)
    record = await explain(client, reply.decision_id)
    return str(reply.deployment), [(item.deployment, item.error_phase) for item in record.attempts]


async def stream(client: Client) -> tuple[str, list[tuple[str, str | None]]]:
    text = ""
    async with client.stream(SIDE.target, PROMPT, latency="interactive") as answer:
        async for piece in answer.text:
            text += piece
    record = await explain(client, answer.decision_id)
    assert text
    return record.deployment, [(item.deployment, item.error_phase) for item in record.attempts]


@pytest.mark.parametrize(
    ("fault", "phase"),
    [("silence", "headers"), ("slow_first_token:20", "first_content")],
)
async def test_who_is_slow_at_the_start_is_left_for_the_backup(
    start_daemon: StartDaemon, simulator: Simulator, fault: str, phase: str
) -> None:
    daemon = await start_daemon(SHORT)
    simulator.script.replace([parse_fault(f"{fault},vendor={SIDE.vendor}")])
    async with daemon.client() as client:
        assert await stream(client) == (BACKUP, [(FIRST, phase), (BACKUP, None)])
    # A silent route is not tried twice, and its connection is closed.
    assert served_by(simulator) == [FIRST, BACKUP]
    await simulator.until(lambda account: account.total.aborted == 1)


async def test_a_call_that_names_milliseconds_moves_on_after_three_times_as_long(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon()
    simulator.script.replace([parse_fault(f"slow_first_token:20,vendor={SIDE.vendor}")])
    async with (
        daemon.client() as client,
        client.stream(SIDE.target, PROMPT, latency=400) as answer,
    ):
        async for _ in answer:
            pass
        record = await explain(client, answer.decision_id)
    assert [item.error_phase for item in record.attempts] == ["first_content", None]


@pytest.mark.parametrize(
    ("fault", "phase"), [("silence", "headers"), ("slow_first_token:20", "first_content")]
)
async def test_so_does_a_call_for_one_piece(
    start_daemon: StartDaemon, simulator: Simulator, fault: str, phase: str
) -> None:
    daemon = await start_daemon()
    simulator.script.replace([parse_fault(f"{fault},vendor={SIDE.vendor}")])
    async with daemon.client() as client:
        assert await ask(client, latency=400) == (BACKUP, [(FIRST, phase), (BACKUP, None)])
    # Behind the backup stands a third.
    assert [attempt.stream for attempt in simulator.account.attempts] == [True, True]


async def test_a_stall_ends_the_stream_and_a_whole_answer_comes_from_the_backup(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(SHORT)
    simulator.script.replace([parse_fault(f"stall:5,vendor={SIDE.vendor}")])
    async with daemon.client() as client:
        with pytest.raises(ProviderError) as failed:
            await stream(client)
        assert failed.value.code == "interrupted"
        assert await ask(client) == (BACKUP, [(FIRST, "content"), (BACKUP, None)])


async def test_a_trickle_is_cut(start_daemon: StartDaemon, simulator: Simulator) -> None:
    daemon = await start_daemon(
        "[timeouts]\nthroughput_seconds = 1.0\nleast_bytes_per_second = 100.0\n"
    )
    simulator.pacing = Pacing(tokens_per_second=4.0, output_tokens=100)
    async with daemon.client() as client:
        with pytest.raises(RouterdError) as failed:
            await stream(client)
        assert failed.value.code == "interrupted"
        (record,) = await client.acommand("calls", limit=1)
    assert [item["error_phase"] for item in record["attempts"]] == ["throughput"]
    await simulator.until(lambda account: account.total.aborted == 1)


async def test_the_whole_call_has_a_limit_for_each_target(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon("[batch_timeouts]\ntotal = 1.0\n")
    simulator.script.replace([parse_fault("silence")])
    async with daemon.client() as client:
        with pytest.raises(RouterdError) as failed:
            await ask(client, latency="batch")
        (record,) = await client.acommand("calls", limit=1)
    # Who set the time that is over is to blame: here it was not the caller.
    assert failed.value.code == "timeout"
    assert [item["error_phase"] for item in record["attempts"]] == ["deadline"]


@pytest.fixture
def full_house() -> Iterator[str]:
    """Listen where nobody can connect any more: what comes now waits without an answer."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_connection_that_is_not_made_leads_to_the_backup(
    start_daemon: StartDaemon, simulator: Simulator, full_house: str
) -> None:
    away = PROVIDERS.replace(OPENAI, "").replace("{url}", full_house)
    daemon = await start_daemon("[interactive_timeouts]\nconnect = 0.5\n", providers=away + OPENAI)
    async with daemon.client() as client:
        answered, attempts = await ask(client)
    assert answered == BACKUP
    assert attempts[0][0] == FIRST
    assert attempts[0][1] == "connect"
    assert NO_DISCOVERY  # nothing else is asked at the start
