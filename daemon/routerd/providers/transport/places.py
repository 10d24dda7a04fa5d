"""Where a URL leads: what aiohttp's connector asks of a request, made once for all calls there.

Rules of this file: pure. A URL goes out byte for byte as it was given.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import httpx
import yarl
from aiohttp.client_reqrep import ClientRequest, ConnectionKey

from routerd.providers.base import Headers
from routerd.providers.transport.proxies import Proxies

__all__ = ["Place", "place_of"]

# In a line of a head these would begin another one, or end the head.
LINE_END: Final = b"\r\n"


class Place(ClientRequest):
    """An address with a path, and how it is reached; `name` is what failures call it.

    aiohttp's connector takes it for a request. It works its key out anew for each, which is a tenth
    of what a call costs in the connector: here it is kept.
    """

    def __init__(
        self, url: yarl.URL, proxy: yarl.URL | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            "POST", url, proxy=proxy, loop=loop, skip_auto_headers=("Content-Type", "User-Agent")
        )
        self.name = self.host
        self.proxied = proxy is not None
        self._key = super().connection_key
        # A proxy is told the whole address, unless it only passes bytes on.
        is_told_all = proxy is not None and not self.is_ssl()
        self._target = (str(url) if is_told_all else url.raw_path_qs).encode("ascii")
        self._told: list[tuple[bytes, bytes]] = []
        if is_told_all and proxy is not None and (proxy.user or proxy.password):
            proof = aiohttp.encode_basic_auth(proxy.user or "", proxy.password or "")
            self._told = [(b"proxy-authorization", proof.encode("ascii"))]
        # By method, of the last request: its headers, and its head but for the length.
        self._heads: dict[str, tuple[Headers, bytes]] = {}

    @property
    def connection_key(self) -> ConnectionKey:
        """What connections are kept by."""
        return self._key

    def head(self, method: str, headers: Headers, body: bytes | None) -> bytes:
        """Return the head of a request; ValueError for a header that cannot be one.

        Nearly all requests to a place differ in the length of their bodies alone.
        """
        known, head = self._heads.get(method, (None, b""))
        if known != headers:
            head = self._begun(method, headers)
            self._heads[method] = (list(headers), head)
        if body is None:
            return head + LINE_END
        return b"%bcontent-length: %d\r\n\r\n" % (head, len(body))

    def _begun(self, method: str, headers: Headers) -> bytes:
        start = b"%b %b HTTP/1.1" % (method.encode(), self._target)
        lines = [b"%b: %b" % header for header in (*headers, *self._told)]
        head = LINE_END.join((start, *lines, b""))
        ends = len(lines) + 1
        if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
            raise ValueError("a header holds a line end or a zero byte")
        return head


def place_of(text: str, proxies: Proxies, loop: asyncio.AbstractEventLoop) -> Place:
    """Return where a URL leads, and by which proxy; httpx.UnsupportedProtocol where nowhere."""
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
    proxy = proxies.choose(url.scheme, host, port)
    try:
        return Place(url, None if proxy is None else yarl.URL(proxy), loop)
    except (aiohttp.InvalidURL, ValueError):
        raise httpx.UnsupportedProtocol("the URL cannot be called") from None
