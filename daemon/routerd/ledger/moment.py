"""Several questions about one moment of a ledger that is being written, and what was in it then.

Rules of this file: on a connection that may only read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["attempts_of", "one_moment"]

AT_A_TIME: Final = 500
ATTEMPTS: Final = "SELECT decision_id, number FROM attempts WHERE decision_id IN ({})"


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all questions inside be answered from what is on disk when the block begins."""
    connection.execute("BEGIN")
    try:
        # The moment is that of the first question, so it is asked here.
        connection.execute("SELECT 1 FROM attempts LIMIT 1").fetchone()
        yield
    finally:
        connection.execute("ROLLBACK")


def attempts_of(
    connection: sqlite3.Connection, decision_ids: Iterable[str]
) -> set[tuple[str, int]]:
    """Return the attempts of some calls that the ledger has, as decision id and number."""
    names = tuple(decision_ids)
    found: set[tuple[str, int]] = set()
    for place in range(0, len(names), AT_A_TIME):
        some = names[place : place + AT_A_TIME]
        found.update(connection.execute(ATTEMPTS.format(", ".join("?" * len(some))), some))
    return found
