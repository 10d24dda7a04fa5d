"""What a call costs more when its trace is sampled and exported.

    .venv/bin/python bench/tracing.py [--calls N] [--turns N]

Rules of this file: CPU of the daemon alone, its exporting thread included. Calls with tracing off
and on are measured in turns, so that a neighbour disturbs both alike; a number is the least. A
turn ends when the collector has every span of it: one that is dropped costs nothing.
"""

from __future__ import annotations

import argparse
import http.client
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from bench.collector import Collected
from bench.drivers import complete_blocking, messages
from bench.machine import choose_cores, cpu_seconds, pinned, reference_cpu_seconds
from bench.money_traffic import full_record
from bench.systems import NO_CAP, RunningDaemon, collector, daemon, fake_provider
from routerd.telemetry.events import CallFinished
from routerd.telemetry.otlp import encoded_spans
from routerd.telemetry.semconv import names_for
from routerd.telemetry.spans import CallIds, SpanHook
from routerd_client import Client

__all__ = ["main"]

TURNS: Final = 7
TARGET_US: Final = 300
# One of the call, and one of its attempt.
SPANS_A_CALL: Final = 2
# The last spans wait for others for up to five.
PATIENCE_SECONDS: Final = 20.0
# Of the stages alone: calls of a batch, as many as are exported together, and how often.
BATCH: Final = 32
BATCHES: Final = 10
ROUNDS: Final = 10


def turn(running: RunningDaemon, calls: int, spans: Callable[[], int] | None) -> float:
    """Return the microseconds of the daemon's CPU for each call."""
    said = messages()
    came = spans() if spans is not None else 0
    before = cpu_seconds(running.pid)
    with Client(running.path) as client:
        for _ in range(calls):
            complete_blocking(client, said)
        client.command("calls", limit=1)  # answers when all of them are in the ledger
    if spans is not None:
        until = time.monotonic() + PATIENCE_SECONDS
        while spans() - came < calls * SPANS_A_CALL:
            if time.monotonic() > until:
                raise SystemExit("the collector did not get all spans")
            threading.Event().wait(0.05)
    return (cpu_seconds(running.pid) - before) / calls * 1e6


def collected(port: int) -> int:
    """Ask the collector how many spans it has."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/stats")
        return msgspec.json.decode(connection.getresponse().read(), type=Collected).spans


class Keeping(SpanProcessor):
    """Keep the spans that end."""

    def __init__(self) -> None:
        self.kept: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep one."""
        self.kept.append(span)


def stages() -> dict[str, float]:
    """Return the microseconds of CPU a call of making spans, and of writing them in two ways."""
    ids, keeping, chance = CallIds(), Keeping(), random.Random(1)
    provider = TracerProvider(shutdown_on_exit=False, id_generator=ids)
    provider.add_span_processor(keeping)
    hook = SpanHook(provider, ids, names_for({}), "bench")
    records = [full_record(number, chance, snapshot=False) for number in range(BATCHES * BATCH)]
    for record in records:
        del record.attempts[0]
    events = [CallFinished(record=record, trace=None) for record in records]
    made, library, own = [], [], []
    for _ in range(ROUNDS):
        keeping.kept.clear()
        made.append(cpu_of(hook, events))
        size = BATCH * SPANS_A_CALL
        starts = range(0, len(keeping.kept), size)
        batches = [keeping.kept[start : start + size] for start in starts]
        library.append(cpu_of(lambda batch: encode_spans(batch).SerializeToString(), batches))
        own.append(cpu_of(lambda batch: encoded_spans(batch).SerializeToString(), batches))
    return {
        name: min(times) / len(events) * 1e6
        for name, times in (("made", made), ("library", library), ("own", own))
    }


def cpu_of(work: Callable[[Any], object], things: Iterable[Any]) -> float:
    """Return the seconds of CPU that this thread spends on some things."""
    began_at = time.thread_time()
    for thing in things:
        work(thing)
    return time.thread_time() - began_at


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description="What a sampled call costs more.")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=TURNS)
    arguments = parser.parse_args()
    cores = choose_cores()
    off: list[float] = []
    on: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="routerd-bench-") as name,
        pinned(cores.load),
        fake_provider(cores, Path(name)) as port,
        collector(cores, Path(name)) as traces,
        daemon(cores, Path(name), port, more=NO_CAP) as plain,
        daemon(
            cores,
            Path(name),
            port,
            more=NO_CAP,
            environ={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{traces}"},
        ) as traced,
    ):
        for number in range(arguments.turns + 1):
            costs = (
                turn(plain, arguments.calls, None),
                turn(traced, arguments.calls, lambda: collected(traces)),
            )
            if number:  # the first one fills memory
                off.append(costs[0])
                on.append(costs[1])
    reference = min(reference_cpu_seconds() for _ in range(20)) * 1e6
    more = min(on) - min(off)
    print(f"tracing off          {min(off):6.0f} µs of CPU a call")
    print(f"on, every call       {min(on):6.0f} µs")
    print(f"a sampled call more  {more:6.0f} µs, the target is {TARGET_US}")
    print(f"reference work       {reference:6.0f} µs")
    alone = stages()
    print(f"spans, made          {alone['made']:6.0f} µs a call")
    print(f"- written            {alone['own']:6.0f} µs; by the library {alone['library']:.0f} µs")


if __name__ == "__main__":
    main()
