"""One call run through its routes, for the tests of this room."""

from __future__ import annotations

from typing import Any

from routerd.budget.budgets import Budgets
from routerd.budget.keys import Keys
from routerd.domain import Attempt, Intent, Script
from routerd.execute.accounts import Accounts
from routerd.execute.delivery import Delivery
from routerd.execute.purse import Purse
from routerd.execute.recording import begin_record
from routerd.execute.routes import Execution
from routerd.execute.target import Target
from routerd.settings import Timeouts
from routerd.telemetry.events import Event
from routerd_proto.errors import ErrorInfo
from tests.daemon.execute.scripted import (
    PATIENT,
    RecordingSink,
    make_call,
    make_plan_of,
)

INPUT_TOKENS = 100
SOON = 0.05


class Journal:
    """The part of a ledger that a running call meets: what it intends is kept in a list."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []
        self.bounds: dict[str, int] = {}
        self.token_rates: dict[tuple[str, Script], int] = {}

    def intend(self, intent: Intent) -> bool:
        self.intents.append(intent)
        return True

    def learn_bound(self, deployment: str, thousandths: int) -> None:
        self.bounds[deployment] = thousandths

    def learn_token_rate(self, model: str, thousandths: int, script: Script) -> None:
        self.token_rates[model, script] = thousandths


class Run:
    """One call and what became of it."""

    def __init__(
        self,
        *targets: Target,
        timeouts: Timeouts = PATIENT,
        budgets: Budgets | None = None,
        keys: Keys | None = None,
        **call: Any,
    ) -> None:
        self.sink = RecordingSink()
        self.events: list[Event] = []
        self.journal = Journal()
        made = make_call(**call)
        self.delivery = Delivery(self.sink, made.received_at)
        self.accounts = Accounts(
            budgets or Budgets(), keys or Keys({}, ()), self.journal, self.events.append
        )
        self.execution = Execution(
            made,
            made.options,
            INPUT_TOKENS,
            self.delivery,
            timeouts,
            Purse(self.accounts, begin_record(made)),
        )
        self.plan, self.targets = make_plan_of(*targets)

    async def go(self) -> Run:
        await self.execution.run(self.plan, self.targets)
        for attempt in self.attempts:
            assert attempt.ended_us is not None
            if attempt.cost_basis == "unknown" and not attempt.unlisted_cost:
                assert attempt.cost_nanodollars is None
        return self

    @property
    def attempts(self) -> list[Attempt]:
        return self.execution.attempts

    @property
    def error(self) -> ErrorInfo:
        assert self.execution.error is not None
        return self.execution.error

    @property
    def way(self) -> list[tuple[str, str, str | None]]:
        return [(item.provider, item.reason, item.error_class) for item in self.attempts]
