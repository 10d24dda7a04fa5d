"""The simulator's connections: counted as they open and close, and dropped at its end.

Works on aiohttp's server: it knows nothing of what is said over a connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from routerd.simulate.account import Account

__all__ = ["CountingServer"]


class CountingServer(web.Server):
    """Counts the connections that open and close."""

    def __init__(self, account: Account, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._account = account
        self._open: dict[RequestHandler, asyncio.Transport] = {}
        self._is_over = False

    def abort_all(self) -> None:
        """Drop the connections that are left, with what a slow reader has not taken.

        One that was accepted and is not made yet goes as soon as it is.
        """
        self._is_over = True
        for transport in list(self._open.values()):
            transport.abort()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count one more."""
        self._account.connected()
        self._open[handler] = transport
        super().connection_made(handler, transport)
        if self._is_over:
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Count one less."""
        self._account.disconnected()
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)
