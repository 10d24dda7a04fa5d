"""Reading an answer: closing it whatever happens, undoing its compression, bounding its size.

Works with every engine: it knows answers and nothing below them, and of httpx what undoes a
compression.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import httpx
from httpx._decoders import SUPPORTED_DECODERS  # httpx skips the others silently

from routerd.providers.transport.failures import (
    ContentTooLargeError,
    UnsupportedContentEncodingError,
)
from routerd.providers.transport.interface import Answer


def content_chunks(answer: Answer) -> AsyncIterator[bytes]:
    """Iterate over an answer's bytes, decompressed, as soon as they are here.

    Some servers compress though nobody asked. Raises UnsupportedContentEncodingError at once for a
    compression that cannot be undone, and while reading httpx.TransportError, or
    httpx.DecodingError for a broken one.
    """
    if b"content-encoding" not in answer.names:
        return aiter(answer)
    encodings = [
        (name, value) for name, value in answer.raw_headers if name.lower() == b"content-encoding"
    ]
    compressed = httpx.Response(answer.status_code, headers=encodings, stream=_Body(answer))
    for name in compressed.headers.get_list("content-encoding", split_commas=True):
        encoding = name.strip().lower()
        if encoding not in SUPPORTED_DECODERS:
            raise UnsupportedContentEncodingError(
                f"the answer is compressed with {encoding!r:.40}, which nothing installed undoes; "
                "send Accept-Encoding: identity"
            )
    return compressed.aiter_bytes()


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer, for httpx to undo their compression; closed by who has the answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._answer)


def headers_by_name(answer: Answer) -> dict[str, str]:
    """Return an answer's headers, names in lower case, values of one name joined by commas."""
    found: dict[str, str] = {}
    for name, value in answer.raw_headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def read_content(answer: Answer, limit_bytes: int = 67_108_864) -> bytes:
    """Return an answer's whole body, decompressed.

    Raises what `content_chunks` does, and ContentTooLargeError beyond `limit_bytes`.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in content_chunks(answer):
        pieces.append(piece)
        size += len(piece)
        if size > limit_bytes:
            raise ContentTooLargeError(f"the answer has more than {limit_bytes} bytes")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def read_start(answer: Answer, limit_bytes: int, seconds: float) -> bytes:
    """Return an answer's first bytes, decompressed: what came of them within so many seconds.

    For what is read as far as it goes: a body that is cut, broken or stalls is no error here.
    """
    kept = bytearray()
    with anyio.move_on_after(seconds):
        try:
            chunks = content_chunks(answer)
            async for piece in chunks:
                kept += piece
                if len(kept) >= limit_bytes:
                    break
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        except httpx.RequestError:
            pass
    return bytes(kept[:limit_bytes])
