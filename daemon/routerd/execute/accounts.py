"""What running calls share: money, keys, traffic and health, and what each call teaches them.

Rules of this file: nothing is awaited. A `purse` opens and closes what one call takes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from time import monotonic
from typing import Final, Protocol

from routerd.budget.budgets import Budgets
from routerd.budget.cooling import Cooling
from routerd.budget.holds import Hold, Spending
from routerd.budget.keys import Keys
from routerd.domain import Intent, Record, Script, Snapshot, Usage
from routerd.health.answering import Answering
from routerd.health.breakers import Breakers, Unwell
from routerd.health.degraded import DegradedShares
from routerd.health.token_rates import TokenRates
from routerd.health.traffic import Session, Traffic
from routerd.ledger.corrections import Change
from routerd.models.lineup import Lineup
from routerd.settings import USUAL_HEALTH, Health
from routerd.telemetry.events import BoundExceeded, Event

__all__ = ["Accounts", "spending_of", "tokens_of"]

THOUSAND: Final = 1000
# A bound that was exceeded is raised by a little more than by what it was exceeded, and never
# beyond reason: a provider's slip must not lock everybody out.
MARGIN: Final = 1100
MOST_SURCHARGE: Final = 10 * THOUSAND


class Journal(Protocol):
    """The part of the ledger that a running call meets."""

    @property
    def bounds(self) -> Mapping[str, int]:
        """The surcharges that were learned before, by deployment."""

    def intend(self, intent: Intent) -> bool:
        """Write down what is about to be sent; says whether a crash would leave it."""
        ...

    def learn_bound(self, deployment: str, thousandths: int) -> None:
        """Keep a surcharge."""
        ...

    @property
    def token_rates(self) -> Mapping[tuple[str, Script], int]:
        """What models count otherwise than we, as learned before; see `TokenRates`."""

    def learn_token_rate(self, model: str, thousandths: int, script: Script) -> None:
        """Keep what a model counts otherwise."""
        ...


class Accounts:
    """Budgets, keys, journal, and what is known of everybody's health, as far as a call needs them.

    `surcharges` are, by deployment, the thousandths by which bounds are raised.
    """

    def __init__(
        self,
        budgets: Budgets,
        keys: Keys,
        journal: Journal,
        tell: Callable[[Event], None],
        *,
        health: Health = USUAL_HEALTH,
    ) -> None:
        self.traffic = Traffic()
        self.token_rates = TokenRates(journal.token_rates, journal.learn_token_rate)
        self.breakers = Breakers(health, tell)
        self.degraded = DegradedShares(health, tell)
        self.answering = Answering(tell)
        self.budgets = budgets
        self.keys = keys
        self.journal = journal
        self.surcharges = dict(journal.bounds)
        self._tell = tell

    def with_keys(self, keys: Keys) -> Accounts:
        """Return the same accounts with other keys; both learn what one does of bounds."""
        accounts = copy(self)
        accounts.keys = keys
        return accounts

    def snapshot(
        self,
        spending: Spending,
        lineup: Lineup,
        now: float,
        session: Session | None = None,
        *,
        script: Script = "latin",
    ) -> Snapshot:
        """Return what a decision may know: the caps of a call, free tiers, limits and traffic."""
        rates = self.token_rates.told[script]
        seen = self.traffic.seen(lineup.ids, session, now)
        headroom, cooling = self.keys.left(lineup, now)
        unwell = self.breakers.unwell(lineup.deployments, monotonic())
        if cooling:
            unwell = _with_cooling(unwell, cooling, now)
        return Snapshot(
            now,
            self.budgets.rooms(spending, lineup.places, now),
            self.keys.free_quotas(lineup.names, now),
            dict(self.surcharges) if self.surcharges else {},
            seen.latency_ms,
            seen.in_flight,
            headroom,
            unwell.why,
            seen.gone,
            seen.session_on,
            unwell.seconds,
            unwell.last_resorts,
            {name: rate for name, rate in rates.items() if name in lineup.models} if rates else {},
        )

    def hear(self, record: Record, now: float) -> None:
        """Learn from a call that ended."""
        self.traffic.learn(record, now)
        self.token_rates.learn(record)
        self.degraded.learn(record, monotonic())
        self.answering.learn(record)

    def correct(self, changes: Iterable[Change], now: float) -> None:
        """Have the counters say what the ledger says since an invoice corrected it."""
        for change in changes:
            place = (change.provider, change.model)
            at = change.started_ms / 1000
            self.budgets.correct(change.names, place, at, change.nanodollars, now)

    def learn(self, hold: Hold, surcharge_then: int, billed: int, tokens: int) -> None:
        """Raise the bound of a deployment that was billed above it, and tell.

        What was in the bound when it was held counts, not what others have raised it to since.
        """
        held, now = hold.nanodollars or 0, self.surcharges.get(hold.deployment, THOUSAND)
        ratios = [
            -(-actual * MARGIN // bound)
            for actual, bound in ((billed, held), (tokens, hold.tokens))
            if bound and actual > bound
        ]
        needed = surcharge_then * max(ratios, default=THOUSAND) // THOUSAND
        surcharge = max(now, min(MOST_SURCHARGE, needed))
        self.surcharges[hold.deployment] = surcharge
        self.journal.learn_bound(hold.deployment, surcharge)
        self._tell(
            BoundExceeded(
                decision_id=hold.spending.decision_id,
                deployment=hold.deployment,
                held_nanodollars=held,
                billed_nanodollars=billed,
                held_tokens=hold.tokens,
                billed_tokens=tokens,
                surcharge_thousandths=surcharge,
            )
        )


def _with_cooling(unwell: Unwell, cooling: Mapping[str, Cooling], now: float) -> Unwell:
    """Avoid those too whose keys all cool down, providers and single deployments."""
    why, seconds = dict(unwell.why), dict(unwell.seconds)
    last_resorts = set(unwell.last_resorts)
    for name, (until, because, is_guess) in cooling.items():
        if name in why and name not in seconds:
            continue  # tripped by hand
        if not is_guess:
            last_resorts.discard(name)
        elif name not in why:
            last_resorts.add(name)
        why.setdefault(name, f"its keys cool down: {because}")
        seconds[name] = max(seconds.get(name, 0.0), round(until - now, 3))
    return Unwell(why, seconds, tuple(sorted(last_resorts)))


def spending_of(record: Record) -> Spending:
    """Return a call as the budgets know it."""
    names = (record.tenant, record.team, record.agent, record.user, record.feature)
    spending = Spending(names, record.decision_id)
    if record.attempts:  # of an earlier copy of the call
        spending.is_counted = any(attempt.sent for attempt in record.attempts)
    return spending


def tokens_of(usage: Usage | None) -> int:
    """Return all tokens of a usage, input and output."""
    if usage is None:
        return 0
    return (
        usage.input_tokens
        + usage.cache_read_tokens
        + usage.cache_write_tokens
        + usage.cache_write_long_tokens
        + usage.output_tokens
    )
