"""A search that is cut and put together again is the same search, whatever the limits are."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from routerd.classify.search import measure_search, tokens_of_text
from routerd.domain import Route
from routerd.errors import ErrorClass, Failure
from routerd.execute.pieces import (
    MOST_FRAME_BYTES,
    MOST_NUMBERS,
    TOKENS_PER_REQUEST,
    Piece,
    asks_for_less,
    cut,
    cut_again,
    fits,
    halved,
    joined_ranking,
    moved,
    part_of_route,
)
from routerd.providers.search import EmbedRequest, RankRequest, SearchLimits
from routerd_proto.search import (
    EmbedRequested,
    Ranked,
    RankingAdded,
    RerankRequested,
    VectorsAdded,
)

TEXTS = st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=60)
LIMITS = st.builds(SearchLimits, st.integers(1, 30), st.none() | st.integers(1, 400))


def embed(texts: list[str], dimensions: int | None = None) -> EmbedRequested:
    return EmbedRequested("c", "embed", texts, dimensions=dimensions)


def rerank(texts: list[str]) -> RerankRequested:
    return RerankRequested("c", "rerank", "a query", texts)


def texts_in(piece: Piece) -> list[str]:
    request = piece.request("m", "m-1")
    return request.inputs if isinstance(request, EmbedRequest) else request.documents


@given(texts=TEXTS, limits=LIMITS, is_embedding=st.booleans())
@example(texts=["x"] * 30, limits=SearchLimits(1), is_embedding=True)
def test_every_text_is_in_one_piece_and_in_its_place(
    texts: list[str], limits: SearchLimits, *, is_embedding: bool
) -> None:
    pieces = cut(embed(texts) if is_embedding else rerank(texts), limits)
    assert [text for piece in pieces for text in texts_in(piece)] == texts
    start = 0
    for piece in pieces:
        assert piece.start == start
        assert 1 <= piece.texts <= limits.texts
        start += piece.texts
    before = 0 if is_embedding else tokens_of_text("a query")
    for piece in pieces:
        tokens = sum(before + tokens_of_text(text) for text in texts_in(piece))
        # One text that is too long by itself is the provider's to refuse.
        assert piece.texts == 1 or limits.tokens is None or tokens <= limits.tokens
        assert fits(piece, limits)


@given(texts=TEXTS, limits=LIMITS, less=LIMITS, is_embedding=st.booleans())
def test_a_piece_is_cut_again_where_less_is_taken(
    texts: list[str], limits: SearchLimits, less: SearchLimits, *, is_embedding: bool
) -> None:
    pieces = cut(embed(texts) if is_embedding else rerank(texts), limits)
    smaller = [item for piece in pieces for item in cut_again(piece, less)]
    assert [text for piece in smaller for text in texts_in(piece)] == texts
    start = 0
    for piece in smaller:
        assert piece.start == start
        assert fits(piece, less)
        start += piece.texts


@given(texts=TEXTS, limits=LIMITS)
def test_halves_are_the_whole_in_its_place(texts: list[str], limits: SearchLimits) -> None:
    for piece in cut(embed(texts), limits):
        if piece.texts > 1:
            first, second = halved(piece)
            assert texts_in(first) + texts_in(second) == texts_in(piece)
            assert (first.start, second.start) == (piece.start, piece.start + first.texts)
            assert 0 <= second.texts - first.texts <= 1


@pytest.mark.parametrize(
    ("code", "message", "details"),
    [
        ("bad_request", "Requested 300001 tokens", {"status": 400, "code": TOKENS_PER_REQUEST}),
        ("context_length", "Payload too large", {"status": 413}),
        ("bad_request", "batch size 33 > maximum allowed batch size 32", {"status": 422}),
        ("bad_request", "Too many tokens overall, split into more batches.", {}),
        ("context_length", "Too many inputs in request, split into more batches.", {}),
        ("bad_request", "the total number of texts must be at most 96, received 97", {}),
        ("bad_request", "The max allowed tokens per submitted batch is 120000.", {}),
        ("bad_request", "at most 100 requests can be in one batch", {}),
    ],
)
def test_a_request_that_holds_too_much(code: str, message: str, details: dict[str, Any]) -> None:
    failure = Failure(ErrorClass(code), message, **details)
    assert asks_for_less(failure.info())
    busy = structs.replace(failure, error_class=ErrorClass.RATE_LIMIT)
    assert not asks_for_less(busy.info())


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens, however you requested 9000",
        "too many tokens in the text at index 3",
        "dimensions must be at most 1024",
        "input cannot be an empty string",
    ],
)
def test_what_less_would_not_help(message: str) -> None:
    assert not asks_for_less(Failure(ErrorClass.BAD_REQUEST, message, status=400).info())


# Of each, one byte in the worst vocabulary is a token, or nearly.
@pytest.mark.parametrize("text", ["1 2 " * 500, "\u12a0\u121b " * 300, "\x00\x01" * 900])
def test_texts_of_many_tokens_stay_below_a_providers_limit(text: str) -> None:
    pieces = cut(embed([text] * 1_000), SearchLimits(2048, 300_000))
    assert len(pieces) > 1
    assert max(len(text.encode()) * piece.texts for piece in pieces) <= 300_000


@given(texts=TEXTS, limits=LIMITS, is_embedding=st.booleans(), bound=st.integers(0, 10**9))
def test_the_shares_of_all_pieces_are_the_whole_bound(
    texts: list[str], limits: SearchLimits, bound: int, *, is_embedding: bool
) -> None:
    search = embed(texts) if is_embedding else rerank(texts)
    pieces = cut(search, limits)
    whole = measure_search(search, 1.0)
    assert sum(piece.bound for piece in pieces) == whole.input_tokens_bound
    route = Route("p/m", "m", "p", bound_nanodollars=bound, bound_tokens=bound)
    shares = [part_of_route(route, piece, pieces) for piece in pieces]
    for name in ("bound_nanodollars", "bound_tokens"):
        total = sum(getattr(share, name) for share in shares)
        assert bound <= total
        if is_embedding or name == "bound_tokens":
            assert total <= bound + len(pieces)
    unknown = Route("p/m", "m", "p")
    assert all(part_of_route(unknown, piece, pieces) == unknown for piece in pieces)


@given(
    rows=st.lists(st.lists(st.integers(-8, 8), min_size=3, max_size=3), min_size=1, max_size=20),
    start=st.integers(0, 100),
)
def test_vectors_that_move_stay_the_same(rows: list[list[int]], start: int) -> None:
    data = b"".join(struct.pack("<3f", *row) for row in rows)
    frames = moved(VectorsAdded(0, 3, data), start)
    assert frames == [VectorsAdded(start, 3, data)]


def test_no_frame_is_large_however_many_vectors_there_are() -> None:
    dimensions, count = 3072, 200
    data = b"".join(struct.pack("<f", number) * dimensions for number in range(count))
    frames = moved(VectorsAdded(0, dimensions, data), 7)
    assert len(frames) > 1
    next_start = 7
    joined = b""
    for frame in frames:
        assert isinstance(frame, VectorsAdded)
        assert frame.start == next_start
        assert len(frame.data) <= MOST_FRAME_BYTES
        next_start += len(frame.data) // (4 * dimensions)
        joined += frame.data
    assert (next_start, joined) == (7 + count, data)


def test_long_vectors_are_asked_for_in_smaller_pieces() -> None:
    limits = SearchLimits(10_000)
    for dimensions in (256, 3072, None):
        pieces = cut(embed(["x"] * 3000, dimensions), limits)
        most = max(piece.texts for piece in pieces)
        assert most * (dimensions or 3072) <= MOST_NUMBERS
    assert len(cut(embed(["x"] * 3000, 256), limits)) == 1


def test_documents_are_cut_where_a_query_ends() -> None:
    pieces = cut(rerank(["x"] * 1234), SearchLimits(555))
    assert [piece.texts for piece in pieces] == [500, 500, 234]
    assert [piece.queries for piece in pieces] == [5, 5, 3]


@given(
    scores=st.lists(st.integers(-5, 5), min_size=1, max_size=30),
    size=st.integers(1, 7),
    top=st.none() | st.integers(1, 40),
)
def test_an_order_of_pieces_is_the_order_of_the_whole(
    scores: list[int], size: int, top: int | None
) -> None:
    found = []
    for start in range(0, len(scores), size):
        part = [Ranked(place, score) for place, score in enumerate(scores[start : start + size])]
        found.append((start, RankingAdded(sorted(part, key=lambda item: -item.score))))
    whole = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:top]
    joined = joined_ranking(found, top)
    assert [item.index for item in joined.results] == whole
    assert [item.score for item in joined.results] == [scores[place] for place in whole]


def test_a_ranking_is_asked_for_by_its_query() -> None:
    [piece] = cut(rerank(["x"]), SearchLimits(10))
    assert piece.request("m", "m-1") == RankRequest("m", "a query", ["x"])


@pytest.mark.parametrize(("texts", "pieces"), [(32, [32, 18]), (100, [50]), (1, [1] * 50)])
def test_a_ranking_is_cut_by_the_hundred_only_where_hundreds_are_taken(
    texts: int, pieces: list[int]
) -> None:
    found = cut(rerank(["x"] * 50), SearchLimits(texts))
    assert [piece.texts for piece in found] == pieces
