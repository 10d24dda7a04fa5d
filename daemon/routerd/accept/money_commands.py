"""Questions about money: what was spent, what budgets leave, whether an invoice agrees.

Rules of this file: the ledger answers off the event loop, and changes in its writer. Nothing is
decided here but what the words of a question mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.accept.arguments import NoArguments, read_arguments, refusal
from routerd.ledger import Connection, Ledger
from routerd.ledger.comparing import Compared, compare, known_providers
from routerd.ledger.corrections import Change, Corrected, correct
from routerd.ledger.exports import Invoice
from routerd.ledger.findings import explain_differences
from routerd.ledger.spending import SpendQuestion, spend
from routerd.models import Directory, Price

__all__ = ["MoneyCommands", "Rows"]

# More would not fit into one frame.
MOST_ROWS: Final = 20_000
MONTH_CHARACTERS: Final = len("2026-11")

Rows = list[dict[str, Any]]


class SpendArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """What `spend` is asked: see `SpendQuestion`. Days are ISO dates, or months as 2026-11."""

    by: list[str] = []
    filters: dict[str, list[str]] = {}
    since: str | None = None
    until: str | None = None
    simulated: bool = False
    users: bool = False
    baseline: str | None = None


class ReconcileArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """An invoice to compare with, and whether estimated costs are to be corrected by it."""

    invoice: Invoice
    correct: bool = False


class MoneyCommands:
    """Answer commands about money; the arguments are those of `Commands`."""

    def __init__(
        self,
        ledger: Ledger,
        budgets: Callable[[], Rows],
        directory: Callable[[], Directory],
        take_changes: Callable[[Sequence[Change], float], None],
    ) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._directory = directory
        self._take_changes = take_changes

    async def budgets(self, arguments: dict[str, Any]) -> Any:
        """Return the state of every budget."""
        read_arguments(arguments, NoArguments)
        return self._budgets()

    async def spend(self, arguments: dict[str, Any]) -> Any:
        """Return sums of what was spent."""
        asked = read_arguments(arguments, SpendArguments)
        try:
            question = SpendQuestion(
                by=tuple(asked.by),
                filters={name: tuple(values) for name, values in asked.filters.items()},
                since=_first_day(asked.since),
                until=_first_day(asked.until),
                simulated=asked.simulated,
                users=asked.users,
            )
        except ValueError as error:
            raise refusal(str(error)) from None
        baseline = self._price_of(asked.baseline) if asked.baseline is not None else None
        answer = await self._ledger.ask(partial(spend, question=question, baseline=baseline))
        if len(answer.rows) > MOST_ROWS:
            raise refusal(
                f"the answer has {len(answer.rows)} rows, more than {MOST_ROWS}: ask by fewer "
                "names, for fewer days, or with filters"
            )
        return msgspec.to_builtins(answer)

    async def reconcile(self, arguments: dict[str, Any]) -> Any:
        """Compare an invoice with the ledger, after correcting what is estimated if asked to."""
        asked = read_arguments(arguments, ReconcileArguments)
        invoice, now_ms = asked.invoice, time.time_ns() // 1_000_000
        names = {
            deployment.id: deployment.provider_model
            for deployment in self._directory().deployments.values()
            if deployment.provider == invoice.provider
        }
        await self._check_provider(invoice.provider)
        corrected: list[Corrected] = []
        if asked.correct:
            # Or counters that a reload brings would count it twice, or not at all.
            async with self._ledger.counting:
                corrected, changes = await self._ledger.order(
                    partial(correct, invoice=invoice, names=names, now_ms=now_ms)
                )
                self._take_changes(changes, now_ms / 1000)
        rows = await self._ledger.ask(partial(_compare, invoice, names, now_ms))
        return msgspec.to_builtins({"rows": rows, "corrected": corrected})

    async def _check_provider(self, name: str) -> None:
        """Refuse a provider that nobody knows: nothing would be compared with nothing."""
        known = set(self._directory().providers)
        if name not in known:
            known |= await self._ledger.ask(known_providers)
        if name not in known:
            listed = ", ".join(sorted(known))
            raise refusal(
                f"there is no provider {name!r}; known: {listed}. Name it with --provider"
            )

    def _price_of(self, name: str) -> Price:
        """Return today's price of a deployment, or of the first of a model that has one."""
        directory = self._directory()
        deployments = directory.deployments_of(name)
        if name in directory.deployments:
            deployments = (directory.deployments[name],)
        for deployment in deployments:
            if deployment.price is not None:
                return deployment.price.at(datetime.now(UTC).date())
        raise refusal(f"no price is known for {name!r}: see `routerd models`")


def _compare(
    invoice: Invoice, names: dict[str, str], now_ms: int, connection: Connection
) -> list[Compared]:
    rows = compare(connection, invoice, names)
    explain_differences(connection, invoice, rows, now_ms)
    return rows


def _first_day(text: str | None) -> date | None:
    """Read a date, or the first of a month; CallRefused where it is neither."""
    if text is None:
        return None
    try:
        return date.fromisoformat(f"{text}-01" if len(text) == MONTH_CHARACTERS else text)
    except ValueError:
        raise refusal(
            f"{text!r} is no day: expected one like 2026-11-20, or 2026-11 for a month"
        ) from None
