"""Token counts as providers write them, made whole numbers that can be billed.

Rules of this file: what is not a count is None, which is not the same as 0.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["count_of", "counts_in"]

MAX_COUNT: Final = 2**53


def count_of(value: Any) -> int | None:
    """Return a count of 0 or more; None where `value` is no number."""
    if type(value) is int and 0 <= value < MAX_COUNT:
        return value  # nearly always
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value != value or value <= 0:  # noqa: PLR0124 - only NaN differs from itself
        return 0 if value == value else None  # noqa: PLR0124
    return int(min(value, MAX_COUNT))


def counts_in(value: Any) -> dict[str, int]:
    """Return the counts of an object by name; empty where it is no object."""
    if not isinstance(value, dict):
        return {}
    return {name: count for name, item in value.items() if (count := count_of(item)) is not None}
