"""Which hooks hear of events: logs always, traces if the environment names a collector."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version

from routerd.settings import Log
from routerd.telemetry.events import Events, Hook
from routerd.telemetry.logs import Logs, configure_logs
from routerd.telemetry.traces import Traces, open_traces

__all__ = ["Telemetry", "open_telemetry"]

LAST_SPANS_SECONDS = 2.0


class Telemetry:
    """The hooks of a running daemon, and their end."""

    def __init__(self, logs: Logs, traces: Traces | None) -> None:
        hooks: list[Hook] = [logs]
        if traces is not None:
            hooks.append(traces.hook)
        self.events = Events(hooks)
        self._logs = logs
        self._traces = traces

    def change(self, settings: Log) -> None:
        """Log by other settings from now on."""
        self._logs.change(settings.level, calls=settings.calls)

    def close(self) -> None:
        """Send the last spans and write the last lines, within seconds."""
        if self._traces is not None:
            self._traces.close(LAST_SPANS_SECONDS)
        self._logs.close()


def open_telemetry(settings: Log, environ: Mapping[str, str]) -> Telemetry:
    """Open logs and traces; StartError where the environment asks for what is not there."""
    # Logs first: what the tracing library says while it opens goes through them.
    logs = configure_logs(settings.level, sys.stderr, calls=settings.calls, environ=environ)
    try:
        return Telemetry(logs, open_traces(environ, version("routerd")))
    except BaseException:  # Ctrl-C too: what was logged is written
        logs.close()
        raise
