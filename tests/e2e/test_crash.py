"""Processes that die: the daemon under load, the provider in mid-answer; and how a daemon stops.

A record that was acknowledged survives a kill -9, and SIGTERM cuts no answer short.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Fault, Pacing, Simulator, expected_text
from routerd_client import Client, ConnectionLost, DaemonUnavailable, RouterdError, RouterError
from tests.e2e.asking import (
    PROMPT,
    WAYS,
    Heard,
    Way,
    ask,
    explain,
    newest_record,
    until_idle,
    until_running,
)
from tests.e2e.conftest import NO_DISCOVERY, PROVIDERS, ROOT, Daemon

StartDaemon = Callable[..., Awaitable[Daemon]]

LONG_ANSWER = Pacing(tokens_per_second=50, output_tokens=100_000)
LONG_THOUGHT = Pacing(think_seconds=600)


async def restarted(launch: Callable[..., Daemon], daemon: Daemon) -> Daemon:
    """Start a successor on the same socket and the same ledger."""
    return await anyio.to_thread.run_sync(
        lambda: launch(f"--config={daemon.folder}/routerd.toml").wait_until_ready()
    )


async def stopped(daemon: Daemon) -> int:
    """Wait for a daemon to end by itself; return its exit code."""
    return await anyio.to_thread.run_sync(daemon.wait_for_end)


# --- the daemon is killed ----------------------------------------------------------------------


@pytest.mark.time_limit(60)
async def test_what_was_acknowledged_survives_a_kill_under_load(
    daemon: Daemon, launch: Callable[..., Daemon], simulator: Simulator
) -> None:
    simulator.pacing = Pacing(tokens_per_second=2000)
    acknowledged: set[str] = set()
    heard: list[Heard] = []
    enough = anyio.Event()

    async def load(client: Client, way: Way) -> None:
        while True:
            one = await ask(client, way, "fast")
            heard.append(one)
            if one.error is not None:
                return
            # The record is on the disk once the daemon has shown it.
            try:
                await explain(client, one.decision_id)
            except RouterdError:
                return
            acknowledged.add(one.decision_id)
            if len(acknowledged) == 30:
                enough.set()

    client = Client(daemon.socket, connect_patience=0.1)
    async with client, anyio.create_task_group() as tasks:
        for way in WAYS * 3:
            tasks.start_soon(load, client, way)
        await enough.wait()
        await anyio.to_thread.run_sync(daemon.kill)
    failures = [one.failure for one in heard if one.error is not None]
    assert all(isinstance(error, ConnectionLost | DaemonUnavailable) for error in failures)
    assert all(error.retryable for error in failures)
    successor = await restarted(launch, daemon)
    async with successor.client() as client:
        kept = {one["decision_id"] for one in await client.acommand("calls", limit=1000)}
        assert acknowledged <= kept
        for decision_id in sorted(acknowledged)[:5]:
            assert (await explain(client, decision_id)).finish == "stop"
        assert (await client.acomplete("fast", PROMPT)).finish == "stop"
        assert (await client.acommand("status"))["ledger"]["records_lost"] == 0


async def test_the_socket_of_a_killed_daemon_is_replaced(
    daemon: Daemon, launch: Callable[..., Daemon]
) -> None:
    await anyio.to_thread.run_sync(daemon.kill)
    before = await anyio.Path(daemon.socket).stat()
    successor = await restarted(launch, daemon)
    assert successor.socket == daemon.socket
    after = await anyio.Path(daemon.socket).stat()
    assert (after.st_ino, after.st_mtime_ns) != (before.st_ino, before.st_mtime_ns)
    async with successor.client() as client:
        assert (await client.acomplete("fast", PROMPT)).finish == "stop"


async def test_a_second_daemon_does_not_take_the_socket(
    daemon: Daemon, launch: Callable[..., Daemon]
) -> None:
    second = await anyio.to_thread.run_sync(
        lambda: launch(f"--config={daemon.folder}/routerd.toml")
    )
    assert await stopped(second) != 0
    assert f"another routerd serves {daemon.socket}" in await anyio.to_thread.run_sync(
        lambda: second.log
    )
    async with daemon.client() as client:
        assert (await client.acomplete("fast", PROMPT)).finish == "stop"


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_without_content_is_sent_again_to_the_successor(
    daemon: Daemon, launch: Callable[..., Daemon], simulator: Simulator, way: Way
) -> None:
    simulator.pacing = LONG_THOUGHT
    heard: list[Heard] = []

    async def wait(client: Client) -> None:
        heard.append(await ask(client, way, "smart"))

    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, client)
            await simulator.until(lambda account: account.total.running == 1)
            await anyio.to_thread.run_sync(daemon.kill)
            # Not the same as a call that was cancelled: nobody was there to hear of it.
            await simulator.until(lambda account: account.total.aborted == 1)
            simulator.pacing = Pacing()
            await restarted(launch, daemon)
        [one] = heard
        assert one.text == expected_text("claude-opus-5-5", PROMPT)
        record = await explain(client, one.decision_id)
        # Twice where the old socket still took a connection while its process was ending.
        assert record.sends in (1, 2)
        # One record for both copies: what the first one held is charged, for nobody knows better.
        died, answered = record.attempts
        assert (died.error_class, died.cost_basis) == ("connection_lost", "estimated")
        assert died.cost_nanodollars == died.held_nanodollars
        assert (answered.error_class, answered.cost_basis) == (None, "measured")
        assert len(await client.acommand("calls", limit=10)) == 1
        await until_idle(client)
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["aborted", "completed"]


async def test_a_stream_with_content_is_lost_with_its_daemon(
    daemon: Daemon, simulator: Simulator
) -> None:
    simulator.pacing = LONG_ANSWER
    async with daemon.client() as client:
        stream = client.stream("smart", PROMPT)
        await anext(stream)
        await anyio.to_thread.run_sync(daemon.kill)
        with pytest.raises(ConnectionLost) as caught:
            async for _ in stream:
                pass
    error = caught.value
    assert error.retryable
    assert error.decision_id
    assert error.reply is not None
    assert error.reply.finish == "error"
    assert error.reply.text
    await simulator.until(lambda account: account.total.aborted == 1)
    assert simulator.account.total.requests == 1


# --- the daemon is told to stop ----------------------------------------------------------------


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
async def test_a_running_stream_ends_whole_before_the_daemon_stops(
    daemon: Daemon, simulator: Simulator, stop_signal: signal.Signals
) -> None:
    simulator.pacing = Pacing(tokens_per_second=100, output_tokens=100)
    heard: list[Heard] = []

    async def wait(client: Client) -> None:
        heard.append(await ask(client, "stream", "smart"))

    async with daemon.client() as client, Client(daemon.socket, connect_patience=0) as late:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, client)
            await simulator.until(lambda account: account.total.sent_tokens > 5)
            daemon.process.send_signal(stop_signal)
            await until_not_taken(late)
        assert heard[0].text == expected_text("claude-opus-5-5", PROMPT, 100)
        assert heard[0].answer.finish == "stop"
        assert await stopped(daemon) == 0
    assert simulator.account.total.completed == 1
    assert not await anyio.Path(daemon.socket).exists()


async def until_not_taken(client: Client) -> None:
    """Wait until new connections are refused in a way that may be tried again, or have to wait."""
    refused: RouterError | None = None
    while refused is None:
        with anyio.move_on_after(0.3) as patience:
            try:
                await client.acommand("status")
            except RouterError as error:
                refused = error
        if patience.cancelled_caught:
            return
        await anyio.sleep(0.01)
    assert refused.code in {"daemon_unavailable", "shutting_down", "connection_lost"}
    assert refused.retryable


async def test_an_idle_daemon_stops_at_once_and_says_so(daemon: Daemon) -> None:
    async with daemon.client() as client:
        await client.acomplete("fast", PROMPT)
        assert await anyio.to_thread.run_sync(daemon.stop) == 0
    log = await anyio.to_thread.run_sync(lambda: daemon.log)
    assert '"event":"daemon_stopping"' in log
    assert '"event":"daemon_stopped"' in log


async def test_a_hang_up_while_draining_ends_the_waiting(
    daemon: Daemon, simulator: Simulator
) -> None:
    simulator.pacing = LONG_ANSWER
    async with daemon.client() as client, Client(daemon.socket, connect_patience=0) as late:
        stream = client.stream("smart", PROMPT)
        await anext(stream)
        daemon.process.send_signal(signal.SIGTERM)
        await until_not_taken(late)
        stream.close()
        # Well before the sixty seconds that it would wait for a running call.
        assert await stopped(daemon) == 0
    await simulator.until(lambda account: account.total.aborted == 1)


async def test_what_does_not_end_in_time_is_cut_and_recorded(
    start_daemon: StartDaemon, launch: Callable[..., Daemon], simulator: Simulator
) -> None:
    daemon = await start_daemon("[limits]\ndrain_seconds = 0.2\n")
    simulator.pacing = LONG_ANSWER
    async with daemon.client() as client:
        stream = client.stream("smart", PROMPT)
        await anext(stream)
        daemon.process.send_signal(signal.SIGTERM)
        with pytest.raises(RouterError) as caught:
            async for _ in stream:
                pass
        assert caught.value.code == "shutting_down"
        assert caught.value.reply is not None
        assert caught.value.reply.text
    assert await stopped(daemon) == 0
    await simulator.until(lambda account: account.total.aborted == 1)
    successor = await restarted(launch, daemon)
    async with successor.client() as client:
        record = await newest_record(client)
    assert record.decision_id == stream.decision_id
    assert (record.error_code, record.cost_basis) == ("shutting_down", "estimated")


async def test_a_second_signal_does_not_wait(daemon: Daemon, simulator: Simulator) -> None:
    simulator.pacing = LONG_ANSWER
    async with daemon.client() as client, Client(daemon.socket, connect_patience=0) as late:
        stream = client.stream("smart", PROMPT)
        await anext(stream)
        daemon.process.send_signal(signal.SIGTERM)
        await until_not_taken(late)
        daemon.process.send_signal(signal.SIGTERM)
        with pytest.raises(RouterError) as caught:
            async for _ in stream:
                pass
        assert caught.value.code in {"shutting_down", "connection_lost"}
        assert await stopped(daemon) == 0
    await simulator.until(lambda account: account.total.aborted == 1)
    assert "bug_seen" not in await anyio.to_thread.run_sync(lambda: daemon.log)


# --- the provider is killed --------------------------------------------------------------------


async def killed(provider: subprocess.Popen[bytes]) -> None:
    provider.kill()
    await anyio.to_thread.run_sync(provider.wait)


@asynccontextmanager
async def rehearsal(
    launch: Callable[..., Daemon], simulator: Simulator, folder: Path, *pacing: str
) -> AsyncIterator[tuple[Daemon, subprocess.Popen[bytes]]]:
    """Run a daemon and `routerd simulate` as its Anthropic; its OpenAI is the test's simulator."""
    command = [sys.executable, "-m", "routerd", "simulate", "--port=0", "--vendor=anthropic"]

    def start_provider() -> tuple[subprocess.Popen[bytes], str]:
        process = subprocess.Popen(
            [*command, *pacing],
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        return process, process.stdout.readline().decode().split()[-1]

    process, url = await anyio.to_thread.run_sync(start_provider)
    try:
        configuration = folder / "routerd.toml"
        anthropic, openai = PROVIDERS.split("[providers.openai]")
        text = f"{NO_DISCOVERY}{anthropic.format(url=url)}[providers.openai]"
        text += openai.format(url=simulator.base_url)
        await anyio.Path(configuration).write_text(text, encoding="utf-8")
        daemon = await anyio.to_thread.run_sync(
            lambda: launch(f"--config={configuration}").wait_until_ready()
        )
        try:
            yield daemon, process
        finally:
            # Before the simulator, which would wait for the connections the daemon keeps.
            await anyio.to_thread.run_sync(daemon.kill)
    finally:
        process.kill()
        await anyio.to_thread.run_sync(process.communicate)


@pytest.mark.parametrize("restart", [False, True])
async def test_a_provider_killed_in_mid_answer(
    launch: Callable[..., Daemon], simulator: Simulator, tmp_path: Path, *, restart: bool
) -> None:
    pacing = ("--think=0", "--rate=50", "--tokens=100000")
    scene = rehearsal(launch, simulator, tmp_path, *pacing)
    async with scene as (daemon, provider), daemon.client() as client:
        stream = client.stream("smart", PROMPT, restart=restart)
        await anext(stream)
        await killed(provider)
        if restart:
            async for _ in stream:
                pass
            assert stream.reply.text == expected_text("gpt-5.5-2026-04-23", PROMPT)
            assert stream.reply.deployment == "openai/gpt-5.5-2026-04-23"
        else:
            with pytest.raises(RouterdError) as caught:
                async for _ in stream:
                    pass
            assert caught.value.code == "interrupted"
            assert caught.value.reply is not None
            assert caught.value.reply.text
        record = await explain(client, stream.decision_id)
    outcomes = [(attempt.provider, attempt.error_class) for attempt in record.attempts]
    assert outcomes == [("anthropic", "connection"), *([("openai", None)] if restart else [])]
    assert simulator.account.total.requests == restart


@pytest.mark.parametrize("way", WAYS)
async def test_a_provider_killed_before_its_answer(
    launch: Callable[..., Daemon], simulator: Simulator, tmp_path: Path, way: Way
) -> None:
    heard: list[Heard] = []

    async def wait(client: Client) -> None:
        heard.append(await ask(client, way, "smart"))

    scene = rehearsal(launch, simulator, tmp_path, "--think=600")
    async with scene as (daemon, provider), daemon.client() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, client)
            await until_running(client, 1)
            await killed(provider)
        # And a provider that is down already when the call comes.
        await wait(client)
        records = [await explain(client, one.decision_id) for one in heard]
    for one, record in zip(heard, records, strict=True):
        assert one.text == expected_text("gpt-5.5-2026-04-23", PROMPT)
        *failed, answered = record.attempts
        assert {attempt.error_class for attempt in failed} == {"connection"}
        assert {attempt.provider for attempt in failed} == {"anthropic"}
        assert len(failed) <= 2
        assert (answered.provider, answered.error_class) == ("openai", None)
    assert simulator.account.total.completed == 2


async def test_no_provider_left(
    launch: Callable[..., Daemon], simulator: Simulator, tmp_path: Path
) -> None:
    simulator.script.replace([Fault(kind="status", status=500)])
    scene = rehearsal(launch, simulator, tmp_path, "--think=0")
    async with scene as (daemon, provider), daemon.client() as client:
        await killed(provider)
        heard = await ask(client, "acomplete", "smart")
    error = heard.failure
    assert (error.code, error.blame, error.retryable) == ("connection", "provider", True)
    assert error.details["tried"][0] == "anthropic/claude-opus-5-5: connection"
