"""Whether the model that answered is the one asked for, by another of its names.

Rules of this file: pure. Vendors answer with another id than was asked: a dated snapshot, what an
alias stands for, an upstream's name. Beside that a name is compared whole: `gpt-5-mini` is no
`gpt-5`, though it begins so. What does not count on either side is what `models.local` takes off
(a vendor in front, a path, how weights are packed), and what services put around a model's name:
Bedrock its vendor, region and version, Hugging Face and OpenRouter how to route it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from routerd.models.local import normalise, strip_format

__all__ = ["are_same_model"]

MONTH, DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
# When a model was made, as its vendor writes it behind the name: 2025-08-07, 20250929, 202508,
# 250805, 2512 (year and month), 0709 (month and day), 03-2025; Google's 001 counts its releases.
RELEASE: Final = re.compile(
    rf"-(?:20\d\d-{MONTH}-{DAY}|20\d\d{MONTH}{DAY}|20\d\d{MONTH}|2\d{MONTH}{DAY}"
    rf"|2[3-9]{MONTH}|{MONTH}{DAY}|{MONTH}-{DAY}|{MONTH}-20\d\d|00\d)"
)
# What an alias that moves on may stand for: any release, whichever way it is counted.
ANY_RELEASE: Final = re.compile(r"-\d[\d.-]*")
LATEST: Final = "-latest"
# us.anthropic. before a name, -v1:0 behind it.
BEFORE: Final = re.compile(
    r"(?:[a-z-]+\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot"
    r"|nvidia|openai|qwen|writer|zai)\."
)
BEHIND: Final = re.compile(r"-v?\d+:\d+k?$")
# :novita, :free; a tag with a number in it says which model it is, as in qwen3:8b.
ROUTING: Final = re.compile(r":(?!latest$)[a-z-]+$")


@lru_cache(maxsize=1024)  # a model answers with the same id call after call
def are_same_model(answered: str, asked: str, known: str = "") -> bool:
    """Return whether `answered` is a name of what was `asked`, or of what the directory calls it.

    `known` is that name, empty where there is none.
    """
    given = _bare(answered)
    return any(
        _are_alike(given, _bare(name)) and not _are_marked_apart(answered, name)
        for name in (asked, known)
        if name
    ) or _is_tagged(answered, asked)


def _are_marked_apart(one: str, other: str) -> bool:
    """Return whether both have a mark behind the name, and not the same: -v1:0 and -v2:0."""
    first, second = _mark_of(one), _mark_of(other)
    return bool(first and second) and first != second


def _mark_of(name: str) -> str:
    last = name.strip().lower()
    found = BEHIND.search(last) or ROUTING.search(last)
    return found[0] if found is not None else ""


def _is_tagged(one: str, other: str) -> bool:
    """Return whether one of two names is the other with a tag: qwen3:8b, where qwen3 was asked."""
    first, second = (name.strip().lower().rpartition("/")[2] for name in (one, other))
    return (
        bool(first and second)
        and first.partition(":")[0] == second.partition(":")[0]
        and ((":" in first) != (":" in second))
    )


def _are_alike(given: str, wanted: str) -> bool:
    plain = [strip_format(name) for name in (given, wanted)]
    shorter, longer = sorted(plain, key=len)
    tail = longer.removeprefix(shorter)
    if longer == shorter or (tail != longer and RELEASE.fullmatch(tail)):
        return bool(shorter)
    is_alias = wanted.endswith(LATEST) and longer == plain[0]
    return is_alias and tail != longer and ANY_RELEASE.fullmatch(tail) is not None


def _bare(name: str) -> str:
    """Return the name without what a service puts around it: in lower case, packed as it was."""
    last = BEHIND.sub("", name.strip().lower().rpartition("/")[2])
    return normalise(
        ROUTING.sub("", last[found.end() :] if (found := BEFORE.match(last)) else last)
    )
