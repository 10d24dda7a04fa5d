"""What follows a failure, as a table over every class of failure."""

from __future__ import annotations

from itertools import product
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import ErrorClass, Failure
from routerd.execute.failover import JITTER, Step, StepKind, as_on_last_route, next_step
from routerd.execute.failover import refuses_for_now as refuses
from routerd.settings import Failover

LONGEST_WAIT_SECONDS: Final = Failover().longest_wait_seconds
SHORT_PAUSE_SECONDS: Final = Failover().pause_seconds
STOP, FALLBACK = Step("stop"), Step("fallback")
LARGER = Step("fallback", larger_window=True)
PAUSE, AT_ONCE, AS_TOLD = Step("retry", SHORT_PAUSE_SECONDS), Step("retry", 0.0), Step("retry", 1.0)

# The first attempt on a route failed before any content: without a retry-after, with one of a
# second, and with one that is too long to wait for.
FIRST_FAILURE: Final = {
    ErrorClass.RATE_LIMIT: (FALLBACK, AS_TOLD, FALLBACK),
    ErrorClass.QUOTA: (FALLBACK, FALLBACK, FALLBACK),
    ErrorClass.OVERLOADED: (PAUSE, AS_TOLD, FALLBACK),
    ErrorClass.SERVER_ERROR: (PAUSE, AS_TOLD, FALLBACK),
    ErrorClass.TIMEOUT: (FALLBACK, FALLBACK, FALLBACK),
    ErrorClass.CONNECTION: (AT_ONCE, AS_TOLD, FALLBACK),
    ErrorClass.AUTH: (FALLBACK, FALLBACK, FALLBACK),
    ErrorClass.NOT_FOUND: (FALLBACK, FALLBACK, FALLBACK),
    ErrorClass.CONTEXT_LENGTH: (LARGER, LARGER, LARGER),
    ErrorClass.CONTENT_POLICY: (STOP, STOP, STOP),
    ErrorClass.BAD_REQUEST: (STOP, STOP, STOP),
    ErrorClass.BAD_ANSWER: (FALLBACK, FALLBACK, FALLBACK),
    ErrorClass.CANCELLED: (STOP, STOP, STOP),
}
RETRY_AFTER: Final = (None, 1.0, LONGEST_WAIT_SECONDS + 0.1)
FINAL: Final = {ErrorClass.CONTENT_POLICY, ErrorClass.BAD_REQUEST, ErrorClass.CANCELLED}


def after(
    failure: Failure,
    *,
    attempts: int = 1,
    committed: bool = False,
    restart: bool = False,
    left: float = 60.0,
    repair: bool = False,
) -> Step:
    return next_step(
        failure,
        attempts_on_route=attempts,
        committed=committed,
        may_restart=restart,
        seconds_left=left,
        can_repair=repair,
    )


def failed(kind: ErrorClass, **more: float | bool | None) -> Failure:
    return Failure(kind, "no", **more)  # type: ignore[arg-type]


def test_the_table_knows_every_class() -> None:
    assert set(FIRST_FAILURE) == set(ErrorClass)


@pytest.mark.parametrize(("kind", "column"), list(product(ErrorClass, range(3))))
def test_a_first_failure_before_content(kind: ErrorClass, column: int) -> None:
    failure = failed(kind, retry_after=RETRY_AFTER[column])
    assert after(failure) == FIRST_FAILURE[kind][column]


@pytest.mark.parametrize(("kind", "column"), list(product(ErrorClass, range(3))))
def test_there_is_no_third_attempt_on_a_route(kind: ErrorClass, column: int) -> None:
    failure = failed(kind, retry_after=RETRY_AFTER[column])
    first = FIRST_FAILURE[kind][column]
    assert after(failure, attempts=2) == (FALLBACK if first.kind == "retry" else first)


@pytest.mark.parametrize(("kind", "retry_after"), list(product(ErrorClass, RETRY_AFTER)))
def test_nothing_follows_content_but_a_restart(kind: ErrorClass, retry_after: float | None) -> None:
    failure = failed(kind, retry_after=retry_after)
    for attempts in (1, 2):
        assert after(failure, attempts=attempts, committed=True) == STOP
        restarted = after(failure, attempts=attempts, committed=True, restart=True)
        assert restarted == (STOP if kind in FINAL else FALLBACK)


@pytest.mark.parametrize("kind", ErrorClass)
def test_to_opt_in_to_a_restart_changes_nothing_before_content(kind: ErrorClass) -> None:
    assert after(failed(kind), restart=True) == after(failed(kind))


def test_a_connection_that_never_carried_the_request_is_not_tried_again() -> None:
    assert after(failed(ErrorClass.CONNECTION, request_sent=False)) == FALLBACK


@pytest.mark.parametrize(
    ("kind", "retryable_here", "expected"),
    [
        (ErrorClass.SERVER_ERROR, False, FALLBACK),
        (ErrorClass.OVERLOADED, False, FALLBACK),
        (ErrorClass.CONNECTION, False, FALLBACK),
        (ErrorClass.RATE_LIMIT, True, PAUSE),
        (ErrorClass.TIMEOUT, True, PAUSE),
        (ErrorClass.BAD_ANSWER, True, PAUSE),
        (ErrorClass.CONTENT_POLICY, True, STOP),
        (ErrorClass.BAD_REQUEST, False, STOP),
        (ErrorClass.CANCELLED, True, STOP),
    ],
)
def test_the_provider_may_overrule_the_class_but_no_safety_rule(
    kind: ErrorClass,
    retryable_here: bool,
    expected: Step,
) -> None:
    assert after(failed(kind, retryable_here=retryable_here)) == expected


def test_a_mistake_that_the_provider_calls_passing_is_sent_once_more_and_nowhere_else() -> None:
    failure = failed(ErrorClass.BAD_REQUEST, retryable_here=True)
    assert after(failure) == PAUSE
    assert after(failure, attempts=2) == STOP
    assert after(failure, committed=True) == STOP
    assert after(failure, committed=True, restart=True) == STOP
    assert after(failure, left=SHORT_PAUSE_SECONDS) == STOP


@pytest.mark.parametrize("kind", ErrorClass)
def test_on_the_last_route_a_rate_limit_without_a_time_gets_a_second_attempt(
    kind: ErrorClass,
) -> None:
    is_limit = kind is ErrorClass.RATE_LIMIT
    failure = failed(kind)
    last = as_on_last_route(failure)
    assert after(last) == (PAUSE if is_limit else after(failure))
    assert after(last, attempts=2) == after(failure, attempts=2)
    assert after(last, left=SHORT_PAUSE_SECONDS) == after(failure, left=SHORT_PAUSE_SECONDS)
    # What the provider says itself holds.
    for told in (failed(kind, retry_after=99.0), failed(kind, retryable_here=False)):
        assert as_on_last_route(told) == told


def test_what_only_this_model_cannot_do_another_one_may() -> None:
    failure = failed(ErrorClass.BAD_REQUEST, is_of_deployment=True)
    assert after(failure) == FALLBACK
    assert after(failure, committed=True) == STOP
    assert after(failure, repair=True) == Step("repair")
    # Nor is a second refusal the end where the cure was no use.
    assert after(failure, repair=True, attempts=2) == FALLBACK


@pytest.mark.parametrize("kind", [ErrorClass.RATE_LIMIT, ErrorClass.QUOTA, ErrorClass.AUTH])
def test_what_one_deployment_refuses_its_provider_need_not(kind: ErrorClass) -> None:
    assert refuses(failed(kind))
    assert not refuses(failed(kind, is_of_deployment=True))


@pytest.mark.parametrize("retryable_here", [None, True, False])
def test_a_mistake_that_can_be_repaired_is_sent_repaired_at_once(
    retryable_here: bool | None,
) -> None:
    # What the provider says of the same request does not hold for another one.
    failure = failed(ErrorClass.BAD_REQUEST, retryable_here=retryable_here)
    assert after(failure, repair=True) == Step("repair")
    assert after(failure, repair=True, attempts=2) == STOP
    assert after(failure, repair=True, committed=True) == STOP
    assert after(failure, repair=True, committed=True, restart=True) == STOP
    assert after(failure, repair=True, left=0.0) == STOP


@pytest.mark.parametrize("kind", sorted(set(ErrorClass) - {ErrorClass.BAD_REQUEST}))
def test_nothing_but_a_mistake_is_repaired(kind: ErrorClass) -> None:
    assert after(failed(kind), repair=True) == after(failed(kind))


@pytest.mark.parametrize(
    ("retry_after", "left", "expected"),
    [
        (None, SHORT_PAUSE_SECONDS + 0.01, PAUSE),
        (None, SHORT_PAUSE_SECONDS, FALLBACK),
        (1.0, 1.01, AS_TOLD),
        (1.0, 1.0, FALLBACK),
        (0.0, 60.0, PAUSE),
        (-5.0, 60.0, PAUSE),
        (LONGEST_WAIT_SECONDS, 60.0, Step("retry", LONGEST_WAIT_SECONDS)),
        (float("inf"), 60.0, FALLBACK),
    ],
)
def test_a_wait_must_fit_the_time_left(
    retry_after: float | None, left: float, expected: Step
) -> None:
    assert after(failed(ErrorClass.OVERLOADED, retry_after=retry_after), left=left) == expected


failures = st.builds(
    Failure,
    error_class=st.sampled_from(ErrorClass),
    message=st.text(),
    retry_after=st.none() | st.floats(allow_nan=False),
    request_sent=st.booleans(),
    retryable_here=st.none() | st.booleans(),
)


@given(failures, st.integers(1, 3), st.booleans(), st.booleans(), st.floats(-1, 100), st.booleans())
def test_the_invariants_of_every_step(
    failure: Failure,
    attempts: int,
    committed: bool,
    restart: bool,
    left: float,
    repair: bool,
) -> None:
    step = after(
        failure,
        attempts=attempts,
        committed=committed,
        restart=restart,
        left=left,
        repair=repair,
    )
    assert step.kind in get_args(StepKind)
    repeatable = failure.error_class is ErrorClass.BAD_REQUEST and failure.retryable_here
    if committed and not restart:
        assert step == STOP
    elif failure.error_class in FINAL:
        again = step.kind == "retry" and repeatable
        assert step == STOP or again or (step.kind == "repair" and repair)
    if step.kind == "repair":
        assert failure.error_class is ErrorClass.BAD_REQUEST
        assert (attempts, committed, step.wait) == (1, False, 0.0)
        assert left > 0
    if step.kind == "retry":
        assert attempts < 2
        assert not committed
        assert failure.retryable_here is not False
        assert 0 <= step.wait <= LONGEST_WAIT_SECONDS
        assert step.wait < left
        assert step.wait >= (failure.retry_after or 0)
    else:
        assert step.wait == 0
    if step.larger_window:
        assert failure.error_class is ErrorClass.CONTEXT_LENGTH


@given(
    wait=st.floats(0.01, 5.0),
    longest=st.floats(0.0, 5.0),
    left=st.floats(0.01, 60.0),
    draw=st.floats(0.0, 1.0),
)
def test_a_wait_is_never_shorter_than_told_and_jitter_only_adds(
    wait: float, longest: float, left: float, draw: float
) -> None:
    step = next_step(
        Failure(ErrorClass.RATE_LIMIT, "slow down", retry_after=wait),
        attempts_on_route=1,
        committed=False,
        may_restart=False,
        seconds_left=left,
        settings=Failover(longest_wait_seconds=longest),
        draw=draw,
    )
    if wait <= longest and wait < left:
        assert step.kind == "retry"
        assert wait <= step.wait <= wait * (1 + JITTER)
        assert step.wait < left
    else:
        assert step == FALLBACK


def test_the_pause_before_a_second_attempt_is_a_setting() -> None:
    step = next_step(
        Failure(ErrorClass.SERVER_ERROR, "oops"),
        attempts_on_route=1,
        committed=False,
        may_restart=False,
        seconds_left=60.0,
        settings=Failover(pause_seconds=1.5),
    )
    assert step == Step("retry", 1.5)
