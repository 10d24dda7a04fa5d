"""Token counts as providers write them, made whole numbers that can be billed.

Rules of this file: what is not a count is None, which is not the same as 0. Digits in a text are a
count: some gateways write them so; any other text says as little as null. A usage with one count
that is absurd, or with such a text for what is billed, is not to be billed by at all: what is left
of it would look complete.
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["ABSURD_NOTE", "MAX_COUNT", "count_of", "counts_in", "is_absurd"]

MAX_COUNT: Final = 2**31 - 1
"""A thousand times what any model reads; at the highest rate a call of it fits 63 bits of cost."""

ABSURD_NOTE: Final = (
    "the provider's token counts were left out: one is too large to be true, or cannot be read"
)
DIGITS: Final = re.compile(r"\s*(-?[0-9]{1,19})(?:\.[0-9]*)?\s*", re.ASCII)
TOO_MANY_DIGITS: Final = re.compile(r"\s*[0-9]{10,}(?:\.[0-9]*)?\s*", re.ASCII)
# How vendors end the names of counts of tokens, in lower case.
TOKEN_NAMES: Final = ("tokens", "tokencount", "token_count")
# What counts are billed by that nothing else tells, in lower case and without lines.
BILLED: Final = frozenset(
    {
        *("inputtokens", "prompttokens", "prompttokencount"),
        *("outputtokens", "completiontokens", "candidatestokencount"),
        *("cachecreationinputtokens", "cachewriteinputtokens", "cachereadinputtokens"),
    }
)


def count_of(value: Any) -> int | None:
    """Return a count from 0 to MAX_COUNT; None where `value` is no number, or a larger one.

    A number may be written as a text of digits.
    """
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value  # nearly always
    if isinstance(value, str):
        digits = DIGITS.fullmatch(value)
        return count_of(int(digits[1])) if digits is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value != value or value <= 0:  # noqa: PLR0124 - only NaN differs from itself
        return 0 if value == value else None  # noqa: PLR0124
    return None if value > MAX_COUNT else int(value)


def counts_in(value: Any) -> dict[str, int]:
    """Return the counts of an object by name; empty where it is no object."""
    if not isinstance(value, dict):
        return {}
    return {
        name: count
        for name, item in value.items()
        # What is a count already needs no call, and nearly all are.
        if (count := item if type(item) is int and 0 <= item <= MAX_COUNT else count_of(item))
        is not None
    }


def is_absurd(usage: Any) -> bool:
    """Return whether a usage object, or one inside it, counts more tokens than there can be.

    So does one whose billed count is a text that cannot be read. Other numbers (times, prices in
    tiny units) may be as large as they like.
    """
    if not isinstance(usage, dict):
        return False
    for name, value in usage.items():
        if type(value) is int and value <= MAX_COUNT:
            continue  # nearly always
        if isinstance(value, dict):
            if is_absurd(value):
                return True
        elif (
            isinstance(value, int | float | str)
            and not isinstance(value, bool)
            and isinstance(name, str)
            and name.lower().endswith(TOKEN_NAMES)
            and count_of(value) is None
            and (not isinstance(value, str) or _is_missed(name, value))
        ):
            return True
    return False


def _is_missed(name: str, text: str) -> bool:
    """Return whether a text that is no count stands where one has to be known."""
    return name.lower().replace("_", "") in BILLED or TOO_MANY_DIGITS.fullmatch(text) is not None
