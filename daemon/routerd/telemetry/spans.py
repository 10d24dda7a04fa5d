"""Spans of a call, made after the call ended: one for the call, one for each attempt.

Rules of this file: imported only where traces are exported. A span holds names, numbers and codes;
never a key, a prompt, an answer or a message of a provider. Times are those of the record, so that
nothing is measured twice. The span of an attempt carries the GenAI attributes; that of the call
carries only routerd's own, so that no token is counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from routerd.domain import Attempt, Kind, Record
from routerd.telemetry.events import CallFinished, Event, Hook
from routerd.telemetry.otlp import encoded_spans
from routerd.telemetry.plain import as_code, as_name
from routerd.telemetry.semconv import Names, names_for, provider_name
from routerd.telemetry.trace_ids import caller_span, tracestate_of
from routerd_proto.frames import TraceContext

__all__ = ["SpanHook", "open_spans"]

# By the kind of call, in the words of the conventions, which have none for a ranking.
OPERATIONS: Final[dict[Kind, str]] = {
    "chat": "chat",
    "embedding": "embeddings",
    "rerank": "rerank",
}
# Encoding a batch holds the interpreter; with the SDK's 512 a call waits ten milliseconds for it.
BATCH_SPANS: Final = 64
EXPORT_SECONDS: Final = 2.0
BATCH_VARIABLE: Final = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
TIMEOUT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")

Value = str | bool | int | float | list[str]
Attributes = dict[str, Value]


def open_spans(environ: Mapping[str, str], version: str) -> tuple[Hook, Callable[[], None]]:
    """Return the hook that makes spans, and what ends the export of them."""
    own_timeout = not any(environ.get(name) for name in TIMEOUT_VARIABLES)
    # There is no other way to have it write spans as we do: its tests would notice.
    trace_exporter.encode_spans = encoded_spans  # type: ignore[attr-defined]
    exporter = trace_exporter.OTLPSpanExporter(timeout=EXPORT_SECONDS if own_timeout else None)
    batch = None if environ.get(BATCH_VARIABLE) else BATCH_SPANS
    ids = CallIds()
    provider = TracerProvider(
        resource=_resource(version),
        shutdown_on_exit=False,  # it would wait for a collector that is away
        id_generator=ids,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=batch))
    return SpanHook(provider, ids, names_for(environ), version), provider.shutdown


def _resource(version: str) -> Resource:
    resource = Resource.create({SERVICE_VERSION: version})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "routerd"}))
    return resource


class CallIds(RandomIdGenerator):
    """Gives a trace that begins in routerd the decision id as its id.

    Its last 80 bits are random, which is more than samplers by trace id rely on.
    """

    def __init__(self) -> None:
        self.decision_id = ""

    def generate_trace_id(self) -> int:
        """Return the id of the call whose span is being started."""
        return int(self.decision_id, 16)


class SpanHook:
    """Make spans of calls that ended; call it with an event, always on the same thread."""

    def __init__(self, provider: TracerProvider, ids: CallIds, names: Names, version: str) -> None:
        self._tracer = provider.get_tracer("routerd", version)
        self._ids = ids
        self._names = names

    def __call__(self, event: Event) -> None:
        """Make the spans of one call; nothing where its trace is not sampled."""
        if not isinstance(event, CallFinished):
            return
        record = event.record
        self._ids.decision_id = record.decision_id
        # A target that nothing resolved may be any text; a span's name must be one of few.
        operation = _operation(record)
        name = f"{operation} {as_name(record.target)}" if record.plan is not None else operation
        span = self._tracer.start_span(
            name,
            context=_caller_context(event.trace),
            kind=SpanKind.SERVER,
            start_time=record.received_at_ns,
        )
        if not span.is_recording():
            return
        span.set_attributes(_call_attributes(record))
        if record.error_code is not None:
            self._fail(span, record.error_code, record.error_code)
        context = set_span_in_context(span, Context())
        for number, attempt in enumerate(record.attempts, 1):
            self._attempt(record, attempt, number, context)
        span.end(_moment(record, record.total_us))

    def _attempt(self, record: Record, attempt: Attempt, number: int, context: Context) -> None:
        attributes = _request_attributes(self._names, record, attempt)
        attributes["routerd.attempt.number"] = number
        attributes["routerd.attempt.reason"] = attempt.reason
        span = self._tracer.start_span(
            f"{_operation(record)} {attempt.model}",
            context=context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=_moment(record, attempt.started_us),
        )
        span.set_attributes(_answer_attributes(self._names, record, attempt))
        if attempt.error_class is not None:
            phase = f" ({attempt.error_phase})" if attempt.error_phase else ""
            self._fail(span, attempt.error_class, f"{attempt.error_class}{phase}")
        span.end(_moment(record, record.total_us if attempt.ended_us is None else attempt.ended_us))

    def _fail(self, span: Span, error_type: str, description: str) -> None:
        span.set_attribute(self._names.error_type, error_type)
        span.set_status(StatusCode.ERROR, description)


def _caller_context(trace: TraceContext | None) -> Context:
    """Return the caller's context if it is valid, else an empty one."""
    caller = caller_span(trace)
    if trace is None or caller is None:
        return Context()
    state = tracestate_of(trace)
    context = SpanContext(
        int(caller.trace_id, 16),
        int(caller.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(caller.flags),
        trace_state=TraceState.from_header([state]) if state else None,
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _operation(record: Record) -> str:
    features = record.features
    return OPERATIONS["chat" if features is None else features.kind]


def _moment(record: Record, offset_us: int) -> int:
    return record.received_at_ns + offset_us * 1000


def _call_attributes(record: Record) -> Attributes:
    return _present(
        {
            "routerd.decision_id": record.decision_id,
            "routerd.target": as_name(record.target),
            "routerd.tenant": as_name(record.tenant),
            "routerd.team": as_name(record.team),
            "routerd.agent": as_name(record.agent),
            "routerd.feature": as_name(record.feature),
            "routerd.task": as_name(record.task),
            "routerd.model": record.model or None,
            "routerd.deployment": record.deployment or None,
            "routerd.provider": record.provider or None,
            "routerd.attempts": len(record.attempts),
            "routerd.finish": record.finish,
            "routerd.cost_nanodollars": record.cost_nanodollars,
            "routerd.cost_basis": record.cost_basis,
            "routerd.arm": record.arm,
            "routerd.shadow_of": record.shadow_of,
            "routerd.degraded": record.degraded,
            "routerd.simulated": record.simulated,
            "routerd.cached": record.cached or None,
            "routerd.overhead_us": record.overhead_us,
        }
    )


def _request_attributes(names: Names, record: Record, attempt: Attempt) -> Attributes:
    """What is known before an attempt is sent."""
    address, _, port = attempt.server.rpartition(":")
    features = record.features
    return _present(
        {
            names.operation: _operation(record),
            names.provider: provider_name(attempt.provider),
            names.request_model: attempt.model,
            names.request_stream: attempt.streamed or None,
            names.request_max_tokens: features.max_output_tokens if features else None,
            names.output_type: "json" if features and features.output_schema else None,
            names.server_address: address or attempt.server or None,
            names.server_port: int(port) if address and port.isdecimal() else None,
            "routerd.deployment": attempt.deployment,
        }
    )


def _answer_attributes(names: Names, record: Record, attempt: Attempt) -> Attributes:
    attributes: dict[str, Value | None] = {
        names.response_id: as_code(attempt.response_id),
        names.response_model: as_code(attempt.answered_model),
        # A request that never went out was never going to have a reason to finish.
        names.finish_reasons: [attempt.finish or "error"] if attempt.sent else None,
        names.status_code: attempt.status,
        "routerd.cost_nanodollars": attempt.cost_nanodollars,
        "routerd.cost_basis": attempt.cost_basis,
        "routerd.error_code": as_code(attempt.error_code),
        "routerd.request_id": as_code(attempt.request_id),
        "routerd.malformed_events": attempt.malformed_events or None,
        "routerd.simulated": attempt.simulated or None,
    }
    if attempt.streamed and attempt.first_content_us is not None:
        waited_us = attempt.first_content_us - attempt.started_us
        attributes[names.time_to_first_chunk] = waited_us / 1_000_000
    usage = attempt.usage
    if usage is not None and _is_reported(attempt):
        written = usage.cache_write_tokens + usage.cache_write_long_tokens
        attributes |= {
            names.input_tokens: usage.input_tokens + usage.cache_read_tokens + written,
            names.output_tokens: usage.output_tokens,
            names.cache_read_tokens: usage.cache_read_tokens or None,
            names.cache_write_tokens: written or None,
            names.reasoning_tokens: usage.reasoning_tokens,
        }
    return _present(attributes)


def _is_reported(attempt: Attempt) -> bool:
    """Say whether usage is the provider's own count: without a price, only a whole answer's is."""
    if attempt.cost_basis == "unknown":
        return attempt.error_class is None
    return attempt.cost_basis == "measured"


def _present(attributes: Mapping[str, Value | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
