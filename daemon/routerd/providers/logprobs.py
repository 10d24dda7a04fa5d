"""Log probabilities as parts: what any wire's tokens and numbers become.

Rules of this file: no vendor. A number that is none, or not finite, makes no token: nobody can
reckon with it. What a part holds fits a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from routerd_proto.codec import repair_text
from routerd_proto.frames import LikelyToken, LogprobsAdded, TokenLogprob

__all__ = ["TOO_LONG_NOTE", "likely_token", "logprob_parts", "token_logprob"]

TOO_LONG_NOTE: Final = "log probabilities of a token were left out: it is too long to be one"

# Of the text of one part: with what stands around it, far below what any reader's frame takes.
MOST_CHARACTERS: Final = 256 * 1024
CHARACTERS_PER_TOKEN: Final = 16  # a number, a length, the bytes


def likely_token(token: Any, logprob: Any, data: Any) -> LikelyToken | None:
    """Return one of the tokens that might have come, None where this is none.

    `data` is the token as a list of byte values, if the vendor says them.
    """
    number = _number(logprob)
    if number is None or not isinstance(token, str):
        return None
    return LikelyToken(repair_text(token), number, _bytes(data))


def token_logprob(
    token: Any, logprob: Any, data: Any, alternatives: list[LikelyToken]
) -> TokenLogprob | None:
    """Return one token of the answer, None where this is none."""
    number = _number(logprob)
    if number is None or not isinstance(token, str):
        return None
    return TokenLogprob(repair_text(token), number, _bytes(data), alternatives)


def logprob_parts(tokens: Iterable[TokenLogprob]) -> tuple[list[LogprobsAdded], bool]:
    """Return the tokens as parts that fit a frame, and whether one that fits none was left out."""
    parts: list[LogprobsAdded] = []
    held: list[TokenLogprob] = []
    size, left_out = 0, False
    for token in tokens:
        more = _size(token)
        if more > MOST_CHARACTERS:
            left_out = True
            continue
        if held and size + more > MOST_CHARACTERS:
            parts.append(LogprobsAdded(held))
            held, size = [], 0
        held.append(token)
        size += more
    if held:
        parts.append(LogprobsAdded(held))
    return parts, left_out


def _size(token: TokenLogprob) -> int:
    items: list[TokenLogprob | LikelyToken] = [token, *token.alternatives]
    return sum(2 * len(item.token) + len(item.data or b"") + CHARACTERS_PER_TOKEN for item in items)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _bytes(value: Any) -> bytes | None:
    if not isinstance(value, list):
        return None
    try:
        return bytes(value)
    except (TypeError, ValueError):
        return None
