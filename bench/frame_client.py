"""The smallest client of routerd's frames that there can be on asyncio: the floor of the caller.

Rules of this file: it writes and reads the frames with the project's own structs, because every
client has to, and does nothing else. It resends nothing, checks no order, has no deadline, no
types for what it is given and no reply to hand out. What `routerd_client` takes beyond this is the
price of those.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from typing import Any, Final, cast

import msgspec

from bench.drivers import MAX_OUTPUT_TOKENS, TARGET, behaviour_of, messages
from bench.fake_provider import TEXT
from routerd_proto import PROTOCOL_VERSION
from routerd_proto.frames import (
    CallEnded,
    CallOptions,
    CallRequested,
    ClientHello,
    DaemonFrame,
    TextDelta,
)

__all__ = ["FrameDriver"]

PREFIX_BYTES: Final = 4
OPTIONS: Final = CallOptions(max_output_tokens=MAX_OUTPUT_TOKENS)
encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(DaemonFrame).decode


def framed(frame: msgspec.Struct) -> bytes:
    data = encode(frame)
    return len(data).to_bytes(PREFIX_BYTES, "big") + data


class FrameConnection(asyncio.Protocol):
    """One kept connection; one call at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._rest = b""
        self._frames: list[DaemonFrame] = []
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(framed(ClientHello(PROTOCOL_VERSION)))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        while end - position >= PREFIX_BYTES:
            start = position + PREFIX_BYTES
            until = start + int.from_bytes(data[position:start], "big")
            if until > end:
                break
            self._frames.append(decode(data[start:until]))
            position = until
        self._rest = data[position:]
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> list[DaemonFrame]:
        """Return all frames that came, as soon as there is one."""
        while not self._frames:
            if self._is_lost:
                raise ConnectionError("the connection ended before the answer")
            self._waiter = self._loop.create_future()
            await self._waiter
        frames, self._frames = self._frames, []
        return frames


class FrameDriver:
    """Calls routerd by bare frames."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._messages = messages()
        self._idle: list[FrameConnection] = []
        # Ids are told apart from those of other processes at the same daemon.
        self._prefix = secrets.token_hex(4)
        self._number = 0

    async def _begin(self, said: list[Any], *, stream: bool) -> FrameConnection:
        if self._idle:
            connection = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_unix_connection(FrameConnection, self._path)
        self._number += 1
        call_id = f"{self._prefix}{self._number}"
        request = CallRequested(call_id, TARGET, said, OPTIONS, stream)
        connection.transport.write(framed(request))
        return connection

    async def call(self) -> None:
        connection = await self._begin(self._messages, stream=False)
        text = ""
        ended: CallEnded | None = None
        while ended is None:
            for frame in await connection.read():
                if type(frame) is TextDelta:
                    text += frame.text
                elif type(frame) is CallEnded:
                    ended = frame
        self._idle.append(connection)
        if text != TEXT:
            raise ValueError(f"not the provider's answer, but {ended.error}")

    async def stream(self, parts: int, gap: int) -> AsyncGenerator[int, None]:
        connection = await self._begin(messages(behaviour_of(parts, gap)), stream=True)
        is_whole = False
        try:
            while not is_whole:
                frames = await connection.read()
                is_whole = type(frames[-1]) is CallEnded
                if arrived := sum(type(frame) is TextDelta for frame in frames):
                    yield arrived
            self._idle.append(connection)
        finally:
            if not is_whole:
                connection.transport.abort()

    async def close(self) -> None:
        for connection in self._idle:
            connection.transport.abort()
        self._idle.clear()
