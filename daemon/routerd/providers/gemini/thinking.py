"""How the generations of Gemini think, as declared data.

Rules of this file: the model's id decides; the first entry that fits counts, newest first. An id
that names no generation is taken for a new one. Up to 2.5 thinking is a budget in tokens, from 3 on
a level; both together are refused. Thoughts count against the bound on the output.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

from routerd_proto.content import ReasoningEffort

__all__ = ["THINKING_TOKENS", "Generation", "generation_of"]

THINKING_TOKENS: Final[dict[ReasoningEffort, int]] = {
    "none": 0,
    "minimal": 1024,
    "low": 4096,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}


class Generation(Struct, frozen=True, kw_only=True):
    """One generation, from version `since` on; `pattern` is found in the ids of a family.

    `style` is how thinking is asked for. `least_budget` is the least number of tokens the model
    thinks with; `always_thinks` says that it cannot be switched off by 0. `signs` says that calls
    of tools must come back with their signature, `schema_with_tools` that a schema may go with
    tools, `result_images` that images may stand inside the result of a tool.
    """

    pattern: str = ""
    since: tuple[int, int]
    style: Literal["level", "budget", "never"]
    efforts: tuple[ReasoningEffort, ...] = ()
    least_budget: int = 1
    always_thinks: bool = False
    signs: bool = False
    schema_with_tools: bool = False
    result_images: bool = False


LEVELS: Final[tuple[ReasoningEffort, ...]] = ("minimal", "low", "medium", "high", "xhigh")
GENERATIONS: Final = (
    Generation(
        pattern="-pro",
        since=(3, 1),
        style="level",
        efforts=("low", "medium", "high"),
        signs=True,
        schema_with_tools=True,
        result_images=True,
    ),
    Generation(
        pattern="-pro",
        since=(3, 0),
        style="level",
        efforts=("low", "high"),
        signs=True,
        schema_with_tools=True,
        result_images=True,
    ),
    # These refuse `minimal`, which the generation took before.
    Generation(
        pattern="-flash",
        since=(3, 7),
        style="level",
        efforts=("low", "medium", "high"),
        signs=True,
        schema_with_tools=True,
        result_images=True,
    ),
    Generation(
        since=(3, 0),
        style="level",
        efforts=("minimal", "low", "medium", "high"),
        signs=True,
        schema_with_tools=True,
        result_images=True,
    ),
    Generation(pattern="-pro", since=(2, 5), style="budget", least_budget=128, always_thinks=True),
    Generation(pattern="-flash-lite", since=(2, 5), style="budget", least_budget=512),
    Generation(since=(2, 5), style="budget"),
    Generation(since=(0, 0), style="never"),
)
NEWEST: Final = Generation(
    since=(4, 0),
    style="level",
    efforts=LEVELS,
    signs=True,
    schema_with_tools=True,
    result_images=True,
)
MODEL_ID: Final = re.compile(r"gemini-(?P<major>\d+)(?:\.(?P<minor>\d+))?(?!\d)")


def generation_of(model_id: str, model: str = "") -> Generation:
    """Return the generation of a model.

    Where the provider's id says nothing, as that of a tuned model, the directory's `model` does.
    """
    name = model_id.lower()
    match = MODEL_ID.search(name)
    if match is None:
        return generation_of(model) if model else NEWEST
    version = (int(match["major"]), int(match["minor"] or 0))
    if version >= NEWEST.since:
        return NEWEST
    return next(
        generation
        for generation in GENERATIONS
        if version >= generation.since and generation.pattern in name
    )
