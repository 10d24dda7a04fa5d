"""Frames to bytes and back: a four-byte big-endian length, then a msgpack array.

Rules of this file: no I/O and no knowledge of which frame may follow which. Whatever bytes come in,
the only exception that leaves is ProtocolError; whatever text goes in, encoding does not fail.
"""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec.msgpack import Decoder, Encoder

from routerd_proto.errors import ProtocolError, error_info
from routerd_proto.frames import CLIENT_FRAMES, DAEMON_FRAMES, ClientFrame, DaemonFrame

__all__ = [
    "DEFAULT_MAX_FRAME_BYTES",
    "FrameReader",
    "client_frame_reader",
    "daemon_frame_reader",
    "encode_frame",
    "repair_text",
]

DEFAULT_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
PREFIX_BYTES: Final = 4

Frame = TypeVar("Frame")
_encoder: Final = Encoder()


def encode_frame(frame: msgspec.Struct) -> bytearray:
    """Encode one frame with its length prefix. Lone surrogates in text become U+FFFD."""
    data = bytearray(PREFIX_BYTES)
    try:
        _encoder.encode_into(frame, data, PREFIX_BYTES)
    except UnicodeEncodeError:
        _encoder.encode_into(_repair(msgspec.to_builtins(frame)), data, PREFIX_BYTES)
    data[:PREFIX_BYTES] = (len(data) - PREFIX_BYTES).to_bytes(PREFIX_BYTES, "big")
    return data


def repair_text(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates by U+FFFD, so that UTF-8 can carry it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _repair(value: Any) -> Any:
    if isinstance(value, str):
        return repair_text(value)
    if isinstance(value, dict):
        return {_repair(key): _repair(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_repair(item) for item in value]
    return value


class FrameReader(Generic[Frame]):
    """Cut a byte stream into frames by offset and decode them.

    After a ProtocolError the stream cannot be read further.
    """

    def __init__(
        self,
        decoder: Decoder[Frame],
        kinds: tuple[type, ...],
        max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
    ) -> None:
        self._decode = decoder.decode
        self._kinds = {kind.__struct_config__.tag: kind for kind in kinds}  # type: ignore[attr-defined]
        self._max_frame_bytes = max_frame_bytes
        self._rest = bytearray()
        self._needed = PREFIX_BYTES

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed:
                return []
            data = bytes(rest)
            rest.clear()
        frames: list[Frame] = []
        position, end = 0, len(data)
        view = memoryview(data)
        while (left := end - position) >= PREFIX_BYTES:
            size = int.from_bytes(view[position : position + PREFIX_BYTES], "big")
            if size > self._max_frame_bytes:
                raise ProtocolError(
                    error_info(
                        "frame_too_large",
                        f"a frame of {size} bytes is over the limit of {self._max_frame_bytes}",
                        details={"size": size, "limit": self._max_frame_bytes},
                    )
                )
            if left < PREFIX_BYTES + size:
                break
            start = position + PREFIX_BYTES
            position = start + size
            frames.append(self._decode_frame(view[start:position]))
        if position < end:
            rest += view[position:]
            self._needed = PREFIX_BYTES + (size if left >= PREFIX_BYTES else 0)
        return frames

    def _decode_frame(self, view: memoryview) -> Frame:
        try:
            return self._decode(view)
        except msgspec.ValidationError as error:
            raise ProtocolError(self._explain(view, error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            kind = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ProtocolError(
                error_info("protocol_error", f"a frame is not valid msgpack: {kind}")
            ) from error

    def _explain(self, view: memoryview, error: msgspec.ValidationError) -> Any:
        """Say which field of which frame is wrong, instead of a position in an array."""
        kind = self._kinds.get(_tag_of(view))
        if kind is None:
            return error_info("protocol_error", f"unknown frame: {error}")
        text, place = _name_place(str(error), kind)
        code = "invalid_request" if kind in _REQUESTS else "protocol_error"
        return error_info(code, text, details={"frame": kind.__name__, "place": place})


_REQUESTS: Final = {kind for kind in CLIENT_FRAMES if kind.__name__.endswith("Requested")}
_PLACE: Final = re.compile(r"(?P<what>.*) - at `\$(?:\[(?P<index>\d+)\])?(?P<rest>.*)`", re.DOTALL)


def _tag_of(view: memoryview) -> int | None:
    """Read the tag: the first element, a positive fixint after a short array header."""
    if len(view) >= 2 and view[0] & 0xF0 == 0x90 and view[1] < 0x80:
        return view[1]
    return None


def _name_place(text: str, kind: type) -> tuple[str, str]:
    match = _PLACE.fullmatch(text)
    if match is None or match["index"] is None:
        return f"{kind.__name__}: {text}", ""
    fields: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    index = int(match["index"]) - 1
    place = (fields[index] if 0 <= index < len(fields) else f"[{index}]") + match["rest"]
    return f"{place}: {match['what']}", place


def client_frame_reader(max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> FrameReader[ClientFrame]:
    """Return a reader of what a client sends."""
    return FrameReader(Decoder(ClientFrame), CLIENT_FRAMES, max_frame_bytes)


def daemon_frame_reader(max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> FrameReader[DaemonFrame]:
    """Return a reader of what the daemon sends."""
    return FrameReader(Decoder(DaemonFrame), DAEMON_FRAMES, max_frame_bytes)
