"""The story of one call, from the socket to the ledger: every end is told exactly once.

The ledger, the events, the server and the wire are the real ones; only the vendors follow a script.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from routerd.decide import with_defaults
from routerd.execute.recording import begin_record, read_call
from routerd.execute.target import Target
from routerd.models.schema import Defaults
from routerd.providers.base import AnswerDecoder, ChatRequest, EncodedRequest
from routerd.providers.openai import OpenAIAdapter
from routerd.settings import Timeouts
from routerd.telemetry.events import BugSeen, CallFinished
from routerd_proto.frames import (
    CallEnded,
    CallOptions,
    CallRequested,
    CallStarted,
    ConnectionEnded,
    DaemonHello,
    TextDelta,
    TraceContext,
    Usage,
)
from tests.daemon.execute.house import ANSWERED, SECRET, ended, failed, house, quiet
from tests.daemon.execute.scripted import (
    Vendor,
    answer,
    cut,
    failing,
    silent,
    stalling,
    whole,
)


async def test_an_answered_call(tmp_path: Path) -> None:
    async with (
        Vendor(answer(ANSWERED, used=(10, 5))) as vendor,
        house(tmp_path, vendor) as made,
    ):
        app, frames = await made.ask(options=CallOptions(tenant="acme", task="greeting"))
        await quiet(app)
        record = await made.only_record()
    greeting, started, text, last = frames
    assert isinstance(greeting, DaemonHello)
    assert text == TextDelta(ANSWERED)
    assert isinstance(last, CallEnded)
    assert started == CallStarted(last.decision_id, last.decision_id)
    assert last.error is None
    assert last.finish == record.finish == "stop"
    assert (last.model, last.deployment, last.provider) == ("m", "vendor/m", "vendor")
    assert last.usage == record.usage == Usage(input_tokens=10, output_tokens=5)
    assert (last.cost_nanodollars, last.cost_basis) == (20_000, "measured")
    assert last.attempts == len(record.attempts) == 1
    assert last.total_us == record.total_us >= record.upstream_us > 0
    assert last.first_content_us is not None
    assert record.decision_id == last.decision_id
    assert (record.tenant, record.task, record.error_code) == ("acme", "greeting", None)
    assert record.plan is not None
    assert record.features is not None
    assert record.features.max_output_tokens == 77
    assert vendor.requests[0]["max_completion_tokens"] == 77


async def test_nothing_of_a_text_is_recorded_or_told(tmp_path: Path) -> None:
    async with Vendor(answer(ANSWERED)) as vendor, house(tmp_path, vendor) as made:
        await made.ask()
        record = await made.only_record()
        for place in (repr(record), repr(made.events)):
            assert SECRET not in place
            assert ANSWERED not in place


async def test_a_prompt_in_the_place_of_a_name_is_told_to_its_caller_alone(tmp_path: Path) -> None:
    prompt = f"tell me about {SECRET}, please"
    async with Vendor() as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask(target=prompt)
        assert SECRET in failed(frames, "unknown_target").message
        record = await made.only_record()
        assert SECRET not in repr(record)
        assert SECRET not in repr(made.events)


async def test_a_plain_answer_and_a_plain_question(tmp_path: Path) -> None:
    async with Vendor(whole(ANSWERED)) as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask(messages="just text", stream=False)
        assert (await made.only_record()).stream is False
    assert TextDelta(ANSWERED) in frames
    assert vendor.requests[0]["messages"][0]["content"] == "just text"


async def test_a_call_in_the_callers_trace(tmp_path: Path) -> None:
    trace = TraceContext(f"00-{'a' * 32}-{'b' * 16}-01")
    async with Vendor(answer("a")) as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask(trace=trace)
        assert (await made.only_record()).trace_id == "a" * 32
        assert made.finished[0].trace == trace
    started = frames[1]
    assert isinstance(started, CallStarted)
    assert started.trace_id == "a" * 32


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"messages": []}, "invalid_request"),
        ({"messages": ""}, "invalid_request"),
        ({"options": CallOptions(temperature=3.0)}, "invalid_request"),
        ({"options": CallOptions(timeout=0.0)}, "invalid_request"),
        ({"options": CallOptions(timeout=float("nan"))}, "invalid_request"),
        ({"options": CallOptions(output_schema={"type": {"a": 1}})}, "invalid_request"),
        ({"target": "smrt"}, "unknown_target"),
        ({"target": ""}, "unknown_target"),
        ({"options": CallOptions(sensitivity="private")}, "no_candidates"),
    ],
)
async def test_a_call_that_is_refused_before_anything_is_sent(
    tmp_path: Path, more: dict[str, Any], code: str
) -> None:
    async with Vendor() as vendor, house(tmp_path, vendor) as made:
        app, frames = await made.ask(**more)
        failed(frames, code)
        assert [type(frame) for frame in frames] == [DaemonHello, CallEnded]
        await quiet(app)
        record = await made.only_record()
    last = ended(frames)
    assert record.error_code == code
    assert record.attempts == []
    assert (last.model, last.deployment, last.provider) == ("", "", "")
    assert (record.cost_nanodollars, record.cost_basis) == (0, "measured")
    assert vendor.requests == []


async def test_a_plan_without_routes_is_recorded_with_its_reasons(tmp_path: Path) -> None:
    async with Vendor() as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask(options=CallOptions(sensitivity="private"))
        record = await made.only_record()
    assert failed(frames, "no_candidates").details == {"codes": {"boundary": 1}}
    assert record.plan is not None
    assert [item.code for item in record.plan.dropped] == ["boundary"]


async def test_a_call_that_no_provider_answers(tmp_path: Path) -> None:
    async with (
        Vendor(failing(401), name="one") as one,
        Vendor(failing(404), name="two") as two,
        house(tmp_path, one, two) as made,
    ):
        app, frames = await made.ask()
        error = failed(frames, "auth")
        await quiet(app)
        record = await made.only_record()
    assert error.details["tried"] == ["one/m: auth", "two/m: not_found"]
    last = ended(frames)
    # Nobody answered, so nobody is named.
    assert (last.model, last.deployment, last.provider) == ("", "", "")
    assert [attempt.deployment for attempt in record.attempts] == ["one/m", "two/m"]
    assert last.attempts == 2
    assert (record.cost_nanodollars, record.cost_basis) == (0, "measured")


async def test_a_call_that_the_backup_answers(tmp_path: Path) -> None:
    async with (
        Vendor(failing(401), name="one") as one,
        Vendor(answer("a"), name="two") as two,
        house(tmp_path, one, two) as made,
    ):
        _, frames = await made.ask()
        record = await made.only_record()
    assert ended(frames).deployment == record.deployment == "two/m"
    assert ended(frames).attempts == 2


async def test_a_call_that_is_cut_after_it_began(tmp_path: Path) -> None:
    async with Vendor(cut("Hel")) as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask()
        record = await made.only_record()
    failed(frames, "interrupted")
    assert TextDelta("Hel") in frames
    # What came, came from somebody.
    assert (record.deployment, record.cost_basis) == ("vendor/m", "estimated")


async def test_after_a_restart_that_fails_who_is_named_is_whose_words_the_caller_has(
    tmp_path: Path,
) -> None:
    async with (
        Vendor(cut("Hel"), name="one") as one,
        Vendor(failing(401), name="two") as two,
        house(tmp_path, one, two) as made,
    ):
        _, frames = await made.ask(options=CallOptions(restart=True))
        record = await made.only_record()
    failed(frames, "interrupted")
    last = ended(frames)
    assert (last.model, last.deployment, last.provider) == ("m", "one/m", "one")
    assert (record.deployment, record.provider) == ("one/m", "one")
    assert last.usage == record.usage == record.attempts[0].usage
    assert last.usage is not None
    assert last.attempts == 2


async def test_a_reply_of_a_house_of_simulators_says_so_whatever_it_is(tmp_path: Path) -> None:
    async with Vendor(failing(401)) as vendor, house(tmp_path, vendor, simulated=True) as made:
        for more in ({"target": "smrt"}, {"messages": ""}, {}):
            _, frames = await made.ask(**more)
            assert ended(frames).error is not None
            assert ended(frames).simulated
        assert all(record.simulated for record in await made.records(3))


async def test_what_was_waited_between_attempts_is_recorded(tmp_path: Path) -> None:
    async with (
        Vendor(failing(429, retry_after_ms="30"), answer("a")) as vendor,
        house(tmp_path, vendor) as made,
    ):
        await made.ask()
        record = await made.only_record()
    assert record.waited_us > 0
    assert record.total_us >= record.upstream_us + record.waited_us


async def test_a_call_whose_time_is_over(tmp_path: Path) -> None:
    async with Vendor(silent) as vendor, house(tmp_path, vendor) as made:
        _, frames = await made.ask(options=CallOptions(timeout=0.05))
        assert (await made.only_record()).error_code == "deadline_exceeded"
    failed(frames, "deadline_exceeded")


async def test_the_daemon_bounds_a_call_that_names_no_time(tmp_path: Path) -> None:
    async with (
        Vendor(silent, silent) as vendor,
        house(tmp_path, vendor, timeouts=Timeouts(total=0.05)) as made,
    ):
        for timeout in (None, 3600.0):
            _, frames = await made.ask(options=CallOptions(timeout=timeout))
            # No time of the caller's is over.
            assert failed(frames, "timeout").blame == "provider"
        await made.records(2)


@pytest.mark.parametrize("scene", [silent, stalling(), stalling("Hel")])
@pytest.mark.parametrize("how", ["close", "half-close"])
async def test_a_caller_that_hangs_up(tmp_path: Path, how: str, scene: Any) -> None:
    async with Vendor(scene) as vendor, house(tmp_path, vendor) as made:
        app = await made.begin()
        await vendor.waiting.wait()
        if how == "close":
            await app.close()
        else:
            app.writer.write_eof()
        await vendor.hung_up.wait()
        record = await made.only_record()
        if how == "half-close":
            assert not any(isinstance(frame, CallEnded) for frame in await app.receive_all())
    assert record.error_code == "cancelled"
    assert record.finish == "error"
    assert [attempt.error_class for attempt in record.attempts] == ["cancelled"]
    assert record.cost_basis == "estimated"


class Broken(OpenAIAdapter):
    """An adapter with a bug."""

    def encode(self, request: ChatRequest) -> EncodedRequest:
        raise LookupError(request.messages[0].content)


async def test_a_bug_ends_the_one_call_it_hit(tmp_path: Path) -> None:
    async with Vendor(adapter=Broken()) as vendor, house(tmp_path, vendor) as made:
        app, frames = await made.ask()
        error = failed(frames, "internal_error")
        await quiet(app)
        record = await made.only_record()
        assert [type(event) for event in made.events] == [BugSeen, CallFinished]
    assert error.message == "LookupError in routerd"
    assert SECRET not in repr(frames)
    assert record.error_code == "internal_error"
    assert [attempt.error_class for attempt in record.attempts] == ["internal_error"]


class Mislaid(dict[str, Target]):
    """Targets that are listed and cannot be found."""

    def __getitem__(self, name: str) -> Target:
        raise KeyError(name)


async def test_a_bug_before_the_first_attempt_is_recorded_too(tmp_path: Path) -> None:
    async with Vendor() as vendor, house(tmp_path, vendor) as made:
        rules = made.pipeline.rules
        made.pipeline.rules = structs.replace(rules, targets=Mislaid(rules.targets))
        app, frames = await made.ask()
        failed(frames, "internal_error")
        await quiet(app)
        record = await made.only_record()
    assert record.attempts == []
    assert (record.cost_nanodollars, record.cost_basis) == (0, "measured")


class GarblingDecoder:
    """A decoder that lets something through which no frame and no ledger can hold."""

    def __init__(self, inner: AnswerDecoder) -> None:
        self._inner = inner
        self.outcome = inner.outcome

    def feed(self, data: bytes) -> list[Any]:
        parts = self._inner.feed(data)
        self.outcome.finish = object()  # type: ignore[assignment]
        return parts

    def end(self) -> list[Any]:
        return self._inner.end()


class Garbling(OpenAIAdapter):
    """An adapter whose answers cannot be told."""

    def decoder(self, *, stream: bool) -> AnswerDecoder:
        return GarblingDecoder(super().decoder(stream=stream))


async def test_a_last_frame_that_cannot_be_sent_is_an_end_all_the_same(tmp_path: Path) -> None:
    async with (
        Vendor(answer("a"), adapter=Garbling()) as vendor,
        house(tmp_path, vendor) as made,
    ):
        app = await made.begin()
        frames = await app.receive_all()
        record = await made.only_record()
        told = [event for event in made.events if isinstance(event, BugSeen)]
    assert TextDelta("a") in frames
    last = frames[-1]
    assert isinstance(last, ConnectionEnded)
    assert last.error.code == record.error_code == "internal_error"
    assert [type(frame) for frame in frames].count(ConnectionEnded) == 1
    assert not any(isinstance(frame, CallEnded) for frame in frames)
    assert [event.decision_id for event in told] == [record.decision_id]
    assert (record.finish, record.deployment) == ("error", "vendor/m")
    # What it cost is known, and counted; the usage may be what cannot be written.
    assert (record.cost_nanodollars, record.cost_basis, record.usage) == (20_000, "measured", None)


# --- the pieces ----------------------------------------------------------------------------------


def test_defaults_fill_in_only_what_the_caller_left_open() -> None:
    defaults = Defaults(max_output_tokens=7, temperature=0.0, reasoning="low")
    filled = with_defaults(CallOptions(temperature=1.0, tenant="acme"), defaults)
    assert filled == CallOptions(
        temperature=1.0, tenant="acme", max_output_tokens=7, reasoning="low"
    )
    untouched = CallOptions(max_output_tokens=1)
    assert with_defaults(untouched, Defaults()) is untouched


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        CallRequested,
        call_id=st.text(),
        target=st.text(),
        messages=st.text(),
        options=st.builds(
            CallOptions, timeout=st.none() | st.floats(), tenant=st.none() | st.text()
        ),
        trace=st.none() | st.builds(TraceContext, st.text(), st.text()),
    ),
    st.none() | st.integers(),
)
def test_any_request_becomes_a_call_and_a_record(request: CallRequested, uid: int | None) -> None:
    call = read_call(request, uid, 600.0)
    assert len(call.decision_id) == 32
    assert int(call.decision_id, 16) >> 80 == call.received_at_ns // 1_000_000
    timeout = request.options.timeout
    if timeout is None or timeout >= 600:
        assert call.deadline == call.received_at + 600
    record = begin_record(call)
    assert (record.decision_id, record.peer_uid) == (call.decision_id, uid)
    assert len(record.trace_id) == 32


def test_decision_ids_are_unique_and_sort_by_time() -> None:
    request = CallRequested("c", "t", "m")
    ids = [read_call(request, None, 1.0).decision_id for _ in range(1000)]
    assert len(set(ids)) == 1000
    times = [name[:12] for name in ids]
    assert times == sorted(times)
