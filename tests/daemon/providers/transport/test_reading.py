"""Undoing compression as the bytes come, and bounding what is read."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import httpx
import pytest

from routerd.providers.transport import (
    ContentTooLargeError,
    UnsupportedContentEncodingError,
    content_chunks,
    open_answer,
    read_content,
    read_start,
)

EVENTS = b"".join(b'data: {"n":%d}\n\n' % number for number in range(500))


def answering(body: bytes, encoding: Any = None) -> Any:
    more = b"" if encoding is None else f"content-encoding: {encoding}\r\n".encode()

    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer(body, more=more)

    return handler


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (None, EVENTS),
        ("identity", EVENTS),
        ("gzip", gzip.compress(EVENTS)),
        ("GZIP", gzip.compress(EVENTS)),
        ("deflate", zlib.compress(EVENTS)),
        ("deflate, gzip", gzip.compress(zlib.compress(EVENTS))),
    ],
)
async def test_compression_nobody_asked_for_is_undone(
    engine: str, serve: Any, make: Any, fetch: Any, encoding: Any, body: bytes
):
    server = await serve(answering(body, encoding))
    assert await fetch(await make(engine), server.url()) == (200, EVENTS)


async def test_a_compressed_stream_is_undone_as_it_comes(
    engine: str, serve: Any, make: Any, request_to: Any
):
    reader_has_it = asyncio.Event()

    async def handler(connection: Any) -> None:
        await connection.read_request()
        compressor = zlib.compressobj(wbits=31)
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
        await connection.send(head)
        for event in (b"one", b"two"):
            await connection.send(compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH))
            await reader_has_it.wait()
        await connection.send(compressor.flush())

    server = await serve(handler)
    async with open_answer(await make(engine), request_to(server.url())) as response:
        chunks = content_chunks(response)
        assert await anext(chunks) == b"one"
        reader_has_it.set()
        assert b"".join([chunk async for chunk in chunks]) == b"two"


@pytest.mark.parametrize("encoding", ["compress", "x-own", "gzip, x-own"])
async def test_compression_nothing_undoes_is_an_error(
    engine: str, serve: Any, make: Any, fetch: Any, encoding: Any
):
    server = await serve(answering(b"\x00\x01", encoding))
    with pytest.raises(UnsupportedContentEncodingError, match="identity"):
        await fetch(await make(engine), server.url())


async def test_broken_compression_is_an_error(engine: str, serve: Any, make: Any, fetch: Any):
    server = await serve(answering(b"this is no gzip", "gzip"))
    with pytest.raises(httpx.DecodingError):
        await fetch(await make(engine), server.url())


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_a_body_beyond_the_limit_is_an_error(
    engine: str, serve: Any, make: Any, request_to: Any, encoding: Any
):
    body = b"x" * 1_000 if encoding is None else gzip.compress(b"x" * 1_000)
    server = await serve(answering(body, encoding))
    transport = await make(engine)
    async with open_answer(transport, request_to(server.url())) as response:
        assert len(await read_content(response, 1_000)) == 1_000
    async with open_answer(transport, request_to(server.url())) as response:
        with pytest.raises(ContentTooLargeError):
            await read_content(response, 999)


async def test_the_start_of_a_body_is_what_came_of_it(serve: Any, make: Any, request_to: Any):
    async def handler(connection: Any) -> None:
        while received := await connection.read_request():
            await connection.send(b"HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\nabc")
            path = received.line.split()[1]
            if path != b"/whole":
                break
            await connection.send(b"defghi")
        if path == b"/cut":
            connection.reset()
        await connection.until_closed()

    server = await serve(handler)
    transport = await make()

    async def start(path: str, limit: int, seconds: float) -> bytes:
        async with open_answer(transport, request_to(server.url(path))) as response:
            return await read_start(response, limit, seconds)

    assert await start("/whole", 100, 3600.0) == b"abcdefghi"
    assert await start("/whole", 5, 3600.0) == b"abcde"
    assert await start("/cut", 100, 3600.0) == b"abc"
    assert await start("/stalls", 100, 0.2) == b"abc"
    assert await start("/stalls", 3, 3600.0) == b"abc"


async def test_the_start_of_a_compressed_body_leaves_nothing_behind(
    serve: Any, make: Any, request_to: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        body = gzip.compress(b"x" * 1000)
        await connection.answer(body, more=b"content-encoding: gzip\r\n")
        await connection.until_closed()

    server = await serve(handler)
    before = asyncio.all_tasks()
    async with open_answer(await make(), request_to(server.url())) as response:
        assert await read_start(response, 10, 3600.0) == b"x" * 10
    assert {task for task in asyncio.all_tasks() - before if "handle" not in repr(task)} == set()
