"""Token usage of Chat, in disjoint buckets.

Rules of this file: one parser for streams and plain answers. `billed_units` is what is paid for,
and counts; `tokens` holds the vendor's own prompt too (recorded: 69 against 7 billed), and counts
only where nothing is said to be billed. `cached_tokens` is a part of `tokens`. What a cache holds
is the beginning of a prompt, which is the vendor's own: of what is billed only the rest was read
from it. How many tokens were thought is not told.
"""

from __future__ import annotations

from typing import Any

from routerd.domain import Usage
from routerd.providers.counts import counts_in, is_absurd

__all__ = ["read_usage"]

NAMES = ("input_tokens", "output_tokens")


def read_usage(value: Any) -> Usage | None:
    """Read a usage object; None where it holds no count, or an absurd one. Zeros are counts."""
    if not isinstance(value, dict) or is_absurd(value):
        return None
    tokens, billed = counts_in(value.get("tokens")), counts_in(value.get("billed_units"))
    counts = {**tokens, **billed}
    if not any(name in counts for name in NAMES):
        return None
    prompt = counts.get("input_tokens", 0)
    own = max(tokens.get("input_tokens", prompt) - prompt, 0)
    cached = counts_in(value).get("cached_tokens", 0)
    read = min(max(cached - own, 0), prompt)
    return Usage(
        input_tokens=prompt - read,
        cache_read_tokens=read,
        output_tokens=counts.get("output_tokens", 0),
    )
