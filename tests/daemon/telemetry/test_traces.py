"""Spans as a collector gets them, decoded from the bytes that were sent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from routerd.domain import Record
from routerd.errors import StartError
from routerd.telemetry.events import CallFinished, DaemonStopped
from routerd.telemetry.traces import open_traces
from routerd_proto.frames import TraceContext
from tests.daemon.ledger.records import NOON_NS, decision_id, full_record, small_record
from tests.daemon.telemetry.collector import Collector, attributes_of, collector
from tests.daemon.telemetry.test_logs import SECRET, poisoned

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = TraceContext(f"00-{TRACE}-{SPAN}-01", "vendor=value")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        yield running


def send(*calls: CallFinished | Record) -> None:
    """Make spans of calls and end the export, so that all of them have arrived."""
    traces = open_traces(os.environ, "0.1.0")
    assert traces is not None
    for call in calls:
        traces.hook(CallFinished(record=call) if isinstance(call, Record) else call)
    assert traces.close(10.0)


def test_a_call_is_one_server_span_with_a_client_span_for_each_attempt(found: Collector) -> None:
    send(full_record(1))
    by_name = {span.name: span for span in found.spans}
    assert set(by_name) == {"chat smart", "chat gpt", "chat large"}
    call, failed, answered = by_name["chat smart"], by_name["chat gpt"], by_name["chat large"]
    assert call.kind == Span.SPAN_KIND_SERVER
    assert failed.kind == answered.kind == Span.SPAN_KIND_CLIENT
    assert call.parent_span_id == b""
    assert failed.parent_span_id == answered.parent_span_id == call.span_id
    assert {span.trace_id.hex() for span in found.spans} == {decision_id(1)}
    assert found.paths == ["/v1/traces"]


def test_times_are_those_of_the_record(found: Collector) -> None:
    record = full_record(0)
    send(record)
    times = {
        span.name: (span.start_time_unix_nano - NOON_NS, span.end_time_unix_nano - NOON_NS)
        for span in found.spans
    }
    assert times == {
        "chat smart": (0, 1_400_200_000),
        "chat gpt": (300_000, 95_000_000),
        "chat large": (95_100_000, 1_400_000_000),
    }


def test_attributes_of_an_attempt_that_answered(found: Collector) -> None:
    send(full_record(1))
    (span,) = (span for span in found.spans if span.name == "chat large")
    assert attributes_of(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "large",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 500,
        "gen_ai.response.id": "cmpl-1",
        "gen_ai.response.model": "large-2611",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.255,
        "gen_ai.usage.input_tokens": 127,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 20,
        "gen_ai.usage.cache_creation.input_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 10,
        "server.address": "api.mistral.ai",
        "server.port": 443,
        "http.response.status_code": 200,
        "routerd.deployment": "mistral/large",
        "routerd.attempt.number": 2,
        "routerd.attempt.reason": "fallback",
        "routerd.cost_nanodollars": 1_234_567,
        "routerd.cost_basis": "measured",
    }
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_an_attempt_that_failed_is_an_error_and_the_call_that_was_saved_is_none(
    found: Collector,
) -> None:
    send(full_record(1))
    by_name = {span.name: span for span in found.spans}
    failed = attributes_of(by_name["chat gpt"].attributes)
    assert failed["error.type"] == "rate_limit"
    assert failed["gen_ai.response.finish_reasons"] == ["error"]
    assert failed["http.response.status_code"] == 429
    assert failed["routerd.error_code"] == "rate_limit_exceeded"
    assert "gen_ai.usage.input_tokens" not in failed
    status = by_name["chat gpt"].status
    assert (status.code, status.message) == (Status.STATUS_CODE_ERROR, "rate_limit (headers)")
    assert by_name["chat smart"].status.code == Status.STATUS_CODE_UNSET


def test_attributes_of_a_call(found: Collector) -> None:
    send(full_record(1))
    (span,) = (span for span in found.spans if span.name == "chat smart")
    assert attributes_of(span.attributes) == {
        "routerd.decision_id": decision_id(1),
        "routerd.target": "smart",
        "routerd.tenant": "acme",
        "routerd.team": "search",
        "routerd.agent": "tagger",
        "routerd.feature": "tags",
        "routerd.task": "extract",
        "routerd.arm": "control",
        "routerd.model": "large",
        "routerd.deployment": "mistral/large",
        "routerd.provider": "mistral",
        "routerd.attempts": 2,
        "routerd.finish": "stop",
        "routerd.cost_nanodollars": 1_234_567,
        "routerd.cost_basis": "measured",
        "routerd.simulated": False,
    }


def test_a_call_that_failed_is_an_error(found: Collector) -> None:
    send(full_record(1, error_code="overloaded", finish="error"))
    (span,) = (span for span in found.spans if span.name == "chat smart")
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "overloaded")
    assert attributes_of(span.attributes)["error.type"] == "overloaded"


def test_a_target_that_nothing_resolved_names_no_span(found: Collector) -> None:
    send(small_record(1, error_code="unknown_target"))
    assert [span.name for span in found.spans] == ["chat"]


def test_what_was_only_estimated_is_not_reported_as_usage(found: Collector) -> None:
    record = full_record(1)
    record.attempts[1].cost_basis = "estimated"
    send(record)
    (span,) = (span for span in found.spans if span.name == "chat large")
    attributes = attributes_of(span.attributes)
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
    assert attributes["routerd.cost_basis"] == "estimated"


def test_a_request_that_never_went_out_has_no_reason_to_finish(found: Collector) -> None:
    record = full_record(1)
    record.attempts[0].sent = False
    send(record)
    (span,) = (span for span in found.spans if span.name == "chat gpt")
    assert "gen_ai.response.finish_reasons" not in attributes_of(span.attributes)


def test_a_call_joins_the_trace_of_its_caller(found: Collector) -> None:
    send(CallFinished(record=full_record(1), trace=SAMPLED))
    (call,) = (span for span in found.spans if span.name == "chat smart")
    assert call.parent_span_id.hex() == SPAN
    assert {span.trace_id.hex() for span in found.spans} == {TRACE}
    assert call.trace_state == "vendor=value"


@pytest.mark.parametrize("traceparent", ["nonsense", f"00-{TRACE}-{'0' * 16}-01", "x" * 10_000])
def test_a_parent_that_is_not_valid_is_ignored(found: Collector, traceparent: str) -> None:
    send(CallFinished(record=full_record(1), trace=TraceContext(traceparent, "a=b")))
    (call,) = (span for span in found.spans if span.name == "chat smart")
    assert (call.parent_span_id, call.trace_id.hex()) == (b"", decision_id(1))


def test_what_the_caller_does_not_sample_is_not_sent(found: Collector) -> None:
    unsampled = TraceContext(f"00-{TRACE}-{SPAN}-00")
    send(CallFinished(record=full_record(1), trace=unsampled), full_record(2))
    assert {span.trace_id.hex() for span in found.spans} == {decision_id(2)}


def test_the_sampler_of_the_environment_is_honoured(
    found: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    send(full_record(1), CallFinished(record=full_record(2), trace=SAMPLED))
    assert {span.trace_id.hex() for span in found.spans} == {TRACE}


def test_other_events_make_no_spans(found: Collector) -> None:
    traces = open_traces(os.environ, "0.1.0")
    assert traces is not None
    traces.hook(DaemonStopped())
    assert traces.close(10.0)
    assert found.spans == []


def test_newer_names_are_used_where_asked_for(
    found: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai_latest_experimental")
    send(full_record(1))
    (span,) = (span for span in found.spans if span.name == "chat large")
    attributes = attributes_of(span.attributes)
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 7
    assert "gen_ai.usage.cache_creation.input_tokens" not in attributes


def test_the_resource_says_who_it_was(found: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    send(full_record(1))
    assert found.resource["service.name"] == "routerd"
    assert found.resource["service.version"] == "0.1.0"
    assert found.resource["deployment.environment.name"] == "test"
    assert found.resource["service.instance.id"]


def test_the_name_of_the_service_may_be_another(
    found: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "router-of-search")
    send(full_record(1))
    assert found.resource["service.name"] == "router-of-search"


def test_headers_compression_and_the_exact_address_come_from_the_environment(
    found: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", found.endpoint + "/exactly/here")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=search")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    send(full_record(1))
    assert found.paths == ["/exactly/here"]
    assert found.headers[0]["x-team"] == "search"
    assert found.headers[0]["content-encoding"] == "gzip"
    assert len(found.spans) == 3


def test_spans_are_sent_in_small_batches_while_calls_go_on(found: Collector) -> None:
    send(*(full_record(number) for number in range(100)))
    assert len(found.spans) == 300
    assert len(found.requests) >= 5
    sizes = [len(request.resource_spans[0].scope_spans[0].spans) for request in found.requests]
    assert max(sizes) <= 64


def test_the_size_of_a_batch_may_be_another(
    found: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "400")
    send(*(full_record(number) for number in range(100)))
    assert len(found.spans) == 300
    assert len(found.requests) == 1


@settings(max_examples=15)
@given(text=st.text(max_size=30))
def test_no_text_of_a_call_reaches_a_span(text: str) -> None:
    secret = f"{SECRET} {text}"
    with collector() as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        record = poisoned(full_record(1, error_code="overloaded"), secret)
        send(CallFinished(record=record, trace=TraceContext(secret, secret)))
        assert len(running.spans) == 3
        assert b"sk-live" not in b"".join(running.bodies)


# --- no collector ----------------------------------------------------------------------------


# Each in a process of its own: the SDK's thread goes on trying for as long as its process lives.
USE_A_DEAD_COLLECTOR = """
import os
from routerd.telemetry.events import CallFinished
from routerd.telemetry.traces import open_traces
from tests.daemon.ledger.records import full_record

traces = open_traces(os.environ, "0")
for number in range(1000):
    traces.hook(CallFinished(record=full_record(number)))
print("served", traces.close(0.1))
"""


@pytest.mark.parametrize("refuses", [True, False])
def test_a_dead_collector_stops_neither_calls_nor_the_end(*, refuses: bool) -> None:
    """It refuses connections, or takes them and never answers."""
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        if not refuses:
            dead.listen()
        run = subprocess.run(
            [sys.executable, "-c", USE_A_DEAD_COLLECTOR],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[3],
            env={
                **os.environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{dead.getsockname()[1]}",
                "OTEL_EXPORTER_OTLP_TIMEOUT": "3600",
            },
        )
    assert run.stdout == "served False\n"
    assert "prompt" not in run.stderr


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_a_collector_opentelemetry_is_not_even_imported(environ: dict[str, str]) -> None:
    script = (
        "import json, sys\n"
        "from routerd.telemetry import events, logs\n"
        "from routerd.telemetry.traces import open_traces\n"
        "assert open_traces(json.loads(sys.argv[1]), '0') is None\n"
        "sys.exit('opentelemetry' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, json.dumps(environ)]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
            },
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is 'http/json'",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not"),
    ],
)
def test_what_cannot_be_done_is_said_at_the_start(environ: dict[str, str], told: str) -> None:
    with pytest.raises(StartError, match=told):
        open_traces(environ, "0.1.0")
