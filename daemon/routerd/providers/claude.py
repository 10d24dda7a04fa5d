"""How the generations of Claude think, as declared data.

Rules of this file: the model's id decides; the first entry that fits counts, newest first. An id
that names no generation is taken for a new one. Sources: the Messages API reference, the types of
anthropic-python 2.10, and recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from routerd.providers.base import ChatRequest
from routerd.providers.request import Notes
from routerd_proto.content import ReasoningEffort

__all__ = [
    "THINKING_TOKENS",
    "Generation",
    "adaptive_thinking",
    "default_limit",
    "fit_budget",
    "generation_of",
    "reason_against_budget",
]

CALL_NOTE: Final = "reasoning was left out: the tool call to go on from was another model's"
PREFILL_NOTE: Final = "reasoning was left out: the answer to go on with does not begin with it"

DEFAULT_ANSWER_TOKENS: Final = 4096
LEAST_BUDGET: Final = 1024
# With less than this share of the bound left, an answer after the thinking would be cut short.
THINKING_SHARE: Final = 0.75

# What is set aside for thinking at each effort. Up to Claude 4.5 it is the budget itself; later
# models decide for themselves, and this much room is added to a default of `max_tokens`.
THINKING_TOKENS: Final[dict[ReasoningEffort, int]] = {
    "none": 0,
    "minimal": 1024,
    "low": 4096,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_768,
}


class Generation(Struct, frozen=True, kw_only=True):
    """One generation, from version `since` of `family` on; no family means all.

    `style` is how thinking is asked for: `adaptive` with an effort, or `budget` in tokens.
    `resting` is what happens without asking: thinking is off, it is on and can be switched off, or
    it is always on.
    """

    family: str | None = None
    since: tuple[int, int]
    style: Literal["adaptive", "budget", "never"]
    efforts: tuple[ReasoningEffort, ...] = ()
    resting: Literal["off", "on", "always_on"] = "off"


FOUR_EFFORTS: Final[tuple[ReasoningEffort, ...]] = ("low", "medium", "high", "max")
FIVE_EFFORTS: Final[tuple[ReasoningEffort, ...]] = ("low", "medium", "high", "xhigh", "max")

GENERATIONS: Final = (
    *(
        Generation(
            family=family,
            since=since,
            style="adaptive",
            efforts=FIVE_EFFORTS,
            resting="always_on",
        )
        for family, since in (("opus", (5, 5)), ("sonnet", (5, 5)), ("fable", (5, 1)))
    ),
    Generation(since=(5, 0), style="adaptive", efforts=FIVE_EFFORTS, resting="on"),
    Generation(since=(4, 7), style="adaptive", efforts=FIVE_EFFORTS),
    Generation(since=(4, 6), style="adaptive", efforts=FOUR_EFFORTS),
    Generation(since=(3, 7), style="budget"),
    Generation(since=(0, 0), style="never"),
)
GENERATION_OF_NEW: Final = next(one for one in GENERATIONS if one.since == (5, 0))
MODEL_ID: Final = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-)?(?P<major>\d)(?:[-.](?P<minor>\d{1,2})(?!\d))?"
)


def generation_of(model_id: str, *, reasons: bool) -> Generation:
    """Return the generation of a model.

    `reasons` is what is known of its capabilities. It does not count for a model that thinks
    unasked: one that nobody has described yet does so like its generation.
    """
    match = MODEL_ID.search(model_id.lower())
    if match is None:
        return GENERATION_OF_NEW if reasons else GENERATIONS[-1]
    family, version = match["family"], (int(match["major"]), int(match["minor"] or 0))
    found = next(
        generation
        for generation in GENERATIONS
        if generation.family in (None, family) and version >= generation.since
    )
    return found if reasons or found.resting != "off" else GENERATIONS[-1]


def adaptive_thinking(request: ChatRequest) -> dict[str, str]:
    """Return how thinking is asked for of a model that decides for itself how long it takes.

    Newer models think behind an empty text unless they are asked to show a summary of it. Who asks
    for no reasoning, of a model that cannot do without, wants none of it shown.
    """
    if request.reasoning_shown and request.options.reasoning != "none":
        return {"type": "adaptive", "display": "summarized"}
    return {"type": "adaptive"}


def default_limit(request: ChatRequest, thinking_tokens: int) -> int:
    """Return the bound on the output where the caller sets none: room to think, and to answer."""
    most = request.output_limit or DEFAULT_ANSWER_TOKENS + thinking_tokens
    return min(DEFAULT_ANSWER_TOKENS + thinking_tokens, most)


def fit_budget(budget: int, most: int, notes: Notes) -> int | None:
    """Return the budget for thinking that leaves an answer room below `most`, None for too little.

    Both are in tokens; thinking that is left out is noted.
    """
    if budget + DEFAULT_ANSWER_TOKENS > most:
        budget = min(budget, int(most * THINKING_SHARE))
    if budget < LEAST_BUDGET:
        notes.add(f"reasoning was left out: {most} output tokens leave no room for it")
        return None
    return budget


def reason_against_budget(
    turns: Sequence[dict[str, Any]],
    is_thinking: Callable[[dict[str, Any]], bool],
    is_result: Callable[[dict[str, Any]], bool],
) -> str | None:
    """Return why a conversation cannot go on with a budget for thinking, as a note; None if it can.

    With a budget the API wants an answer that is gone on with to begin with its thinking, and so
    one whose tool calls the last turn answers. Both functions judge a block.
    """
    last = turns[-1]
    if last["role"] == "assistant":
        return None if is_thinking(last["content"][0]) else PREFILL_NOTE
    if len(turns) < 2 or not is_result(last["content"][0]):
        return None
    return None if is_thinking(turns[-2]["content"][0]) else CALL_NOTE
