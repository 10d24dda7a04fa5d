"""Who may serve beside the first route of a search: whose vectors or scores go with its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from routerd.domain import Dropped, Route
from routerd.execute.alike import routes_alike, why_unlike
from routerd.providers.registry import search_wires
from routerd_proto.search import EmbedRequested, RerankRequested

ROUTES = (Route("a/m", "m", "a"), Route("b/m", "m", "b"), Route("c/m", "m", "c"))


def serving(*wires: tuple[str, str | None]) -> Any:
    """Return targets of the routes, each by an adapter and its dialect."""
    return {
        route.deployment: SimpleNamespace(
            wire=dialect or adapter, search=search_wires(adapter, dialect)
        )
        for route, (adapter, dialect) in zip(ROUTES, wires, strict=True)
    }


def test_vectors_of_who_is_told_their_purpose_are_not_mixed_with_others() -> None:
    search = EmbedRequested("c", "embed", ["text"])
    targets = serving(("cohere", None), ("openai", "compatible"), ("voyage", None))
    assert routes_alike(search, ROUTES, targets, "embedding") == (ROUTES[0], ROUTES[2])
    targets = serving(("openai", "openai"), ("openai", "azure"), ("cohere", None))
    assert routes_alike(search, ROUTES, targets, "embedding") == ROUTES[:2]


@pytest.mark.parametrize(("documents", "kept"), [(30, ROUTES), (70, (ROUTES[0], ROUTES[2]))])
def test_scores_are_put_together_of_one_wire(documents: int, kept: tuple[Route, ...]) -> None:
    """A ranking in one piece may go anywhere: its scores are compared with no others."""
    search = RerankRequested("c", "rerank", "query", ["text"] * documents)
    targets = serving(("openai", "tei"), ("openai", "llamacpp"), ("openai", "tei"))
    assert routes_alike(search, ROUTES, targets, "rerank") == kept
    other = (*ROUTES[:2], Route("c/m", "another", "c"))
    expected = other if documents == 30 else other[:1]
    assert routes_alike(search, other, targets, "rerank") == expected


def test_the_record_says_why_a_route_may_not_stand_in() -> None:
    first, second, _ = ROUTES
    targets = serving(("cohere", None), ("openai", "compatible"), ("voyage", None))
    told = "a/m is told what vectors are for, b/m is not"
    assert why_unlike(second, first, targets, "embedding") == Dropped("b/m", "other_vectors", told)
    assert why_unlike(first, second, targets, "embedding") == Dropped("a/m", "other_vectors", told)
    targets = serving(("openai", "tei"), ("openai", "llamacpp"), ("openai", "tei"))
    why = "it has scores of {}, and the ranking, in more than one request, those of {}"
    wires = why.format("the wire llamacpp", "the wire tei")
    assert why_unlike(second, first, targets, "rerank") == Dropped("b/m", "other_scores", wires)
    other = Route("c/n", "n", "c")
    models = why.format("n", "m")
    assert why_unlike(other, first, targets, "rerank") == Dropped("c/n", "other_scores", models)
