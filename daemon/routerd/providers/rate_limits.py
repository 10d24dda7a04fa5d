"""What the headers of an answer say is left of a key's rate limits.

Rules of this file: no clock. On an answer these are hints, and only those count that are worth
one: of which less than half is left. The record gets how much is left of the nearest, in any case.
Resets are in seconds from the answer on, as in `waiting`; a limit that names no reset is believed
for its own window. The names differ by vendor: `x-ratelimit-remaining-requests`,
`anthropic-ratelimit-input-tokens-remaining`, `x-ratelimit-remaining-tokens-minute`,
`x-ratelimit-remaining-req-10-second`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from routerd.providers.waiting import answered_at, number, reset_wait

__all__ = ["LimitLeft", "LimitsTold", "read_limits"]

WORTH_A_HINT: Final = 0.5
# A reset that is further away is a day's or a mistake: by then a later answer has said more.
LONGEST_SECONDS: Final = 3_600.0
USUAL_WINDOW_SECONDS: Final = 60.0
REMAINING: Final = re.compile(r"(.*ratelimit-)(?:(.+)-)?remaining(?:-(.+))?")
WINDOW: Final = re.compile(r"(?:.*?-)?(?:(\d+)-)?(second|minute)s?")
UNIT_SECONDS: Final = {"second": 1.0, "minute": 60.0}


class LimitLeft(Struct, frozen=True):
    """What is left of one limit for so many seconds; `limit` is None where nobody said."""

    name: str
    counts: Literal["calls", "tokens"]
    left: float
    limit: float | None
    seconds: float


class LimitsTold(NamedTuple):
    """What the headers of one answer tell: the limits that are worth a hint, and the headroom.

    `headroom` is what is left of the limit with the least, in thousandths; None where nobody said
    how much there was.
    """

    hints: tuple[LimitLeft, ...]
    headroom: int | None


class _Names(Struct, frozen=True):
    limit: str
    reset: str
    dimension: str
    counts: Literal["calls", "tokens"]
    window: float


def read_limits(headers: Mapping[bytes, bytes]) -> LimitsTold | None:
    """Return what is left of the limits that are half used or more, and the headroom.

    None where the answer tells of no limits. `headers` are by their names in lower case.
    """
    for header in headers:
        if b"remaining" in header:
            break
    else:
        return None  # and nothing more was done for it
    texts = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers.items()
        if b"ate" in name
    }
    hints, headroom = [], None
    for name, value in texts.items():
        names = _names(name)
        if names is None:
            continue
        left, limit = number(value), number(texts.get(names.limit, ""))
        if left is None or (limit is not None and limit <= 0):
            continue
        if limit is not None:
            share = int(1000 * min(1.0, max(0.0, left / limit)))
            headroom = share if headroom is None or share < headroom else headroom
        if left <= (limit or 0) * WORTH_A_HINT:
            hint = _hint(names, left, limit, texts)
            hints += [] if hint is None else [hint]
    return LimitsTold(tuple(hints), headroom)


def _hint(
    names: _Names, left: float, limit: float | None, headers: Mapping[str, str]
) -> LimitLeft | None:
    seconds = None
    if names.reset in headers:
        seconds = reset_wait(headers[names.reset], answered_at(headers))
    if seconds is None:
        seconds = names.window
    seconds = min(seconds, LONGEST_SECONDS)
    if seconds <= 0:
        return None
    return LimitLeft(names.dimension, names.counts, max(0.0, left), limit, seconds)


# A vendor has a handful of names, the same in every answer.
@lru_cache(maxsize=256)
def _names(name: str) -> _Names | None:
    match = REMAINING.fullmatch(name)
    if match is None:
        return None
    dimension = match[2] or match[3] or "requests"
    window = WINDOW.fullmatch(dimension)
    seconds = USUAL_WINDOW_SECONDS
    if window is not None:
        seconds = float(window[1] or 1) * UNIT_SECONDS[window[2]]
    return _Names(
        limit=name.replace("remaining", "limit"),
        reset=name.replace("remaining", "reset"),
        dimension=dimension,
        counts="tokens" if "token" in dimension else "calls",
        window=seconds,
    )
