"""Budgets that come while calls run count every attempt once, whatever ends while sums are read.

A budget that was there all along and one that comes later must agree, at that moment and at the
end. Reading is stopped at each of its steps, and calls end and begin meanwhile.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.app import refilling
from routerd.app.refilling import read_spent
from routerd.budget.definitions import read_budgets
from routerd.budget.key import KeyLimits
from routerd.budget.keys import Keys
from routerd.domain import Record
from routerd.ledger import Ledger
from routerd.ledger.batch import BatchWriter
from routerd.settings import Budget, Budgeting
from routerd_proto.frames import CallEnded, CallOptions
from tests.daemon.accept.app import App
from tests.daemon.budget.tiers import tier
from tests.daemon.execute.house import House, house
from tests.daemon.execute.scripted import (
    Exchange,
    Scene,
    Vendor,
    answer,
    cut,
    failing,
    silent,
    stalling,
    until,
)

CAPS: dict[str, Any] = {"dollars": 100, "calls": 1000, "tokens": 10_000_000}
THERE = {"there": Budget(window="day", **CAPS)}
COMES = {
    **THERE,
    "month": Budget(window="month", **CAPS),
    "hours": Budget(window="7h", **CAPS),
    "model": Budget(window="day", model="m", **CAPS),
    "tenant": Budget(window="day", tenant="acme", **CAPS),
    "each": Budget(window="25h", each="tenant", **CAPS),
}
ACME = CallOptions(tenant="acme")
# Steps of reading at which it can be stopped, in their order.
STEPS = ("one_moment", "attempts_of", "read_sums")


async def add(made: House, budgets: dict[str, Budget]) -> None:
    """Have the budgets as a reload does."""
    definitions = read_budgets(budgets, Budgeting())
    counted = made.pipeline.accounts.budgets
    new = counted.new_among(definitions)
    spent = await read_spent(made.ledger, made.pipeline.stories, new, lambda _now: [])
    counted.replace(definitions, spent.seeds, time.time(), charges=spent.charges())


def counters(made: House) -> dict[str, dict[str, tuple[int, int]]]:
    """Return what is spent and held, by budget and unit."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for row in made.pipeline.accounts.budgets.report(time.time()):
        found.setdefault(row["budget"], {})[row["unit"]] = (row["spent"], row["held"])
    return found


def check(made: House) -> dict[str, tuple[int, int]]:
    """Compare all budgets with the one that was there; one of a model counts requests."""
    rows = counters(made)
    there = rows.pop("there")
    requests = rows.pop("model")
    assert {name: row for name, row in rows.items() if row != there} == {}
    assert {**requests, "calls": there["calls"]} == there
    assert requests["calls"] >= there["calls"]
    return there


async def check_at_the_end(made: House, apps: list[App]) -> None:
    for app in apps:
        await app.close()
    await until(lambda: not made.pipeline.stories)
    # A disk that refused is tried again after a while.
    await until(lambda: not made.ledger.waiting)
    there = check(made)
    assert [held for _, held in there.values()] == [0, 0, 0]
    recorded = await made.ledger.ask(lambda connection: connection.execute(SPENT).fetchall())
    assert recorded == [(there["nanodollars"][0], there["calls"][0])]


SPENT = "SELECT sum(cost_nanodollars), sum(first) FROM attempts"


@contextmanager
def stopping_at(step: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Have the reading thread wait before a step; yields the event it sets and the one it needs."""
    reached, go_on = threading.Event(), threading.Event()
    original: Callable[..., Any] = getattr(refilling, step)

    def stop(*arguments: Any, **named: Any) -> Any:
        reached.set()
        assert go_on.wait(20)
        return original(*arguments, **named)

    monkeypatch.setattr(refilling, step, stop)
    try:
        yield reached, go_on
    finally:
        go_on.set()


@asynccontextmanager
async def while_reading(
    made: House, step: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Stop the reading before a step for as long as the block takes, then let it end."""
    with stopping_at(step, monkeypatch) as (reached, go_on):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add, made, COMES)
            await until(reached.is_set)
            yield
            # What was written meanwhile is on disk before the reading goes on.
            await made.ledger.flush()
            go_on.set()
    check(made)


def opening(door: anyio.Event, scene: Scene) -> Scene:
    """Play a scene once a door is open."""

    async def wait(exchange: Exchange) -> None:
        await door.wait()
        await scene(exchange)

    return wait


@pytest.mark.parametrize("step", STEPS)
async def test_calls_that_end_and_begin_while_sums_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    door = anyio.Event()
    scenes = [
        answer("before"),
        opening(door, answer("ends meanwhile")),
        # Charged, and tried once more: the first attempt is in no hold and in no record.
        cut(),
        silent,
        answer("begins and ends meanwhile"),
        silent,
    ]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, budgets=THERE) as made:
        await made.ask("before", options=ACME)
        ends = await made.begin("ends", options=ACME)
        await until(lambda: len(vendor.requests) == 2)
        apps = [ends, await made.begin("tried-twice", options=ACME)]
        await until(lambda: vendor.unplayed == 2)
        async with while_reading(made, step, monkeypatch):
            door.set()
            await ends.receive_until(CallEnded)
            await made.ask("meanwhile", options=ACME)
            apps.append(await made.begin("stays", options=ACME))
            await until(lambda: vendor.unplayed == 0)
        there = check(made)
        assert there["calls"] == (4, 1)
        await check_at_the_end(made, apps)


@pytest.mark.parametrize("step", STEPS)
async def test_a_call_that_is_sent_again_while_sums_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    scenes = [cut("recorded"), stalling("taken over"), silent, silent]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, budgets=THERE) as made:
        await made.ask("one", options=ACME)
        apps = [await made.begin("two", options=ACME)]
        await vendor.waiting.wait()
        async with while_reading(made, step, monkeypatch):
            # One goes on from its record, the other from what runs.
            apps += [await made.begin(name, options=ACME, sends=1) for name in ("one", "two")]
            await until(lambda: vendor.unplayed == 0)
        assert check(made)["calls"] == (2, 0)
        await check_at_the_end(made, apps)


async def test_what_the_disk_refuses_counts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = BatchWriter.write

    def refuse(writer: BatchWriter, records: list[Record], writes: Any = ()) -> None:
        if records:
            import sqlite3  # noqa: PLC0415 - the disk's own error

            raise sqlite3.OperationalError("disk is full")
        write(writer, records, writes)

    async with (
        Vendor(answer("a"), answer("b"), silent) as vendor,
        house(tmp_path, vendor, budgets=THERE) as made,
    ):
        await made.ask("on-disk", options=ACME)
        await made.ledger.flush()
        monkeypatch.setattr(BatchWriter, "write", refuse)
        await made.ask("in-memory", options=ACME)
        app = await made.begin("held", options=ACME)
        await until(lambda: vendor.unplayed == 0)
        await add(made, COMES)
        assert check(made)["calls"] == (2, 1)
        monkeypatch.setattr(BatchWriter, "write", write)
        await check_at_the_end(made, [app])


@pytest.mark.time_limit(60)
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_in_whatever_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    kinds = [answer("a"), cut("b"), cut(), failing(500), failing(400), stalling("c")]
    scenes = [chance.choice(kinds) for _ in range(400)]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, budgets=THERE) as made:
        apps: list[App] = []

        async def call(number: int) -> None:
            name = f"c{chance.randrange(number + 1)}"
            app = await made.begin(name, options=ACME, sends=chance.randrange(2))
            apps.append(app)
            # Cut off where a copy takes its place.
            with anyio.move_on_after(chance.random() / 5), suppress(AssertionError):
                await app.receive_until(CallEnded)
            await app.close()

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(call, number)
                for _ in range(chance.randrange(20)):
                    await checkpoint()
                if number % 6 == 5:
                    # They are new each time, since the ones before are dropped.
                    await add(made, THERE)
                    await add(made, COMES)
                    check(made)
        await check_at_the_end(made, apps)


@pytest.mark.parametrize("step", STEPS)
async def test_a_free_tier_that_comes_counts_what_was_used_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    limits = {"vendor": [KeyLimits(free={"*": tier(calls=10)})]}
    door = anyio.Event()
    scenes = [answer("before"), opening(door, answer("meanwhile")), cut(), silent]
    async with Vendor(*scenes) as vendor, house(tmp_path, vendor, budgets=THERE) as made:
        deployments = tuple(made.pipeline.rules.directory.deployments.values())
        accounts = made.pipeline.accounts
        found: list[Keys] = []

        async def replace() -> None:
            days = partial(accounts.keys.new_days, limits, deployments)
            spent = await read_spent(made.ledger, made.pipeline.stories, (), days)
            keys = accounts.keys.replaced(limits, deployments)
            spent.fill(keys, time.time())
            found.append(keys)

        await made.ask("before")
        ends = await made.begin("meanwhile")
        await until(lambda: len(vendor.requests) == 2)
        held = await made.begin("held")
        await until(lambda: vendor.unplayed == 0)
        with stopping_at(step, monkeypatch) as (reached, go_on):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(replace)
                await until(reached.is_set)
                door.set()
                await ends.receive_until(CallEnded)
                await made.ledger.flush()
                go_on.set()
        [keys] = found
        assert used_and_held(keys) == (3, 1)
        await held.close()
        await until(lambda: not made.pipeline.stories)
        assert used_and_held(keys) == (4, 0)


def used_and_held(keys: Keys) -> tuple[int, int]:
    [row] = keys.report_free(time.time())
    return row["used"], row["held"]


async def test_nothing_is_asked_where_nothing_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "ask", None)
    async with Vendor() as vendor, house(tmp_path, vendor, budgets=THERE) as made:
        more = {"there": Budget(window="day", dollars=1)}
        await add(made, more)
        assert list(counters(made)["there"]) == ["nanodollars"]
