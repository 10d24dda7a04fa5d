"""Spans as a collector gets them, from a daemon process over OTLP."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio.to_thread
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from routerd.simulate import Simulator, parse_fault
from routerd_client import RouterdError
from tests.e2e.conftest import Daemon

StartDaemon = Callable[..., Awaitable[Daemon]]
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
PROMPT = "The prompt is nobody's business"


class Collector:
    """What was exported to it, as bytes and as spans."""

    def __init__(self, server: ThreadingHTTPServer, bodies: list[bytes]) -> None:
        self.address = f"http://127.0.0.1:{server.server_port}"
        self.bodies = bodies

    @property
    def spans(self) -> list[Span]:
        """All spans, the first to begin first."""
        found = []
        for body in self.bodies:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                assert value_of(resource.resource, "service.name") == "routerd"
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, span.kind))


@pytest.fixture
def collector() -> Iterator[Collector]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Collector(server, bodies)
        server.shutdown()
        thread.join()


def value_of(place: Any, key: str) -> Any:
    """Return the value of an attribute, None where it is absent."""
    for attribute in place.attributes:
        if attribute.key == key:
            return getattr(attribute.value, attribute.value.WhichOneof("value"))
    return None


async def stopped(daemon: Daemon) -> str:
    """Stop a daemon, which sends its last spans; returns its log."""
    assert await anyio.to_thread.run_sync(daemon.stop) == 0
    return await anyio.to_thread.run_sync(lambda: daemon.log)


async def test_a_call_is_a_server_span_and_an_attempt_a_client_span(
    collector: Collector, start_daemon: StartDaemon
) -> None:
    daemon = await start_daemon(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address})
    async with daemon.client() as client:
        async for _ in (stream := client.stream("smart", PROMPT, tenant="acme", trace=TRACEPARENT)):
            pass
    reply = stream.reply
    await stopped(daemon)
    call, attempt = collector.spans
    assert (call.kind, attempt.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert call.trace_id.hex() == attempt.trace_id.hex() == reply.trace_id == TRACE_ID
    assert call.parent_span_id.hex() == PARENT_ID
    assert attempt.parent_span_id == call.span_id
    assert (call.name, attempt.name) == ("chat smart", f"chat {reply.model}")
    assert value_of(call, "routerd.decision_id") == reply.decision_id
    assert value_of(call, "routerd.tenant") == "acme"
    assert value_of(call, "routerd.cost_nanodollars") == reply.cost_nanodollars
    assert value_of(call, "routerd.simulated") is True
    took_us = (call.end_time_unix_nano - call.start_time_unix_nano) // 1000
    assert 0 < value_of(call, "routerd.overhead_us") < took_us
    assert value_of(call, "gen_ai.usage.input_tokens") is None  # or tokens would count twice
    assert value_of(attempt, "gen_ai.operation.name") == "chat"
    assert value_of(attempt, "gen_ai.provider.name") == reply.provider
    assert value_of(attempt, "gen_ai.request.model") == reply.model
    assert value_of(attempt, "gen_ai.response.finish_reasons").values[0].string_value == "stop"
    assert reply.usage is not None
    assert value_of(attempt, "gen_ai.usage.output_tokens") == reply.usage.output_tokens
    assert value_of(attempt, "http.response.status_code") == 200
    assert value_of(attempt, "server.address") == "127.0.0.1"
    assert value_of(attempt, "gen_ai.response.time_to_first_chunk") > 0
    assert call.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano <= call.end_time_unix_nano
    assert {call.status.code, attempt.status.code} == {Status.STATUS_CODE_UNSET}
    sent = b"".join(collector.bodies)
    assert PROMPT.encode() not in sent
    assert reply.text.encode() not in sent


async def test_a_failover_is_two_client_spans(
    collector: Collector, start_daemon: StartDaemon, simulator: Simulator
) -> None:
    simulator.script.replace([parse_fault("status:529,vendor=anthropic")])
    daemon = await start_daemon(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address})
    async with daemon.client() as client:
        reply = await client.acomplete("smart", PROMPT, trace={"traceparent": TRACEPARENT})
    assert reply.provider == "openai"
    await stopped(daemon)
    call, *attempts = collector.spans
    assert len(attempts) == reply.attempts
    failed, served = attempts[0], attempts[-1]
    assert value_of(failed, "gen_ai.provider.name") == "anthropic"
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert value_of(failed, "error.type") == "overloaded"
    assert value_of(failed, "http.response.status_code") == 529
    assert value_of(served, "gen_ai.provider.name") == "openai"
    assert value_of(served, "routerd.attempt.reason") == "fallback"
    assert value_of(served, "routerd.attempt.number") == reply.attempts
    assert served.status.code == call.status.code == Status.STATUS_CODE_UNSET
    assert {span.parent_span_id for span in attempts} == {call.span_id}


async def test_a_call_that_fails_is_an_error(
    collector: Collector, start_daemon: StartDaemon, simulator: Simulator
) -> None:
    simulator.script.replace([parse_fault("status:400")])
    daemon = await start_daemon(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address})
    async with daemon.client() as client:
        with pytest.raises(RouterdError) as caught:
            await client.acomplete("smart", PROMPT)
    await stopped(daemon)
    call, attempt = collector.spans
    assert call.status.code == attempt.status.code == Status.STATUS_CODE_ERROR
    assert value_of(call, "error.type") == caught.value.code == "bad_request"
    assert caught.value.message.encode() not in b"".join(collector.bodies)


async def test_a_call_without_a_trace_begins_one_of_its_decision_id(
    collector: Collector, start_daemon: StartDaemon
) -> None:
    daemon = await start_daemon(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address})
    async with daemon.client() as client:
        reply = await client.acomplete("fast", PROMPT)
        odd = await client.acomplete("fast", PROMPT, trace="00-not-a-trace-01")
    await stopped(daemon)
    by_trace = {span.trace_id.hex(): span for span in collector.spans if not span.parent_span_id}
    assert list(by_trace) == [reply.decision_id, odd.decision_id]
    assert [reply.trace_id, odd.trace_id] == [reply.decision_id, odd.decision_id]


async def test_a_caller_that_does_not_sample_is_not_exported(
    collector: Collector, start_daemon: StartDaemon
) -> None:
    daemon = await start_daemon(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address})
    async with daemon.client() as client:
        reply = await client.acomplete("fast", PROMPT, trace=TRACEPARENT[:-1] + "0")
    await stopped(daemon)
    assert reply.trace_id == TRACE_ID
    assert collector.spans == []


@pytest.mark.parametrize("place", ["nobody listens", "nobody answers"])
async def test_a_collector_that_is_away_breaks_no_call(
    start_daemon: StartDaemon, place: str
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
        if place == "nobody listens":
            server.socket.close()
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
        }
        daemon = await start_daemon(environ=environ)
        async with daemon.client() as client:
            for _ in range(20):
                assert (await client.acomplete("fast", PROMPT)).finish == "stop"
        log = await stopped(daemon)
    assert log.count('"event":"call_finished"') == 20
    assert PROMPT not in log


async def test_the_trace_id_is_kept_without_a_collector(daemon: Daemon) -> None:
    async with daemon.client() as client:
        reply = await client.acomplete("fast", PROMPT, trace=TRACEPARENT)
        record = await client.acommand("explain", decision_id=reply.decision_id)
    assert reply.trace_id == record["trace_id"] == TRACE_ID
