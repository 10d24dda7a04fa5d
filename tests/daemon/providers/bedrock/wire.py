"""Write the frames of AWS's binary event stream, and the events of Converse in them."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    head = b"".join(
        bytes([len(name)])
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    return sealed(head, payload)


def sealed(head: bytes, payload: bytes) -> bytes:
    """Put lengths and checksums around headers and payload."""
    prelude = struct.pack(">II", len(head) + len(payload) + 16, len(head))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return data + struct.pack(">I", zlib.crc32(data))


def event(kind: str, **fields: Any) -> bytes:
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, json.dumps({**fields, "p": "abcdefgh"}).encode())


def exception(kind: str, **fields: Any) -> bytes:
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps(fields).encode())


def delta(index: int, **fields: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta=fields)


def stopped(reason: str = "end_turn") -> bytes:
    return event("messageStop", stopReason=reason)


def metadata(**usage: Any) -> bytes:
    return event("metadata", usage=usage, metrics={"latencyMs": 5})


def block_stop(index: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


def tool_start(index: int, call_id: str, name: str, **fields: Any) -> bytes:
    start = {"toolUse": {"toolUseId": call_id, "name": name, **fields}}
    return event("contentBlockStart", contentBlockIndex=index, start=start)
