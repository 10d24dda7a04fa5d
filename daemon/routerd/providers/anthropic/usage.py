"""Token usage of the Messages API, in disjoint buckets.

Rules of this file: one parser for streams and plain answers. `input_tokens` leaves out the cache.
In a stream the counts are totals: a later one takes the place of an earlier one, a missing or null
one leaves it as it was, and so does a zero where all that it says of the prompt is zero. After an
absurd count nothing more is believed.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.domain import Usage
from routerd.providers.counts import MAX_COUNT, count_of, counts_in, is_absurd

__all__ = ["UsageReader"]

# What a usage says of how the call was served, and what `terms` calls it.
TERMS: Final = (
    ("service_tier", "servicetier"),
    ("speed", "speed"),
    ("inference_geo", "inferencegeo"),
)

# The counts that make up the prompt.
PROMPT: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class UsageReader:
    """Collect the usage of one answer."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lifetimes: dict[str, int] = {}
        self._thinking: int | None = None
        self._extra = Usage()
        self._extra_told = True
        self.terms: dict[str, Any] = {}
        self.other_models = False
        self.absurd = False

    def take(self, value: Any) -> None:
        """Read one usage object; what is no object is ignored."""
        if not isinstance(value, dict):
            return
        self.absurd = self.absurd or is_absurd(value)
        self._take_counts(counts_in(value), counts_in(value.get("cache_creation")))
        for name, plain in TERMS:
            if value.get(name) is not None:
                self.terms[plain] = value[name]
        details = value.get("output_tokens_details")
        if isinstance(details, dict):
            thinking = count_of(details.get("thinking_tokens"))
            self._thinking = self._thinking if thinking is None else thinking
        if isinstance(iterations := value.get("iterations"), list):
            self._take_iterations(iterations)

    def _take_counts(self, counts: dict[str, int], lifetimes: dict[str, int]) -> None:
        """Take the later counts, but for zeros where all that they say of the prompt is zero.

        A prompt that was counted does not shrink to nothing: some gateways end so.
        """
        if "input_tokens" in counts and not any(map(counts.get, PROMPT)):
            counts = {
                name: count for name, count in counts.items() if count or name not in self._counts
            }
            lifetimes = {
                name: count
                for name, count in lifetimes.items()
                if count or name not in self._lifetimes
            }
        written = counts.get("cache_creation_input_tokens")
        if written is not None and not lifetimes and written < sum(self._lifetimes_told):
            # What was said before of the lifetimes is of more than was written after all.
            self._lifetimes.clear()
        self._counts.update(counts)
        self._lifetimes.update(lifetimes)

    @property
    def tells_lifetimes(self) -> bool:
        """Whether it says of all that was written to the cache for how long that is kept."""
        written = self._counts.get("cache_creation_input_tokens", 0)
        return self._extra_told and sum(self._lifetimes_told) >= written

    @property
    def _lifetimes_told(self) -> tuple[int, int]:
        return (
            self._lifetimes.get("ephemeral_5m_input_tokens", 0),
            self._lifetimes.get("ephemeral_1h_input_tokens", 0),
        )

    def usage(self) -> Usage | None:
        """Return what was counted so far, None where nothing was, or something absurd."""
        counts = self._counts
        if self.absurd:
            return None
        if "input_tokens" not in counts and "output_tokens" not in counts:
            return None
        short, long = self._lifetimes_told
        written = max(counts.get("cache_creation_input_tokens", 0), long + short)
        output, extra = counts.get("output_tokens", 0), self._extra
        return Usage(
            input_tokens=counts.get("input_tokens", 0) + extra.input_tokens,
            cache_read_tokens=counts.get("cache_read_input_tokens", 0) + extra.cache_read_tokens,
            cache_write_tokens=written - long + extra.cache_write_tokens,
            cache_write_long_tokens=long + extra.cache_write_long_tokens,
            output_tokens=output + extra.output_tokens,
            reasoning_tokens=None if self._thinking is None else min(self._thinking, output),
        )

    def _take_iterations(self, iterations: list[Any]) -> None:
        """Add what is billed beside the totals: a compaction of the conversation.

        An advisor is another model with its own price: it can only be pointed out.
        """
        self._extra_told = True
        extra = {"input": 0, "read": 0, "write": 0, "long": 0, "output": 0}
        for entry in iterations:
            if not isinstance(entry, dict):
                continue
            if entry.get("type") == "advisor_message":
                self.other_models = True
            if entry.get("type") != "compaction":
                continue
            counts = counts_in(entry)
            extra["input"] += counts.get("input_tokens", 0)
            extra["read"] += counts.get("cache_read_input_tokens", 0)
            lifetimes = counts_in(entry.get("cache_creation"))
            long = lifetimes.get("ephemeral_1h_input_tokens", 0)
            short = lifetimes.get("ephemeral_5m_input_tokens", 0)
            written = max(counts.get("cache_creation_input_tokens", 0), long + short)
            self._extra_told = self._extra_told and long + short >= written
            extra["write"] += written - long
            extra["long"] += long
            extra["output"] += counts.get("output_tokens", 0)
            self.absurd = self.absurd or is_absurd(entry) or is_absurd(entry.get("cache_creation"))
        self.absurd = self.absurd or sum(extra.values()) > MAX_COUNT
        self._extra = Usage(
            input_tokens=extra["input"],
            cache_read_tokens=extra["read"],
            cache_write_tokens=extra["write"],
            cache_write_long_tokens=extra["long"],
            output_tokens=extra["output"],
        )
