"""What new counters begin with while calls go on: all that was spent before, each attempt once.

Rules of this file: an attempt is in the ledger's sums, or it ended and is known here only, or its
hold is open. The sums are of one moment, and of that same moment is the list of those attempts of
running and of just ended calls that are in them; all others that have ended are charges. Nothing
may be awaited between `read_spent` and the use of what it returns: holds are counted then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Final

from msgspec import Struct

from routerd.app.money import read_sums
from routerd.budget.budgets import Charge, Seed
from routerd.budget.definitions import Definition
from routerd.budget.keys import Day, Keys
from routerd.domain import Attempt, Record
from routerd.execute.accounts import spending_of, tokens_of
from routerd.execute.story import Story
from routerd.ledger import Connection, Ledger
from routerd.ledger.moment import attempts_of, one_moment

__all__ = ["Spent", "read_spent"]

# Each time after the first is for a copy of a call that came just then, or for midnight.
READINGS: Final = 4

Number = tuple[str, int]
Sums = tuple[list[Seed], list[tuple[Day, tuple[int, int]]]]


class Ended(Struct, frozen=True, eq=False):
    """An attempt that was sent and has ended, of whose call `counts_call` says if it is the first.

    `record` may still change otherwise.
    """

    record: Record
    attempt: Attempt
    counts_call: bool

    @property
    def at(self) -> float:
        """When it began, in seconds since the epoch."""
        return self.record.received_at_ns / 1e9 + self.attempt.started_us / 1e6


class Spent(Struct, frozen=True):
    """What was spent of budgets that are new, and what was used of `days` that are."""

    days: tuple[Day, ...] = ()
    seeds: tuple[Seed, ...] = ()
    used: tuple[tuple[Day, tuple[int, int]], ...] = ()
    unrecorded: tuple[Ended, ...] = ()

    def charges(self) -> list[Charge]:
        """Return what no sum has, as budgets count it."""
        return [
            Charge(
                spending_of(item.record).names,
                (item.attempt.provider, item.attempt.model),
                item.at,
                (item.attempt.cost_nanodollars or 0, tokens_of(item.attempt.usage)),
                item.counts_call,
            )
            for item in self.unrecorded
        ]

    def fill(self, keys: Keys, now: float) -> None:
        """Count in the new quotas of keys what was used of them, and what is held."""
        new = {(deployment, key) for deployment, key, _ in self.days}
        for (deployment, key, since), amounts in self.used:
            keys.seed(deployment, key, since, now, amounts)
        for item in self.unrecorded:
            attempt = item.attempt
            if (attempt.deployment, attempt.key) in new:
                amounts = (1, tokens_of(attempt.usage))
                keys.seed(attempt.deployment, attempt.key, item.at, now, amounts)
        keys.hold_open(self.days, now)


async def read_spent(
    ledger: Ledger,
    stories: Collection[Story],
    budgets: tuple[Definition, ...],
    new_days: Callable[[float], list[Day]],
) -> Spent:
    """Return what was spent up to now of budgets, and of the days that `new_days` tells of a time.

    `stories` are the calls that run, at every moment. LedgerUnreadable where the ledger cannot say.
    """
    if not budgets and not new_days(time.time()):
        return Spent()
    with ledger.following() as written:
        for left in reversed(range(READINGS)):
            now = time.time()
            days = new_days(now)
            # What the disk refuses is in memory only, and may have been for long.
            refused = await ledger.flush_in_time()
            known = {record.decision_id for record in refused}
            known.update(story.record.decision_id for story in stories)
            read = partial(_read, budgets, days, now, known, written)
            (seeds, used), asked, recorded = await ledger.ask(read)
            # A copy may go on from a call that was recorded and not asked for.
            is_whole = all(
                story.record.decision_id in asked or not story.record.sends for story in stories
            ) and all(item.decision_id in asked or not item.sends for item in written)
            if not left or (is_whole and not _has_turned(budgets, days, new_days, now)):
                break
        unrecorded = {
            number: item
            for number, item in _ended((*refused, *written), stories)
            if number not in recorded
        }
    return Spent(tuple(days), tuple(seeds), tuple(used), tuple(unrecorded.values()))


def _read(
    budgets: tuple[Definition, ...],
    days: list[Day],
    now: float,
    known: set[str],
    written: list[Record],
    connection: Connection,
) -> tuple[Sums, set[str], set[Number]]:
    """Add up, in a worker thread; says too which calls it asked for, and what it has of them."""
    with one_moment(connection):
        # Now, and not before: what is on disk at this moment is among them.
        asked = known | {record.decision_id for record in tuple(written)}
        return read_sums(connection, budgets, days, now), asked, attempts_of(connection, asked)


def _ended(records: Iterable[Record], stories: Iterable[Story]) -> Iterator[tuple[Number, Ended]]:
    """Yield all attempts that were sent and have ended, by the call and their number in it."""
    for record in records:
        yield from _sent(record, record.attempts)
    for story in stories:
        attempts = list(story.attempts)
        for number, item in _sent(story.record, attempts):
            # Of the one that runs there is a hold.
            if item.attempt.ended_us is not None or number[1] <= len(story.record.attempts):
                yield number, item


def _sent(record: Record, attempts: list[Attempt]) -> Iterator[tuple[Number, Ended]]:
    is_first = True
    for number, attempt in enumerate(attempts, 1):
        if attempt.sent:
            yield (record.decision_id, number), Ended(record, attempt, is_first)
            is_first = False


def _has_turned(
    budgets: Iterable[Definition],
    days: list[Day],
    new_days: Callable[[float], list[Day]],
    then: float,
) -> bool:
    """Say whether a day or a month has begun since then, so that sums are of the one before."""
    now = time.time()
    return new_days(now) != days or any(
        budget.window.kind != "rolling" and budget.window.span(then).until <= now
        for budget in budgets
    )
