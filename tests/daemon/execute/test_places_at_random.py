"""Whatever calls do and whenever they leave: no limit is passed, and nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from time import monotonic

import anyio
import pytest
from anyio.lowlevel import checkpoint

from routerd.errors import CallRefused
from routerd.execute.fair_queue import BATCH, CRITICAL, ORDINARY
from routerd.execute.places import Place, Places
from routerd.settings import Limits

CALLS, MOST, MOST_WAITING = 90, 5, 12
PROVIDERS = {"p": 2, "q": 3}


class Crowd:
    """Calls of three tenants for two providers, by a lot; `ends` says what became of them."""

    def __init__(self, seed: int) -> None:
        self.places = Places(
            Limits(in_flight=MOST, queue=MOST_WAITING, queue_seconds=0.02), PROVIDERS
        )
        self.ends: Counter[str] = Counter()
        self.chance = random.Random(seed)

    async def call(self, tenant: str) -> None:
        rank = self.chance.choice((CRITICAL, ORDINARY, BATCH))
        place = Place(self.places, tenant, monotonic() + 60, rank=rank)
        end = "broken"
        try:
            await self._serve(place)
            end = "served"
        except CallRefused:
            end = "refused"
        except asyncio.CancelledError:
            end = "left"
            raise
        finally:
            self.places.leave(place)
            self.ends[end] += 1

    async def _serve(self, place: Place) -> None:
        if not self.places.enter(place):
            await self.places.wait(place)
        wanted = tuple(self.chance.sample(list(PROVIDERS), self.chance.randint(1, 2)))
        while not any(self.places.take(place, name) for name in wanted):
            await self.places.wait(place, wanted)
        for _ in range(self.chance.randint(0, 3)):
            await checkpoint()
        self.places.give_back(place)

    async def leave_early(self, tenant: str) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.call, tenant)
            for _ in range(self.chance.randint(1, 12)):
                await checkpoint()
                self.check()
            tasks.cancel_scope.cancel()

    def check(self) -> None:
        report = self.places.report()
        assert report["running"] <= MOST
        assert report["waiting"] <= MOST_WAITING
        assert all(row["running"] <= row["max"] for row in report["providers"])


@pytest.mark.parametrize("seed", range(8))
async def test_a_crowd_leaves_nothing_behind(seed: int) -> None:
    crowd = Crowd(seed)
    async with anyio.create_task_group() as tasks:
        for number in range(CALLS):
            way = crowd.leave_early if number % 3 == 0 else crowd.call
            tasks.start_soon(way, "abc"[number % 4 % 3])
            if number % 5 == 0:
                await checkpoint()
            crowd.check()
    assert crowd.ends["served"]
    assert crowd.ends.total() == CALLS
    assert set(crowd.ends) <= {"served", "refused", "left"}
    report = crowd.places.report()
    assert (report["running"], report["waiting"]) == (0, 0)
    assert {(row["running"], row["waiting"]) for row in report["providers"]} == {(0, 0)}
