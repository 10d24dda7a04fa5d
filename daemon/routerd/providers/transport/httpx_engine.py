"""The other engine: httpx's own, for what aiohttp cannot do, which is HTTP/2 and SOCKS proxies.

Slower by an order of magnitude on a busy pool, so a provider gets it only where its settings ask
for it. What differs from the default engine: a burst comes in pieces of at most 64 KiB, and no
method is ever repeated on a dead connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anyio
import httpx

from routerd.providers.transport.failures import described, root_cause
from routerd.providers.transport.proxies import Proxies
from routerd.providers.transport.sending import SENDING, Sending
from routerd.providers.transport.timeouts import Timeouts

SocketOption = tuple[int, int, int]

CLOSE_SECONDS = 2.0


class HttpxTransport(httpx.AsyncBaseTransport):
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
        self._default_timeouts = (timeouts or Timeouts()).as_extension()
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

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response as soon as the headers are here.

        Raises httpx.TransportError; a redirect is returned like any answer.
        """
        url = request.url
        request.extensions.setdefault("timeout", self._default_timeouts)
        if (sending := request.extensions.get(SENDING)) is not None:
            request.extensions["trace"] = noting(sending)
        pool = self._pools[self._proxies.choose(url.scheme, url.host, url.port)]
        try:
            response = await pool.handle_async_request(request)
        except httpx.TransportError as error:
            raise without_quotes(error, url.host) from root_cause(error)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = GuardedStream(response.stream, url.host)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()


class GuardedStream(httpx.AsyncByteStream):
    """A body whose errors quote nothing of it, and whose closing a cancelled task can do."""

    def __init__(self, stream: httpx.AsyncByteStream, host: str) -> None:
        self._stream = stream
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                yield data
        except httpx.TransportError as error:
            raise without_quotes(error, self._host) from root_cause(error)

    async def aclose(self) -> None:
        """Give the connection back, or up if the body was not read to its end."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._stream.aclose()


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
