"""A cancelled call is gone at the provider, in whatever phase it was; a shutdown leaves nothing."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import anyio
import httpx
import pytest

from routerd.providers.transport import Transport, open_answer, read_content

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=["http", "https"])
def tls(request: Any, authority: Any) -> Any:
    return authority if request.param == "https" else None


def trusting(tls: Any) -> Any:
    return {} if tls is None else {"ca_file": tls.ca_file}


async def read_all(transport: Transport, request: Any, started: Any) -> None:
    async with open_answer(transport, request) as response:
        async for _ in response:
            started.set()


async def test_before_the_connection_is_made(
    engine: str, make: Any, request_to: Any, full_listener: str
):
    transport = await make(engine)
    with anyio.move_on_after(0.2) as scope:
        await transport.send(request_to(full_listener, connect=60.0))
    assert scope.cancelled_caught


async def test_before_the_headers(engine: str, serve: Any, make: Any, request_to: Any, tls: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.until_closed()

    server = await serve(handler, tls and tls.server)
    transport = await make(engine, **trusting(tls))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, transport, request_to(server.url()), anyio.Event())
        await server.received.wait()
        tasks.cancel_scope.cancel()
    await server.client_closed.wait()


async def test_in_the_stream(engine: str, serve: Any, make: Any, request_to: Any, tls: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await connection.until_closed()

    server = await serve(handler, tls and tls.server)
    transport = await make(engine, **trusting(tls))
    started = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, transport, request_to(server.url()), started)
        await started.wait()
        tasks.cancel_scope.cancel()
    await server.client_closed.wait()


async def test_while_the_request_is_written(serve: Any, make: Any, request_to: Any, tls: Any):
    # httpx's own engine shares the promise, but not over TLS: it waits for the provider's goodbye.
    async def handler(connection: Any) -> None:
        await connection.read_head()
        connection.server.received.set()
        await half_read.wait()
        await connection.until_closed()

    half_read = asyncio.Event()
    server = await serve(handler, tls and tls.server)
    transport = await make(**trusting(tls))
    request = request_to(server.url(), content=b"x" * 30_000_000, write=60.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, transport, request, anyio.Event())
        await server.received.wait()
        tasks.cancel_scope.cancel()
    half_read.set()
    await server.client_closed.wait()


async def test_a_reader_that_was_cancelled_may_read_on(serve: Any, make: Any, request_to: Any):
    # httpx's own engine closes a stream whose reader was cancelled.
    waiting_over = asyncio.Event()

    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await waiting_over.wait()
        await connection.send(b"3\r\ndef\r\n0\r\n\r\n")
        await connection.until_closed()

    server = await serve(handler)
    async with open_answer(await make(), request_to(server.url())) as response:
        stream = aiter(response)
        assert await anext(stream) == b"abc"
        with anyio.move_on_after(0.05) as scope:
            await anext(stream)
        assert scope.cancelled_caught
        waiting_over.set()
        assert await anext(stream) == b"def"


async def test_leaving_a_stream_early_closes_it(
    engine: str, serve: Any, make: Any, request_to: Any, tls: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await connection.until_closed()

    server = await serve(handler, tls and tls.server)
    transport = await make(engine, **trusting(tls))
    async with open_answer(transport, request_to(server.url())) as response:
        assert await anext(aiter(response)) == b"abc"
    await server.client_closed.wait()
    if engine == "aiohttp":
        with pytest.raises(httpx.StreamClosed):
            await anext(aiter(response))


async def test_a_cancelled_call_takes_no_connection_from_the_others(
    engine: str, serve: Any, make: Any, fetch: Any, request_to: Any
):
    async def handler(connection: Any) -> None:
        while received := await connection.read_request():
            if received.line.startswith(b"POST /slow"):
                await connection.until_closed()
                return
            await connection.answer()

    server = await serve(handler)
    transport = await make(engine)
    assert await fetch(transport, server.url()) == (200, b"ok")
    server.received.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, transport, request_to(server.url("/slow")), anyio.Event())
        await server.received.wait()
        tasks.cancel_scope.cancel()
    await server.client_closed.wait()
    assert await fetch(transport, server.url()) == (200, b"ok")
    assert server.accepted == 2


async def test_shutdown_ends_calls_in_every_phase(serve: Any, make: Any, request_to: Any, tls: Any):
    async def handler(connection: Any) -> None:
        received = await connection.read_head()
        connection.server.requests.append(received)
        connection.server.changed.set()
        if received.line.startswith(b"POST /stream"):
            await connection.send(CHUNKED + b"3\r\nabc\r\n")
        if received.line.startswith(b"POST /unread"):
            await asyncio.Event().wait()
        await connection.until_closed()

    server = await serve(handler, tls and tls.server)
    transport = await make(**trusting(tls))
    outcomes, streaming = {}, anyio.Event()

    async def call(path: str, content: Any) -> None:
        try:
            await read_all(transport, request_to(server.url(path), content=content), streaming)
        except httpx.TransportError as error:
            outcomes[path] = type(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, "/stream", b"x")
        tasks.start_soon(call, "/silent", b"x")
        tasks.start_soon(call, "/unread", b"x" * 30_000_000)
        await streaming.wait()
        await server.until(lambda: len(server.requests) == 3)
        await transport.aclose()
    assert set(outcomes) == {"/stream", "/silent", "/unread"}
    assert outcomes["/stream"] is httpx.ReadError
    gc.collect()  # an unclosed connection would warn now, and warnings are errors


async def test_shutdown_with_idle_connections_leaves_nothing(
    serve: Any, make: Any, fetch: Any, tls: Any
):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer()

    server = await serve(handler, tls and tls.server)
    transport = await make(**trusting(tls))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(fetch, transport, server.url())
    await transport.aclose()
    await server.until(lambda: not server.open)
    gc.collect()


async def test_shutdown_closes_a_response_nobody_closed(serve: Any, make: Any, request_to: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await connection.until_closed()

    server = await serve(handler)
    transport = await make()
    response = await transport.send(request_to(server.url()))
    assert await anext(aiter(response)) == b"abc"
    await transport.aclose()
    await server.client_closed.wait()
    with pytest.raises(httpx.ReadError):
        await read_content(response)


@pytest.mark.parametrize("phase", ["before the headers", "in the stream"])
async def test_a_provider_that_says_no_goodbye_over_tls_is_left_at_once(
    serve: Any, make: Any, request_to: Any, authority: Any, phase: Any
):
    # httpx's own engine is not held to this. TLS waits for the other side's goodbye; this one
    # never hears ours, because what is in between stops passing it on.
    async def provider(connection: Any) -> None:
        await connection.read_request()
        if phase == "in the stream":
            await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await asyncio.Event().wait()

    async def between(connection: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        answers = asyncio.create_task(pass_on(reader, connection.writer))
        try:
            while data := await connection.reader.read(65_536):
                if not deaf.is_set():
                    writer.write(data)
            connection.server.client_closed.set()
        except ConnectionError:
            connection.server.client_closed.set()
        finally:
            answers.cancel()
            writer.transport.abort()

    async def pass_on(reader: Any, writer: Any) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    deaf, started = asyncio.Event(), anyio.Event()
    target = await serve(provider, authority.server)
    middle = await serve(between)
    transport = await make(ca_file=authority.ca_file)
    request = request_to(f"https://localhost:{middle.port}/")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, transport, request, started)
        await target.received.wait()
        if phase == "in the stream":
            await started.wait()
        deaf.set()
        tasks.cancel_scope.cancel()
    await middle.client_closed.wait()
