"""What a call says beside its content: how it is to be served, who pays, whose trace it is in.

Rules of this file: plain data only. A map's key that is not here is refused; nil, or a key left
out, means that the caller does not say.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from routerd_proto.content import ReasoningEffort, Tool, ToolChoice

__all__ = ["CallOptions", "Latency", "Sensitivity", "TraceContext"]

Sensitivity = Literal["public", "internal", "private"]
# How long a call may wait for its first content: a kind of waiting, or milliseconds.
Latency = Literal["interactive", "batch"] | int


class CallOptions(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a call is to be served and accounted for; a map, every key optional.

    `timeout` is in seconds and bounds the whole call. `restart` allows a whole new answer from a
    backup after content has been delivered. `tenant` to `task` say who spends, and for what.
    `critical` calls stay where they are when money runs short. `latency` is how long the first
    content may take: "interactive", "batch", or milliseconds. Only deployments in `region` may
    serve. The calls of a `session` stay at one deployment while it is well. `max_cost_cents` bounds
    what the call may cost. `flags` are for the rules of the daemon's configuration. `raw` holds, by
    wire or provider, parameters that go there as they are. `logprobs` asks for the log probability
    of every token, each with so many alternatives.
    """

    tenant: str | None = None
    team: str | None = None
    agent: str | None = None
    user: str | None = None
    feature: str | None = None
    task: str | None = None
    sensitivity: Sensitivity | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    seed: int | None = None
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_schema: dict[str, Any] | None = None
    reasoning: ReasoningEffort | None = None
    timeout: float | None = None
    restart: bool = False
    critical: bool = False
    latency: Latency | None = None
    region: str | None = None
    session: str | None = None
    max_cost_cents: float | None = None
    flags: list[str] = []
    raw: dict[str, dict[str, Any]] = {}
    logprobs: int | None = None


class TraceContext(Struct, array_like=True, frozen=True):
    """The caller's trace, in the syntax of W3C Trace Context; what does not parse is ignored."""

    traceparent: str = ""
    tracestate: str = ""
