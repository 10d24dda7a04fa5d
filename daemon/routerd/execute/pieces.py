"""A search cut into the requests it takes, and put together again.

Rules of this file: pure. A piece holds texts that follow each other; all pieces together hold each
text once, in the order of the call. They are as large as who is asked takes them; for a route that
takes less a piece is cut again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from routerd.classify.search import measure_search, tokens_of_text
from routerd.domain import Part, Route
from routerd.providers.ranking import best_first
from routerd.providers.search import EmbedRequest, RankRequest, SearchLimits, SearchRequest
from routerd.providers.vectors import FLOAT_BYTES
from routerd_proto.errors import ErrorInfo
from routerd_proto.search import EmbedRequested, RankingAdded, SearchRequested, VectorsAdded

__all__ = [
    "Piece",
    "asks_for_less",
    "cut",
    "cut_again",
    "fits",
    "halved",
    "joined_ranking",
    "moved",
    "part_of_route",
]

# Reading one answer keeps all other calls waiting: so many numbers for some hundredths of a
# second.
MOST_NUMBERS: Final = 2_000_000
# A vector is taken to be so long where nothing says how long it is.
USUAL_DIMENSIONS: Final = 3_072
# No frame is larger than this, so that a client needs room for few vectors at once.
MOST_FRAME_BYTES: Final = 1024 * 1024
REFUSED_AS: Final = ("bad_request", "context_length")
TOO_LARGE: Final = 413
TOKENS_PER_REQUEST: Final = "max_tokens_per_request"
TOO_MUCH: Final = re.compile(
    r"\bbatch|\bper request\b|too many (?:tokens overall|texts|inputs|items|requests in)"
    r"|(?:number|amount) of (?:texts|inputs|items)|\bat most \d+ (?:texts|inputs|items|requests)"
)
# What is sold by the hundred is not cut in between.
RANKED_BY: Final = 100


class Piece(Struct, frozen=True):
    """The texts of one request: `search` asks for them alone, the first is that of `start`.

    `input_tokens` and `bound` are those of the texts, `queries` what a ranking of them is sold as.
    """

    start: int
    search: SearchRequested
    input_tokens: int
    bound: int
    queries: int

    @property
    def texts(self) -> int:
        """How many there are."""
        search = self.search
        return len(search.inputs if isinstance(search, EmbedRequested) else search.documents)

    def request(self, model_id: str, model: str) -> SearchRequest:
        """Return what is asked of a model, by its provider's id; `model` is the directory's."""
        search = self.search
        if isinstance(search, EmbedRequested):
            return EmbedRequest(
                model_id,
                search.inputs,
                search.dimensions,
                search.purpose,
                search.truncate,
                model,
            )
        return RankRequest(model_id, search.query, search.documents, search.top, search.truncate)


def cut(search: SearchRequested, limits: SearchLimits) -> list[Piece]:
    """Cut a search into requests that are within these limits."""
    most_texts, most_tokens = limits.texts, limits.tokens
    if isinstance(search, EmbedRequested):
        numbers = search.dimensions or USUAL_DIMENSIONS
        most_texts = min(most_texts, max(1, MOST_NUMBERS // numbers))
        texts, before = search.inputs, 0
    else:
        texts, before = search.documents, tokens_of_text(search.query)
        if most_texts > RANKED_BY:
            most_texts -= most_texts % RANKED_BY
    pieces: list[Piece] = []
    start = tokens = 0
    for end, text in enumerate(texts):
        needed = before + tokens_of_text(text)
        is_full = end - start >= most_texts or (
            most_tokens is not None and tokens + needed > most_tokens
        )
        if is_full and end > start:
            pieces.append(_piece(search, texts, start, end))
            start, tokens = end, 0
        tokens += needed
    pieces.append(_piece(search, texts, start, len(texts)))
    return pieces


def _piece(search: SearchRequested, texts: Sequence[str], start: int, end: int) -> Piece:
    part = list(texts[start:end])
    own: SearchRequested
    if isinstance(search, EmbedRequested):
        own = structs.replace(search, inputs=part)
    else:
        own = structs.replace(search, documents=part)
    features = measure_search(own, 0.0)
    return Piece(
        start, own, features.input_tokens, features.input_tokens_bound or 0, features.queries
    )


def fits(piece: Piece, limits: SearchLimits) -> bool:
    """Return whether a piece is within these limits as it is."""
    return len(cut(piece.search, limits)) == 1


def cut_again(piece: Piece, limits: SearchLimits) -> list[Piece]:
    """Return what a piece is cut into where less is taken, each in its place in the call."""
    return [
        structs.replace(smaller, start=piece.start + smaller.start)
        for smaller in cut(piece.search, limits)
    ]


def halved(piece: Piece) -> tuple[Piece, Piece]:
    """Return the two halves of a piece of several texts to embed."""
    search = piece.search
    texts = search.inputs if isinstance(search, EmbedRequested) else search.documents
    middle = len(texts) // 2
    halves = (_piece(search, texts, 0, middle), _piece(search, texts, middle, len(texts)))
    first, second = (structs.replace(half, start=piece.start + half.start) for half in halves)
    return first, second


def asks_for_less(error: ErrorInfo) -> bool:
    """Return whether a provider refused a request for how much it holds, and not for one text.

    Its own code says so (OpenAI), the status (TEI, gateways), or its words (Cohere, Gemini,
    Mistral, Voyage), of which all name the batch, the request or the number of the texts.
    """
    if error.code not in REFUSED_AS:
        return False
    details = error.details
    return (
        details.get("status") == TOO_LARGE
        or details.get("code") == TOKENS_PER_REQUEST
        or TOO_MUCH.search(error.message.lower()) is not None
    )


def part_of_route(route: Route, piece: Piece, pieces: Collection[Piece]) -> Route:
    """Return a route with the share of its bounds that is a piece's, rounded up."""
    if len(pieces) == 1:
        return route
    whole, share = sum(item.bound for item in pieces), piece.bound
    money, tokens = route.bound_nanodollars, route.bound_tokens
    if piece.queries:
        # Money by what it is sold as; where that is tokens, both are about the same.
        by_query = sum(item.queries for item in pieces)
        money = (
            None
            if money is None
            else max(-(-money * piece.queries // by_query), -(-money * share // whole))
        )
    elif money is not None:
        money = -(-money * share // whole)
    return structs.replace(
        route,
        bound_nanodollars=money,
        bound_tokens=None if tokens is None else -(-tokens * share // whole),
    )


def moved(part: VectorsAdded, start: int) -> list[Part]:
    """Return vectors in frames of a moderate size, the first of them that of text `start`."""
    row = part.dimensions * FLOAT_BYTES
    rows = max(1, MOST_FRAME_BYTES // row)
    return [
        VectorsAdded(
            start + offset // row, part.dimensions, part.data[offset : offset + rows * row]
        )
        for offset in range(0, len(part.data), rows * row)
    ]


def joined_ranking(found: Iterable[tuple[int, RankingAdded]], top: int | None) -> RankingAdded:
    """Return one order of all documents; each piece's are numbered from its own `start`.

    Their scores are of one model, so that they can be compared.
    """
    results = best_first(
        structs.replace(item, index=start + item.index)
        for start, part in found
        for item in part.results
    )
    return RankingAdded(results if top is None else results[:top])
