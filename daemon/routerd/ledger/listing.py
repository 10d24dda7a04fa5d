"""Which calls there were: the newest first, by any of what a record says.

Rules of this file: pure functions on a connection that may only read; values are bound.
"""

from __future__ import annotations

import sqlite3
from typing import Annotated, Final

from msgspec import Meta, Struct

from routerd.domain import Record
from routerd.ledger.reading import read_records

__all__ = ["ANY", "MOST_CALLS", "CallsQuestion", "list_calls"]

MOST_CALLS: Final = 1000
# As `error`: whatever it was.
ANY: Final = "any"
EQUALS: Final = (
    "tenant",
    "team",
    "agent",
    "user",
    "feature",
    "task",
    "model",
    "provider",
    "target",
)


# What the database can compare with.
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class CallsQuestion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls are asked for. None lets everything through.

    `model` and `provider` are those that answered. Times are milliseconds since the epoch, of when
    a call came in; `since_ms` counts, `until_ms` no longer does. A call without a known cost is not
    above any.
    """

    limit: Annotated[int, Meta(ge=1, le=MOST_CALLS)]
    tenant: str | None = None
    team: str | None = None
    agent: str | None = None
    user: str | None = None
    feature: str | None = None
    task: str | None = None
    model: str | None = None
    provider: str | None = None
    target: str | None = None
    error: str | None = None
    since_ms: Whole | None = None
    until_ms: Whole | None = None
    above_nanodollars: Whole | None = None


def list_calls(connection: sqlite3.Connection, question: CallsQuestion) -> list[Record]:
    """Return the newest of the calls that are asked for, the newest first."""
    conditions: list[tuple[str, str | int | None]] = [
        (f"{name} = ?", getattr(question, name)) for name in EQUALS
    ]
    conditions += [
        ("received_at_ms >= ?", question.since_ms),
        ("received_at_ms < ?", question.until_ms),
        ("cost_nanodollars > ?", question.above_nanodollars),
        ("error_code = ?", None if question.error == ANY else question.error),
    ]
    used = [(text, value) for text, value in conditions if value is not None]
    where = [text for text, _ in used]
    if question.error == ANY:
        where.append("error_code IS NOT NULL")
    return read_records(
        connection,
        (f"WHERE {' AND '.join(where)} " if where else "")
        + "ORDER BY received_at_ms DESC, decision_id DESC LIMIT ?",
        (*(value for _, value in used), question.limit),
    )
