"""Every way to fail, its class, and what it says about sending again."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import http_exceptions

from routerd.errors import ErrorClass
from routerd.providers.transport import Transport, as_failure, open_answer, request_may_have_arrived
from routerd.providers.transport.failures import ENGINE_ERRORS, RULES, root_cause

SECRET = "key=sk-secret"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def fails(fetch: Any) -> Any:
    """Make a call that fails, and check what every failure promises."""

    async def call(
        transport: Transport,
        url: str,
        error_class: Any,
        *,
        sent: bool,
        **kwargs: Any,
    ) -> Any:
        with pytest.raises(httpx.TransportError) as caught:
            await fetch(transport, url, **kwargs)
        error = caught.value
        assert type(error) is error_class
        assert request_may_have_arrived(error) is sent
        assert error.__suppress_context__ or error.__context__ is None
        assert error.__cause__ is None or isinstance(error.__cause__, OSError)
        shown = "".join(traceback.format_exception(error))
        assert "sk-secret" not in shown
        assert "answer-text" not in shown
        return error

    return call


async def test_refused(engine: str, make: Any, fails: Any, unused_port: int):
    url = f"http://127.0.0.1:{unused_port}/?{SECRET}"
    error = await fails(await make(engine), url, httpx.ConnectError, sent=False)
    assert isinstance(error.__cause__, ConnectionRefusedError) or engine == "httpx"


async def test_unknown_name(engine: str, make: Any, fails: Any):
    url = f"http://does-not-exist.invalid/?{SECRET}"
    await fails(await make(engine), url, httpx.ConnectError, sent=False, connect=15.0)


async def test_connect_time_out(engine: str, make: Any, fails: Any, full_listener: str):
    url = f"{full_listener}?{SECRET}"
    await fails(await make(engine), url, httpx.ConnectTimeout, sent=False, connect=0.2)


async def test_a_time_out_of_nothing_is_not_endless(make: Any, fails: Any, full_listener: str):
    await fails(await make(), full_listener, httpx.ConnectTimeout, sent=False, connect=0.0)
    await fails(await make(), full_listener, httpx.ConnectTimeout, sent=False, connect=-1.0)


async def test_a_certificate_of_a_stranger(
    engine: str, serve: Any, make: Any, fails: Any, authority: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()

    server = await serve(handler, authority.server)
    await fails(await make(engine), server.url(f"/?{SECRET}"), httpx.ConnectError, sent=False)
    assert server.requests == []


async def test_a_certificate_of_another_name(
    engine: str, serve: Any, make: Any, fails: Any, authority: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()

    server = await serve(handler, authority.server)
    transport = await make(engine, ca_file=authority.ca_file)
    url = server.url().replace("localhost", "127.0.0.1")
    await fails(transport, url, httpx.ConnectError, sent=False)
    assert server.requests == []


async def test_tls_to_a_server_without(engine: str, serve: Any, make: Any, fails: Any):
    async def handler(connection: Any) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await serve(handler)
    url = server.url().replace("http:", "https:")
    await fails(await make(engine), url, httpx.ConnectError, sent=False)


async def test_silence_before_the_headers(engine: str, serve: Any, make: Any, fails: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.until_closed()

    server = await serve(handler)
    url = server.url(f"/?{SECRET}")
    await fails(await make(engine), url, httpx.ReadTimeout, sent=True, read=0.2)
    await server.client_closed.wait()
    assert len(server.requests) == 1


async def test_silence_in_the_body(engine: str, serve: Any, make: Any, request_to: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await connection.until_closed()

    server = await serve(handler)
    request = request_to(server.url(), read=0.2)
    async with open_answer(await make(engine), request) as response:
        stream = aiter(response)
        assert await anext(stream) == b"abc"
        with pytest.raises(httpx.ReadTimeout):
            await anext(stream)
    await server.client_closed.wait()


async def test_a_body_nobody_takes(engine: str, serve: Any, make: Any, fails: Any):
    async def handler(connection: Any) -> None:
        await connection.read_head()
        await connection.server.received.wait()  # never set: the body stays unread

    server = await serve(handler)
    content = b"x" * 30_000_000
    error_class = httpx.WriteTimeout
    await fails(
        await make(engine), server.url(), error_class, sent=True, content=content, write=0.2
    )


async def test_hang_up_after_reading(engine: str, serve: Any, make: Any, fails: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()

    server = await serve(handler)
    url = server.url(f"/?{SECRET}")
    await fails(await make(engine), url, httpx.RemoteProtocolError, sent=True)
    assert len(server.requests) == 1


async def test_reset_after_reading(engine: str, serve: Any, make: Any, fails: Any):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        connection.reset()

    server = await serve(handler)
    error = await fails(await make(engine), server.url(), httpx.ReadError, sent=True)
    # Between httpx's own engine and the system is a library that drops the cause.
    assert isinstance(error.__cause__, ConnectionResetError) or engine == "httpx"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "greeting",
    [b"SSH-2.0-answer-text\r\n", b"\x16\x03\x01answer-text\r\n\r\n", b"answer-text\r\n\r\n"],
)
async def test_a_server_that_speaks_something_else(
    engine: str, serve: Any, make: Any, fails: Any, greeting: bytes
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(greeting)

    server = await serve(handler)
    url = server.url(f"/?{SECRET}")
    await fails(await make(engine), url, httpx.RemoteProtocolError, sent=True)


@pytest.mark.parametrize(
    "start",
    [
        CHUNKED + b"b\r\nanswer-text\r\n",
        CHUNKED + b"ff\r\nanswer-text",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nanswer-text",
    ],
)
async def test_a_cut_body(
    engine: str, serve: Any, make: Any, request_to: Any, fails: Any, start: bytes
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(start)

    server = await serve(handler)
    transport = await make(engine)
    await fails(transport, server.url(), httpx.RemoteProtocolError, sent=True)
    async with open_answer(transport, request_to(server.url())) as response:
        stream = aiter(response)
        assert await anext(stream) == b"answer-text"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(stream)


@pytest.mark.parametrize("broken", [b"zz\r\nanswer-text", b"2\r\nanswer-text\r\n"])
async def test_a_body_that_stops_being_http(
    engine: str, serve: Any, make: Any, fails: Any, broken: bytes
):
    # Without help, aiohttp's reader waits for ever here, past its read time-out.
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await asyncio.sleep(0.05)  # after the headers are through
        await connection.send(broken)
        await connection.until_closed()

    server = await serve(handler)
    await fails(await make(engine), server.url(), httpx.RemoteProtocolError, sent=True)
    await server.client_closed.wait()


async def test_a_reset_is_no_end_of_a_body_without_a_length(
    engine: str, serve: Any, make: Any, request_to: Any
):
    reader_has_it = asyncio.Event()

    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc")
        await reader_has_it.wait()
        connection.reset()

    server = await serve(handler)
    async with open_answer(await make(engine), request_to(server.url())) as response:
        stream = aiter(response)
        assert await anext(stream) == b"abc"
        reader_has_it.set()
        with pytest.raises(httpx.ReadError):
            await anext(stream)


async def test_an_orderly_end_ends_a_body_without_a_length(
    engine: str, serve: Any, make: Any, fetch: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc")

    server = await serve(handler)
    assert await fetch(await make(engine), server.url()) == (200, b"abc")


async def test_what_came_before_the_failure_is_handed_over_first(
    engine: str, serve: Any, make: Any, request_to: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.send(CHUNKED + b"3\r\nabc\r\n")
        await connection.send(b"3\r\ndef\r\n")

    server = await serve(handler)
    got = b""
    async with open_answer(await make(engine), request_to(server.url())) as response:
        # The reader is late: all of it and the end are here before it reads.
        await server.until(lambda: not server.open)
        await asyncio.sleep(0.05)
        stream = aiter(response)
        while len(got) < 6:
            got += await anext(stream)
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(stream)
    assert got == b"abcdef"


async def test_a_kept_connection_that_dies_fails_a_post_once(
    engine: str, serve: Any, make: Any, fetch: Any, fails: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer()
        await connection.read_request()  # and hangs up

    server = await serve(handler)
    transport = await make(engine)
    assert await fetch(transport, server.url()) == (200, b"ok")
    await fails(transport, server.url(), httpx.RemoteProtocolError, sent=True)
    assert len(server.requests) == 2
    assert await fetch(transport, server.url()) == (200, b"ok")


async def test_a_kept_connection_that_dies_repeats_a_get(serve: Any, make: Any, fetch: Any):
    # aiohttp does that by itself; httpx's own engine does not.
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer()
        await connection.read_request()  # and hangs up

    server = await serve(handler)
    transport = await make()
    for _ in range(2):
        assert await fetch(transport, server.url(), method="GET") == (200, b"ok")
    assert (len(server.requests), server.accepted) == (3, 2)


async def test_a_connection_closed_while_idle_is_not_used(
    engine: str, serve: Any, make: Any, fetch: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()
        await connection.answer()

    server = await serve(handler)
    transport = await make(engine)
    for calls in range(1, 4):
        assert await fetch(transport, server.url()) == (200, b"ok")
        assert server.accepted == calls
        await server.until(lambda: not server.open)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "unix:///run/x"])
async def test_a_url_that_is_not_http(engine: str, make: Any, fails: Any, url: str):
    await fails(await make(engine), url, httpx.UnsupportedProtocol, sent=False)


@pytest.mark.parametrize("value", [b"a\r\nx-smuggled: 1", b"a\x00b"])
async def test_a_header_that_cannot_be_one(
    engine: str, serve: Any, make: Any, fails: Any, value: Any
):
    async def handler(connection: Any) -> None:
        await connection.read_request()

    server = await serve(handler)
    headers = ((b"x-key", value),)
    await fails(
        await make(engine), server.url(), httpx.LocalProtocolError, sent=False, headers=headers
    )
    assert server.requests == []


def test_every_error_of_the_engine_has_a_rule_and_none_is_shadowed():
    def subclasses(error: Any) -> Any:
        return {error}.union(*(subclasses(each) for each in error.__subclasses__()))

    for error in ENGINE_ERRORS:
        for each in subclasses(error):
            assert any(issubclass(each, rule[0]) for rule in RULES)
    for place, (general, _, _) in enumerate(RULES):
        assert not any(issubclass(later, general) for later, _, _ in RULES[place + 1 :])


def test_the_cause_is_the_systems_error_and_never_the_engines():
    system = ConnectionResetError(104, "reset")
    outer = aiohttp.ClientOSError(104, "reset")
    outer.__cause__ = system
    assert root_cause(outer) is system
    assert root_cause(aiohttp.ClientOSError(1, "x")) is None
    assert root_cause(http_exceptions.BadStatusLine("x")) is None


@pytest.mark.parametrize(
    ("error", "error_class", "sent"),
    [
        (httpx.ConnectTimeout("x"), ErrorClass.TIMEOUT, False),
        (httpx.ReadTimeout("x"), ErrorClass.TIMEOUT, True),
        (httpx.WriteTimeout("x"), ErrorClass.TIMEOUT, True),
        (httpx.ConnectError("x"), ErrorClass.CONNECTION, False),
        (httpx.ProxyError("x"), ErrorClass.CONNECTION, False),
        (httpx.ReadError("x"), ErrorClass.CONNECTION, True),
        (httpx.RemoteProtocolError("x"), ErrorClass.CONNECTION, True),
        (httpx.DecodingError("x"), ErrorClass.BAD_ANSWER, True),
    ],
)
def test_a_transport_error_as_plain_data(error: Any, error_class: Any, sent: bool):
    failure = as_failure(error, "headers")
    assert (failure.error_class, failure.request_sent) == (error_class, sent)
    assert (failure.phase, failure.message) == ("headers", "x")
