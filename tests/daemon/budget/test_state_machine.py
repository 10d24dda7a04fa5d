"""Whatever happens in whatever order: no cap is passed, nothing stays held, the sums agree.

The model beside it is a plain list of what was held and spent when; it knows no counters. Time only
moves on, by moments or by days.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Struct

from routerd.budget.budgets import Budgets, Seed
from routerd.budget.definitions import CALLERS, Definition, read_budgets
from routerd.budget.holds import Hold, HoldRefused, Spending
from routerd.domain import Unit
from routerd.settings import Budget, Budgeting

UNITS: tuple[Unit, ...] = ("nanodollars", "calls", "tokens")
CENT = 10_000_000
TENANTS = ("acme", "beta", None)
USERS = ("ann", "bob", None)
PLACES = (
    ("openai/small", "openai", "small"),
    ("openai/large", "openai", "large"),
    ("mistral/small", "mistral", "small"),
)
BUDGETS: dict[str, Budget] = {
    "everything": Budget(dollars="0.50", calls=40, tokens=5000),
    "month": Budget(window="month", dollars=2),
    "acme": Budget(tenant="acme", window="day", dollars="0.20"),
    "tenants": Budget(each="tenant", window="day", dollars="0.25", calls=12),
    "users": Budget(each="user", tenant="beta", window="24h", tokens=1500),
    "rate": Budget(each="tenant", window="1m", calls=3, tokens=900),
    "openai": Budget(provider="openai", window="day", dollars="0.30", calls=15),
    "models": Budget(each="model", window="1h", calls=9),
}


class Entry(Struct):
    """One attempt: what was held and, once it ended, what was spent."""

    at: float
    names: dict[str, str | None]
    held: dict[str, int]
    counts_call: bool
    spent: dict[str, int] | None = None
    is_void: bool = False


class Call(Struct):
    """A call: its spending, its open attempt and the entries of all."""

    spending: Spending
    names: dict[str, str | None]
    hold: Hold | None = None
    entry: Entry | None = None
    is_counted: bool = False


class BudgetMachine(RuleBasedStateMachine):
    """Calls that hold, settle, fail over, are cancelled, while days pass and caps change."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_795_176_000.0
        self.entries: list[Entry] = []
        self.calls: list[Call] = []
        self.definitions = self.read(BUDGETS)
        self.budgets = Budgets(self.definitions)

    def read(self, budgets: dict[str, Budget]) -> tuple[Definition, ...]:
        return read_budgets(budgets, Budgeting(time_zone="Europe/Berlin"))

    # --- what happens ---------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 5, 59, 61, 1800, 3601, 40_000, 86_400, 2_700_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        tenant=st.sampled_from(TENANTS),
        user=st.sampled_from(USERS),
        place=st.sampled_from(PLACES),
        cents=st.sampled_from([0, 1, 3, 7, 20]),
        tokens=st.sampled_from([1, 50, 400]),
    )
    def a_call_begins(
        self,
        tenant: str | None,
        user: str | None,
        place: tuple[str, str, str],
        cents: int,
        tokens: int,
    ) -> None:
        names: dict[str, str | None] = dict.fromkeys(CALLERS)
        names |= {"tenant": tenant, "user": user}
        call = Call(Spending(tuple(names[name] for name in CALLERS)), names)
        self.calls.append(call)
        self.hold(call, place, cents * CENT, tokens)

    @precondition(lambda self: any(call.hold is None for call in self.calls))
    @rule(
        data=st.data(),
        place=st.sampled_from(PLACES),
        cents=st.sampled_from([1, 10, 30]),
        tokens=st.sampled_from([10, 500]),
    )
    def a_call_goes_to_a_dearer_backup(
        self, data: Any, place: tuple[str, str, str], cents: int, tokens: int
    ) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.hold is None]))
        self.hold(call, place, cents * CENT, tokens)

    @precondition(lambda self: any(call.hold is not None for call in self.calls))
    @rule(data=st.data(), share=st.sampled_from([0, 3, 10]), again=st.booleans())
    def an_attempt_ends(self, data: Any, share: int, again: bool) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.hold is not None]))
        hold, entry = call.hold, call.entry
        spent = (entry.held["nanodollars"] * share // 10, entry.held["tokens"] * share // 10)
        hold.settle(*spent)
        entry.spent = {"nanodollars": spent[0], "tokens": spent[1]}
        if again:
            # Said twice, or said otherwise afterwards: it has ended already.
            hold.settle(*spent)
            hold.release()
        call.hold = call.entry = None

    @precondition(lambda self: any(call.hold is not None for call in self.calls))
    @rule(data=st.data())
    def an_attempt_is_cancelled_before_it_is_sent(self, data: Any) -> None:
        call = data.draw(st.sampled_from([call for call in self.calls if call.hold is not None]))
        call.hold.release()
        call.hold.settle(5 * CENT, 5)
        call.entry.is_void = True
        if call.entry.counts_call:
            call.is_counted = False
        call.hold = call.entry = None

    @rule(
        left_out=st.sets(st.sampled_from(sorted(BUDGETS)), max_size=4),
        factor=st.sampled_from([1, 2, 5]),
    )
    def the_budgets_are_loaded_anew(self, left_out: set[str], factor: int) -> None:
        budgets = {
            name: Budget(
                **{field: getattr(item, field) for field in item.__struct_fields__}
                | {
                    "calls": item.calls and item.calls * factor,
                    "tokens": item.tokens and item.tokens * factor,
                }
            )
            for name, item in BUDGETS.items()
            if name not in left_out
        }
        self.definitions = self.read(budgets)
        self.budgets.replace(self.definitions, self.seeds(), self.now)

    @rule()
    def empty_counters_are_forgotten(self) -> None:
        self.budgets._look_beyond = 0
        for _ in range(3):
            self.budgets._forget_some(self.now)

    # --- the model ------------------------------------------------------------------------------

    def hold(self, call: Call, place: tuple[str, str, str], nanodollars: int, tokens: int) -> None:
        names = call.names | {"provider": place[1], "model": place[2]}
        counts_call = not call.is_counted
        entry = Entry(self.now, names, {"nanodollars": nanodollars, "tokens": tokens}, counts_call)
        fits = all(
            not needed or used + needed <= cap
            for budget in self.definitions
            if concerns(budget, names)
            for unit in UNITS
            if (cap := budget.cap(unit)) is not None
            for needed in [amount(budget, entry, unit)]
            for used in [self.used(budget, names, unit)]
        )
        hold = self.budgets.hold(call.spending, place, nanodollars, tokens, self.now)
        assert isinstance(hold, HoldRefused) is not fits
        if isinstance(hold, HoldRefused):
            assert hold.room.budget in {budget.name for budget in self.definitions}
            return
        self.entries.append(entry)
        call.hold, call.entry, call.is_counted = hold, entry, True

    def used(self, budget: Definition, names: dict[str, str | None], unit: Unit) -> int:
        """Add up what counts now for the one whose budget this is, entry by entry."""
        return sum(
            amount(budget, entry, unit)
            for entry in self.entries
            if not entry.is_void
            and concerns(budget, entry.names)
            and (budget.each is None or entry.names[budget.each] == names[budget.each])
            and self.now < budget.window.span(entry.at).leaves
        )

    def seeds(self) -> list[Seed]:
        """Say what the ledger would: every attempt that has ended, in order."""
        return [
            Seed(
                budget.identity,
                entry.names[budget.each] if budget.each else None,
                entry.at,
                (
                    entry.spent["nanodollars"],
                    amount(budget, entry, "calls"),
                    entry.spent["tokens"],
                ),
            )
            for budget in self.definitions
            for entry in self.entries
            if entry.spent is not None and concerns(budget, entry.names)
        ]

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def the_counters_are_the_sums_of_the_ledger(self) -> None:
        for row in self.budgets.report(self.now):
            budget = next(item for item in self.definitions if item.name == row["budget"])
            names = self.names_of(budget, row["scope"])
            used = self.used(budget, names, row["unit"])
            assert row["spent"] + row["held"] == used, row
            assert row["held"] == 0 or row["holders"], row

    @invariant()
    def nothing_is_held_when_nobody_runs(self) -> None:
        if not any(call.hold for call in self.calls):
            assert not self.budgets.holds
            assert all(row["held"] == 0 for row in self.budgets.report(self.now))

    def names_of(self, budget: Definition, scope: str) -> dict[str, str | None]:
        if budget.each is None:
            return {}
        last = scope.rpartition(", ")[2]
        name = None if last.endswith(" named") else last.partition(" ")[2]
        return {budget.each: name}


def concerns(budget: Definition, names: dict[str, str | None]) -> bool:
    if any(names[dimension] != value for dimension, value in budget.filters):
        return False
    return budget.each is None or names[budget.each] not in budget.apart


def amount(budget: Definition, entry: Entry, unit: Unit) -> int:
    """Return what one attempt counts for, spent or held."""
    if unit == "calls":
        of_route = budget.looks_at("provider") or budget.looks_at("model")
        return 1 if of_route else int(entry.counts_call)
    return (entry.spent or entry.held)[unit]


TestBudgets = BudgetMachine.TestCase
TestBudgets.settings = settings(max_examples=60, stateful_step_count=60)
