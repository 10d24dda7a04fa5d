"""Log probabilities of tokens, as generateContent writes them.

Rules of this file: it never raises; what is no token with a number is left out. The chosen tokens
and the likeliest at each place stand in two lists, side by side.
"""

from __future__ import annotations

from typing import Any

from routerd.providers.logprobs import likely_token, token_logprob
from routerd_proto.frames import LikelyToken, TokenLogprob

__all__ = ["read_logprobs"]


def read_logprobs(value: Any) -> list[TokenLogprob]:
    """Return the tokens of a candidate's `logprobsResult`, in their order."""
    if not isinstance(value, dict):
        return []
    chosen, likeliest = _items(value.get("chosenCandidates")), _items(value.get("topCandidates"))
    read: list[TokenLogprob] = []
    for index, item in enumerate(chosen):
        others = likeliest[index] if index < len(likeliest) else None
        if not isinstance(item, dict):
            continue
        alternatives = _alternatives(others)
        one = token_logprob(item.get("token"), item.get("logProbability"), None, alternatives)
        if one is not None:
            read.append(one)
    return read


def _alternatives(value: Any) -> list[LikelyToken]:
    items = _items(value.get("candidates")) if isinstance(value, dict) else []
    return [
        token
        for item in items
        if isinstance(item, dict)
        and (token := likely_token(item.get("token"), item.get("logProbability"), None)) is not None
    ]


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
