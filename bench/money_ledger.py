"""What the ledger takes and answers: records a second, a late loop, a month's questions, a start.

Rules of this file: every ledger is a real file in the folder given, written by the ledger's own
code. Time is that on the clock, since a disk has its part in it; the CPU of the writer's thread
stands beside it. Nothing may be lost: a record that is, ends the bench.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.machine import thread_cpu_seconds
from bench.measures import Numbers, percentile
from bench.money_holds import forget_the_heap, nine_budgets
from bench.money_traffic import (
    MONTH,
    MONTH_NS,
    NEXT_MONTH,
    full_record,
    intents_of,
    month_of_calls,
)
from routerd.app.money import read_sums
from routerd.budget.budgets import Budgets
from routerd.domain import Intent, Record
from routerd.ledger import Ledger, LedgerReader
from routerd.ledger.batch import transaction
from routerd.ledger.opening import OpenLedger, open_for_writing
from routerd.ledger.rows import INSERT_ATTEMPT, attempt_rows
from routerd.ledger.spending import SpendQuestion, spend
from routerd.ledger.totals import Totals
from routerd.telemetry.events import Event

__all__ = [
    "QUESTIONS",
    "RATES",
    "MonthOfCalls",
    "ask_month",
    "build_month",
    "lateness",
    "start_from",
    "sustained",
]

Tell = Callable[[str], None]
RATES: Final = (1000, 5000)
TICK: Final = 0.001
# So many wait in memory at most while the writer is driven as hard as it goes.
MOST_WAITING: Final = 4000
# Increments of so many calls are merged before they are written: the sums do not depend on it.
CHUNK: Final = 50_000
CACHE_KIB: Final = 512 * 1024
ASKED_TIMES: Final = 5
ASKED_SECONDS: Final = 10.0

QUESTIONS: Final[dict[str, SpendQuestion]] = {
    "--by tenant": SpendQuestion(by=("tenant",), since=MONTH, until=NEXT_MONTH),
    "--by tenant,model": SpendQuestion(by=("tenant", "model"), since=MONTH, until=NEXT_MONTH),
    "--by tenant --users": SpendQuestion(by=("tenant",), since=MONTH, until=NEXT_MONTH, users=True),
    "--by tenant, from the 2nd on": SpendQuestion(
        by=("tenant",), since=MONTH + timedelta(days=1), until=NEXT_MONTH
    ),
    "--by day": SpendQuestion(by=("day",), since=MONTH, until=NEXT_MONTH),
}


class MonthOfCalls(Struct, frozen=True):
    """A ledger with the totals of a month of calls, and the rows of some of their attempts."""

    calls: int
    attempts: int
    month_rows: int
    day_rows: int
    totals_bytes: int
    attempts_bytes: int


async def sustained(path: Path, count: int, *, snapshot: bool) -> Numbers:
    """Write as fast as the writer takes it, an intent before each attempt as calls do."""
    chance = random.Random(1)
    load = [
        (record, intents_of(record))
        for record in (full_record(number, chance, snapshot=snapshot) for number in range(count))
    ]
    forget_the_heap()
    ledger = Ledger(path)
    await ledger.start()
    own = threading.get_native_id()
    before, began_at = _cpu_of_others(own), time.perf_counter()
    for record, intents in load:
        _write(ledger, record, intents)
        while ledger.waiting > MOST_WAITING:  # noqa: ASYNC110 - its thread tells nobody
            await asyncio.sleep(TICK)
    await ledger.flush()
    taken, cpu = time.perf_counter() - began_at, _cpu_of_others(own) - before
    await _close(ledger)
    return {
        "records_a_second": count / taken,
        "writer_cpu_us": cpu / count * 1e6,
        "bytes": path.stat().st_size / count,  # noqa: ASYNC240 - nothing runs any more
    }


async def lateness(path: Path | None, rate: int, seconds: float) -> Numbers:
    """Say how late a timer of a millisecond is while records are made, for a ledger or for none."""
    forget_the_heap()
    ledger = Ledger(path) if path is not None else None
    if ledger is not None:
        await ledger.start()
    late: list[float] = []
    feeding = asyncio.create_task(_feed(ledger, rate, seconds))
    while not feeding.done():
        began_at = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append((time.perf_counter() - began_at - TICK) * 1e6)
    await feeding
    if ledger is not None:
        await ledger.flush()
        await _close(ledger)
    return {
        "p50_us": statistics.median(late),
        "p99_us": percentile(late, 0.99),
        "max_us": max(late),
    }


async def _feed(ledger: Ledger | None, rate: int, seconds: float) -> None:
    """Make records at a rate, those that are due every millisecond."""
    chance, began_at, made = random.Random(1), time.perf_counter(), 0
    while (passed := time.perf_counter() - began_at) < seconds:
        while made < passed * rate:
            record = full_record(made, chance, snapshot=False)
            intents = intents_of(record)
            if ledger is not None:
                _write(ledger, record, intents)
            made += 1
        await asyncio.sleep(TICK)


def build_month(path: Path, calls: int, attempts: int, tell: Tell) -> MonthOfCalls:
    """Make a ledger of a month: the totals of all calls, the rows of the attempts of some."""
    opened = open_for_writing(path, check_seconds=0.0, tell=_hear)
    connection = opened.connection
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        totals = Totals()
        for number, record in enumerate(month_of_calls(calls), 1):
            totals.add(record)
            if number % CHUNK == 0 or number == calls:
                with transaction(connection):
                    totals.write(connection)
                totals = Totals()
                tell(f"totals of {number:,} of {calls:,} calls")
        totals_bytes = _emptied_log(opened, path)
        rows = []
        for number, record in enumerate(month_of_calls(attempts), 1):
            rows += attempt_rows(record)
            if number % CHUNK == 0 or number == attempts:
                with transaction(connection):
                    connection.executemany(INSERT_ATTEMPT, rows)
                rows.clear()
                tell(f"rows of {number:,} of {attempts:,} attempts")
        attempts_bytes = _emptied_log(opened, path) - totals_bytes
        (month_rows,) = connection.execute("SELECT count(*) FROM month_totals").fetchone()
        (day_rows,) = connection.execute("SELECT count(*) FROM day_totals").fetchone()
    finally:
        opened.close()
    return MonthOfCalls(calls, attempts, month_rows, day_rows, totals_bytes, attempts_bytes)


def ask_month(path: Path, month: MonthOfCalls, name: str) -> Numbers:
    """Ask one of the questions some times, as the daemon's worker thread does."""
    reader, question = LedgerReader(path), QUESTIONS[name]
    taken: list[float] = []
    rows = 0
    while len(taken) < ASKED_TIMES and sum(taken) < ASKED_SECONDS:
        began_at = time.perf_counter()
        answer = reader.ask(partial(spend, question=question))
        taken.append(time.perf_counter() - began_at)
        rows = len(answer.rows)
        if question.since == MONTH and answer.total.calls != month.calls:
            raise ValueError(f"{answer.total.calls} calls of {month.calls}")
    return {"p50_ms": statistics.median(taken) * 1000, "max_ms": max(taken) * 1000, "rows": rows}


async def start_from(path: Path) -> Numbers:
    """Open the month's ledger and fill nine budgets with it, at the end of the month's last day."""
    ledger = Ledger(path)
    began_at = time.perf_counter()
    await ledger.start()
    opened_at = time.perf_counter()
    now = MONTH_NS / 1e9 + (NEXT_MONTH - MONTH).total_seconds() - 1
    budgets = Budgets(nine_budgets())
    seeds, _ = await ledger.ask(
        lambda connection: read_sums(connection, budgets.definitions, [], now)
    )
    budgets.seed(seeds, now)
    seeded_at = time.perf_counter()
    await _close(ledger)
    return {
        "open_ms": (opened_at - began_at) * 1000,
        "seed_ms": (seeded_at - opened_at) * 1000,
        "counters": len(seeds),
    }


def _write(ledger: Ledger, record: Record, intents: list[Intent]) -> None:
    for intent in intents:
        if not ledger.intend(intent):
            raise ValueError("an intent was not taken")
    ledger.write(record)


async def _close(ledger: Ledger) -> None:
    await ledger.close()
    if ledger.lost:
        raise ValueError(f"{ledger.lost} records are lost")


def _cpu_of_others(own: int) -> float:
    """Return the CPU seconds of all threads of this process but one."""
    spent = thread_cpu_seconds(os.getpid())
    return sum(seconds for thread, seconds in spent.items() if thread != own)


def _emptied_log(opened: OpenLedger, path: Path) -> int:
    """Move the log into the database; returns the size of that."""
    opened.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return path.stat().st_size


def _hear(event: Event) -> None:
    """Nothing is expected to be told of a new file."""
    raise ValueError(event)
