"""A hang-up ends everything at once, in whatever state the call is and however the caller leaves.

The provider's connection is closed, one record says cancelled, what was used is estimated, and
nothing is left running or held.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from routerd.domain import Record
from routerd.simulate import Attempt, Fault, Pacing, Simulator, parse_fault
from routerd_client import CallerError, Client
from routerd_proto.frames import CallRestarted, TextDelta
from tests.e2e.asking import (
    PAUSE_SECONDS,
    PROMPT,
    SIDES,
    Side,
    newest_record,
    until_idle,
)
from tests.e2e.conftest import NO_DISCOVERY, PROVIDERS, Daemon
from tests.e2e.full_queue import connecting_to, full_queue
from tests.e2e.money import budget_rows, query, spent_in_ledger
from tests.e2e.raw import HELLO, call, connect

StartDaemon = Callable[..., Awaitable[Daemon]]
Leave = Callable[[Client, Side, Callable[[], Awaitable[None]]], Awaitable[None]]

either_vendor_first = pytest.mark.parametrize("side", SIDES, ids=[side.vendor for side in SIDES])
LONG_THOUGHT = Pacing(think_seconds=600)
LONG_ANSWER = Pacing(tokens_per_second=50, output_tokens=100_000)
# Days would end at some midnight.
CAPS = """
[budgets.all]
window = "30d"
dollars = 100
calls = 1000
tokens = 1_000_000_000
"""


@pytest.fixture
async def daemon(start_daemon: StartDaemon) -> Daemon:
    """Return a daemon that holds something of every unit for each call."""
    return await start_daemon(CAPS)


# --- ways to leave. Each asks, waits until the provider is at work, and leaves. ----------------


async def cancel_acomplete(
    client: Client, side: Side, at_work: Callable[[], Awaitable[None]]
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.acomplete, side.target, PROMPT)
        await at_work()
        tasks.cancel_scope.cancel()


async def cancel_stream(client: Client, side: Side, at_work: Callable[[], Awaitable[None]]) -> None:
    async def read() -> None:
        async for _ in client.stream(side.target, PROMPT):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await at_work()
        tasks.cancel_scope.cancel()


async def close_in_another_thread(
    client: Client, side: Side, at_work: Callable[[], Awaitable[None]]
) -> None:
    stream = client.stream(side.target, PROMPT)
    failed: list[str] = []

    def read() -> None:
        try:
            for _ in stream:
                pass
        except CallerError as error:
            failed.append(error.code)

    thread = threading.Thread(target=read)
    thread.start()
    await at_work()
    stream.close()
    await anyio.to_thread.run_sync(thread.join)
    assert failed == ["cancelled"]


async def kill_the_process(
    client: Client, side: Side, at_work: Callable[[], Awaitable[None]]
) -> None:
    program = (
        "from routerd_client import Client\n"
        f"Client({client.paths[0]!r}).complete({side.target!r}, {PROMPT!r})"
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", program])

    process = await anyio.to_thread.run_sync(start)
    try:
        await at_work()
    finally:
        process.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(process.wait)


async def end_writing(client: Client, side: Side, at_work: Callable[[], Awaitable[None]]) -> None:
    async with connect(client.paths[0]) as connection:
        await connection.send(HELLO, call(side.target))
        await at_work()
        await connection.end_writing()
        # The daemon hangs up in turn, and does not pretend that the answer is whole.
        frames = await connection.read_to_end()
        assert all(isinstance(frame, TextDelta) for frame in frames[2:])


WAYS_TO_LEAVE: tuple[Leave, ...] = (
    cancel_acomplete,
    cancel_stream,
    close_in_another_thread,
    kill_the_process,
    end_writing,
)


however_the_caller_leaves = pytest.mark.parametrize(
    "leave", WAYS_TO_LEAVE, ids=lambda leave: leave.__name__
)


def check_cancelled(record: Record, *before: str) -> None:
    """Check the record of a call that its caller left, after attempts that failed like this."""
    assert (record.error_code, record.finish) == ("cancelled", "error")
    classes = [attempt.error_class for attempt in record.attempts]
    assert classes == [*before, "cancelled"]
    last = record.attempts[-1]
    assert last.ended_us is not None
    assert last.cost_basis == "estimated"
    assert last.cost_nanodollars


async def check_nothing_left(daemon: Daemon, client: Client, calls: int) -> None:
    """Check that so many calls left one record each, and nothing held."""
    await until_idle(client)
    for row in await budget_rows(client, "all"):
        assert (row["held"], row["holders"]) == (0, [])
        assert row["unit"] != "nanodollars" or row["spent"] == await spent_in_ledger(daemon.ledger)
    assert await query(daemon.ledger, "SELECT count(*) FROM calls") == [(calls,)]


@however_the_caller_leaves
async def test_leaving_the_queue_asks_no_provider(
    start_daemon: StartDaemon, simulator: Simulator, leave: Leave
) -> None:
    daemon = await start_daemon(f"{CAPS}[limits]\nin_flight = 1\n")
    simulator.pacing = LONG_THOUGHT
    async with daemon.client() as client:

        async def until_waiting(calls: int) -> None:
            while (await client.acommand("status"))["places"]["waiting"] != calls:  # noqa: ASYNC110 - asked
                await anyio.sleep(0.02)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.acomplete, "smart", PROMPT)
            await simulator.until(lambda account: account.total.running == 1)
            for side in SIDES:
                await leave(client, side, lambda: until_waiting(1))
                await until_waiting(0)
            assert simulator.account.total.requests == 1
            tasks.cancel_scope.cancel()
        await simulator.until(lambda account: account.total.running == 0)
        await check_nothing_left(daemon, client, len(SIDES) + 1)
        rows = await query(daemon.ledger, "SELECT error_code, cost_nanodollars > 0 FROM calls")
    assert sorted(rows) == [("cancelled", 0), ("cancelled", 0), ("cancelled", 1)]


@however_the_caller_leaves
async def test_leaving_before_the_headers_ends_the_provider(
    daemon: Daemon, simulator: Simulator, leave: Leave
) -> None:
    simulator.pacing = LONG_THOUGHT

    async def at_work() -> None:
        await simulator.until(lambda account: account.total.running == 1)

    async with daemon.client() as client:
        for side in SIDES:
            await leave(client, side, at_work)
            await simulator.until(lambda account: account.total.running == 0)
            check_cancelled(await newest_record(client))
        await check_nothing_left(daemon, client, len(SIDES))
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["aborted"] * len(SIDES)


@however_the_caller_leaves
async def test_leaving_in_the_middle_of_an_answer_ends_the_provider(
    daemon: Daemon, simulator: Simulator, leave: Leave
) -> None:
    simulator.pacing = LONG_ANSWER

    def is_answering(attempt: Attempt) -> bool:
        # What asks for a whole answer is sent nothing before its end.
        return attempt.outcome == "running" and (attempt.sent_tokens > 3 or not attempt.stream)

    async def at_work() -> None:
        await simulator.until(lambda account: any(map(is_answering, account.attempts)))

    async with daemon.client() as client:
        for side in SIDES:
            await leave(client, side, at_work)
            await simulator.until(lambda account: account.total.running == 0)
            check_cancelled(await newest_record(client))
        await check_nothing_left(daemon, client, len(SIDES))
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["aborted"] * len(SIDES)


@however_the_caller_leaves
async def test_leaving_between_two_attempts_sends_no_second_one(
    daemon: Daemon, simulator: Simulator, leave: Leave
) -> None:
    simulator.script.replace([Fault(kind="status", status=429, retry_after=2.9)])
    refused = 0

    async def at_work() -> None:
        await simulator.until(lambda account: account.total.refused == refused)
        # The refusal has arrived too once nothing is held for the attempt any more.
        async with daemon.client() as asking:
            while any(row["holders"] for row in await budget_rows(asking, "all")):  # noqa: ASYNC110
                await anyio.sleep(PAUSE_SECONDS)

    async with daemon.client() as client:
        for refused, side in enumerate(SIDES, 1):  # noqa: B007 - read by at_work
            await leave(client, side, at_work)
            record = await newest_record(client)
            assert record.error_code == "cancelled"
            assert [attempt.error_class for attempt in record.attempts] == ["rate_limit"]
            assert record.cost_nanodollars == 0
        await check_nothing_left(daemon, client, len(SIDES))
    assert simulator.account.total.requests == len(SIDES)


# What strikes the first provider and then others, and the class that each failed attempt shows.
LATER_STATES = {
    "after the headers": (["slow_first_token:600"], []),
    "in a pause before content": (["stall:0"], []),
    "on the second attempt": (["status:500,times=1", "silence"], ["server_error"]),
    "at the backup": (["status:401,vendor={first}", "silence"], ["auth"]),
    "at the backup, after the headers": (
        ["reset,vendor={first}", "slow_first_token:600"],
        ["connection", "connection"],
    ),
}


@pytest.mark.parametrize("state", LATER_STATES)
@pytest.mark.parametrize("leave", [cancel_acomplete, cancel_stream, end_writing])
async def test_leaving_in_a_later_state_ends_the_provider(
    daemon: Daemon, simulator: Simulator, leave: Leave, state: str
) -> None:
    faults, before = LATER_STATES[state]

    async def at_work() -> None:
        await simulator.until(
            lambda account: account.total.running == 1 and len(account.attempts) == expected
        )

    expected = 0
    async with daemon.client() as client:
        for side in SIDES:
            texts = [fault.format(first=side.vendor) for fault in faults]
            simulator.script.replace([parse_fault(text) for text in texts])
            for vendor in ("anthropic", "openai"):
                await client.acommand("reset", name=vendor)
            expected += len(before) + 1
            await leave(client, side, at_work)
            await simulator.until(lambda account: account.total.running == 0)
            record = await newest_record(client)
            check_cancelled(record, *before)
            assert simulator.account.attempts[-1].outcome == "aborted"
        await check_nothing_left(daemon, client, len(SIDES))
    assert simulator.account.total.requests == expected


async def test_leaving_while_a_new_answer_replaces_a_cut_one(
    daemon: Daemon, simulator: Simulator
) -> None:
    async with daemon.client() as client:
        for number, side in enumerate(SIDES, 1):
            cut = Fault(kind="cut", after_tokens=5, vendor=side.vendor)
            simulator.script.replace([cut, Fault(kind="stall", after_tokens=5)])
            async with client.stream(side.target, PROMPT, restart=True) as stream:
                async for part in stream:
                    if isinstance(part, CallRestarted):
                        break
            await simulator.until(lambda account: account.total.running == 0)
            assert simulator.account.total.aborted == number
            check_cancelled(await newest_record(client), "connection")
        await check_nothing_left(daemon, client, len(SIDES))


@either_vendor_first
@pytest.mark.parametrize("way", ["break", "async break", "with", "async with"])
async def test_leaving_a_stream_half_read_ends_the_provider(
    daemon: Daemon, simulator: Simulator, side: Side, way: str
) -> None:
    simulator.pacing = LONG_ANSWER

    def read_some(client: Client) -> None:
        if way == "break":
            for _ in client.stream(side.target, PROMPT):
                break
        else:
            with client.stream(side.target, PROMPT) as stream:
                next(stream)

    async with daemon.client() as client:
        if way == "async break":
            async for _ in client.stream(side.target, PROMPT):
                break
        elif way == "async with":
            async with client.stream(side.target, PROMPT) as stream:
                await anext(stream)
        else:
            await anyio.to_thread.run_sync(read_some, client)
        await simulator.until(lambda account: account.total.aborted == 1)
        record = await newest_record(client)
    check_cancelled(record)
    assert record.first_content_us is not None
    usage = record.usage
    assert usage is not None
    assert usage.output_tokens > 0


@however_the_caller_leaves
async def test_leaving_while_connecting(
    launch: Callable[..., Daemon], tmp_path: Path, leave: Leave
) -> None:
    with full_queue() as url:
        configuration = tmp_path / "routerd.toml"
        text = f"{NO_DISCOVERY}{PROVIDERS.format(url=url)}[egress]\nwarm_connections = 0\n{CAPS}"
        await anyio.Path(configuration).write_text(text, encoding="utf-8")
        daemon = await anyio.to_thread.run_sync(
            lambda: launch(f"--config={configuration}").wait_until_ready()
        )
        others = await anyio.to_thread.run_sync(connecting_to, url)

        async def until_connecting(count: int) -> None:
            while await anyio.to_thread.run_sync(connecting_to, url) != others + count:  # noqa: ASYNC110 - looked at
                await anyio.sleep(0.02)

        async with daemon.client() as client:
            for side in SIDES:
                await leave(client, side, lambda: until_connecting(1))
                await until_connecting(0)
                record = await newest_record(client)
                assert record.error_code == "cancelled"
                [attempt] = record.attempts
                assert (attempt.error_class, attempt.status) == ("cancelled", None)
                assert attempt.ended_us is not None
                assert (attempt.sent, record.cost_nanodollars) == (False, 0)
            await check_nothing_left(daemon, client, len(SIDES))


async def test_a_hang_up_does_not_touch_other_calls(daemon: Daemon, simulator: Simulator) -> None:
    simulator.pacing = Pacing(tokens_per_second=200, output_tokens=100)
    async with daemon.client() as client:
        stays = client.stream("smart", PROMPT)
        await anext(stays)
        for _ in range(10):
            async for _ in client.stream("fast", PROMPT):
                break
        await simulator.until(lambda account: account.total.aborted == 10)
        async for _ in stays:
            pass
        assert stays.reply.finish == "stop"
        await until_idle(client)
    assert simulator.account.total.completed == 1
