"""Whether traces are exported, where to, and how that ends.

Rules of this file: OpenTelemetry is imported only where the environment names a collector, because
it costs a hundred milliseconds and fifteen megabytes. Only http/protobuf is spoken. Nothing here
waits longer than it was allowed to. The rest of OpenTelemetry's variables (headers, sampler,
compression, certificates, batches, resource) are read by its SDK from the process's environment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from routerd.errors import StartError
from routerd.telemetry.events import Hook

__all__ = ["Traces", "open_traces"]

ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOL_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL: Final = "http/protobuf"


class Traces:
    """Spans on their way to a collector: `hook` makes them of events."""

    def __init__(self, hook: Hook, shutdown: Callable[[], None]) -> None:
        self.hook = hook
        self._shutdown = shutdown

    def close(self, timeout_seconds: float = 2.0) -> bool:
        """Send what is left; returns whether that ended in time. Blocks no longer than that."""
        # The SDK's own shutdown waits for up to thirty seconds.
        thread = threading.Thread(target=self._shutdown, name="last spans", daemon=True)
        thread.start()
        thread.join(timeout_seconds)
        return not thread.is_alive()


def open_traces(environ: Mapping[str, str], version: str) -> Traces | None:
    """Return traces if `environ`, the process's environment, names a collector; else None.

    StartError where it asks for what is not there.
    """
    variable, endpoint = _first(environ, ENDPOINT_VARIABLES)
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not endpoint or disabled or environ.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise StartError(
            f"{variable} is not the address of a collector. Write it with http:// or https://, "
            "such as http://127.0.0.1:4318, or unset it to have no traces."
        )
    name, protocol = _first(environ, PROTOCOL_VARIABLES)
    if protocol not in ("", PROTOCOL):
        raise StartError(
            f"{name} is {protocol!r}, and routerd speaks {PROTOCOL} only. Set it to {PROTOCOL} and "
            "name the collector's HTTP port, usually 4318, or unset the endpoint to have no traces."
        )
    from routerd.telemetry.spans import open_spans  # noqa: PLC0415 - imports OpenTelemetry

    return Traces(*open_spans(environ, version))


def _first(environ: Mapping[str, str], variables: tuple[str, ...]) -> tuple[str, str]:
    """Return the first of some variables that has a value, and the value."""
    for name in variables:
        value = environ.get(name, "").strip()
        if value:
            return name, value
    return "", ""
