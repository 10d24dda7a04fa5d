"""Other settings for kept answers: for calls to come; what is kept is shared."""

from __future__ import annotations

from routerd.settings import CachedShortcut, Caching
from tests.daemon.cache.known import answer, answers, ask

ROOM = 1 << 20


async def test_what_is_kept_stays_where_it_fits() -> None:
    cache = answers()
    async with cache.share(ask(cache)) as turn:
        turn.keep(answer())
    settings = Caching(shortcuts=dict(cache.shortcuts), max_bytes=ROOM)
    now = cache.replaced(settings, emptied=False)
    async with now.share(ask(now)) as turn:
        assert turn.answer == answer()
    assert now.report()["entries"] == 1
    assert now.replaced(settings, emptied=True).report()["entries"] == 0
    assert now.report()["bytes"] == 0


async def test_less_room_lets_the_oldest_go_at_once() -> None:
    cache = answers()
    async with cache.share(ask(cache)) as turn:
        turn.keep(answer())
    now = cache.replaced(Caching(shortcuts=dict(cache.shortcuts), max_bytes=10), emptied=False)
    assert (now.report()["entries"], now.report()["max_bytes"]) == (0, 10)


async def test_a_call_that_asks_ends_by_the_settings_it_began_with() -> None:
    cache = answers()
    key = ask(cache)
    async with cache.share(key) as turn:
        now = cache.replaced(Caching(max_bytes=ROOM), emptied=True)
        assert ask(now) is None
        turn.keep(answer())
    # Kept for fewer seconds it is another answer; for as many the same.
    assert ask(cache) == key
    other = Caching(shortcuts={"kept": CachedShortcut(seconds=1)}, max_bytes=ROOM)
    assert ask(now.replaced(other, emptied=False)) != key
