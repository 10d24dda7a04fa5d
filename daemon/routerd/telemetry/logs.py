"""One line on stderr for every event: JSON for machines, columns for a person at a terminal.

Rules of this file: a line holds names, numbers and codes. Keys, prompts, answers and messages of
providers are never in it, nor is the caller's `user`, who is a person; the ledger has that. A call
costs one line at level info, or at warning where routerd or a provider failed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog
from msgspec import structs

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
from routerd.telemetry.plain import as_code, as_name, code_place
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
# As structlog calls it: the logger, the level's name and the fields; returns the line.
Renderer = Callable[[Any, str, MutableMapping[str, Any]], bytes]


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
    writer = LineWriter(
        stream, lambda count: renderer(None, "error", {"event": "log_lines_lost", "count": count})
    )
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
        if isinstance(event, CallFinished):
            level = _call_level(event.record)
            if level in self._levels and (self._calls or level != "info"):
                self._write(level, "call_finished", _call_fields(event.record))
            return
        level = EVENT_LEVELS.get(type(event), "info")
        if level in self._levels:
            self._write(level, event_name(event), _fields(event))

    def change(self, level: str, *, calls: bool) -> None:
        """Write lines of this level and above from now on, with or without those of calls."""
        self._calls = calls
        self._levels = {name for name, number in LEVELS.items() if number >= LEVELS[level]}
        self._logger = structlog.wrap_logger(
            self._writer,
            processors=[self._renderer],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        ).bind()

    def close(self) -> None:
        """Let libraries log as before, and wait a little for lines that are not written yet."""
        logging.getLogger().removeHandler(self._libraries)
        self._writer.close()

    def _write(self, level: str, event: str, fields: Fields) -> None:
        getattr(self._logger, level)(event, **fields)


def _call_level(record: Record) -> str:
    """A caller's own mistake is nothing to warn the operator of."""
    code = CODES.get(record.error_code) if record.error_code is not None else None
    if record.error_code is None or (code is not None and code.blame == "caller"):
        return "info"
    return "warning"


def _call_fields(record: Record) -> Fields:
    usage = record.usage
    fields: Fields = {
        "decision_id": record.decision_id,
        "target": as_name(record.target),
        "model": record.model or None,
        "deployment": record.deployment or None,
        "provider": record.provider or None,
        "attempts": len(record.attempts),
        "finish": record.finish,
        "error_code": as_code(record.error_code),
        "cost_cents": _cents(record.cost_nanodollars),
        "cost_basis": record.cost_basis,
        "first_content_ms": _milliseconds(record.first_content_us),
        "total_ms": _milliseconds(record.total_us),
        "upstream_ms": _milliseconds(record.upstream_us),
        "tenant": as_name(record.tenant),
        "team": as_name(record.team),
        "agent": as_name(record.agent),
        "feature": as_name(record.feature),
        "task": as_name(record.task),
        "arm": record.arm,
        "shadow_of": record.shadow_of,
        "degraded": record.degraded,
        "simulated": record.simulated or None,
        "cached": record.cached or None,
        "skipped": len(record.skipped) or None,
        "queued_ms": _milliseconds(record.queued_us or None),
    }
    if usage is not None:
        fields["input_tokens"] = (
            usage.input_tokens
            + usage.cache_read_tokens
            + usage.cache_write_tokens
            + usage.cache_write_long_tokens
        )
        fields["cached_tokens"] = usage.cache_read_tokens
        fields["output_tokens"] = usage.output_tokens
    if record.trace_id and record.trace_id != record.decision_id:
        fields["trace_id"] = record.trace_id
    return {name: value for name, value in fields.items() if value is not None}


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(_logger: Any, level: str, fields: MutableMapping[str, Any]) -> bytes:
    line = {"timestamp": _now(), "level": level, "event": fields.pop("event"), **fields}
    return msgspec.json.encode(line) + b"\n"


def _console_renderer(environ: Mapping[str, str]) -> Renderer:
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - a service has no terminal

    console = ConsoleRenderer(colors=not environ.get("NO_COLOR"), pad_event_to=20)

    def render(logger: Any, level: str, fields: MutableMapping[str, Any]) -> bytes:
        shown = {name: _printable(value) for name, value in fields.items()}
        line = console(logger, level, {"timestamp": _now(), "level": level, **shown})
        return line.encode(errors="backslashreplace") + b"\n"

    return render


def _printable(value: Any) -> Any:
    """Keep a caller's names from moving the cursor or changing colours."""
    if isinstance(value, str) and not value.isprintable():
        return value.encode("unicode_escape").decode()
    return value
