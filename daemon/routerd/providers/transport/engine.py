"""The default engine: aiohttp's connections, without its session.

Lives here: one call's way through aiohttp's pool, and what of a failure is told. Never here:
retries, redirects, cookies, `.netrc`, keys, any look at the environment, any limit on how many
calls run at once (that is counted before a call gets here).

aiohttp's session makes a request, a writer, a task and a response of its own for each call, and
asks for redirects, cookies and proxies that no call here has: half of what a call cost. What is
used of aiohttp is its connector: names, addresses, TLS, tunnels.

Good to know:
- A GET, HEAD, PUT, DELETE or OPTIONS is repeated once when a kept connection turns out to be dead.
  A POST is never repeated: where the server closed a kept connection in the moment the request was
  written, it fails as `RemoteProtocolError` (or `ReadError`, `WriteError`), and the caller may send
  it once more.
- A connection goes back to the pool when the last byte of its body is here, the end marker of a
  chunked body included. Reading on to the end keeps it; closing before the end gives it up.
- Whoever gets an answer closes it, also when cancelled (`open_answer` does). Closing never waits,
  so that a cancelled task can do it; the connection is gone at once.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Iterable
from typing import Any, Final

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection

from routerd.providers.transport.failures import ENGINE_ERRORS, as_httpx_error, root_cause
from routerd.providers.transport.http_answer import AnswerParser
from routerd.providers.transport.idle import IdleConnections
from routerd.providers.transport.interface import Request
from routerd.providers.transport.places import Place, place_of
from routerd.providers.transport.proxies import Proxies
from routerd.providers.transport.receiving import Abortable, AiohttpAnswer, Carrier
from routerd.providers.transport.sending import Sending, write_request
from routerd.providers.transport.timeouts import Timeouts, engine_limits

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
LOST: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
PLACES_KEPT: Final = 1024
TIMEOUTS_KEPT: Final = 256

SocketOption = tuple[int, int, int]


class AiohttpTransport:
    """Carry requests over aiohttp.

    `ssl_context`: what HTTPS trusts; made by the caller, because making one blocks. `timeouts`: for
    requests that name none. `keepalive_seconds`: how long an idle connection is kept.
    `max_header_bytes`, `max_headers`: the longest header line and the most lines of an answer.
    `socket_options`: set on every new connection.

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
        self._timeouts = timeouts or Timeouts()
        self._keepalive_seconds = keepalive_seconds
        self._max_header_bytes = max_header_bytes
        self._max_headers = max_headers
        self._socket_options = tuple(socket_options)
        self._loop: asyncio.AbstractEventLoop
        self._connector: aiohttp.TCPConnector | None = None
        self._closed = False
        self._open: set[Abortable] = set()
        self._idle: dict[ConnectionKey, IdleConnections] = {}
        self._place = functools.lru_cache(PLACES_KEPT)(self._new_place)
        self._limits = functools.lru_cache(TIMEOUTS_KEPT)(engine_limits)

    async def send(self, request: Request) -> AiohttpAnswer:
        """Send a request and return its answer as soon as the headers are here.

        Raises httpx.TransportError; `failures.request_may_have_arrived` says what it means for
        sending again. A redirect is returned like any answer.
        """
        connector = self._connector or self._open_connector()
        place = self._place(request.url)
        sending = request.sending or Sending()
        was_repeated = False
        while True:
            try:
                return await self._exchange(connector, place, request, sending)
            except ENGINE_ERRORS as error:
                may_repeat = request.method in IDEMPOTENT and not request.body
                if may_repeat and not was_repeated and was_dead(error):
                    was_repeated = True
                    continue
                failure = as_httpx_error(
                    error, place.name, sent=sending.started, proxied=place.proxied
                )
                raise failure from root_cause(error)

    async def _exchange(
        self,
        connector: aiohttp.TCPConnector,
        place: Place,
        request: Request,
        sending: Sending,
    ) -> AiohttpAnswer:
        head = place.head(request.method, request.headers, request.body)
        limits, read_seconds, write_seconds = self._limits(request.timeouts or self._timeouts)
        idle = self._idle[place.connection_key]
        connection, carrier = idle.take() or await _connect(connector, place, limits, sending)
        parser = AnswerParser(
            self._max_header_bytes, self._max_headers, has_body=request.method != "HEAD"
        )
        answer = AiohttpAnswer(connection, carrier, parser, place.name, self._open, sending, idle)
        try:
            carrier.carry(answer, read_seconds)
            answer.writer = write_request(
                carrier, head, request.body or b"", sending, write_seconds, answer.fail
            )
            await answer.begin()
        except BaseException:  # cancelled too: what was asked for must not be worked on
            answer.abort()
            raise
        return answer

    async def aclose(self) -> None:
        """Close every connection; calls that still run end with an error."""
        self._closed = True
        for part in tuple(self._open):
            part.abort()
        for idle in self._idle.values():
            idle.close()
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()

    def _open_connector(self) -> aiohttp.TCPConnector:
        if self._closed:
            raise RuntimeError("this transport is closed")
        self._loop = asyncio.get_running_loop()
        self._connector = aiohttp.TCPConnector(
            ssl=self._ssl_context,
            limit=0,
            keepalive_timeout=self._keepalive_seconds,
            resolver=aiohttp.ThreadedResolver(),
            socket_factory=self._new_socket,
        )
        # There is no other way to have connections of one's own kind: its tests would notice.
        own_kind = functools.partial(Carrier, self._loop)
        self._connector._factory = own_kind  # type: ignore[assignment]  # noqa: SLF001
        return self._connector

    def _new_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        connection = socket.socket(family, kind, protocol)
        for option in self._socket_options:
            connection.setsockopt(*option)
        return connection

    def _new_place(self, url: str) -> Place:
        place = place_of(url, self._proxies, self._loop)
        if place.connection_key not in self._idle:
            idle = IdleConnections(self._keepalive_seconds, self._loop)
            self._idle[place.connection_key] = idle
        return place


async def _connect(
    connector: aiohttp.TCPConnector, place: Place, limits: aiohttp.ClientTimeout, sending: Sending
) -> tuple[Connection, Carrier]:
    """Make a connection, which is waited for."""
    sending.wait()
    try:
        connection = await connector.connect(place, [], limits)
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError from error
    carrier = connection.protocol
    if not isinstance(carrier, Carrier):
        connection.close()
        raise TypeError("the connector made a connection of its own kind")
    sending.go_on()
    return connection, carrier


def was_dead(error: Exception) -> bool:
    """Say whether a kept connection turned out to be closed, rather than that none can be made."""
    is_of_connecting = isinstance(error, aiohttp.ClientConnectorError)
    return isinstance(error, LOST) and not is_of_connecting
