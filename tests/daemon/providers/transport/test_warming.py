"""Connections that wait before the first call."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from routerd.providers.transport import warm
from tests.daemon.providers.transport.conftest import host_of

KEY = ((b"authorization", b"Bearer test-key"),)


def named(server: Any) -> list[tuple[bytes, bytes]]:
    return [host_of(server.url()), *KEY]


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "404 Not Found"])
async def test_the_first_calls_open_nothing(
    engine: str, serve: Any, make: Any, fetch: Any, status: Any
):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer(status=status)

    server = await serve(handler)
    transport = await make(engine)
    report = await warm(transport, server.url("/v1/models"), named(server), 4)
    assert (report.open, report.wanted, report.error) == (4, 4, None)
    assert server.accepted == 4
    for received in server.requests:
        assert received.line == b"GET /v1/models HTTP/1.1"
        assert received.header(b"authorization") == b"Bearer test-key"
        assert received.body == b""
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(fetch, transport, server.url())
    assert (server.accepted, len(server.requests)) == (4, 8)


async def test_over_tls(engine: str, serve: Any, make: Any, fetch: Any, authority: Any):
    async def handler(connection: Any) -> None:
        while await connection.read_request():
            await connection.answer()

    server = await serve(handler, authority.server)
    transport = await make(engine, ca_file=authority.ca_file)
    assert (await warm(transport, server.url(), named(server), 2)).open == 2
    await fetch(transport, server.url())
    assert server.accepted == 2


async def test_a_connection_the_server_closes_does_not_count(engine: str, serve: Any, make: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer(more=b"connection: close\r\n")

    server = await serve(handler)
    report = await warm(await make(engine), server.url(), named(server), 3)
    assert (report.open, report.error) == (0, None)


async def test_a_silent_server_costs_the_time_out_and_no_more(engine: str, serve: Any, make: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        if connection.number == 1:
            await connection.answer()
        await connection.until_closed()

    server = await serve(handler)
    report = await warm(await make(engine), server.url(), named(server), 3, timeout_seconds=0.5)
    assert report.open == 1
    assert report.seconds >= 0.5
    await server.until(lambda: len(server.closed_by_client) == 2)


async def test_a_server_that_is_not_there_is_reported_not_raised(
    engine: str, make: Any, unused_port: int
):
    report = await warm(await make(engine), f"http://127.0.0.1:{unused_port}/", KEY, 2)
    assert report.open == 0
    assert isinstance(report.error, httpx.ConnectError)


async def test_an_endless_answer_is_given_up(engine: str, serve: Any, make: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
        while True:
            await connection.send(b"x" * 65_536)

    server = await serve(handler)
    report = await warm(await make(engine), server.url(), named(server), 1)
    assert report.open == 0
    assert isinstance(report.error, httpx.DecodingError)


async def test_idle_connections_are_dropped_after_their_time(serve: Any, make: Any, fetch: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer()
        await connection.until_closed()

    server = await serve(handler)
    transport = await make(keepalive_seconds=0.2)
    assert (await warm(transport, server.url(), named(server), 1)).open == 1
    await server.client_closed.wait()
    assert await fetch(transport, server.url()) == (200, b"ok")
    assert server.accepted == 2
