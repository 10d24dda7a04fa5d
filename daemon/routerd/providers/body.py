"""The reading of one answer's body, whatever the vendor: find its shape, hand on its payloads.

Rules of this file: no vendor. A server that was asked for a stream may answer plainly, and the
other way round, so the first byte decides. A decoder on top of this never raises: what cannot be
read is counted in `outcome.malformed_events`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from routerd.domain import Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Outcome
from routerd.providers.excerpt import is_html, text_excerpt
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES, SseParser
from routerd.providers.surrogates import SurrogateJoiner

__all__ = ["BodyDecoder"]

BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
EVENT_STARTS: Final = (b"data:", b"event:", b":", b"id:", b"retry:")


class BodyDecoder(ABC):
    """Turn the bytes of one answer into parts; a vendor's decoder fills in the three hooks.

    Parts go to the list that a hook is given. `max_body_bytes` bounds a plain answer and a single
    event.
    """

    def __init__(self, *, stream: bool, max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.outcome = Outcome()
        self._events = SseParser(max_body_bytes)
        self._max_body_bytes = max_body_bytes
        self._expects_stream = stream
        self._is_stream = False
        self._plain = bytearray()
        self._joiner: SurrogateJoiner | None = None
        self._ended = False

    @abstractmethod
    def _take_event(self, name: bytes, data: bytes, parts: list[Part]) -> bool:
        """Read one event; return False if its data is not whole JSON."""

    @abstractmethod
    def _take_plain(self, body: bytes, parts: list[Part]) -> bool:
        """Read a plain answer; return False if it is not whole JSON."""

    @abstractmethod
    def _close(self, parts: list[Part]) -> None:
        """Give out what is complete at the end of the answer; called once or more."""

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that `data` completes, in order."""
        if not self._is_stream:
            self._plain += data
            if not self._begins_stream():
                self._check_plain_size()
                return []
            data = bytes(self._plain)
            self._plain.clear()
        parts: list[Part] = []
        for name, payload in self._events.feed(data):
            if not self._take_event(name, payload, parts):
                self.outcome.malformed_events += 1
        if self._events.overflowed:
            self._fail(f"an event of the answer is larger than {self._max_body_bytes} bytes")
        return parts if self._joiner is None else self._joiner.join(parts)

    def end(self) -> list[Part]:
        """Take the end of the body; what is still whole comes out, and `outcome` is final."""
        if self._ended:
            return []
        self._ended = True
        parts: list[Part] = []
        if self._is_stream:
            # The last event may be cut off: then it is not malformed, only missing.
            for name, payload in self._events.end():
                self._take_event(name, payload, parts)
        else:
            self._read_plain(parts)
        self._close(parts)
        if self._joiner is not None:
            parts = self._joiner.join(parts) + self._joiner.end()
        return parts

    def join_surrogates(self) -> None:
        """Look for split characters from here on: a lone half of one was seen."""
        if self._joiner is None:
            self._joiner = SurrogateJoiner()

    def _begins_stream(self) -> bool:
        """Decide by the first byte whether a stream was begun, once there is one."""
        if self._expects_stream:
            self._plain = self._plain.lstrip(BLANKS)
            if self._plain:
                self._expects_stream = False
                self._is_stream = not self._plain.startswith((b"{", b"[", b"<"))
        return self._is_stream

    def _check_plain_size(self) -> None:
        if len(self._plain) > self._max_body_bytes:
            self._plain.clear()
            self._fail(f"the answer is larger than {self._max_body_bytes} bytes")

    def _read_plain(self, parts: list[Part]) -> None:
        body = bytes(self._plain).strip(BLANKS)
        self._plain.clear()
        if self.outcome.failure is not None:
            return
        if body.startswith(EVENT_STARTS):
            self._is_stream = True
            for name, payload in [*self._events.feed(body), *self._events.end()]:
                if not self._take_event(name, payload, parts):
                    self.outcome.malformed_events += 1
        elif not body:
            self._fail("the answer is empty")
        elif is_html(body):
            self._fail(f"the answer is a web page: {text_excerpt(body)}")
        elif not self._take_plain(body, parts):
            self.outcome.malformed_events += 1
            self._fail("the answer is not whole JSON")

    def _fail(self, message: str) -> None:
        if self.outcome.failure is None:
            self.outcome.failure = Failure(ErrorClass.BAD_ANSWER, message)
        self.outcome.finish = "error"
        self.outcome.complete = False
