"""Run the routes of a plan, one after the other, until one answers or none is left.

Rules of this file: the order is the plan's; what follows a failure is `failover.next_step`'s to
say. One deadline bounds all attempts together. What the caller is told in the end is `cause`'s.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import anyio

from routerd.domain import (
    MAX_ATTEMPTS_PER_ROUTE,
    Attempt,
    AttemptReason,
    Call,
    Dropped,
    Plan,
    Route,
    Usage,
)
from routerd.errors import AttemptFailed, CallRefused, Failure
from routerd.execute.asking import Asking, Asks
from routerd.execute.attempt import Deadline, run_attempt, settle_attempt
from routerd.execute.call_total import check_total
from routerd.execute.cause import Cause
from routerd.execute.delivery import Delivery
from routerd.execute.failover import (
    FALLBACK,
    JITTER,
    STOP,
    Step,
    as_on_last_route,
    is_of_a_key,
    next_step,
    refuses_for_now,
)
from routerd.execute.purse import NoRoom, Purse
from routerd.execute.target import Target
from routerd.models.amounts import NANODOLLARS_PER_CENT
from routerd.providers.base import Outcome
from routerd.settings import Failover, Timeouts
from routerd.telemetry.plain import as_code
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import CallOptions

__all__ = ["Execution"]

AT_ONCE: Final = Step("retry")
# Of the time a caller allows, what an answer may take to begin while there is a backup: a stream,
# and one that comes in one piece, which begins when all of it is written.
FIRST_SHARE: Final = 0.5
WHOLE_SHARE: Final = 0.7
# To the next route, and back to this one if there is none: its provider is only full.
BUSY: Final = Step("fallback")
Way = tuple[Route, Target]


class Execution:
    """One call's way through its routes.

    `options` are the caller's with the shortcut's defaults filled in. What happened so far can be
    read at any time, so that a call that is cancelled keeps its attempts: `held` is the attempt
    whose answer the caller has, in part or whole, `outcome` that of a whole one; `error` is None
    once there is one. `waited_us` is the time spent between attempts, `idle_us` that, what the
    attempts waited, and the caller's reading. `made_before` counts the attempts of earlier copies
    of the call.
    A part of a call says what it `asks`, adds to the attempts of all parts `together`, and may be
    sold by `queries`; `usage` is None where it is that of the attempt that is held. Where it
    `leaves` the routes that are next to somebody else it ends, and they are in `left`.
    """

    usage: Usage | None = None
    left: tuple[Route, ...] = ()
    leaves: Callable[[Route], bool] | None = None

    def __init__(  # noqa: PLR0913 - the last ones by name
        self,
        call: Call,
        options: CallOptions,
        input_tokens: int,
        delivery: Delivery,
        timeouts: Timeouts,
        purse: Purse,
        *,
        made_before: int = 0,
        failover: Failover | None = None,
        asks: Callable[[Route, Target], Asks] | None = None,
        together: list[Attempt] | None = None,
        queries: int = 0,
    ) -> None:
        self.attempts: list[Attempt] = []
        self._together = self.attempts if together is None else together
        self._options = options
        self._asks = asks
        self._queries = queries
        self._cause = Cause(call, self.attempts, timeouts.total)
        self.outcome: Outcome | None = None
        self.waited_us = 0
        self._call = call
        self._input_tokens = input_tokens
        self._delivery = delivery
        self._timeouts = timeouts
        self._failover = failover or Failover()
        self._purse = purse
        self._made_before = made_before
        self._received_at = purse.received_at
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + call.deadline - monotonic()
        # What this call was refused for: by a provider, or by one address of it.
        self._refusals: dict[tuple[str, str], Failure] = {}
        self._others: list[Way] = []
        self._is_hasty = isinstance(options.latency, int)
        self._is_awaited = options.latency is not None and options.latency != "batch"
        cents = options.max_cost_cents
        self._most = None if cents is None else int(cents * NANODOLLARS_PER_CENT)

    @property
    def held(self) -> Attempt | None:
        """The attempt whose parts the caller holds, else the one that answered without any."""
        return self._delivery.held

    @property
    def error(self) -> ErrorInfo | None:
        """Why there is no answer."""
        return self._cause.error

    @property
    def idle_us(self) -> int:
        """How long others were waited for, in microseconds."""
        idle_us = self.waited_us + self._delivery.reader_us
        for attempt in self.attempts:
            idle_us += attempt.waited_us
        return idle_us

    @property
    def skipped(self) -> list[Dropped]:
        """The routes that were not tried."""
        return self._cause.skipped

    async def run(self, plan: Plan, targets: Mapping[str, Target]) -> None:
        """Try route after route until one answers; the result is left in the attributes."""
        routes = [(route, targets[route.deployment]) for route in plan.routes]
        full: list[Way] = []
        reason: AttemptReason = "first"
        while routes:
            if self.leaves is not None and self.leaves(routes[0][0]):
                self.left = tuple(route for route, _ in routes + full)
                return
            route, target = routes.pop(0)
            self._others = routes + full
            if self._refusals and self._was_refused_at(route, target):
                step: Step | None = FALLBACK
            else:
                # Rather than failing unheard, the last one is tried whatever its health.
                forced = not (self._others or self.attempts)
                step = await self._run_route(route, target, reason, forced=forced)
            if step is None or step.kind == "stop":
                return
            if step is BUSY:
                full.append((route, target))
            if step.larger_window:
                routes = [item for item in routes if item[1].has_larger_window_than(target)]
                full = [item for item in full if item[1].has_larger_window_than(target)]
            reason = "fallback"
            if full and not routes:
                routes, full = await self._wait_for_room(full), []
                if routes and not self.attempts and routes[0][0] is plan.routes[0]:
                    reason = "first"

    def _was_refused_at(self, route: Route, target: Target) -> bool:
        """Pass by a provider that refused this very call, and has no other key for it."""
        failure = self._refusal_of(route, target)
        if failure is None:
            return False
        detail = f"{route.provider} refused this call before: {failure.error_class}"
        self._cause.not_tried(Dropped(route.deployment, "unhealthy", detail))
        return True

    def _refusal_of(self, route: Route, target: Target) -> Failure | None:
        """Return for what a route will be passed by, None if it will not be."""
        provider, server = route.provider, target.channel.server
        failure = self._refusals.get((provider, "")) or self._refusals.get((provider, server))
        if failure is not None and self._purse.has_another_key(route, failure, self._now()):
            return None
        return failure

    def _patience(self, *, stream: bool) -> float:
        """Return how long an answer may take to begin: who hurries leaves time for the backup."""
        if self._call.options.timeout is None or not self._others:
            return math.inf
        share = FIRST_SHARE if stream else WHOLE_SHARE
        return share * (self._deadline - self._clock())

    async def _wait_for_room(self, full: list[Way]) -> list[Way]:
        """Wait for room at a provider of some routes; returns them, none if that was vain."""
        place = self._purse.place
        if place is None:
            return []
        try:
            providers = dict.fromkeys(route.provider for route, _ in full)
            await place.places.wait(place, tuple(providers))
        except CallRefused as refused:
            self._cause.waited_in_vain(refused.info)
            return []
        # First where room was kept for it, so that nothing is asked in vain.
        return sorted(full, key=lambda way: way[0].provider != place.reserved)

    async def _run_route(
        self, route: Route, target: Target, reason: AttemptReason, *, forced: bool
    ) -> Step | None:
        """Make at most two attempts; returns what is next, None if the call is answered."""
        attempts_here, delivery = 0, self._delivery
        asking: Asks
        if self._asks is not None:
            asking = self._asks(route, target)
        else:
            # In parts too where nobody would notice that none comes.
            watched = self._is_awaited if target.watched is None else target.watched
            stream = self._call.stream or (watched and bool(self._others))
            asking = Asking(self._call, self._options, route, target, stream=stream)
        if route.code == "least_bad":
            await self._let_rest(route)
        while True:
            attempts_here += 1
            try:
                is_forced = forced and attempts_here == 1
                await self._attempt(route, target, asking, reason, forced=is_forced)
            except NoRoom as no_room:
                self._cause.no_room(no_room)
                # Who waits and comes back has two attempts: not where one was made already.
                is_full = no_room.dropped.code == "busy" and attempts_here == 1
                return BUSY if is_full else FALLBACK
            except CallRefused as refused:
                # This vendor's wire cannot carry the call; another one's may.
                self._cause.not_carried(refused.info)
                return FALLBACK
            except AttemptFailed as failed:
                failure = failed.failure
            else:
                self._cause.error = None
                return None
            self._cause.failed(failure, delivery.cut_by if delivery.committed else None)
            repaired = asking.repaired(failure)
            step = self._step_after(route, failure, attempts_here, can_repair=repaired is not None)
            if step.kind == "repair" and repaired is not None:
                asking.send_instead(repaired)
            elif step.kind != "retry":
                return step
            await self._wait(step.wait)
            reason = step.kind

    def _step_after(
        self, route: Route, failure: Failure, attempts_here: int, *, can_repair: bool
    ) -> Step:
        left = self._deadline - self._clock()
        # The watchdog's timer may be a millisecond early.
        if left <= 0 or failure.phase == "deadline":
            return STOP
        if (
            attempts_here < MAX_ATTEMPTS_PER_ROUTE
            and not self._delivery.committed
            and self._purse.has_another_key(route, failure, self._now())
        ):
            return AT_ONCE
        if all(self._refusal_of(*way) is not None for way in self._others):
            failure = as_on_last_route(failure)
        return next_step(
            failure,
            attempts_on_route=attempts_here,
            committed=self._delivery.committed,
            may_restart=self._call.options.restart,
            seconds_left=left,
            settings=self._failover,
            draw=random.random(),  # noqa: S311 - spreads callers, keeps no secret
            can_repair=can_repair,
        )

    def _now(self) -> float:
        """Return the wall clock, as far as the record's own times tell it."""
        return self._received_at + self._delivery.elapsed_us() / 1e6

    async def _wait(self, seconds: float) -> None:
        since = self._delivery.elapsed_us()
        try:
            await anyio.sleep(seconds)
        finally:
            self.waited_us += self._delivery.elapsed_us() - since

    async def _let_rest(self, route: Route) -> None:
        """Wait for the moment that a provider named, where it is near and nobody else may serve."""
        longest = self._failover.longest_wait_seconds
        while 0 < (wait := self._purse.named_wait(route, self._now())) <= longest:
            # Those who wait for the same moment do not all come in it.
            longer = wait * (1 + JITTER * random.random())  # noqa: S311 - keeps no secret
            if longer >= self._deadline - self._clock():
                return
            longest -= wait
            await self._wait(longer)

    async def _attempt(
        self,
        route: Route,
        target: Target,
        asking: Asks,
        reason: AttemptReason,
        *,
        forced: bool,
    ) -> None:
        """Run one attempt and settle it on every end, cancellation included."""
        delivery = self._delivery
        attempt = Attempt(
            deployment=target.deployment,
            model=target.model,
            provider=target.provider,
            server=target.channel.server,
            reason=reason,
            started_us=delivery.elapsed_us(),
            sent=False,
            simulated=target.simulated,
            queries=self._queries,
            streamed=asking.stream,
        )
        if self._most is not None:
            check_total(self._most, route, (*self._purse.record.attempts, *self._together))
        opened = self._purse.open(route, target, attempt, forced=forced)
        limit: int | None = None
        try:
            self.attempts.append(attempt)
            if self._together is not self.attempts:
                self._together.append(attempt)
            delivery.begin(attempt)
            encoded = asking.encoded()
            limit = encoded.max_output_tokens
            attempt.unlisted_cost = bool(encoded.beyond_hold)
            if route.lowered_by is not None:
                attempt.notes.append(_lowered(route))
            opened.intend(attempt, self._made_before + len(self._together), limit)
            self.outcome = await run_attempt(
                target,
                encoded,
                attempt,
                delivery,
                self._timeouts,
                Deadline(self._deadline, self._patience(stream=asking.stream), self._is_hasty),
                stream=asking.stream,
                whole=not self._call.stream,
                hear=opened.hear,
                wire=asking.wire,
            )
        except AttemptFailed as failed:
            failure = failed.failure
            # What is called a code may be a sentence that quotes the prompt.
            attempt.error_class = str(failure.error_class)
            attempt.error_code = as_code(failure.code)
            attempt.error_phase, attempt.retry_after = failure.phase, failure.retry_after
            opened.failed(failure, self._now())
            if refuses_for_now(failure):
                # An address that is overloaded says nothing of the others.
                where = "" if is_of_a_key(failure) else target.channel.server
                self._refusals[target.provider, where] = failure
            delivery.fail(failure)
            raise
        except CallRefused:
            attempt.error_class, attempt.error_phase = "bad_request", "encode"
            raise
        except asyncio.CancelledError:
            attempt.error_class = "cancelled"
            raise
        except Exception:  # a fault of ours: the record names it, the caller above ends the call
            attempt.error_class = "internal_error"
            raise
        finally:
            attempt.ended_us = delivery.elapsed_us()
            try:
                output_bytes = delivery.output_bytes
                price = target.price_at(self._received_at + attempt.started_us / 1e6)
                settle_attempt(
                    attempt,
                    price,
                    self._input_tokens + target.prompt_tokens,
                    output_bytes,
                    limit,
                    # Of what is no chat nothing is written that nobody sees.
                    streamed=asking.stream or self._call.search is not None,
                )
            finally:
                opened.close(attempt)


def _lowered(route: Route) -> str:
    limit = route.max_output_tokens
    return f"max_output_tokens was lowered to {limit}: {route.lowered_by} has no room for more"
