"""Connections to one address that carry nothing at the moment.

Rules of this file: no I/O of its own. aiohttp's connector keeps idle connections too, but for
every call it takes two coroutines and a new wrapper to give one out, and six functions to take it
back. To it, those that rest here are in use until they are closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from aiohttp.connector import Connection

from routerd.providers.transport.receiving import Carrier

__all__ = ["IdleConnections"]


class IdleConnections:
    """Keep connections for `seconds`; who rests longest is used next, so that all stay warm."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = seconds
        self._loop = loop
        self._kept: deque[tuple[Connection, Carrier, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> tuple[Connection, Carrier] | None:
        """Return one that is open; None where there is none."""
        kept = self._kept
        while kept:
            connection, carrier, until = kept.popleft()
            if carrier.is_connected() and monotonic() <= until:
                return connection, carrier
            connection.close()
        return None

    def keep(self, connection: Connection, carrier: Carrier) -> None:
        """Take one whose answer is complete."""
        self._kept.append((connection, carrier, monotonic() + self._seconds))
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def close(self) -> None:
        """Close all of them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._kept:
            self._kept.popleft()[0].close()

    def _look(self) -> None:
        """Close those that have rested too long or were closed at the other end."""
        self._timer = None
        for _ in range(len(self._kept)):
            connection, carrier, until = self._kept.popleft()
            if carrier.is_connected() and monotonic() < until:
                self._kept.append((connection, carrier, until))
            else:
                connection.close()
        if self._kept:
            self._timer = self._loop.call_later(self._seconds, self._look)
