"""A hold ends with its call, however that ends, and what was spent outlives the daemon.

Each test looks at one budget with a cap in every unit: once nothing runs, nothing is held, and what
was spent is what the ledger says.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Account, Fault, Pacing, Simulator
from routerd_client import Client, Document, Message, RouterdError, Text
from routerd_proto.content import Content
from tests.e2e.asking import PROMPT, WAYS, Heard, Way, ask, explain, until_idle, until_running
from tests.e2e.conftest import NO_DISCOVERY, PROVIDERS, Daemon
from tests.e2e.full_queue import full_queue
from tests.e2e.money import budget_rows, query, spent_in_ledger

StartDaemon = Callable[..., Awaitable[Daemon]]

CALLS: Final = 10
LONG_ANSWER: Final = Pacing(tokens_per_second=50, output_tokens=100_000)
LONG_THOUGHT: Final = Pacing(think_seconds=600)
# Days would end at some midnight.
ALL_UNITS: Final = """
[budgets.all]
window = "30d"
dollars = 100
calls = 1000
tokens = 1_000_000_000
"""


async def spent_when_idle(client: Client, daemon: Daemon) -> dict[str, int]:
    """Return what was spent in each unit, once nothing runs; nothing is held any more then."""
    await until_idle(client)
    rows = await budget_rows(client, "all")
    assert [(row["held"], row["holders"]) for row in rows] == [(0, [])] * 3
    spent = {row["unit"]: row["spent"] for row in rows}
    assert spent["nanodollars"] == await spent_in_ledger(daemon.ledger)
    return spent


async def dollars_now(client: Client) -> tuple[int, int]:
    """Return the nanodollars that are spent and held, with calls under way."""
    rows = await budget_rows(client, "all")
    [dollars] = [row for row in rows if row["unit"] == "nanodollars"]
    return dollars["spent"], dollars["held"]


async def restarted(launch: Callable[..., Daemon], daemon: Daemon) -> Daemon:
    """Start a successor on the same socket and the same ledger."""
    return await anyio.to_thread.run_sync(
        lambda: launch(f"--config={daemon.folder}/routerd.toml").wait_until_ready()
    )


async def test_a_document_of_text_is_held_for_as_the_text_it_is(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(ALL_UNITS)
    said = "A harbour, a ship and a letter. " * 250
    ways: list[Content] = [
        Text(said),
        Document(data=said.encode(), media_type="text/markdown", title="log"),
    ]
    held = []
    async with daemon.client() as client:
        for part in ways:
            messages = [Message("user", [Text("Sum up:"), part])]
            reply = await client.acomplete("smart", messages, max_output_tokens=100)
            [attempt] = (await explain(client, reply.decision_id)).attempts
            assert attempt.held_nanodollars is not None
            held.append(attempt.held_nanodollars)
    assert 0 < held[0] <= held[1] < held[0] * 1.3


# --- every end ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pacing", "sent_tokens"), [(LONG_THOUGHT, 0), (LONG_ANSWER, 4)], ids=["thinking", "answering"]
)
async def test_a_hang_up_leaves_nothing_held(
    start_daemon: StartDaemon, simulator: Simulator, pacing: Pacing, sent_tokens: int
) -> None:
    daemon = await start_daemon(ALL_UNITS)
    simulator.pacing = pacing

    def are_all_there(account: Account) -> bool:
        return len(account.attempts) == CALLS and all(
            attempt.sent_tokens >= sent_tokens for attempt in account.attempts
        )

    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(ask, client, "stream", "smart")
            await simulator.until(are_all_there)
            for row in await budget_rows(client, "all"):
                assert row["held"] == sum(holder["held"] for holder in row["holders"]) > 0
                assert len(row["holders"]) == CALLS
            tasks.cancel_scope.cancel()
        spent = await spent_when_idle(client, daemon)
    assert spent["calls"] == CALLS
    assert spent["tokens"] > 0
    assert spent["nanodollars"] > 0


async def test_nothing_is_held_between_two_attempts_nor_after_a_hang_up_there(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(ALL_UNITS)
    simulator.script.replace([Fault(kind="status", status=429, retry_after=2.9)])
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, "stream", "smart")
            await simulator.until(lambda account: account.total.refused == 1)
            # The simulator knows of its refusal before the daemon does.
            while any(row["held"] for row in await budget_rows(client, "all")):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            await until_running(client, 1)
            tasks.cancel_scope.cancel()
        assert await spent_when_idle(client, daemon) == {"nanodollars": 0, "calls": 1, "tokens": 0}


async def test_a_hang_up_while_connecting_costs_nothing(
    launch: Callable[..., Daemon], tmp_path: Path
) -> None:
    with full_queue() as url:
        text = f"{NO_DISCOVERY}{PROVIDERS.format(url=url)}[egress]\nwarm_connections = 0\n"
        await anyio.Path(tmp_path / "routerd.toml").write_text(text + ALL_UNITS)
        daemon = await anyio.to_thread.run_sync(
            lambda: launch(f"--config={tmp_path}/routerd.toml").wait_until_ready()
        )
        async with daemon.client() as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, client, "acomplete", "smart")
                await until_running(client, 1)
                while not (await dollars_now(client))[1]:  # noqa: ASYNC110 - asked
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            assert set((await spent_when_idle(client, daemon)).values()) == {0}


@pytest.mark.time_limit(60)
async def test_whatever_goes_wrong_nothing_stays_held(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(ALL_UNITS)
    faults = [
        Fault(kind="status", status=500),
        Fault(kind="status", status=400),
        Fault(kind="status", status=401),
        Fault(kind="reset"),
        Fault(kind="cut", after_tokens=5),
        Fault(kind="missing_end"),
        Fault(kind="error_in_stream", after_tokens=0),
        Fault(kind="malformed", after_tokens=5),
        Fault(kind="silence"),
        Fault(kind="stall", after_tokens=5),
        Fault(kind="status", status=503, vendor="anthropic"),
    ]
    async with daemon.client() as client:
        for fault in faults:
            simulator.script.replace([fault])
            for way in WAYS:
                await ask(client, way, "smart", timeout=0.5)
        spent = await spent_when_idle(client, daemon)
    assert spent["calls"] == len(faults) * len(WAYS)
    books = simulator.account.total
    assert books.refused
    assert books.broken
    assert books.aborted
    assert books.completed


# --- a restart ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_forgets_nothing_that_was_spent(
    start_daemon: StartDaemon,
    launch: Callable[..., Daemon],
    simulator: Simulator,
    stop_signal: signal.Signals,
) -> None:
    daemon = await start_daemon(
        f'{ALL_UNITS}[budgets.acme]\ntenant = "acme"\nwindow = "30d"\ncalls = 3\n'
        "[limits]\ndrain_seconds = 0.1\n"
    )
    async with Client(daemon.socket, connect_patience=0) as client:
        for _ in range(2):
            await client.acomplete("smart", PROMPT, tenant="acme")
        simulator.pacing = LONG_ANSWER
        stream = client.stream("smart", PROMPT, tenant="acme")
        await anext(stream)
        before, held = await dollars_now(client)
        await anyio.to_thread.run_sync(daemon.stop, stop_signal)
        with pytest.raises(RouterdError):
            async for _ in stream:
                pass
    simulator.pacing = Pacing()
    successor = await restarted(launch, daemon)
    async with successor.client() as client:
        spent = await spent_when_idle(client, successor)
        assert spent["calls"] == 3
        if stop_signal == signal.SIGKILL:
            # Nobody knows what it used: what it held is charged.
            assert spent["nanodollars"] == before + held
        else:
            assert before < spent["nanodollars"] < before + held
        refused = (await ask(client, "acomplete", "smart", tenant="acme")).failure
        assert refused.code == "budget_exceeded"
        assert refused.details["spent"] == 3
        assert (await client.acomplete("smart", PROMPT, tenant="globex")).finish == "stop"
        record = await explain(client, stream.decision_id)
        assert (record.cost_basis, record.tenant) == ("estimated", "acme")


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_sent_again_is_one_call_at_the_cost_of_both_copies(
    start_daemon: StartDaemon, launch: Callable[..., Daemon], simulator: Simulator, way: Way
) -> None:
    daemon = await start_daemon(f'{ALL_UNITS}[budgets.one]\nwindow = "31d"\ncalls = 1\n')
    simulator.pacing = LONG_THOUGHT
    heard: list[Heard] = []

    async def wait(client: Client) -> None:
        heard.append(await ask(client, way, "smart"))

    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, client)
            await simulator.until(lambda account: account.total.running == 1)
            _, held = await dollars_now(client)
            await anyio.to_thread.run_sync(daemon.kill)
            await simulator.until(lambda account: account.total.aborted == 1)
            simulator.pacing = Pacing()
            successor = await restarted(launch, daemon)
        [one] = heard
        assert one.answer.finish == "stop"
        billed = simulator.account.attempts[1].billed_nanodollars
        assert billed is not None
        record = await explain(client, one.decision_id)
        assert [attempt.cost_nanodollars for attempt in record.attempts] == [held, billed]
        assert one.answer.cost_nanodollars == record.cost_nanodollars == held + billed
        assert one.answer.cost_basis == record.cost_basis == "estimated"
        spent = await spent_when_idle(client, successor)
        assert (spent["calls"], spent["nanodollars"]) == (1, held + billed)
        assert (await ask(client, way, "smart")).failure.code == "budget_exceeded"
    calls = await query(successor.ledger, "SELECT count(*) FROM calls WHERE error_code IS NULL")
    assert calls == [(1,)]
