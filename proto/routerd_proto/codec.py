"""Frames to bytes and back: a four-byte big-endian length, then a msgpack array.

Rules of this file: no I/O and no knowledge of which frame may follow which. Whatever bytes come in,
the only exception that leaves is ProtocolError. Whatever text goes in, encoding does not fail, nor
for any number in what the daemon sends; a number in a request is the app's, and is never changed.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any, Final, Generic, NoReturn, TypeVar

import msgspec
from msgspec.msgpack import Decoder, Encoder

from routerd_proto.errors import ErrorInfo, ProtocolError, error_info
from routerd_proto.frames import (
    CALL_FRAMES,
    CLIENT_FRAMES,
    DAEMON_FRAMES,
    ClientFrame,
    CommandRequested,
    DaemonFrame,
)
from routerd_proto.places import explain_mistake, tag_of

__all__ = [
    "DEFAULT_MAX_FRAME_BYTES",
    "FrameReader",
    "client_frame_reader",
    "daemon_frame_reader",
    "encode_frame",
    "encode_frames",
    "encode_more",
    "repair_text",
]

DEFAULT_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
PREFIX_BYTES: Final = 4
_prefix: Final = Struct(">I")
# What msgpack has integers for.
LEAST_INTEGER: Final = -(2**63)
GREATEST_INTEGER: Final = 2**64 - 1

Frame = TypeVar("Frame")
_encoder: Final = Encoder()
# What msgpack carries and JSON does not: not to be turned into text.
_AS_THEY_ARE: Final = (bytes, bytearray, memoryview, dt.datetime)
# What decoding raises for bytes that are no frame.
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# A mistake in these is the app's, and it is told so; a mistake in others is the other program's.
_REQUESTS: Final[frozenset[type]] = frozenset((*CALL_FRAMES, CommandRequested))


def encode_frame(frame: msgspec.Struct) -> bytearray:
    """Encode one frame with its length prefix.

    Lone surrogates in text become U+FFFD. An integer below -2**63 or above 2**64 - 1 becomes the
    nearest float, except in a request: there it is an OverflowError. TypeError for what is no plain
    data, RecursionError for what is nested about a thousand deep.
    """
    return encode_frames((frame,))


def encode_frames(frames: Iterable[msgspec.Struct]) -> bytearray:
    """Encode several frames into one buffer, for one write; what is repaired is as for one."""
    data = bytearray()
    encode_more(frames, data)
    return data


def encode_more(frames: Iterable[msgspec.Struct], data: bytearray) -> None:
    """Encode frames behind those that are in a buffer already.

    Where one cannot be encoded the buffer stays as it was: no piece of a frame may go out.
    """
    encode_into, pack_into = _encoder.encode_into, _prefix.pack_into
    before = len(data)
    try:
        for frame in frames:  # each part of a stream comes this way
            start = len(data)
            body = start + PREFIX_BYTES
            try:
                encode_into(frame, data, body)
            except (UnicodeEncodeError, OverflowError):
                plain = msgspec.to_builtins(frame, builtin_types=_AS_THEY_ARE)
                encode_into(_repair(plain, numbers=type(frame) not in _REQUESTS), data, body)
            pack_into(data, start, len(data) - body)
    except BaseException:  # whatever it was: half a frame would spoil all that follow
        del data[before:]
        raise


def repair_text(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates by U+FFFD, so that UTF-8 can carry it."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _repair(value: Any, *, numbers: bool) -> Any:
    if isinstance(value, str):
        return repair_text(value)
    if isinstance(value, int) and not LEAST_INTEGER <= value <= GREATEST_INTEGER:
        return _nearest_float(value) if numbers else value
    if isinstance(value, dict):
        return {
            _repair(key, numbers=numbers): _repair(item, numbers=numbers)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_repair(item, numbers=numbers) for item in value]
    return value


def _nearest_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class FrameReader(Generic[Frame]):
    """Cut a byte stream into frames by offset and decode them.

    `unfinished`: a frame has begun and is not complete. After a ProtocolError the stream cannot be
    read further.
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
        self.unfinished = False

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order; a broken one loses them all."""
        return list(self.read(data))

    def read(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes, each before the next is looked at.

        A hello of another version is thus seen before a call that only that version understands.
        The iterator must be used up: what it has not reached is lost.
        """
        if not self.unfinished and len(data) >= PREFIX_BYTES:
            (size,) = _prefix.unpack_from(data)
            if size == len(data) - PREFIX_BYTES and size <= self._max_frame_bytes:
                # One whole frame, as nearly every request is, and every answer to a plain call.
                body = memoryview(data)[PREFIX_BYTES:]
                try:
                    return iter((self._decode(body),))
                except _BROKEN as error:
                    raise self._broken(body, error) from error
        return self._cut(data)

    def _cut(self, data: bytes) -> Iterator[Frame]:
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed:
                return
            data = bytes(rest)
            rest.clear()
            self.unfinished = False
        position, end = 0, len(data)
        view = memoryview(data)
        decode, longest = self._decode, self._max_frame_bytes
        needed = PREFIX_BYTES
        while end - position >= needed:
            start = position + PREFIX_BYTES
            (size,) = _prefix.unpack_from(data, position)
            if size > longest:
                raise self._too_large(size)
            needed = PREFIX_BYTES + size
            if end - position >= needed:
                position += needed
                needed = PREFIX_BYTES
                body = view[start:position]
                try:
                    frame = decode(body)
                except _BROKEN as error:
                    raise self._broken(body, error) from error
                yield frame
        if position < end:
            rest += view[position:]
            self._needed = needed
            self.unfinished = True

    def _too_large(self, size: int) -> ProtocolError:
        limit = self._max_frame_bytes
        return ProtocolError(
            error_info(
                "frame_too_large",
                f"a frame of {size} bytes is over the limit of {limit}",
                details={"size": size, "limit": limit},
            )
        )

    def _broken(self, view: memoryview, error: Exception) -> ProtocolError:
        if isinstance(error, msgspec.ValidationError):
            return ProtocolError(self._explain(view, error))
        kind = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return ProtocolError(error_info("protocol_error", f"a frame is not valid msgpack: {kind}"))

    def _explain(self, view: memoryview, error: msgspec.ValidationError) -> ErrorInfo:
        """Say which field of which frame is wrong, instead of a position in an array."""
        kind = self._kinds.get(tag_of(view))
        if kind is None:
            return error_info("protocol_error", f"unknown frame: {error}")
        text, place = explain_mistake(str(error), kind)
        code = "invalid_request" if kind in _REQUESTS else "protocol_error"
        return error_info(code, text, details={"frame": kind.__name__, "place": place})


def _refuse_extension(code: int, _data: memoryview) -> NoReturn:
    """Refuse what no JSON can say, since a provider is to be sent it."""
    raise msgspec.ValidationError(f"Extension type {code} is not part of this protocol")


def client_frame_reader(max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> FrameReader[ClientFrame]:
    """Return a reader of what a client sends."""
    return FrameReader(
        Decoder(ClientFrame, ext_hook=_refuse_extension), CLIENT_FRAMES, max_frame_bytes
    )


def daemon_frame_reader(max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES) -> FrameReader[DaemonFrame]:
    """Return a reader of what the daemon sends."""
    return FrameReader(
        Decoder(DaemonFrame, ext_hook=_refuse_extension), DAEMON_FRAMES, max_frame_bytes
    )
