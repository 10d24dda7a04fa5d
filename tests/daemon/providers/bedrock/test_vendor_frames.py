"""Our reading of the event stream beside the vendor's own, on frames of every kind."""

from __future__ import annotations

import struct
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.bedrock.frames import EXCEPTION, FrameParser
from routerd.providers.sse import Event
from routerd.simulate.bedrock.frames import event_frame, exception_frame
from tests.daemon.providers.bedrock.wire import sealed

eventstream = pytest.importorskip(
    "botocore.eventstream",
    reason="the vendors' own clients are not installed: requirements-vendors.lock",
)

NAMES = (":event-type", ":content-type", "x", "ü")
texts = st.text(max_size=12)


def packed(kind: int, data: bytes) -> bytes:
    length = struct.pack(">H", len(data)) if kind in (6, 7) else b""
    return bytes([kind]) + length + data


def fixed(kind: int, size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size).map(partial(packed, kind))


SIZES = ((2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16))
values = st.one_of(
    st.sampled_from((packed(0, b""), packed(1, b""))),
    *(fixed(kind, size) for kind, size in SIZES),
    st.binary(max_size=12).map(partial(packed, 6)),
    texts.map(lambda text: packed(7, text.encode())),
)
kinds = st.sampled_from(("event", "exception"))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Draw a frame as the vendor may send one: its own headers, and any others besides."""
    kind = draw(kinds)
    headers = {
        ":message-type": packed(7, kind.encode()),
        f":{kind}-type": packed(7, draw(texts).encode()),
    }
    headers |= draw(
        st.dictionaries(st.sampled_from(NAMES).filter(lambda name: name not in headers), values)
    )
    names = draw(st.permutations(list(headers)))
    head = b"".join(bytes([len(name.encode())]) + name.encode() + headers[name] for name in names)
    return sealed(head, draw(st.binary(max_size=60)))


def theirs(pieces: list[bytes]) -> list[Event]:
    """Read with the vendor's parser, and name events as ours does."""
    buffer = eventstream.EventStreamBuffer()
    found: list[Event] = []
    for piece in pieces:
        buffer.add_data(piece)
        for message in buffer:
            kind = message.headers[":message-type"]
            name = message.headers[f":{kind}-type"].encode()
            found.append(((EXCEPTION if kind == "exception" else b"") + name, message.payload))
    return found


def ours(pieces: list[bytes]) -> tuple[list[Event], str | None]:
    parser = FrameParser()
    return [event for piece in pieces for event in parser.feed(piece)], parser.problem


@given(st.lists(frames(), max_size=5), st.data())
def test_frames_are_read_as_the_vendor_reads_them(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    pieces = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
    expected = theirs(pieces)
    assert ours(pieces) == (expected, None)
    assert len(expected) == len(sent)


@given(frames(), st.data())
def test_what_the_vendor_takes_for_broken_is_broken(frame: bytes, data: st.DataObject) -> None:
    spoilt = bytearray(frame)
    place = data.draw(st.integers(0, len(frame) - 1))
    spoilt[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(eventstream.ParserError):
        theirs([bytes(spoilt)])
    events, broken = ours([bytes(spoilt)])
    assert (events, broken is not None) == ([], True)


@given(st.dictionaries(texts, texts), st.sampled_from(("messageStart", "throttlingException")))
def test_the_simulator_writes_frames_that_the_vendor_reads(
    payload: dict[str, Any], name: str
) -> None:
    for frame in (event_frame(name, payload), exception_frame(name, payload)):
        (event,) = theirs([frame])
        assert event[0].removeprefix(EXCEPTION) == name.encode()
        assert ours([frame]) == ([event], None)
