"""Which calls are running, so that a call sent again after a lost connection does not run twice.

Rules of this file: a call is known by the user who sent it and the id its client made. When it
comes again, the earlier one is cut off and has ended, with its own record, before the new one
begins.
"""

from __future__ import annotations

import asyncio

from routerd.execute.delivery import Sink

__all__ = ["CallsInFlight"]

Key = tuple[int | None, str]


class CallsInFlight:
    """The running calls of all connections."""

    def __init__(self) -> None:
        self._sinks: dict[Key, Sink] = {}
        self._waiting: dict[Key, asyncio.Event] = {}

    def __len__(self) -> int:
        return len(self._sinks)

    async def begin(self, key: Key, sink: Sink) -> None:
        """Note a call; an earlier one of the same key is cut off and waited for."""
        while (earlier := self._sinks.get(key)) is not None:
            ended = self._waiting.setdefault(key, asyncio.Event())
            earlier.abort()
            await ended.wait()
        self._sinks[key] = sink

    def end(self, key: Key, sink: Sink) -> None:
        """Forget a call, if it was begun, and let the one that replaces it begin."""
        if self._sinks.get(key) is not sink:
            return
        del self._sinks[key]
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.set()
