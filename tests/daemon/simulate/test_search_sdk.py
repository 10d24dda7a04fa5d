"""The vendors' own clients against the simulator: they read there what the router's wires read."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.to_thread
import httpx
import pytest

from routerd.providers.base import Outcome
from routerd.providers.search import EmbedRequest, RankRequest
from routerd.simulate import Simulator, expected_vector
from routerd_proto.search import RankingAdded, VectorsAdded
from tests.daemon.simulate.searching import VENDORS, ask

NEEDED = "the vendors' own clients are not installed: requirements-vendors.lock"
openai = pytest.importorskip("openai", reason=NEEDED)
cohere = pytest.importorskip("cohere", reason=NEEDED)
genai = pytest.importorskip("google.genai", reason=NEEDED)

MODEL = "text-embedding-3-small"
TEXTS = ["Straße nach Süden", "a second text", "東京"]
QUERY = "Which of these is red?"
DOCUMENTS = ["the sky is blue", "a rose is red", "these are red, which is fine"]
Vectors = tuple[list[list[float]], float | None]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=VENDORS) as running:
        yield running


def by_openai(url: str, **more: Any) -> Vectors:
    with (
        httpx.Client(trust_env=False) as http,
        openai.OpenAI(base_url=f"{url}/openai/v1", api_key="test", http_client=http) as client,
    ):
        answer = client.embeddings.create(model=MODEL, input=TEXTS, dimensions=64, **more)
    assert answer.model == MODEL
    return [item.embedding for item in answer.data], answer.usage.prompt_tokens


def by_openai_in_floats(url: str) -> Vectors:
    return by_openai(url, encoding_format="float")


def by_cohere(url: str) -> Vectors:
    with httpx.Client(trust_env=False) as http:
        client = cohere.ClientV2("test", base_url=f"{url}/cohere", httpx_client=http)
        answer = client.embed(
            model=MODEL,
            input_type="search_document",
            texts=TEXTS,
            embedding_types=["float"],
            output_dimension=64,
        )
    return answer.embeddings.float_, answer.meta.billed_units.input_tokens


def by_gemini(url: str) -> Vectors:
    options = genai.types.HttpOptions(
        base_url=f"{url}/gemini",
        client_args={"trust_env": False},
        async_client_args={"trust_env": False},
    )
    client = genai.Client(api_key="test", http_options=options)
    config = genai.types.EmbedContentConfig(output_dimensionality=64)
    answer = client.models.embed_content(model=MODEL, contents=TEXTS, config=config)
    return [item.values for item in answer.embeddings], None


@pytest.mark.parametrize(
    ("adapter", "by_the_client"),
    [
        ("openai", by_openai),
        ("openai", by_openai_in_floats),
        ("compatible", by_openai_in_floats),
        ("cohere", by_cohere),
        ("gemini", by_gemini),
    ],
)
async def test_both_read_the_same_vectors(
    simulator: Simulator, adapter: str, by_the_client: Callable[[str], Vectors]
) -> None:
    vectors, tokens = await anyio.to_thread.run_sync(by_the_client, simulator.base_url)
    [part], outcome = await ask(simulator, adapter, EmbedRequest(MODEL, TEXTS, 64))
    assert isinstance(part, VectorsAdded)
    assert [number for vector in vectors for number in vector] == list(array("f", part.data))
    assert vectors == [expected_vector(MODEL, text, 64) for text in TEXTS]
    assert isinstance(outcome, Outcome)
    assert outcome.usage is not None
    assert tokens in (None, outcome.usage.input_tokens)
    # The same was asked for in both ways, so that it is billed alike.
    one, other = simulator.account.attempts
    assert one.usage == other.usage


async def test_both_read_the_same_order(simulator: Simulator) -> None:
    def by_the_client() -> tuple[list[tuple[int, float]], float]:
        with httpx.Client(trust_env=False) as http:
            url = f"{simulator.base_url}/cohere"
            client = cohere.ClientV2("test", base_url=url, httpx_client=http)
            answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=2)
        results = [(item.index, item.relevance_score) for item in answer.results]
        return results, answer.meta.billed_units.search_units

    results, queries = await anyio.to_thread.run_sync(by_the_client)
    [part], outcome = await ask(simulator, "cohere", RankRequest(MODEL, QUERY, DOCUMENTS, 2))
    assert isinstance(part, RankingAdded)
    assert [(item.index, item.score) for item in part.results] == results
    assert [index for index, _ in results] == [2, 1]
    assert isinstance(outcome, Outcome)
    assert outcome.queries == queries == 1
