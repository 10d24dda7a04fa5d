"""The money of one call: what is set aside for each of its attempts, and settled when that ends.

Rules of this file: nothing is awaited. Whatever is opened here is closed on every end of an
attempt: settled where the provider may have seen the request, given back where it cannot have.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic, time
from typing import Final

from routerd.budget.holds import Hold, HoldRefused
from routerd.budget.keys import KeyHold, KeyRefusal
from routerd.domain import Attempt, BudgetRoom, Dropped, Intent, Record, Route
from routerd.errors import ErrorClass, Failure
from routerd.execute.accounts import Accounts, spending_of, tokens_of
from routerd.execute.failover import is_of_a_key
from routerd.execute.places import Place
from routerd.execute.target import Target
from routerd.providers.rate_limits import LimitLeft

__all__ = ["NoRoom", "Opened", "Purse"]

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
        record, plan, hold = self._record, self._record.plan, self._hold
        tokens = self._route.bound_tokens or 0
        output_tokens = 0 if output_limit is None else min(tokens, output_limit)
        self._accounts.journal.intend(
            # In order: of so many given by name Python makes a dict first.
            Intent(
                record.decision_id,
                number,
                record.call_id,
                record.peer_uid,
                int(hold.at * 1000),
                record.target,
                record.stream,
                attempt.deployment,
                attempt.model,
                attempt.provider,
                attempt.server,
                attempt.reason,
                hold.nanodollars,
                tokens - output_tokens,
                output_tokens,
                plan.model_class if plan is not None else None,
                attempt.key,
                attempt.free,
                attempt.simulated,
                record.tenant,
                record.team,
                record.agent,
                record.user,
                record.feature,
                record.task,
                attempt.unlisted_cost,
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
        accounts, hold, key, place = self._accounts, self._hold, self._key, self._place
        tokens = tokens_of(attempt.usage)
        if not key.has_ended:
            accounts.traffic.end(attempt.deployment)
            accounts.breakers.end(attempt, self._failure, self._began_at, monotonic())
            if place is not None:
                place.places.give_back(place)
            if key.key.cooling_until and attempt.error_class is None:
                key.answered()
        key.settle(tokens, sent=attempt.sent)
        if not attempt.sent:
            hold.release()
            return
        billed = attempt.cost_nanodollars or 0
        hold.settle(billed, tokens)
        if attempt.unlisted_cost:
            return  # it was known to be no bound; others are held as before
        held = hold.nanodollars
        if tokens > hold.tokens > 0 or (held is not None and billed > held):
            attempt.notes.append(ABOVE_BOUND)
            accounts.learn(hold, self._route.surcharge, billed, tokens)
