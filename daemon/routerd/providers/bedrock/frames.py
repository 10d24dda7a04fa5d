"""AWS's binary event stream, cut into frames.

Rules of this file: bytes in, whole events out; no JSON, no I/O. Both checksums of a frame are
checked. After a frame that cannot be right nothing more is read, since nothing says where the next
one begins: `broken` says why, and nothing raises. An event's name is its type; that of an exception
or error stands behind `EXCEPTION`.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES, Event

__all__ = ["EXCEPTION", "FrameParser"]

EXCEPTION: Final = b"exception:"
"""What begins the name of an event that is an exception."""

PRELUDE: Final = struct.Struct(">III")
NUMBER: Final = struct.Struct(">I")
LEAST_FRAME_BYTES: Final = PRELUDE.size + NUMBER.size
MAX_HEADER_BYTES: Final = 128 * 1024
TEXT_TYPES: Final = (6, 7)
# How long the values of the other header types are.
VALUE_BYTES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class FrameParser:
    """Cut one stream into events.

    A frame of more than `max_event_bytes` sets `overflowed`; `broken` is why reading has stopped.
    """

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.overflowed = False
        self.broken: str | None = None
        self._max_event_bytes = max_event_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order."""
        if self.overflowed or self.broken is not None:
            return []
        rest = self._rest
        rest += data
        events: list[Event] = []
        start = 0
        while len(rest) - start >= PRELUDE.size:
            total, header_bytes, checksum = PRELUDE.unpack_from(rest, start)
            if not self._is_sound(rest, start, total, header_bytes, checksum):
                break
            if len(rest) - start < total:
                break
            frame = bytes(rest[start : start + total])
            if zlib.crc32(frame[:-4]) != NUMBER.unpack_from(frame, total - 4)[0]:
                self.broken = "a frame of the answer has a wrong checksum"
                break
            start += total
            event = _read_frame(frame, header_bytes)
            if event is None:
                self.broken = "a frame of the answer has headers that cannot be read"
                break
            events.append(event)
        del rest[:start]
        return events

    def end(self) -> list[Event]:
        """Take the end of the stream: a frame that is cut off holds nothing to give out."""
        self._rest.clear()
        return []

    def _is_sound(
        self, rest: bytearray, start: int, total: int, header_bytes: int, checksum: int
    ) -> bool:
        if zlib.crc32(rest[start : start + 8]) != checksum:
            self.broken = "the answer is no event stream, or a frame's head has a wrong checksum"
        elif header_bytes > MAX_HEADER_BYTES or total < header_bytes + LEAST_FRAME_BYTES:
            self.broken = "a frame of the answer has lengths that cannot be"
        elif total > self._max_event_bytes:
            self.overflowed = True
        return self.broken is None and not self.overflowed


def _read_frame(frame: bytes, header_bytes: int) -> Event | None:
    end = PRELUDE.size + header_bytes
    headers = _read_headers(frame[PRELUDE.size : end])
    if headers is None:
        return None
    payload = frame[end:-4]
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
