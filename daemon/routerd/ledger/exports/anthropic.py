"""Exports of Anthropic: the cost and usage reports of its API, and the CSV files of its console.

Rules of this file: pure. The reports are those of platform.claude.com/docs/en/api/admin:
`cost_report` has `amount`, a decimal text in cents, `model`, `token_type`, `cost_type` and
`description`, `usage_report/messages` has `uncached_input_tokens`, `cache_read_input_tokens`,
`cache_creation` and `output_tokens`; both have buckets with `starting_at`. The console's files have
`usage_date_utc`, and either `model` (as people call it) and `cost_usd` in dollars, or
`model_version` and `usage_input_tokens_no_cache` and the like; no page documents them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any, Final

from routerd.ledger.exports.lines import (
    Amounts,
    OddRow,
    Reading,
    amount_of,
    count_of,
    day_of,
    object_of,
)

__all__ = ["VENDOR", "read_cost_row", "read_costs", "read_usage", "read_usage_row"]

VENDOR: Final = "anthropic"
CENTS: Final = 100
CREATED_5M: Final = "ephemeral_5m_input_tokens"
CREATED_1H: Final = "ephemeral_1h_input_tokens"
# Where each bucket stands in a row of the console.
COLUMNS: Final = {
    "input_tokens": "usage_input_tokens_no_cache",
    "cache_read_tokens": "usage_input_tokens_cache_read",
    "cache_write_tokens": "usage_input_tokens_cache_write_5m",
    "cache_write_long_tokens": "usage_input_tokens_cache_write_1h",
    "output_tokens": "usage_output_tokens",
}


def read_costs(reading: Reading, bucket: Mapping[str, Any], results: list[Any], name: str) -> None:
    """Read one bucket of a cost report."""
    day = day_of(bucket.get("starting_at"))
    reading.about(day)
    for number, result in enumerate(results, 1):
        with reading.row(f"{name}, result {number}"):
            cents = amount_of(result.get("amount"))
            reading.add(_cost(day, result, cents / CENTS, result.get("currency")))


def read_cost_row(reading: Reading, row: Mapping[str, str]) -> None:
    """Read one row of the console's costs."""
    day = day_of(row.get("usage_date_utc"))
    reading.about(day)
    reading.add(_cost(day, row, amount_of(row.get("cost_usd")), None))


def read_usage(reading: Reading, bucket: Mapping[str, Any], results: list[Any], name: str) -> None:
    """Read one bucket of a usage report."""
    day = day_of(bucket.get("starting_at"))
    reading.about(day)
    for number, result in enumerate(results, 1):
        with reading.row(f"{name}, result {number}"):
            created = object_of(result.get("cache_creation"), "cache_creation")
            counts = {
                "input_tokens": count_of(result, "uncached_input_tokens"),
                "cache_read_tokens": count_of(result, "cache_read_input_tokens"),
                "cache_write_tokens": count_of(created, CREATED_5M),
                "cache_write_long_tokens": count_of(created, CREATED_1H),
                "output_tokens": count_of(result, "output_tokens"),
            }
            reading.add(_usage(day, result.get("model"), counts))


def read_usage_row(reading: Reading, row: Mapping[str, str]) -> None:
    """Read one row of the console's usage."""
    day = day_of(row.get("usage_date_utc"))
    reading.about(day)
    counts = {bucket: count_of(row, column) for bucket, column in COLUMNS.items()}
    reading.add(_usage(day, row.get("model_version"), counts))


def _cost(day: date, row: Mapping[str, Any], dollars: Fraction, currency: Any) -> Amounts:
    if str(currency or "usd").lower() != "usd":
        raise OddRow(f"its amount is in {currency}")
    model = str(row.get("model") or "")
    kind = str(row.get("cost_type") or "")
    item = "" if model else str(row.get("description") or kind)
    return Amounts(day=day, model=model, item=item, dollars=dollars)


def _usage(day: date, model: Any, counts: Mapping[str, int | None]) -> Amounts:
    if counts["input_tokens"] is None or counts["output_tokens"] is None:
        raise OddRow("it has no input or no output tokens")
    known = {name: count or 0 for name, count in counts.items()}
    return Amounts(day=day, model=str(model or ""), counts=known)
