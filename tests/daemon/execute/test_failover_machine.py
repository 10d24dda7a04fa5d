"""Failover as a machine: whatever fails in whatever order, the call keeps its promises.

The whole way of a call through its routes is run, with the wire alone left out: hypothesis says how
each attempt goes, and time passes only where somebody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest import mock

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from routerd.domain import MAX_ATTEMPTS_PER_ROUTE, MAX_ROUTES, Attempt
from routerd.errors import AttemptFailed, ErrorClass, Failure
from routerd.execute import routes
from routerd.execute.delivery import Delivery
from routerd.execute.target import Target
from routerd.providers.base import Outcome
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.transport import Channel
from routerd_proto.frames import CallRestarted, TextDelta
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import ABLE, PRICE
from tests.daemon.execute.virtual_time import run_in_virtual_time

NOBODY_ELSE: Final = {ErrorClass.CONTENT_POLICY, ErrorClass.BAD_REQUEST, ErrorClass.CANCELLED}
MOST: Final = MAX_ROUTES * MAX_ATTEMPTS_PER_ROUTE
# Clocks are told in milliseconds by some loops.
ABOUT: Final = 0.001


class Turn(Struct, frozen=True):
    """How one attempt goes: after `seconds` it fails, or answers; before, it may give content."""

    seconds: float
    failure: Failure | None
    begins: bool


class Made(Struct):
    """One attempt that was made."""

    deployment: str
    began: float
    turn: Turn
    was_committed: bool
    ended: float = 0.0


# No adapter hands on a wait of no time at all; that says nothing.
failures = st.builds(
    Failure,
    error_class=st.sampled_from(ErrorClass),
    message=st.just("no"),
    retry_after=st.none() | st.floats(0.05, 4) | st.floats(0.05, 200),
    phase=st.sampled_from(["connect", "headers", "first_content", "content"]),
    request_sent=st.booleans(),
    retryable_here=st.sampled_from([None, None, True, False]),
)
turns = st.builds(
    Turn,
    seconds=st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 20),
    failure=failures,
    begins=st.sampled_from([False, False, True]),
)
windows = st.lists(
    st.sampled_from([None, 1000, 2000, 3000]), min_size=MAX_ROUTES, max_size=MAX_ROUTES
) | st.lists(st.none(), min_size=1, max_size=2)


class Machine:
    """One call through its routes, with attempts that go as they are told to."""

    def __init__(self, turns: list[Turn], windows: list[int | None], **call: Any) -> None:
        self.turns = [
            structs.replace(turn, failure=None) if number == call["answers"] else turn
            for number, turn in enumerate(turns)
        ]
        self.targets = [target(f"p{number}", window) for number, window in enumerate(windows)]
        self.stream: bool = call["stream"]
        self.restart: bool = call["restart"]
        self.seconds: float = call["seconds"]
        self.made: list[Made] = []
        self.run: Run
        self.ended = 0.0

    async def go(self) -> Machine:
        self.run = Run(
            *self.targets, stream=self.stream, restart=self.restart, seconds=self.seconds
        )
        with mock.patch.object(routes, "run_attempt", self.attempt):
            await self.run.execution.run(self.run.plan, self.run.targets)
        self.ended = asyncio.get_running_loop().time()
        return self

    async def attempt(self, *given: Any, **_: Any) -> Outcome:
        """Stand in for one exchange with a provider."""
        attempt = next(item for item in given if isinstance(item, Attempt))
        delivery = next(item for item in given if isinstance(item, Delivery))
        loop = asyncio.get_running_loop()
        turn = self.turns[len(self.made)]
        made = Made(attempt.deployment, loop.time(), turn, delivery.committed)
        self.made.append(made)
        attempt.sent = True
        if turn.begins and self.stream:
            await delivery.deliver([TextDelta(attempt.deployment)])
        left = self.seconds - loop.time()
        await asyncio.sleep(min(turn.seconds, max(left, 0)))
        made.ended = loop.time()
        if turn.seconds >= left:
            raise AttemptFailed(Failure(ErrorClass.TIMEOUT, "no time", phase="deadline"))
        if turn.failure is not None:
            raise AttemptFailed(turn.failure)
        if not (turn.begins and self.stream):
            delivery.send([TextDelta(attempt.deployment)])
        delivery.end()
        return Outcome(finish="stop", complete=True)

    def steps(self) -> Iterator[tuple[Made, Failure, Made]]:
        """Return each failure with what came before and after it."""
        for before, after in zip(self.made, self.made[1:], strict=False):
            assert before.turn.failure is not None, "something followed an answer"
            yield before, before.turn.failure, after

    def window(self, deployment: str) -> int | None:
        return next(item.context_window for item in self.targets if item.deployment == deployment)


def target(provider: str, window: int | None) -> Target:
    return Target(
        deployment=f"{provider}/m",
        model="m",
        provider=provider,
        provider_model="m-1",
        capabilities=ABLE,
        context_window=window,
        output_limit=None,
        price=PRICE,
        adapter=OpenAIAdapter(),
        channel=cast("Channel", SimpleNamespace(server=provider)),
        simulated=True,
    )


machines = st.builds(
    Machine,
    st.lists(turns, min_size=MOST, max_size=MOST),
    windows,
    # Beyond them is never.
    answers=st.integers(0, MOST + 1),
    stream=st.booleans(),
    restart=st.booleans(),
    seconds=st.sampled_from([60.0, 600.0]) | st.floats(0.1, 5),
)


def done(machine: Machine) -> Machine:
    run_in_virtual_time(machine.go())
    event(f"{len(machine.made)} attempts, answered: {machine.run.execution.error is None}")
    return machine


@settings(max_examples=250)
@given(machines)
def test_so_many_routes_and_attempts_and_no_more(machine: Machine) -> None:
    done(machine)
    asked = [made.deployment for made in machine.made]
    in_order = [item.deployment for item in machine.targets]
    # Nobody is come back to, and nobody is jumped over without a reason.
    assert asked == sorted(asked, key=in_order.index)
    assert 1 <= len(set(asked)) <= MAX_ROUTES
    assert all(asked.count(name) <= MAX_ATTEMPTS_PER_ROUTE for name in in_order)
    if all(
        made.turn.failure is None or made.turn.failure.error_class is not ErrorClass.CONTEXT_LENGTH
        for made in machine.made
    ):
        assert list(dict.fromkeys(asked)) == in_order[: len(set(asked))]
    assert [item.deployment for item in machine.run.attempts] == asked


@settings(max_examples=250)
@given(machines)
def test_what_is_final_reaches_nobody_else(machine: Machine) -> None:
    done(machine)
    for before, failure, after in machine.steps():
        if failure.error_class in NOBODY_ELSE:
            assert after.deployment == before.deployment
            assert failure.error_class is ErrorClass.BAD_REQUEST
            assert failure.retryable_here is True


@settings(max_examples=250)
@given(machines)
def test_what_is_too_long_goes_only_where_there_is_more_room(machine: Machine) -> None:
    done(machine)
    for number, (before, failure, _) in enumerate(machine.steps()):
        if failure.error_class is ErrorClass.CONTEXT_LENGTH and not before.was_committed:
            if machine.stream and before.turn.begins:
                continue
            room = machine.window(before.deployment)
            assert room is not None
            for later in machine.made[number + 1 :]:
                assert (machine.window(later.deployment) or 0) > room


@settings(max_examples=250)
@given(machines)
def test_nothing_follows_content_but_a_restart(machine: Machine) -> None:
    done(machine)
    for before, _, after in machine.steps():
        if after.was_committed:
            assert machine.stream
            assert machine.restart
            assert after.deployment != before.deployment
    frames = machine.run.sink.frames
    gave = [made.deployment for made in machine.made if machine.stream and made.turn.begins]
    if machine.run.execution.error is None and machine.made[-1].deployment not in gave[-1:]:
        gave.append(machine.made[-1].deployment)
    # Each answer that begins is told to be another one, and stands alone.
    assert len([frame for frame in frames if isinstance(frame, CallRestarted)]) == max(
        0, len(gave) - 1
    )
    assert machine.run.sink.text == "".join(gave[-1:])


@settings(max_examples=250)
@given(machines)
def test_nobody_is_asked_sooner_than_it_said_nor_after_the_deadline(machine: Machine) -> None:
    done(machine)
    for before, failure, after in machine.steps():
        assert after.began < machine.seconds
        if after.deployment == before.deployment:
            assert after.began - before.ended >= (failure.retry_after or 0) - ABOUT
            assert failure.retryable_here is not False
        else:
            assert after.began - before.ended <= ABOUT, "the backup is asked at once"
    assert machine.ended <= machine.seconds + ABOUT


@settings(max_examples=250)
@given(machines)
def test_who_was_silent_is_not_asked_again(machine: Machine) -> None:
    done(machine)
    for before, failure, after in machine.steps():
        if after.deployment == before.deployment:
            known = failure.error_class not in {
                ErrorClass.TIMEOUT,
                ErrorClass.AUTH,
                ErrorClass.QUOTA,
                ErrorClass.NOT_FOUND,
            }
            assert known or failure.retryable_here is True


@settings(max_examples=250)
@given(machines)
def test_there_is_one_end_and_its_cause_is_the_first(machine: Machine) -> None:
    done(machine)
    run, error = machine.run, machine.run.execution.error
    last = machine.made[-1]
    ran_out = last.ended >= machine.seconds - ABOUT
    assert all(item.ended_us is not None for item in run.attempts)
    classes = [item.error_class for item in run.attempts]
    if last.turn.failure is not None and abs(last.ended - machine.seconds) <= ABOUT:
        ran_out = classes[-1] == "timeout"  # both in the same millisecond: either may be first
    assert classes[:-1] == [
        str(made.turn.failure.error_class) for made in machine.made[:-1] if made.turn.failure
    ]
    if error is None:
        assert (classes[-1], last.turn.failure) == (None, None)
        assert run.execution.outcome is not None
        return
    assert classes[-1] == (
        "timeout" if ran_out else str(last.turn.failure and last.turn.failure.error_class)
    )
    tried = [f"{item.deployment}: {item.error_class}" for item in run.attempts]
    assert error.details["tried"] == tried
    if ran_out:
        assert error.code == "deadline_exceeded"
    elif machine.stream and any(made.turn.begins for made in machine.made):
        assert error.code == "interrupted"
    else:
        assert error.code == classes[0]
