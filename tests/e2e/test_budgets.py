"""Caps are caps: five hundred callers race one at the real socket, and what fits goes through.

The provider's books say what was let through; the ledger and `routerd budgets` say the same. Where
calls must run at once, the provider thinks until the test opens its door.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from routerd.domain import Record
from routerd.simulate import Fault, Pacing, Simulator
from routerd_client import Client, RouterdError
from tests.e2e.asking import PROMPT, Heard, ask, explain, newest_record, until_idle, until_running
from tests.e2e.conftest import OPENAI, PROVIDERS, Daemon
from tests.e2e.money import budget_row, budget_rows, query, spent_in_ledger
from tests.e2e.processes import routerd_beside

StartDaemon = Callable[..., Awaitable[Daemon]]
# What a caller asked with, and what came back.
Asked = tuple[dict[str, Any], Heard]

CALLERS: Final = 500
# Whatever else OpenAI has costs more.
LUNA: Final = "openai/gpt-6-luna"
# The simulator as a vendor that bills: its provider is not declared to be simulated.
VENDOR: Final = """\
[providers.openai]
base_url = "{url}/openai/v1"
key_env = "A_KEY"
"""
A_KEY: Final = {"A_KEY": "sk-of-nobody"}
DEFAULT: Final = "default daily cap"


# --- racing ------------------------------------------------------------------------------------


@asynccontextmanager
async def racing(
    client: Client, simulator: Simulator, door: anyio.Event, options: list[dict[str, Any]]
) -> AsyncIterator[list[Asked]]:
    """Let everybody ask before anybody is answered.

    Inside the block all have asked and the refused ones are listed, after it all are.
    """
    heard: list[Asked] = []

    async def one(own: dict[str, Any]) -> None:
        heard.append((own, await ask(client, "acomplete", LUNA, max_output_tokens=64, **own)))

    async with anyio.create_task_group() as tasks:
        for own in options:
            tasks.start_soon(one, own)
        while len(heard) + simulator.account.total.requests < len(options):  # noqa: ASYNC110 - two
            await anyio.sleep(0.01)
        yield heard
        door.set()


def admitted(heard: list[Asked]) -> list[Asked]:
    """Return those who were answered; all others were refused for a budget."""
    answered = [one for one in heard if one[1].reply is not None]
    refused = [one.failure.code for _, one in heard if one.reply is None]
    assert set(refused) == {"budget_exceeded"}
    return answered


@pytest.mark.time_limit(60)
@pytest.mark.parametrize("cap", ["calls = 120", "tokens = 24_000", "dollars = 0.0048"])
async def test_five_hundred_race_a_cap(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event, cap: str
) -> None:
    daemon = await start_daemon(f'[budgets.cap]\nwindow = "30d"\n{cap}\n', providers=OPENAI)
    async with daemon.client() as client:
        async with racing(client, simulator, door, [{}] * CALLERS) as heard:
            held = await budget_row(client, "cap")
            refused = [one.failure for _, one in heard]
        [(_, first), *_] = answered = admitted(heard)
        needed = bound_of_one((await explain(client, first.decision_id)), held["unit"])
        fit = held["limit"] // needed
        assert 0 < fit < CALLERS
        assert (held["spent"], held["held"], len(held["holders"])) == (0, fit * needed, fit)
        assert len(answered) == fit
        assert len(refused) == CALLERS - fit
        for error in refused:
            check_refusal(error, held["limit"], needed)
        await until_idle(client)
        row = await budget_row(client, "cap")
    books = simulator.account.total
    assert books.requests == books.completed == fit
    assert books.billed_nanodollars == await spent_in_ledger(daemon.ledger)
    spent = {
        "calls": books.completed,
        "tokens": books.input_tokens + books.output_tokens,
        "nanodollars": books.billed_nanodollars,
    }
    assert (row["spent"], row["held"], row["holders"]) == (spent[row["unit"]], 0, [])
    sums = await query(daemon.ledger, "SELECT sum(calls), sum(refused) FROM day_totals")
    assert sums == [(fit, CALLERS - fit)]


def bound_of_one(record: Record, unit: str) -> int:
    """Return what one call of a race needs of a budget, as its decision says."""
    assert record.plan is not None
    [route, *_] = record.plan.routes
    bound = {"calls": 1, "tokens": route.bound_tokens, "nanodollars": route.bound_nanodollars}[unit]
    assert bound is not None
    return bound


def check_refusal(error: RouterdError, limit: int, needed: int) -> None:
    """See that a refusal names scope, limit, spent, held, and when it resets."""
    told = error.details
    assert (told["budget"], told["scope"], told["limit"]) == ("cap", "all calls", limit)
    taken = told["spent"] + told["held"]
    assert taken <= limit < taken + needed
    assert error.retry_after is not None
    assert error.retry_after > 0


@pytest.mark.time_limit(60)
async def test_users_seen_for_the_first_time_race_their_own_default(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    daemon = await start_daemon(
        '[budgets.users]\neach = "user"\nwindow = "30d"\ncalls = 3\n'
        '[budgets.alice]\nuser = "alice"\nwindow = "30d"\ncalls = 5\n'
    )
    users = [None, "alice", *(f"user {number}" for number in range(48))]
    scopes = {f"user {user}" if user else "no user named": user for user in users}
    # In turns, so that each is first seen while all the others are.
    everybody: list[dict[str, Any]] = [{"user": user} for user in users * 10]
    async with daemon.client() as client:
        async with racing(client, simulator, door, everybody) as heard:
            held = {row["scope"]: row["held"] for row in await budget_rows(client)}
        answered = Counter(options["user"] for options, _ in admitted(heard))
        assert answered == {user: 5 if user == "alice" else 3 for user in users}
        assert held == {scope: answered[user] for scope, user in scopes.items()}
        await until_idle(client)
        rows = await budget_rows(client)
    assert {row["held"] for row in rows} == {0}
    assert {row["scope"]: row["spent"] for row in rows} == held
    assert simulator.account.total.requests == answered.total()


@pytest.mark.parametrize("cap", ["calls = 20", "tokens = 4_000"])
async def test_a_rate_is_a_cap_on_each_minute_of_each_tenant(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event, cap: str
) -> None:
    daemon = await start_daemon(f'[budgets.rates]\neach = "tenant"\nwindow = "1m"\n{cap}\n')
    tenants = ["acme", "globex", None]
    everybody: list[dict[str, Any]] = [{"tenant": tenant} for tenant in tenants * 60]
    async with daemon.client() as client:
        async with racing(client, simulator, door, everybody) as heard:
            refused = [one.failure for _, one in heard]
            held, *_ = await budget_rows(client, "rates")
        [(_, first), *_] = answered = admitted(heard)
        needed = bound_of_one((await explain(client, first.decision_id)), held["unit"])
        fit = held["limit"] // needed
        assert 1 < fit < 60
        assert Counter(options["tenant"] for options, _ in answered) == dict.fromkeys(tenants, fit)
    for error in refused:
        assert error.retry_after is not None
        # A minute, and the second in which it was counted.
        assert 0 < error.retry_after <= 61


# --- without a budget --------------------------------------------------------------------------


async def test_with_keys_and_no_budget_a_daily_cap_applies(
    start_daemon: StartDaemon, simulator: Simulator, door: anyio.Event
) -> None:
    # Room for two answers of the length that is the limit where the caller sets none.
    daemon = await start_daemon(
        "[budgeting]\ndefault_daily_dollars = 0.02\n", providers=VENDOR, environ=A_KEY
    )
    log = await anyio.to_thread.run_sync(lambda: daemon.log)
    assert '"event":"default_budget_applied"' in log
    heard: list[Heard] = []

    async def one(client: Client) -> None:
        heard.append(await ask(client, "acomplete", LUNA))

    async with daemon.client() as client:
        [cap] = (await client.acommand("status"))["budgets"]
        assert (cap["budget"], cap["default"]) == (DEFAULT, True)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one, client)
            await simulator.until(lambda account: account.total.requests == 2)
            row = await budget_row(client, DEFAULT)
            assert (row["limit"], row["default"]) == (20_000_000, True)
            assert 0 < row["left"] < row["held"] // 2
            await until_running(client, 2)
            door.set()
        assert simulator.account.total.requests == 2
        [refused, *_] = heard
        assert refused.failure.code == "budget_exceeded"
        assert refused.failure.details["budget"] == DEFAULT
        record = await explain(client, heard[-1].decision_id)
        assert record.plan is not None
        assert {route.max_output_tokens for route in record.plan.routes} == {16_384}
        await until_idle(client)
        row = await budget_row(client, DEFAULT)
        assert (row["held"], row["spent"]) == (0, simulator.account.total.billed_nanodollars)
    environ = {"ROUTERD_SOCKET": str(daemon.socket)}
    for verb in ("status", "budgets"):
        shown = await routerd_beside(verb, home=daemon.folder, environ=environ)
        assert DEFAULT in shown.stdout, verb
        assert "$0.02" in shown.stdout, verb


@pytest.mark.parametrize(
    ("more", "providers"),
    [
        ('[budgets.mine]\nwindow = "month"\ndollars = 100\n', VENDOR),
        ("[budgeting]\ndefault_daily_dollars = 0\n", VENDOR),
        # Nobody bills.
        ("", PROVIDERS),
    ],
)
async def test_where_there_is_a_cap_or_no_bill_none_is_added(
    start_daemon: StartDaemon, more: str, providers: str
) -> None:
    daemon = await start_daemon(more, providers=providers, environ=A_KEY)
    assert "default_budget_applied" not in await anyio.to_thread.run_sync(lambda: daemon.log)
    async with daemon.client() as client:
        assert DEFAULT not in {row["budget"] for row in await budget_rows(client)}


# --- what a cap leaves -------------------------------------------------------------------------


async def test_a_backup_that_does_not_fit_is_skipped(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    # The model that is asked for fits, and the one behind it does not: what stands in serves.
    daemon = await start_daemon(
        '[budgets.models]\nmodel = "claude-haiku-5-5"\nwindow = "30d"\ndollars = 0\n'
    )
    simulator.script.replace([Fault(kind="status", status=500, vendor="openai")])
    async with daemon.client() as client:
        heard = await ask(client, "acomplete", "cheap")
        record = await newest_record(client)
    assert heard.answer.degraded
    assert record.plan is not None
    dropped = {item.deployment: item for item in record.plan.dropped if item.code == "budget"}
    assert dropped["anthropic/claude-haiku-5-5"].budget == "models"
    asked = {attempt.deployment for attempt in record.attempts}
    assert "anthropic/claude-haiku-5-5" not in asked
    assert heard.answer.provider == "anthropic"


async def test_a_smaller_answer_where_there_is_no_room_for_the_whole_one(
    start_daemon: StartDaemon, simulator: Simulator
) -> None:
    daemon = await start_daemon(
        '[budgeting]\nleast_output_tokens = 16\n[budgets.cap]\nwindow = "30d"\ntokens = 300\n',
        providers=OPENAI,
    )
    simulator.pacing = Pacing(output_tokens=1000)
    async with daemon.client() as client:
        reply = await client.acomplete(LUNA, PROMPT, max_output_tokens=900)
        assert reply.finish == "length"
        assert any("max_output_tokens was lowered" in note for note in reply.notes)
        row = await budget_row(client, "cap")
    assert (row["spent"], row["held"]) == (
        simulator.account.total.input_tokens + simulator.account.total.output_tokens,
        0,
    )
    assert row["spent"] <= 300
