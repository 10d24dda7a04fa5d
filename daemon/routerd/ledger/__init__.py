"""What happened, durable: one row for every call that was read, whatever its end."""

from routerd.ledger.reading import AmbiguousId, LedgerReader, LedgerUnreadable, open_reader
from routerd.ledger.store import Ledger

__all__ = ["AmbiguousId", "Ledger", "LedgerReader", "LedgerUnreadable", "open_reader"]
