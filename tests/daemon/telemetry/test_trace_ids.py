"""Which trace a call belongs to: the SDK's own propagator is the judge."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import TraceState, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from routerd.domain import Call
from routerd.telemetry.trace_ids import caller_span, trace_id_of, tracestate_of
from routerd_proto.frames import CallOptions, TraceContext

TRACE, SPAN, DECISION = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "0" * 31 + "7"
VALID = f"00-{TRACE}-{SPAN}-01"


def make_call(trace: TraceContext | None) -> Call:
    return Call(
        decision_id=DECISION,
        call_id="c",
        target="smart",
        messages=[],
        options=CallOptions(),
        stream=True,
        received_at=0.0,
        received_at_ns=0,
        deadline=1.0,
        trace=trace,
    )


@pytest.mark.parametrize(
    "traceparent",
    [
        VALID,
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-03",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what a later version adds",
    ],
)
def test_a_valid_parent_names_the_trace(traceparent: str) -> None:
    assert trace_id_of(make_call(TraceContext(traceparent))) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        VALID.upper(),
        VALID + "\n",
        VALID + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 600,
    ],
)
def test_what_is_not_valid_is_ignored(traceparent: str) -> None:
    assert trace_id_of(make_call(TraceContext(traceparent))) == DECISION


def test_without_a_parent_the_trace_is_the_decision() -> None:
    assert trace_id_of(make_call(None)) == DECISION


def hex_digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=count, max_size=count)


@given(
    st.builds("-".join, st.tuples(hex_digits(2), hex_digits(32), hex_digits(16), hex_digits(2)))
    | st.from_regex(r"[0-9a-fA-F]{2}-[0-9a-f]{31,33}-[0-9a-f]{16}-[0-9a-f]{2}.{0,5}")
)
def test_what_is_accepted_means_what_the_sdk_says(traceparent: str) -> None:
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    theirs = get_current_span(context).get_span_context()
    ours = caller_span(TraceContext(traceparent))
    if ours is not None:
        assert int(ours.trace_id, 16) == theirs.trace_id
        assert int(ours.span_id, 16) == theirs.span_id
        assert ours.flags == theirs.trace_flags
    elif traceparent == traceparent.strip():
        assert not theirs.is_valid


class Noise(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@given(
    st.text(max_size=60)
    | st.from_regex(r"[a-z0-9]{1,5}(@[a-z]{1,3})?=[ -~]{0,5}(, ?[a-z]{1,3}=[ -~]{0,3})?")
)
def test_a_tracestate_that_is_accepted_is_taken_by_the_sdk(tracestate: str) -> None:
    accepted = tracestate_of(TraceContext(VALID, tracestate))
    noise = Noise()
    logging.getLogger("opentelemetry").addHandler(noise)
    try:
        TraceState.from_header([accepted])
    finally:
        logging.getLogger("opentelemetry").removeHandler(noise)
    assert noise.records == []


@pytest.mark.parametrize("tracestate", ["a=" + "b" * 600, "no equals sign", "a=é", "=", "A=b"])
def test_a_tracestate_that_is_not_valid_is_dropped(tracestate: str) -> None:
    assert tracestate_of(TraceContext(VALID, tracestate)) == ""


def test_a_tracestate_is_kept_without_its_spaces() -> None:
    assert tracestate_of(TraceContext(VALID, "one=1 , ,two@v=2")) == "one=1,two@v=2"
