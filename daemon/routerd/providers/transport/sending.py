"""A request on its way out: when its first byte left, and how long its body may take.

aiohttp starts its read time-out only when the whole body is written, and has none for writing: a
server that takes the connection but not the body would hold a call for ever. So large bodies are
written in slices, each under the write time-out. Small ones fit the socket and cost nothing extra.
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

SLICE_BYTES = 65_536
# Where a request's extensions carry its `Sending`.
SENDING = "routerd.sending"


class Sending:
    """How far one request came, for whoever sent it: also when nothing can be returned to him.

    `started`: its head and first bytes were handed to a connection. Until then the provider
    certainly saw nothing of it. `awaits_token`: it cannot be sent before there is an access token.
    """

    __slots__ = ("awaits_token", "started")

    def __init__(self) -> None:
        self.started = self.awaits_token = False


class RequestBody(aiohttp.Payload):
    """The bytes of one request, sent with their length; `sending` notes what became of them."""

    # aiohttp wants a header on every payload; the engine skips this one.
    _headers = CIMultiDict({"Content-Type": "application/octet-stream"})
    _autoclose = True

    def __init__(
        self, content: bytes, write_timeout: float | None, sending: Sending | None = None
    ) -> None:
        # Not calling the base class: it builds a header map for every body.
        self._content = content
        self._size = len(content)
        self._write_timeout = write_timeout
        self._transport: asyncio.Transport | None = None
        self.sending = sending or Sending()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._content.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the whole body."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body; TimeoutError where a slice is not taken within the write time-out."""
        self.sending.started = True
        if isinstance(writer, StreamWriter):
            self._transport = writer.transport
        if len(self._content) <= SLICE_BYTES:
            await writer.write(self._content)  # the engine waits for none this small
            return
        view = memoryview(self._content)
        for start in range(0, len(view), SLICE_BYTES):
            async with asyncio.timeout(self._write_timeout):
                await writer.write(view[start : start + SLICE_BYTES])

    def abort(self) -> None:
        """Close the connection at once, without flushing what is still unsent."""
        if self._transport is not None:
            self._transport.abort()
