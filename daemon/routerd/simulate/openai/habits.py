"""In what the servers that speak OpenAI's format differ from OpenAI, as declared data.

Rules of this file: data alone; a new server is a new entry, and a class of a few lines in `family`.
How a habit looks on the wire is written in `request` and `reply`. Source: the servers' recorded
traffic and their references.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

__all__ = ["DEEPSEEK", "GROQ", "MISTRAL", "OPENAI", "OPENROUTER", "XAI", "Habits"]


class Habits(Struct, frozen=True, kw_only=True):
    """How one server answers.

    `reasoning`: the field that shows it; None shows none. `thinks`: it reasons unless that is
    switched off; `wants_reasoning`: in a history, every message with calls brings its reasoning.
    `usage`: where a stream tells it: in a chunk of its own if that is asked for, or unasked in the
    chunk that finishes, or in one more after that. `counts`: what it holds beside the totals.
    `reasoning_beside`: reasoning is not in the completion's tokens. `x_groq`: the usage is in this
    field too. `whole_calls`: a stream has every call in one piece. `short_ids`: calls have ids of
    nine letters and digits, and no others are taken. `any_tool`: "any" is taken for "required".
    `role_always`: every delta says who speaks. `comment`: the line with which a stream begins.
    """

    reasoning: Literal["reasoning_content", "reasoning", "reasoning_details", "thinking"] | None = (
        None
    )
    thinks: bool = False
    wants_reasoning: bool = False
    usage: Literal["asked", "at_finish", "after_finish"] = "asked"
    counts: tuple[str, ...] = ("prompt_tokens_details", "completion_tokens_details")
    reasoning_beside: bool = False
    x_groq: bool = False
    whole_calls: bool = False
    short_ids: bool = False
    any_tool: bool = False
    role_always: bool = False
    comment: str = ""


OPENAI: Final = Habits()
MISTRAL: Final = Habits(
    reasoning="thinking",
    usage="at_finish",
    counts=("num_cached_tokens",),
    whole_calls=True,
    short_ids=True,
    any_tool=True,
)
DEEPSEEK: Final = Habits(
    reasoning="reasoning_content",
    thinks=True,
    wants_reasoning=True,
    usage="at_finish",
    counts=(*OPENAI.counts, "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
    comment=": keep-alive",
)
GROQ: Final = Habits(reasoning="reasoning", usage="at_finish", x_groq=True)
OPENROUTER: Final = Habits(
    reasoning="reasoning_details",
    usage="after_finish",
    counts=(*OPENAI.counts, "cost"),
    role_always=True,
    comment=": OPENROUTER PROCESSING",
)
XAI: Final = Habits(reasoning="reasoning_content", reasoning_beside=True)
