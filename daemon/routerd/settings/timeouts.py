"""How long a provider may take, by how long the caller would wait.

Rules of this file: as in `schema`. What a target leaves unset follows from `[timeouts]`, so that
who shortens that shortens all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta, structs

from routerd.settings.section import Section

__all__ = ["BatchTimeouts", "InteractiveTimeouts", "Timeouts", "timeouts_for"]

# What somebody who waits for an answer is spared, where no setting says more or less.
INTERACTIVE_MOST: Final = {
    "connect": 3.0,
    "headers": 15.0,
    "first_content": 15.0,
    "thinking": 120.0,
    "between_parts": 30.0,
}
# By how much longer a batch call waits, for whom nobody waits.
BATCH_FACTOR: Final = 2.0
BATCH_LONGER: Final = ("headers", "first_content", "thinking", "between_parts", "whole_answer")
# A call that names milliseconds moves on after so many times as long, and after a second at least:
# what it names chooses a model, and one that is a little slower is still the fastest way.
LATENCY_FACTOR: Final = 3.0
LEAST_FIRST_CONTENT: Final = 1.0

Seconds = Annotated[float, Meta(gt=0)]


class Timeouts(Section, frozen=True):
    """How long a provider may take: each bounds a phase of one attempt, `total` the whole call.

    Calls with a latency target have limits of their own, below.
    """

    connect: Annotated[float, Meta(gt=0, description="Opening a connection, TLS included.")] = 5.0
    headers: Annotated[
        float, Meta(gt=0, description="From sending a streamed request to the answer's headers.")
    ] = 30.0
    first_content: Annotated[
        float,
        Meta(
            gt=0,
            description="From sending to the first content of a stream. Models think before "
            "they speak, hence not less.",
        ),
    ] = 120.0
    thinking: Annotated[
        float,
        Meta(
            gt=0,
            description="From sending to the first content of a stream that shows signs of life "
            "(hidden reasoning, keep-alives): each is good for another `first_content`, "
            "and all for no longer than this. Not above `first_content`: they count for nothing.",
        ),
    ] = 300.0
    between_parts: Annotated[
        float, Meta(gt=0, description="Silence inside a stream after its first content.")
    ] = 45.0
    least_bytes_per_second: Annotated[
        float,
        Meta(
            ge=0,
            description="A stream that brings less content than this, over `throughput_seconds` "
            "and though it is not silent, is cut. A slow model writes forty. 0: none is.",
        ),
    ] = 6.0
    throughput_seconds: Annotated[
        float, Meta(gt=0, description="Over how long the bytes of a stream are counted for that.")
    ] = 60.0
    whole_answer: Annotated[
        float, Meta(gt=0, description="From sending to the end of an answer that is not streamed.")
    ] = 300.0
    total: Annotated[
        float,
        Meta(gt=0, description="The whole call with all attempts; a caller may ask for less."),
    ] = 600.0


class InteractiveTimeouts(Section, frozen=True):
    """The same for calls whose latency target is `interactive`.

    A call that names milliseconds has these too, with three times that for `first_content`, a
    second at least.
    """

    connect: Annotated[
        Seconds | None, Meta(description="Unset: that of [timeouts], 3 at most.")
    ] = None
    headers: Annotated[
        Seconds | None, Meta(description="Unset: that of [timeouts], 15 at most.")
    ] = None
    first_content: Annotated[
        Seconds | None, Meta(description="Unset: that of [timeouts], 15 at most.")
    ] = None
    thinking: Annotated[
        Seconds | None, Meta(description="Unset: that of [timeouts], 120 at most.")
    ] = None
    between_parts: Annotated[
        Seconds | None, Meta(description="Unset: that of [timeouts], 30 at most.")
    ] = None
    least_bytes_per_second: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="Unset: that of [timeouts].")
    ] = None
    whole_answer: Annotated[Seconds | None, Meta(description="Unset: that of [timeouts].")] = None
    total: Annotated[Seconds | None, Meta(description="Unset: that of [timeouts].")] = None


class BatchTimeouts(Section, frozen=True):
    """The same for calls whose latency target is `batch`: nobody waits for them."""

    connect: Annotated[Seconds | None, Meta(description="Unset: that of [timeouts].")] = None
    headers: Annotated[Seconds | None, Meta(description="Unset: twice that of [timeouts].")] = None
    first_content: Annotated[
        Seconds | None, Meta(description="Unset: twice that of [timeouts].")
    ] = None
    thinking: Annotated[Seconds | None, Meta(description="Unset: twice that of [timeouts].")] = None
    between_parts: Annotated[
        Seconds | None, Meta(description="Unset: twice that of [timeouts].")
    ] = None
    least_bytes_per_second: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="Unset: that of [timeouts].")
    ] = None
    whole_answer: Annotated[
        Seconds | None, Meta(description="Unset: twice that of [timeouts].")
    ] = None
    total: Annotated[Seconds | None, Meta(description="Unset: that of [timeouts].")] = None


@lru_cache(maxsize=1024)
def timeouts_for(
    base: Timeouts,
    interactive: InteractiveTimeouts,
    batch: BatchTimeouts,
    latency: str | int | None,
) -> Timeouts:
    """Return the limits of a call with this latency target: its name, milliseconds, or none."""
    if latency is None:
        return base
    own: InteractiveTimeouts | BatchTimeouts
    if latency == "batch":
        own = batch
        usual = {name: getattr(base, name) * BATCH_FACTOR for name in BATCH_LONGER}
    else:
        own = interactive
        usual = {name: min(getattr(base, name), most) for name, most in INTERACTIVE_MOST.items()}
    said = {
        name: value for name in own.__struct_fields__ if (value := getattr(own, name)) is not None
    }
    if isinstance(latency, int):
        wanted = max(LEAST_FIRST_CONTENT, latency / 1000 * LATENCY_FACTOR)
        said["first_content"] = min(wanted, said.get("first_content", usual["first_content"]))
    return structs.replace(base, **usual | said)
