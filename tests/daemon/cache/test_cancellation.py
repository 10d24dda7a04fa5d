"""Whoever is cancelled, and when: one asks at a time, and nobody waits for one that is gone."""

from __future__ import annotations

import asyncio

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.cache import Answers, KeptAnswer, Key, WaitedTooLong
from tests.daemon.cache.known import SECONDS, Caller, Clock, answer, answers, ask, settle


class Row:
    """Identical calls in the order in which they came."""

    def __init__(self, count: int) -> None:
        self.cache = answers()
        self.asking: dict[Key | None, Caller] = {}
        self.calls: list[Caller] = []
        self.call(count)

    def call(self, count: int, seconds: float | None = None) -> None:
        key = ask(self.cache)
        self.calls += [Caller(self.cache, key, self.asking, seconds) for _ in range(count)]

    async def end(self, results: list[type[BaseException] | None]) -> None:
        """Check how all calls ended, and that nothing of them is left."""
        ended = await asyncio.gather(*(call.task for call in self.calls), return_exceptions=True)
        assert [type(item) if item is not None else None for item in ended] == results
        assert nobody_is_left(self.cache)


def nobody_is_left(cache: Answers) -> bool:
    return not cache._leaders._waiting


CANCELLED = asyncio.CancelledError


async def test_when_the_one_that_asks_is_cancelled_the_next_asks() -> None:
    row = Row(3)
    await settle()
    row.calls[0].task.cancel()
    await settle()
    assert row.calls[1].asks
    row.calls[1].tell(answer())
    await row.end([CANCELLED, None, None])
    assert row.calls[2].got == answer()


async def test_when_one_that_waits_is_cancelled_the_others_go_on() -> None:
    row = Row(3)
    await settle()
    row.calls[1].task.cancel()
    await settle()
    assert row.calls[0].asks
    row.calls[0].tell(None)
    await settle()
    assert row.calls[2].asks
    row.calls[2].tell(None)
    await row.end([None, CANCELLED, None])


async def test_one_that_is_cancelled_and_does_not_know_yet_is_not_handed_the_lead() -> None:
    row = Row(3)
    await settle()
    row.calls[0].task.cancel()
    row.calls[1].task.cancel()
    await settle()
    assert row.calls[2].asks
    row.calls[2].tell(None)
    await row.end([CANCELLED, CANCELLED, None])


async def test_the_lead_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    row = Row(0)
    async with row.cache.share(ask(row.cache)):
        row.call(2)
        await settle()
    # The first leads already, but has not run since.
    row.calls[0].task.cancel()
    await settle()
    assert row.calls[1].asks
    row.calls[1].tell(None)
    await row.end([CANCELLED, None])
    assert row.cache.report()["misses"] == 2


async def test_the_lead_that_comes_with_a_cancellation_and_nobody_else_is_free() -> None:
    row = Row(0)
    async with row.cache.share(ask(row.cache)):
        row.call(1)
        await settle()
    row.calls[0].task.cancel()
    await row.end([CANCELLED])


async def test_an_answer_that_comes_with_a_cancellation_is_the_others_all_the_same() -> None:
    row = Row(0)
    async with row.cache.share(ask(row.cache)) as turn:
        row.call(2)
        await settle()
        turn.keep(answer())
    row.calls[0].task.cancel()
    await row.end([CANCELLED, None])
    assert [call.got for call in row.calls] == [None, answer()]


async def test_one_that_is_cancelled_and_does_not_know_yet_does_not_stop_the_answer() -> None:
    row = Row(0)
    async with row.cache.share(ask(row.cache)) as turn:
        row.call(2)
        await settle()
        turn.keep(answer())
        row.calls[0].task.cancel()
    await row.end([CANCELLED, None])
    assert row.calls[1].got == answer()


async def test_who_gave_up_waiting_takes_no_place_any_more() -> None:
    row = Row(0)
    async with row.cache.share(ask(row.cache)):
        row.call(3)
        row.call(3, seconds=0.0)
        await settle()
        for call in row.calls[:3]:
            call.task.cancel()
        await settle()
        assert [len(places) for places in row.cache._leaders._waiting.values()] == [0]
    await row.end([CANCELLED] * 3 + [WaitedTooLong] * 3)


async def test_an_answer_that_was_kept_stays_whatever_comes_after() -> None:
    cache = answers()
    with anyio.CancelScope() as scope:
        async with cache.share(ask(cache)) as turn:
            turn.keep(answer())
            scope.cancel()
            await anyio.sleep_forever()
    async with cache.share(ask(cache)) as turn:
        assert turn.answer == answer()


async def test_the_lead_that_comes_as_time_runs_out_is_not_lost() -> None:
    row = Row(0)
    async with row.cache.share(ask(row.cache)):
        row.call(1, seconds=0.0)
        row.call(1)
        # One step: both wait, and the time of the first is over.
        await asyncio.sleep(0)
    await settle()
    # Whichever of the two came first.
    for call in row.calls:
        if call.asks:
            call.tell(None)
            await settle()
    assert row.calls[1].task.done()
    await asyncio.gather(*(call.task for call in row.calls), return_exceptions=True)
    assert nobody_is_left(row.cache)


async def test_all_are_cancelled_at_once() -> None:
    row = Row(50)
    await settle()
    for call in reversed(row.calls):
        call.task.cancel()
    await row.end([CANCELLED] * 50)


async def test_one_that_is_cancelled_before_it_begins_leaves_no_trace() -> None:
    row = Row(2)
    row.calls[0].task.cancel()
    await settle()
    assert row.calls[1].asks
    row.calls[1].tell(None)
    await row.end([CANCELLED, None])


KEYS = (Key(b"a", SECONDS), Key(b"b", SECONDS))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 1)),
        st.tuples(st.just("impatient call"), st.integers(0, 1)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(st.just("tell"), st.integers(0, 5)),
        st.tuples(st.just("give up"), st.integers(0, 5)),
        st.tuples(st.just("fail"), st.integers(0, 5)),
        st.tuples(st.just("go on"), st.integers(1, 3)),
        st.tuples(st.just("grow old"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=400)
@given(STEPS)
async def test_whatever_the_schedule_one_asks_at_a_time_and_nobody_waits_for_ever(
    steps: list[tuple[str, int]],
) -> None:
    clock = Clock()
    cache, asking, calls = answers(clock), dict[Key | None, Caller](), list[Caller]()
    for what, number in steps:
        match what:
            case "call" | "impatient call":
                seconds = None if what == "call" else 0.0
                calls.append(Caller(cache, KEYS[number], asking, seconds))
            case "go on":
                for _ in range(number):
                    await asyncio.sleep(0)
            case "grow old":
                clock.now += SECONDS
            case _ if number < len(calls):
                act(what, calls[number])
    for _ in range(len(calls) + 1):
        await settle()
        # For every key that is waited for, one asks.
        assert {call.key for call in calls if not call.task.done()} == asking.keys()
        for call in list(asking.values()):
            call.tell(None)
    ended = await asyncio.gather(*(call.task for call in calls), return_exceptions=True)
    kinds = (asyncio.CancelledError, ConnectionError, WaitedTooLong)
    assert all(item is None or isinstance(item, kinds) for item in ended)
    assert all(call.got in (None, answer_to(call)) for call in calls)
    assert nobody_is_left(cache)


def act(what: str, call: Caller) -> None:
    match what:
        case "cancel":
            call.task.cancel()
        case "tell":
            call.tell(answer_to(call))
        case "give up":
            call.tell(None)
        case _:
            call.tell(ConnectionError())


def answer_to(call: Caller) -> KeptAnswer:
    return answer(str(call.key))
