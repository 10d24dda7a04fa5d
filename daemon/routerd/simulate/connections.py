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

    def abort_all(self) -> None:
        """Drop the connections that are left, with what a slow reader has not taken."""
        for transport in list(self._open.values()):
            transport.abort()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count one more."""
        self._account.connected()
        self._open[handler] = transport
        super().connection_made(handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Count one less."""
        self._account.disconnected()
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)
