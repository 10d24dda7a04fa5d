"""Who is listed with vectors and orders: whoever sells them, with wire and price, and no other."""

from __future__ import annotations

import pytest

from routerd.domain import Kind
from routerd.models import load_directory
from routerd.providers.registry import search_wires

DIRECTORY = load_directory()
# By provider, what each sells, as its price list of 2026-11 has it.
SOLD: dict[str, dict[Kind, set[str]]] = {
    "openai": {"embedding": {"text-embedding-3-large", "text-embedding-3-small"}},
    "gemini": {"embedding": {"gemini-embedding-2", "gemini-embedding-001"}},
    "mistral": {"embedding": {"mistral-embed-2312"}},
    "cohere": {
        "embedding": {"embed-v5.0-pro", "embed-v5.0-fast", "embed-v4.0"},
        "rerank": {"rerank-v5.0-pro", "rerank-v5.0-fast", "rerank-v4.0-pro", "rerank-v3.5"},
    },
    "voyage": {
        "embedding": {"voyage-4-large", "voyage-4", "voyage-4-lite"},
        "rerank": {"rerank-3", "rerank-2.5"},
    },
}
# Whether they are sold by the token or by the search is not known.
UNPRICED = {"cohere/rerank-v5.0-pro", "cohere/rerank-v5.0-fast"}


@pytest.mark.parametrize("provider", DIRECTORY.providers)
def test_nobody_is_listed_with_what_it_does_not_sell(provider: str) -> None:
    listed: dict[Kind, set[str]] = {}
    for deployment in DIRECTORY.deployments.values():
        if deployment.provider == provider and deployment.kind != "chat":
            listed.setdefault(deployment.kind, set()).add(deployment.provider_model)
    assert listed == SOLD.get(provider, {})


@pytest.mark.parametrize("provider", SOLD)
def test_what_is_listed_can_be_asked_for_and_has_a_price(provider: str) -> None:
    entry = DIRECTORY.providers[provider]
    wires = search_wires(entry.adapter, entry.dialect)
    assert set(SOLD[provider]) <= set(wires)
    for deployment in DIRECTORY.deployments.values():
        if deployment.provider == provider and deployment.kind != "chat":
            if deployment.id in UNPRICED:
                assert deployment.price is None
            else:
                assert deployment.price is not None
                assert deployment.price.input or deployment.price.per_query
            assert DIRECTORY.models[deployment.model].kind == deployment.kind


def test_a_wire_for_vectors_is_no_claim_that_everybody_has_it() -> None:
    """Servers of one's own rank in OpenAI's format; OpenAI itself does not."""
    assert "rerank" in search_wires("openai", "openai")
    assert "rerank" not in SOLD["openai"]
    assert search_wires("anthropic") == search_wires("bedrock") == {}
