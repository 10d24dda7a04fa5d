"""Spans as bytes read as those that the library writes: it is the judge of every one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from routerd.telemetry import otlp
from routerd.telemetry.otlp import encoded_spans
from routerd.telemetry.spans import open_spans

RESOURCE = Resource({"service.name": "routerd", "some": 1})
SCOPE = InstrumentationScope("routerd", "1.0")
STATE = TraceState([("vendor", "opaque"), ("other", "1")])

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.one_of(
    texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(texts).map(tuple),
    st.sampled_from([0, False, 1, True, 1.0, 0.0, -0.0, "", "1"]),
)
attributes = st.dictionaries(texts, values)
moments = st.integers(0, 2**64 - 1)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    trace_state=st.sampled_from([None, STATE]),
)
statuses = st.one_of(st.just(Status()), texts.map(lambda text: Status(StatusCode.ERROR, text)))
spans = st.builds(
    ReadableSpan,
    texts,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.just(RESOURCE),
    attributes=attributes,
    kind=st.sampled_from(SpanKind),
    instrumentation_scope=st.just(SCOPE),
    status=statuses,
    start_time=moments,
    end_time=moments,
)


@given(st.lists(spans, min_size=1, max_size=5))
def test_spans_are_written_as_the_library_does(given_spans: list[ReadableSpan]) -> None:
    assert encoded_spans(given_spans) == encode_spans(given_spans)


def span(**more: Any) -> ReadableSpan:
    parts = {"context": SpanContext(1, 2, False), "resource": RESOURCE, **more}
    return ReadableSpan("chat", **{"instrumentation_scope": SCOPE, **parts})


@pytest.mark.parametrize(
    "other",
    [
        span(events=[Event("seen", {"a": 1}, 5)]),
        span(links=[Link(SpanContext(3, 4, True))]),
        span(resource=Resource({"service.name": "another"})),
        span(instrumentation_scope=InstrumentationScope("another")),
    ],
    ids=["event", "link", "resource", "scope"],
)
def test_what_routerd_never_writes_is_left_to_the_library(
    other: ReadableSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [span(), other]
    expected = encode_spans(both)
    asked: list[int] = []

    def library(given_spans: list[ReadableSpan]) -> Any:
        asked.append(len(given_spans))
        return encode_spans(given_spans)

    monkeypatch.setattr(otlp, "encode_spans", library)
    assert encoded_spans(both) == expected
    assert asked == [2]


def test_the_exporter_writes_spans_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_exporter, "encode_spans", encode_spans)
    _, shutdown = open_spans({}, "1.0")
    try:
        assert vars(trace_exporter)["encode_spans"] is encoded_spans
    finally:
        shutdown()
