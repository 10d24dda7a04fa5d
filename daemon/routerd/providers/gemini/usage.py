"""Token usage of generateContent, in disjoint buckets.

Rules of this file: pure. The prompt's count includes what the cache read; the thoughts are not in
the candidates' count; what the vendor's own tools read comes on top. An absent count is 0. There
is no count of what was written to the cache.
"""

from __future__ import annotations

from typing import Final

from routerd.domain import Usage
from routerd.providers.counts import MAX_COUNT
from routerd.providers.gemini.wire import UsageMetadata

__all__ = ["is_too_large", "read_usage"]

NOTHING: Final = UsageMetadata()


def read_usage(counted: UsageMetadata) -> Usage | None:
    """Return the usage, None where there is none, or one too large to be true."""
    if counted == NOTHING:
        return None
    prompt, output, thoughts, tools, cached = _counts(counted)
    if prompt + output + thoughts + tools + cached > MAX_COUNT:
        return None
    return Usage(
        input_tokens=max(prompt - cached, 0) + tools,
        cache_read_tokens=cached,
        output_tokens=output + thoughts,
        reasoning_tokens=thoughts,
    )


def is_too_large(counted: UsageMetadata) -> bool:
    """Return whether a usage counts more tokens than there can be."""
    return sum(_counts(counted)) > MAX_COUNT


def _counts(counted: UsageMetadata) -> list[int]:
    """Return what was counted, in the order of the vendor's fields."""
    return [
        count if count and count > 0 else 0
        for count in (
            counted.prompt_token_count,
            counted.candidates_token_count,
            counted.thoughts_token_count,
            counted.tool_use_prompt_token_count,
            counted.cached_content_token_count,
        )
    ]
