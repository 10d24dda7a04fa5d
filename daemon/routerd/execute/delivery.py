"""From an attempt to the caller: the commit point and back-pressure.

Rules of this file: the first content that is sent commits the call. Before it a failure is silent;
after it only a restart the caller opted into may replace what was sent, and what was sent is
declared void only once there is something to replace it.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Protocol

from msgspec import Struct

from routerd.domain import Part
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import (
    CallRestarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)

__all__ = ["Delivery", "Sink"]


class Sink(Protocol):
    """Where frames go: a connection of an app."""

    @property
    def ended(self) -> ErrorInfo | None:
        """Why routerd itself closed the connection, None if it did not."""

    @property
    def congested(self) -> bool:
        """Whether the app reads more slowly than its answer comes."""

    def send(self, frames: Iterable[Struct]) -> None:
        """Write frames; never blocks."""

    async def drain(self) -> None:
        """Wait until the app has read enough."""

    def abort(self) -> None:
        """Close without a word, and cancel what is running."""


class Delivery:
    """What the caller has been given so far."""

    def __init__(self, sink: Sink, received_at: float) -> None:
        self._sink = sink
        self._received_at = received_at
        self.committed = False
        self.first_content_us: int | None = None
        self.output_bytes = 0
        self._voided_by: ErrorInfo | None = None

    def elapsed_us(self) -> int:
        """Return the microseconds since the request was read."""
        return int((monotonic() - self._received_at) * 1_000_000)

    async def deliver(self, parts: list[Part]) -> None:
        """Send parts to the caller, and wait if it reads too slowly."""
        if self._voided_by is not None:
            self._sink.send((CallRestarted(self._voided_by), *parts))
            self._voided_by = None
            self.first_content_us = self.elapsed_us()
        else:
            if self.first_content_us is None:
                self.first_content_us = self.elapsed_us()
            self._sink.send(parts)
        self.committed = True
        if self._sink.congested:
            await self._sink.drain()

    def restart(self, reason: ErrorInfo) -> None:
        """Begin a new answer: content the caller already has is void once more of it comes."""
        if self.committed:
            self._voided_by = reason
        self.output_bytes = 0


def written_bytes(parts: Iterable[Part]) -> int:
    """Count the bytes of what a model wrote, to estimate what it bills if it never says."""
    size = 0
    for part in parts:
        match part:
            case TextDelta(text=text) | ReasoningDelta(reasoning=text):
                size += _bytes(text)
            case RefusalDelta(refusal=text) | ToolCallDelta(arguments=text):
                size += _bytes(text)
    return size


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
