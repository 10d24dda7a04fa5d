"""What a caller may pass beside target and messages, and the request made of it.

Rules of this file: pure, and no deep conversion: dicts and structs are encoded as they are, and the
daemon checks them. An option that does not exist is refused here, with the names that come near.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, TypedDict

from routerd_proto.content import Message, ReasoningEffort, Tool, ToolChoice
from routerd_proto.frames import CallOptions, CallRequested, Latency, Sensitivity, TraceContext
from routerd_proto.search import EmbedRequested, Purpose, RerankRequested

__all__ = [
    "Messages",
    "Options",
    "SearchOptions",
    "Trace",
    "request_call",
    "request_embed",
    "request_rerank",
]

Messages: TypeAlias = str | Sequence[Message | Mapping[str, Any]]
Trace: TypeAlias = str | Mapping[str, str]


class SearchOptions(TypedDict, total=False):
    """The options of any call. None, or leaving one out, means that it is not set.

    Who spends and for what: `tenant`, `team`, `agent`, `user`, `feature`, `task`. How private it
    is: `sensitivity`. `timeout` bounds the whole call, in seconds. What the decision looks at:
    `critical` (stay where you are when money runs short), `latency` ("interactive", "batch" or
    milliseconds to the first content), `region`, `session` (its calls stay at one deployment),
    `max_cost_cents`, and `flags` for the rules of the daemon's configuration. `trace` is a W3C
    `traceparent`, or a mapping with `traceparent` and `tracestate`; left out, the current
    OpenTelemetry span is the parent if the app uses OpenTelemetry.
    """

    tenant: str | None
    team: str | None
    agent: str | None
    user: str | None
    feature: str | None
    task: str | None
    sensitivity: Sensitivity | None
    timeout: float | None
    critical: bool | None
    latency: Latency | None
    region: str | None
    session: str | None
    max_cost_cents: float | None
    flags: Sequence[str] | None
    trace: Trace | None


class Options(SearchOptions, total=False):
    """The options of a call to a model that writes: those of any call, and how it is to write.

    `restart` allows a whole new answer from a backup after parts were delivered. `raw` holds
    parameters of one vendor, which go to it as they are: `{"openai": {"verbosity": "low"}}`.
    `logprobs` asks for the log probability of every token, with so many alternatives (0 to 20).
    """

    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: Sequence[str] | None
    seed: int | None
    tools: Sequence[Tool | Mapping[str, Any]] | None
    tool_choice: ToolChoice | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    output_schema: Mapping[str, Any] | None
    reasoning: ReasoningEffort | None
    restart: bool | None
    raw: Mapping[str, Mapping[str, Any]] | None
    logprobs: int | None


NO_OPTIONS: Final = CallOptions()


def request_call(
    target: str, messages: Messages, options: Mapping[str, Any], *, stream: bool
) -> CallRequested:
    """Build the request. Raises TypeError for an option that does not exist."""
    call_options, trace = _read(options, Options)
    return CallRequested(
        os.urandom(12).hex(),
        target,
        messages,  # type: ignore[arg-type]  # mappings are encoded like the structs
        call_options,
        stream,
        trace,
    )


def request_embed(
    target: str,
    inputs: str | Sequence[str],
    options: Mapping[str, Any],
    *,
    dimensions: int | None,
    purpose: Purpose | None,
    truncate: bool,
) -> EmbedRequested:
    """Build the request. Raises TypeError for an option that does not exist."""
    call_options, trace = _read(options, SearchOptions)
    texts = [inputs] if isinstance(inputs, str) else list(inputs)
    name = os.urandom(12).hex()
    return EmbedRequested(name, target, texts, call_options, dimensions, purpose, truncate, trace)


def request_rerank(
    target: str,
    query: str,
    documents: Sequence[str],
    options: Mapping[str, Any],
    *,
    top: int | None,
    truncate: bool,
) -> RerankRequested:
    """Build the request. Raises TypeError for an option that does not exist."""
    call_options, trace = _read(options, SearchOptions)
    name = os.urandom(12).hex()
    return RerankRequested(name, target, query, list(documents), call_options, top, truncate, trace)


def _read(
    options: Mapping[str, Any], kind: type[SearchOptions]
) -> tuple[CallOptions, TraceContext | None]:
    given = {name: value for name, value in options.items() if value is not None}
    trace = given.pop("trace", None)
    if kind is not Options and not given.keys() <= kind.__annotations__.keys():
        raise unknown_option(options, kind)
    try:
        call_options = CallOptions(**given) if given else NO_OPTIONS
    except TypeError:
        raise unknown_option(options, kind) from None
    return call_options, current_trace() if trace is None else trace_context(trace)


def unknown_option(options: Mapping[str, Any], kind: type[SearchOptions]) -> TypeError:
    """Say which option does not exist, and which ones it may have been meant for."""
    import difflib  # noqa: PLC0415 - paid for by a mistake alone

    known = kind.__annotations__
    unknown = next(name for name in options if name not in known)
    near = difflib.get_close_matches(unknown, known)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
    return TypeError(f"a call has no option {unknown!r}; {hint}")


def trace_context(trace: Trace) -> TraceContext:
    """Read what the caller gave as trace."""
    if isinstance(trace, str):
        return TraceContext(trace)
    return TraceContext(trace.get("traceparent", ""), trace.get("tracestate", ""))


def current_trace() -> TraceContext | None:
    """Return the current OpenTelemetry span's context, if the app itself uses OpenTelemetry."""
    opentelemetry = sys.modules.get("opentelemetry.trace")
    if opentelemetry is None:
        return None
    context = opentelemetry.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    return TraceContext(parent, context.trace_state.to_header())
