"""Opening the ledger's file for the one writer: lock, check, migrations.

Rules of this file: blocking, run in the writer's thread. What keeps a daemon from starting is a
StartError that says what to do. A damaged file does not: it is moved aside, never deleted.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from routerd.errors import StartError
from routerd.ledger.schema import APPLICATION_ID, NewerLedger, migrate
from routerd.telemetry.events import Event, LedgerMovedAside

__all__ = ["DAMAGED", "OpenLedger", "cannot_open", "open_for_writing"]

BUSY_MILLISECONDS: Final = 5000
JOURNAL_BYTES: Final = 16 * 1024 * 1024
CHECK: Final = "PRAGMA quick_check(1)"
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
PRAGMAS: Final = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # before the first table, or never
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # kill -9 loses nothing; a power cut may lose the last moments
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {JOURNAL_BYTES}",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
)


class Damaged(Exception):  # noqa: N818 - it says what was found
    """The file is no database, or a broken one."""


class OpenLedger(Struct, eq=False):
    """A connection that may write, and the lock that keeps every other daemon away.

    `aside` is where a damaged file is now that was found in its place.
    """

    connection: sqlite3.Connection
    lock: int
    aside: Path | None = None

    def close(self) -> None:
        """Give both back."""
        try:
            self.connection.close()
        finally:
            os.close(self.lock)


def open_for_writing(
    path: Path, *, check_seconds: float, tell: Callable[[Event], None]
) -> OpenLedger:
    """Open or make a ledger; the check for damage stops after `check_seconds`, found or not."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(path)
    except OSError as error:
        raise cannot_open(path, error.strerror or type(error).__name__) from error
    aside: Path | None = None
    try:
        try:
            connection = _open(path, check_seconds)
        except Damaged as damage:
            aside = _move_aside(path)
            tell(LedgerMovedAside(path=str(aside), reason=str(damage)))
            connection = _open(path, check_seconds)
    except (sqlite3.Error, OSError, Damaged, NewerLedger) as error:
        os.close(lock)
        raise cannot_open(path, str(error)) from error
    except BaseException:  # interrupted too: nobody else would ever get the lock
        os.close(lock)
        raise
    return OpenLedger(connection, lock, aside)


def cannot_open(path: Path, why: str) -> StartError:
    """Return the error of a ledger that keeps the daemon from starting."""
    return StartError(
        f"The ledger {path} cannot be opened: {why}. Correct that, or name another file with "
        "ledger.path in the configuration or with --ledger."
    )


def _lock(path: Path) -> int:
    """Take the lock file beside the ledger; whoever dies gives it back."""
    name = path.with_name(path.name + ".lock")
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise StartError(
            f"Another routerd{f' (process {holder})' if holder else ''} uses the ledger {path}: "
            f"it holds {name}. Stop it, or give this one a ledger of its own with --ledger."
        ) from None
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _open(path: Path, check_seconds: float) -> sqlite3.Connection:
    # Made here, because SQLite would make it readable to others; its -wal and -shm follow.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MILLISECONDS / 1000)
    try:
        _recognise(connection, path)
        _check(connection, check_seconds)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
            raise Damaged(str(error)) from error
        raise
    except BaseException:  # interrupted too: no descriptor stays behind
        connection.close()
        raise
    return connection


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    (theirs,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if theirs != APPLICATION_ID and (theirs or tables):
        raise StartError(
            f"{path} is a database of another program. Name another file with ledger.path in the "
            "configuration or with --ledger."
        )


def _check(connection: sqlite3.Connection, seconds: float) -> None:
    """Look for damage for so long; a large ledger must not keep the daemon from starting.

    The whole of a table is one instruction to SQLite, between which alone its progress handler is
    called: seconds for a million records. An interruption is seen at every page.
    """
    if seconds <= 0:
        return
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        (verdict,) = connection.execute(CHECK).fetchone()
        is_whole = timer.is_alive()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return
        raise
    finally:
        timer.cancel()
        timer.join()  # it must not interrupt what comes next
    if verdict != "ok" and is_whole:
        raise Damaged(verdict)


def _move_aside(path: Path) -> Path:
    """Rename a damaged ledger and what belongs to it; returns its new name."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{now}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside
