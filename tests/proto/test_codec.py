"""Bytes in, frames out: every frame survives, and nothing but ProtocolError ever leaves."""

from __future__ import annotations

import contextlib
import math
import pickle
from typing import Any, Self, SupportsIndex

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routerd_proto import (
    DEFAULT_MAX_FRAME_BYTES,
    FrameReader,
    ProtocolError,
    client_frame_reader,
    daemon_frame_reader,
    encode_frame,
    encode_frames,
    encode_more,
    repair_text,
)
from routerd_proto.content import Image, Message, Text
from routerd_proto.frames import (
    CLIENT_FRAMES,
    DAEMON_FRAMES,
    CallEnded,
    CallOptions,
    CallRequested,
    CallStarted,
    CitationAdded,
    ClientHello,
    CommandRequested,
    TextDelta,
)
from tests.proto.arbitrary import frames_of, values_of

ALL_FRAMES: tuple[type[msgspec.Struct], ...] = (*CLIENT_FRAMES, *DAEMON_FRAMES)
client_frames = frames_of(*CLIENT_FRAMES)
daemon_frames = frames_of(*DAEMON_FRAMES)
ANSWER = [
    CallStarted("d1", "0af7651916cd43dd8448eb211c80319c"),
    TextDelta("Gru\u0308ezi \U0001f600"),
    TextDelta("x" * 300),
    CallEnded("stop", "d1", model="m", notes=["temperature left out"]),
]


def reader_for(kind: type[msgspec.Struct]) -> FrameReader[Any]:
    return client_frame_reader() if kind in CLIENT_FRAMES else daemon_frame_reader()


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def array(*elements: Any) -> bytes:
    return framed(msgspec.msgpack.encode(elements))


def read_all(data: bytes) -> list[Any]:
    """Read what a client sends, and end with the error if there is one."""
    frames: list[Any] = []
    try:
        frames.extend(client_frame_reader().read(data))
    except ProtocolError as error:
        frames.append(error.info)
    return frames


def mistake_in(data: bytes, reader: FrameReader[Any] | None = None) -> tuple[str, str]:
    with pytest.raises(ProtocolError) as caught:
        (reader or client_frame_reader()).feed(data)
    return caught.value.info.code, caught.value.info.message


# --- what is sent arrives ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_FRAMES)
@settings(max_examples=30)
@given(data=st.data())
def test_a_frame_arrives_as_it_was_sent(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    frame = data.draw(frames_of(kind))
    assert reader_for(kind).feed(bytes(encode_frame(frame))) == [frame]


@given(st.lists(daemon_frames, max_size=5), st.data())
def test_any_pieces_give_the_same_frames(frames: list[Any], data: st.DataObject) -> None:
    sent = bytes(encode_frames(frames))
    assert sent == b"".join(encode_frame(frame) for frame in frames)
    reader = daemon_frame_reader()
    received: list[Any] = []
    position = 0
    while position < len(sent):
        size = data.draw(st.integers(1, len(sent) - position))
        received += reader.feed(sent[position : position + size])
        position += size
    assert received == frames
    assert not reader.unfinished


def test_an_answer_may_be_cut_at_every_byte() -> None:
    sent = bytes(encode_frames(ANSWER))
    for cut in range(len(sent) + 1):
        reader = daemon_frame_reader()
        first, second = reader.feed(sent[:cut]), reader.feed(sent[cut:])
        assert [*first, *second] == ANSWER, f"cut at byte {cut}"


def test_an_answer_may_come_byte_by_byte() -> None:
    reader = daemon_frame_reader()
    sent = bytes(encode_frames(ANSWER))
    frames: list[Any] = []
    for position in range(len(sent)):
        frames += reader.feed(sent[position : position + 1])
        whole = len(encode_frames(frames))
        assert reader.unfinished == (whole < position + 1)
    assert frames == ANSWER


class CountingBuffer(bytearray):
    """What a reader keeps of an unfinished frame; it counts the bytes that go in and out."""

    copied = 0

    def __iadd__(self, data: Any, /) -> Self:  # type: ignore[misc]  # bytearray's + is not ours
        self.copied += len(data)
        super().__iadd__(data)
        return self

    def __bytes__(self) -> bytes:
        self.copied += len(self)
        return bytes(memoryview(self))

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found = super().__getitem__(index)
        self.copied += len(found) if isinstance(found, bytearray) else 0
        return found


def test_a_large_frame_in_many_pieces_is_copied_a_fixed_number_of_times() -> None:
    frame = TextDelta("x" * 1_000_000)
    sent = bytes(encode_frame(frame))
    reader = daemon_frame_reader()
    reader._rest = counted = CountingBuffer()
    frames: list[Any] = []
    for position in range(0, len(sent), 1000):
        frames += reader.feed(sent[position : position + 1000])
    assert frames == [frame]
    assert len(sent) <= counted.copied <= 3 * len(sent)


@pytest.mark.parametrize("kind", ALL_FRAMES)
@settings(max_examples=10)
@given(data=st.data())
def test_elements_a_later_version_adds_are_ignored(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    frame = data.draw(frames_of(kind))
    elements = msgspec.msgpack.decode(msgspec.msgpack.encode(frame))
    assert reader_for(kind).feed(array(*elements, "added", {"later": 1})) == [frame]


@pytest.mark.parametrize("kind", ALL_FRAMES)
@settings(max_examples=10)
@given(data=st.data())
def test_elements_an_earlier_version_lacks_have_their_defaults(
    kind: type[msgspec.Struct], data: st.DataObject
) -> None:
    frame = data.draw(frames_of(kind))
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    elements = msgspec.msgpack.decode(msgspec.msgpack.encode(frame))
    shortest = kind(*(getattr(frame, field.name) for field in required))
    assert reader_for(kind).feed(array(*elements[: 1 + len(required)])) == [shortest]


@pytest.mark.parametrize(
    "header", [b"\x93", b"\xdc\x00\x03", b"\xdd\x00\x00\x00\x03"], ids=["short", "16", "32"]
)
def test_an_array_may_be_written_in_every_length(header: bytes) -> None:
    body = header + b"\x01\x01\xa1a"
    assert client_frame_reader().feed(framed(body)) == [ClientHello(1, "a")]
    wrong = header + b"\x01\xa1x\xa1a"
    assert mistake_in(framed(wrong)) == (
        "protocol_error",
        "protocol_version: Expected `int`, got `str`",
    )


# --- text that UTF-8 cannot carry -------------------------------------------------------------

any_characters = st.text(st.characters(codec=None), max_size=5)


@settings(max_examples=200)
@given(values_of(CallRequested, any_characters))
@example(CallRequested("c", "smart", [Message("user", [Image(data=b"\x00\xff"), Text("\ud800")])]))
def test_lone_surrogates_are_repaired_and_all_else_is_kept(frame: CallRequested) -> None:
    [received] = client_frame_reader().feed(bytes(encode_frame(frame)))
    assert received == msgspec.msgpack.decode(
        msgspec.msgpack.encode(repaired(msgspec.to_builtins(frame, builtin_types=(bytes,)))),
        type=CallRequested,
    )


def repaired(value: Any) -> Any:
    match value:
        case str():
            return "".join(
                "\ufffd" if "\ud800" <= character <= "\udfff" else character
                for character in joined(value)
            )
        case dict():
            return {repaired(key): repaired(item) for key, item in value.items()}
        case list() | tuple():
            return [repaired(item) for item in value]
        case _:
            return value


def joined(text: str) -> str:
    """Join each high surrogate with a low one that follows it."""
    done = ""
    for character in text:
        if done and "\ud800" <= done[-1] <= "\udbff" and "\udc00" <= character <= "\udfff":
            high, low = ord(done[-1]) - 0xD800, ord(character) - 0xDC00
            done = done[:-1] + chr(0x10000 + (high << 10) + low)
        else:
            done += character
    return done


def test_a_surrogate_pair_becomes_the_character_it_stands_for() -> None:
    assert repair_text("\ud83d\ude00 \ud83d") == "\U0001f600 \ufffd"


# --- numbers that msgpack cannot carry ---------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "carried"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, 2.0**64),
        (-(2**63) - 1, -(2.0**63)),
        (10**30, 1e30),
        (10**400, math.inf),
        (-(10**400), -math.inf),
    ],
)
def test_a_number_of_a_vendor_is_carried_as_it_is_or_as_the_nearest_float(
    number: int, carried: float
) -> None:
    frames = [
        TextDelta("before"),
        CitationAdded("v", {"a": [number, True], "text": "\ud800"}),
        TextDelta("after"),
    ]
    before, citation, after = daemon_frame_reader().feed(bytes(encode_frames(frames)))
    assert (before, after) == (frames[0], frames[2])
    assert citation == CitationAdded("v", {"a": [carried, True], "text": "\ufffd"})
    assert type(citation.citation["a"][0]) is type(carried)


@pytest.mark.parametrize("text", ["plain", "\ud800"])
def test_a_number_of_an_app_is_never_changed(text: str) -> None:
    schema = {"type": "integer", "description": text, "enum": [2**64]}
    with pytest.raises(OverflowError):
        encode_frame(CallRequested("c", "smart", "Hi", CallOptions(output_schema=schema)))


# --- what is not a frame ----------------------------------------------------------------------


@settings(max_examples=500)
@given(st.binary(max_size=64))
@example(b"")
@example(b"\xc1")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x93\x03\xa1x\x81\xa1a\xdd\xff\xff\xff\xff")  # an array that claims four billion items
@example(b"\x93\x03\xa1x\x81\xa1a\xdf\xff\xff\xff\xff")
@example(b"\x93\x03\xa1x\x81\xa1a\x81\x80\x01")  # a map as the key of a map
@example(b"\x93\x03\xa1x\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12)  # no such moment
@example(b"\x92\x29\xa1\xff")  # not UTF-8
@example(b"\x92\x29\xa3\xed\xa0\x80")  # a surrogate in UTF-8
def test_garbage_raises_nothing_but_a_protocol_error(body: bytes) -> None:
    for new_reader in (client_frame_reader, daemon_frame_reader):
        for data in (body, framed(body)):
            reader: FrameReader[Any] = new_reader()
            with contextlib.suppress(ProtocolError):
                reader.feed(data)


@settings(max_examples=300)
@given(st.one_of(client_frames, daemon_frames), st.data())
def test_a_damaged_frame_raises_nothing_but_a_protocol_error(
    frame: Any, data: st.DataObject
) -> None:
    damaged = encode_frame(frame)
    position = data.draw(st.integers(4, len(damaged) - 1))
    damaged[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        assert len(reader_for(type(frame)).feed(bytes(damaged))) == 1


@settings(max_examples=30)
@given(frame=st.one_of(client_frames, daemon_frames))
def test_a_frame_that_stops_early_is_refused(frame: Any) -> None:
    body = bytes(encode_frame(frame)[4:])
    for end in range(len(body)):
        code, message = mistake_in(framed(body[:end]), reader_for(type(frame)))
        assert (code, message) == (
            "protocol_error",
            "a frame is not valid msgpack: Input data was truncated",
        )


def test_bytes_after_the_array_are_refused() -> None:
    body = bytes(encode_frame(ClientHello(1))[4:]) + b"\xc0"
    code, message = mistake_in(framed(body))
    assert code == "protocol_error"
    assert message.startswith("a frame is not valid msgpack")


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    body = b"\x93\x03\xa6status\x81\xa1a" + b"\x91" * depth + b"\xc0"
    assert mistake_in(framed(body)) == (
        "protocol_error",
        "a frame is not valid msgpack: nested too deeply",
    )


def test_a_frame_over_the_limit_is_refused_before_it_comes() -> None:
    reader = client_frame_reader(max_frame_bytes=100)
    with pytest.raises(ProtocolError) as caught:
        reader.feed((101).to_bytes(4, "big"))
    assert caught.value.info.code == "frame_too_large"
    assert caught.value.info.details == {"size": 101, "limit": 100}


def test_a_frame_of_just_the_limit_is_taken() -> None:
    frame = CommandRequested("x" * 91)
    sent = bytes(encode_frame(frame))
    assert client_frame_reader(max_frame_bytes=len(sent) - 4).feed(sent) == [frame]
    assert mistake_in(sent, client_frame_reader(max_frame_bytes=len(sent) - 5))[0] == (
        "frame_too_large"
    )


def test_the_default_limit_is_sixteen_mebibytes() -> None:
    assert DEFAULT_MAX_FRAME_BYTES == 16 * 1024 * 1024
    assert client_frame_reader().feed((DEFAULT_MAX_FRAME_BYTES).to_bytes(4, "big")) == []
    assert mistake_in((DEFAULT_MAX_FRAME_BYTES + 1).to_bytes(4, "big"))[0] == "frame_too_large"


def test_frames_before_a_broken_one_are_read_first() -> None:
    data = bytes(encode_frame(ClientHello(99))) + array(2, {"call": "of version 99"})
    hello, error = read_all(data)
    assert hello == ClientHello(99)
    assert error.code == "invalid_request"


def test_an_extension_type_is_refused() -> None:
    body = b"\x93\x03\xa6status\x81\xa1a\xc7\x01\x05\x00"
    code, message = mistake_in(framed(body))
    assert code == "invalid_request"
    assert message == "CommandRequested: Extension type 5 is not part of this protocol"


def test_a_protocol_error_crosses_a_process_boundary() -> None:
    with pytest.raises(ProtocolError) as caught:
        client_frame_reader().feed(array(99))
    copied = pickle.loads(pickle.dumps(caught.value))
    assert copied.info == caught.value.info
    assert str(copied) == str(caught.value)


@given(good=st.lists(daemon_frames, max_size=3), after=st.lists(daemon_frames, max_size=3))
def test_of_what_cannot_be_encoded_no_piece_goes_out(
    good: list[msgspec.Struct], after: list[msgspec.Struct]
) -> None:
    data = encode_frames(good)
    whole = bytes(data)
    no_frame = CitationAdded("v", {"a": object()})
    with pytest.raises(TypeError):
        encode_more([*good, no_frame], data)
    assert data == whole
    encode_more(after, data)
    assert data == encode_frames([*good, *after])
