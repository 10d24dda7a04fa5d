"""Sums to the millisecond, from which counters go on after a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Record, Usage
from routerd.ledger.sums import WindowSum, _of_attempts, key_sums, window_sums
from tests.daemon.ledger.book import attempt, book_of, bought, milliseconds

NOON = milliseconds("2026-11-20T12:00")
USAGE = Usage(1, 2, 4, 8, 16, 7)


def call(number: int, seconds: float, tenant: str | None = "acme", **changes: object) -> Record:
    """Return a call of some seconds after noon."""
    record = bought(number, "2026-11-20T12:00", "openai/sol", 100, USAGE, **changes)  # type: ignore[arg-type]
    record.tenant = tenant
    record.attempts[0].started_us = int(seconds * 1_000_000)
    return record


def test_from_the_first_millisecond_on() -> None:
    book = book_of([call(1, 9.999), call(2, 10), call(3, 11)])
    assert window_sums(book, now_ms=NOON, since_ms=NOON + 10_000) == [
        WindowSum(None, NOON + 10_000, 200, 2, 2, 62)
    ]
    assert window_sums(book, now_ms=NOON, since_ms=NOON + 11_001) == []


def test_each_name_has_its_own() -> None:
    book = book_of([call(1, 0), call(2, 0, "beta"), call(3, 0, None), call(4, 0)])
    found = window_sums(book, now_ms=NOON, since_ms=NOON, each="tenant")
    assert {item.name: item.calls for item in found} == {"acme": 2, "beta": 1, None: 1}


def test_filters_are_all_to_fit() -> None:
    book = book_of([call(1, 0), call(2, 0, "beta"), call(3, 0, None)])
    filters = (("tenant", "acme"), ("provider", "openai"))
    assert [
        item.calls for item in window_sums(book, now_ms=NOON, since_ms=NOON, filters=filters)
    ] == [1]
    filters = (("tenant", "acme"), ("model", "luna"))
    assert window_sums(book, now_ms=NOON, since_ms=NOON, filters=filters) == []


def test_steps_are_those_of_the_clock_and_in_order() -> None:
    book = book_of([call(1, 125), call(2, 0), call(3, 61), call(4, 59.999)])
    found = window_sums(book, now_ms=NOON, since_ms=NOON, bucket_ms=60_000)
    assert [(item.at_ms - NOON, item.calls) for item in found] == [
        (0, 2),
        (60_000, 1),
        (120_000, 1),
    ]


def test_a_call_counts_once_and_each_request_is_one() -> None:
    record = call(1, 0)
    record.attempts += [
        attempt("anthropic/haiku", 50, USAGE, started_us=61_000_000),
        attempt("openai/luna", None, None, started_us=62_000_000, sent=False),
    ]
    book = book_of([record])
    found = window_sums(book, now_ms=NOON, since_ms=NOON, bucket_ms=60_000)
    assert [(item.nanodollars, item.calls, item.requests) for item in found] == [
        (100, 1, 1),
        (50, 0, 1),
    ]
    found = window_sums(book, now_ms=NOON, since_ms=NOON, filters=(("provider", "anthropic"),))
    assert [(item.calls, item.requests) for item in found] == [(0, 1)]


def test_corrections_count_and_unknown_costs_do_not() -> None:
    book = book_of([call(1, 0), call(2, 0, cost_nanodollars=None), call(3, 0, simulated=True)])
    book.execute("UPDATE attempts SET correction_nanodollars = -30 WHERE simulated")
    assert [item.nanodollars for item in window_sums(book, now_ms=NOON, since_ms=NOON)] == [170]


def test_a_key_is_counted_free_or_not() -> None:
    book = book_of(
        [
            call(1, 0, key="one", free=True),
            call(2, 5, key="one"),
            call(3, 5, key="two"),
            call(4, 5),
            call(5, 5, key="one", sent=False),
        ]
    )
    assert key_sums(book, deployment="openai/sol", key="one", since_ms=NOON) == (2, 93)
    assert key_sums(book, deployment="openai/sol", key="one", since_ms=NOON + 1) == (1, 62)
    assert key_sums(book, deployment="openai/sol", key=None, since_ms=NOON) == (1, 31)
    assert key_sums(book, deployment="openai/luna", key="one", since_ms=NOON) == (0, 0)


@pytest.mark.parametrize("names", [{"each": "cost_nanodollars"}, {"filters": (("1=1 --", "x"),)}])
def test_only_what_counters_are_for_gets_into_a_statement(names: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="nothing is counted by"):
        window_sums(book_of(), now_ms=0, since_ms=0, **names)  # type: ignore[arg-type]


DAY = 86_400
moments = st.floats(-20 * DAY, 0)


@given(
    st.lists(
        st.tuples(moments, st.sampled_from(["acme", "beta", None]), st.sampled_from(["a", "b"])),
        max_size=12,
    ),
    # Also from the edge of a month, which has a total of its own.
    st.floats(0, 20 * DAY) | st.just(19.5 * DAY),
    st.sampled_from([None, "tenant", "user", "provider"]),
    st.sampled_from([(), (("tenant", "acme"),), (("user", "a"),)]),
)
def test_days_and_their_edges_are_what_single_requests_add_up_to(
    calls: list[tuple[float, str | None, str]],
    since: float,
    each: str | None,
    filters: tuple[tuple[str, str], ...],
) -> None:
    made = [
        call(number, seconds, tenant, names={"user": user})
        for number, (seconds, tenant, user) in enumerate(calls)
    ]
    # One was answered without a request.
    made.append(call(99, -DAY))
    made[-1].attempts = [attempt("openai/sol", 0, None, sent=False)]
    made[-1].cached = True
    since_ms = NOON - int(since * 1000)
    book = book_of(made)
    found = window_sums(book, since_ms=since_ms, now_ms=NOON, each=each, filters=filters)
    plain = _of_attempts(book, since_ms, None, each, filters, since_ms, None)
    both = [[item for item in sums if item.requests] for sums in (found, plain)]
    assert sorted(both[0], key=repr) == sorted(both[1], key=repr)


@given(st.lists(moments, max_size=12), st.integers(1, 19))
def test_long_past_days_leave_a_rolling_window_at_most_a_day_too_late(
    times: list[float], days: int
) -> None:
    book = book_of([call(number, seconds) for number, seconds in enumerate(times)])
    since_ms, step = NOON - days * DAY * 1000, days * DAY * 1000 // 60
    found = window_sums(book, since_ms=since_ms, now_ms=NOON, bucket_ms=step)
    assert [item.at_ms for item in found] == sorted(item.at_ms for item in found)
    exact = _of_attempts(book, since_ms, None, None, (), since_ms, step)
    assert sum(item.nanodollars for item in found) == sum(item.nanodollars for item in exact)
    for moment in range(since_ms, NOON + days * DAY * 1000, DAY * 1000 // 3):
        left = sum(item.nanodollars for item in found if item.at_ms >= moment)
        at_least = sum(item.nanodollars for item in exact if item.at_ms >= moment)
        at_most = sum(
            item.nanodollars for item in exact if item.at_ms >= moment - DAY * 1000 - step
        )
        assert at_least <= left <= at_most
