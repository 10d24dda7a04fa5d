"""Token usage of generateContent, in disjoint buckets.

Rules of this file: pure. The prompt's count includes what the cache read; the thoughts are not in
the candidates' count; what the vendor's own tools read comes on top. An absent count is 0. There
is no count of what was written to the cache.
"""

from __future__ import annotations

from typing import Any

from routerd.domain import Usage
from routerd.providers.counts import MAX_COUNT, counts_in, is_absurd

__all__ = ["is_too_large", "read_usage"]

COUNTS = (
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
)


def read_usage(value: Any) -> Usage | None:
    """Return the usage, None where there is none, or one too large to be true."""
    counts = counts_in(value)
    if not any(name in counts for name in COUNTS) or is_too_large(value):
        return None
    prompt, cached = counts.get("promptTokenCount", 0), counts.get("cachedContentTokenCount", 0)
    thoughts = counts.get("thoughtsTokenCount", 0)
    return Usage(
        input_tokens=max(prompt - cached, 0) + counts.get("toolUsePromptTokenCount", 0),
        cache_read_tokens=cached,
        output_tokens=counts.get("candidatesTokenCount", 0) + thoughts,
        reasoning_tokens=thoughts,
    )


def is_too_large(value: Any) -> bool:
    """Return whether a usage counts more tokens than there can be."""
    if not isinstance(value, dict):
        return False
    counted = [value.get(name) for name in COUNTS]
    numbers = [count for count in counted if isinstance(count, int | float)]
    return (
        is_absurd(value)
        or any(count > MAX_COUNT for count in numbers)
        or (sum(count for count in numbers if count > 0) > MAX_COUNT)
    )
