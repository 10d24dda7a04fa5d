"""What routerd adds to a call, and how late its loop is, as an operator sees both."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import anyio
import pytest

from routerd.execute.searching import AT_ONCE
from routerd.simulate import Simulator
from routerd.simulate.delivery import Delivery
from tests.e2e.asking import PROMPT, explain
from tests.e2e.conftest import OPENAI, Daemon
from tests.e2e.processes import routerd_beside

StartDaemon = Callable[..., Awaitable[Daemon]]
THINKS = 0.2
THINKS_US = 198_000  # a timer may be early by a little
STOPPED = 0.5
# The loop looks every quarter of a second.
LEAST_LAG_US = 250_000


@pytest.fixture
def thinking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every simulated model think before it answers."""

    async def think(_delivery: Delivery) -> None:
        await anyio.sleep(THINKS)

    monkeypatch.setattr(Delivery, "think", think)


@pytest.mark.usefixtures("thinking")
async def test_a_slow_provider_is_no_overhead_and_is_told_apart(start_daemon: StartDaemon) -> None:
    daemon = await start_daemon()
    async with daemon.client() as client:
        before = (await client.acommand("status"))["overhead"]
        reply = await client.acomplete("smart", PROMPT)
        record = await explain(client, reply.decision_id)
        status = await client.acommand("status")
    assert before == {"count": 0, "p50_us": None, "p99_us": None, "max_us": None}
    (attempt,) = record.attempts
    assert attempt.waited_us >= THINKS_US
    assert record.overhead_us == record.total_us - attempt.waited_us > 0
    assert status["overhead"]["count"] == 1
    assert status["overhead"]["p50_us"] == status["overhead"]["p99_us"] == record.overhead_us
    environ = {"ROUTERD_SOCKET": str(daemon.socket)}
    shown = await routerd_beside("status", home=daemon.folder, environ=environ)
    lines = {line.partition("  ")[0]: line for line in shown.stdout.splitlines()}
    assert lines["overhead"].endswith("ms, of the last 1 calls")
    assert f"p50 {record.overhead_us / 1000:.2f}, " in lines["overhead"]
    told = await routerd_beside("explain", reply.decision_id, home=daemon.folder, environ=environ)
    assert f"of it {record.overhead_us / 1000:.1f} ms in routerd" in told.stdout


@pytest.mark.usefixtures("thinking")
async def test_pieces_beside_each_other_wait_together(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(providers=OPENAI)
    async with daemon.client() as client:
        found = await client.aembed("text-embedding-3-small", ["a"] * 2049)
        record = await explain(client, found.decision_id)
    assert 1 < len(record.attempts) == simulator.account.total.requests <= AT_ONCE
    longest = max(attempt.waited_us for attempt in record.attempts)
    assert longest >= THINKS_US
    assert record.overhead_us is not None
    # The caller may read one piece while others are waited for.
    assert 0 < record.overhead_us <= record.total_us - longest


async def test_a_loop_that_was_held_up_shows(daemon: Daemon) -> None:
    async with daemon.client() as client:
        os.kill(daemon.process.pid, signal.SIGSTOP)
        await anyio.sleep(STOPPED)
        os.kill(daemon.process.pid, signal.SIGCONT)
        status = await client.acommand("status")
        assert status["overhead"]["count"] == 0
        await anyio.sleep(STOPPED)  # the loop looks soon after it goes on
        lag = (await client.acommand("status"))["loop_lag"]
    assert lag["count"] > 0
    assert lag["max_us"] >= LEAST_LAG_US
    assert 0 <= lag["p50_us"] <= lag["p99_us"] <= lag["max_us"]
