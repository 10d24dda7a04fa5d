"""Token usage of Converse, in disjoint buckets.

Rules of this file: one reader for streams and plain answers. `inputTokens` leaves out the cache;
the fields that end in `TokenCount` are copies and never added. A cache field that is absent is 0.
"""

from __future__ import annotations

from typing import Any

from routerd.domain import Usage
from routerd.providers.counts import MAX_COUNT, count_of, counts_in
from routerd.providers.counts import is_absurd as has_absurd_count

__all__ = ["is_absurd", "read_usage", "tells_lifetimes"]


def is_absurd(usage: Any) -> bool:
    """Return whether a usage object counts more tokens than there can be, or cannot be read."""
    values = list(usage.values()) if isinstance(usage, dict) else []
    return has_absurd_count(usage) or any(
        isinstance(value, int | float) and value > MAX_COUNT for value in values
    )


def read_usage(value: Any) -> Usage | None:
    """Return the usage; None where nothing was counted, or something absurd."""
    counts = counts_in(value)
    if is_absurd(value) or not ("inputTokens" in counts or "outputTokens" in counts):
        return None
    split = _split(value)
    written = max(_cache(counts, "cacheWriteInputToken"), split["5m"] + split["1h"])
    return Usage(
        input_tokens=counts.get("inputTokens", 0),
        cache_read_tokens=_cache(counts, "cacheReadInputToken"),
        cache_write_tokens=written - split["1h"],
        cache_write_long_tokens=split["1h"],
        output_tokens=counts.get("outputTokens", 0),
    )


def tells_lifetimes(value: Any) -> bool:
    """Return whether it says of all that was written to the cache for how long that is kept."""
    return sum(_split(value).values()) >= _cache(counts_in(value), "cacheWriteInputToken")


def _split(value: Any) -> dict[str, int]:
    """Return the tokens written to the cache by their lifetime, as far as that is told."""
    split = {"5m": 0, "1h": 0}
    details = value.get("cacheDetails") if isinstance(value, dict) else None
    for entry in details if isinstance(details, list) else ():
        if not isinstance(entry, dict) or is_absurd(entry):
            continue
        lifetime = entry.get("ttl")
        if isinstance(lifetime, str) and lifetime in split:
            split[lifetime] += count_of(entry.get("inputTokens")) or 0
    return split


def _cache(counts: dict[str, int], name: str) -> int:
    return counts.get(f"{name}s", counts.get(f"{name}Count", 0))
