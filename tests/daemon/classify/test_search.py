"""What an embedding or a ranking may ask for, and what is counted of it."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.classify.search import MOST_TEXTS, check_search, kind_of, measure_search
from routerd.errors import CallRefused
from routerd_proto.content import Tool
from routerd_proto.frames import CallOptions
from routerd_proto.search import EmbedRequested, RerankRequested


def embed(*texts: str, **more: Any) -> EmbedRequested:
    return EmbedRequested("c", "embed", list(texts), **more)


def rerank(*texts: str, query: str = "q", **more: Any) -> RerankRequested:
    return RerankRequested("c", "rerank", query, list(texts), **more)


@pytest.mark.parametrize(
    ("search", "place"),
    [
        (embed(), "inputs"),
        (embed("a", ""), "inputs[1]"),
        (embed(*["a"] * (MOST_TEXTS + 1)), "inputs"),
        (embed("a", dimensions=0), "dimensions"),
        (embed("a", dimensions=70_000), "dimensions"),
        (rerank(), "documents"),
        (rerank("a", ""), "documents[1]"),
        (rerank("a", query=""), "query"),
        (rerank("a", top=0), "top"),
        (embed("a", options=CallOptions(temperature=1.0)), "options.temperature"),
        (embed("a", options=CallOptions(raw={"openai": {"user": "x"}})), "options.raw"),
        (embed("a", options=CallOptions(tools=[Tool("t")])), "options.tools"),
        (rerank("a", options=CallOptions(max_output_tokens=5)), "options.max_output_tokens"),
        (rerank("a", options=CallOptions(restart=True)), "options.restart"),
        (embed("a", options=CallOptions(tenant="")), "options.tenant"),
        (embed("a", options=CallOptions(timeout=-1.0)), "options.timeout"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(search: Any, place: str) -> None:
    with pytest.raises(CallRefused) as caught:
        check_search(search)
    info = caught.value.info
    assert info.code == "invalid_request"
    assert info.details["place"] == place
    assert info.message.startswith(place)


def test_what_says_who_pays_and_how_to_serve_it_is_taken() -> None:
    options = CallOptions(
        tenant="acme",
        task="index",
        sensitivity="internal",
        timeout=5.0,
        critical=True,
        latency="batch",
        region="eu",
        session="s",
        max_cost_cents=1.0,
        flags=["a"],
    )
    check_search(embed("a", options=options, dimensions=256, purpose="query", truncate=True))
    check_search(rerank("a", options=options, top=3, truncate=True))


def test_every_text_of_an_embedding_is_counted_and_the_longest_is_known() -> None:
    short, long = "a word " * 10, "a word " * 100
    features = measure_search(embed(short, long), 9.0)
    alone = measure_search(embed(long), 9.0)
    assert (features.kind, features.texts, features.seconds) == ("embedding", 2, 9.0)
    assert features.longest_text == alone.longest_text == alone.input_tokens
    assert alone.input_tokens < features.input_tokens
    assert features.input_tokens_bound is not None
    assert features.input_tokens_bound >= len(short + long)
    assert features.queries == 0


def test_a_ranking_reads_the_query_with_every_document() -> None:
    few = measure_search(rerank("a text", query="a question " * 20), 9.0)
    many = measure_search(rerank(*["a text"] * 10, query="a question " * 20), 9.0)
    assert (kind_of(rerank("a")), few.kind) == ("rerank", "rerank")
    assert many.input_tokens >= 9 * few.input_tokens
    assert many.longest_text == few.longest_text
    assert (many.texts, many.queries) == (10, 1)


def test_another_script_is_seen() -> None:
    assert measure_search(embed("東京タワー"), 1.0).script == "ideographs"
    assert measure_search(embed("a tower"), 1.0).script == "latin"


@pytest.mark.parametrize(
    ("documents", "queries"),
    [
        (["a"] * 100, 1),
        (["a"] * 101, 2),
        (["one two " * 1000] * 34, 6),
        (["one two " * 1000], 1),
        # Letters without words are half as many tokens as bytes: 100 documents of 3 pieces each.
        (["qzkxvwjy" * 275] * 100, 5),
    ],
)
def test_a_ranking_is_sold_by_the_hundred_documents_and_long_ones_are_several_at_most(
    documents: list[str], queries: int
) -> None:
    assert measure_search(rerank(*documents), 1.0).queries == queries


def test_what_may_be_cut_fits_into_any_window() -> None:
    assert measure_search(embed("a" * 100_000, truncate=True), 1.0).longest_text == 1
