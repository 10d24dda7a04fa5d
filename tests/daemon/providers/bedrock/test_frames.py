from __future__ import annotations

import random

import pytest

from routerd.providers.bedrock.frames import EXCEPTION, FrameParser
from tests.daemon.providers.bedrock.wire import event, frame, sealed

STOP = bytes.fromhex(
    "0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f700d3a636f6e74656e742d"
    "747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273"
    "746f70526561736f6e223a22656e645f7475726e227d5fbf09fc"
)
THROTTLED = bytes.fromhex(
    "000000b0000000614f5086b30f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f"
    "6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d7479706507"
    "0009657863657074696f6e7b226d657373616765223a22546f6f206d616e7920746f6b656e732c20706c65617365207761"
    "6974206265666f726520747279696e6720616761696e2e227df70ae57f"
)
EVENTS = [
    (b"messageStop", b'{"stopReason":"end_turn"}'),
    (
        EXCEPTION + b"throttlingException",
        b'{"message":"Too many tokens, please wait before trying again."}',
    ),
]


def test_the_vendors_own_frames_are_read() -> None:
    parser = FrameParser()
    assert parser.feed(STOP + THROTTLED) == EVENTS
    assert (parser.problem, parser.end()) == (None, [])


def test_frames_may_be_cut_anywhere() -> None:
    data = STOP + THROTTLED
    for place in range(len(data) + 1):
        parser = FrameParser()
        assert parser.feed(data[:place]) + parser.feed(data[place:]) == EVENTS
    parser = FrameParser()
    found = [item for place in range(len(data)) for item in parser.feed(data[place : place + 1])]
    assert found == EVENTS


def test_every_flipped_bit_is_noticed() -> None:
    for place in range(len(STOP)):
        spoilt = bytearray(STOP)
        spoilt[place] ^= 0x40
        parser = FrameParser()
        assert parser.feed(bytes(spoilt)) == []
        assert parser.problem is not None
        assert parser.feed(STOP) == []


def test_a_cut_frame_is_only_missing() -> None:
    parser = FrameParser()
    assert parser.feed(STOP[:-1]) == []
    assert parser.end() == []
    assert parser.problem is None


def test_headers_of_all_types_are_passed_over() -> None:
    kinds = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)]
    extra = b"".join(b"\x01x" + bytes([kind]) + b"\x01" * size for kind, size in kinds)
    extra += b"\x01y\x06\x00\x02ab"
    whole = frame({}, b"")
    assert FrameParser().feed(whole) == [(b"", b"")]
    assert FrameParser().feed(sealed(extra + text(":event-type", "ping"), b"{}")) == [
        (b"ping", b"{}")
    ]


@pytest.mark.parametrize("headers", [b"\x05ab", b"\x01x\x63", b"\x01x\x07\x00\x09a", b"\x01x\x05a"])
def test_headers_that_do_not_add_up_break_the_answer(headers: bytes) -> None:
    parser = FrameParser()
    assert parser.feed(sealed(headers, b"{}")) == []
    assert parser.problem is not None


def test_an_error_frame_says_all_in_its_headers() -> None:
    data = frame(
        {":message-type": "error", ":error-code": "InternalError", ":error-message": "Sorry"}, b""
    )
    assert FrameParser().feed(data) == [(EXCEPTION + b"InternalError", b"Sorry")]


def test_a_frame_that_is_too_large_overflows() -> None:
    parser = FrameParser(100)
    assert parser.feed(STOP) == []
    assert parser.problem == "an event of the answer is larger than 100 bytes"


def test_garbage_never_raises() -> None:
    chance = random.Random(7)
    for _ in range(500):
        parser = FrameParser()
        parser.feed(event("messageStart", role="assistant") + chance.randbytes(40))
        parser.feed(chance.randbytes(40))
        parser.end()
        assert parser.problem is not None


def text(name: str, value: str) -> bytes:
    size = len(value).to_bytes(2, "big")
    return bytes([len(name)]) + name.encode() + b"\x07" + size + value.encode()
