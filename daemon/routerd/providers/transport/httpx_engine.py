"""The other engine: httpx's own, for what aiohttp cannot do, which is HTTP/2 and SOCKS proxies.

Slower by an order of magnitude on a busy pool, so a provider gets it only where its settings ask
for it. What differs from the default engine: a burst comes in pieces of at most 64 KiB, and no
method is ever repeated on a dead connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import anyio
import httpx

from routerd.providers.transport.failures import described, root_cause
from routerd.providers.transport.interface import Request
from routerd.providers.transport.proxies import Proxies
from routerd.providers.transport.sending import Sending
from routerd.providers.transport.timeouts import Timeouts

SocketOption = tuple[int, int, int]

CLOSE_SECONDS = 2.0


class HttpxAnswer:
    """An answer in httpx's types, as answers are here; its errors quote nothing of it.

    `sending` counts how long it is waited for, the engine's own work included.
    """

    def __init__(self, response: httpx.Response, host: str, sending: Sending) -> None:
        self._response = response
        self._host = host
        self._sending = sending

    @property
    def status_code(self) -> int:
        """The status."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by name; those that came several times joined by commas."""
        return self._response.headers

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as they came."""
        return self._response.headers.raw

    @property
    def names(self) -> dict[bytes, bytes]:
        """The headers by their names in lower case; where one came several times, the last."""
        return {name.lower(): value for name, value in self._response.headers.raw}

    @property
    def stays_open(self) -> bool:
        """Whether the server keeps a connection after this answer."""
        options = self._response.headers.get("connection", "").lower()
        return "close" not in options and (
            self._response.http_version != "HTTP/1.0" or "keep-alive" in options
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("this answer was not read through an async transport")
        sending = self._sending
        sending.wait()
        try:
            async for data in stream:
                sending.go_on()
                yield data
                sending.wait()
        except httpx.TransportError as error:
            raise without_quotes(error, self._host) from root_cause(error)
        finally:
            sending.go_on()

    async def aclose(self) -> None:
        """Give the connection back, or up if the body was not read to its end.

        A cancelled task can do it.
        """
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._response.aclose()


class HttpxTransport:
    """Carry requests over httpx's own engine, with a pool for every proxy and one for none.

    Arguments as for `AiohttpTransport`; `http2` needs the package h2, a SOCKS proxy socksio.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        http2: bool = False,
        proxies: Proxies | None = None,
        timeouts: Timeouts | None = None,
        keepalive_seconds: float = 300.0,
        socket_options: Iterable[SocketOption] = (),
    ) -> None:
        self._proxies = proxies or Proxies()
        self._timeouts = timeouts or Timeouts()
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=None,
            keepalive_expiry=keepalive_seconds,
        )
        self._pools = {
            proxy: httpx.AsyncHTTPTransport(
                verify=ssl_context,
                trust_env=False,
                http2=http2,
                limits=limits,
                proxy=proxy,
                socket_options=list(socket_options),
            )
            for proxy in {None, self._proxies.http, self._proxies.https}
        }

    async def send(self, request: Request) -> HttpxAnswer:
        """Send a request and return its answer as soon as the headers are here.

        Raises httpx.TransportError; a redirect is returned like any answer.
        """
        try:
            url = httpx.URL(request.url)
        except httpx.InvalidURL:  # its text quotes the URL
            raise httpx.UnsupportedProtocol("the URL cannot be called") from None
        extensions: dict[str, Any] = {
            "timeout": (request.timeouts or self._timeouts).as_extension()
        }
        sending = request.sending
        if sending is None:
            sending = Sending()
        else:
            extensions["trace"] = noting(sending)
        headers, body = request.headers, request.body
        if body is not None:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        asked = httpx.Request(
            request.method,
            url,
            headers=headers,
            # Not `content=`: that builds headers which are already here, at four times the cost.
            stream=httpx.ByteStream(body or b""),
            extensions=extensions,
        )
        pool = self._pools[self._proxies.choose(url.scheme, url.host, url.port)]
        sending.wait()
        try:
            response = await pool.handle_async_request(asked)
        except httpx.TransportError as error:
            raise without_quotes(error, url.host) from root_cause(error)
        finally:
            sending.go_on()
        response.request = asked
        return HttpxAnswer(response, url.host, sending)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()


def noting(sending: Sending) -> Callable[[str, dict[str, Any]], Awaitable[None]]:
    """Return a hook of the engine that notes when a request's first bytes go out.

    A proxy's CONNECT is none of the provider's bytes.
    """

    async def trace(name: str, info: dict[str, Any]) -> None:
        if name.endswith(".send_request_headers.started"):
            sending.started = sending.started or info["request"].method != b"CONNECT"

    return trace


def without_quotes(error: httpx.TransportError, host: str) -> httpx.TransportError:
    """Return the same error with a text of ours: the engine's may quote pieces of the answer."""
    return type(error)(described("the call failed", host, error))
