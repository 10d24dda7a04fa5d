"""Token usage as Chat Completions servers report it, in disjoint buckets.

Rules of this file: one parser for streams and plain answers. `prompt_tokens` includes what was
read from and written to the cache, `completion_tokens` includes reasoning; the servers that say
otherwise are told by their own total. The same cached tokens may stand in two fields: the larger
counts, they are never added.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Usage
from routerd.providers.counts import counts_in, is_absurd

__all__ = ["read_usage", "split_output"]

TOTAL_FIELDS: Final = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_miss_tokens"}
)


def read_usage(value: Any) -> Usage | None:
    """Read a usage object; None where it holds no count, or an absurd one. Zeros are counts."""
    counts = counts_in(value)
    if is_absurd(value) or TOTAL_FIELDS.isdisjoint(counts):
        return None
    details = counts_in(value.get("prompt_tokens_details"))
    # OpenAI has them in the details, HF's upstreams, Mistral and DeepSeek beside the totals.
    cached = max(
        details.get("cached_tokens", 0),
        counts.get("cached_tokens", 0),
        counts.get("num_cached_tokens", 0),
        counts.get("prompt_cache_hit_tokens", 0),
    )
    prompt = counts.get("prompt_tokens")
    if prompt is None:
        prompt = cached + counts.get("prompt_cache_miss_tokens", 0)
    cached = min(cached, prompt)
    written = min(details.get("cache_write_tokens", 0), prompt - cached)
    output, reasoning = split_output(
        counts, "completion_tokens", value.get("completion_tokens_details"), prompt
    )
    return Usage(
        input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


def split_output(
    counts: dict[str, int], name: str, details: Any, prompt: int
) -> tuple[int, int | None]:
    """Return the output, which the server calls `name`, and the reasoning in it, if that is known.

    `prompt` is the whole input, by which the server's own total tells how it counts.
    """
    reasoning = counts_in(details).get("reasoning_tokens", counts.get("reasoning_tokens"))
    total = counts.get("total_tokens", 0)
    output = counts.get(name)
    if output is None:
        output = max(total - prompt, 0)
    if reasoning is None:
        return output, None
    if reasoning and total == prompt + output + reasoning:
        # xAI counts reasoning beside the completion, and bills both.
        output += reasoning
    return output, min(reasoning, output)
