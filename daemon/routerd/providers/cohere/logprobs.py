"""Log probabilities, as Chat writes them.

Rules of this file: it never raises; what is no text with numbers is left out. An item is a piece of
text with the numbers of all its tokens, which are not told apart: together they are the sum. There
are no alternatives. Source: the types of cohere 7.3.
"""

from __future__ import annotations

from typing import Any

from routerd.providers.logprobs import token_logprob
from routerd_proto.frames import TokenLogprob

__all__ = ["read_logprobs"]


def read_logprobs(value: Any) -> list[TokenLogprob]:
    """Return the pieces of an event's one item, or of the list of a plain answer."""
    items = value if isinstance(value, list) else [value]
    return [
        piece
        for item in items
        if isinstance(item, dict)
        and (piece := token_logprob(item.get("text"), _together(item), None, [])) is not None
    ]


def _together(item: dict[str, Any]) -> float | None:
    numbers = item.get("logprobs")
    if not isinstance(numbers, list) or not numbers:
        return None
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
        return None
    try:
        return float(sum(numbers))
    except OverflowError:
        return None
