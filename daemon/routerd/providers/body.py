"""The reading of one answer's body, whatever the vendor: find its shape, hand on its payloads.

Rules of this file: no vendor. A server that was asked for a stream may answer plainly, and the
other way round, so the first byte decides. A decoder on top of this never raises: what cannot be
read is counted in `outcome.malformed_events`. Every part that leaves here fits a frame: long texts
in several parts, a vendor's own data not at all where it does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from routerd.domain import Part
from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Outcome
from routerd.providers.bounds import MAX_PART_CHARACTERS, can_be_carried, is_too_long, split_texts
from routerd.providers.excerpt import BLANKS, is_html, text_excerpt
from routerd.providers.json_text import JSON_ERRORS
from routerd.providers.logprobs import TOO_LONG_NOTE, logprob_parts
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES, Event, SseParser
from routerd.providers.surrogates import SurrogateJoiner
from routerd_proto.frames import CitationAdded, TokenLogprob, ToolCallStarted

__all__ = ["BodyDecoder"]

Read = TypeVar("Read")

EVENT_STARTS: Final = (b"data:", b"event:", b":", b"id:", b"retry:")


class EventParser(Protocol):
    """Cut a stream of one framing into events."""

    overflowed: bool

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order."""
        ...

    def end(self) -> list[Event]:
        """Take the end of the stream; what may still be an event comes out."""
        ...


class BodyDecoder(ABC):
    """Turn the bytes of one answer into parts; a vendor's decoder fills in the three hooks.

    Parts go to the list that a hook is given. `max_body_bytes` bounds a plain answer and a single
    event: DEFAULT_MAX_EVENT_BYTES, 64 MiB, unless a vendor's decoder is told otherwise.
    """

    def __init__(self, *, stream: bool, max_body_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.outcome = Outcome()
        self._events: EventParser = SseParser(max_body_bytes)
        self._max_body_bytes = max_body_bytes
        self._expects_stream = stream
        self._is_stream = False
        self._plain = bytearray()
        self._joiner: SurrogateJoiner | None = None
        self._ended = False
        self._fed_bytes = 0
        self._call_ids: set[str] = set()

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
        self._fed_bytes += len(data)
        if not self._is_stream:
            self._plain += data
            if not self._begins_stream():
                self._check_plain_size()
                return []
            data = bytes(self._plain)
            self._plain.clear()
        parts: list[Part] = []
        self._take_events(self._events.feed(data), parts)
        if self._events.overflowed:
            self._fail(f"an event of the answer is larger than {self._max_body_bytes} bytes")
        if self._joiner is not None:
            parts = self._joiner.join(parts)
        return parts if self._fed_bytes <= MAX_PART_CHARACTERS else self._bounded(parts)

    def end(self) -> list[Part]:
        """Take the end of the body; what is still whole comes out, and `outcome` is final."""
        if self._ended:
            return []
        self._ended = True
        parts: list[Part] = []
        if self._is_stream:
            # The last event may be cut off: then it is not malformed, only missing.
            self._take_events(self._events.end(), parts, count=False)
        else:
            self._read_plain(parts)
        self._close(parts)
        if self._joiner is not None:
            parts = self._joiner.join(parts) + self._joiner.end()
        return self._bounded(parts)

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
            self._take_events([*self._events.feed(body), *self._events.end()], parts)
        elif not body:
            self._fail("the answer is empty")
        elif is_html(body):
            self._fail(f"the answer is a web page: {text_excerpt(body)}")
        else:
            self._take_whole(body, parts)

    def _take_events(self, events: list[Event], parts: list[Part], *, count: bool = True) -> None:
        for name, payload in events:
            try:
                was_read = self._take_event(name, payload, parts)
            except RecursionError:  # nested nearly too deep to be read, and then too deep to use
                was_read = False
            if count and not was_read:
                self.outcome.malformed_events += 1

    def _bounded(self, parts: list[Part]) -> list[Part]:
        for position, part in enumerate(parts):
            if isinstance(part, ToolCallStarted) and is_too_long(part):
                self._fail("the answer calls a tool by a name that is too long to be one")
                parts = parts[:position]
                break
        return split_texts(parts)

    def _take_whole(self, body: bytes, parts: list[Part]) -> None:
        try:
            problem = "" if self._take_plain(body, parts) else "the answer is not whole JSON"
        except RecursionError:
            problem = "the answer is nested too deeply"
        if problem:
            self.outcome.malformed_events += 1
            self._fail(problem)

    def _cite(self, vendor: str, citation: Any, parts: list[Part]) -> None:
        """Pass on a citation; what is no object is none."""
        if not isinstance(citation, dict):
            return
        if can_be_carried(citation):
            parts.append(CitationAdded(vendor, citation))
        else:
            self._note("a citation was left out: it is too large or nested too deeply")

    def _tell_logprobs(self, tokens: list[TokenLogprob], parts: list[Part]) -> None:
        """Pass on how likely tokens were."""
        told, left_out = logprob_parts(tokens)
        parts += told
        if left_out:
            self._note(TOO_LONG_NOTE)

    def _own_id(self, call_id: str | None, made: str) -> str:
        """Return a tool call's id, or the one made for it where another call has that already."""
        if call_id is None or call_id in self._call_ids:
            call_id = made
        self._call_ids.add(call_id)
        return call_id

    def _note(self, note: str) -> None:
        if note not in self.outcome.notes:
            self.outcome.notes.append(note)

    def _reread(
        self, name: bytes, data: bytes, reread: Callable[[bytes], Read | None]
    ) -> Read | None:
        """Read an event again that typed decoding refused; None where it cannot be read.

        An event by the name of `error` is one whatever it holds.
        """
        try:
            event = reread(data)
        except JSON_ERRORS:
            event = None
        if event is not None:
            self.join_surrogates()
        elif name == b"error":
            self._note_error(data.decode("utf-8", "replace"))
        return event

    def _note_error(self, value: Any) -> None:
        """Note an error that came inside the answer; a vendor's decoder reads what it says."""
        del value
        self._fail("the answer broke off with an error")

    def _fail(self, message: str) -> None:
        self._note_failure(Failure(ErrorClass.BAD_ANSWER, message))

    def _note_failure(self, failure: Failure) -> None:
        if self.outcome.failure is None:
            self.outcome.failure = failure
        self.outcome.finish = "error"
        self.outcome.complete = False
