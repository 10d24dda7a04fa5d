"""An identical call gets the answer that is kept, or that of the one that is asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import get_args

import pytest

from routerd.cache import Answers, Key, Turn, WaitedTooLong
from routerd.domain import FinishReason
from tests.daemon.cache.known import SECONDS, Caller, Clock, answer, answers, ask, settle


def callers(cache: Answers, count: int) -> tuple[list[Caller], dict[Key | None, Caller]]:
    asking: dict[Key | None, Caller] = {}
    return [Caller(cache, ask(cache), asking) for _ in range(count)], asking


async def test_the_first_call_asks_and_the_next_gets_its_answer() -> None:
    cache = answers()
    async with cache.share(ask(cache)) as turn:
        assert turn.answer is None
        assert turn.keeps
        turn.keep(answer())
    async with cache.share(ask(cache)) as turn:
        assert turn.answer == answer()
        assert not turn.keeps
    report = cache.report()
    assert report.pop("bytes") > 0
    assert report == {"entries": 1, "max_bytes": 1 << 20, "hits": 1, "shared": 0, "misses": 1}


async def test_an_answer_is_given_as_long_as_the_shortcut_says() -> None:
    clock = Clock()
    cache = answers(clock)
    async with cache.share(ask(cache)) as turn:
        turn.keep(answer())
    clock.now += SECONDS
    async with cache.share(ask(cache)) as turn:
        assert turn.answer is None
        turn.keep(answer("new"))
    async with cache.share(ask(cache)) as turn:
        assert turn.answer == answer("new")
    assert cache.report()["misses"] == 2


@pytest.mark.parametrize("finish", get_args(FinishReason))
async def test_only_a_whole_answer_is_kept(finish: FinishReason) -> None:
    cache = answers()
    (first, second), _ = callers(cache, 2)
    await settle()
    first.tell(answer(finish=finish))
    await settle()
    is_kept = finish in ("stop", "tool_calls", "length")
    assert (second.got == answer(finish=finish)) is is_kept
    assert second.asks is not is_kept
    assert cache.report()["entries"] == is_kept
    second.tell(None)
    await second.task


async def test_a_call_without_a_key_neither_waits_nor_keeps() -> None:
    cache = answers()
    async with cache.share(None) as one, cache.share(None) as other:
        assert (one.answer, one.keeps) == (None, False)
        assert other.answer is None
        one.keep(answer())
    assert cache.report() == answers().report()


async def test_calls_that_differ_do_not_wait_for_each_other() -> None:
    cache = answers()
    async with cache.share(ask(cache, "a")), cache.share(ask(cache, "b")) as turn:
        assert turn.answer is None
    assert cache.report()["misses"] == 2


async def test_of_many_identical_calls_one_asks() -> None:
    cache = answers()
    (first, *others), _ = callers(cache, 100)
    await settle()
    first.tell(answer())
    await asyncio.gather(first.task, *(other.task for other in others))
    assert first.got is None
    assert all(other.got == answer() for other in others)
    report = cache.report()
    assert (report["misses"], report["shared"], report["hits"]) == (1, 99, 0)


@pytest.mark.parametrize("how", ["no answer", "an error"])
async def test_without_an_answer_the_next_asks_and_nobody_else(how: str) -> None:
    cache = answers()
    order, asking = callers(cache, 5)
    for caller in order[:-1]:
        await settle()
        assert list(asking.values()) == [caller]
        if how == "an error":
            caller.tell(ConnectionError())
        else:
            caller.tell(None)
    await settle()
    assert list(asking.values()) == [order[-1]]
    # Who comes now waits behind those who came before.
    late = Caller(cache, ask(cache), asking)
    order[-1].tell(answer())
    results = await asyncio.gather(*(item.task for item in [*order, late]), return_exceptions=True)
    assert sum(isinstance(result, ConnectionError) for result in results) == (
        4 if how == "an error" else 0
    )
    assert late.got == answer()
    assert cache.report()["misses"] == 5


def free(turn: Turn) -> None:
    turn.free_others()


def keep_filtered(turn: Turn) -> None:
    turn.keep(answer(finish="content_filter"))


def keep_too_much(turn: Turn) -> None:
    turn.keep(answer("x" * 2_000))


@pytest.mark.parametrize("end", [free, keep_filtered, keep_too_much])
async def test_an_answer_that_is_nobody_elses_lets_all_ask_at_once(
    end: Callable[[Turn], None],
) -> None:
    cache = answers(max_bytes=2_000)
    asking: list[int] = []
    may_end = [asyncio.Event() for _ in range(6)]

    async def call(number: int) -> None:
        async with cache.share(ask(cache)) as turn:
            assert turn.answer is None
            asking.append(number)
            await may_end[number].wait()
            end(turn)

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    await settle()
    assert asking == [0]
    may_end[0].set()
    await settle()
    assert asking == [0, 1, 2, 3, 4]
    # Who comes now leads; those who ask for themselves end without it.
    tasks.append(asyncio.create_task(call(5)))
    await settle()
    assert asking[-1] == 5
    for event in may_end:
        event.set()
    await asyncio.gather(*tasks)
    assert cache.report()["misses"] == 6
    async with cache.share(ask(cache)) as turn:
        assert turn.keeps


async def test_one_that_is_cancelled_as_it_is_let_go_hands_nothing_over() -> None:
    cache = answers()
    asked = asyncio.Event()

    async def call(*, first: bool) -> None:
        async with cache.share(ask(cache)) as turn:
            if first:
                await asked.wait()
                turn.free_others()
                waiting.cancel()

    leading = asyncio.create_task(call(first=True))
    await settle()
    waiting = asyncio.create_task(call(first=False))
    await settle()
    asked.set()
    await leading
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with cache.share(ask(cache)) as turn:
        assert turn.keeps


async def test_who_waited_gets_the_answer_even_if_it_is_not_kept_any_more() -> None:
    clock = Clock()
    cache = answers(clock, max_bytes=1_000)
    (first, *others), asking = callers(cache, 3)
    await settle()
    first.tell(answer("a"))
    await first.task
    async with cache.share(ask(cache, "other")) as turn:
        turn.keep(answer("b"))
    clock.now += SECONDS
    await settle()
    assert [other.got for other in others] == [answer("a")] * 2
    assert cache.report()["entries"] == 1
    assert not asking


async def test_who_waited_long_enough_is_told_so_and_the_others_go_on_waiting() -> None:
    cache = answers()
    (first, second), asking = callers(cache, 2)
    await settle()
    impatient = Caller(cache, ask(cache), asking, seconds=0.0)
    with pytest.raises(WaitedTooLong):
        await impatient.task
    assert first.asks
    first.tell(answer())
    await second.task
    assert second.got == answer()
    report = cache.report()
    assert (report["misses"], report["shared"]) == (1, 1)


async def test_who_need_not_wait_has_time_whatever_is_left() -> None:
    cache = answers()
    async with cache.share(ask(cache), 0.0) as turn:
        turn.keep(answer())
    async with cache.share(ask(cache), 0.0) as turn:
        assert turn.answer == answer()
