"""More calls than there are places: who waits, who is served first, who is sent away, and when.

A real daemon with few places in front of the simulator, whose models answer when a door opens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
import pytest

from routerd.domain import Record
from routerd.simulate import Pacing, Simulator
from routerd.simulate.delivery import Delivery
from routerd_client import Client
from routerd_proto.frames import CallOptions, CallRequested, TextDelta
from tests.e2e.asking import PROMPT, Heard, ask, explain, newest_record, record_of, until_idle
from tests.e2e.conftest import Daemon
from tests.e2e.raw import HELLO, connect

StartDaemon = Callable[..., Awaitable[Daemon]]

PAUSE_SECONDS = 0.02
# An answer of some eighty megabytes on the wire, more than any kernel holds between two processes,
# and by how much a daemon may grow while it is there: of it, it holds what it read at once and what
# it wrote last. Only models of few vendors may write so much.
TALKER = "grok-4.7"
TOKENS = 400_000
MOST_BYTES = 8 * 1024 * 1024
# As `smart` and `cheap` prefer them.
OPUS, LUNA, SOL = "anthropic/claude-opus-5-5", "openai/gpt-6-luna", "openai/gpt-6.1-sol"
PROVIDERS = """\
[providers.anthropic]
base_url = "{{url}}/anthropic"
simulated = true
keyless = true
max_in_flight = {anthropic}
[providers.openai]
base_url = "{{url}}/openai/v1"
simulated = true
keyless = true
max_in_flight = {openai}
"""


WITH_TALKER = """
[providers.xai]
base_url = "{url}/xai/v1"
simulated = true
keyless = true
"""
# A tenant that no backup serves.
ONE_VENDOR = """
[policies.near]
tenants = ["near"]
without = ["openai"]
"""


def limits(in_flight: int, queue: int, queue_seconds: float = 60.0) -> str:
    return f"""
[limits]
in_flight = {in_flight}
queue = {queue}
queue_seconds = {queue_seconds}
"""


def providers(*, anthropic: int = 100, openai: int = 100) -> str:
    return PROVIDERS.format(anthropic=anthropic, openai=openai)


class Asker:
    """Asks one call after the other, each once the one before has its place or waits for one."""

    def __init__(self, client: Client, tasks: anyio.abc.TaskGroup) -> None:
        self._client = client
        self._tasks = tasks
        self.heard: dict[str, Heard] = {}

    async def places(self) -> dict[str, Any]:
        report: dict[str, Any] = (await self._client.acommand("status"))["places"]
        return report

    async def until_waiting(self, calls: int) -> None:
        while (await self.places())["waiting"] != calls:  # noqa: ASYNC110 - asked
            await anyio.sleep(PAUSE_SECONDS)

    def ask(self, name: str, target: str = "smart", **options: Any) -> None:
        async def run() -> None:
            self.heard[name] = await ask(
                self._client, "acomplete", target, PROMPT, task=name, **options
            )

        self._tasks.start_soon(run)

    async def ask_and_wait(self, names: list[str], **options: Any) -> None:
        """Ask calls that have to wait, one behind the other."""
        for name in names:
            waiting = (await self.places())["waiting"]
            self.ask(name, **options)
            await self.until_waiting(waiting + 1)


async def records_by_task(client: Client) -> dict[str, Record]:
    """Return the records of all calls by the name of their task, in the order they were sent in."""
    await until_idle(client)
    records = [record_of(item) for item in await client.acommand("calls", limit=100)]

    def sent_at(record: Record) -> float:
        started_us = record.attempts[0].started_us if record.attempts else record.total_us
        return record.received_at_ns / 1000 + started_us

    return {record.task or "": record for record in sorted(records, key=sent_at)}


# --- the queue ---------------------------------------------------------------------------------


async def test_tenants_take_turns_critical_calls_are_first_and_batch_calls_last(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    daemon = await start_daemon(limits(1, 20))
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            asker = Asker(client, tasks)
            asker.ask("running", tenant="loud")
            await simulator.until(lambda account: len(account.attempts) == 1)
            await asker.ask_and_wait(["batch"], tenant="quiet", latency="batch")
            await asker.ask_and_wait(["loud 1", "loud 2", "loud 3"], tenant="loud")
            await asker.ask_and_wait(["quiet 1", "quiet 2"], tenant="quiet")
            await asker.ask_and_wait(["critical"], tenant="loud", critical=True)
            assert len(simulator.account.attempts) == 1
            door.set()
        order = await records_by_task(client)
        assert list(order) == [
            "running",
            "critical",
            "loud 1",
            "quiet 1",
            "loud 2",
            "quiet 2",
            "loud 3",
            "batch",
        ]
        assert all(heard.error is None for heard in asker.heard.values())
        assert order.pop("running").queued_us == 0
        for record in order.values():
            assert 0 < record.queued_us <= record.attempts[0].started_us
        assert (await asker.places())["waiting"] == 0


async def test_who_waits_too_long_and_who_finds_the_queue_full_are_told_when_to_come_again(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    daemon = await start_daemon(limits(1, 1, 2.0))
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            asker = Asker(client, tasks)
            asker.ask("running")
            await simulator.until(lambda account: len(account.attempts) == 1)
            await asker.ask_and_wait(["too long"])
            asker.ask("too many")
            await asker.until_waiting(0)
            door.set()
        for name, said in (("too long", "no place within 2 s"), ("too many", "limits.queue")):
            error = asker.heard[name].failure
            assert error.code == "router_overloaded"
            assert error.retryable
            assert error.retry_after is not None
            assert error.retry_after >= 1
            assert said in error.message
        assert asker.heard["running"].error is None
        records = await records_by_task(client)
    assert {name: record.error_code for name, record in records.items()} == {
        "running": None,
        "too long": "router_overloaded",
        "too many": "router_overloaded",
    }
    assert records["too many"].queued_us == 0
    assert records["too long"].queued_us > 0
    assert len(simulator.account.attempts) == 1


async def test_who_hangs_up_in_the_queue_is_recorded_and_reaches_nobody(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    daemon = await start_daemon(limits(1, 5))
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            asker = Asker(client, tasks)
            asker.ask("running")
            await simulator.until(lambda account: len(account.attempts) == 1)
            async with anyio.create_task_group() as impatient:
                leaver = Asker(client, impatient)
                await leaver.ask_and_wait(["left"])
                impatient.cancel_scope.cancel()
            await asker.until_waiting(0)
            door.set()
        records = await records_by_task(client)
    assert records["left"].error_code == "cancelled"
    assert records["left"].attempts == []
    assert records["left"].queued_us > 0
    assert len(simulator.account.attempts) == 1


# --- one slow provider -------------------------------------------------------------------------


@pytest.fixture
def anthropic_door(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Let nobody at Anthropic answer before this is set; the others answer at once."""
    door = anyio.Event()

    async def think(delivery: Delivery) -> None:
        if delivery._vendor.name == "anthropic":
            await door.wait()

    monkeypatch.setattr(Delivery, "think", think)
    return door


async def test_a_slow_provider_takes_its_own_places_and_no_more(
    start_daemon: StartDaemon, simulator: Simulator, anthropic_door: anyio.Event
) -> None:
    daemon = await start_daemon(limits(3, 20), providers=providers(anthropic=1))
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            asker = Asker(client, tasks)
            asker.ask("slow")
            await simulator.until(lambda account: len(account.attempts) == 1)
            # What prefers the slow one goes to its backup; the rest does not notice.
            for number in range(6):
                heard = await ask(client, "acomplete", "smart", PROMPT, task=f"smart {number}")
                assert heard.answer.deployment == SOL
                heard = await ask(client, "acomplete", "cheap", PROMPT, task=f"cheap {number}")
                assert heard.answer.deployment == LUNA
            record = await explain(client, heard.decision_id)
            assert record.skipped == []
            places = await asker.places()
            assert (places["running"], places["waiting"]) == (1, 0)
            anthropic_door.set()
        records = await records_by_task(client)
    assert asker.heard["slow"].answer.deployment == OPUS
    for number in range(6):
        [busy] = records[f"smart {number}"].skipped
        assert (busy.deployment, busy.code) == (OPUS, "busy")
        assert [item.reason for item in records[f"smart {number}"].attempts] == ["fallback"]


async def test_calls_that_only_a_full_provider_serves_wait_without_a_place(
    start_daemon: StartDaemon, simulator: Simulator, anthropic_door: anyio.Event
) -> None:
    """More of them than there are places: others are served all the same."""
    daemon = await start_daemon(limits(3, 20) + ONE_VENDOR, providers=providers(anthropic=1))
    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            asker = Asker(client, tasks)
            asker.ask("slow 0", tenant="near")
            await simulator.until(lambda account: len(account.attempts) == 1)
            await asker.ask_and_wait([f"slow {number}" for number in range(1, 6)], tenant="near")
            places = await asker.places()
            assert (places["running"], places["waiting"]) == (1, 5)
            for _ in range(3):
                heard = await ask(client, "acomplete", "cheap", PROMPT)
                assert heard.answer.deployment == LUNA
            anthropic_door.set()
        assert all(heard.answer.deployment == OPUS for heard in asker.heard.values())
        assert list(await records_by_task(client))[-5:] == [f"slow {n}" for n in range(1, 6)]


# --- slow readers ------------------------------------------------------------------------------


async def resident_bytes(daemon: Daemon) -> int:
    """Return how much memory a daemon has."""
    status = await anyio.Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def test_a_reader_that_stops_costs_no_memory_and_is_seen_to_leave(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    """The provider is made to wait; the daemon does not hold the answer in its place."""
    daemon = await start_daemon(providers=providers() + WITH_TALKER)
    async with daemon.client() as client:
        # What a first call needs is there from here on.
        await ask(client, "stream", TALKER, PROMPT)
    simulator.pacing = Pacing(output_tokens=TOKENS)
    before = await resident_bytes(daemon)
    options = CallOptions(max_output_tokens=TOKENS)
    async with daemon.client() as client:
        async with connect(daemon.socket) as reader:
            await reader.send(HELLO, CallRequested("1", TALKER, PROMPT, options))
            await reader.read_until(TextDelta)
            sent = await until_it_waits(simulator)
            assert 0 < sent < TOKENS
            grown = await resident_bytes(daemon) - before
            assert grown < MOST_BYTES
            assert simulator.account.attempts[1].outcome == "running"
        # It hung up while nothing moved.
        await simulator.until(lambda account: account.attempts[1].outcome == "aborted")
        assert simulator.account.attempts[1].sent_tokens < TOKENS
        record = await newest_record(client)
        assert (record.error_code, record.finish) == ("cancelled", "error")
        assert [attempt.error_class for attempt in record.attempts] == ["cancelled"]


async def until_it_waits(simulator: Simulator) -> int:
    """Wait until the simulator sends nothing any more; returns how many tokens it has sent."""
    sent, same = -1, 0
    while same < 10:
        await anyio.sleep(5 * PAUSE_SECONDS)
        now = simulator.account.attempts[1].sent_tokens
        sent, same = now, same + 1 if now == sent else 0
    return sent
