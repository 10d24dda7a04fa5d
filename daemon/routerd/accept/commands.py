"""Questions to the daemon itself: a table of names, each answered with plain data.

Rules of this file: a command never shows a key, because none is kept here, and prompts and answers
only where a tenant's are kept, to root and the daemon's own user. What changes something is theirs
too.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from routerd.accept.arguments import NoArguments, read_arguments, refusal
from routerd.accept.connection import Connection
from routerd.accept.decision_commands import DecisionCommands
from routerd.accept.health_commands import HealthCommands
from routerd.accept.money_commands import MoneyCommands, Rows
from routerd.accept.records import find_record, plain_record
from routerd.errors import CallRefused
from routerd.execute.accounts import Accounts
from routerd.execute.story import Rules
from routerd.health.trips import Trips
from routerd.ledger import Ledger, LedgerUnreadable
from routerd.ledger.listing import CallsQuestion, list_calls
from routerd.telemetry.events import Event
from routerd_proto.errors import error_info
from routerd_proto.frames import CommandAnswered, CommandRequested

__all__ = ["Commands"]


OF_OPERATORS = frozenset({"texts", "reconcile", "reload", "trip", "reset"})


class TextsQuestion(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose prompt and answer are asked for: the id of the call, or the first digits of it."""

    decision_id: str


class Commands:
    """Answer commands.

    `report` returns the state of the daemon and `budgets` that of every budget, as plain data;
    `rules` and `accounts` return what calls are decided and paid by now; `reload` reads the
    configuration again and returns what changed. `keep_trips` writes down what is tripped by hand,
    `tell` hears of it.
    """

    def __init__(
        self,
        report: Callable[[], dict[str, Any]],
        ledger: Ledger,
        budgets: Callable[[], Rows],
        rules: Callable[[], Rules],
        accounts: Callable[[], Accounts],
        *,
        reload: Callable[[], Awaitable[dict[str, Any]]],
        keep_trips: Callable[[Trips], Awaitable[bool]],
        tell: Callable[[Event], None],
    ) -> None:
        self._report = report
        self._reload_all = reload
        self._ledger = ledger
        money = MoneyCommands(
            ledger,
            budgets,
            lambda: rules().directory,
            lambda changes, now: accounts().correct(changes, now),
        )
        decisions = DecisionCommands(ledger, rules, accounts)
        health = HealthCommands(accounts, keep_trips, tell)
        self._table: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "status": self._status,
            "explain": decisions.explain,
            "plan": decisions.plan,
            "texts": self._texts,
            "calls": self._calls,
            "spend": money.spend,
            "budgets": money.budgets,
            "reconcile": money.reconcile,
            "reload": self._reload,
            "trip": health.trip,
            "reset": health.reset,
        }

    async def serve(self, request: CommandRequested, sink: Connection) -> None:
        """Answer one command."""
        try:
            command = self._table.get(request.name)
            if command is None:
                known = ", ".join(sorted(self._table))
                raise refusal(f"there is no command {request.name!r}; known: {known}")
            _check_allowed(request, sink.peer_uid)
            answer = CommandAnswered(body=await command(request.arguments))
        except CallRefused as refused:
            answer = CommandAnswered(error=refused.info)
        except OverflowError:
            text = "a number in the question is larger than any in the ledger"
            answer = CommandAnswered(error=refusal(text).info)
        except LedgerUnreadable as error:
            answer = CommandAnswered(error=error_info("internal_error", str(error)))
        sink.send((answer,))

    async def _status(self, arguments: dict[str, Any]) -> Any:
        read_arguments(arguments, NoArguments)
        return self._report()

    async def _reload(self, arguments: dict[str, Any]) -> Any:
        read_arguments(arguments, NoArguments)
        return await self._reload_all()

    async def _texts(self, arguments: dict[str, Any]) -> Any:
        question = read_arguments(arguments, TextsQuestion)
        record = await find_record(self._ledger, question.decision_id)
        texts = await self._ledger.texts(record.decision_id)
        if texts is None:
            raise refusal(
                "the texts of this call are not kept: they are for tenants that ledger.texts_of "
                "names, and never for private calls"
            )
        messages, parts = (msgspec.json.decode(text) for text in texts)
        return {"messages": messages, "answer": parts}

    async def _calls(self, arguments: dict[str, Any]) -> Any:
        question = read_arguments(arguments, CallsQuestion)
        if question == CallsQuestion(limit=question.limit):
            # Also finds what waits for the disk.
            records = await self._ledger.recent(question.limit)
        else:
            records = await self._ledger.ask(partial(list_calls, question=question))
        return [plain_record(record) for record in records]


def _check_allowed(request: CommandRequested, peer_uid: int | None) -> None:
    """Refuse what is not for everybody who may connect: texts, and what takes long or changes."""
    if request.name in OF_OPERATORS and peer_uid not in (0, os.geteuid()):
        raise CallRefused(error_info("forbidden", f"{request.name} is not for everybody"))
