"""Which calls are running: how many, and that one sent again after a lost connection runs once.

Rules of this file: a call is known by the user who sent it and the id its client made. Only a call
that says it was sent before may take the place of a running one: the earlier one is cut off and has
ended before the new one begins, and what it did goes into the record of the new one, so that a call
has one record. Of several that wait for one place the latest gets it. Taking over a place needs no
free one; the copy of a call that waited for one waits in its stead.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct

from routerd.domain import Record
from routerd.errors import CallRefused
from routerd.execute.delivery import Sink
from routerd.execute.places import Place, Places
from routerd.execute.recording import continue_record
from routerd.telemetry.plain import MAX_NAME_CHARACTERS
from routerd_proto.errors import error_info

__all__ = ["CallsInFlight", "SentOnceMore"]

Key = tuple[int | None, str]


class SentOnceMore(CallRefused):
    """A copy of a call that was still waiting when a later copy came: that one is the call."""


class _Waiter(Struct, eq=False):
    """A call that waits for the place of an earlier one; `turn` says whether it gets it."""

    sink: Sink
    record: Record
    place: Place
    turn: asyncio.Future[bool]


class _Running(Struct, eq=False):
    """A call that has begun, which may still wait for a place."""

    sink: Sink
    place: Place


class CallsInFlight:
    """The calls of all connections that take or want one of the places."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._running: dict[Key, _Running] = {}
        self._waiting: dict[Key, _Waiter] = {}

    def __len__(self) -> int:
        return len(self._running) + len(self._waiting)

    async def begin(
        self, key: Key, sink: Sink, record: Record, place: Place, *, again: bool = False
    ) -> None:
        """Take a place, or wait for one; CallRefused where that is vain. To be ended in any case.

        `again`: the call was sent before. If it still runs, it is cut off and waited for, and
        `record` goes on from its record.
        """
        if not 0 < len(key[1]) <= MAX_NAME_CHARACTERS:
            raise _refusal(f"expected 1 to {MAX_NAME_CHARACTERS} characters")
        if key in self._running:
            if not again:
                raise _refusal("this call id is in use")
            await self._take_over(key, sink, record, place)
            if self._places.has(place):
                return
        else:
            self._running[key] = _Running(sink, place)
        if not self._places.enter(place):
            await self._places.wait(place)

    def end(self, key: Key, sink: Sink, record: Record) -> bool:
        """Give up a place, if one was taken, to the call that waits for it.

        Returns whether that goes on from `record`, which is then not to be written by itself.
        """
        running = self._running.get(key)
        if running is None or running.sink is not sink:
            return False
        waiter = self._waiting.pop(key, None)
        if waiter is None or waiter.turn.done():
            del self._running[key]
            self._places.leave(running.place)
            return False
        self._running[key] = _Running(waiter.sink, waiter.place)
        self._places.hand_on(running.place, waiter.place)
        # Here and not where it wakes up: it may be cancelled before it does.
        continue_record(waiter.record, record)
        waiter.turn.set_result(True)
        return True

    async def _take_over(self, key: Key, sink: Sink, record: Record, place: Place) -> None:
        earlier = self._waiting.get(key)
        waiter = _Waiter(sink, record, place, asyncio.get_running_loop().create_future())
        self._waiting[key] = waiter
        if earlier is not None:
            if not earlier.turn.done():
                earlier.turn.set_result(False)
            earlier.sink.abort()
        self._running[key].sink.abort()
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
