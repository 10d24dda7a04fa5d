"""One line on stderr for every event: JSON for machines, columns for a person at a terminal.

Rules of this file: a line holds names, numbers and codes. Keys, prompts, answers and messages of
providers are never in it, nor is the caller's `user`, who is a person; the ledger has that. A call
costs one line at level info, or at warning where routerd or a provider failed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
from msgspec import Struct, structs

from routerd.domain import Record
from routerd.telemetry.events import (
    BoundExceeded,
    BudgetNearlySpent,
    BugSeen,
    CallFinished,
    ConnectionRejected,
    DefaultBudgetApplied,
    DegradedRising,
    EndpointTripped,
    Event,
    IntentsLost,
    LedgerDegraded,
    LedgerMovedAside,
    OtherModelAnswered,
    OwnNetworkUnproven,
    ProviderTripped,
    ProviderUnreachable,
    RecordsLost,
    ReloadRefused,
    RestartNeeded,
    SpendRecovered,
    TokenUnrenewed,
    TrippedByHand,
    TripsUnreadable,
    event_name,
)
from routerd.telemetry.library_logs import LibraryLogs
from routerd.telemetry.lines import LineWriter
from routerd.telemetry.plain import as_code, code_place
from routerd_proto.errors import CODES

__all__ = ["Logs", "configure_logs"]

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
EVENT_LEVELS: Final[Mapping[type[Event], str]] = {
    BoundExceeded: "warning",
    BudgetNearlySpent: "warning",
    BugSeen: "error",
    ConnectionRejected: "warning",
    DefaultBudgetApplied: "warning",
    DegradedRising: "critical",
    EndpointTripped: "warning",
    IntentsLost: "error",
    LedgerDegraded: "error",
    LedgerMovedAside: "error",
    OtherModelAnswered: "warning",
    OwnNetworkUnproven: "warning",
    ProviderTripped: "error",
    ProviderUnreachable: "warning",
    RecordsLost: "error",
    ReloadRefused: "error",
    RestartNeeded: "warning",
    SpendRecovered: "warning",
    TokenUnrenewed: "error",
    TrippedByHand: "warning",
    TripsUnreadable: "error",
}
Fields = dict[str, Any]
# From a level, the name of an event, and fields that are plain data or a struct of it, to a line.
Renderer = Callable[[str, str, Any], bytes]
_encode: Final = msgspec.json.Encoder().encode


def configure_logs(
    level: str,
    stream: TextIO,
    *,
    calls: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Logs:
    """Return a hook that writes lines of `level` and above to a stream.

    Without `calls` a call that went well gets no line. Colours are used on a terminal, unless the
    environment has NO_COLOR. From now on, what libraries log goes the same way, until `close()`.
    """
    renderer = _console_renderer(environ) if stream.isatty() else _as_json
    writer = LineWriter(stream, lambda count: renderer("error", "log_lines_lost", {"count": count}))
    return Logs(level, writer, renderer, calls=calls)


class Logs:
    """The hook; call it with an event."""

    def __init__(self, level: str, writer: LineWriter, renderer: Renderer, *, calls: bool) -> None:
        self._writer = writer
        self._renderer = renderer
        self.change(level, calls=calls)
        self._libraries = LibraryLogs(self._write)
        logging.getLogger().addHandler(self._libraries)

    def __call__(self, event: Event) -> None:
        """Write the line of an event."""
        if type(event) is CallFinished:
            level = _call_level(event.record)
            if self._calls or level != "info":
                self._write(level, "call_finished", _call_line(event.record))
            return
        self._write(EVENT_LEVELS.get(type(event), "info"), event_name(event), _fields(event))

    def change(self, level: str, *, calls: bool) -> None:
        """Write lines of this level and above from now on, with or without those of calls."""
        self._calls = calls
        self._levels = {name for name, number in LEVELS.items() if number >= LEVELS[level]}

    def close(self) -> None:
        """Let libraries log as before, and wait a little for lines that are not written yet."""
        logging.getLogger().removeHandler(self._libraries)
        self._writer.close()

    def _write(self, level: str, event: str, fields: Any) -> None:
        if level in self._levels:
            self._writer.write(self._renderer(level, event, fields))


class CallLine(Struct, omit_defaults=True, gc=False):
    """What the line of a call says, in this order; what is None is left out."""

    decision_id: str
    target: str | None = None
    model: str | None = None
    deployment: str | None = None
    provider: str | None = None
    attempts: int | None = None
    finish: str | None = None
    error_code: str | None = None
    cost_cents: float | None = None
    cost_basis: str | None = None
    first_content_ms: float | None = None
    total_ms: float | None = None
    upstream_ms: float | None = None
    tenant: str | None = None
    team: str | None = None
    agent: str | None = None
    feature: str | None = None
    task: str | None = None
    arm: str | None = None
    shadow_of: str | None = None
    degraded: str | None = None
    simulated: bool | None = None
    cached: bool | None = None
    skipped: int | None = None
    queued_ms: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    trace_id: str | None = None


def _call_level(record: Record) -> str:
    """A caller's own mistake is nothing to warn the operator of."""
    code = CODES.get(record.error_code) if record.error_code is not None else None
    if record.error_code is None or (code is not None and code.blame == "caller"):
        return "info"
    return "warning"


def _call_line(record: Record) -> CallLine:
    # The names a caller chose are cut in the record already.
    line = CallLine(
        record.decision_id,
        record.target,
        record.model or None,
        record.deployment or None,
        record.provider or None,
        len(record.attempts),
        record.finish,
        None if record.error_code is None else as_code(record.error_code),
        _cents(record.cost_nanodollars),
        record.cost_basis,
        _milliseconds(record.first_content_us),
        record.total_us / 1000,
        record.upstream_us / 1000,
        record.tenant,
        record.team,
        record.agent,
        record.feature,
        record.task,
        record.arm,
        record.shadow_of,
        record.degraded,
        record.simulated or None,
        record.cached or None,
        len(record.skipped) or None,
        record.queued_us / 1000 or None,
    )
    usage = record.usage
    if usage is not None:
        line.input_tokens = (
            usage.input_tokens
            + usage.cache_read_tokens
            + usage.cache_write_tokens
            + usage.cache_write_long_tokens
        )
        line.cached_tokens = usage.cache_read_tokens
        line.output_tokens = usage.output_tokens
    if record.trace_id and record.trace_id != record.decision_id:
        line.trace_id = record.trace_id
    return line


def _fields(event: Event) -> Fields:
    if isinstance(event, BugSeen):
        return {
            "decision_id": event.decision_id,
            "error": type(event.error).__name__,
            "where": code_place(event.error),
        }
    return {name: value for name, value in structs.asdict(event).items() if value not in (None, "")}


def _cents(nanodollars: int | None) -> float | None:
    return None if nanodollars is None else nanodollars / 10_000_000


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


class _Clock:
    """The time as lines have it; what does not change within a second is made once in it."""

    def __init__(self) -> None:
        # In one piece, because libraries log from other threads too.
        self._made = (-1, "")

    def now(self) -> str:
        """Return the time in UTC, to the millisecond."""
        second, rest = divmod(time.time_ns() // 1_000_000, 1000)
        made, text = self._made
        if made != second:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._made = (second, text)
        return f"{text}.{rest:03}Z"


_clock: Final = _Clock()


def _as_json(level: str, event: str, fields: Any) -> bytes:
    """Return a line; the names of levels and events need no escaping."""
    head = f'{{"timestamp":"{_clock.now()}","level":"{level}","event":"{event}"'.encode()
    body = _encode(fields)
    return head + (b"}\n" if body == b"{}" else b"," + body[1:] + b"\n")


def _console_renderer(environ: Mapping[str, str]) -> Renderer:
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - a service has no terminal

    console = ConsoleRenderer(colors=not environ.get("NO_COLOR"), pad_event_to=20)

    def render(level: str, event: str, fields: Any) -> bytes:
        plain: Fields = msgspec.to_builtins(fields)
        shown = {name: _printable(value) for name, value in plain.items()}
        head = {"timestamp": _clock.now(), "level": level, "event": event}
        line = console(None, level, {**head, **shown})
        return line.encode(errors="backslashreplace") + b"\n"

    return render


def _printable(value: Any) -> Any:
    """Keep a caller's names from moving the cursor or changing colours."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("unicode_escape").decode()
    return value
