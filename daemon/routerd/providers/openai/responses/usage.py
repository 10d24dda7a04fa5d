"""Token usage as Responses servers report it, in disjoint buckets.

Rules of this file: one parser for streams and plain answers. `input_tokens` includes what was read
from and written to the cache, `output_tokens` includes reasoning.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Usage
from routerd.providers.counts import counts_in, is_absurd
from routerd.providers.openai.usage import split_output

__all__ = ["read_usage", "tells_lifetimes"]

TOTAL_FIELDS: Final = frozenset({"input_tokens", "output_tokens", "total_tokens"})


def read_usage(value: Any) -> Usage | None:
    """Read a usage object; None where it holds no count, or an absurd one. Zeros are counts."""
    counts = counts_in(value)
    if is_absurd(value) or TOTAL_FIELDS.isdisjoint(counts):
        return None
    details = counts_in(value.get("input_tokens_details"))
    lifetimes = _lifetimes(value)
    prompt = counts.get("input_tokens")
    if prompt is None:
        prompt = max(counts.get("total_tokens", 0) - counts.get("output_tokens", 0), 0)
    cached = min(details.get("cached_tokens", 0), prompt)
    written = min(details.get("cache_write_tokens", sum(lifetimes.values())), prompt - cached)
    long = min(lifetimes.get("ttl_12h_tokens", 0), written)
    output, reasoning = split_output(
        counts, "output_tokens", value.get("output_tokens_details"), prompt
    )
    return Usage(
        input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_tokens=written - long,
        cache_write_long_tokens=long,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


def tells_lifetimes(value: Any) -> bool:
    """Return whether a usage object says for how long what was written to the cache is kept."""
    return bool(_lifetimes(value))


def _lifetimes(value: Any) -> dict[str, int]:
    details = value.get("input_tokens_details") if isinstance(value, dict) else None
    return counts_in(details.get("cache_write_tokens_details")) if isinstance(details, dict) else {}
