"""Reading an answer: closing it whatever happens, undoing its compression, bounding its size.

Works with every engine: it knows httpx's types and nothing below them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
from httpx._decoders import SUPPORTED_DECODERS  # httpx skips the others silently

from routerd.providers.transport.failures import (
    ContentTooLargeError,
    UnsupportedContentEncodingError,
)


@asynccontextmanager
async def open_response(
    transport: httpx.AsyncBaseTransport, request: httpx.Request
) -> AsyncIterator[httpx.Response]:
    """Send a request and close its response on the way out, also when cancelled.

    Raises httpx.TransportError.
    """
    response = await transport.handle_async_request(request)
    try:
        yield response
    finally:
        await response.aclose()


def content_chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """Iterate over an answer's bytes, decompressed, as soon as they are here.

    Some servers compress though nobody asked. Raises UnsupportedContentEncodingError at once for a
    compression that cannot be undone, and while reading httpx.TransportError, or
    httpx.DecodingError for a broken one.
    """
    if "content-encoding" not in response.headers:
        stream = response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("this response was not read through an async transport")
        return aiter(stream)
    for name in response.headers.get_list("content-encoding", split_commas=True):
        encoding = name.strip().lower()
        if encoding not in SUPPORTED_DECODERS:
            raise UnsupportedContentEncodingError(
                f"the answer is compressed with {encoding!r:.40}, which nothing installed undoes; "
                "send Accept-Encoding: identity"
            )
    return response.aiter_bytes()


async def read_content(response: httpx.Response, limit_bytes: int = 67_108_864) -> bytes:
    """Return an answer's whole body, decompressed.

    Raises what `content_chunks` does, and ContentTooLargeError beyond `limit_bytes`.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in content_chunks(response):
        pieces.append(piece)
        size += len(piece)
        if size > limit_bytes:
            raise ContentTooLargeError(f"the answer has more than {limit_bytes} bytes")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def read_start(response: httpx.Response, limit_bytes: int, seconds: float) -> bytes:
    """Return an answer's first bytes, decompressed: what came of them within so many seconds.

    For what is read as far as it goes: a body that is cut, broken or stalls is no error here.
    """
    kept = bytearray()
    with anyio.move_on_after(seconds):
        try:
            chunks = content_chunks(response)
            async for piece in chunks:
                kept += piece
                if len(kept) >= limit_bytes:
                    break
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        except httpx.RequestError:
            pass
    return bytes(kept[:limit_bytes])
