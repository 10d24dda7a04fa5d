"""Of identical calls in flight one asks; the others wait for what it gets.

Rules of this file: at most one call leads for a key, from `lead` to `end`. Whoever leads must end,
however that comes. One that fails hands over to the one that waited longest, and only to that: a
provider that is down is not asked by all who waited at once. One that got an answer which is nobody
else's lets all of them go: what would they wait for?
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from enum import Enum

import anyio

from routerd.cache.key import Key
from routerd.cache.store import KeptAnswer

__all__ = ["Leaders", "Role"]


class Role(Enum):
    """What a call does that has no answer to wait for: ask while others wait for it, or alone."""

    LEADS = "leads"
    IS_ALONE = "is alone"


Place = asyncio.Future[KeptAnswer | Role]


class Leaders:
    """Who leads, by key, and who waits, the longest first.

    `led` counts those who had to ask, `shared` those who got the answer of one they waited for.
    """

    def __init__(self) -> None:
        self.led = 0
        self.shared = 0
        self._waiting: dict[Key, OrderedDict[Place, None]] = {}

    def is_led(self, key: Key) -> bool:
        """Say whether somebody leads, whom another one would wait for."""
        return key in self._waiting

    async def lead(self, key: Key, seconds: float | None) -> KeptAnswer | Role:
        """Become one that asks, at once or in turn, unless an earlier one brings an answer.

        Returns that answer, or the role of the caller now; one that leads must `end`. TimeoutError
        after waiting for `seconds`.
        """
        waiting = self._waiting.get(key)
        answer: KeptAnswer | Role = Role.LEADS
        if waiting is None:
            self._waiting[key] = OrderedDict()
        else:
            answer = await self._wait(key, waiting, seconds)
        if isinstance(answer, Role):
            self.led += 1
        else:
            self.shared += 1
        return answer

    def end(self, key: Key, answer: KeptAnswer | Role) -> None:
        """Stop leading: give all who wait the answer, or the lead to the first, or none to any."""
        waiting = self._waiting[key]
        while answer is Role.LEADS and waiting:
            place, _ = waiting.popitem(last=False)
            if not place.done():
                place.set_result(answer)
                return
        del self._waiting[key]
        for place in waiting:
            if not place.done():
                place.set_result(answer)

    async def _wait(
        self, key: Key, waiting: OrderedDict[Place, None], seconds: float | None
    ) -> KeptAnswer | Role:
        place: Place = asyncio.get_running_loop().create_future()
        waiting[place] = None
        try:
            with anyio.fail_after(seconds):
                answer = await place
        except (asyncio.CancelledError, TimeoutError):
            waiting.pop(place, None)
            if place.done() and not place.cancelled() and place.result() is Role.LEADS:
                # The lead came at the same moment: it is the next one's now.
                self.end(key, Role.LEADS)
            raise
        return answer
