"""What running calls share: money, keys and traffic, as holds, intents and settlements.

Rules of this file: nothing is awaited. Whatever is opened here is closed on every end of an
attempt: settled where the provider may have seen the request, given back where it cannot have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from time import monotonic, time
from typing import Final, Protocol

from routerd.budget.budgets import Budgets
from routerd.budget.cooling import Cooling
from routerd.budget.holds import Hold, HoldRefused, Spending
from routerd.budget.keys import KeyHold, KeyRefusal, Keys
from routerd.domain import Attempt, BudgetRoom, Dropped, Intent, Record, Route, Snapshot, Usage
from routerd.errors import ErrorClass, Failure
from routerd.execute.failover import is_of_a_key
from routerd.execute.places import Place
from routerd.execute.target import Target
from routerd.health.answering import Answering
from routerd.health.breakers import Breakers, Unwell
from routerd.health.degraded import DegradedShares
from routerd.health.token_rates import TokenRates
from routerd.health.traffic import Session, Traffic
from routerd.ledger.corrections import Change
from routerd.models.lineup import Lineup
from routerd.providers.rate_limits import LimitLeft
from routerd.settings import USUAL_HEALTH, Health
from routerd.telemetry.events import BoundExceeded, Event

__all__ = ["Accounts", "NoRoom", "Opened", "Purse", "spending_of", "tokens_of"]

THOUSAND: Final = 1000
# A bound that was exceeded is raised by a little more than by what it was exceeded, and never
# beyond reason: a provider's slip must not lock everybody out.
MARGIN: Final = 1100
MOST_SURCHARGE: Final = 10 * THOUSAND
ABOVE_BOUND: Final = "the provider billed more than was held; more is held from now on"


class NoRoom(Exception):  # noqa: N818 - it says what was found
    """Nothing has room for an attempt; nothing was set aside and nothing sent.

    `seconds` is when that may change; `room` is the cap at fault, None where a key's limit is.
    """

    def __init__(self, dropped: Dropped, seconds: float, room: BudgetRoom | None = None) -> None:
        super().__init__(dropped.code)
        self.dropped = dropped
        self.seconds = max(0.0, seconds)
        self.room = room


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
    def token_rates(self) -> Mapping[tuple[str, bool], int]:
        """What models count otherwise than we, as learned before; see `TokenRates`."""

    def learn_token_rate(self, model: str, thousandths: int, *, other_script: bool) -> None:
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
        other_script: bool = False,
    ) -> Snapshot:
        """Return what a decision may know: the caps of a call, free tiers, limits and traffic."""
        rates = self.token_rates.told[other_script]
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


class Purse:
    """The money of one call: opens an account for each of its attempts.

    `place` is the call's among those that run; without one no provider is ever full.
    """

    def __init__(self, accounts: Accounts, record: Record, place: Place | None = None) -> None:
        self.place = place
        self.accounts = accounts
        self.record = record
        self.spending = spending_of(record)
        self.received_at = record.received_at_ns / 1e9

    def open(
        self, route: Route, target: Target, attempt: Attempt, *, forced: bool = False
    ) -> Opened:
        """Set the bound of an attempt aside everywhere at once; NoRoom where that cannot be.

        What was tripped since the plan was made is left out, unless it is `forced`.
        """
        breakers, began_at = self.accounts.breakers, monotonic()
        why = breakers.refuses(target.deployment, began_at, forced=forced)
        if why is not None:
            raise NoRoom(Dropped(target.deployment, "unhealthy", why), 0.0)
        if forced and route.code == "least_bad":
            self._ask_it_anyway(route, attempt, began_at)
        place, provider = self.place, target.provider
        if place is not None and not place.places.take(place, provider):
            dropped = Dropped(target.deployment, "busy", place.places.fullness(provider))
            raise NoRoom(dropped, place.places.seconds_until_free((provider,)))
        try:
            hold, key = self._hold(route, target, attempt)
        except NoRoom:
            if place is not None:
                place.places.give_back(place)
            raise
        self.accounts.traffic.begin(target.deployment)
        breakers.begin(attempt, began_at)
        attempt.key, attempt.free = key.name, key.free
        attempt.held_nanodollars = hold.nanodollars
        return Opened(self.accounts, self.record, route, (hold, key, place), began_at)

    def _ask_it_anyway(self, route: Route, attempt: Attempt, now: float) -> None:
        """Let one request in a while go to who asked to be left alone, and nobody else serves."""
        at = self.received_at + attempt.started_us / 1e6
        seconds = self.named_wait(route, at)
        if seconds > 0 and not self.accounts.breakers.may_force(route.deployment, now):
            why = f"{route.provider} asked for no requests for {seconds:.0f} seconds more"
            raise NoRoom(Dropped(route.deployment, "resting", why), seconds)

    def _hold(self, route: Route, target: Target, attempt: Attempt) -> tuple[Hold, KeyHold]:
        at = self.received_at + attempt.started_us / 1e6
        key = self.accounts.keys.choose(target.deployment, target.provider, route.bound_tokens, at)
        if isinstance(key, KeyRefusal):
            raise NoRoom(Dropped(target.deployment, key.code, key.detail), key.resets_at - at)
        hold = self.accounts.budgets.hold(
            self.spending,
            (target.deployment, target.provider, target.model),
            0 if key.free else route.bound_nanodollars,
            route.bound_tokens or 0,
            at,
        )
        if isinstance(hold, HoldRefused):
            key.release()
            room = hold.room
            dropped = Dropped(target.deployment, hold.code, hold.detail, room.budget, room.unit)
            raise NoRoom(dropped, room.resets_at - at, room)
        return hold, key

    def set_aside(self, target: Target, routes: Iterable[Route]) -> Hold | None:
        """Hold the bounds of several routes at a target as one; None where there is no room."""
        routes = tuple(routes)
        bounds = [route.bound_nanodollars for route in routes]
        money = sum(bound for bound in bounds if bound is not None)
        hold = self.accounts.budgets.hold(
            self.spending,
            (target.deployment, target.provider, target.model),
            None if None in bounds else money,
            sum(route.bound_tokens or 0 for route in routes),
            time(),
        )
        return None if isinstance(hold, HoldRefused) else hold

    def named_wait(self, route: Route, now: float) -> float:
        """Return for how many seconds a route's provider wants to be left alone, 0 if it does not.

        What rests by our own reckoning alone is not waited for.
        """
        keys, breakers = self.accounts.keys, self.accounts.breakers
        return max(
            keys.named_wait(route.deployment, route.provider, route.bound_tokens, now),
            breakers.named_wait(route.deployment, monotonic()),
        )

    def has_another_key(self, route: Route, failure: Failure, now: float) -> bool:
        """Say whether the fault was that of a key, and another one can serve at once."""
        if not is_of_a_key(failure) or failure.retryable_here is False:
            return False
        return self.accounts.keys.is_ready(
            route.deployment, route.provider, route.bound_tokens, now
        )


class Opened:
    """What is set aside for one attempt."""

    def __init__(
        self,
        accounts: Accounts,
        record: Record,
        route: Route,
        holds: tuple[Hold, KeyHold, Place | None],
        began_at: float,
    ) -> None:
        self._accounts = accounts
        self._record = record
        self._route = route
        self._hold, self._key, self._place = holds
        self._began_at = began_at
        self._failure: Failure | None = None

    def intend(self, attempt: Attempt, number: int, output_limit: int | None) -> None:
        """Write down what is about to be sent, so that a crash cannot hide it.

        A disk that does not take it is the ledger's to tell; the call goes on.
        """
        record, route = self._record, self._route
        tokens = route.bound_tokens or 0
        output_tokens = min(tokens, output_limit) if output_limit is not None else 0
        self._accounts.journal.intend(
            Intent(
                decision_id=record.decision_id,
                number=number,
                call_id=record.call_id,
                peer_uid=record.peer_uid,
                at_ms=int(self._hold.at * 1000),
                target=record.target,
                stream=record.stream,
                deployment=attempt.deployment,
                model=attempt.model,
                provider=attempt.provider,
                server=attempt.server,
                reason=attempt.reason,
                held_nanodollars=self._hold.nanodollars,
                input_tokens=tokens - output_tokens,
                output_tokens=output_tokens,
                model_class=record.plan.model_class if record.plan is not None else None,
                key=attempt.key,
                free=attempt.free,
                simulated=attempt.simulated,
                tenant=record.tenant,
                team=record.team,
                agent=record.agent,
                user=record.user,
                feature=record.feature,
                task=record.task,
            )
        )

    def hear(self, limits: Iterable[LimitLeft]) -> None:
        """Hear what the provider says is left of the key's limits."""
        self._key.hear(limits, time())

    def failed(self, failure: Failure, now: float) -> None:
        """Let the key rest if it is what the provider refused."""
        self._failure = failure
        if failure.error_class is ErrorClass.RATE_LIMIT and failure.retryable_here is False:
            return  # the request is too large for its limits: smaller ones pass
        if not failure.is_of_key:
            return
        self._key.failed(
            failure.error_class,
            failure.retry_after,
            now,
            is_of_deployment=failure.is_of_deployment,
        )

    def close(self, attempt: Attempt) -> None:
        """Settle what an attempt cost, which is known by now, or give back what was not sent."""
        tokens = tokens_of(attempt.usage)
        if not self._key.has_ended:
            self._accounts.traffic.end(attempt.deployment)
            self._accounts.breakers.end(attempt, self._failure, self._began_at, monotonic())
            if self._place is not None:
                self._place.places.give_back(self._place)
            if self._key.key.cooling_until and attempt.error_class is None:
                self._key.answered()
        self._key.settle(tokens, sent=attempt.sent)
        if not attempt.sent:
            self._hold.release()
            return
        billed = attempt.cost_nanodollars or 0
        self._hold.settle(billed, tokens)
        held = self._hold.nanodollars
        if tokens > self._hold.tokens > 0 or (held is not None and billed > held):
            attempt.notes.append(ABOVE_BOUND)
            self._accounts.learn(self._hold, self._route.surcharge, billed, tokens)


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
    # By an earlier copy of the call.
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
