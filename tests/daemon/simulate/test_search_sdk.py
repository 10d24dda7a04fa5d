"""The vendors' own clients against the simulator: they read there what the router's wires read.

Each client is asked as its own reference has it; vectors, scores and what was counted must be the
same, number for number.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import anyio.to_thread
import httpx
import pytest

from routerd.providers.base import Outcome
from routerd.providers.search import EmbedRequest, RankRequest
from routerd.simulate import Simulator, expected_ranking, expected_vector
from routerd_proto.search import RankingAdded, VectorsAdded
from tests.daemon.simulate.searching import VENDORS, VERTEX_TOKEN, ask

NEEDED = "the vendors' own clients are not installed: requirements-vendors.lock"
openai = pytest.importorskip("openai", reason=NEEDED)
cohere = pytest.importorskip("cohere", reason=NEEDED)
genai = pytest.importorskip("google.genai", reason=NEEDED)
voyageai = pytest.importorskip("voyageai", reason=NEEDED)
requests = pytest.importorskip("requests", reason=NEEDED)
credentials = pytest.importorskip("google.oauth2.credentials", reason=NEEDED)

MODEL = "text-embedding-3-small"
TEXTS = ["Straße nach Süden", "a second text", "東京"]
QUERY = "Which of these is red?"
DOCUMENTS = ["the sky is blue", "a rose is red", "these are red, which is fine"]


class Vectors(NamedTuple):
    """What a client read: vectors, and the tokens that it was told of, None where it is not."""

    found: list[list[float]]
    tokens: float | None


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=[*VENDORS, "vertex"]) as running:
        yield running


def by_openai(url: str, **more: Any) -> Vectors:
    with (
        httpx.Client(trust_env=False) as http,
        openai.OpenAI(base_url=f"{url}/openai/v1", api_key="test", http_client=http) as client,
    ):
        answer = client.embeddings.create(model=MODEL, input=TEXTS, dimensions=64, **more)
    assert answer.model == MODEL
    assert answer.usage.total_tokens == answer.usage.prompt_tokens
    return Vectors([item.embedding for item in answer.data], answer.usage.prompt_tokens)


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
    return Vectors(answer.embeddings.float_, answer.meta.billed_units.input_tokens)


def by_gemini(url: str) -> Vectors:
    with httpx.Client(trust_env=False) as http:
        options = genai.types.HttpOptions(base_url=f"{url}/gemini", httpx_client=http)
        client = genai.Client(api_key="test", http_options=options)
        config = genai.types.EmbedContentConfig(output_dimensionality=64)
        answer = client.models.embed_content(model=MODEL, contents=TEXTS, config=config)
    told = answer.usage_metadata
    return Vectors([item.values for item in answer.embeddings], told and told.prompt_token_count)


def by_voyage(url: str) -> Vectors:
    with requests.Session() as session:
        session.trust_env = False
        answer = voyage_client(url, session).embed(
            TEXTS, model=MODEL, truncation=False, output_dimension=64
        )
    return Vectors(answer.embeddings, answer.total_tokens)


def voyage_client(url: str, session: Any) -> Any:
    """Return Voyage's client, whose address and session are its module's own."""
    voyageai.api_base = f"{url}/voyage/v1"
    voyageai.requestssession = session
    return voyageai.Client("test", max_retries=1)


@pytest.mark.parametrize(
    ("adapter", "by_the_client"),
    [
        ("openai", by_openai),
        ("openai", by_openai_in_floats),
        ("compatible", by_openai_in_floats),
        ("cohere", by_cohere),
        ("gemini", by_gemini),
        ("voyage", by_voyage),
    ],
)
async def test_both_read_the_same_vectors(
    simulator: Simulator, adapter: str, by_the_client: Callable[[str], Vectors]
) -> None:
    vectors, tokens = await anyio.to_thread.run_sync(by_the_client, simulator.base_url)
    [part], outcome = await ask(simulator, adapter, EmbedRequest(MODEL, TEXTS, 64))
    assert isinstance(part, VectorsAdded)
    assert array("f", [number for vector in vectors for number in vector]).tobytes() == part.data
    assert vectors == [expected_vector(MODEL, text, 64) for text in TEXTS]
    assert isinstance(outcome, Outcome)
    assert outcome.usage is not None
    assert tokens == outcome.usage.input_tokens
    assert_asked_alike(simulator)


@pytest.mark.parametrize("model", ["gemini-embedding-2", "gemini-embedding-001"])
async def test_both_read_the_same_vectors_of_vertex(simulator: Simulator, model: str) -> None:
    """The client asks both by embedContent; the router's wire asks the older one by predict."""

    def by_the_client() -> Any:
        with httpx.Client(trust_env=False) as http:
            options = genai.types.HttpOptions(
                base_url=f"{simulator.base_url}/vertex", api_version="v1", httpx_client=http
            )
            client = genai.Client(
                enterprise=True,
                project="p-1",
                location="global",
                credentials=credentials.Credentials(VERTEX_TOKEN),
                http_options=options,
            )
            config = genai.types.EmbedContentConfig(output_dimensionality=64)
            return client.models.embed_content(model=model, contents=TEXTS[:1], config=config)

    answer = await anyio.to_thread.run_sync(by_the_client)
    [part], outcome = await ask(simulator, "vertex", EmbedRequest(model, TEXTS[:1], 64))
    [found] = answer.embeddings
    assert isinstance(part, VectorsAdded)
    assert array("f", found.values).tobytes() == part.data
    assert found.values == expected_vector(model, TEXTS[0], 64)
    assert isinstance(outcome, Outcome)
    assert outcome.usage is not None
    assert outcome.usage.input_tokens == simulator.account.attempts[0].usage.input > 0
    # By embedContent the older one does not say what it used.
    told = None if model.endswith("001") else outcome.usage.input_tokens
    assert (answer.usage_metadata and answer.usage_metadata.prompt_token_count) == told
    assert_asked_alike(simulator)


def rank_by_cohere(url: str) -> Any:
    with httpx.Client(trust_env=False) as http:
        client = cohere.ClientV2("test", base_url=f"{url}/cohere", httpx_client=http)
        answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=2)
    return answer.results, None, answer.meta.billed_units.search_units


def rank_by_voyage(url: str) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        answer = voyage_client(url, session).rerank(
            QUERY, DOCUMENTS, model=MODEL, top_k=2, truncation=False
        )
    assert [item.document for item in answer.results] == [DOCUMENTS[2], DOCUMENTS[1]]
    return answer.results, answer.total_tokens, None


def rank_as_compatible(url: str) -> Any:
    """Ask by Cohere's client of its first version, which servers like vLLM's are made for too."""
    with httpx.Client(trust_env=False) as http:
        client = cohere.Client("test", base_url=f"{url}/openai", httpx_client=http)
        answer = client.rerank(
            model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=2, return_documents=True
        )
    assert [item.document.text for item in answer.results] == [DOCUMENTS[2], DOCUMENTS[1]]
    # Beside its types, as Jina has it.
    return answer.results, answer.usage["total_tokens"], None


@pytest.mark.parametrize(
    ("adapter", "by_the_client"),
    [
        ("cohere", rank_by_cohere),
        ("voyage", rank_by_voyage),
        ("compatible", rank_as_compatible),
    ],
)
async def test_both_read_the_same_order(
    simulator: Simulator, adapter: str, by_the_client: Callable[[str], Any]
) -> None:
    results, tokens, queries = await anyio.to_thread.run_sync(by_the_client, simulator.base_url)
    [part], outcome = await ask(simulator, adapter, RankRequest(MODEL, QUERY, DOCUMENTS, 2))
    assert isinstance(part, RankingAdded)
    found = [(item.index, item.relevance_score) for item in results]
    assert [(item.index, item.score) for item in part.results] == found
    assert found == expected_ranking(MODEL, QUERY, DOCUMENTS, 2)
    assert isinstance(outcome, Outcome)
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens or None, outcome.queries) == (tokens, queries)
    assert_asked_alike(simulator)


def assert_asked_alike(simulator: Simulator) -> None:
    """Assert that both ways asked for the same once, and are billed alike."""
    one, other = simulator.account.attempts
    assert (one.usage, one.vendor, one.model) == (other.usage, other.vendor, other.model)
    assert (one.outcome, other.outcome) == ("completed", "completed")
