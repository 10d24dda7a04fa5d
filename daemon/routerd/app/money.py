"""The daemon's money at its start: budgets and keys, filled with what the ledger says was spent.

Rules of this file: nothing is served before it is done, so that a restart forgets no spend. It asks
the ledger once and off the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from routerd.app.startup import Startup
from routerd.budget.budgets import Budgets, Seed
from routerd.budget.definitions import Definition
from routerd.budget.key import KeyLimits
from routerd.budget.keys import Day, Keys
from routerd.domain import Record
from routerd.errors import SettingsError
from routerd.execute.accounts import Accounts, spending_of, tokens_of
from routerd.ledger import Connection, Ledger
from routerd.ledger.sums import WindowSum, key_sums, window_sums
from routerd.models.directory import Directory
from routerd.telemetry.events import DefaultBudgetApplied, Event

__all__ = [
    "check_models",
    "key_limits",
    "open_accounts",
    "read_sums",
    "tell_default",
]


async def open_accounts(
    startup: Startup, directory: Directory, ledger: Ledger, tell: Callable[[Event], None]
) -> Accounts:
    """Return budgets and keys as the ledger left them; the ledger must be open."""
    refuses = startup.settings.budgeting.unknown_price == "refuse"
    budgets = Budgets(startup.budgets, refuse_unknown=refuses, tell=tell)
    keys = Keys(key_limits(startup), directory.deployments.values())
    now = time.time()
    spent, used = await ledger.ask(
        lambda connection: read_sums(connection, startup.budgets, keys.days(now), now)
    )
    budgets.seed(spent, now)
    for (deployment, key, since), amounts in used:
        keys.seed(deployment, key, since, now, amounts)
    # If the disk refuses, what a crash left behind is known, and in no table yet.
    waiting = {record.decision_id for record in await ledger.flush()}
    left = [record for record in ledger.recovered if record.decision_id in waiting]
    _charge(budgets, keys, left, now)
    check_models(startup, directory)
    tell_default(startup.budgets, tell)
    return Accounts(budgets, keys, ledger, tell, health=startup.settings.health)


def key_limits(startup: Startup) -> dict[str, tuple[KeyLimits, ...]]:
    """Return the limits of every key, by provider."""
    return {
        name: tuple(key.limits for key in item.keys) for name, item in startup.providers.items()
    }


def tell_default(budgets: Iterable[Definition], tell: Callable[[Event], None]) -> None:
    """Tell of the cap that nobody wrote, if it holds."""
    for budget in budgets:
        if budget.is_default and budget.nanodollars is not None:
            tell(DefaultBudgetApplied(daily_cents=budget.nanodollars / 10_000_000))


def read_sums(
    connection: Connection, budgets: Iterable[Definition], days: Iterable[Day], now: float
) -> tuple[list[Seed], list[tuple[Day, tuple[int, int]]]]:
    """Return what was spent of budgets, and what was used of the days of free tiers."""
    seeds = [
        _seed(budget, found)
        for budget in budgets
        for found in window_sums(
            connection,
            since_ms=int(budget.window.earliest(now) * 1000),
            now_ms=int(now * 1000),
            each=budget.each,
            filters=budget.filters,
            bucket_ms=budget.window.step * 1000 if budget.window.kind == "rolling" else None,
        )
        if found.name not in budget.apart
    ]
    used = [
        (day, key_sums(connection, deployment=day[0], key=day[1], since_ms=int(day[2] * 1000)))
        for day in days
    ]
    return seeds, used


def _seed(budget: Definition, found: WindowSum) -> Seed:
    calls = found.requests if budget.of_route else found.calls
    return Seed(
        budget.identity,
        found.name,
        found.at_ms / 1000,
        (found.nanodollars, calls, found.tokens),
    )


def _charge(budgets: Budgets, keys: Keys, records: Iterable[Record], now: float) -> None:
    """Count calls that were sent by a process that died."""
    for record in records:
        spending = spending_of(record)
        spending.is_counted = False
        for attempt in record.attempts:
            at = record.received_at_ns / 1e9 + attempt.started_us / 1e6
            tokens = tokens_of(attempt.usage)
            if attempt.sent:
                amounts = (attempt.cost_nanodollars or 0, tokens)
                budgets.charge(spending, (attempt.provider, attempt.model), at, amounts)
                keys.seed(attempt.deployment, attempt.key, at, now, (1, tokens))


def check_models(startup: Startup, directory: Directory) -> None:
    """Refuse a budget for a model that is nowhere: it would cap nothing."""
    for budget in startup.budgets:
        model = dict(budget.filters).get("model")
        if model is not None and model not in directory.models:
            near = get_close_matches(model, directory.models, n=3)
            raise SettingsError(
                f"{model!r} is no known model{'; near: ' + ', '.join(near) if near else ''}",
                file=startup.file or "",
                key=f"budgets.{budget.name}.model",
            )
