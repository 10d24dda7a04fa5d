"""What is asked of each vendor at once is what it takes, by its own wire."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from routerd.classify.search import tokens_of_text
from routerd.domain import Kind
from routerd.execute.pieces import cut
from routerd.providers.registry import search_wires
from routerd.providers.search import SearchWire
from routerd_proto.search import EmbedRequested


def embed(texts: list[str]) -> EmbedRequested:
    return EmbedRequested("c", "embed", texts, dimensions=8)


@pytest.mark.parametrize(
    ("wire", "most"),
    [
        pytest.param(search_wires("openai", "openai"), 2048, id="openai"),
        pytest.param(search_wires("openai", "compatible"), 256, id="compatible"),
        pytest.param(search_wires("openai", "tei"), 32, id="tei"),
        pytest.param(search_wires("gemini"), 100, id="gemini"),
        pytest.param(search_wires("gemini", "vertex"), 1, id="vertex"),
        pytest.param(search_wires("cohere"), 96, id="cohere"),
        pytest.param(search_wires("voyage"), 1000, id="voyage"),
    ],
)
def test_no_vendor_is_sent_more_at_once_than_it_takes(
    wire: Mapping[Kind, SearchWire], most: int
) -> None:
    limits = wire["embedding"].limits
    pieces = cut(embed(["x"] * (2 * most + 1)), limits)
    assert [piece.texts for piece in pieces] == [most, most, 1]
    requests = [piece.request("text-embedding-3-small", "m") for piece in pieces]
    sent = [wire["embedding"].encode(request).body for request in requests]
    assert [body.count(b'"x"') for body in sent] == [most, most, 1]
    if limits.tokens is not None:
        text = "a word " * 500
        pieces = cut(embed([text] * 2_000), limits)
        assert max(tokens_of_text(text) * piece.texts for piece in pieces) <= limits.tokens
        assert max(piece.texts for piece in pieces) < min(most, 1_000)
