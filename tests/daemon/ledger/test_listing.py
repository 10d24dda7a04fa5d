"""Which calls are found by what is said of them."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from routerd.ledger.listing import CallsQuestion, list_calls
from tests.daemon.ledger.book import book_of, bought, milliseconds
from tests.daemon.ledger.records import full_record

NAMES = {
    "tenant": "acme",
    "team": "search",
    "agent": "tagger",
    "user": "u-17",
    "feature": "tags",
    "task": "extract",
    "target": "fast",
}


@pytest.fixture
def book() -> sqlite3.Connection:
    failed = {"error_code": "timeout", "finish": "error", "cost_nanodollars": None}
    return book_of(
        [
            bought(1, "2026-11-18T10:00", "openai/sol", 100, names=NAMES),
            bought(2, "2026-11-19T10:00", "openai/luna", 300),
            bought(3, "2026-11-20T10:00", "anthropic/haiku", 200),
            bought(4, "2026-11-20T11:00", "openai/sol", None, names=failed),
        ]
    )


def found(book: sqlite3.Connection, limit: int = 10, **asked: Any) -> list[int]:
    records = list_calls(book, CallsQuestion(limit=limit, **asked))
    return [int(record.call_id.removeprefix("call-")) for record in records]


def test_the_newest_come_first_and_no_more_than_asked_for(book: sqlite3.Connection) -> None:
    assert found(book) == [4, 3, 2, 1]
    assert found(book, 2) == [4, 3]


@pytest.mark.parametrize("name", [*NAMES])
def test_by_a_name_of_the_caller(book: sqlite3.Connection, name: str) -> None:
    for value, numbers in ((NAMES[name], [1]), ("another", [])):
        asked: dict[str, Any] = {name: value}
        assert found(book, **asked) == numbers


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({"model": "sol"}, [4, 1]),
        ({"provider": "openai"}, [4, 2, 1]),
        ({"provider": "openai", "model": "luna"}, [2]),
        ({"error": "timeout"}, [4]),
        ({"error": "any"}, [4]),
        ({"error": "bad_request"}, []),
        ({"above_nanodollars": 199}, [3, 2]),
        ({"above_nanodollars": 200}, [2]),
        ({"since_ms": milliseconds("2026-11-20T10:00")}, [4, 3]),
        ({"until_ms": milliseconds("2026-11-20T10:00")}, [2, 1]),
        ({"since_ms": 0, "until_ms": 1}, []),
    ],
)
def test_by_what_happened(
    book: sqlite3.Connection, asked: dict[str, Any], numbers: list[int]
) -> None:
    assert found(book, **asked) == numbers


def test_a_whole_record_comes_back() -> None:
    record = full_record()
    assert list_calls(book_of([record]), CallsQuestion(limit=1, tenant="acme")) == [record]
