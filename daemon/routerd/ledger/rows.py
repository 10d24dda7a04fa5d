"""From a record to its rows and back.

Rules of this file: pure, but for inserting. The columns repeat what people filter and sum by; the
whole record stands beside them as JSON, and that is what is read back, with the candidates its plan
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from sqlite3 import Connection
from typing import Final

import msgspec
from msgspec import structs

from routerd.domain import Attempt, Dropped, Record
from routerd_proto.frames import Usage

__all__ = [
    "ATTEMPT_COLUMNS",
    "CALL_COLUMNS",
    "INSERT_ATTEMPT",
    "REPLACE_CALL",
    "Row",
    "attempt_rows",
    "call_row",
    "digest_of",
    "first_sent",
    "insert_attempts",
    "insert_calls",
    "nothing",
    "read_record",
    "started_ms",
]

# Made here, while one thread runs: msgspec works a struct out when it is first decoded, and two
# threads that do so at once crash the interpreter (seen with msgspec 0.22).
_decoder: Final = msgspec.json.Decoder(Record)

Row = tuple[str | int | None, ...]

CALL_COLUMNS: Final = (
    "decision_id",
    "call_id",
    "received_at_ms",
    "tenant",
    "team",
    "agent",
    "user",
    "feature",
    "task",
    "target",
    "model_class",
    "model",
    "deployment",
    "provider",
    "finish",
    "error_code",
    "degraded",
    "simulated",
    "attempts",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanodollars",
    "cost_basis",
    "first_content_us",
    "total_us",
    "upstream_us",
    "trace_id",
    "peer_uid",
    "sends",
    "cached",
    "skipped",
    "arm",
    "gate",
    "feedback",
    "dropped",
    "record",
    "digest",
)
ATTEMPT_COLUMNS: Final = (
    "decision_id",
    "number",
    "started_ms",
    "tenant",
    "team",
    "agent",
    "user",
    "feature",
    "task",
    "target",
    "model_class",
    "model",
    "deployment",
    "provider",
    "key",
    "free",
    "simulated",
    "sent",
    "first",
    "error_class",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanodollars",
    "cost_basis",
)


# What a statement costs is spread over enough, and the event loop waits for no more than these.
ROWS_AT_ONCE: Final = 16


@lru_cache(maxsize=2 * ROWS_AT_ONCE)
def _insert(into: str, columns: tuple[str, ...], rows: int = 1) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"{into} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


REPLACE_CALL: Final = _insert("REPLACE INTO calls", CALL_COLUMNS)
INSERT_ATTEMPT: Final = _insert("INSERT INTO attempts", ATTEMPT_COLUMNS)


def nothing() -> None:
    """Do nothing."""


def insert_calls(
    connection: Connection, rows: list[Row], breathe: Callable[[], None] = nothing
) -> None:
    """Insert rows of `CALL_COLUMNS`; others may go first whenever it calls `breathe`."""
    _insert_all(connection, "INSERT INTO calls", CALL_COLUMNS, rows, breathe)


def insert_attempts(
    connection: Connection, rows: list[Row], breathe: Callable[[], None] = nothing
) -> None:
    """Insert rows of `ATTEMPT_COLUMNS`; others may go first whenever it calls `breathe`."""
    _insert_all(connection, "INSERT INTO attempts", ATTEMPT_COLUMNS, rows, breathe)


def _insert_all(
    connection: Connection,
    into: str,
    columns: tuple[str, ...],
    rows: list[Row],
    breathe: Callable[[], None],
) -> None:
    """Insert many rows by few statements.

    The interpreter's lock is given up and fought for once a statement; with one a row, as
    `executemany` has it, the event loop was held up by every row.
    """
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        values = list(chain.from_iterable(some))
        connection.execute(_insert(into, columns, len(some)), values)
        breathe()


NO_TOKENS: Final[Row] = (None,) * 6


def call_row(record: Record, dropped: str | None) -> Row:
    """Return the values of `CALL_COLUMNS`; `dropped` stands for what its plan dropped."""
    plan = record.plan
    stored = record
    if dropped is not None and plan is not None:
        stored = structs.replace(record, plan=structs.replace(plan, dropped=()))
    row: Row = (
        record.decision_id,
        record.call_id,
        record.received_at_ns // 1_000_000,
        record.tenant,
        record.team,
        record.agent,
        record.user,
        record.feature,
        record.task,
        record.target,
        plan.model_class if plan is not None else None,
        record.model,
        record.deployment,
        record.provider,
        record.finish,
        record.error_code,
        record.degraded,
        int(record.simulated),
        len(record.attempts),
        *_tokens(record.usage),
        record.cost_nanodollars,
        record.cost_basis,
        record.first_content_us,
        record.total_us,
        record.upstream_us,
        record.trace_id,
        record.peer_uid,
        record.sends,
        int(record.cached),
        len(record.skipped),
        record.arm,
        record.gate,
        record.feedback,
        dropped,
        msgspec.json.encode(stored).decode(),
    )
    return (*row, digest_of(row))


def attempt_rows(record: Record) -> list[Row]:
    """Return the values of `ATTEMPT_COLUMNS` of each attempt, in order."""
    first = first_sent(record)
    model_class = record.plan.model_class if record.plan is not None else None
    return [
        (
            record.decision_id,
            number,
            started_ms(record, attempt),
            record.tenant,
            record.team,
            record.agent,
            record.user,
            record.feature,
            record.task,
            record.target,
            model_class,
            attempt.model,
            attempt.deployment,
            attempt.provider,
            attempt.key,
            int(attempt.free),
            int(attempt.simulated),
            int(attempt.sent),
            int(number == first),
            attempt.error_class,
            *_tokens(attempt.usage),
            attempt.cost_nanodollars,
            attempt.cost_basis,
        )
        for number, attempt in enumerate(record.attempts, 1)
    ]


def first_sent(record: Record) -> int:
    """Return the number of the first attempt that was sent, 0 where none was."""
    for number, attempt in enumerate(record.attempts, 1):
        if attempt.sent:
            return number
    return 0


def started_ms(record: Record, attempt: Attempt) -> int:
    """Return when an attempt began, in milliseconds since the epoch."""
    return (record.received_at_ns + attempt.started_us * 1000) // 1_000_000


def read_record(text: str, dropped: tuple[Dropped, ...] | None) -> Record:
    """Return the record of a row; msgspec.DecodeError where a later version wrote it."""
    record = _decoder.decode(text)
    if dropped is not None and record.plan is not None:
        record.plan = structs.replace(record.plan, dropped=dropped)
    return record


def digest_of(values: Sequence[str | int | None]) -> str:
    """Return what tells a row that somebody changed: a digest of all of it but the digest."""
    return blake2b(msgspec.json.encode(values), digest_size=16).hexdigest()


def _tokens(usage: Usage | None) -> Row:
    if usage is None:
        return NO_TOKENS
    return (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_long_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )
