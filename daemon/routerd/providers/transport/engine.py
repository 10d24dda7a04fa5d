"""The default engine: httpx's transport interface on aiohttp's connections.

Lives here: one call's way through aiohttp, its connection pool, its body as a stream. Never here:
retries, redirects, cookies, `.netrc`, keys, any look at the environment, any limit on how many
calls run at once (that is counted before a call gets here).

Good to know:
- aiohttp repeats a GET, HEAD, PUT, DELETE or OPTIONS by itself, once, when a kept connection turns
  out to be dead. A POST is never repeated: where the server closed a kept connection in the moment
  the request was written, it fails as `RemoteProtocolError` (or `ReadError`, `WriteError`), and the
  caller may send it once more.
- A connection goes back to the pool when the last byte of its body is here, the end marker of a
  chunked body included. Reading on to the end keeps it; closing before the end gives it up.
- Whoever gets a response closes it, also when cancelled (`open_response` does). Closing never
  waits, so that a cancelled task can do it; the connection is gone at once.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import aiohttp
import httpx
import yarl

from routerd.providers.transport.failures import ENGINE_ERRORS, as_httpx_error, root_cause
from routerd.providers.transport.proxies import Proxies
from routerd.providers.transport.receiving import Abortable, ResponseStream
from routerd.providers.transport.sending import SENDING, RequestBody
from routerd.providers.transport.timeouts import Timeouts, at_least_shortest, client_timeout

SKIPPED_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
METHODS_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
URLS_KEPT = 1024
TIMEOUTS_KEPT = 256

SocketOption = tuple[int, int, int]
Target = tuple[yarl.URL, yarl.URL | None]


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Carry requests over aiohttp.

    `ssl_context`: what HTTPS trusts; made by the caller, because making one blocks. `timeouts`: for
    requests without a `timeout` extension. `keepalive_seconds`: how long an idle connection is
    kept. `max_header_bytes`, `max_headers`: the longest header line and the most lines of an
    answer. `socket_options`: set on every new connection.

    The connections belong to the loop of the first call. `aclose()` ends calls that still run.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        proxies: Proxies | None = None,
        timeouts: Timeouts | None = None,
        keepalive_seconds: float = 300.0,
        max_header_bytes: int = 131_072,
        max_headers: int = 1_000,
        socket_options: Iterable[SocketOption] = (),
    ) -> None:
        self._ssl_context = ssl_context
        self._proxies = proxies or Proxies()
        self._default_timeouts = (timeouts or Timeouts()).as_extension()
        self._keepalive_seconds = keepalive_seconds
        self._max_header_bytes = max_header_bytes
        self._max_headers = max_headers
        self._socket_options = tuple(socket_options)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._open: set[Abortable] = set()
        self._target = functools.lru_cache(URLS_KEPT)(self._new_target)
        self._client_timeout = functools.lru_cache(TIMEOUTS_KEPT)(client_timeout)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response as soon as the headers are here.

        Raises httpx.TransportError; `failures.request_may_have_arrived` says what it means for
        sending again. A redirect is returned like any answer.
        """
        session = self._session or self._open_session()
        url, proxy = self._target(str(request.url))
        timeouts = request.extensions.get("timeout", self._default_timeouts)
        streamed = not isinstance(request.stream, httpx.ByteStream)
        content = await request.aread()
        body: RequestBody | None = None
        if content or request.method not in METHODS_WITHOUT_BODY:
            sending = request.extensions.get(SENDING)
            body = RequestBody(content, at_least_shortest(timeouts.get("write")), sending)
            self._open.add(body)
        try:
            response = await session.request(
                request.method,
                url,
                headers=text_headers(request, streamed=streamed),
                data=body,
                proxy=proxy,
                allow_redirects=False,
                timeout=self._client_timeout(timeouts.get("connect"), timeouts.get("read")),
            )
        except ENGINE_ERRORS as error:
            if body is not None:
                body.abort()
            sent = None if body is None else body.sending.started
            failure = as_httpx_error(error, url.host or "", sent=sent, proxied=proxy is not None)
            raise failure from root_cause(error)
        except BaseException:  # cancelled: the body must not go on being read
            if body is not None:
                body.abort()
            raise
        finally:
            if body is not None:
                self._open.discard(body)
        return self._response(request, response)

    async def aclose(self) -> None:
        """Close every connection; calls that still run end with an error."""
        self._closed = True
        for part in tuple(self._open):
            part.abort()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _response(self, request: httpx.Request, response: aiohttp.ClientResponse) -> httpx.Response:
        stream = ResponseStream(response, self._open)
        version = response.version
        extensions: dict[str, Any] = {
            "http_version": b"HTTP/1.0" if version == aiohttp.HttpVersion10 else b"HTTP/1.1",
            "reason_phrase": (response.reason or "").encode("latin-1", "replace"),
        }
        return httpx.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=stream,
            request=request,
            extensions=extensions,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this transport is closed")
        connector = aiohttp.TCPConnector(
            ssl=self._ssl_context,
            limit=0,
            keepalive_timeout=self._keepalive_seconds,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=self._new_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=SKIPPED_HEADERS,
            max_line_size=self._max_header_bytes,
            max_field_size=self._max_header_bytes,
            max_headers=self._max_headers,
        )
        return self._session

    def _new_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        connection = socket.socket(family, kind, protocol)
        for option in self._socket_options:
            connection.setsockopt(*option)
        return connection

    def _new_target(self, text: str) -> Target:
        """Return the engine's URL, byte for byte as given, and the proxy for it."""
        try:
            url = yarl.URL(text, encoded=True)
            port = url.port
        except ValueError:  # its text quotes the URL
            raise httpx.UnsupportedProtocol("the URL cannot be called") from None
        host = url.host
        if url.scheme not in {"http", "https"} or not host:
            raise httpx.UnsupportedProtocol("the URL is not http:// or https:// with a host")
        if url.raw_user is not None or url.raw_password is not None:
            url = url.with_user(None)  # aiohttp would make an Authorization header of it
        proxy = self._proxies.choose(url.scheme, host, port)
        return url, None if proxy is None else yarl.URL(proxy)


def text_headers(request: httpx.Request, *, streamed: bool) -> list[tuple[str, str]]:
    """Return the headers to send, exactly as given; ValueError for bytes that are not UTF-8.

    A body that httpx would send in chunks goes out with its length instead.
    """
    return [
        (name.decode("ascii"), value.decode())
        for name, value in request.headers.raw
        if not (streamed and name.lower() == b"transfer-encoding")
    ]
