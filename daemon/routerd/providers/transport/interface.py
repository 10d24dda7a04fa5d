"""What carries requests to providers, whatever engine is behind it: one request, one answer.

Rules of this file: plain data and promises. A request is a URL, a list of headers and bytes; an
answer is a status, headers and chunks. Engines make no other types for a call: httpx's cost as
much as the rest of its way (`docs/performance.md`), and are for the slow engine alone. What goes
wrong is one of httpx's exceptions all the same, because those tell the phases apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from msgspec import Struct

from routerd.providers.base import Headers
from routerd.providers.transport.sending import Sending
from routerd.providers.transport.timeouts import Timeouts

__all__ = ["Answer", "Request", "Transport", "open_answer"]


class Request(Struct, frozen=True, eq=False):
    """What is sent: headers exactly as given, Host among them, and no others.

    `body` is None for none; where there is one its length goes along. `timeouts` are None for the
    engine's own. `sending` notes how far it came.
    """

    method: str
    url: str
    headers: Headers
    body: bytes | None = None
    timeouts: Timeouts | None = None
    sending: Sending | None = None


class Answer(Protocol):
    """What came back, from its headers on; iterate it once for its body.

    All that is here comes in one piece. The names of `headers` are in any case; `raw_headers` are
    as they came. `stays_open`: whether the server keeps the connection afterwards.
    """

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name; where one came several times, the first or all of them."""

    @property
    def raw_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """The headers as they came."""

    @property
    def names(self) -> Mapping[bytes, bytes]:
        """The headers by their names in lower case; where one came several times, the last."""

    @property
    def stays_open(self) -> bool:
        """Whether the server keeps a connection after this answer."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes of the body as they come; raises httpx.TransportError."""

    async def aclose(self) -> None:
        """Stop reading; gives the connection up unless the body is complete."""


class Transport(Protocol):
    """An engine with its connections."""

    async def send(self, request: Request) -> Answer:
        """Send a request and return its answer as soon as the headers are here.

        Whoever gets an answer closes it, also when cancelled. Raises httpx.TransportError;
        `failures.request_may_have_arrived` says what it means for sending again. A redirect is
        returned like any answer.
        """

    async def aclose(self) -> None:
        """Close every connection."""


@asynccontextmanager
async def open_answer(transport: Transport, request: Request) -> AsyncIterator[Answer]:
    """Send a request and close its answer on the way out, also when cancelled.

    Raises httpx.TransportError.
    """
    answer = await transport.send(request)
    try:
        yield answer
    finally:
        await answer.aclose()
