"""One connection as the client sees it, without its socket.

Rules of this file: no I/O. It keeps the order of frames through routerd_proto's Conversation, and
knows the two frames that are about the connection rather than a request: the daemon's greeting and
its farewell.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from routerd_client.errors import Failed, Lost
from routerd_proto import (
    PROTOCOL_VERSION,
    Conversation,
    ProtocolError,
    State,
    daemon_frame_reader,
    encode_frame,
    error_info,
)
from routerd_proto.frames import (
    CallRequested,
    ClientHello,
    CommandRequested,
    ConnectionEnded,
    DaemonFrame,
    DaemonHello,
)
from routerd_proto.search import SearchRequested

__all__ = ["GREET_FIRST_BYTES", "Wire"]

HELLO: Final = ClientHello(PROTOCOL_VERSION, "routerd_client")
HELLO_BYTES: Final = bytes(encode_frame(HELLO))
# A first request of more than this waits for the daemon's greeting, which says how much it reads.
# Less fits a socket's buffer, so that the daemon cannot refuse it in the middle of a write and its
# reason get lost with the write.
GREET_FIRST_BYTES: Final = 64 * 1024
OF_CONNECTIONS: Final[frozenset[type]] = frozenset((DaemonHello, ConnectionEnded))


class Wire:
    """The state of one connection, and the frames that arrived and were not looked at yet.

    `is_new`: nothing was said yet. `broken`: what arrived after those frames and was none, to be
    raised once they were taken.
    """

    __slots__ = (
        "_advance",
        "_conversation",
        "_peer_max_frame_bytes",
        "_reader",
        "broken",
        "frames",
        "is_new",
    )

    def __init__(self, max_frame_bytes: int) -> None:
        self.frames: deque[DaemonFrame] = deque()
        self.is_new = True
        self.broken: ProtocolError | None = None
        self._conversation = Conversation()
        self._advance = self._conversation.advance
        self._reader = daemon_frame_reader(max_frame_bytes)
        self._peer_max_frame_bytes = 0

    @property
    def is_idle(self) -> bool:
        """Whether the next request may be sent: everything before it was answered."""
        return (
            self._conversation.state is State.IDLE
            and self.broken is None
            and not self.frames
            and not self._reader.unfinished
        )

    def end_of_stream(self) -> str:
        """Say how the daemon's side ended."""
        cut = " in the middle of a frame" if self._reader.unfinished else ""
        return f"the daemon closed the connection{cut} before the end of the answer"

    def greet(self) -> bytes:
        """Return the greeting to send on its own."""
        self._advance(HELLO)
        self.is_new = False
        return HELLO_BYTES

    def request(
        self, frame: CallRequested | SearchRequested | CommandRequested, data: bytearray
    ) -> bytes | bytearray:
        """Return what to send for this request, which was encoded as `data`.

        Raises Failed (`frame_too_large`) if the daemon has said that it does not read so much.
        """
        limit = self._peer_max_frame_bytes
        if limit and len(data) - 4 > limit:
            raise Failed(
                error_info(
                    "frame_too_large",
                    f"the call is {len(data) - 4} bytes, the daemon reads at most {limit}",
                    details={"size": len(data) - 4, "limit": limit},
                )
            )
        sent = self.greet() + data if self.is_new else data
        self._advance(frame)
        return sent

    def feed(self, data: bytes) -> None:
        """Take what arrived; it is `broken` if some of it is no frame."""
        if self.broken is not None:
            return
        try:
            self.frames.extend(self._reader.read(data))
        except ProtocolError as error:
            self.broken = error

    def take(self) -> DaemonFrame:
        """Take the next frame that arrived.

        Raises ProtocolError for a frame that may not come now and for another version of the
        protocol; Lost if it is the daemon's farewell.
        """
        frame = self.frames.popleft()
        self._advance(frame)
        if type(frame) in OF_CONNECTIONS:
            self._take_own(frame)
        return frame

    def _take_own(self, frame: DaemonFrame) -> None:
        """Take what is about the connection rather than a request."""
        if isinstance(frame, DaemonHello):
            self._greeted(frame)
        elif isinstance(frame, ConnectionEnded):
            reason = frame.error
            raise Lost(f"the daemon closed the connection: {reason.message}", reason)

    def _greeted(self, hello: DaemonHello) -> None:
        if hello.protocol_version != PROTOCOL_VERSION:
            raise ProtocolError(
                error_info(
                    "version_mismatch",
                    f"the daemon speaks version {hello.protocol_version} of the protocol, "
                    f"this client version {PROTOCOL_VERSION}",
                    details={"daemon": hello.protocol_version, "client": PROTOCOL_VERSION},
                )
            )
        self._peer_max_frame_bytes = hello.max_frame_bytes
