"""How a model wants to be asked, so that one prompt serves every model of a class.

Rules of this file: data, and how large what it adds can be. Applied it is in one place, by
`providers/adjusting.py`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

__all__ = ["UNSUPPORTED", "Droppable", "PromptAdjustments", "SystemRole", "added_tokens"]

SystemRole = Literal["system", "developer", "user"]
# Options of a call that an answer is still an answer without. `max_output_tokens` is none of them:
# what a call may cost is bounded by it.
Droppable = Literal["temperature", "top_p", "stop", "seed", "parallel_tool_calls", "reasoning"]
# What `stop_parameter` says where there is none.
UNSUPPORTED: Final = "unsupported"
# On the low side, so that an estimate errs towards too many tokens.
BYTES_PER_TOKEN: Final = 3
# What templates and separators may add around each of two texts, and around their message.
MOST_AROUND: Final = 32

SystemText = Annotated[str, Meta(min_length=1)]
# Nothing else in a body has such a name, so that no other field can be overwritten by it.
StopParameter = Annotated[str, Meta(pattern="^(unsupported|[A-Za-z_]*[sS]top[A-Za-z_]*)$")]


class PromptAdjustments(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """What is changed in every prompt to a model; only where somebody has the facts for it.

    `system_before` and `system_after` are put around the caller's system text. `system_role` is
    the role that text has: `user` is for models without one, and puts it into the user turn it
    stands beside. `drop` names options that the model refuses, `stop_parameter` the name that it
    knows stop sequences by, or "unsupported".
    """

    system_before: SystemText | None = None
    system_after: SystemText | None = None
    system_role: SystemRole = "system"
    drop: tuple[Droppable, ...] = ()
    stop_parameter: StopParameter | None = None


def added_tokens(adjustments: PromptAdjustments | None) -> tuple[int, int]:
    """Return about how many tokens the added text has, and how many at most, whoever counts."""
    if adjustments is None:
        return 0, 0
    texts = [adjustments.system_before, adjustments.system_after]
    sizes = [len(text.encode(errors="surrogatepass")) for text in texts if text is not None]
    if not sizes:
        return 0, 0
    # No tokenizer makes more tokens than there are bytes.
    return sum(sizes) // BYTES_PER_TOKEN + 1, sum(sizes) + MOST_AROUND * (len(sizes) + 1)
