"""What tests about money read: shipped prices, the rows of a ledger, the state of budgets.

Rules of this file: it reads and computes; nothing is asserted here. A ledger is read from its file,
not through the daemon that wrote it, once that daemon has shown that all is on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import anyio.to_thread

from routerd.domain import Kind
from routerd.models import load_directory
from routerd.models.price import ListedPrice
from routerd.simulate import Price
from routerd_client import Client

__all__ = [
    "ATTEMPTS",
    "AttemptRow",
    "attempt_rows",
    "budget_row",
    "budget_rows",
    "prices_of_the_directory",
    "query",
    "spent_in_ledger",
]

ATTEMPTS: Final = (
    "SELECT decision_id, number, tenant, user, deployment, sent, first, error_class, "
    "cost_nanodollars, cost_basis FROM attempts ORDER BY started_ms, decision_id, number"
)
SPENT: Final = "SELECT ifnull(sum(cost_nanodollars + correction_nanodollars), 0) FROM attempts"
RATES: Final = Price.__struct_fields__


class AttemptRow(NamedTuple):
    """One row of the table of attempts, as far as tests look at it."""

    decision_id: str
    number: int
    tenant: str | None
    user: str | None
    deployment: str
    sent: int
    first: int
    error_class: str | None
    cost_nanodollars: int | None
    cost_basis: str


def prices_of_the_directory() -> dict[str, Price]:
    """Return the shipped prices as the simulator's books take them, without those for long calls.

    It reads files.
    """
    return {
        deployment.id: Price(**_rates(deployment.price, deployment.kind))
        for deployment in load_directory([]).deployments.values()
        if deployment.price is not None and _is_complete(deployment.price, deployment.kind)
    }


def _is_complete(price: ListedPrice, kind: Kind) -> bool:
    if kind != "chat":
        return price.input is not None or price.per_query is not None
    return price.input is not None and price.output is not None


def _rates(price: ListedPrice, kind: Kind) -> dict[str, Any]:
    """Return the rates of a price; what no chat is writes nothing."""
    rates = {rate: getattr(price, rate) for rate in RATES}
    if kind != "chat":
        rates |= {"input": price.input or 0, "output": 0, "per_query": price.per_query}
    return rates


async def query(ledger: Path, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Ask a ledger's file, while the test's own loop goes on."""

    def ask() -> list[tuple[Any, ...]]:
        uri = f"file:{quote(str(ledger))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return connection.execute(statement, values).fetchall()

    return await anyio.to_thread.run_sync(ask)


async def attempt_rows(ledger: Path) -> list[AttemptRow]:
    """Return all attempts, in order of time."""
    return [AttemptRow(*row) for row in await query(ledger, ATTEMPTS)]


async def spent_in_ledger(ledger: Path, where: str = "TRUE", *values: str | int) -> int:
    """Return what the attempts cost together, in nanodollars."""
    [(spent,)] = await query(ledger, f"{SPENT} WHERE {where}", *values)
    return int(spent)


async def budget_rows(client: Client, budget: str | None = None) -> list[dict[str, Any]]:
    """Return the counters of all budgets, or of one, once the ledger has all that was written."""
    await client.acommand("calls", limit=1)
    rows: Sequence[dict[str, Any]] = await client.acommand("budgets")
    return [row for row in rows if budget in (None, row["budget"])]


async def budget_row(client: Client, budget: str) -> dict[str, Any]:
    """Return the only counter of a budget."""
    [row] = await budget_rows(client, budget)
    return row
