"""A bad day in short: hundreds of callers at once, providers that fail at random, hang-ups.

It runs for some seconds, or for as many as ROUTERD_CHAOS_SECONDS says. What happens is drawn from a
seed that a failure tells, and that ROUTERD_CHAOS_SEED sets; the order of things is the machine's.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Fault, FaultScript, Pacing, Price, Simulator
from routerd_client import Client, RouterdError, Stream
from tests.e2e.asking import PROMPT, until_idle
from tests.e2e.conftest import Daemon
from tests.e2e.money import budget_rows, query, spent_in_ledger
from tests.e2e.processes import routerd_beside

StartDaemon = Callable[..., Awaitable[Daemon]]

SECONDS: Final = float(os.environ.get("ROUTERD_CHAOS_SECONDS", "8"))
SEED: Final = int(os.environ.get("ROUTERD_CHAOS_SEED") or secrets.randbelow(2**32))
CALLERS: Final = 500
TARGETS: Final = ("smart", "cheap", "workhorse", "fast")
# No call may last longer, whatever happens: the daemon is told to end it in a third of that.
HANG_SECONDS: Final = 60.0
SETTINGS: Final = """
[timeouts]
headers = 3.0
first_content = 3.0
between_parts = 3.0
whole_answer = 6.0
total = 20.0

[health]
retest_seconds = 0.5

[budgets.all]
window = "30d"
dollars = 1_000_000
calls = 10_000_000
tokens = 1_000_000_000_000
"""
FAULTS: Final = (
    Fault(kind="status", status=500, chance=0.04),
    Fault(kind="status", status=503, vendor="openai", chance=0.02),
    Fault(kind="status", status=529, vendor="anthropic", chance=0.02),
    Fault(kind="status", status=429, retry_after=0.2, chance=0.005),
    Fault(kind="status", status=400, chance=0.01),
    Fault(kind="status", status=502, chance=0.02),
    Fault(kind="reset", chance=0.03),
    Fault(kind="silence", chance=0.01),
    Fault(kind="slow_first_token", seconds=0.5, chance=0.02),
    Fault(kind="stall", chance=0.01),
    Fault(kind="cut", chance=0.03),
    Fault(kind="cut", after_tokens=0, chance=0.02),
    Fault(kind="reset_in_answer", chance=0.02),
    Fault(kind="malformed", chance=0.03),
    Fault(kind="missing_end", chance=0.02),
    Fault(kind="missing_mark", chance=0.02),
    Fault(kind="error_in_stream", chance=0.02),
)
# So many looks in a row must show the same.
STILL: Final = 10
# Of the daemon's own: a test of what is tripped, a probe, a connection that is being warmed.
OWN_TASKS: Final = 8
# What no fault of a provider may lead to.
OURS: Final = {"internal_error", "connection_lost", "daemon_unavailable", "protocol_error"}


@pytest.fixture
async def simulator(prices: dict[str, Price]) -> AsyncIterator[Simulator]:
    # Two seconds an answer, so that nearly all callers wait for one at any time.
    pacing = Pacing(think_seconds=0.5, tokens_per_second=20, output_tokens=30)
    script = FaultScript(seed=SEED)
    async with Simulator(prices=prices, pacing=pacing, script=script) as simulator:
        yield simulator


class Crowd:
    """All callers: how their calls ended, and which ones the daemon named."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ends: Counter[str] = Counter()
        self.named: list[str] = []

    async def call_for(self, number: int, seconds: float) -> None:
        """Ask again and again; one call in three is left before its end."""
        random = Random(f"{SEED}:{number}")
        until = anyio.current_time() + seconds
        await anyio.sleep(random.random())
        while anyio.current_time() < until:
            leaves = random.random() < 1 / 3
            patience = random.uniform(0, 3) if leaves else HANG_SECONDS
            ask = self.stream if random.random() < 0.5 else self.complete
            with anyio.move_on_after(patience) as scope:
                await ask(random)
            if scope.cancelled_caught:
                self.ends["left" if leaves else "hung"] += 1

    async def complete(self, random: Random) -> None:
        """Ask for a whole answer."""
        try:
            reply = await self.client.acomplete(random.choice(TARGETS), PROMPT)
        except RouterdError as error:
            self.ends[error.code] += 1
            if error.decision_id:
                self.named.append(error.decision_id)
        else:
            self.ends["answered"] += 1
            self.named.append(reply.decision_id)

    async def stream(self, random: Random) -> None:
        """Ask for a stream; one in ten walks away after some parts."""
        restart = random.random() < 0.5
        stream = self.client.stream(random.choice(TARGETS), PROMPT, restart=restart)
        walks_away_after = random.randint(1, 20) if random.random() < 0.1 else None
        try:
            async with stream:
                await self.read(stream, walks_away_after)
        except RouterdError as error:
            self.ends[error.code] += 1
        finally:
            if stream.decision_id:
                self.named.append(stream.decision_id)

    async def read(self, stream: Stream, walks_away_after: int | None) -> None:
        """Read a stream to its end, or leave it in its middle."""
        parts = 0
        async for _ in stream:
            parts += 1
            if parts == walks_away_after:
                self.ends["left"] += 1
                return
        assert stream.reply.finish == "stop"
        self.ends["answered"] += 1


@pytest.mark.alone
@pytest.mark.time_limit(SECONDS + 3 * HANG_SECONDS)
async def test_a_bad_day(start_daemon: StartDaemon, simulator: Simulator) -> None:
    try:
        daemon = await start_daemon(SETTINGS)
        await run_and_check(daemon, simulator)
    except Exception as error:
        error.add_note(f"run it again with ROUTERD_CHAOS_SEED={SEED}")
        raise


async def run_and_check(daemon: Daemon, simulator: Simulator) -> None:
    async with daemon.client() as watching:
        await watching.acomplete("smart", PROMPT)
        await until_idle(watching)
        before = await others_open(daemon, simulator)
        tasks_before = (await watching.acommand("status"))["tasks"]
        simulator.script.replace(FAULTS)
        async with daemon.client() as client:
            crowd = Crowd(client)
            async with anyio.create_task_group() as tasks:
                for number in range(CALLERS):
                    tasks.start_soon(crowd.call_for, number, SECONDS)
        await check_ends(crowd, simulator, watching)
        await check_leaks(daemon, simulator, watching, before, tasks_before)
        await check_books(daemon, simulator, watching, crowd)
    assert "Traceback" not in await anyio.to_thread.run_sync(lambda: daemon.log)


async def check_ends(crowd: Crowd, simulator: Simulator, client: Client) -> None:
    """Check that everybody came to an end, and everything that was begun for them."""
    with anyio.fail_after(HANG_SECONDS):
        await until_idle(client)
        await simulator.until(lambda account: account.total.running == 0)
    assert crowd.ends["hung"] == 0, crowd.ends
    assert not OURS & set(crowd.ends), crowd.ends
    assert crowd.ends["answered"] > crowd.ends.total() / 3, crowd.ends
    assert crowd.ends["left"] > CALLERS / 10, crowd.ends


async def check_leaks(
    daemon: Daemon, simulator: Simulator, client: Client, before: int, tasks: int
) -> None:
    """Check that nothing is open any more but the connections that are kept for later calls."""
    with anyio.fail_after(HANG_SECONDS):
        while (await client.acommand("status"))["connections"] > 1:  # noqa: ASYNC110 - asked
            await anyio.sleep(0.05)
        while (await client.acommand("status"))["tasks"] > tasks + OWN_TASKS:  # noqa: ASYNC110
            await anyio.sleep(0.05)
        while await others_open(daemon, simulator) > before:  # noqa: ASYNC110 - looked at
            await anyio.sleep(0.05)
    budgets = await routerd_beside(
        "budgets", "--json", f"--socket={daemon.socket}", home=daemon.folder
    )
    assert budgets.returncode == 0
    assert '"held": 0' in budgets.stdout
    for row in await budget_rows(client, "all"):
        assert (row["held"], row["holders"]) == (0, [])


async def check_books(daemon: Daemon, simulator: Simulator, client: Client, crowd: Crowd) -> None:
    """Check for one record a call, and that all sums are those of the attempts."""
    status = await client.acommand("status")
    spent = {row["unit"]: row["spent"] for row in await budget_rows(client, "all")}
    calls = await query(daemon.ledger, "SELECT decision_id, cost_nanodollars FROM calls")
    attempts = await query(
        daemon.ledger,
        "SELECT decision_id, sent, error_class, cost_nanodollars FROM attempts",
    )
    ledger = status["ledger"]
    assert (ledger["records_lost"], ledger["intents_lost"]) == (0, 0)
    # One more than the crowd's: the first call of all. Who left early may never have been heard.
    heard = crowd.ends.total() - crowd.ends["left"] + 1
    assert heard <= len(calls) == status["calls_served"] <= heard + crowd.ends["left"]
    assert len(set(crowd.named)) == len(crowd.named)
    assert set(crowd.named) <= {decision_id for decision_id, _ in calls}
    assert {item[0] for item in attempts} <= {decision_id for decision_id, _ in calls}
    total = sum(cost or 0 for _, cost in calls)
    assert total == sum(item[3] or 0 for item in attempts)
    assert total == await spent_in_ledger(daemon.ledger) == spent["nanodollars"]
    # A request that was given up on its way may not have arrived.
    sent = [item for item in attempts if item[1]]
    surely = [item for item in sent if item[2] not in {"cancelled", "timeout", "connection"}]
    assert len(surely) <= simulator.account.total.requests <= len(sent)
    assert simulator.account.total.completed


async def others_open(daemon: Daemon, simulator: Simulator) -> int:
    """Count what the daemon has open besides connections to providers, once that holds still."""
    counts: list[int] = []
    while len(counts) < STILL or len(set(counts[-STILL:])) > 1:
        counts.append(await anyio.to_thread.run_sync(open_files, daemon.process.pid))
        counts[-1] -= simulator.account.connections_open
        await anyio.sleep(0.05)
    return counts[-1]


def open_files(pid: int) -> int:
    """Count the descriptors of a process, without the journal's: it has one file or two."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # What was listed may be closed by now.
        with suppress(FileNotFoundError):
            count += ".intents-" not in str(entry.readlink())
    return count
