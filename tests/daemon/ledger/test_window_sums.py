"""Sums to the millisecond, from which counters go on after a restart."""

from __future__ import annotations

import pytest

from routerd.domain import Record, Usage
from routerd.ledger.sums import WindowSum, key_sums, window_sums
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
    assert window_sums(book, since_ms=NOON + 10_000) == [
        WindowSum(None, NOON + 10_000, 200, 2, 2, 62)
    ]
    assert window_sums(book, since_ms=NOON + 11_001) == []


def test_each_name_has_its_own() -> None:
    book = book_of([call(1, 0), call(2, 0, "beta"), call(3, 0, None), call(4, 0)])
    found = window_sums(book, since_ms=NOON, each="tenant")
    assert {item.name: item.calls for item in found} == {"acme": 2, "beta": 1, None: 1}


def test_filters_are_all_to_fit() -> None:
    book = book_of([call(1, 0), call(2, 0, "beta"), call(3, 0, None)])
    filters = (("tenant", "acme"), ("provider", "openai"))
    assert [item.calls for item in window_sums(book, since_ms=NOON, filters=filters)] == [1]
    filters = (("tenant", "acme"), ("model", "luna"))
    assert window_sums(book, since_ms=NOON, filters=filters) == []


def test_steps_are_those_of_the_clock_and_in_order() -> None:
    book = book_of([call(1, 125), call(2, 0), call(3, 61), call(4, 59.999)])
    found = window_sums(book, since_ms=NOON, bucket_ms=60_000)
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
    found = window_sums(book, since_ms=NOON, bucket_ms=60_000)
    assert [(item.nanodollars, item.calls, item.requests) for item in found] == [
        (100, 1, 1),
        (50, 0, 1),
    ]
    found = window_sums(book, since_ms=NOON, filters=(("provider", "anthropic"),))
    assert [(item.calls, item.requests) for item in found] == [(0, 1)]


def test_corrections_count_and_unknown_costs_do_not() -> None:
    book = book_of([call(1, 0), call(2, 0, cost_nanodollars=None), call(3, 0, simulated=True)])
    book.execute("UPDATE attempts SET correction_nanodollars = -30 WHERE simulated")
    assert [item.nanodollars for item in window_sums(book, since_ms=NOON)] == [170]


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
        window_sums(book_of(), since_ms=0, **names)  # type: ignore[arg-type]
