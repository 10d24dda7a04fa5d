"""A rolling share against a plain reckoning, which keeps every event of every tenth."""

from __future__ import annotations

import random

import pytest

from routerd.health.window import PARTS, Share

SECONDS = 20.0


class Reckoning:
    """The tenths of a window one by one: when each began, its events, and those of the kind."""

    def __init__(self) -> None:
        self.parts: list[tuple[float, list[bool]]] = []

    def count(self, now: float, *, is_hit: bool) -> None:
        """Count one event."""
        if not self.parts or now - self.parts[-1][0] >= SECONDS / PARTS:
            self.parts.append((now, []))
        self.parts[-1][1].append(is_hit)

    def seen(self, now: float) -> tuple[int, int]:
        """Return all events of the window, and those of the kind."""
        self.parts = [part for part in self.parts if now - part[0] < SECONDS]
        events = [is_hit for _, part in self.parts for is_hit in part]
        return len(events), sum(events)


@pytest.mark.parametrize("longest_pause", [0.5, 3.0, 15.0, 40.0])
def test_it_counts_what_is_in_the_window(longest_pause: float) -> None:
    draw = random.Random(longest_pause)
    share, reckoning, now = Share(SECONDS), Reckoning(), 1_000.0
    for step in range(2_000):
        now += draw.randrange(int(longest_pause * 4)) / 4
        is_hit = draw.random() < 0.3
        share.count(now, is_hit=is_hit)
        reckoning.count(now, is_hit=is_hit)
        if step % 3 == 0:
            now += draw.randrange(int(longest_pause * 4)) / 4
            share.forget(now)
            assert (share.of, share.hits) == reckoning.seen(now)


def test_it_begins_anew_when_it_is_cleared() -> None:
    share = Share(SECONDS)
    for now in (0.0, 5.0, 19.0, 21.0):
        share.count(now, is_hit=True)
    share.clear()
    share.count(22.0, is_hit=False)
    assert (share.of, share.hits, share.percent(22.0)) == (1, 0, 0.0)
    assert share.percent(42.0) == 0.0
    assert share.of == 0
