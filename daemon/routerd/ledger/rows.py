"""From a record to a row and back.

Rules of this file: pure. The columns repeat what people filter and sum by; the whole record stands
beside them as JSON, and that is what is read back.
"""

from __future__ import annotations

from typing import Final

import msgspec

from routerd.domain import Record

__all__ = ["INSERT", "Row", "read_record", "row_of"]

Row = tuple[str | int | None, ...]

COLUMNS: Final = (
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
    "record",
)
# The same record may come twice: after an error nobody knows whether the disk took it.
INSERT: Final = (
    f"INSERT INTO calls ({', '.join(COLUMNS)}) "  # noqa: S608 - only names of this file
    f"VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT DO NOTHING"
)
NO_TOKENS: Final[Row] = (None,) * 6


def row_of(record: Record) -> Row:
    """Return the values of `COLUMNS`."""
    usage = record.usage
    tokens: Row = NO_TOKENS
    if usage is not None:
        tokens = (
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.cache_write_long_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        )
    return (
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
        record.plan.model_class if record.plan is not None else None,
        record.model,
        record.deployment,
        record.provider,
        record.finish,
        record.error_code,
        record.degraded,
        int(record.simulated),
        len(record.attempts),
        *tokens,
        record.cost_nanodollars,
        record.cost_basis,
        record.first_content_us,
        record.total_us,
        record.upstream_us,
        record.trace_id,
        msgspec.json.encode(record).decode(),
    )


def read_record(text: str) -> Record:
    """Return the record of a row; msgspec.DecodeError where a later version wrote it."""
    return msgspec.json.decode(text, type=Record)
