"""JSON as strangers write it: read what strict JSON refuses, and never write what cannot be sent.

Rules of this file: no vendor and no wire shape. msgspec reads nearly everything; what it refuses
(halves of surrogate pairs, invalid UTF-8, raw control characters, `NaN`) is read here by the
standard library. Text from here may hold lone surrogates: whoever puts it into a part joins or
repairs them.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from routerd_proto.codec import repair_text

__all__ = [
    "JSON_ERRORS",
    "encode_json",
    "has_halves",
    "is_whole_json",
    "object_in",
    "read_json",
    "read_json_strictly",
    "repaired",
    "text_of",
]

JSON_ERRORS: Final = (ValueError, RecursionError)
"""What decoding can raise: msgspec's and json's errors and UnicodeError are all ValueErrors."""

_encoder: Final = msgspec.json.Encoder()


read_json_strictly: Final = msgspec.json.decode
"""Decode JSON by the book: no text from here holds lone surrogates."""


def read_json(data: bytes) -> Any:
    """Decode JSON leniently; one of JSON_ERRORS where it is not JSON at all."""
    try:
        return read_json_strictly(data)
    except JSON_ERRORS:
        return json.loads(data.decode("utf-8-sig", "replace"), strict=False)


def object_in(text: str) -> dict[str, Any] | None:
    """Return the object that a text of JSON is, None where it is none."""
    try:
        value = read_json(text.encode("utf-8", "surrogatepass"))
    except JSON_ERRORS:
        return None
    return value if isinstance(value, dict) else None


def is_whole_json(text: str) -> bool:
    """Return whether `text` is one whole JSON value."""
    try:
        json.loads(text)
    except JSON_ERRORS:
        return False
    return True


def encode_json(value: Any) -> bytes:
    """Encode plain data; lone surrogates become U+FFFD."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(repaired(value))


def has_halves(value: Any) -> bool:
    """Return whether plain data holds a lone surrogate, which cannot be sent as it is."""
    try:
        _encoder.encode(value)
    except UnicodeEncodeError:
        return True
    return False


def repaired(value: Any) -> Any:
    """Return the same plain data with text that UTF-8 can carry."""
    if isinstance(value, str):
        return repair_text(value)
    if isinstance(value, dict):
        return {repaired(key): repaired(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [repaired(item) for item in value]
    return value


def text_of(value: Any) -> str | None:
    """Return `value` if it is text and not empty, fit to be sent on."""
    return repair_text(value) if isinstance(value, str) and value else None
