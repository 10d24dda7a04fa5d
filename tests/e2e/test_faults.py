"""Every fault a provider can show, for every way to ask, with either vendor first.

Each test looks at three books: what the caller heard, what the provider saw, what was recorded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from routerd.domain import Record
from routerd.simulate import Simulator, expected_text, parse_fault
from routerd_client import CallerError, ProviderError, RouterdError, RouterError
from tests.e2e.asking import PROMPT, SIDES, WAYS, Heard, Side, Way, ask, explain, served_by
from tests.e2e.conftest import Daemon

StartDaemon = Callable[..., Awaitable[Daemon]]

# For tests that wait for several time limits one after the other.
slow = pytest.mark.time_limit(60)
either_vendor_first = pytest.mark.parametrize("side", SIDES, ids=[side.vendor for side in SIDES])
IN_WHOLE_ANSWERS: tuple[Way, ...] = ("acomplete", "complete")
# Short enough for a test, long enough for a busy machine.
SHORT_TIMEOUTS = """\
[timeouts]
headers = 1.0
first_content = 1.0
between_parts = 1.0
whole_answer = 1.0
"""


# The status with which each vendor says that it is overloaded.
OVERLOADED = {"anthropic": "status:529", "openai": "status:503"}


def text_of(deployment: str) -> str:
    return expected_text(deployment.partition("/")[2], PROMPT)


class Case(NamedTuple):
    """A fault of the first provider, and the class its failed attempts are recorded with."""

    fault: str
    error_class: str
    ways: tuple[Way, ...] = WAYS


def each(cases: list[Case]) -> list[tuple[Case, Way, str]]:
    """Pair each case with each of its ways, and with a name for the pair."""
    return [(case, way, f"{way}: {case.fault}") for case in cases for way in case.ways]


@contextmanager
def named(name: str) -> Iterator[None]:
    """Say in a failure which case it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {name}")
        raise


class Scene:
    """One daemon and one simulator, asked once after the other."""

    def __init__(self, daemon: Daemon, simulator: Simulator, side: Side) -> None:
        self.daemon = daemon
        self.simulator = simulator
        self.side = side

    async def ask(
        self, way: Way, *faults: str, restart: bool = False, forget: bool = True
    ) -> Ended:
        """Ask once while these faults strike; `{first}` in them means the first provider alone.

        What earlier calls showed of the providers is forgotten before.
        """
        first, busy = f"vendor={self.side.vendor}", OVERLOADED[self.side.vendor]
        texts = [fault.format(first=first, overloaded=busy) for fault in faults]
        self.simulator.script.replace([parse_fault(text) for text in texts])
        seen = len(self.simulator.account.attempts)
        async with self.daemon.client() as client:
            for provider in ("anthropic", "openai") if forget else ():
                await client.acommand("reset", name=provider)
            heard = await ask(client, way, self.side.target, restart=restart)
            record = await explain(client, heard.decision_id)
            status = await client.acommand("status")
        assert status["calls_in_flight"] == 0
        assert self.simulator.account.total.running == 0
        return Ended(heard, record, served_by(self.simulator, after=seen))


class Ended(NamedTuple):
    """How one call ended: for its caller, in its record, and what the simulator was asked for."""

    heard: Heard
    record: Record
    served: list[str]

    def check_answered_by(self, deployment: str, *failed: tuple[str, str]) -> None:
        """Check for a whole answer after these failed attempts, each with its class."""
        reply = self.heard.answer
        assert self.heard.text == reply.text == text_of(deployment)
        assert (reply.deployment, reply.finish) == (deployment, "stop")
        assert reply.attempts == len(failed) + 1
        assert self.served == [*(name for name, _ in failed), deployment]
        self.check_recorded(*failed, (deployment, None))
        assert self.record.error_code is None
        assert self.record.deployment == deployment
        assert self.record.finish == "stop"
        assert self.record.cost_nanodollars == reply.cost_nanodollars

    def check_failed(
        self,
        kind: type[RouterdError],
        code: str,
        *failed: tuple[str, str],
        passed_by: Iterable[str] = (),
    ) -> RouterdError:
        """Check for one error after these failed attempts, each with its class."""
        error = self.heard.failure
        assert (type(error), error.code) == (kind, code)
        assert self.served == [name for name, _ in failed]
        self.check_recorded(*failed)
        assert self.record.error_code == code
        assert self.record.finish == "error"
        tried = [f"{name}: {kind}" for name, kind in failed]
        assert error.details["tried"] == [*tried, *passed_by]
        return error

    def check_recorded(self, *attempts: tuple[str, str | None]) -> None:
        recorded = [(attempt.deployment, attempt.error_class) for attempt in self.record.attempts]
        assert recorded == list(attempts)
        assert all(attempt.ended_us is not None for attempt in self.record.attempts)


@pytest.fixture
def scene(daemon: Daemon, simulator: Simulator, side: Side) -> Scene:
    return Scene(daemon, simulator, side)


@pytest.fixture
async def stubborn(start_daemon: StartDaemon, simulator: Simulator, side: Side) -> Scene:
    """A daemon that goes on asking where others would leave a provider alone."""
    return Scene(await start_daemon("[health]\nfailures_in_a_row = 10\n"), simulator, side)


@pytest.fixture
async def impatient(start_daemon: StartDaemon, simulator: Simulator, side: Side) -> Scene:
    return Scene(await start_daemon(SHORT_TIMEOUTS), simulator, side)


# What breaks inside a whole answer was written and is billed: the backup is asked at once.
BEGUN: tuple[Way, ...] = ("stream",)
ONCE = [
    Case("status:500,times=1,{first}", "server_error"),
    Case("status:502,times=1,{first}", "server_error"),
    Case("{overloaded},times=1,{first}", "overloaded"),
    Case("status:429,retry_after=0.2,times=1,{first}", "rate_limit"),
    Case("reset,times=1,{first}", "connection"),
    Case("cut:0,times=1,{first}", "connection", BEGUN),
    Case("error_in_stream:0,code=server_error,times=1,{first}", "server_error"),
]
FOR_EVER = [
    Case("status:500,{first}", "server_error"),
    Case("{overloaded},{first}", "overloaded"),
    Case("reset,{first}", "connection"),
    Case("cut:0,{first}", "connection", BEGUN),
]
NOT_WORTH_A_SECOND_TRY = [
    Case("status:401,{first}", "auth"),
    Case("status:403,{first}", "auth"),
    Case("status:429,{first},code=insufficient_quota", "quota"),
    Case("status:429,retry_after=60,{first}", "rate_limit"),
    Case("{overloaded},retry_after=60,{first}", "overloaded"),
    Case("missing_end:0,{first}", "bad_answer"),
    Case("malformed,{first}", "bad_answer", IN_WHOLE_ANSWERS),
]
TOO_SLOW = [
    Case("silence,{first}", "timeout"),
    Case("slow_first_token:60,{first}", "timeout", ("stream", "acomplete")),
    Case("stall:0,{first}", "timeout", ("stream", "acomplete")),
]
NEVER_REPEATED = [
    Case("status:400", "bad_request"),
    Case("status:400,code=content_policy_violation", "content_policy"),
]
# After 5 tokens of an answer.
AFTER_CONTENT = [
    Case("cut:5,{first}", "connection"),
    Case("missing_end:5,{first}", "bad_answer"),
    Case("missing_end,{first}", "bad_answer"),
    Case("error_in_stream:5,code=server_error,{first}", "server_error"),
]


@either_vendor_first
async def test_a_fault_that_passes_is_tried_again_at_the_same_model(scene: Scene) -> None:
    first = scene.side.first
    for case, way, name in each(ONCE):
        with named(name):
            ended = await scene.ask(way, case.fault)
            ended.check_answered_by(first, (first, case.error_class))
            assert ended.heard.answer.degraded is None
            assert [attempt.reason for attempt in ended.record.attempts] == ["first", "retry"]


@either_vendor_first
async def test_a_fault_that_stays_leads_to_the_backup(scene: Scene) -> None:
    for case, way, name in each(FOR_EVER):
        with named(name):
            failed = scene.side.first, case.error_class
            ended = await scene.ask(way, case.fault)
            ended.check_answered_by(scene.side.backup, failed, failed)
            reasons = [attempt.reason for attempt in ended.record.attempts]
            assert reasons == ["first", "retry", "fallback"]


@either_vendor_first
async def test_what_does_not_pass_leads_to_the_backup_at_once(scene: Scene) -> None:
    for case, way, name in each(NOT_WORTH_A_SECOND_TRY):
        with named(name):
            ended = await scene.ask(way, case.fault)
            ended.check_answered_by(scene.side.backup, (scene.side.first, case.error_class))
            assert [attempt.reason for attempt in ended.record.attempts] == ["first", "fallback"]


@either_vendor_first
async def test_a_model_that_its_provider_does_not_have_is_asked_for_once(scene: Scene) -> None:
    first, backup = scene.side.first, scene.side.backup
    ended = await scene.ask("stream", "status:404,{first}")
    ended.check_answered_by(backup, (first, "not_found"))
    for way in WAYS:
        ended = await scene.ask(way, "status:404,{first}", forget=False)
        ended.check_answered_by(backup)
        assert ended.record.plan is not None
        gone = {item.deployment: item.detail for item in ended.record.plan.dropped}
        assert gone[first].startswith("its provider does not have it: 404")


@slow
@either_vendor_first
async def test_a_provider_that_is_too_slow_leads_to_the_backup(impatient: Scene) -> None:
    for case, way, name in each(TOO_SLOW):
        with named(name):
            ended = await impatient.ask(way, case.fault)
            ended.check_answered_by(impatient.side.backup, (impatient.side.first, "timeout"))
    assert impatient.simulator.account.total.aborted == len(each(TOO_SLOW))


@either_vendor_first
async def test_a_mistake_of_the_caller_is_never_repeated(scene: Scene) -> None:
    for case, way, name in each(NEVER_REPEATED):
        with named(name):
            ended = await scene.ask(way, case.fault)
            failed = scene.side.first, case.error_class
            error = ended.check_failed(CallerError, case.error_class, failed)
            assert not error.retryable
            assert ended.record.cost_nanodollars == 0


@either_vendor_first
@pytest.mark.parametrize("seconds", [0.3, 1])
async def test_a_rate_limit_is_waited_for(scene: Scene, seconds: float) -> None:
    for way in WAYS:
        ended = await scene.ask(way, f"status:429,retry_after={seconds},times=1,{{first}}")
        ended.check_answered_by(scene.side.first, (scene.side.first, "rate_limit"))
        refused, answered = scene.simulator.account.attempts[-2:]
        assert answered.arrived - refused.arrived >= seconds
        assert ended.record.attempts[0].retry_after == seconds


@either_vendor_first
async def test_a_stream_that_is_cut_never_looks_complete(scene: Scene) -> None:
    first = scene.side.first
    for case in AFTER_CONTENT:
        with named(case.fault):
            ended = await scene.ask("stream", case.fault)
            error = ended.check_failed(ProviderError, "interrupted", (first, case.error_class))
            assert ended.heard.text
            assert text_of(first).startswith(ended.heard.text)
            assert error.reply is not None
            assert (error.reply.text, error.reply.finish) == (ended.heard.text, "error")
            assert error.retryable
            assert ended.record.deployment == first
            assert ended.record.attempts[0].first_content_us is not None
            assert ended.record.cost_nanodollars


@either_vendor_first
async def test_a_restart_brings_a_whole_new_answer(scene: Scene) -> None:
    first, backup = scene.side.first, scene.side.backup
    for case in AFTER_CONTENT:
        with named(case.fault):
            ended = await scene.ask("stream", case.fault, restart=True)
            ended.check_answered_by(backup, (first, case.error_class))
            [restart] = ended.heard.restarts
            assert restart.reason.code == case.error_class
            [voided] = ended.heard.voided
            assert voided
            assert text_of(first).startswith(voided)
            # Both answers are paid for.
            assert all(attempt.cost_nanodollars for attempt in ended.record.attempts)


@either_vendor_first
async def test_whole_answers_are_rescued(scene: Scene) -> None:
    first, backup = scene.side.first, scene.side.backup
    # An error of the vendor's own is tried once more at the same place; half an answer, which is
    # billed, is not.
    again = {"server_error"}
    for case, way, name in each(AFTER_CONTENT):
        if way == "stream":
            continue
        with named(name):
            failed = [(first, case.error_class)] * (2 if case.error_class in again else 1)
            ended = await scene.ask(way, case.fault)
            ended.check_answered_by(backup, *failed)


@slow
@either_vendor_first
async def test_a_stream_that_stalls_is_cut(impatient: Scene) -> None:
    first, backup = impatient.side.first, impatient.side.backup
    fault = "stall:5,{first}"
    ended = await impatient.ask("stream", fault)
    ended.check_failed(ProviderError, "interrupted", (first, "timeout"))
    assert ended.heard.text
    assert text_of(first).startswith(ended.heard.text)
    ended = await impatient.ask("stream", fault, restart=True)
    ended.check_answered_by(backup, (first, "timeout"))
    assert len(ended.heard.restarts) == 1
    for way in IN_WHOLE_ANSWERS:
        ended = await impatient.ask(way, fault)
        ended.check_answered_by(backup, (first, "timeout"))
    assert impatient.simulator.account.total.aborted == 4


@either_vendor_first
async def test_a_malformed_event_is_skipped_and_counted(scene: Scene) -> None:
    ended = await scene.ask("stream", "malformed:5,{first}")
    ended.check_answered_by(scene.side.first)
    assert ended.record.attempts[0].malformed_events == 1


@either_vendor_first
async def test_where_all_are_down_the_first_cause_is_told(stubborn: Scene) -> None:
    vendor_behind = stubborn.side.backup.partition("/")[0]
    for way in WAYS:
        ended = await stubborn.ask(way, "status:403,{first}", f"status:500,vendor={vendor_behind}")
        first, backup = (stubborn.side.first, "auth"), (stubborn.side.backup, "server_error")
        third, passed_by = [], []
        for name in routes_of(ended.record)[2:]:
            if name.startswith(f"{vendor_behind}/"):
                third += [(name, "server_error")] * 2
            else:
                passed_by.append(f"{name}: unhealthy")  # its provider refused the key before
        failed = (first, backup, backup, *third)
        error = ended.check_failed(RouterError, "auth", *failed, passed_by=passed_by)
        assert error.details["status"] == 403
        assert ended.record.cost_nanodollars == 0
        assert ended.record.deployment == ""


@either_vendor_first
async def test_no_more_than_three_routes_and_two_attempts_each(stubborn: Scene) -> None:
    cases = [
        Case("status:500", "server_error"),
        Case("reset", "connection"),
        Case("cut:0", "connection", BEGUN),
    ]
    for case, way, name in each(cases):
        with named(name):
            ended = await stubborn.ask(way, case.fault)
            routes = routes_of(ended.record)
            assert 2 <= len(routes) <= 3
            attempts = [(route, case.error_class) for route in routes for _ in range(2)]
            error = ended.check_failed(ProviderError, case.error_class, *attempts)
            assert error.retryable


def routes_of(record: Record) -> list[str]:
    assert record.plan is not None
    return [route.deployment for route in record.plan.routes]
