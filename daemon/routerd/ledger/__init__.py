"""What happened, durable: one row for every call that was read, whatever its end."""

from routerd.ledger.reading import (
    AlteredDocument,
    AmbiguousId,
    Connection,
    LedgerReader,
    LedgerUnreadable,
    open_reader,
)
from routerd.ledger.store import Ledger
from routerd.ledger.writer import WriterSettings

__all__ = [
    "AlteredDocument",
    "AmbiguousId",
    "Connection",
    "Ledger",
    "LedgerReader",
    "LedgerUnreadable",
    "WriterSettings",
    "open_reader",
]
