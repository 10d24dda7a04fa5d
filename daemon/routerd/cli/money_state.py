"""What `routerd status` says of money: caps that matter, free tiers, keys, kept answers."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from routerd.cli.tables import print_table
from routerd.models.rooms import amount_text

__all__ = ["print_money", "span_text", "used_text"]

PERCENT = 100


def print_money(report: dict[str, Any]) -> None:
    """Print the parts of a status report that are about money, where there is something to say."""
    _print_budgets(report["budgets"])
    _print_free_tiers(report["free_tiers"])
    _print_keys(report["keys"])
    cache = report["cache"]
    if cache["hits"] or cache["shared"] or cache["misses"]:
        print(
            f"\nkept answers   {cache['entries']} in {cache['bytes']} bytes; {cache['hits']} given "
            f"again, {cache['shared']} shared in flight, {cache['misses']} asked for"
        )


def _print_budgets(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    print()
    print_table(
        ("budget", "scope", "window", "limit", "spent", "held", "used", "resets in"),
        [
            (
                row["budget"],
                row["scope"],
                row["window"],
                *(amount_text(row["unit"], row[name]) for name in ("limit", "spent", "held")),
                used_text(row),
                span_text(row["resets_at"] - time.time()),
            )
            for row in rows
        ],
    )


def _print_free_tiers(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    print()
    print_table(
        ("free tier", "key", "left", "of", "then", "resets in"),
        [
            (
                row["deployment"],
                row["key"] or "-",
                str(row["left"]),
                f"{row['limit']} {row['unit']}",
                row["then"],
                span_text(row["resets_at"] - time.time()),
            )
            for row in rows
        ],
    )


def _print_keys(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    print()
    print_table(
        ("provider", "key", "in flight", "rests until", "because", "headroom"),
        [
            (
                row["provider"],
                row["key"] or "the only one",
                str(row["in_flight"]),
                _moment(row["cooling_until"] or row["used_up_until"]),
                row["cooling_because"] or ("used up" if row["used_up_until"] else "-"),
                "-" if row["headroom"] is None else f"{row['headroom'] // 10} %",
            )
            for row in rows
        ],
    )


def used_text(row: dict[str, Any]) -> str:
    """Say how much of a cap is spent or held: no call is admitted beyond both together."""
    used = row["spent"] + row["held"]
    share = f"{used * PERCENT // row['limit']} %" if row["limit"] else "-"
    if used >= row["limit"]:
        return f"{share}, used up"
    return f"{share}, nearly" if row["spent"] >= row["soft"] else share


def span_text(seconds: float) -> str:
    """Write how long something takes, to the coarsest unit that says enough: `3 h 20 min`."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {minutes} min" if hours else f"{max(0, minutes)} min"


def _moment(seconds: float | None) -> str:
    return "-" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"
