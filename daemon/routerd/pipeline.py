"""The story of one call, top to bottom.

Rules of this file: it only tells the order of things. Nothing is awaited between the plan and the
first attempt. Every call that was read ends here exactly once: with one record, one event and one
last frame, whatever happened to it and whatever a provider reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping

from msgspec import structs

from routerd.classify.checks import check_request
from routerd.classify.features import measure
from routerd.decide import make_plan, refusal, resolve
from routerd.domain import Call, Plan, Record, Snapshot
from routerd.errors import CallRefused
from routerd.execute.delivery import Delivery, Sink
from routerd.execute.in_flight import CallsInFlight
from routerd.execute.recording import (
    begin_record,
    finish_record,
    last_frame,
    read_call,
    void_record,
)
from routerd.execute.routes import Execution
from routerd.execute.target import Target
from routerd.ledger import Ledger
from routerd.models.directory import Directory
from routerd.models.schema import Defaults
from routerd.settings import Limits, Timeouts
from routerd.telemetry.events import BugSeen, CallFinished, Events
from routerd_proto.errors import ErrorInfo, error_info
from routerd_proto.frames import CallOptions, CallRequested, CallStarted

__all__ = ["Pipeline"]


class Pipeline:
    """Serve calls.

    `providers` are the names of those that can be called, `targets` their deployments by id.
    `simulated` says that all of them are simulators, so that a refusal is told to be simulated too.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        providers: Container[str],
        targets: Mapping[str, Target],
        limits: Limits,
        timeouts: Timeouts,
        ledger: Ledger,
        events: Events,
        simulated: bool = False,
    ) -> None:
        self._directory = directory
        self._providers = providers
        self.targets = targets
        self._timeouts = timeouts
        self._ledger = ledger
        self._events = events
        self._simulated = simulated
        self.in_flight = CallsInFlight(limits.in_flight)
        self.served = 0

    async def serve(self, request: CallRequested, sink: Sink, peer_uid: int | None) -> None:
        """Answer one call; on every end a record is written and a last frame is sent."""
        call = read_call(request, peer_uid, self._timeouts.total)
        record = begin_record(call, simulated=self._simulated)
        delivery = Delivery(sink, call.received_at)
        execution: Execution | None = None
        error: ErrorInfo | None = None
        key = (peer_uid, call.call_id)
        try:
            await self.in_flight.begin(key, sink, again=call.sends > 0)
            check_request(call.messages, call.options)
            plan, options = self._plan(call, record)
            sink.send((CallStarted(call.decision_id, record.trace_id),))
            tokens = record.features.input_tokens if record.features else 0
            execution = Execution(call, options, tokens, delivery, self._timeouts)
            await execution.run(plan, self.targets)
            error = execution.error
        except CallRefused as refused:
            error = refused.info
        except asyncio.CancelledError:
            hung_up = error_info("cancelled", "the caller hung up before the answer was complete")
            error = sink.ended or hung_up
            raise
        except Exception as bug:  # noqa: BLE001 - a bug ends the one call it hit, with a record
            error = error_info("internal_error", f"{type(bug).__name__} in routerd")
            self._events.emit(BugSeen(decision_id=call.decision_id, error=bug))
        finally:
            self.in_flight.end(key, sink)
            try:
                finish_record(record, execution, delivery, error)
                sink.send((last_frame(record, error),))
            except Exception as bug:  # noqa: BLE001 - the call has its end and its record all the same
                void_record(record)
                self._events.emit(BugSeen(decision_id=call.decision_id, error=bug))
                sink.end(error_info("internal_error", f"{type(bug).__name__} in routerd"))
            self.served += 1
            self._ledger.write(record)
            self._events.emit(CallFinished(record=record, trace=call.trace))

    def _plan(self, call: Call, record: Record) -> tuple[Plan, CallOptions]:
        """Decide who may serve; CallRefused where nobody may."""
        resolution = resolve(self._directory, call.target)
        record.target = call.target
        options = with_defaults(call.options, resolution.defaults)
        record.features = measure(call.messages, options)
        snapshot = Snapshot(now=call.received_at_ns / 1e9)
        plan = make_plan(resolution, self._providers, record.features, snapshot)
        record.plan = plan
        if not plan.routes:
            raise CallRefused(refusal(plan))
        return plan, options


def with_defaults(options: CallOptions, defaults: Defaults) -> CallOptions:
    """Fill in what the shortcut sets and the caller did not."""
    missing = {
        name: value
        for name in defaults.__struct_fields__
        if (value := getattr(defaults, name)) is not None and getattr(options, name) is None
    }
    return structs.replace(options, **missing) if missing else options
