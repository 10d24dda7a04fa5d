"""Which calls are running: how many, and that one sent again after a lost connection runs once.

Rules of this file: a call is known by the user who sent it and the id its client made. Only a call
that says it was sent before may take the place of a running one: the earlier one is cut off and has
ended before the new one begins, and what it did goes into the record of the new one, so that a call
has one record. Of several that wait for one place the latest gets it. Taking over a place needs no
free one.
"""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import Struct

from routerd.domain import Record
from routerd.errors import CallRefused
from routerd.execute.delivery import Sink
from routerd.execute.recording import continue_record
from routerd.telemetry.plain import MAX_NAME_CHARACTERS
from routerd_proto.errors import error_info

__all__ = ["CallsInFlight", "SentOnceMore"]

Key = tuple[int | None, str]
RETRY_AFTER_SECONDS: Final = 1.0


class SentOnceMore(CallRefused):
    """A copy of a call that was still waiting when a later copy came: that one is the call."""


class _Waiter(Struct, eq=False):
    """A call that waits for the place of an earlier one; `turn` says whether it gets it."""

    sink: Sink
    record: Record
    turn: asyncio.Future[bool]


class CallsInFlight:
    """The running calls of all connections, and those that wait for one of these to end.

    `limit` is how many there may be before a new one is refused; it may change.
    """

    def __init__(self, limit: int = 2048) -> None:
        self.limit = limit
        self._running: dict[Key, Sink] = {}
        self._waiting: dict[Key, _Waiter] = {}

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)

    async def begin(self, key: Key, sink: Sink, record: Record, *, again: bool = False) -> None:
        """Take a place; CallRefused where there is none.

        `again`: the call was sent before. If it still runs, it is cut off and waited for, and
        `record` goes on from its record.
        """
        if not 0 < len(key[1]) <= MAX_NAME_CHARACTERS:
            raise _refusal(f"expected 1 to {MAX_NAME_CHARACTERS} characters")
        if key in self._running:
            if not again:
                raise _refusal("this call id is in use")
            await self._take_over(key, sink, record)
        elif len(self) >= self.limit:
            message = f"{self.limit} calls are running, the most limits.in_flight allows"
            raise CallRefused(
                error_info("router_overloaded", message, retry_after=RETRY_AFTER_SECONDS)
            )
        else:
            self._running[key] = sink

    def end(self, key: Key, sink: Sink, record: Record) -> bool:
        """Give up a place, if one was taken, to the call that waits for it.

        Returns whether that goes on from `record`, which is then not to be written by itself.
        """
        if self._running.get(key) is not sink:
            return False
        waiter = self._waiting.pop(key, None)
        if waiter is None or waiter.turn.done():
            del self._running[key]
            return False
        self._running[key] = waiter.sink
        # Here and not where it wakes up: it may be cancelled before it does.
        continue_record(waiter.record, record)
        waiter.turn.set_result(True)
        return True

    async def _take_over(self, key: Key, sink: Sink, record: Record) -> None:
        earlier = self._waiting.get(key)
        waiter = _Waiter(sink, record, asyncio.get_running_loop().create_future())
        self._waiting[key] = waiter
        if earlier is not None:
            if not earlier.turn.done():
                earlier.turn.set_result(False)
            earlier.sink.abort()
        self._running[key].abort()
        try:
            is_ours = await waiter.turn
        finally:
            if self._waiting.get(key) is waiter:
                del self._waiting[key]
        if not is_ours:
            raise SentOnceMore(error_info("cancelled", "the call was sent once more"))


def _refusal(problem: str) -> CallRefused:
    place = "call_id"
    return CallRefused(
        error_info("invalid_request", f"{place}: {problem}", details={"place": place})
    )
