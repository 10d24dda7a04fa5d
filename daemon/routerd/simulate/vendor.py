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
from typing import Any, ClassVar, Literal, NamedTuple

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
    "bearer_key",
    "page",
    "page_length",
    "server_sent_event",
    "use_up",
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
    tells_writes: ClassVar[bool] = False  # to a cache that nobody asked for
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

    def cache_use(
        self, cache: PromptCache, question: Question, now: float, *, sells_writes: bool
    ) -> CacheUse:
        """Look the prompt up in the cache, and leave it there.

        Where nobody marks what to cache, writes are told only by vendors and for models that sell
        them.
        """
        owner, prompt = f"{self.name}\0{question.model}", question.prompt
        if question.marks is not None:
            return cache.marked(owner, prompt, question.borders, question.marks, now)
        use = cache.automatic(owner, prompt, now)
        return use if sells_writes and self.tells_writes else CacheUse(read=use.read)

    @abstractmethod
    def answer_headers(self, names: RequestNames, question: Question | None) -> dict[str, str]:
        """Return the headers of any answer: request id, rate limits."""

    @abstractmethod
    def whole(self, reply: Reply) -> bytes:
        """Write an answer that is not streamed."""

    @abstractmethod
    def frames(self, reply: Reply) -> Iterator[Frame]:
        """Write an answer as a stream, event by event."""

    def refused(self, refusal: Refusal, names: RequestNames) -> HttpAnswer:
        """Write an error answer."""
        if refusal.page:
            return page(refusal.status)
        headers = {**JSON_HEADERS, **self.refusal_headers(refusal, names)}
        return HttpAnswer(refusal.status, headers, self.refusal_body(refusal, names))

    def refusal_headers(self, refusal: Refusal, names: RequestNames) -> dict[str, str]:
        """Return the headers of an error answer: when to try again."""
        return {**self.answer_headers(names, None), **waiting_headers(refusal.retry_after)}

    def refusal_body(self, refusal: Refusal, names: RequestNames) -> bytes:
        """Write the body of an error answer."""
        return self.error_in_body(refusal, names)

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
    def listed(self, model: str) -> dict[str, Any]:
        """Return an entry of the list of models."""

    def model(self, model: str) -> bytes:
        """Write one entry of the list of models."""
        return msgspec.json.encode(self.listed(model))

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
    def rising(self) -> bool:
        """Whether a mark is kept for longer than one before it, which vendors refuse."""
        kept = [mark.seconds for mark in self._marks]
        return kept != sorted(kept, reverse=True)

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The caller's cache marks."""
        return tuple(self._marks)


def bearer_key(asked: Asked) -> str:
    """Return the key in the header that most vendors use, empty without one."""
    scheme, _, key = asked.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def page_length(asked: Asked, name: str, usual: int) -> int:
    """Return how many models the caller wants on a page, by the parameter that says so."""
    size = asked.query.get(name, "")
    return int(size) if size.isdecimal() else usual


def use_up(headers: dict[str, str], remaining: str, reset: str, when: str | None) -> None:
    """Say by these headers that nothing is left of a limit until then, None for no word of it."""
    headers[remaining] = "0"
    # Where nothing is to be named, this header would name a time all the same.
    del headers[reset]
    if when is not None:
        headers[reset] = when


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
