"""The order of documents as vendors send it: sorted, whole, and each document once.

Rules of this file: pure. Some servers do not sort, so it is done here; equal scores stand in the
order of the request.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from routerd.domain import Usage
from routerd.errors import Failure
from routerd.providers.base import Outcome
from routerd.providers.counts import counts_in
from routerd.providers.excerpt import BLANKS
from routerd.providers.json_text import text_of
from routerd.providers.search import RankRequest, bad_answer, decoded, tokens_read
from routerd_proto.search import Ranked, RankingAdded

__all__ = ["best_first", "ranking_part", "read_ranking"]


def ranking_part(
    request: RankRequest, found: Iterable[tuple[int, float]]
) -> RankingAdded | Failure:
    """Return the best of the documents with their scores, or why they are not those."""
    seen: dict[int, float] = {}
    for index, score in found:
        if not 0 <= index < request.texts or index in seen or not math.isfinite(score):
            return bad_answer("it ranks a document that is none of those, or one twice")
        seen[index] = score
    wanted = request.texts if request.top is None else min(request.top, request.texts)
    if len(seen) < wanted:
        return bad_answer(f"it ranks {len(seen)} documents of {wanted}")
    return RankingAdded(best_first(Ranked(index, score) for index, score in seen.items())[:wanted])


def best_first(results: Iterable[Ranked]) -> list[Ranked]:
    """Sort by score; equal ones by their place in the request."""
    return sorted(results, key=lambda item: (-item.score, item.index))


class _Item(Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _Answer(Struct):
    results: list[_Item] | None = None
    data: list[_Item] | None = None
    model: Any = None
    id: Any = None
    usage: Any = None
    meta: Any = None


_decoder: Final = msgspec.json.Decoder(_Answer)
_list_decoder: Final = msgspec.json.Decoder(list[_Item])


def read_ranking(request: RankRequest, body: bytes, outcome: Outcome) -> RankingAdded | Failure:
    """Read the order that any vendor gives, and what it bills; JSON_ERRORS where it gives none.

    Results are in `results`, in `data` or the whole of the answer; a score is `relevance_score` or
    `score`. Cohere sells by the search, others by the token.
    """
    if body.lstrip(BLANKS).startswith(b"["):
        answer = _Answer(results=decoded(body, _list_decoder))
    else:
        answer = decoded(body, _decoder)
    items = answer.results if answer.results is not None else answer.data
    if items is None:
        raise ValueError("there are no results")
    outcome.model, outcome.response_id = text_of(answer.model), text_of(answer.id)
    billed = answer.meta.get("billed_units") if isinstance(answer.meta, dict) else None
    outcome.usage = tokens_read(answer.usage) or tokens_read(billed)
    outcome.queries = counts_in(billed).get("search_units")
    if outcome.queries is not None and outcome.usage is None:
        outcome.usage = Usage()
    scores = [item.relevance_score if item.score is None else item.score for item in items]
    if None in scores:
        return bad_answer("it gives a document no score")
    return ranking_part(
        request,
        ((item.index, score or 0.0) for item, score in zip(items, scores, strict=True)),
    )
