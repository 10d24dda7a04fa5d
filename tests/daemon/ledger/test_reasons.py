"""Reasons that call after call meets are stored once, and read back as they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from routerd.domain import Dropped
from routerd.ledger.reasons import Reasons, read_dropped
from routerd.ledger.schema import migrate
from routerd.models import load_directory

NO_KEY = Dropped("groq/gpt", "provider_not_configured", "no key or address for groq")
RETIRED = Dropped("openai/old", "retired", "on 2026-10-01")
TOO_LONG = Dropped("local/tiny", "window", "about 120 tokens in, takes 100")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrate(opened)
    yield opened
    opened.close()


def refer(reasons: Reasons, connection: sqlite3.Connection, *dropped: Dropped) -> str | None:
    text = reasons.refer(dropped)
    reasons.insert(connection)
    reasons.committed()
    assert read_dropped(connection, [text]) == [dropped or None]
    return text


def count(connection: sqlite3.Connection) -> int:
    (rows,) = connection.execute("SELECT count(*) FROM reasons").fetchone()
    return int(rows)


def test_what_no_call_is_part_of_is_stored_once(connection: sqlite3.Connection) -> None:
    reasons = Reasons(connection)
    assert refer(reasons, connection) is None
    assert refer(reasons, connection, NO_KEY, RETIRED) == "[1,2]"
    assert refer(reasons, connection, RETIRED, NO_KEY, RETIRED) == "[2,1,2]"
    assert refer(Reasons(connection), connection, NO_KEY) == "[1]"
    assert count(connection) == 2


def test_what_a_call_is_part_of_stays_with_the_call(connection: sqlite3.Connection) -> None:
    reasons = Reasons(connection)
    text = refer(reasons, connection, TOO_LONG, NO_KEY)
    assert text is not None
    assert "about 120 tokens" in text
    assert count(connection) == 1


def test_there_are_never_more_than_a_limit(connection: sqlite3.Connection) -> None:
    reasons = Reasons(connection, most=1)
    refer(reasons, connection, NO_KEY, RETIRED)
    refer(reasons, connection, RETIRED, NO_KEY)
    assert count(connection) == 1


def test_what_was_not_committed_is_not_referred_to(connection: sqlite3.Connection) -> None:
    reasons = Reasons(connection)
    reasons.refer((RETIRED,))
    reasons.rolled_back()
    assert refer(reasons, connection, NO_KEY) == "[1]"
    assert refer(reasons, connection, RETIRED) == "[2]"


def test_what_a_shortcut_leaves_out_takes_the_room_of_an_id(connection: sqlite3.Connection) -> None:
    """They are the most of all reasons, and the same for call after call."""
    directory = load_directory()
    resolutions = [directory.resolve(name) for name in directory.shortcuts]
    left_out = {item for found in resolutions for item in found.left_out}
    assert {item.code for item in left_out} >= {"too_dear", "lacks_capability", "window_too_small"}
    text = refer(Reasons(connection), connection, *left_out)
    assert text == str(list(range(1, len(left_out) + 1))).replace(" ", "")
