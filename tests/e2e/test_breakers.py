"""A provider that is down is left alone, and has its calls back soon after it is well."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Pacing, Simulator, parse_fault
from routerd_client import Client, RouterdError
from tests.e2e.asking import SIDES, explain, served_by
from tests.e2e.conftest import OPENAI, Daemon
from tests.e2e.processes import routerd_beside

StartDaemon = Callable[..., Awaitable[Daemon]]

QUICK = "[health]\nretest_seconds = 0.3\n"
SIDE = SIDES[0]
FIRST, BACKUP = SIDE.first, SIDE.backup
PROVIDER = FIRST.partition("/")[0]


async def answered_by(client: Client) -> str:
    reply = await client.acomplete(SIDE.target, "hello")
    return str(reply.deployment)


async def health(client: Client) -> dict[str, Any]:
    rows = (await client.acommand("status"))["health"]
    return {row["provider"]: row for row in rows}


async def until_passing(client: Client) -> None:
    with anyio.fail_after(30):
        while (await health(client))[PROVIDER]["state"] != "passing":
            await answered_by(client)
            await anyio.sleep(0.05)


async def test_a_dead_provider_is_asked_three_times_and_then_tested(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(QUICK)
    simulator.script.replace(
        [
            parse_fault(f"status:500,vendor={SIDE.vendor}"),
            parse_fault(f"status:500,vendor={SIDE.vendor},scope=probes"),
        ]
    )
    async with daemon.client() as client:
        for _ in range(10):
            assert await answered_by(client) == BACKUP
        served = served_by(simulator)
        # Twice for the first call, once for the second, whose second attempt it does not get.
        assert served.count(FIRST) == 3
        row = (await health(client))[PROVIDER]
        assert row["state"] == "tripped"
        assert row["because"].startswith("3 failures in a row, the last: server_error 500")
        record = await explain(client, (await client.acomplete(SIDE.target, "x")).decision_id)
        assert record.plan is not None
        assert {item.code for item in record.plan.dropped if item.deployment == FIRST} == {
            "unhealthy"
        }
        # Probes fail too: nobody is let through.
        probes = simulator.account.probes.get(SIDE.vendor, 0)
        await simulator.until(lambda account: account.probes.get(SIDE.vendor, 0) >= probes + 3)
        assert served_by(simulator).count(FIRST) == 3
        simulator.script.replace([])
        await until_passing(client)
        assert await answered_by(client) == FIRST
    lines = await daemon.events()
    events = [line["event"] for line in lines if "provider_" in line["event"]]
    assert [name for name in events if name != "provider_warmed"] == [
        "provider_tripped",
        "provider_recovered",
    ]


async def test_a_provider_that_backs_off_still_rescues_a_call(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    """It named no time: it may be well by now, and everybody else is not."""
    daemon = await start_daemon()
    simulator.script.replace([parse_fault(f"status:529,vendor={SIDE.vendor}")])
    async with daemon.client() as client:
        assert await answered_by(client) == BACKUP
        assert (await health(client))[PROVIDER]["state"] == "backing_off"
        backup = BACKUP.partition("/")[0]
        simulator.script.replace([parse_fault(f"status:500,vendor={backup}")])
        reply = await client.acomplete(SIDE.target, "hello")
        record = await explain(client, reply.decision_id)
    assert record.plan is not None
    assert [route.code for route in record.plan.routes][-1] == "last_resort"
    assert record.attempts[0].provider == backup
    assert reply.deployment == record.plan.routes[-1].deployment
    assert reply.deployment.startswith(f"{PROVIDER}/")


async def test_who_is_in_a_hurry_trips_nobody_by_it(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    """A model that thinks longer than one caller waits is well for all others."""
    daemon = await start_daemon()
    simulator.pacing = Pacing(think_seconds=1.2, output_tokens=5)
    async with daemon.client() as client:
        for _ in range(3):
            async with client.stream(SIDE.target, "hello", latency=100, tenant="hasty") as stream:
                with contextlib.suppress(RouterdError):
                    async for _ in stream:
                        pass
        assert (await health(client))[PROVIDER]["state"] == "passing"
        assert await answered_by(client) == FIRST


@pytest.mark.parametrize("status", [429, 503])
async def test_who_asks_for_quiet_is_asked_once_in_a_while_where_nobody_else_serves(
    start_daemon: StartDaemon, simulator: Simulator, status: int
) -> None:
    daemon = await start_daemon(providers=OPENAI)
    simulator.script.replace([parse_fault(f"status:{status},retry_after=60")])
    async with daemon.client() as client:
        failures = []
        for _ in range(8):
            with pytest.raises(RouterdError) as failed:
                await client.acomplete("gpt-6.1-sol", "hello")
            failures.append(failed.value)
        # The call that was told, and one that tried it all the same.
        assert len(simulator.account.attempts) == 2
        assert {failure.retryable for failure in failures} == {True}
        assert all(50 < (failure.retry_after or 0) <= 60 for failure in failures)
        assert "openai asked for no requests for" in failures[-1].message


async def test_where_all_are_down_the_least_bad_is_tried_once(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon("[health]\nfailures_in_a_row = 1\n")
    simulator.script.replace([parse_fault("status:500")])
    async with daemon.client() as client:
        with pytest.raises(RouterdError):
            await answered_by(client)
        states = {row["state"] for row in (await health(client)).values()}
        assert states == {"tripped"}
        seen = len(simulator.account.attempts)
        with pytest.raises(RouterdError) as failed:
            await answered_by(client)
        assert failed.value.code == "server_error"
        assert len(simulator.account.attempts) == seen + 1
        simulator.script.replace([])
        # And its answer closes the breaker at once.
        assert await answered_by(client)
        assert "passing" in {row["state"] for row in (await health(client)).values()}


async def test_what_is_tripped_by_hand_stays_so_over_a_restart(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon()
    socket = f"--socket={daemon.socket}"

    async def run(*arguments: str) -> tuple[int, str, str]:
        done = await routerd_beside(*arguments, home=daemon.folder)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = await run("trip", PROVIDER, "--because", "incident 4711", socket)
    assert code == 0
    assert f"tripped  provider {PROVIDER}" in out
    async with daemon.client() as client:
        assert await answered_by(client) == BACKUP
    assert await anyio.to_thread.run_sync(daemon.stop) == 0
    daemon = await start_daemon()
    code, out, _ = await run("status", socket)
    assert code == 0
    assert "incident 4711" in out
    async with daemon.client() as client:
        assert await answered_by(client) == BACKUP
        assert FIRST not in served_by(simulator)
        code, out, _ = await run("reset", "--all", "--json", socket)
        assert code == 0
        assert json.loads(out)["trips"] == []
        assert await answered_by(client) == FIRST
    code, _, err = await run("trip", "opennai", socket)
    assert code == 1
    assert "did you mean openai" in err


async def test_stand_ins_for_a_third_of_a_class_raise_an_alert_once(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon("[health]\ndegraded_volume = 3\nfailures_in_a_row = 100\n")
    async with daemon.client() as client:
        models = await classes_first_models(client)
        for name in models:
            await client.acommand("trip", name=name, kind="model")
        replies = [await client.acomplete(SIDE.target, "hello") for _ in range(5)]
        assert all(reply.degraded for reply in replies)
        rows = (await client.acommand("status"))["degraded"]
        assert [(row["percent"], row["alert"]) for row in rows] == [(100.0, True)]
    lines = await daemon.events()
    told = [line for line in lines if line["event"] == "degraded_rising"]
    assert [line["level"] for line in told] == ["critical"]


async def classes_first_models(client: Client) -> list[str]:
    """Return the models of the class that is asked for, and those that back them."""
    plan = await client.acommand("plan", target=SIDE.target, messages="x", options={})
    own = [route["model"] for route in plan["plan"]["routes"] if route["degraded"] is None]
    own += [
        item["deployment"].partition("/")[2]
        for item in plan["plan"]["dropped"]
        if item["code"] == "beyond_three"
    ]
    return sorted(set(own))
