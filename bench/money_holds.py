"""What the money of one attempt costs in CPU: holds in all scopes, a key, an intent.

Rules of this file: nothing is waited for, so the clock is the CPU time of this thread. It is read
around each attempt, and what two readings cost is taken off. The wall clock that counters see goes
on by a millisecond an attempt, so that minutes come and go.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.measures import Numbers, percentile
from bench.money_traffic import MONTH_NS, Caller, a_caller, provider_of
from routerd.budget.budgets import Budgets
from routerd.budget.definitions import CALLERS, SERVERS, Definition, read_budgets
from routerd.budget.holds import Hold, Spending
from routerd.budget.key import KeyLimits
from routerd.budget.keys import KeyHold, Keys
from routerd.domain import Intent
from routerd.ledger import Ledger
from routerd.settings import Budget, Budgeting

__all__ = ["STEPS", "Money", "forget_the_heap", "nine_budgets", "one_round"]

USERS: Final = 50
CALLERS_KEPT: Final = 500
# So large that nothing is refused and no mark is reached.
DOLLARS: Final = 1_000_000_000
COUNT: Final = 10**15
BOUND: Final = 2_000_000
COST: Final = 1_234_567
BOUND_TOKENS: Final = 2_000
TOKENS: Final = 1_000
MILLISECOND: Final = 0.001


class Place(Struct, frozen=True):
    """One call of the load: who spends, where it goes, the counters a bare dict has for it."""

    caller: Caller
    names: tuple[str | None, ...]
    place: tuple[str, str, str]
    counters: tuple[tuple[str, str], ...]


class Money:
    """Budgets, keys and a load for them; `ledger` takes the intents where there is one."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.budgets = Budgets(nine_budgets())
        self.ledger = ledger
        self.held: dict[tuple[str, str], int] = {}
        self.spent: dict[tuple[str, str], int] = {}
        chance = random.Random(1)
        self.places = [_place(a_caller(chance, USERS)) for _ in range(CALLERS_KEPT)]
        for each in self.places:
            self.held |= dict.fromkeys(each.counters, 0)
            self.spent |= dict.fromkeys(each.counters, 0)
        limits = tuple(
            KeyLimits(name, calls_a_minute=COUNT, tokens_a_minute=COUNT) for name in ("one", "two")
        )
        self.keys = Keys({each.place[1]: limits for each in self.places}, ())

    def at(self, number: int) -> tuple[Place, float]:
        """Return the call of a number, and when it is made."""
        return self.places[number % CALLERS_KEPT], MONTH_NS / 1e9 + number * MILLISECOND


def nine_budgets() -> tuple[Definition, ...]:
    """Return a cap in dollars on a month of everybody's, and of all; a rate for each tenant."""
    budgets: dict[str, Budget] = {
        dimension: Budget(each=dimension, window="month", dollars=DOLLARS)
        for dimension in (*CALLERS, *SERVERS)
    }
    budgets["rate"] = Budget(each="tenant", window="1m", calls=COUNT, tokens=COUNT)
    budgets["everything"] = Budget(window="month", dollars=DOLLARS)
    return read_budgets(budgets, Budgeting())


def bare_dict(money: Money, number: int) -> None:
    """Count in nine places of a dict, with no cap, no window and nothing kept: the floor."""
    each, _ = money.at(number)
    held, spent = money.held, money.spent
    for counter in each.counters:
        held[counter] += BOUND
    for counter in each.counters:
        held[counter] -= BOUND
        spent[counter] += COST


def hold_and_settle(money: Money, number: int) -> None:
    each, at = money.at(number)
    _hold(money, each, at).settle(COST, TOKENS)


def with_key(money: Money, number: int) -> None:
    each, at = money.at(number)
    key = _choose(money, each, at)
    hold = _hold(money, each, at)
    key.settle(TOKENS, sent=True)
    hold.settle(COST, TOKENS)


def with_intent(money: Money, number: int) -> None:
    each, at = money.at(number)
    key = _choose(money, each, at)
    hold = _hold(money, each, at)
    if money.ledger is None or not money.ledger.intend(_intent(number, each, hold, key)):
        raise ValueError("the intent was not taken")
    key.settle(TOKENS, sent=True)
    hold.settle(COST, TOKENS)


# What is measured, by name, each with what is on; the first is the floor.
STEPS: Final[dict[str, Callable[[Money, int], None]]] = {
    "bare_dict": bare_dict,
    "hold": hold_and_settle,
    "key": with_key,
    "intent": with_intent,
}


def forget_the_heap() -> None:
    """Have the collector leave alone what is there, as the daemon does at the end of its start."""
    gc.collect()
    gc.freeze()


async def one_round(folder: Path, attempts: int) -> dict[str, Numbers]:
    """Measure every step once, each with counters of its own."""
    ledger = Ledger(folder / "intents.db")
    await ledger.start()
    forget_the_heap()
    try:
        clock = _clock_ns()
        return {name: _timed(Money(ledger), step, attempts, clock) for name, step in STEPS.items()}
    finally:
        await ledger.close()


def _timed(
    money: Money, step: Callable[[Money, int], None], attempts: int, clock: float
) -> Numbers:
    """Run a step so many times, after a tenth more to fill what is looked up once."""
    warm = attempts // 10
    for number in range(warm):
        step(money, number)
    read = time.thread_time_ns
    taken: list[float] = []
    for number in range(warm, warm + attempts):
        began_at = read()
        step(money, number)
        taken.append(read() - began_at - clock)
    if money.budgets.holds:
        raise ValueError("something is still held")
    return {
        "p50_us": statistics.median(taken) / 1000,
        "p99_us": percentile(taken, 0.99) / 1000,
    }


def _clock_ns() -> float:
    """Return what two readings of the clock cost by themselves."""
    read = time.thread_time_ns
    return statistics.median(-read() + read() for _ in range(10_000))


def _place(caller: Caller) -> Place:
    provider = provider_of(caller.model)
    names = (caller.tenant, caller.team, caller.agent, caller.user, caller.feature)
    known = dict(zip((*CALLERS, *SERVERS), (*names, provider, caller.model), strict=True))
    counters = (*known.items(), ("rate", caller.tenant), ("everything", ""))
    return Place(caller, names, (f"{provider}/{caller.model}", provider, caller.model), counters)


def _hold(money: Money, each: Place, at: float) -> Hold:
    hold = money.budgets.hold(Spending(each.names), each.place, BOUND, BOUND_TOKENS, at)
    if not isinstance(hold, Hold):
        raise TypeError(hold.detail)
    return hold


def _choose(money: Money, each: Place, at: float) -> KeyHold:
    deployment, provider, _ = each.place
    key = money.keys.choose(deployment, provider, BOUND_TOKENS, at)
    if not isinstance(key, KeyHold):
        raise TypeError(key.detail)
    return key


def _intent(number: int, each: Place, hold: Hold, key: KeyHold) -> Intent:
    caller = each.caller
    return Intent(
        decision_id=f"{number:032x}",
        number=1,
        call_id="call",
        peer_uid=1000,
        at_ms=int(hold.at * 1000),
        target="smart",
        stream=True,
        deployment=hold.deployment,
        model=hold.model,
        provider=hold.provider,
        server="provider.example:443",
        reason="first",
        held_nanodollars=hold.nanodollars,
        input_tokens=BOUND_TOKENS - 500,
        output_tokens=500,
        model_class="flagship",
        key=key.name,
        tenant=caller.tenant,
        team=caller.team,
        agent=caller.agent,
        user=caller.user,
        feature=caller.feature,
        task=caller.task,
    )
