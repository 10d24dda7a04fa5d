"""A small ledger to ask: single calls with what they cost, in a database with the real tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from routerd.domain import Attempt, Record, Usage
from routerd.ledger.batch import BatchWriter
from routerd.ledger.schema import migrate
from tests.daemon.ledger.records import small_record

__all__ = ["attempt", "book_of", "bought", "milliseconds"]


def book_of(records: Iterable[Record] = ()) -> sqlite3.Connection:
    """Return a database that holds these records."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    BatchWriter(connection).write(list(records))
    return connection


def milliseconds(time: str) -> int:
    """Return a time of UTC as milliseconds since the epoch."""
    return int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000)


def attempt(
    deployment: str, nanodollars: int | None, usage: Usage | None = None, **changes: Any
) -> Attempt:
    """Return a request that was answered at once."""
    provider, _, model = deployment.partition("/")
    known: dict[str, Any] = {
        "model": model,
        "provider": provider,
        "server": "server:443",
        "reason": "first",
        "started_us": 0,
        "usage": usage,
        "cost_nanodollars": nanodollars,
        "cost_basis": "unknown" if nanodollars is None else "measured",
    }
    return Attempt(deployment=deployment, **(known | changes))


def bought(
    number: int,
    time: str,
    deployment: str,
    nanodollars: int | None,
    usage: Usage | None = None,
    *,
    names: dict[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """Return a call with one request; `changes` are to the request, `names` to the record."""
    made = attempt(deployment, nanodollars, usage, **changes)
    record = structs.replace(
        small_record(number),
        received_at_ns=milliseconds(time) * 1_000_000,
        attempts=[made],
        finish="stop",
        model=made.model,
        deployment=deployment,
        provider=made.provider,
        usage=usage,
        cost_nanodollars=nanodollars,
        cost_basis=made.cost_basis,
    )
    return structs.replace(record, **(names or {}))
