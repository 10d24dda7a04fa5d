"""Exports of OpenAI: the costs and usage pages of its API, and the CSV files of its dashboard.

Rules of this file: pure. Costs are in dollars. The shapes are those of
developers.openai.com/api/docs/api-reference/usage: `organization/costs` has `amount.value`,
`amount.currency`, `line_item` and `quantity`, `organization/usage/completions` has `input_tokens`,
which hold the cached and the written ones (`input_cached_tokens`, `input_cache_write_tokens`,
`input_cache_write_12h_tokens`), `output_tokens` and `num_model_requests`. The files of the
dashboard have the same names as columns, with `amount_value` and `amount_currency`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
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

VENDOR: Final = "openai"
# How line items end that are sold by the token; `, long context` may follow.
PIECES: Final = {
    "input": "input_tokens",
    "cached input": "cache_read_tokens",
    "cache write": "cache_write_tokens",
    "cache writes": "cache_write_tokens",
    "output": "output_tokens",
}


def read_costs(reading: Reading, bucket: Mapping[str, Any], results: list[Any], name: str) -> None:
    """Read one bucket of a page of costs."""
    day = day_of(bucket.get("start_time"))
    reading.about(day)
    for number, result in enumerate(results, 1):
        with reading.row(f"{name}, result {number}"):
            amount = object_of(result.get("amount"), "amount")
            reading.add(
                _cost(
                    day,
                    result.get("line_item"),
                    amount.get("value"),
                    amount.get("currency"),
                    result,
                )
            )


def read_cost_row(reading: Reading, row: Mapping[str, str]) -> None:
    """Read one row of the dashboard's costs; a day without any has a row that says no more."""
    day = day_of(row.get("start_time") or row.get("start_time_iso"))
    reading.about(day)
    if row.get("amount_value"):
        currency = row.get("amount_currency")
        reading.add(_cost(day, row.get("line_item"), row["amount_value"], currency, row))
    elif row.get("line_item"):
        raise OddRow(f"{row['line_item']!r} has no amount")


def read_usage(reading: Reading, bucket: Mapping[str, Any], results: list[Any], name: str) -> None:
    """Read one bucket of a page of usage."""
    day = day_of(bucket.get("start_time"))
    reading.about(day)
    for number, result in enumerate(results, 1):
        with reading.row(f"{name}, result {number}"):
            reading.add(_usage(day, result))


def read_usage_row(reading: Reading, row: Mapping[str, str]) -> None:
    """Read one row of the dashboard's usage."""
    day = day_of(row.get("start_time") or row.get("start_time_iso"))
    reading.about(day)
    if row.get("model") or row.get("num_model_requests"):
        reading.add(_usage(day, row))


def _cost(day: date, line_item: Any, value: Any, currency: Any, row: Mapping[str, Any]) -> Amounts:
    if value is None:
        raise OddRow("it has no amount")
    if str(currency or "usd").lower() != "usd":
        raise OddRow(f"its amount is in {currency}")
    model, item, bucket = _split(str(line_item or ""))
    # What is not tokens may be sold in fractions, and is not counted here.
    quantity = count_of(row, "quantity") if bucket is not None else None
    counts = {bucket: quantity} if bucket is not None and quantity is not None else {}
    return Amounts(day=day, model=model, item=item, dollars=amount_of(value), counts=counts)


def _split(line_item: str) -> tuple[str, str, str | None]:
    """Take `priority | gpt-6.1-sol, cached input, long context` apart: model, item, bucket."""
    head, *pieces = (piece.strip() for piece in line_item.split(","))
    if not pieces:
        return "", head, None
    # The tier stands before the model, what kind of text it is for may stand behind it.
    model = head.rpartition("|")[2].split()
    return (model[0] if model else ""), ("" if model else line_item), PIECES.get(pieces[0].lower())


def _usage(day: date, row: Mapping[str, Any]) -> Amounts:
    tokens = {
        "cache_read_tokens": count_of(row, "input_cached_tokens") or 0,
        "cache_write_tokens": count_of(row, "input_cache_write_tokens") or 0,
        "cache_write_long_tokens": count_of(row, "input_cache_write_12h_tokens") or 0,
    }
    prompt, output = count_of(row, "input_tokens"), count_of(row, "output_tokens")
    if prompt is None or output is None:
        raise OddRow("it has no input_tokens or no output_tokens")
    plain = prompt - sum(tokens.values())
    if plain < 0:
        raise OddRow(f"more of its input was cached than its {prompt} input_tokens")
    counts = {**tokens, "input_tokens": plain, "output_tokens": output}
    requests = count_of(row, "num_model_requests")
    if requests is not None:
        counts["requests"] = requests
    return Amounts(day=day, model=str(row.get("model") or ""), counts=counts)
