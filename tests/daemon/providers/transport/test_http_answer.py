"""Answers of HTTP/1, byte for byte: wherever they are cut they are read alike, or are an error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.transport.http_answer import (
    AnswerParser,
    BrokenBodyError,
    BrokenHeadError,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
# Of each: the answer, its status, its body, and whether the connection may go on.
ANSWERS: list[tuple[bytes, int, bytes, bool]] = [
    (OK + b"content-length: 3\r\n\r\nabc", 200, b"abc", True),
    (OK + b"Content-Length: 3\r\nCONNECTION: Close\r\n\r\nabc", 200, b"abc", False),
    (OK + b"content-length: 0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\na", 200, b"a", True),
    (b"HTTP/1.1 429 Zu viel \xe4\r\ncontent-length: 1\r\n\r\na", 429, b"a", True),
    (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", 200, b"a", False),
    (
        b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\na",
        200,
        b"a",
        True,
    ),
    (b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc", 200, b"abc", True),
    (OK + b"x-folded: one\r\n two\r\ncontent-length: 1\r\n\r\na", 200, b"a", True),
    (OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nab", 200, b"ab", True),
    (b"\r\n" + OK + b"content-length: 1\r\n\r\na", 200, b"a", True),
    (
        b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK + b"content-length: 1\r\n\r\na",
        200,
        b"a",
        True,
    ),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + b"0\r\n\r\n", 200, b"", True),
    (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", 200, b"abc", True),
    (CHUNKED + b"3;name=value\r\nabc\r\n002 \r\nde\r\n0\r\n\r\n", 200, b"abcde", True),
    (CHUNKED + b"A\r\n0123456789\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n", 200, b"0123456789", True),
    (CHUNKED + b"3\nabc\n0\n\n", 200, b"abc", True),
    (CHUNKED + b"2\r\n\r\n\r\n0\r\n\r\n", 200, b"\r\n", True),
    (
        OK + b"transfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n1\r\na\r\n0\r\n\r\n",
        200,
        b"a",
        False,
    ),
]
BROKEN_HEADS: list[bytes] = [
    b"SSH-2.0-x\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    OK + b"no header\r\n\r\n",
    OK + b"a b: c\r\n\r\n",
    OK + b": c\r\n\r\n",
    OK + b"x: a\0b\r\n\r\n",
    OK + b"x: a\rb\r\n\r\n",
    OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    OK + b"content-length: -1\r\n\r\n",
    OK + b"content-length: 1_0\r\n\r\n",
    OK + b"x: " + b"y" * 2_000 + b"\r\n\r\n",
    OK + b"x: y\r\n" * 20 + b"\r\n",
    OK + b"y" * 3_000,
]
BROKEN_BODIES: list[bytes] = [
    CHUNKED + b"zz\r\n",
    CHUNKED + b"-1\r\n",
    CHUNKED + b"0x1\r\na\r\n",
    CHUNKED + b"1_0\r\n",
    CHUNKED + b"\r\n",
    CHUNKED + b"2\r\nabc\r\n",
    CHUNKED + b"1" * 16 + b"\r\n",
    CHUNKED + b"1;" + b"x" * 9_000,
    CHUNKED + b"0\r\n" + b"x: y\r\n" * 2_000,
]


def parser(**options: Any) -> AnswerParser:
    return AnswerParser(1_000, 10, **options)


def read(*pieces: bytes, **options: Any) -> tuple[AnswerParser, bytes]:
    reading, body = parser(**options), b""
    for piece in pieces:
        reading.feed(piece)
        body += reading.take()
    return reading, body


@pytest.mark.parametrize(("data", "status", "body", "keeps_open"), ANSWERS)
def test_an_answer_is_read_alike_wherever_it_is_cut(
    data: bytes, status: int, body: bytes, *, keeps_open: bool
) -> None:
    cuts = [[data], [data[at : at + 1] for at in range(len(data))]]
    cuts += [[data[:at], data[at:]] for at in range(1, len(data))]
    for pieces in cuts:
        reading, got = read(*pieces)
        assert (reading.status, got, reading.complete) == (status, body, True)
        assert (reading.keeps_open, reading.left_over) == (keeps_open, False)
        assert reading.buffered == 0
        assert not reading.ends_with_connection


@pytest.mark.parametrize(("data", "status", "body", "keeps_open"), ANSWERS)
def test_what_is_behind_an_answer_is_noticed(
    data: bytes, status: int, body: bytes, *, keeps_open: bool
) -> None:
    for pieces in ([data + b"HTTP"], [data, b"HTTP"]):
        reading, got = read(*pieces)
        assert (reading.status, got, reading.keeps_open) == (status, body, keeps_open)
        assert reading.left_over


@pytest.mark.parametrize(
    ("data", "error"),
    [(data, BrokenHeadError) for data in BROKEN_HEADS]
    + [(data, BrokenBodyError) for data in BROKEN_BODIES],
)
def test_what_is_no_answer_is_an_error_wherever_it_is_cut(
    data: bytes, error: type[Exception]
) -> None:
    cuts = [[data], [data[at : at + 1] for at in range(len(data))]]
    cuts += [[data[:at], data[at:]] for at in range(1, min(len(data), 200))]
    for pieces in cuts:
        with pytest.raises(error):
            read(*pieces)


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"transfer-encoding: gzip\r\n\r\n"])
def test_a_body_without_a_length_ends_with_its_connection(head: bytes) -> None:
    reading, body = read(head + b"ab", b"c")
    assert (body, reading.complete, reading.keeps_open) == (b"abc", False, False)
    assert reading.ends_with_connection


def test_what_came_before_an_error_stays() -> None:
    reading = parser()
    with pytest.raises(BrokenBodyError):
        reading.feed(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\nzz\r\n")
    assert reading.take() == b"abcde"


def test_the_answer_to_a_head_has_no_body() -> None:
    reading, body = read(OK + b"content-length: 99\r\n\r\n", has_body=False)
    assert (body, reading.complete, reading.keeps_open) == (b"", True, True)


def test_headers_are_as_they_came() -> None:
    reading, _ = read(OK + b"X-One:  a b \t\r\nx-one:c\r\nEmpty:\r\ncontent-length: 0\r\n\r\n")
    assert reading.headers == (
        (b"X-One", b"a b"),
        (b"x-one", b"c"),
        (b"Empty", b""),
        (b"content-length", b"0"),
    )
    assert reading.names == {b"x-one": b"c", b"empty": b"", b"content-length": b"0"}
    assert reading.values(b"empty") == [b""]
    assert reading.values(b"x-one") == [b"a b", b"c"]


@given(
    body=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(1, 30), max_size=40),
    chunked=st.booleans(),
)
def test_any_body_comes_through_any_cuts(
    body: list[bytes], cuts: list[int], *, chunked: bool
) -> None:
    if chunked:
        data = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in body)
        data += b"0\r\n\r\n"
    else:
        whole = b"".join(body)
        data = OK + b"content-length: %d\r\n\r\n" % len(whole) + whole
    pieces = []
    for size in cuts:
        pieces.append(data[:size])
        data = data[size:]
    reading, got = read(*pieces, data)
    assert (got, reading.complete, reading.left_over) == (b"".join(body), True, False)


HEADS = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 100 Continue",
            b"content-length: 3",
            b"content-length: 0",
            b"transfer-encoding: chunked",
            b"connection: close",
            b"x-name: value",
            b" folded",
            b"no header",
            b"x y: z",
            b"3\r\nabc",
            b"0",
            b"abc",
            b"",
        ]
    ),
    max_size=9,
)


@given(lines=HEADS)
def test_garbage_ends_in_an_answer_or_a_typed_error(lines: list[bytes]) -> None:
    data = b"\r\n".join([b"HTTP/1.1 200 OK", *lines])
    try:
        reading, body = read(data)
    except (BrokenHeadError, BrokenBodyError):
        return
    assert len(body) <= len(data)
    assert reading.status in (0, 200)


@given(lines=HEADS)
def test_where_aiohttps_own_parser_reads_a_whole_answer_it_is_the_same(lines: list[bytes]) -> None:
    data = b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n"
    loop = asyncio.new_event_loop()
    try:
        theirs = HttpResponseParser(
            BaseProtocol(loop), loop, 2**16, read_until_eof=True, auto_decompress=False
        )
        messages, _, _ = theirs.feed_data(data)
    except HttpProcessingError:
        return  # it may be stricter; what it reads has to be read alike
    finally:
        loop.close()
    finals = [item for item in messages if item[0].code == 200]
    if len(finals) != 1 or not finals[0][1].is_eof():
        return
    message, stream = finals[0]
    reading, body = read(data)
    assert (reading.status, reading.complete) == (message.code, True)
    assert body == b"".join(stream._buffer)
