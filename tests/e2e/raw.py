"""A connection to a daemon by hand: frames or any bytes in, frames out.

Rules of this file: it checks nothing of what it sends, since it is for what no client would send.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.abc
import msgspec

from routerd_proto import ErrorInfo, daemon_frame_reader, encode_frames
from routerd_proto.frames import (
    PROTOCOL_VERSION,
    CallOptions,
    CallRequested,
    ClientHello,
    CommandRequested,
    ConnectionEnded,
    DaemonFrame,
)

__all__ = ["HELLO", "STATUS", "RawConnection", "call", "connect", "prefixed"]

HELLO = ClientHello(PROTOCOL_VERSION, "by hand")
STATUS = CommandRequested("status")


def call(
    target: str = "smart", *, call_id: str = "1", timeout: float = 60.0, sends: int = 0
) -> CallRequested:
    """Make a request for a call."""
    options = CallOptions(timeout=timeout)
    return CallRequested(call_id, target, "Tell me a story", options, sends=sends)


def prefixed(body: bytes) -> bytes:
    """Put a frame's length before its body."""
    return len(body).to_bytes(4, "big") + body


class RawConnection:
    """One connection; `frames` are those that came so far."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self.frames: list[DaemonFrame] = []
        self._stream = stream
        self._reader = daemon_frame_reader()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stream.aclose()

    async def send(self, *frames: msgspec.Struct) -> None:
        """Send frames in one write."""
        await self.send_bytes(bytes(encode_frames(frames)))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes; a daemon that has hung up is no error."""
        with suppress(anyio.BrokenResourceError):
            await self._stream.send(data)

    async def end_writing(self) -> None:
        """Shut down the writing side alone."""
        await self._stream.send_eof()

    async def read_until(self, kind: type[msgspec.Struct]) -> None:
        """Read until a frame of this kind has come."""
        while not any(isinstance(frame, kind) for frame in self.frames):
            self.frames += self._reader.feed(await self._stream.receive())

    async def read_to_end(self) -> list[DaemonFrame]:
        """Read until the daemon has closed; return all frames that came."""
        # A daemon that closes with unread bytes in its socket resets the connection.
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                self.frames += self._reader.feed(await self._stream.receive())
        return self.frames

    async def farewell(self) -> ErrorInfo:
        """Read to the end; return the reason the daemon gave, which was its last word."""
        *_, last = await self.read_to_end()
        assert isinstance(last, ConnectionEnded), f"no reason was given, the last was {last}"
        return last.error


@asynccontextmanager
async def connect(path: Path | str) -> AsyncIterator[RawConnection]:
    """Connect without a word."""
    async with RawConnection(await anyio.connect_unix(path)) as connection:
        yield connection
