"""The ledger beside the provider's own invoice: kill -9 at any moment loses no spend.

The simulator keeps books of its own and knows nothing of the ledger. It tells calls apart by the
length of their prompts, which is different for each; the ledger by their user, which is too.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from routerd.simulate import Fault, Pacing, Simulator
from routerd_client import Client
from tests.e2e.asking import SIDES, WAYS, Heard, ask, name_of, until_idle
from tests.e2e.conftest import MOVING, NO_DISCOVERY, PROVIDERS, Daemon
from tests.e2e.money import (
    AttemptRow,
    attempt_rows,
    budget_rows,
    query,
    spent_in_ledger,
)
from tests.e2e.processes import routerd_beside

Launch = Callable[..., Daemon]

KILLS: Final = 50
CALLERS: Final = 12
TENANTS: Final = ("acme", "globex", "initech")
BYTES_PER_TOKEN: Final = 4
PATIENCE_SECONDS: Final = 60.0
# Quickly ready, and with budgets that are filled from the ledger at each start.
CONFIGURATION: Final = f"""\
{NO_DISCOVERY}
{MOVING}
[egress]
warm_connections = 0
[budgets.all]
window = "30d"
dollars = 1_000_000
calls = 1_000_000
[budgets.tenants]
each = "tenant"
window = "30d"
dollars = 1_000_000
{PROVIDERS}"""
PACING: Final = Pacing(think_seconds=0.05, tokens_per_second=400)
# What goes wrong at the provider during one life of the daemon.
FAULTS: Final[tuple[tuple[Fault, ...], ...]] = (
    (),
    (),
    (Fault(kind="status", status=503, times=3),),
    (Fault(kind="cut", times=3),),
    (Fault(kind="reset", times=3),),
    (Fault(kind="missing_end", times=2), Fault(kind="error_in_stream", times=2)),
)
# What the daemon itself saw end before the provider said what it used.
SEEN_TO_BREAK: Final = {"cancelled", "connection", "bad_answer", "overloaded", "server_error"}
DIED: Final = "connection_lost"


class Load:
    """Callers that never stop asking until they are told to, each call different from all others.

    `heard` is what came back, by the number of the call.
    """

    def __init__(self, client: Client, dice: random.Random) -> None:
        self.heard: dict[int, Heard] = {}
        self.stopping = False
        self._client = client
        self._dice = dice
        self._numbers = itertools.count(2)

    async def run(self) -> None:
        """Ask one call after the other."""
        while not self.stopping:
            number, dice = next(self._numbers), self._dice
            way, side = dice.choice(WAYS), dice.choice(SIDES)
            tenant, restart = dice.choice(TENANTS), dice.random() < 0.2
            # A blocking call cannot be left.
            leaves_after = dice.uniform(0, 0.2) if dice.random() < 0.1 else PATIENCE_SECONDS
            with anyio.move_on_after(leaves_after):
                self.heard[number] = await ask(
                    self._client,
                    way,
                    side.target,
                    prompt(number),
                    tenant=tenant,
                    user=user(number),
                    restart=restart,
                )


def prompt(number: int) -> str:
    return "word" * number


def user(number: int) -> str:
    return f"user {number}"


class Invoice:
    """What the simulator bills, by the user of the call and the deployment.

    `extra` are the tokens of a prompt, by vendor, that are not those of its words.
    """

    def __init__(self, simulator: Simulator, extra: dict[str, int]) -> None:
        self.amounts: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        self.total = 0
        for attempt in simulator.account.attempts:
            assert attempt.outcome != "running"
            if attempt.billed_nanodollars:
                number = attempt.usage.input - extra[attempt.vendor]
                self.amounts[user(number), name_of(attempt)][attempt.billed_nanodollars] += 1
                self.total += attempt.billed_nanodollars


async def extra_tokens(client: Client, simulator: Simulator) -> dict[str, int]:
    """Ask each vendor the first call, and return by how much it counts a prompt above its words."""
    extra = {}
    for side in SIDES:
        await client.acomplete(side.target, prompt(1), user=user(1))
        extra[side.vendor] = simulator.account.attempts[-1].usage.input - 1
    return extra


@contextmanager
def seeded() -> Iterator[random.Random]:
    """Give dice; a failure says how they were seeded."""
    seed = random.SystemRandom().randrange(2**32)
    try:
        yield random.Random(seed)
    except BaseException as error:
        error.add_note(f"the dice were seeded with {seed}")
        raise


async def random_moment(dice: random.Random, simulator: Simulator, daemon: Daemon) -> None:
    """Wait for a moment at which the daemon may die: while it starts, or at some call of its life.

    Moments are told by what the provider saw, so that a slow machine has them too.
    """
    if dice.random() < 0.2:
        await anyio.sleep(dice.uniform(0, 1.0))
        return
    calls = simulator.account.total.requests + dice.randrange(1, 40)
    while simulator.account.total.requests < calls:
        if daemon.process.poll() is not None:
            log = await anyio.to_thread.run_sync(lambda: daemon.log)
            raise AssertionError(f"it ended with {daemon.process.returncode}: {log[-2_000:]}")
        await anyio.sleep(0.005)
    # Anywhere in an answer.
    await anyio.sleep(dice.uniform(0, 0.2))


@pytest.mark.time_limit(300)
async def test_fifty_kills_under_load_lose_no_spend_and_make_none(
    launch: Launch, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.pacing = PACING
    file = tmp_path / "routerd.toml"
    await anyio.Path(file).write_text(CONFIGURATION.format(url=simulator.base_url))

    async def start() -> Daemon:
        return await anyio.to_thread.run_sync(lambda: launch(f"--config={file}"))

    with seeded() as dice:
        daemon = await start()
        async with Client(daemon.socket, connect_patience=PATIENCE_SECONDS) as client:
            extra = await extra_tokens(client, simulator)
            load = Load(client, dice)
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(load.run)
                for _ in range(KILLS):
                    simulator.script.replace(dice.choice(FAULTS))
                    await random_moment(dice, simulator, daemon)
                    await anyio.to_thread.run_sync(daemon.kill)
                    daemon = await start()
                simulator.script.replace(())
                load.stopping = True
            await until_idle(client)
            await simulator.until(lambda account: account.total.running == 0)
            await check_budgets(client, daemon)
            invoice = Invoice(simulator, extra)
            rows = await attempt_rows(daemon.ledger)
            check_coverage(invoice, rows)
            check_what_was_estimated(rows)
            check_sums(invoice, rows, await sums_of(daemon.ledger))
            check_calls(load, await calls_of(daemon.ledger), rows)
            # And once more through an orderly end.
            assert await anyio.to_thread.run_sync(daemon.stop) == 0
        daemon = await start()
        async with Client(daemon.socket, connect_patience=PATIENCE_SECONDS) as client:
            await check_budgets(client, daemon)
        assert await attempt_rows(daemon.ledger) == rows


async def calls_of(ledger: Path) -> list[tuple[Any, ...]]:
    """Return of every call its ids, its user, how often it was sent again, and its cost."""
    columns = "decision_id, call_id, user, sends, cost_nanodollars, cost_basis"
    return await query(ledger, f"SELECT {columns} FROM calls")


async def sums_of(ledger: Path) -> tuple[int, ...]:
    """Return calls, requests, cost, and the estimated and the unknown part of it, from totals."""
    columns = ("calls", "requests", "cost_nanodollars", "estimated_nanodollars", "unknown_requests")
    sums = ", ".join(f"sum({name})" for name in columns)
    by_day, by_month = [
        await query(ledger, f"SELECT {sums} FROM {table}")
        for table in ("day_totals", "month_totals")
    ]
    assert by_day == by_month
    return by_day[0]


def check_coverage(invoice: Invoice, rows: list[AttemptRow]) -> None:
    """See that each request that was billed is in the ledger, at no less where the daemon died.

    What the ledger measured was billed so, to the nanodollar, and once.
    """
    own = defaultdict(list)
    for row in rows:
        if row.sent:
            own[str(row.user), row.deployment].append(row)
    for key in invoice.amounts.keys() | own.keys():
        billed = invoice.amounts[key].copy()
        for row in own[key]:
            if row.cost_basis == "measured" and row.cost_nanodollars:
                billed[row.cost_nanodollars] -= 1
                assert billed[row.cost_nanodollars] >= 0, f"{key}: {row} was not billed"
        open_bills = sorted(billed.elements(), reverse=True)
        estimated = [row for row in own[key] if row.cost_basis == "estimated"]
        # What is held is more than any bill, so it comes first.
        estimated.sort(key=lambda row: -(row.cost_nanodollars or 0))
        assert len(open_bills) <= len(estimated), f"{key}: {open_bills} not in {own[key]}"
        for amount, row in zip(open_bills, estimated, strict=False):
            assert row.cost_nanodollars is not None
            assert row.error_class != DIED or row.cost_nanodollars >= amount, f"{key}: {row}"


def check_what_was_estimated(rows: list[AttemptRow]) -> None:
    """See that only what nobody saw the end of is estimated, and that all of it happened."""
    classes = Counter(row.error_class for row in rows if row.cost_basis == "estimated")
    assert classes.keys() <= SEEN_TO_BREAK | {DIED}, classes
    assert classes[DIED] >= KILLS // 2, classes
    assert not any(row.cost_basis == "unknown" for row in rows)
    measured = [row for row in rows if row.cost_basis == "measured" and row.cost_nanodollars]
    assert len(measured) > KILLS


def check_sums(invoice: Invoice, rows: list[AttemptRow], sums: tuple[int, ...]) -> None:
    """See that the totals are those of the attempts, and no less than the invoice."""
    sent = [row for row in rows if row.sent]
    cost = {
        basis: sum(row.cost_nanodollars or 0 for row in sent if row.cost_basis == basis)
        for basis in ("measured", "estimated")
    }
    assert sums == (
        sum(row.first for row in sent),
        len(sent),
        sum(cost.values()),
        cost["estimated"],
        0,
    )
    assert sum(cost.values()) >= invoice.total


def check_calls(load: Load, calls: list[tuple[Any, ...]], rows: list[AttemptRow]) -> None:
    """See that a call is one row, also one that was sent again, at what its caller was told."""
    assert len({call_id for _, call_id, *_ in calls}) == len(calls)
    assert any(sends for _, _, _, sends, *_ in calls)
    users = Counter(name for _, _, name, *_ in calls)
    assert users.pop(user(1)) == len(SIDES)
    assert set(users.values()) == {1}
    of_call: dict[str, int] = defaultdict(int)
    for row in rows:
        of_call[row.decision_id] += row.cost_nanodollars or 0
    by_user = {}
    for decision_id, _, name, _, cost, basis in calls:
        assert cost == of_call[decision_id]
        by_user[name] = decision_id, cost, basis
    for number, heard in load.heard.items():
        if heard.reply is None:
            continue
        decision_id, cost, basis = by_user[user(number)]
        assert decision_id == heard.reply.decision_id
        # The daemon may have died between the last word and the record.
        told = heard.reply.cost_nanodollars
        assert cost == told if basis == "measured" else cost >= told


async def check_budgets(client: Client, daemon: Daemon) -> None:
    """See that every counter is what the ledger says, and that nothing is held."""
    rows = await budget_rows(client)
    assert {row["held"] for row in rows} == {0}
    assert all(not row["holders"] for row in rows)
    all_dollars, all_calls = (row for row in rows if row["budget"] == "all")
    assert all_dollars["spent"] == await spent_in_ledger(daemon.ledger)
    [(calls,)] = await query(daemon.ledger, "SELECT count(*) FROM attempts WHERE first")
    assert all_calls["spent"] == calls
    since = (datetime.now(UTC) - timedelta(days=40)).date()
    asked = ("spend", "--by=tenant", f"--since={since}", "--simulated", "--json")
    environ = {"ROUTERD_SOCKET": str(daemon.socket)}
    shown = await routerd_beside(*asked, home=daemon.folder, environ=environ)
    assert shown.returncode == 0, shown.stderr
    spent = {
        f"tenant {row['names']['tenant']}" if row["names"]["tenant"] else "no tenant named": row[
            "cost_nanodollars"
        ]
        for row in json.loads(shown.stdout)["rows"]
    }
    assert spent == {row["scope"]: row["spent"] for row in rows if row["budget"] == "tenants"}
    assert len(spent) == len(TENANTS) + 1
