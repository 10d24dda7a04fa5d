"""Vectors of another model are an error, by whatever name; those of the same model are not."""

from __future__ import annotations

import json

import pytest

from routerd.domain import Usage
from routerd.errors import ErrorClass
from routerd.providers.registry import search_wires
from routerd.providers.search import EmbedRequest, SearchWire
from routerd_proto.search import VectorsAdded

NUMBERS = [0.5, -1.0]
by_each_who_says = pytest.mark.parametrize(
    "wire",
    [
        pytest.param(search_wires("openai")["embedding"], id="openai"),
        pytest.param(search_wires("openai", "compatible")["embedding"], id="compatible"),
        pytest.param(search_wires("voyage")["embedding"], id="voyage"),
    ],
)


def answer(model: object) -> bytes:
    data = [{"index": 0, "embedding": NUMBERS}]
    return json.dumps({"data": data, "model": model, "usage": {"total_tokens": 3}}).encode()


@by_each_who_says
@pytest.mark.parametrize(
    ("asked", "known", "answered"),
    [
        ("text-embedding-3-small", "", "text-embedding-3-large"),
        ("voyage-4", "voyage-4", "voyage-4-large"),
        ("voyage-4-large", "", "voyage-4"),
        ("nomic-embed-text-v1", "", "nomic-embed-text-v1.5"),
        ("nomic-embed-text", "", "nomic-embed-text-v1.5"),
        ("bge-large-en", "", "BAAI/bge-large-en-v1.5"),
        ("e5-large", "", "e5-large-v2"),
        ("acme-embed", "", "acme-embed-1024"),
        ("acme-embed", "", "acme-embed-1536"),
        ("acme-embed-2304", "", "acme-embed"),
        ("acme-embed", "", "acme-embed-0256x"),
        ("acme-embed", "", "acme-embed-2024-13-01"),
        ("acme-embed", "", "acme-embed-20240132"),
        ("voyage-code", "", "voyage-code-2"),
        ("my-own", "bge-m3", "bge-small-en"),
        ("bge-m3", "", "bge"),
        ("bge-m3", "", "what was asked: a rose"),
    ],
)
def test_vectors_of_another_model_are_an_error(
    wire: SearchWire, asked: str, known: str, answered: str
) -> None:
    request = EmbedRequest(asked, ["a rose"], model=known)
    decoder = wire.decoder(request)
    assert [*decoder.feed(answer(answered)), *decoder.end()] == []
    failure, outcome = decoder.outcome.failure, decoder.outcome
    assert failure is not None
    assert (failure.error_class, failure.code) == (ErrorClass.BAD_ANSWER, "other_model")
    assert failure.retryable_here is False
    assert asked in failure.message
    assert "a rose" not in failure.message
    # It is billed all the same, and says who it was.
    assert (outcome.complete, outcome.usage, outcome.model) == (False, Usage(3), answered)


@by_each_who_says
@pytest.mark.parametrize(
    ("asked", "known", "answered"),
    [
        ("text-embedding-3-small", "", "text-embedding-3-small"),
        ("mistral-embed", "", "mistral-embed-2312"),
        ("mistral-embed-2312", "", "mistral-embed"),
        ("text-embedding-ada-002", "", "text-embedding-ada-002-v2"),
        ("nomic-embed-text", "", "nomic-embed-text:latest"),
        ("some-embed", "", "some-embed-2024-01-15"),
        ("some-embed", "", "some-embed-20240115"),
        ("some-embed", "", "some-embed-0613"),
        ("bge-m3", "", "/models/bge-m3-Q8_0.gguf"),
        ("bge-m3", "", "BAAI/bge-m3"),
        ("our-deployment", "text-embedding-3-large", "text-embedding-3-large"),
        ("anything", "", None),
        ("anything", "", ""),
        ("anything", "", 7),
    ],
)
def test_the_same_model_by_another_name_is_the_same(
    wire: SearchWire, asked: str, known: str, answered: object
) -> None:
    request = EmbedRequest(asked, ["a rose"], model=known)
    decoder = wire.decoder(request)
    parts = [*decoder.feed(answer(answered)), *decoder.end()]
    assert [type(part) for part in parts] == [VectorsAdded]
    assert decoder.outcome.failure is None


@pytest.mark.parametrize("dialect", ["azure", "azure-deployments"])
@pytest.mark.parametrize("answered", ["ada", "our-deployment", "embedding", ""])
def test_a_short_name_at_azure_says_nothing_of_the_model(dialect: str, answered: str) -> None:
    request = EmbedRequest("our-deployment", ["a rose"], model="text-embedding-ada-002")
    decoder = search_wires("openai", dialect)["embedding"].decoder(request)
    parts = [*decoder.feed(answer(answered)), *decoder.end()]
    assert [type(part) for part in parts] == [VectorsAdded]
    assert decoder.outcome.failure is None
    assert decoder.outcome.model == (answered or None)


@pytest.mark.parametrize("dialect", ["azure", "azure-deployments"])
@pytest.mark.parametrize(
    ("known", "is_taken"),
    [("", True), ("text-embedding-3-large", True), ("text-embedding-3-small", False)],
)
def test_a_name_of_the_users_is_compared_by_what_the_directory_says(
    dialect: str, known: str, *, is_taken: bool
) -> None:
    request = EmbedRequest("our-deployment", ["a rose"], model=known)
    decoder = search_wires("openai", dialect)["embedding"].decoder(request)
    parts = [*decoder.feed(answer("text-embedding-3-large")), *decoder.end()]
    assert bool(parts) == is_taken
    assert (decoder.outcome.failure is None) == is_taken
