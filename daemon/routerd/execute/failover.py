"""What happens after a failed attempt: a plain function of what failed and what is left.

Rules of this file: no I/O and no clock. At most two attempts on a route; the second one only for
a fault that passes by itself. Nothing is tried again once content reached the caller, unless the
caller opted into a restart. A safety rule is never routed around. A caller's mistake is never
repeated; where the provider says itself that the same request may succeed, as after a model wrote
a tool call it cannot read, it gets that request once more, and no other provider does.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from routerd.domain import MAX_ATTEMPTS_PER_ROUTE
from routerd.errors import ErrorClass, Failure

__all__ = ["LONGEST_WAIT_SECONDS", "Step", "next_step"]

# A longer retry-after sends the call to the backup at once.
LONGEST_WAIT_SECONDS: Final = 3.0
# Long enough for one bad moment of a load balancer to pass.
SHORT_PAUSE_SECONDS: Final = 0.2

FINAL: Final = {ErrorClass.CONTENT_POLICY, ErrorClass.BAD_REQUEST, ErrorClass.CANCELLED}
TRANSIENT: Final = {ErrorClass.SERVER_ERROR, ErrorClass.OVERLOADED, ErrorClass.CONNECTION}


class Step(Struct, frozen=True):
    """What to do next: the same route after `wait` seconds, the next route, or give up.

    `larger_window` asks for a route whose model takes more than the one that failed.
    """

    kind: Literal["retry", "fallback", "stop"]
    wait: float = 0.0
    larger_window: bool = False


STOP: Final = Step("stop")
FALLBACK: Final = Step("fallback")


def next_step(
    failure: Failure,
    *,
    attempts_on_route: int,
    committed: bool,
    may_restart: bool,
    seconds_left: float,
) -> Step:
    """Decide what follows `failure`."""
    kind = failure.error_class
    otherwise = STOP if kind in FINAL else FALLBACK
    if committed:
        return otherwise if may_restart else STOP
    if kind is ErrorClass.CONTEXT_LENGTH:
        return Step("fallback", larger_window=True)
    may_repeat = otherwise is FALLBACK or _is_repeatable_mistake(failure)
    if may_repeat and attempts_on_route < MAX_ATTEMPTS_PER_ROUTE:
        wait = _pause(failure)
        if wait is not None and wait < seconds_left:
            return Step("retry", wait)
    return otherwise


def _is_repeatable_mistake(failure: Failure) -> bool:
    return failure.error_class is ErrorClass.BAD_REQUEST and failure.retryable_here is True


def _pause(failure: Failure) -> float | None:
    """Return the seconds before a second attempt on the same route, None if there is none."""
    if failure.retryable_here is False:
        return None
    if failure.retry_after is not None and failure.retry_after > 0:
        known = failure.error_class in TRANSIENT or failure.error_class is ErrorClass.RATE_LIMIT
        return (
            failure.retry_after if known and failure.retry_after <= LONGEST_WAIT_SECONDS else None
        )
    if failure.error_class is ErrorClass.CONNECTION:
        # A kept connection the provider had just closed looks like this; a refused one does not
        # get better in a moment.
        return 0.0 if failure.request_sent else None
    if failure.error_class in TRANSIENT or failure.retryable_here:
        return SHORT_PAUSE_SECONDS
    return None
