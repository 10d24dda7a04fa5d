"""Every decision that a daemon recorded, made once more from what it left behind.

Rules of this file: nothing but the ledger's file is looked at, as somebody would who explains a
call years later. A record may say that it cannot be made again only for a reason that stands here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from routerd.decide import Book, book_of, decide_again
from routerd.domain import Record
from routerd.execute.recording import caller_of
from routerd.ledger import LedgerReader, open_reader

__all__ = ["differences_in"]

MOST_RECORDS: Final = 10_000
# The same directory is in every ledger; reading it takes longer than deciding by it.
books = cache(book_of)


def differences_in(ledger: Path) -> list[str]:
    """Decide everything in a ledger again; returns each difference with the call it is of.

    A call without a plan was refused before there could be one, was answered by what was kept, or
    is known from its intents alone because its daemon was killed.
    """
    if not ledger.exists():
        return []
    reader = open_reader(ledger)
    return [
        f"{record.decision_id}: {difference}"
        for record in reader.recent(MOST_RECORDS)
        if record.plan is not None
        for difference in _differences(record, reader)
    ]


def _differences(record: Record, reader: LedgerReader) -> list[str]:
    return decide_again(record, caller_of(record), _book(record, reader)).differences


def _book(record: Record, reader: LedgerReader) -> Book:
    assert record.directory_hash is not None
    assert record.policy_hash is not None
    directory = reader.document(record.directory_hash)
    policy = reader.document(record.policy_hash)
    assert directory is not None, f"{record.decision_id}: its directory was not kept"
    assert policy is not None, f"{record.decision_id}: its policy was not kept"
    return books(directory, policy)
