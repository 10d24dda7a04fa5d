"""AWS's binary event stream, written: the frames of events and exceptions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["event_frame", "exception_frame", "with_half_the_payload"]

PRELUDE = 12
TEXT = 7


def event_frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Write an event."""
    return json_frame("event", kind, payload)


def exception_frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Write an exception, whose name begins with a small letter inside a stream."""
    return json_frame("exception", kind[:1].lower() + kind[1:], payload)


def with_half_the_payload(frame: bytes) -> bytes:
    """Return the same frame, sound, around half of its payload."""
    total, header_bytes = struct.unpack_from(">II", frame)
    end = PRELUDE + header_bytes
    return sealed(frame[PRELUDE:end], frame[end : end + (total - end - 4) // 2])


def json_frame(message: str, kind: str, payload: Mapping[str, Any]) -> bytes:
    """Write a frame with the three headers that all of them have."""
    headers = {
        f":{message}-type": kind,
        ":content-type": "application/json",
        ":message-type": message,
    }
    return sealed(b"".join(map(header, headers, headers.values())), msgspec.json.encode(payload))


def header(name: str, value: str) -> bytes:
    """Write a header of type text."""
    head = struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", TEXT, len(value))
    return head + value.encode()


def sealed(headers: bytes, payload: bytes) -> bytes:
    """Put lengths and checksums around headers and payload."""
    prelude = struct.pack(">II", PRELUDE + len(headers) + len(payload) + 4, len(headers))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return data + struct.pack(">I", zlib.crc32(data))
