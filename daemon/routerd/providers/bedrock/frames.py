"""AWS's binary event stream, cut into frames.

Rules of this file: bytes in, whole events out; no JSON, no I/O. Both checksums of a frame are
checked. After a frame that cannot be right nothing more is read, since nothing says where the next
one begins: `problem` says why, and nothing raises. An event's name is its type; that of an
exception or error stands behind `EXCEPTION`.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES, Event

__all__ = ["EXCEPTION", "FrameParser"]

EXCEPTION: Final = b"exception:"
"""What begins the name of an event that is an exception."""

# Two lengths and the checksum of both; each frame ends with another of all before it.
read_prelude: Final = struct.Struct(">III").unpack_from
read_number: Final = struct.Struct(">I").unpack_from
PRELUDE_BYTES: Final = 12
LEAST_FRAME_BYTES: Final = PRELUDE_BYTES + 4
MAX_HEADER_BYTES: Final = 128 * 1024
MOST_NAMES: Final = 32
TEXT_TYPES: Final = (6, 7)
# How long the values of the other header types are.
VALUE_BYTES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class FrameParser:
    """Cut one stream into events.

    `problem` says why reading has stopped: a frame of more than `max_event_bytes` came, or one that
    cannot be right. Nothing can stand between frames: `stray` is empty.
    """

    # A frame begins with its length: 24 MiB are the most.
    starts: tuple[bytes, ...] = (b"\x00", b"\x01")

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.problem: str | None = None
        self.stray = bytearray()
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()
        # The headers of an answer's events are the same few again and again.
        self._names: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order."""
        if self.problem is not None:
            return []
        rest = self._rest
        if rest:
            rest += data
        events: list[Event] = []
        unread: bytes | bytearray = rest or data
        start = self._read_frames(unread, events)
        if unread is rest:
            del rest[:start]
        elif start < len(data):
            rest += data[start:]
        return events

    def _read_frames(self, unread: bytes | bytearray, events: list[Event]) -> int:
        """Read the frames that are whole; return where the first one begins that is not."""
        start, size = 0, len(unread)
        while size - start >= PRELUDE_BYTES:
            total, header_bytes, checksum = read_prelude(unread, start)
            if zlib.crc32(unread[start : start + 8]) != checksum:
                self.problem = (
                    "the answer is no event stream, or a frame's head has a wrong checksum"
                )
            elif header_bytes > MAX_HEADER_BYTES or total < header_bytes + LEAST_FRAME_BYTES:
                self.problem = "a frame of the answer has lengths that cannot be"
            elif total > self._max_event_bytes:
                self.problem = (
                    f"an event of the answer is larger than {self._max_event_bytes} bytes"
                )
            elif size - start >= total:
                self._take_frame(bytes(unread[start : start + total]), header_bytes, events)
                if self.problem is None:
                    start += total
                    continue
            break
        return start

    def _take_frame(self, frame: bytes, header_bytes: int, events: list[Event]) -> None:
        if zlib.crc32(frame[:-4]) != read_number(frame, len(frame) - 4)[0]:
            self.problem = "a frame of the answer has a wrong checksum"
            return
        end = PRELUDE_BYTES + header_bytes
        head, payload = frame[PRELUDE_BYTES:end], frame[end:-4]
        name = self._names.get(head)
        if name is None:
            headers = _read_headers(head)
            if headers is None:
                self.problem = "a frame of the answer has headers that cannot be read"
                return
            name, payload = _name_of(headers, payload)
            if len(self._names) < MOST_NAMES and not name.startswith(EXCEPTION):
                self._names[head] = name
        events.append((name, payload))

    def end(self) -> list[Event]:
        """Take the end of the stream: a frame that is cut off holds nothing to give out."""
        self._rest.clear()
        return []


def _name_of(headers: dict[bytes, bytes], payload: bytes) -> Event:
    """Return what a frame is called, and what it holds."""
    kind = headers.get(b":message-type", b"event")
    if kind == b"exception":
        return EXCEPTION + headers.get(b":exception-type", b""), payload
    if kind == b"error":
        # Such a frame says all in its headers.
        return EXCEPTION + headers.get(b":error-code", b""), headers.get(b":error-message", payload)
    return headers.get(b":event-type", b""), payload


def _read_headers(data: bytes) -> dict[bytes, bytes] | None:
    """Return the headers that are text or bytes, by name; None where they do not add up."""
    headers: dict[bytes, bytes] = {}
    place = 0
    while place < len(data):
        name_end = place + 1 + data[place]
        if name_end >= len(data):
            return None
        name, kind = data[place + 1 : name_end], data[name_end]
        place = name_end + 1
        if kind in TEXT_TYPES:
            length = int.from_bytes(data[place : place + 2], "big")
            place += 2
            headers[name] = data[place : place + length]
        elif kind in VALUE_BYTES:
            length = VALUE_BYTES[kind]
        else:
            return None
        place += length
    return headers if place == len(data) else None
