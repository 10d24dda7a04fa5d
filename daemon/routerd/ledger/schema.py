"""The tables, and the numbered steps that lead to them.

Rules of this file: a step that was released is never changed; a new one is added at the end. A step
only adds, so that a daemon of the version before can still read. Money is whole nanodollars, times
are whole microseconds or milliseconds since the epoch, UTC.
"""

from __future__ import annotations

import sqlite3
from typing import Final

__all__ = ["APPLICATION_ID", "MIGRATIONS", "NewerLedger", "migrate"]

# "rtrd" in ASCII: says whose file it is.
APPLICATION_ID: Final = 0x72747264

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE calls (
            decision_id TEXT PRIMARY KEY NOT NULL,
            call_id TEXT NOT NULL,
            received_at_ms INTEGER NOT NULL,
            tenant TEXT,
            team TEXT,
            agent TEXT,
            user TEXT,
            feature TEXT,
            task TEXT,
            target TEXT NOT NULL,
            model_class TEXT,
            model TEXT NOT NULL,
            deployment TEXT NOT NULL,
            provider TEXT NOT NULL,
            finish TEXT NOT NULL,
            error_code TEXT,
            degraded TEXT,
            simulated INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            input_tokens INTEGER,
            cache_read_tokens INTEGER,
            cache_write_tokens INTEGER,
            cache_write_long_tokens INTEGER,
            output_tokens INTEGER,
            reasoning_tokens INTEGER,
            cost_nanodollars INTEGER,
            cost_basis TEXT NOT NULL,
            first_content_us INTEGER,
            total_us INTEGER NOT NULL,
            upstream_us INTEGER NOT NULL,
            trace_id TEXT NOT NULL,
            record TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX calls_by_time ON calls (received_at_ms)",
    ),
)


class NewerLedger(Exception):  # noqa: N818 - it says what was found
    """The file was written by a later version of routerd."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the newest version, each step in a transaction of its own."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise NewerLedger(f"it is of version {version}, this routerd knows {len(MIGRATIONS)}")
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
