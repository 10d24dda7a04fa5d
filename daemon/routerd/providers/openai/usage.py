"""Token usage as Chat Completions servers report it, in disjoint buckets.

Rules of this file: one parser for streams and plain answers. `prompt_tokens` includes what was
read from and written to the cache, `completion_tokens` includes reasoning; the servers that say
otherwise are told by their own total. The same cached tokens may stand in two fields: the larger
counts, they are never added.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from routerd.domain import Usage
from routerd.providers.counts import MAX_COUNT, counts_in, is_absurd
from routerd.providers.json_text import JSON_ERRORS

__all__ = ["PlainUsage", "in_buckets", "read_usage", "split_output"]

TOTAL_FIELDS: Final = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_miss_tokens"}
)
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]


class PromptDetails(Struct, forbid_unknown_fields=True, gc=False):
    """Of the prompt's tokens."""

    cached_tokens: Count = 0
    cache_write_tokens: Count = 0
    audio_tokens: Count = 0
    text_tokens: Count = 0
    image_tokens: Count = 0


class OutputDetails(Struct, forbid_unknown_fields=True, gc=False):
    """Of the answer's tokens."""

    reasoning_tokens: Count | None = None
    audio_tokens: Count = 0
    text_tokens: Count = 0
    accepted_prediction_tokens: Count = 0
    rejected_prediction_tokens: Count = 0


class PlainUsage(Struct, forbid_unknown_fields=True, gc=False):
    """What OpenAI itself writes and most servers after it: whole, all of it counts, no more."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: OutputDetails | None = None


NO_DETAILS: Final = PromptDetails()


def read_usage(value: Any) -> Usage | None:
    """Read a usage object; None where it holds no count, or an absurd one. Zeros are counts."""
    # Nearly always, in one go; field by field takes several times the functions.
    try:
        return in_buckets(msgspec.convert(value, PlainUsage))
    except JSON_ERRORS:  # of another shape, or with halves of characters in it
        return _read_any(value)


def in_buckets(usage: PlainUsage) -> Usage:
    """Return disjoint buckets of what was read in one go."""
    details = usage.prompt_tokens_details or NO_DETAILS
    output_details = usage.completion_tokens_details
    return _in_buckets(
        usage.prompt_tokens,
        (details.cached_tokens, details.cache_write_tokens),
        _output_of(
            usage.completion_tokens,
            output_details.reasoning_tokens if output_details is not None else None,
            usage.prompt_tokens,
            usage.total_tokens,
        ),
    )


def _read_any(value: Any) -> Usage | None:
    """Read a usage object of any server."""
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
    return _in_buckets(
        prompt,
        (cached, details.get("cache_write_tokens", 0)),
        split_output(counts, "completion_tokens", value.get("completion_tokens_details"), prompt),
    )


def _in_buckets(prompt: int, cache: tuple[int, int], answer: tuple[int, int | None]) -> Usage:
    """Return disjoint buckets, of tokens read from and written to the cache, output, reasoning."""
    read, written = cache
    read = min(read, prompt)
    written = min(written, prompt - read)
    output, reasoning = answer
    return Usage(
        input_tokens=prompt - read - written,
        cache_read_tokens=read,
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
    return _output_of(output, reasoning, prompt, total)


def _output_of(
    output: int, reasoning: int | None, prompt: int, total: int
) -> tuple[int, int | None]:
    if reasoning is None:
        return output, None
    if reasoning and total == prompt + output + reasoning:
        # xAI counts reasoning beside the completion, and bills both.
        output += reasoning
    return output, min(reasoning, output)
