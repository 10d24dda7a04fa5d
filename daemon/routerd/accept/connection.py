"""One connection of an app: bytes in, frames out, and the kernel's word for who speaks.

Rules of this file: nothing here knows what a call means. The reading side is never stopped, so
that a hang-up is seen at once in every state; a slow reader is felt on the writing side only. A
connection has one task for its whole life, and closing the connection cancels it: that is all of
cancellation.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final, Protocol, cast

import anyio
from msgspec import Struct

from routerd_proto import (
    PROTOCOL_VERSION,
    Conversation,
    ErrorInfo,
    ProtocolError,
    client_frame_reader,
    encode_more,
    error_info,
)
from routerd_proto.frames import (
    CallRequested,
    ClientFrame,
    ClientHello,
    CommandRequested,
    ConnectionEnded,
    DaemonHello,
)
from routerd_proto.search import SearchRequested

__all__ = ["Connection", "ConnectionHost", "Request"]

Request = CallRequested | SearchRequested | CommandRequested
_PEER: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
WRITE_BUFFER_BYTES: Final = 256 * 1024


class ConnectionHost(Protocol):
    """What a connection asks of the server it belongs to."""

    max_frame_bytes: int
    version: str

    def opened(self, connection: Connection) -> ErrorInfo | None:
        """Take a new connection; an error means that it is turned away."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""

    def rejected(self, connection: Connection, error: ErrorInfo) -> None:
        """Note that a connection was closed because of what it sent."""


class Connection(asyncio.Protocol):
    """Cut frames, keep their legal order, and hand requests to the connection's task."""

    def __init__(self, host: ConnectionHost) -> None:
        self._host = host
        self._reader = client_frame_reader(host.max_frame_bytes)
        self._conversation = Conversation()
        # Nearly always of one; a deque takes ten times the memory of a list.
        self._requests: list[Request] = []
        self._wake: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._scope = anyio.CancelScope()
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.peer_uid: int | None = None
        self.closing = False
        self.ended: ErrorInfo | None = None
        self.busy = False
        self._unread = 0
        # When the last byte of the request that is next was read, on the monotonic clock.
        self.read_at = 0.0
        self._held = bytearray()
        # When the state that a time limit watches began, on the loop's clock.
        self.since = self._loop.time()

    def __repr__(self) -> str:
        return f"<Connection uid={self.peer_uid} {self._conversation.state.value}>"

    # --- what the loop calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who speaks, and be taken or turned away."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.peer_uid = _peer_uid(self.transport)
        error = self._host.opened(self)
        if error is not None:
            self.end(error)

    def data_received(self, data: bytes) -> None:
        """Read frames; a broken one ends the connection with the reason."""
        if self.closing:
            return
        if not self.busy:
            self.read_at = monotonic()
        reader = self._reader
        continued = reader.unfinished
        try:
            # One after the other: a hello of another version is answered as such, whatever follows.
            for frame in reader.read(data):
                continued = False
                self._conversation.advance(frame)
                self._take(frame)
        except ProtocolError as error:
            self._host.rejected(self, error.info)
            self.end(error.info)
            return
        if reader.unfinished and not continued:
            self.since = self._loop.time()

    def eof_received(self) -> bool:
        """Take a half-closed connection for a hang-up, also while it has much left to read."""
        self._close()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Cancel whatever the connection was doing."""
        self._close()
        self._host.closed(self)

    def pause_writing(self) -> None:
        """Note that the app reads more slowly than its answer comes."""
        self._writable = self._loop.create_future()
        self._unread = self.transport.get_write_buffer_size()
        self.since = self._loop.time()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- what the connection's task calls -----------------------------------------------------

    async def run(self, serve: Callable[[Request, Connection], Awaitable[None]]) -> None:
        """Serve one request after the other until the connection closes."""
        try:
            with self._scope:
                while not self.closing:
                    request = await self._next_request()
                    await serve(request, self)
                    self.busy = bool(self._requests)
                    if self.busy:  # what came behind another request has waited for that
                        self.read_at = monotonic()
                    self.since = self._loop.time()
        finally:
            self.busy = False
            self.transport.close()

    async def _next_request(self) -> Request:
        while not self._requests:
            self._wake = self._loop.create_future()
            await self._wake
        return self._requests.pop(0)

    # --- what serves a request calls (the sink of an answer) ----------------------------------

    @property
    def congested(self) -> bool:
        """Whether the app has not read what was written so far."""
        return self._writable is not None

    def send(self, frames: Sequence[Struct]) -> None:
        """Write frames at once; never blocks, nothing is written to a closed connection."""
        self._conversation.advance(*frames)
        if self.closing:
            return
        encode_more(frames, self._held)
        held, self._held = self._held, bytearray()
        self.transport.write(held)

    def hold(self, frames: Sequence[Struct]) -> None:
        """Write frames together with the next ones, at the latest when the server looks by.

        A write and the wake-up it causes at the other end cost more than what is in them.
        """
        self._conversation.advance(*frames)
        if not self.closing:
            encode_more(frames, self._held)

    def flush(self) -> None:
        """Write what is held."""
        if self._held and not self.closing:
            held, self._held = self._held, bytearray()
            self.transport.write(held)

    async def drain(self) -> None:
        """Wait until the app has read enough. A reader that never does is cut off by the server."""
        while self._writable is not None:
            await asyncio.shield(self._writable)

    # --- ends ---------------------------------------------------------------------------------

    def end(self, error: ErrorInfo) -> None:
        """Say why, close, and cancel what is running."""
        if self.closing:
            return
        self.ended = error
        encode_more((ConnectionEnded(error),), self._held)
        self.flush()
        self.transport.close()
        self._close()

    def abort(self) -> None:
        """Close without a word: the app does not read."""
        self.transport.abort()
        self._close()

    def _close(self) -> None:
        """Send nothing more, and cancel what is running."""
        if not self.closing:
            self.closing = True
            # What was written before may still wait for its reader.
            self.since = self._loop.time()
        self._scope.cancel()

    def look_at_reader(self) -> None:
        """Begin the time limit of a slow reader anew if it has read since the last look."""
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread:
            self.since = self._loop.time()
        self._unread = unread

    @property
    def awaiting_first_frame(self) -> bool:
        """Whether nothing has been asked yet."""
        return not self.busy and self._conversation.state.value == "new"

    @property
    def unfinished_frame(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return self._reader.unfinished

    def _take(self, frame: ClientFrame) -> None:
        if isinstance(frame, ClientHello):
            if frame.protocol_version != PROTOCOL_VERSION:
                raise ProtocolError(
                    error_info(
                        "version_mismatch",
                        f"the client speaks protocol {frame.protocol_version}, "
                        f"routerd {self._host.version} speaks {PROTOCOL_VERSION}",
                    )
                )
            self.send((DaemonHello(PROTOCOL_VERSION, self._host.version, self._reader_limit),))
            return
        self._requests.append(frame)
        self.busy = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    @property
    def _reader_limit(self) -> int:
        return self._host.max_frame_bytes


def _peer_uid(transport: asyncio.Transport) -> int | None:
    """Ask the kernel who connected. None where it does not say."""
    sock: socket.socket = transport.get_extra_info("socket")
    try:
        _pid, uid, _gid = _PEER.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )
    except OSError:
        return None
    return int(uid)
