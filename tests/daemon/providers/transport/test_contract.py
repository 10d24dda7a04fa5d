"""What every engine promises about calls that go well; failures and cancellation have own files."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from routerd.providers.transport import open_answer
from routerd.providers.transport.reading import read_content

EVENT = b'data: {"delta":"hi"}\n\n'
SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def answer_all(connection: Any) -> None:
    while await connection.read_request():
        await connection.answer()


async def test_one_connection_carries_calls_in_a_row(
    engine: str, serve: Any, make: Any, fetch: Any
):
    server = await serve(answer_all)
    transport = await make(engine)
    for _ in range(20):
        assert await fetch(transport, server.url()) == (200, b"ok")
    assert (server.accepted, len(server.requests)) == (1, 20)


async def test_first_event_is_read_while_the_server_waits(
    engine: str, serve: Any, make: Any, request_to: Any
):
    reader_has_it = asyncio.Event()

    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(SSE_HEAD + chunk(EVENT))
        await reader_has_it.wait()  # never set before the reader has the first event
        await connection.send(chunk(EVENT) + b"0\r\n\r\n")
        await connection.until_closed()

    server = await serve(handler)
    async with open_answer(await make(engine), request_to(server.url())) as response:
        stream = aiter(response)
        assert await anext(stream) == EVENT
        reader_has_it.set()
        assert b"".join([piece async for piece in stream]) == EVENT


async def test_a_streamed_body_read_to_its_end_gives_its_connection_back(
    engine: str, serve: Any, make: Any, fetch: Any
):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.send(SSE_HEAD + chunk(EVENT))
            await asyncio.sleep(0)
            await connection.send(b"0\r\n\r\n")

    server = await serve(handler)
    transport = await make(engine)
    for _ in range(3):
        assert await fetch(transport, server.url()) == (200, EVENT)
    assert server.accepted == 1


async def test_a_burst_comes_in_one_read(serve: Any, make: Any, request_to: Any):
    # httpx's own engine reads at most 64 KiB at a time.
    sent, burst = asyncio.Event(), EVENT * 5_000

    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(SSE_HEAD + chunk(EVENT))
        await connection.send(b"".join(chunk(EVENT) for _ in range(5_000)) + b"0\r\n\r\n")
        sent.set()
        await connection.until_closed()

    server = await serve(handler)
    async with open_answer(await make(), request_to(server.url())) as response:
        await sent.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        pieces = [piece async for piece in response]
    assert b"".join(pieces) == EVENT + burst
    assert len(pieces) == 1


async def test_an_abandoned_body_whose_last_byte_came_gives_its_connection_back(
    serve: Any, make: Any, request_to: Any
):
    # httpx's own engine gives a connection back only to who reads to the end.
    server = await serve(answer_all)
    transport = await make()
    for _ in range(3):
        async with open_answer(transport, request_to(server.url())) as response:
            assert response.status_code == 200
    assert server.accepted == 1


async def test_headers_go_out_exactly_as_given(engine: str, serve: Any, make: Any, fetch: Any):
    server = await serve(answer_all)
    headers = (
        (b"Authorization", b"Bearer test-key"),
        (b"X-Twice", b"1"),
        (b"X-Twice", b"2"),
        (b"x-name", "Zürich".encode()),
    )
    await fetch(await make(engine), server.url("/v1/chat?a=b%2Fc"), headers=headers)
    (received,) = server.requests
    assert received.line == b"POST /v1/chat?a=b%2Fc HTTP/1.1"
    sent = sorted((name.lower(), value) for name, value in received.headers)
    added = [(b"host", f"127.0.0.1:{server.port}".encode()), (b"content-length", b"7")]
    assert sent == sorted([*((name.lower(), value) for name, value in headers), *added])
    assert received.body == b'{"q":1}'


async def test_each_request_goes_out_with_its_own_headers_and_length(
    engine: str, serve: Any, make: Any, request_to: Any
):
    server = await serve(answer_all)
    transport = await make(engine)
    keys, bodies = (b"first", b"first", b"second", b"first"), (b"1", b"22", b"22", b"")
    one = request_to(server.url())
    given = list(one.headers)
    for key, body in zip(keys, bodies, strict=True):
        given[1:] = [(b"x-key", key)]  # in the list that was given before
        async with open_answer(transport, replace(one, headers=given, body=body)) as answer:
            await read_content(answer)
    assert [received.header(b"x-key") for received in server.requests] == list(keys)
    assert [received.body for received in server.requests] == list(bodies)
    lengths = [received.header(b"content-length") for received in server.requests]
    assert lengths == [b"1", b"2", b"2", b"0"]


@pytest.mark.parametrize(
    "path", ["/model/anthropic.x-v1%3A0/invoke", "/a%20b/%7Ec/%2F", "/v1beta/models/g:stream?alt=s"]
)
async def test_a_path_goes_out_byte_for_byte(
    engine: str, serve: Any, make: Any, fetch: Any, path: str
):
    server = await serve(answer_all)
    await fetch(await make(engine), server.url(path))
    assert server.requests[0].line == f"POST {path} HTTP/1.1".encode()


async def test_a_name_and_password_in_the_url_are_no_header(
    engine: str, serve: Any, make: Any, fetch: Any
):
    server = await serve(answer_all)
    await fetch(await make(engine), f"http://user:secret@127.0.0.1:{server.port}/")
    assert server.requests[0].header(b"authorization") is None


async def test_headers_of_an_answer_are_known_by_their_names_in_lower_case(
    engine: str, serve: Any, make: Any, request_to: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer(more=b"X-Request-Id: one\r\nx-twice: a\r\nX-Twice: b\r\n")

    server = await serve(handler)
    async with open_answer(await make(engine), request_to(server.url())) as answer:
        named = {b"x-request-id": b"one", b"x-twice": b"b", b"content-length": b"2"}
        assert dict(answer.names) == named
        assert [value for name, value in answer.raw_headers if name.lower() == b"x-twice"] == [
            b"a",
            b"b",
        ]


async def test_cookies_are_not_kept(engine: str, serve: Any, make: Any, fetch: Any):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer(more=b"set-cookie: session=1; path=/\r\n")

    server = await serve(handler)
    transport = await make(engine)
    for _ in range(2):
        await fetch(transport, server.url().replace("127.0.0.1", "localhost"))
    assert [received.header(b"cookie") for received in server.requests] == [None, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(
    engine: str, serve: Any, make: Any, request_to: Any, status: Any
):
    elsewhere = await serve(answer_all)

    async def handler(connection: Any) -> None:
        while await connection.read_request():
            location = f"location: {elsewhere.url()}\r\n".encode()
            await connection.answer(status=f"{status} Elsewhere", more=location)

    server = await serve(handler)
    headers = ((b"authorization", b"Bearer test-key"),)
    request = request_to(server.url(), headers=headers)
    async with open_answer(await make(engine), request) as response:
        assert response.status_code == status
        assert response.headers["location"] == elsewhere.url()
    assert elsewhere.accepted == 0


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
async def test_an_error_status_is_an_answer(
    engine: str, serve: Any, make: Any, fetch: Any, status: Any
):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer(b'{"error":1}', f"{status} Whatever")

    server = await serve(handler)
    assert await fetch(await make(engine), server.url()) == (status, b'{"error":1}')


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_a_body_of_any_size_goes_out_with_its_length(
    engine: str, serve: Any, make: Any, fetch: Any, size: int
):
    server = await serve(answer_all)
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    await fetch(await make(engine), server.url(), content=content)
    (received,) = server.requests
    assert received.body == content
    assert received.header(b"content-length") == str(size).encode()
    assert received.header(b"transfer-encoding") is None


async def test_long_header_lines_and_event_lines_are_fine(
    engine: str, serve: Any, make: Any, request_to: Any
):
    event = b"data: " + json.dumps({"delta": "x" * 300_000}).encode() + b"\n\n"

    async def handler(connection: Any) -> None:
        while await connection.read_request():
            head = SSE_HEAD.replace(b"content-type", b"x-long: " + b"y" * 60_000 + b"\r\nx-type")
            await connection.send(head + chunk(event) + b"0\r\n\r\n")

    server = await serve(handler)
    async with open_answer(await make(engine), request_to(server.url())) as response:
        assert len(response.headers["x-long"]) == 60_000
        assert b"".join([piece async for piece in response]) == event


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_slow_reader_gets_all_of_a_body_whose_server_has_left(
    engine: str, serve: Any, make: Any, request_to: Any, chunked: bool
):
    body = b"z" * 3_000_000

    async def handler(connection: Any) -> None:
        await connection.read_request()
        if chunked:
            await connection.send(SSE_HEAD + chunk(body) + b"0\r\n\r\n")
        else:
            await connection.answer(body, more=b"connection: close\r\n")

    server = await serve(handler)
    size = 0
    async with open_answer(await make(engine), request_to(server.url())) as response:
        async for piece in response:
            size += len(piece)
            await asyncio.sleep(0.001)
    assert size == len(body)


async def test_there_is_no_silent_limit_on_connections(
    engine: str, serve: Any, make: Any, fetch: Any
):
    # The cost of httpx's own engine grows with the square of its pool.
    calls, everyone_is_here = 500 if engine == "aiohttp" else 150, asyncio.Event()

    async def handler(connection: Any) -> None:
        await connection.read_request()
        if len(connection.server.requests) == calls:
            everyone_is_here.set()
        await everyone_is_here.wait()
        await connection.answer()

    server = await serve(handler)
    transport = await make(engine)
    answers = []

    async def call() -> None:
        answers.append(await fetch(transport, server.url(), read=15.0, connect=15.0))

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(call)
    assert answers == [(200, b"ok")] * calls
    assert server.accepted == calls


async def test_tls_with_a_trusted_certificate(
    engine: str, serve: Any, make: Any, fetch: Any, authority: Any
):
    server = await serve(answer_all, authority.server)
    transport = await make(engine, ca_file=authority.ca_file)
    for _ in range(3):
        assert await fetch(transport, server.url()) == (200, b"ok")
    assert server.accepted == 1


async def test_a_server_that_answers_first_and_reads_later_does_no_harm(
    serve: Any, make: Any, fetch: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_head()
        await connection.answer(b"too large", "413 Too Large", b"connection: close\r\n")
        await connection.until_closed()

    server = await serve(handler)
    transport = await make()
    assert await fetch(transport, server.url(), content=b"x" * 30_000_000) == (413, b"too large")


async def test_calling_a_closed_transport_is_refused(make: Any, fetch: Any):
    transport = await make()
    await transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await fetch(transport, "http://127.0.0.1:9/")
