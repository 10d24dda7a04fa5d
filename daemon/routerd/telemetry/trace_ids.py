"""Which trace a call belongs to, read from what the caller sent.

Rules of this file: pure, and without OpenTelemetry, because every call needs its trace id and few
daemons export traces. What does not parse is ignored, never an error: trace context is a stranger's
text and no reason to refuse a call. The syntax is W3C Trace Context level 2.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from routerd.domain import Call
from routerd_proto.frames import TraceContext

__all__ = ["CallerSpan", "caller_span", "trace_id_of", "tracestate_of"]

# Version 00 is 55 characters; later versions may add fields.
MAX_TRACEPARENT_CHARACTERS: Final = 512
MAX_TRACESTATE_CHARACTERS: Final = 512
MAX_TRACESTATE_MEMBERS: Final = 32

TRACEPARENT: Final = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?"
)
TRACESTATE_MEMBER: Final = re.compile(
    r"(?:[a-z][_0-9a-z*/\-]{0,255}|[a-z0-9][_0-9a-z*/\-]{0,240}@[a-z][_0-9a-z*/\-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class CallerSpan(NamedTuple):
    """The span of the app that made the call, in lower-case hex."""

    trace_id: str
    span_id: str
    flags: int


def caller_span(trace: TraceContext | None) -> CallerSpan | None:
    """Parse a traceparent; None where there is none, or none that is valid."""
    if trace is None or len(trace.traceparent) > MAX_TRACEPARENT_CHARACTERS:
        return None
    match = TRACEPARENT.fullmatch(trace.traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    return CallerSpan(trace_id, span_id, int(flags, 16))


def tracestate_of(trace: TraceContext) -> str:
    """Return the tracestate, empty where it is too long or not valid."""
    if len(trace.tracestate) > MAX_TRACESTATE_CHARACTERS:
        return ""
    members = [member.strip(" \t") for member in trace.tracestate.split(",")]
    members = [member for member in members if member]
    if len(members) > MAX_TRACESTATE_MEMBERS:
        return ""
    if not all(TRACESTATE_MEMBER.fullmatch(member) for member in members):
        return ""
    return ",".join(members)


def trace_id_of(call: Call) -> str:
    """Return the id of the call's trace: the caller's, or else its decision id."""
    if call.trace is None:
        return call.decision_id  # as nearly every call
    span = caller_span(call.trace)
    return span.trace_id if span is not None else call.decision_id
