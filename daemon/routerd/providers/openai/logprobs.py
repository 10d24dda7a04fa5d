"""Log probabilities of tokens, as Chat Completions servers write them.

Rules of this file: it never raises; what is no token with a number is left out. By the book there
is a list of tokens, each with its alternatives; some servers write lists side by side instead, as
the older completions did. Sources: the types of openai-python 3.51, and Together's reference.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.logprobs import likely_token, token_logprob
from routerd_proto.frames import LikelyToken, TokenLogprob

__all__ = ["read_logprobs"]

# A refusal's tokens are counted apart from the answer's.
LISTS: Final = ("content", "refusal")


def read_logprobs(value: Any) -> list[TokenLogprob]:
    """Return the tokens of a choice's `logprobs`, in their order."""
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("tokens"), list):
        return _side_by_side(value)
    read: list[TokenLogprob] = []
    for name in LISTS:
        items = value.get(name)
        if isinstance(items, list):
            read += [token for item in items if (token := _token(item)) is not None]
    return read


def _token(item: Any) -> TokenLogprob | None:
    if not isinstance(item, dict):
        return None
    others = item.get("top_logprobs")
    alternatives = [
        token
        for other in (others if isinstance(others, list) else ())
        if isinstance(other, dict)
        and (token := likely_token(other.get("token"), other.get("logprob"), other.get("bytes")))
    ]
    return token_logprob(item.get("token"), item.get("logprob"), item.get("bytes"), alternatives)


def _side_by_side(value: dict[str, Any]) -> list[TokenLogprob]:
    numbers, others = value.get("token_logprobs"), value.get("top_logprobs")
    read: list[TokenLogprob] = []
    for index, token in enumerate(value["tokens"]):
        number = _at(numbers, index)
        likeliest = _at(others, index)
        alternatives: list[LikelyToken] = []
        if isinstance(likeliest, dict):
            alternatives = [
                other
                for name, chance in likeliest.items()
                if (other := likely_token(name, chance, None)) is not None
            ]
        if (one := token_logprob(token, number, None, alternatives)) is not None:
            read.append(one)
    return read


def _at(items: Any, index: int) -> Any:
    return items[index] if isinstance(items, list) and index < len(items) else None
