"""Identical calls: one answer for all of them, which costs nothing the second time and says so."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import pytest

from routerd.simulate import Simulator, expected_text
from routerd_client import Options, Usage
from tests.e2e.asking import PROMPT, WAYS, Heard, Way, ask, explain, until_idle, until_running
from tests.e2e.conftest import Daemon
from tests.e2e.money import budget_rows, spent_in_ledger
from tests.e2e.processes import routerd_beside

StartDaemon = Callable[..., Awaitable[Daemon]]

KEPT: Final = """
[cache.shortcuts.fast]
seconds = 600
[budgets.all]
window = "30d"
dollars = 100
calls = 100
"""


@pytest.mark.parametrize("way", WAYS)
async def test_an_identical_call_costs_nothing_and_says_so(
    start_daemon: StartDaemon, simulator: Simulator, way: Way
) -> None:
    daemon = await start_daemon(KEPT)
    async with daemon.client() as client:
        first, second = [
            await ask(client, way, "fast", tenant="acme", user=user) for user in ("ann", "bob")
        ]
        assert first.text == second.text == expected_text(first.answer.model, PROMPT)
        assert (first.answer.cached, second.answer.cached) == (False, True)
        paid, given = first.answer, second.answer
        assert paid.cost_nanodollars == simulator.account.total.billed_nanodollars
        assert (given.cost_nanodollars, given.cost_basis) == (0, "measured")
        assert (given.usage, given.attempts) == (Usage(), 0)
        assert (given.deployment, given.finish) == (paid.deployment, paid.finish)
        assert any(paid.decision_id in note for note in given.notes)
        record = await explain(client, given.decision_id)
        assert (record.cached, record.user, record.attempts) == (True, "bob", [])
        assert (await explain(client, paid.decision_id)).cached is False
        spent = {row["unit"]: row["spent"] for row in await budget_rows(client, "all")}
        assert spent == {"calls": 1, "nanodollars": paid.cost_nanodollars}
        assert await spent_in_ledger(daemon.ledger) == paid.cost_nanodollars
    assert simulator.account.total.requests == 1
    asked = ("spend", "--by=user", "--simulated", "--json")
    environ = {"ROUTERD_SOCKET": str(daemon.socket)}
    shown = await routerd_beside(*asked, home=daemon.folder, environ=environ)
    rows = {row["names"]["user"]: row for row in json.loads(shown.stdout)["rows"]}
    assert [(rows[user]["calls"], rows[user]["cached"]) for user in ("ann", "bob")] == [
        (1, 0),
        (1, 1),
    ]
    assert (rows["bob"]["requests"], rows["bob"]["cost_nanodollars"]) == (0, 0)
    printed = await routerd_beside("spend", "--simulated", home=daemon.folder, environ=environ)
    assert "cached" in printed.stdout.splitlines()[0]


async def test_what_is_not_identical_or_not_kept_is_asked_for(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    calls: list[tuple[str, Options]] = [
        ("fast", {"tenant": "acme"}),
        # Never across tenants, and another answer may be due.
        ("fast", {"tenant": "globex"}),
        ("fast", {}),
        ("fast", {"tenant": "acme", "temperature": 0.5}),
        ("fast", {"tenant": "acme", "max_output_tokens": 9}),
        # A shortcut that keeps nothing.
        ("cheap", {"tenant": "acme"}),
        ("cheap", {"tenant": "acme"}),
    ]
    daemon = await start_daemon(KEPT)
    async with daemon.client() as client:
        for number, (target, options) in enumerate(calls, 1):
            heard = await ask(client, "acomplete", target, **options)
            assert heard.answer.cached is False
            assert simulator.account.total.requests == number


async def test_identical_calls_in_flight_are_one_request(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    daemon = await start_daemon(KEPT)
    heard: list[Heard] = []

    async with daemon.client() as client:
        async with anyio.create_task_group() as tasks:

            async def one(way: Way) -> None:
                heard.append(await ask(client, way, "fast"))

            for way in WAYS * 5:
                tasks.start_soon(one, way)
            await until_running(client, len(WAYS) * 5)
            await simulator.until(lambda account: account.total.running == 1)
            [calls, dollars] = await budget_rows(client, "all")
            assert len(calls["holders"]) == len(dollars["holders"]) == 1
            door.set()
        await until_idle(client)
        rows = await budget_rows(client, "all")
    assert sum(one.answer.cost_nanodollars or 0 for one in heard) == (
        simulator.account.total.billed_nanodollars
    )
    assert sorted(one.answer.cached for one in heard) == [False] + [True] * (len(heard) - 1)
    assert {one.text for one in heard} == {expected_text(heard[0].answer.model, PROMPT)}
    assert [row["held"] for row in rows] == [0, 0]
    assert simulator.account.total.requests == 1


async def test_who_waited_asks_when_the_one_that_asked_hangs_up(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    daemon = await start_daemon(KEPT)
    heard: list[Heard] = []

    async with daemon.client() as client:

        async def wait() -> None:
            heard.append(await ask(client, "stream", "fast"))

        async with anyio.create_task_group() as waiting:
            async with anyio.create_task_group() as asking:
                asking.start_soon(ask, client, "stream", "fast")
                await simulator.until(lambda account: account.total.running == 1)
                waiting.start_soon(wait)
                waiting.start_soon(wait)
                await until_running(client, 3)
                asking.cancel_scope.cancel()
            await simulator.until(lambda account: account.total.requests == 2)
            door.set()
        await until_idle(client)
        rows = await budget_rows(client, "all")
    assert sorted(one.answer.cached for one in heard) == [False, True]
    assert [attempt.outcome for attempt in simulator.account.attempts] == ["aborted", "completed"]
    assert [(row["held"], row["holders"]) for row in rows] == [(0, []), (0, [])]
    assert {row["unit"]: row["spent"] for row in rows}["calls"] == 2
