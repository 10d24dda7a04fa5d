"""From an attempt to the caller: the commit point and back-pressure.

Rules of this file: the first content that is sent commits the call. Before it a failure is silent;
after it only a restart the caller opted into may replace what was sent, and what was sent is
declared void only once there is something to replace it, were it the end of an empty answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Protocol

from msgspec import Struct

from routerd.domain import Attempt, Part
from routerd.errors import Failure
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

    def send(self, frames: Sequence[Struct]) -> None:
        """Write frames; never blocks."""

    def hold(self, frames: Sequence[Struct]) -> None:
        """Write frames together with those that are sent next."""

    def end(self, error: ErrorInfo) -> None:
        """Say why, close, and cancel what is running."""

    async def drain(self) -> None:
        """Wait until the app has read enough."""

    def abort(self) -> None:
        """Close without a word, and cancel what is running."""


class Listener(Protocol):
    """Who hears of an answer besides its caller."""

    def add(self, parts: Iterable[Part]) -> None:
        """Hear the parts that come next."""

    def restart(self) -> None:
        """Hear that all parts so far are void."""


class Delivery:
    """What the caller has been given so far.

    `held` is the attempt whose parts the caller has, None before the first; `cut_by` is why it got
    no further, once it is known that it will not. `reader_us` is how long the caller was waited
    for, `set_back_us` how much earlier an earlier copy of the call came. What is in `listeners`
    hears of all parts too.
    """

    def __init__(self, sink: Sink, received_at: float) -> None:
        self._sink = sink
        self._received_at = received_at
        self.set_back_us = 0
        self.committed = False
        self.first_content_us: int | None = None
        self.output_bytes = 0
        self.held: Attempt | None = None
        self.cut_by: Failure | None = None
        self.reader_us = 0
        self.listeners: list[Listener] = []
        self._running: Attempt | None = None

    def beside(self, sink: Sink) -> Delivery:
        """Return a delivery to somebody else that counts time from the same moment."""
        return Delivery(sink, self._received_at)

    def set_back(self, seconds: float) -> None:
        """Count time from so much earlier: from an earlier copy of the call."""
        self._received_at -= seconds
        self.set_back_us += int(seconds * 1_000_000)

    def elapsed_us(self) -> int:
        """Return the microseconds since the request was read."""
        return int((monotonic() - self._received_at) * 1_000_000)

    def begin(self, attempt: Attempt) -> None:
        """Begin an answer; content the caller already has is void once more of it comes."""
        self._running = attempt
        self.output_bytes = 0

    @property
    def congested(self) -> bool:
        """Whether the caller reads more slowly than its answer comes."""
        return self._sink.congested

    async def drain(self) -> None:
        """Wait until the caller has read enough."""
        since = monotonic()
        try:
            await self._sink.drain()
        finally:
            self.reader_us += int((monotonic() - since) * 1_000_000)

    async def deliver(self, parts: list[Part]) -> None:
        """Send parts to the caller, and wait if it reads too slowly."""
        self.send(parts)
        if self._sink.congested:
            await self.drain()

    def send(self, parts: list[Part], *, are_last: bool = False) -> None:
        """Send parts to the caller without waiting; the last ones with the end of the call."""
        send = self._sink.hold if are_last else self._sink.send
        if self.cut_by is not None:
            send((CallRestarted(self.cut_by.info()), *parts))
            self.cut_by = None
            self.first_content_us = self.elapsed_us() if parts else None
            for listener in self.listeners:
                listener.restart()
        else:
            if self.first_content_us is None:
                self.first_content_us = self.elapsed_us()
            send(parts)
        for listener in self.listeners:
            listener.add(parts)
        self.committed = True
        self.held = self._running

    def end(self) -> None:
        """End a whole answer: without content of its own it still replaces what came before."""
        if self.cut_by is not None:
            self.send([], are_last=True)
        self.held = self._running

    def fail(self, failure: Failure) -> None:
        """Note that the attempt failed: if the caller has its parts, it will get no more."""
        if self.held is not None and self.held is self._running:
            self.cut_by = failure


def written_bytes(parts: Iterable[Part]) -> int:
    """Count the bytes of what a model wrote, to estimate what it bills if it never says."""
    size = 0
    for part in parts:
        if type(part) is TextDelta:  # nearly all are, and a `match` takes three times as long
            text = part.text
        elif isinstance(part, ReasoningDelta):
            text = part.reasoning
        elif isinstance(part, RefusalDelta):
            text = part.refusal
        elif isinstance(part, ToolCallDelta):
            text = part.arguments
        else:
            continue
        size += len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return size
