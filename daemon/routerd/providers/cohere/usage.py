"""Token usage of Chat, in disjoint buckets.

Rules of this file: one parser for streams and plain answers. `billed_units` is what is paid for,
and counts. `tokens` holds the vendor's own prompt too (recorded: 69 against 7 billed), and
`cached_tokens` is a part of those: they count only where nothing is said to be billed. Beside what
is billed they are no cache read: how many of the billed tokens they are is not told, no price list
has a rate for them, and tokens without a rate would leave the cost of the call unknown, where the
vendor's bill is the billed units at the one rate of the input. How many tokens were thought is not
told.
"""

from __future__ import annotations

from typing import Any

from routerd.domain import Usage
from routerd.providers.counts import counts_in, is_absurd

__all__ = ["read_usage"]

INPUT, OUTPUT = "input_tokens", "output_tokens"


def read_usage(value: Any) -> Usage | None:
    """Read a usage object; None where it holds no count, or an absurd one. Zeros are counts."""
    if not isinstance(value, dict) or is_absurd(value):
        return None
    tokens, billed = counts_in(value.get("tokens")), counts_in(value.get("billed_units"))
    counts = {**tokens, **billed}
    if INPUT not in counts and OUTPUT not in counts:
        return None
    prompt, read = counts.get(INPUT, 0), 0
    if INPUT not in billed:
        # A cache's part of what is billed cannot be told: the vendor's own prompt is in it first.
        read = min(counts_in(value).get("cached_tokens", 0), prompt)
    return Usage(
        input_tokens=prompt - read,
        cache_read_tokens=read,
        output_tokens=counts.get(OUTPUT, 0),
    )
