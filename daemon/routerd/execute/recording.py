"""From a call to its record, and from its record to the last frame the caller gets.

Rules of this file: a record holds names, numbers and codes; no message of a provider, no word of a
prompt or an answer.
"""

from __future__ import annotations

import os
import time
from operator import attrgetter
from typing import Final

from routerd.domain import COST_BASES, Attempt, Call, Caller, Plan, Record
from routerd.execute.delivery import Delivery
from routerd.execute.routes import Execution
from routerd.execute.searching import Searching
from routerd.execute.shadows import Copy
from routerd.telemetry.plain import MAX_NAME_CHARACTERS, as_code, as_name
from routerd.telemetry.trace_ids import trace_id_of
from routerd_proto.content import Message
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import CallEnded, CallOptions, CallRequested
from routerd_proto.search import SearchRequested

__all__ = [
    "begin_record",
    "caller_of",
    "continue_record",
    "finish_record",
    "last_frame",
    "read_call",
    "void_record",
]

IDS_AT_ONCE: Final = 400
HEX_DIGITS: Final = 20  # of ten bytes
_names_in: Final = attrgetter("tenant", "team", "agent", "user", "feature", "task")
# What the ledger has room for.
MOST_NANODOLLARS = 2**63 - 1


class _Dice:
    """Random bytes of the system's, fetched for many ids at once: a question for each is dear."""

    def __init__(self) -> None:
        self._digits = ""
        self._at = 0
        # A child that is forked must not go on with what its parent has.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._digits, self._at = "", 0

    def ten_bytes(self) -> str:
        """Return ten bytes in hex that were given to nobody else."""
        at = self._at
        if at >= len(self._digits):
            self._digits, at = os.urandom(HEX_DIGITS // 2 * IDS_AT_ONCE).hex(), 0
        self._at = end = at + HEX_DIGITS
        return self._digits[at:end]


_dice: Final = _Dice()


def read_call(
    request: CallRequested | SearchRequested,
    peer_uid: int | None,
    longest_seconds: float,
    read_at: float | None = None,
) -> Call:
    """Give a request its decision id and its deadline.

    The id is the time in milliseconds and 80 random bits, in 32 hex digits: it sorts by time and is
    a valid trace id. `read_at` is when its last byte was read, on the monotonic clock: now, where
    it is None.
    """
    now_ns = time.time_ns()
    received_at = time.monotonic()
    if read_at is not None:
        now_ns -= int((received_at - read_at) * 1_000_000_000)
        received_at = read_at
    seconds, wanted = longest_seconds, request.options.timeout
    if wanted and wanted < longest_seconds:
        seconds = wanted
    messages: list[Message] = []
    search, stream = None, False
    if isinstance(request, CallRequested):
        said, stream = request.messages, request.stream
        messages = [Message("user", said)] if isinstance(said, str) else said
    else:
        search = request
    return Call(
        decision_id=f"{now_ns // 1_000_000:012x}{_dice.ten_bytes()}",
        call_id=request.call_id,
        target=request.target,
        messages=messages,
        options=request.options,
        stream=stream,
        received_at=received_at,
        received_at_ns=now_ns,
        deadline=received_at + seconds,
        trace=request.trace,
        sends=request.sends,
        peer_uid=peer_uid,
        search=search,
    )


def begin_record(call: Call, *, simulated: bool = False, copy: Copy | None = None) -> Record:
    """Start the record of a call with what is known when it comes in.

    A target nobody knows yet may be a prompt in the wrong place: kept if it looks like a name.
    `simulated`: whoever may answer it is a simulator.
    """
    names = _names_in(call.options)
    if names.count(None) < len(names):
        names = tuple(map(as_name, names))
    tenant, team, agent, user, feature, task = names
    record = Record(
        decision_id=call.decision_id,
        call_id=call.call_id[:MAX_NAME_CHARACTERS],
        received_at_ns=call.received_at_ns,
        target=as_code(call.target) or "",
        stream=call.stream,
        sends=call.sends,
        tenant=tenant,
        team=team,
        agent=agent,
        user=user,
        feature=feature,
        task=task,
        trace_id=trace_id_of(call),
        peer_uid=call.peer_uid,
        simulated=simulated,
    )
    if copy is not None:
        record.arm, record.shadow_of = f"shadow/{copy.shadow}", copy.decision_id
    return record


def caller_of(asked: CallOptions | Record) -> Caller:
    """Return whose call it is, as a decision looks at it; options have no decision id yet."""
    return Caller(
        asked.tenant,
        asked.team,
        asked.agent,
        asked.user,
        asked.feature,
        asked.task,
        asked.decision_id if isinstance(asked, Record) else "",
    )


def continue_record(record: Record, earlier: Record) -> None:
    """Make the record of a call that was sent again go on from that of its earlier copy.

    Both are one call: one decision id, and the attempts of both.
    """
    if record.trace_id == record.decision_id:
        record.trace_id = earlier.trace_id
    record.decision_id = earlier.decision_id
    record.received_at_ns = earlier.received_at_ns
    record.sends = max(record.sends, earlier.sends + 1)
    record.attempts = list(earlier.attempts)
    record.waited_us = earlier.waited_us
    record.queued_us = earlier.queued_us
    record.reader_us = earlier.reader_us
    record.overhead_us = earlier.overhead_us
    record.skipped = list(earlier.skipped)


def finish_record(
    record: Record,
    execution: Execution | Searching | None,
    delivery: Delivery,
    error: ErrorInfo | None,
    *,
    queued_us: int = 0,
    shared_us: int = 0,
) -> None:
    """Fill in how a call ended; `shared_us` is how long it waited for an identical one."""
    record.total_us = total_us = delivery.elapsed_us()
    own_us = total_us - delivery.set_back_us - queued_us - shared_us
    record.queued_us += queued_us
    record.waited_us += shared_us
    record.reader_us += delivery.reader_us
    record.first_content_us = record.last_content_us = delivery.first_content_us
    if execution is not None:
        own_us -= execution.idle_us  # of what runs beside each other not the sum
        record.waited_us += execution.waited_us
        record.attempts = [*record.attempts, *execution.attempts]
        record.skipped = [*record.skipped, *execution.skipped]
    else:
        own_us -= delivery.reader_us
    # Rounded down, each of them, and so a microsecond apart.
    record.overhead_us = (record.overhead_us or 0) + max(own_us, 0)
    if record.attempts:
        _add_attempts(record, execution)
    else:
        record.cost_nanodollars, record.cost_basis = 0, "measured"
    record.error_code = error.code if error is not None else None
    if error is not None:
        record.finish = "error"
    elif execution is not None and execution.outcome is not None:
        record.finish = execution.outcome.finish or "stop"


def _add_attempts(record: Record, execution: Execution | Searching | None) -> None:
    """Sum up the attempts; only what the caller got content from is named as having answered."""
    attempts = record.attempts
    upstream_us = nanodollars = 0
    basis = COST_BASES[0]
    noted: dict[str, None] = {}  # each once, however many pieces of a search say it
    # Of a search in pieces the last one's, whichever that is.
    last_content_us = None
    for attempt in attempts:
        upstream_us += _waited_us(attempt)
        nanodollars += attempt.cost_nanodollars or 0
        if attempt.cost_basis != basis:
            basis = max(basis, attempt.cost_basis, key=COST_BASES.index)
        at = attempt.last_content_us
        if at is not None and (last_content_us is None or at > last_content_us):
            last_content_us = at
        if attempt.notes:
            noted.update(dict.fromkeys(attempt.notes))
    if noted:
        record.notes = list(dict.fromkeys((*record.notes, *noted)))
    record.upstream_us, record.cost_basis = upstream_us, basis
    if basis != "unknown":
        record.cost_nanodollars = nanodollars
    held = execution.held if execution is not None else None
    told = held or attempts[-1]
    record.usage = told.usage
    if execution is not None and execution.usage is not None:
        record.usage = execution.usage
    record.simulated = record.simulated or told.simulated
    if held is not None:
        record.model, record.deployment = held.model, held.deployment
        record.provider = held.provider
        if last_content_us is not None:
            record.last_content_us = last_content_us
        record.degraded = _degraded(record.plan, held)


def void_record(record: Record) -> None:
    """Keep of a record that cannot be written only what routerd knows by itself, costs included."""
    record.finish, record.error_code = "error", "internal_error"
    record.notes = []
    holders: list[Record | Attempt] = [record, *record.attempts]
    for holder in holders:
        holder.usage = None
        if not 0 <= (holder.cost_nanodollars or 0) <= MOST_NANODOLLARS:
            holder.cost_nanodollars, holder.cost_basis = None, "unknown"
    for attempt in record.attempts:
        attempt.answered_model, attempt.response_id, attempt.notes = None, None, []
        attempt.finish, attempt.malformed_events = None, 0
        attempt.fingerprint, attempt.request_id = None, None


def _waited_us(attempt: Attempt) -> int:
    return (attempt.ended_us or attempt.started_us) - attempt.started_us


def _degraded(plan: Plan | None, answered: Attempt) -> str | None:
    for route in plan.routes if plan is not None else ():
        if route.deployment == answered.deployment:
            return route.degraded
    return None


def last_frame(record: Record, error: ErrorInfo | None) -> CallEnded:
    """Return the frame every call ends with."""
    return CallEnded(
        record.finish,
        record.decision_id,
        model=record.model,
        deployment=record.deployment,
        provider=record.provider,
        usage=record.usage,
        cost_nanodollars=record.cost_nanodollars,
        cost_basis=record.cost_basis,
        first_content_us=record.first_content_us,
        total_us=record.total_us,
        attempts=len(record.attempts),
        degraded=record.degraded,
        simulated=record.simulated,
        notes=record.notes,
        error=error,
        cached=record.cached,
    )
