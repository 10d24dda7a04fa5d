"""Answers are kept as they were, no longer than they may be, in no more memory than allowed."""

from __future__ import annotations

import gc
import hashlib
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.cache import KeptAnswer, Key
from routerd.cache.store import ENTRY_BYTES, AnswerStore
from routerd_proto.frames import CONTENT_FRAMES, CitationAdded, TextDelta, Usage
from tests.daemon.cache.known import Clock, answer
from tests.proto.arbitrary import frames_of, values_of


def key_of(number: int, seconds: float = 60.0) -> Key:
    return Key(hashlib.sha256(b"%d" % number).digest(), seconds)


def size_of(kept: KeptAnswer) -> int:
    return len(msgspec.msgpack.encode(kept)) + ENTRY_BYTES


ANSWERS = st.builds(
    KeptAnswer,
    parts=st.lists(frames_of(*CONTENT_FRAMES)).map(tuple),
    finish=st.sampled_from(["stop", "length", "tool_calls"]),
    decision_id=st.text(),
    model=st.text(),
    deployment=st.text(),
    provider=st.text(),
    usage=st.none() | values_of(Usage),
    simulated=st.booleans(),
    notes=st.lists(st.text()).map(tuple),
)


@given(ANSWERS)
def test_what_is_kept_comes_back_as_it_was(kept: KeptAnswer) -> None:
    store = AnswerStore(1 << 20, Clock())
    assert store.keep(key_of(1), kept)
    assert store.find(key_of(1)) == kept
    assert (len(store), store.bytes, store.hits) == (1, size_of(kept), 1)


def test_what_was_never_kept_is_not_found() -> None:
    store = AnswerStore(1 << 20, Clock())
    assert store.find(key_of(1)) is None
    assert store.hits == 0


def test_an_answer_is_kept_for_the_seconds_of_its_key() -> None:
    clock = Clock()
    store = AnswerStore(1 << 20, clock)
    store.keep(key_of(1, 60.0), answer())
    store.keep(key_of(2, 600.0), answer())
    clock.now += 59.0
    assert store.find(key_of(1, 60.0)) == answer()
    # Being asked for makes it no younger.
    clock.now += 1.0
    assert store.find(key_of(1, 60.0)) is None
    assert store.find(key_of(2, 600.0)) == answer()
    assert store.hits == 2
    assert (len(store), store.bytes) == (1, size_of(answer()))


def test_an_answer_takes_the_place_of_the_earlier_one() -> None:
    clock = Clock()
    store = AnswerStore(1 << 20, clock)
    store.keep(key_of(1), answer("a"))
    clock.now += 30.0
    store.keep(key_of(1), answer("bb"))
    clock.now += 59.0
    assert store.find(key_of(1)) == answer("bb")
    assert (len(store), store.bytes) == (1, size_of(answer("bb")))


def test_an_answer_that_fits_to_the_byte_is_kept_and_one_of_a_byte_more_is_not() -> None:
    kept = answer("x" * 100)
    assert AnswerStore(size_of(kept), Clock()).keep(key_of(1), kept)
    store = AnswerStore(2 * size_of(kept) - 1, Clock())
    assert store.keep(key_of(1), kept)
    too_large = answer("x" * store.bytes * 2)
    assert not store.keep(key_of(2), too_large)
    # Nothing has gone for what does not fit.
    assert store.find(key_of(1)) == kept
    assert store.keep(key_of(3), kept)
    assert store.find(key_of(1)) is None
    assert (len(store), store.bytes) == (1, size_of(kept))


@pytest.mark.parametrize("part", [TextDelta("\ud800"), CitationAdded("v", {"n": 2**64})])
def test_what_no_frame_carries_as_it_is_is_not_kept(part: Any) -> None:
    store = AnswerStore(1 << 20, Clock())
    assert not store.keep(key_of(1), answer(parts=(part,)))
    assert (len(store), store.bytes) == (0, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 9), st.integers(0, 2_000)),
        st.tuples(st.just("find"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 40)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 6_000))
def test_whatever_happens_the_bytes_are_exact_and_the_longest_unused_goes_first(
    steps: list[tuple[str, int, int]], max_bytes: int
) -> None:
    clock = Clock()
    store = AnswerStore(max_bytes, clock)
    # The same in plain words: what is kept, the longest unused first, and since when.
    expected: dict[int, tuple[KeptAnswer, float]] = {}
    for what, number, amount in steps:
        if what == "wait":
            clock.now += amount
        elif what == "find":
            kept, since = expected.pop(number, (None, 0.0))
            is_young = kept is not None and clock.now - since < 60.0
            assert store.find(key_of(number)) == (kept if is_young else None)
            if kept is not None and is_young:
                expected[number] = kept, since
        else:
            kept = answer("x" * amount)
            assert store.keep(key_of(number), kept) is (size_of(kept) <= max_bytes)
            if size_of(kept) <= max_bytes:
                expected.pop(number, None)
                expected[number] = kept, clock.now
                while sum(size_of(item) for item, _ in expected.values()) > max_bytes:
                    del expected[next(iter(expected))]
        assert store.bytes == sum(size_of(item) for item, _ in expected.values())
        assert store.bytes <= max_bytes
        assert len(store) == len(expected)


@pytest.mark.parametrize("length", [0, 1_000, 100_000])
def test_the_bound_holds_for_the_memory_that_is_really_taken(length: int) -> None:
    max_bytes = 3 << 20
    keys = iter(range(2 * max_bytes // (length + 300)))
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        store = AnswerStore(max_bytes, Clock())
        for number in keys:
            store.keep(key_of(number), answer("x" * length))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.bytes > max_bytes - 2 * (length + 1_000)
    # An answer more while it is being kept: as it is, and encoded.
    assert peak - before <= max_bytes + 4 * (length + 1_000)
