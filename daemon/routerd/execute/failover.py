"""What happens after a failed attempt: a plain function of what failed and what is left.

Rules of this file: no I/O, no clock and no chance: what is drawn is passed in. At most two
attempts on a route; the second one only for a fault that passes by itself, or that the provider
says how to repair. Nothing is tried again once content reached the caller, unless the caller opted
into a restart. A safety rule is never routed around. A caller's mistake is never repeated; where
the provider says itself that the same request may succeed, as after a model wrote a tool call it
cannot read, it gets that request once more, and no other provider does.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, structs

from routerd.domain import MAX_ATTEMPTS_PER_ROUTE
from routerd.errors import ErrorClass, Failure
from routerd.settings import Failover

__all__ = [
    "JITTER",
    "Step",
    "StepKind",
    "as_on_last_route",
    "is_of_a_key",
    "next_step",
    "refuses_for_now",
]

# Callers that failed together do not come back in the same instant: up to so much is added.
JITTER: Final = 0.1

FINAL: Final = {ErrorClass.CONTENT_POLICY, ErrorClass.BAD_REQUEST, ErrorClass.CANCELLED}
TRANSIENT: Final = {ErrorClass.SERVER_ERROR, ErrorClass.OVERLOADED, ErrorClass.CONNECTION}
# Faults that another key of the same provider need not have.
OF_A_KEY: Final = (ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.AUTH)


StepKind = Literal["retry", "repair", "fallback", "stop"]


class Step(Struct, frozen=True):
    """What to do next: the same route after `wait` seconds, the next route, or give up.

    `repair` is the same route at once, with a request that was changed as its provider says.
    `larger_window` asks for a route whose model takes more than the one that failed.
    """

    kind: StepKind
    wait: float = 0.0
    larger_window: bool = False


DEFAULT: Final = Failover()
STOP: Final = Step("stop")
FALLBACK: Final = Step("fallback")
REPAIR: Final = Step("repair")


def next_step(
    failure: Failure,
    *,
    attempts_on_route: int,
    committed: bool,
    may_restart: bool,
    seconds_left: float,
    settings: Failover = DEFAULT,
    draw: float = 0.0,
    can_repair: bool = False,
) -> Step:
    """Decide what follows `failure`; `draw`, from 0 to 1, makes a wait longer, never shorter.

    `can_repair` says that the adapter knows how to change a request that was refused.
    """
    kind = failure.error_class
    otherwise = STOP if kind in FINAL and not _is_of_a_model(failure) else FALLBACK
    if committed:
        return otherwise if may_restart else STOP
    if kind is ErrorClass.CONTEXT_LENGTH:
        return Step("fallback", larger_window=True)
    if kind is ErrorClass.BAD_REQUEST and can_repair:
        in_bounds = attempts_on_route < MAX_ATTEMPTS_PER_ROUTE and seconds_left > 0
        return REPAIR if in_bounds else otherwise
    may_repeat = otherwise is FALLBACK or _is_repeatable_mistake(failure)
    if may_repeat and attempts_on_route < MAX_ATTEMPTS_PER_ROUTE:
        wait = _pause(failure, settings)
        if wait is not None and wait < seconds_left:
            # What is added must not cost the attempt its time.
            longer = wait * (1 + JITTER * draw)
            return Step("retry", longer if longer < seconds_left else wait)
    return otherwise


def as_on_last_route(failure: Failure) -> Failure:
    """Return a failure as it counts where no other route is left.

    Some limit the rate and name no time: a moment later is better than nothing at all.
    """
    if (
        failure.error_class is ErrorClass.RATE_LIMIT
        and failure.retry_after is None
        and failure.retryable_here is None
    ):
        return structs.replace(failure, retryable_here=True)
    return failure


def _is_repeatable_mistake(failure: Failure) -> bool:
    return failure.error_class is ErrorClass.BAD_REQUEST and failure.retryable_here is True


def _is_of_a_model(failure: Failure) -> bool:
    """Say whether the request is only more than this model can do: another one may take it."""
    return failure.error_class is ErrorClass.BAD_REQUEST and failure.is_of_deployment


def _pause(failure: Failure, settings: Failover) -> float | None:
    """Return the seconds before a second attempt on the same route, None if there is none."""
    if failure.retryable_here is False:
        return None
    if failure.retry_after is not None and failure.retry_after > 0:
        known = failure.error_class in TRANSIENT or failure.error_class is ErrorClass.RATE_LIMIT
        is_short = failure.retry_after <= settings.longest_wait_seconds
        return failure.retry_after if known and is_short else None
    if failure.error_class is ErrorClass.CONNECTION:
        # A kept connection the provider had just closed looks like this; a refused one does not
        # get better in a moment.
        # What broke inside a whole answer was written, and is billed: once is enough.
        return 0.0 if failure.request_sent and failure.phase != "content" else None
    if failure.error_class in TRANSIENT or failure.retryable_here:
        return settings.pause_seconds
    return None


def refuses_for_now(failure: Failure) -> bool:
    """Say whether another request to the same provider, by the same key, is refused too."""
    return (is_of_a_key(failure) and not failure.is_of_deployment) or (
        failure.error_class is ErrorClass.OVERLOADED and failure.retry_after is not None
    )


def is_of_a_key(failure: Failure) -> bool:
    """Say whether another key of the same provider need not meet it."""
    return failure.is_of_key and failure.error_class in OF_A_KEY
