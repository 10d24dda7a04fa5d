"""What one vendor's file provides, and what they share.

Sans-I/O: bytes and plain values in, bytes out; the clock is passed in. A new wire format is one
folder with one subclass of `Vendor`, added to `VENDORS` in `server`. Vendors do not know each
other.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import msgspec

from routerd.simulate.exchange import Asked, Frame, HttpAnswer, Question, Refusal, Reply
from routerd.simulate.script import Fault
from routerd.simulate.tokens import CacheUse, Mark, PromptCache, image_stand_in

__all__ = [
    "JSON_HEADERS",
    "PAGE_STATUSES",
    "Prompt",
    "RequestNames",
    "Route",
    "Vendor",
    "page",
    "server_sent_event",
    "waiting_headers",
]

JSON_HEADERS = {"content-type": "application/json"}
# What a content delivery network answers by itself when the vendor behind it does not.
PAGE_STATUSES = frozenset({502, 504, 520, 521, 522, 523, 524, 525, 526, 527})
PAGE = """<html>
<head><title>{status} {title}</title></head>
<body>
<center><h1>{status} {title}</h1></center>
<hr><center>cloudflare</center>
</body>
</html>
"""
PAGE_TITLES = {502: "Bad Gateway", 504: "Gateway Time-out", 522: "Connection timed out"}

Action = Literal["call", "count", "models", "model"]


class Route(NamedTuple):
    """A path of the vendor's API; groups of the pattern become the request's fields."""

    method: Literal["GET", "POST"]
    pattern: re.Pattern[str]
    action: Action


class RequestNames(NamedTuple):
    """Names and times of one request: `id` is hex of no meaning, times are Unix seconds."""

    id: str
    now: float


class Vendor(ABC):
    """A vendor's wire format."""

    name: ClassVar[str]
    routes: ClassVar[tuple[Route, ...]]
    listed_models: ClassVar[tuple[str, ...]]  # shown where the simulator is given no list
    stream_headers: ClassVar[Mapping[str, str]] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
    }

    def claims(self, headers: Mapping[str, str]) -> bool:
        """Tell whether these headers show the vendor, where a path is of more than one."""
        del headers
        return False

    @abstractmethod
    def authenticate(self, asked: Asked) -> None:
        """Check that a key and the needed headers are there; raise `Refusal`."""

    @abstractmethod
    def question(self, asked: Asked) -> Question:
        """Read a call; raise `Refusal` as the vendor would."""

    def counted(self, asked: Asked) -> bytes:
        """Answer a request to count tokens, where the vendor has a route for it."""
        raise self.unknown_path("POST", asked.fields.get("path", ""))

    @abstractmethod
    def cache_use(
        self, cache: PromptCache, question: Question, now: float, *, sells_writes: bool
    ) -> CacheUse:
        """Look the prompt up in the cache, and leave it there."""

    @abstractmethod
    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the headers of any answer: request id, rate limits."""

    @abstractmethod
    def whole(self, reply: Reply) -> bytes:
        """Write an answer that is not streamed."""

    @abstractmethod
    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write an answer as a stream, event by event."""

    @abstractmethod
    def refused(self, refusal: Refusal, names: RequestNames) -> HttpAnswer:
        """Write an error answer."""

    @abstractmethod
    def fault(self, fault: Fault, model: str | None) -> Refusal:
        """Choose the vendor's real error for a scripted `status` or `error_in_stream`."""

    @abstractmethod
    def error_frame(self, refusal: Refusal) -> bytes:
        """Write an error as an event inside a stream."""

    @abstractmethod
    def error_in_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write an error as the body of a 200 answer."""

    def broken_frame(self, frame: bytes) -> bytes:
        """Break an event so that its content cannot be read and the stream's framing can."""
        return frame[: len(frame) * 2 // 3].rstrip(b"\n") + b"\n\n"

    @abstractmethod
    def models(self, models: Sequence[str], asked: Asked) -> bytes:
        """Write the list of models."""

    @abstractmethod
    def model(self, model: str) -> bytes:
        """Write one entry of the list of models."""

    @abstractmethod
    def unknown_model(self, model: str) -> Refusal:
        """Say that there is no such model."""

    @abstractmethod
    def unknown_path(self, method: str, path: str) -> Refusal:
        """Say that there is nothing at this path."""

    @abstractmethod
    def bad_schema(self) -> Refusal:
        """Say that a JSON schema in the request is none."""

    @abstractmethod
    def too_large(self) -> Refusal:
        """Say that the request's body is too large."""


class Prompt:
    """Gathers what a request sends as bytes to count and cache, block by block."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._borders: list[int] = []
        self._marks: list[Mark] = []

    def add(self, block: object, *attached: str, keep_seconds: float | None = None) -> None:
        """Add a block of plain data and the images or files in it; mark its end where asked."""
        self._data += msgspec.json.encode(block)
        for data in attached:
            self._data += image_stand_in(data)
        self._borders.append(len(self._data))
        if keep_seconds is not None:
            self.mark(keep_seconds)

    def mark(self, keep_seconds: float) -> None:
        """Mark the end of what was added so far as a prefix to cache."""
        if self._data:
            self._marks.append(Mark(len(self._data), keep_seconds))

    @property
    def data(self) -> bytes:
        """All bytes."""
        return bytes(self._data)

    @property
    def borders(self) -> tuple[int, ...]:
        """Where the blocks end."""
        return tuple(self._borders)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The caller's cache marks."""
        return tuple(self._marks)


def server_sent_event(data: bytes, event: str | None = None) -> bytes:
    """Write one event of a text/event-stream."""
    head = b"" if event is None else b"event: %b\n" % event.encode()
    return b"%bdata: %b\n\n" % (head, data)


def page(status: int) -> HttpAnswer:
    """Write the HTML of a content delivery network whose vendor is not there."""
    title = PAGE_TITLES.get(status, "Web server is returning an unknown error")
    body = PAGE.format(status=status, title=title).encode()
    return HttpAnswer(status, {"content-type": "text/html; charset=UTF-8"}, body)


def waiting_headers(retry_after: float | None) -> dict[str, str]:
    """Say when to try again: whole seconds, and milliseconds where that is finer."""
    if retry_after is None:
        return {}
    headers = {"retry-after": str(math.ceil(retry_after))}
    if retry_after != int(retry_after):
        headers["retry-after-ms"] = f"{retry_after * 1000:g}"
    return headers
