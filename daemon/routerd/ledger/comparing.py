"""What a provider bills beside what the ledger says, for each day and model.

Rules of this file: pure functions on a connection that may only read. The ledger's side is that of
`spend`: days of UTC, corrections included, nothing simulated. A difference is the invoice's amount
less the ledger's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, Literal

from msgspec import Struct, field

from routerd.ledger.exports import BUCKETS, Invoice, InvoiceLine
from routerd.ledger.matching import groups_of
from routerd.ledger.selection import EPOCH

__all__ = ["Compared", "Counts", "compare", "known_providers"]

LEDGER_DAYS: Final = f"""
    SELECT day, deployment, model, sum(requests), sum(cost_nanodollars),
        sum(estimated_nanodollars), sum(unknown_requests),
        {", ".join(f"sum({bucket})" for bucket in BUCKETS)}
    FROM day_totals
    WHERE day BETWEEN ? AND ? AND provider = ? AND simulated = 0
    GROUP BY day, deployment, model
    HAVING sum(requests) > 0
"""  # noqa: S608 - only names of the schema

PROVIDERS: Final = "SELECT DISTINCT provider FROM day_totals WHERE provider IS NOT NULL"

Presence = Literal["both", "ledger", "invoice"]


class Counts(Struct):
    """Requests and tokens, as one side counts them; requests are None where it does not."""

    requests: int | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 0

    def tokens(self) -> list[int]:
        """Return the tokens in the order of the buckets."""
        return [getattr(self, bucket) for bucket in BUCKETS]

    def add(self, requests: int | None, tokens: list[int | None]) -> None:
        """Count more; what is not known adds nothing."""
        if requests is not None:
            self.requests = (self.requests or 0) + requests
        for bucket, count in zip(BUCKETS, tokens, strict=True):
            setattr(self, bucket, getattr(self, bucket) + (count or 0))


class Compared(Struct, kw_only=True):
    """One model on one day, in the ledger and in the invoice.

    `model` is what the ledger calls it, or else the invoice; `presence` says who has it. Of the
    invoice, None is what it does not say. `item` says that it is no model. `reasons` are what may
    explain a difference.
    """

    day: date
    model: str
    presence: Presence
    item: bool = False
    deployments: list[str] = field(default_factory=list)
    ledger_nanodollars: int = 0
    invoice_nanodollars: int | None = None
    difference_nanodollars: int | None = None
    estimated_nanodollars: int = 0
    unknown_requests: int = 0
    ledger: Counts = field(default_factory=Counts)
    invoice: Counts | None = None
    agrees: bool = False
    reasons: list[str] = field(default_factory=list)


class _Cell(Struct):
    """What is known of one group of names on one day."""

    models: set[str] = field(default_factory=set)
    invoiced: set[str] = field(default_factory=set)
    deployments: set[str] = field(default_factory=set)
    item: bool = False
    cost: int = 0
    estimated: int = 0
    unknown: int = 0
    amount: int | None = None
    ledger: Counts = field(default_factory=Counts)
    counts: Counts = field(default_factory=Counts)


def known_providers(connection: sqlite3.Connection) -> set[str]:
    """Return the providers that the ledger has anything of."""
    return {name for (name,) in connection.execute(PROVIDERS) if name}


def compare(
    connection: sqlite3.Connection, invoice: Invoice, names: Mapping[str, str]
) -> list[Compared]:
    """Compare the ledger with an invoice, in the order of days, the largest difference first.

    `names` are the provider's own names for its models, by deployment.
    """
    edges = [(day - EPOCH).days for day in (invoice.first_day, invoice.last_day)]
    left_out = set(invoice.left_out)
    found = connection.execute(LEDGER_DAYS, (*edges, invoice.provider)).fetchall()
    ledger = [row for row in found if EPOCH + timedelta(days=row[0]) not in left_out]
    called = {
        deployment: names.get(deployment, deployment.removeprefix(f"{invoice.provider}/"))
        for _, deployment, *_ in ledger
    }
    models = (line.model for line in invoice.lines if not line.item)
    groups = groups_of((*called.values(), *models))
    cells: dict[tuple[date, int | str], _Cell] = {}
    for number, deployment, model, requests, cost, estimated, unknown, *tokens in ledger:
        day = EPOCH + timedelta(days=number)
        cell = cells.setdefault((day, groups[called[deployment]]), _Cell())
        cell.models.add(model)
        cell.deployments.add(deployment)
        cell.cost += cost
        cell.estimated += estimated
        cell.unknown += unknown
        cell.ledger.add(requests, tokens)
    for line in invoice.lines:
        if line.day not in left_out and invoice.first_day <= line.day <= invoice.last_day:
            key = line.item or groups[line.model]
            _add_line(cells.setdefault((line.day, key), _Cell()), line)
    rows = [_compared(day, cell, invoice) for (day, _), cell in cells.items()]
    return sorted(rows, key=_order)


def _add_line(cell: _Cell, line: InvoiceLine) -> None:
    cell.invoiced.add(line.model or line.item or "all models")
    cell.item = cell.item or bool(line.item)
    if line.nanodollars is not None:
        cell.amount = (cell.amount or 0) + line.nanodollars
    cell.counts.add(line.requests, [getattr(line, bucket) for bucket in BUCKETS])


def _compared(day: date, cell: _Cell, invoice: Invoice) -> Compared:
    presence: Presence = "both"
    if not cell.models or not cell.invoiced:
        presence = "ledger" if cell.models else "invoice"
    amount = (cell.amount or 0) if invoice.has_amounts else None
    counts = cell.counts if invoice.has_counts and not cell.item else None
    difference = None if amount is None else amount - cell.cost
    if difference is not None:
        agrees = abs(difference) <= invoice.tolerance_nanodollars
    else:
        agrees = counts is None or _counts_agree(cell.ledger, counts)
    return Compared(
        day=day,
        model=" + ".join(sorted(cell.models or cell.invoiced)),
        presence=presence,
        item=cell.item,
        deployments=sorted(cell.deployments),
        ledger_nanodollars=cell.cost,
        invoice_nanodollars=amount,
        difference_nanodollars=difference,
        estimated_nanodollars=cell.estimated,
        unknown_requests=cell.unknown,
        ledger=cell.ledger,
        invoice=counts,
        agrees=agrees,
    )


def _counts_agree(ledger: Counts, invoice: Counts) -> bool:
    return ledger.tokens() == invoice.tokens() and (
        invoice.requests in (None, ledger.requests or 0)
    )


def _order(row: Compared) -> tuple[date, int, str]:
    return row.day, -abs(row.difference_nanodollars or 0), row.model
