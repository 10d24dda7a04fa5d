"""Run the routes of a plan, one after the other, until one answers or none is left.

Rules of this file: the order is the plan's; what follows a failure is `failover.next_step`'s to
say. One deadline bounds all attempts together. The first error is the cause the caller is told;
what was tried stands beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

import anyio
from msgspec import structs

from routerd.domain import Attempt, AttemptReason, Call, Plan
from routerd.errors import AttemptFailed, CallRefused, Failure
from routerd.execute.attempt import run_attempt, settle_attempt
from routerd.execute.delivery import Delivery
from routerd.execute.failover import FALLBACK, STOP, Step, next_step
from routerd.execute.target import Target
from routerd.providers.base import ChatRequest, Outcome
from routerd.settings import Timeouts
from routerd.telemetry.plain import as_code
from routerd_proto.errors import ErrorInfo, error_info
from routerd_proto.frames import CallOptions

__all__ = ["Execution"]


class Execution:
    """One call's way through its routes.

    `options` are the caller's with the shortcut's defaults filled in. What happened so far can be
    read at any time, so that a call that is cancelled keeps its attempts: `target` and `outcome`
    are those of the attempt that answered, `error` is None once one did.
    """

    def __init__(
        self,
        call: Call,
        options: CallOptions,
        input_tokens: int,
        delivery: Delivery,
        timeouts: Timeouts,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.target: Target | None = None
        self.outcome: Outcome | None = None
        self.error: ErrorInfo | None = None
        self._call = call
        self._options = options
        self._input_tokens = input_tokens
        self._delivery = delivery
        self._timeouts = timeouts
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + call.deadline - monotonic()
        self._first: Failure | None = None

    async def run(self, plan: Plan, targets: Mapping[str, Target]) -> None:
        """Try route after route until one answers; the result is left in the attributes."""
        routes = [targets[route.deployment] for route in plan.routes]
        reason: AttemptReason = "first"
        while routes:
            target = routes.pop(0)
            step = await self._run_route(target, reason)
            if step is None or step.kind == "stop":
                return
            if step.larger_window:
                routes = [route for route in routes if _has_larger_window(route, target)]
            reason = "fallback"

    async def _run_route(self, target: Target, reason: AttemptReason) -> Step | None:
        """Make at most two attempts; returns what is next, None if the call is answered."""
        attempts_here = 0
        while True:
            attempts_here += 1
            try:
                await self._attempt(target, reason)
            except CallRefused as refused:
                # This vendor's wire cannot carry the call; another one's may.
                self.error = self.error or refused.info
                return FALLBACK
            except AttemptFailed as failed:
                failure = failed.failure
            else:
                self.error = None
                return None
            self._report(failure)
            left = self._deadline - self._clock()
            step = next_step(
                failure,
                attempts_on_route=attempts_here,
                committed=self._delivery.committed,
                may_restart=self._call.options.restart,
                seconds_left=left,
            )
            # The watchdog's timer may be a millisecond early.
            if left <= 0 or failure.phase == "deadline":
                return STOP
            if step.kind != "retry":
                return step
            await anyio.sleep(step.wait)
            reason = "retry"

    async def _attempt(self, target: Target, reason: AttemptReason) -> None:
        """Run one attempt and settle it on every end, cancellation included."""
        request = ChatRequest(
            model_id=target.provider_model,
            messages=self._call.messages,
            options=self._options,
            stream=self._call.stream,
            capabilities=target.capabilities,
            output_limit=target.output_limit,
        )
        attempt = Attempt(
            deployment=target.deployment,
            model=target.model,
            provider=target.provider,
            server=target.channel.server,
            reason=reason,
            started_us=self._delivery.elapsed_us(),
        )
        self.attempts.append(attempt)
        self.target = target
        if self._first is not None:
            self._delivery.restart(self._first.info())
        try:
            self.outcome = await run_attempt(
                target, request, attempt, self._delivery, self._timeouts, self._deadline
            )
        except AttemptFailed as failed:
            failure = failed.failure
            # What is called a code may be a sentence that quotes the prompt.
            attempt.error_class = str(failure.error_class)
            attempt.error_code = as_code(failure.code)
            attempt.error_phase, attempt.retry_after = failure.phase, failure.retry_after
            attempt.sent = failure.request_sent
            raise
        except CallRefused:
            attempt.error_class, attempt.error_phase = "bad_request", "encode"
            attempt.sent = False
            raise
        except asyncio.CancelledError:
            attempt.error_class = "cancelled"
            raise
        except Exception:
            attempt.error_class = "internal_error"
            raise
        finally:
            attempt.ended_us = self._delivery.elapsed_us()
            output_bytes = self._delivery.output_bytes
            settle_attempt(attempt, target, self._input_tokens, output_bytes)

    def _report(self, failure: Failure) -> None:
        """Keep what the caller is told in the end: the first cause, and what was tried."""
        self._first = self._first or failure
        tried = [f"{attempt.deployment}: {attempt.error_class}" for attempt in self.attempts]
        if failure.phase == "deadline":
            message = "no complete answer within the time allowed"
            self.error = error_info("deadline_exceeded", message, details={"tried": tried})
            return
        if self._delivery.committed:
            message = f"the answer was cut after it began: {self._first.message}"
            info = error_info("interrupted", message)
        else:
            info = self._first.info()
        self.error = structs.replace(info, details={**info.details, "tried": tried})


def _has_larger_window(candidate: Target, than: Target) -> bool:
    if candidate.context_window is None or than.context_window is None:
        return False
    return candidate.context_window > than.context_window
