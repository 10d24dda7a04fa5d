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
    prompt, output = counted.prompt_token_count or 0, counted.candidates_token_count or 0
    thoughts, tools = counted.thoughts_token_count or 0, counted.tool_use_prompt_token_count or 0
    cached = counted.cached_content_token_count or 0
    if prompt + output + thoughts + tools + cached > MAX_COUNT or counted == NOTHING:
        return None
    return Usage(
        input_tokens=(prompt - cached if prompt > cached else 0) + tools,
        cache_read_tokens=cached,
        output_tokens=output + thoughts,
        reasoning_tokens=thoughts,
    )


def is_too_large(counted: UsageMetadata) -> bool:
    """Return whether what `read_usage` refused counts more tokens than there can be."""
    return counted != NOTHING
