"""What somebody changed in a ledger is told; what the ledger itself changes later is not."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import pytest
from hypothesis import given

from routerd.domain import Usage
from routerd.ledger.altered import alterations
from routerd.ledger.batch import BatchWriter
from routerd.ledger.reading import AlteredDocument
from routerd.ledger.rows import ATTEMPT_COLUMNS, CALL_COLUMNS
from routerd.ledger.schema import APPLICATION_ID, MIGRATIONS, migrate
from tests.daemon.ledger.book import attempt, book_of, bought
from tests.daemon.ledger.conftest import OpenLedger
from tests.daemon.ledger.records import decision_id, full_record, small_record
from tests.daemon.ledger.test_corrections import AMOUNTS, apply, books, invoice_of_day

ROW = "its row in the ledger is not the one that was written: somebody changed it"
FIXTURE = Path(__file__).parents[2] / "fixtures" / "ledger" / "v3.sql"


@pytest.fixture
def book() -> Iterator[sqlite3.Connection]:
    made = book_of([full_record(1), small_record(2)])
    yield made
    made.close()


def all_of(book: sqlite3.Connection) -> list[str]:
    names = [name for (name,) in book.execute("SELECT decision_id FROM calls").fetchall()]
    return [sentence for name in names for sentence in alterations(book, name)]


def test_what_nobody_touched_is_as_it_was_written(book: sqlite3.Connection) -> None:
    assert all_of(book) == []
    assert alterations(book, "there is none") == []


@pytest.mark.parametrize("column", CALL_COLUMNS[1:])
def test_every_column_of_a_call_counts(book: sqlite3.Connection, column: str) -> None:
    of = decision_id(1)
    value = f"'{'0' * 32}'" if column == "digest" else f"ifnull({column}, 0) || '1'"
    book.execute(f"UPDATE calls SET {column} = {value} WHERE decision_id = '{of}'")
    assert alterations(book, of) == [ROW]
    assert alterations(book, decision_id(2)) == []


def test_to_take_the_digest_away_is_an_alteration(book: sqlite3.Connection) -> None:
    book.execute("UPDATE calls SET cost_nanodollars = 1, digest = NULL")
    assert all_of(book) == [ROW, ROW]


def test_what_was_written_before_there_were_digests_has_none() -> None:
    """But what was written since then has one, and must keep it."""
    old = sqlite3.connect(":memory:", isolation_level=None)
    old.executescript(FIXTURE.read_text(encoding="utf-8"))
    migrate(old)
    has_digest = "SELECT decision_id FROM calls WHERE digest IS NOT NULL"
    since = [name for (name,) in old.execute(has_digest).fetchall()]
    (calls,) = old.execute("SELECT count(*) FROM calls").fetchone()
    assert 0 < len(since) < calls
    assert all_of(old) == []
    old.execute("UPDATE calls SET digest = NULL")
    assert all_of(old) == [ROW] * len(since)
    old.close()


@pytest.mark.parametrize("column", [*ATTEMPT_COLUMNS[2:], "correction_nanodollars"])
def test_every_column_of_an_attempt_counts(book: sqlite3.Connection, column: str) -> None:
    numbers = ("started_ms", "free", "simulated", "sent", "first")
    is_number = column in numbers or column.endswith(("_tokens", "_nanodollars"))
    value = f"ifnull({column}, 0) + 1" if is_number else f"ifnull({column}, '') || 'x'"
    book.execute(f"UPDATE attempts SET {column} = {value} WHERE number = 1")
    if column == "correction_nanodollars":
        assert all_of(book) == ["its attempt 1 has a correction that no invoice made"]
    else:
        assert all_of(book) == [f"its attempt 1 is another than was written: {column}"]


def test_attempts_that_are_gone_or_were_added_are_told(book: sqlite3.Connection) -> None:
    names = ", ".join(ATTEMPT_COLUMNS[2:])
    book.execute(
        f"INSERT INTO attempts (decision_id, number, {names}) "
        f"SELECT decision_id, 9, {names} FROM attempts WHERE number = 1"
    )
    assert all_of(book) == ["its attempts in the ledger are 3, its record has 2"]
    book.execute("DELETE FROM attempts")
    assert all_of(book) == ["its attempts in the ledger are 0, its record has 2"]


@given(book=books(), amount=AMOUNTS)
def test_what_an_invoice_corrects_is_no_alteration(book: sqlite3.Connection, amount: int) -> None:
    assert all_of(book) == []
    apply(book, invoice_of_day(("sol", amount)))
    assert all_of(book) == []
    # But only what it did: a cent more is somebody else's.
    changed = book.execute(
        "UPDATE attempts SET correction_nanodollars = 1 + correction_nanodollars"
    )
    assert len(all_of(book)) == changed.rowcount
    book.close()


def test_a_call_that_was_sent_again_is_as_it_was_written() -> None:
    """Its row is that of the last copy, its attempts stay as the first ones wrote them."""
    first = bought(1, "2026-11-18T10:00", "openai/sol", 5, Usage(3))
    again = bought(1, "2026-11-18T10:01", "openai/sol", 5, names={"sends": 1})
    again.attempts.append(attempt("openai/luna", 7))
    book = book_of([first])
    BatchWriter(book).write([again])
    assert book.execute("SELECT count(*) FROM attempts").fetchone() == (2,)
    assert all_of(book) == []
    book.close()


async def test_a_document_that_is_not_what_its_name_says_is_refused(
    open_ledger: OpenLedger, path: Path
) -> None:
    async with open_ledger() as ledger:
        name = ledger.keep_document("policy", b"what was decided by")
        assert await ledger.document(name) == b"what was decided by"

    def forge() -> None:
        with sqlite3.connect(path) as database:
            other = zlib.compress(b"something else")
            database.execute("UPDATE documents SET content = ?", (other,))
        database.close()

    await anyio.to_thread.run_sync(forge)
    async with open_ledger() as ledger:
        with pytest.raises(AlteredDocument, match=f"{name[:12]} in the ledger is not the one"):
            await ledger.document(name)


def test_the_fixture_is_what_its_name_says() -> None:
    text = FIXTURE.read_text(encoding="utf-8")
    assert f"PRAGMA application_id = {APPLICATION_ID};" in text
    assert "PRAGMA user_version = 3;" in text
    assert len(MIGRATIONS) >= 4
