"""The daemon's money at its start: budgets and keys, filled with what the ledger says was spent.

Rules of this file: nothing is served before it is done, so that a restart forgets no spend. It asks
the ledger once and off the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from routerd.app.startup import Startup
from routerd.budget.budgets import Budgets, Seed
from routerd.budget.definitions import DEFAULT_NAME, Definition
from routerd.budget.keys import Keys
from routerd.execute.accounts import Accounts
from routerd.ledger import Connection, Ledger
from routerd.ledger.sums import WindowSum, key_sums, window_sums
from routerd.models.directory import Directory
from routerd.telemetry.events import DefaultBudgetApplied, Event

__all__ = ["open_accounts", "policy_document"]

Day = tuple[str, str | None, float]


async def open_accounts(
    startup: Startup, directory: Directory, ledger: Ledger, tell: Callable[[Event], None]
) -> Accounts:
    """Return budgets and keys as the ledger left them; the ledger must be open."""
    refuses = startup.settings.budgeting.unknown_price == "refuse"
    budgets = Budgets(startup.budgets, refuse_unknown=refuses, tell=tell)
    limits = {
        name: tuple(key.limits for key in item.keys) for name, item in startup.providers.items()
    }
    keys = Keys(limits, directory.deployments.values())
    now = time.time()
    spent, used = await ledger.ask(
        lambda connection: _ask(connection, startup.budgets, keys.days(now), now)
    )
    budgets.seed(spent, now)
    for (deployment, key, since), amounts in used:
        keys.seed(deployment, key, since, now, amounts)
    for budget in startup.budgets:
        if budget.is_default and budget.nanodollars is not None:
            tell(DefaultBudgetApplied(daily_cents=budget.nanodollars / 10_000_000))
    return Accounts(budgets, keys, ledger, tell)


def policy_document(startup: Startup) -> bytes:
    """Return what calls are decided by besides the directory, as JSON; it holds no key."""
    settings = startup.settings
    return msgspec.json.encode(
        {
            "budgeting": settings.budgeting,
            "budgets": settings.budgets,
            "default": [item.name for item in startup.budgets if item.name == DEFAULT_NAME],
            "cache": settings.cache,
            "timeouts": settings.timeouts,
        },
        order="deterministic",
    )


def _ask(
    connection: Connection, budgets: tuple[Definition, ...], days: list[Day], now: float
) -> tuple[list[Seed], list[tuple[Day, tuple[int, int]]]]:
    seeds = [
        _seed(budget, found)
        for budget in budgets
        for found in window_sums(
            connection,
            since_ms=int(budget.window.earliest(now) * 1000),
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
