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
from routerd.ledger.recovery import RULE

__all__ = ["differences_in"]

MOST_RECORDS: Final = 10_000
# The same directory is in every ledger; reading it takes longer than deciding by it.
books = cache(book_of)


def differences_in(ledger: Path) -> list[str]:
    """Decide everything in a ledger again; returns each difference with the call it is of."""
    if not ledger.exists():
        return []
    reader = open_reader(ledger)
    records = reader.recent(MOST_RECORDS)
    altered = [
        f"{record.decision_id}: {alteration}"
        for record in records
        for alteration in reader.alterations(record.decision_id)
    ]
    return altered + [
        f"{record.decision_id}: {difference}"
        for record in records
        if not _cannot_be(record)
        for difference in _differences(record, reader)
    ]


def _cannot_be(record: Record) -> bool:
    """Say whether a decision cannot be made again, for one of the reasons there may be."""
    if record.call_id.startswith("call-"):
        return True  # the test itself wrote it: tests.daemon.ledger.book
    if record.plan is None:
        was_refused_before = record.error_code is not None
        assert was_refused_before or record.cached, f"{record.decision_id}: it has no plan"
        return True
    # Its daemon was killed, and it is known from its intents alone.
    return record.plan.rule == RULE


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
