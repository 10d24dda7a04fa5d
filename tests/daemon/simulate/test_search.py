"""The simulated vendors of vectors and orders: what they answer, what they refuse, their faults."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.domain import Usage
from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Outcome
from routerd.providers.search import EmbedRequest, RankRequest
from routerd.simulate import (
    Fault,
    Price,
    Simulator,
    count_tokens,
    expected_ranking,
    expected_vector,
)
from routerd_proto.search import RankingAdded, VectorsAdded
from tests.daemon.simulate.searching import PATHS, VENDORS, ask

MODEL = "text-embedding-3-test"
TEXTS = ["Straße nach Süden", "a second text", "東京"]
QUERY = "Which of these is red?"
DOCUMENTS = ["the sky is blue", "a rose is red", "these are red, which is fine"]
EMBED = EmbedRequest(MODEL, TEXTS, 64)
RANK = RankRequest(MODEL, QUERY, DOCUMENTS)
TOKENS = sum(count_tokens(text) for text in TEXTS)
RANKED_TOKENS = sum(count_tokens(text) + count_tokens(QUERY) for text in DOCUMENTS)
RANKERS = ("compatible", "tei", "cohere", "voyage")


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=VENDORS, prices={MODEL: Price(input=1, output=0)}) as running:
        yield running


@pytest.mark.parametrize("adapter", PATHS)
async def test_the_vectors_are_those_that_are_expected(simulator: Simulator, adapter: str) -> None:
    [part], outcome = await ask(simulator, adapter, EMBED)
    assert isinstance(part, VectorsAdded)
    expected = [number for text in TEXTS for number in expected_vector(MODEL, text, 64)]
    assert (part.dimensions, list(array("f", part.data))) == (64, expected)
    assert isinstance(outcome, Outcome)
    assert outcome.usage == Usage(input_tokens=TOKENS)
    [attempt] = simulator.account.attempts
    vendor = "openai" if adapter == "compatible" else adapter
    assert (attempt.vendor, attempt.model, attempt.outcome) == (vendor, MODEL, "completed")
    assert (attempt.usage.input, attempt.usage.output, attempt.sent_tokens) == (TOKENS, 0, 0)


@pytest.mark.parametrize("adapter", RANKERS)
async def test_the_order_is_the_expected_one(simulator: Simulator, adapter: str) -> None:
    [part], outcome = await ask(simulator, adapter, RANK)
    assert isinstance(part, RankingAdded)
    # TEI serves one model, and is not told which.
    model = "BAAI/bge-m3" if adapter == "tei" else MODEL
    expected = expected_ranking(model, QUERY, DOCUMENTS)
    assert [(item.index, item.score) for item in part.results] == expected
    assert [index for index, _ in expected] == [2, 1, 0]
    assert isinstance(outcome, Outcome)
    told = (outcome.usage, outcome.queries)
    by_token = (Usage(input_tokens=RANKED_TOKENS), None)
    assert told == {"cohere": (Usage(), 1), "tei": (None, None)}.get(adapter, by_token)
    [attempt] = simulator.account.attempts
    assert (attempt.usage.input, attempt.usage.queries) == (RANKED_TOKENS, 1)


async def test_a_model_that_does_not_say_what_it_used(simulator: Simulator) -> None:
    [part], outcome = await ask(simulator, "gemini", EmbedRequest("gemini-embedding-001", TEXTS))
    assert isinstance(part, VectorsAdded)
    assert isinstance(outcome, Outcome)
    assert (part.dimensions, outcome.usage) == (3072, None)


async def test_what_is_sold_by_the_query_is_billed_by_it() -> None:
    prices = {MODEL: Price(input=5, output=0, per_query=2_000_000)}
    many = RankRequest(MODEL, QUERY, ["a document"] * 101)
    async with Simulator(vendors=["cohere"], prices=prices) as simulator:
        _, outcome = await ask(simulator, "cohere", many)
    assert isinstance(outcome, Outcome)
    assert outcome.queries == 2
    assert simulator.account.total.billed_nanodollars == 4_000_000


@pytest.mark.parametrize(
    ("adapter", "request_", "error_class"),
    [
        ("openai", EmbedRequest(MODEL, ["x"] * 2049), "bad_request"),
        ("openai", EmbedRequest(MODEL, ["x", ""]), "bad_request"),
        ("compatible", EmbedRequest(MODEL, ["x", ""]), "bad_request"),
        ("openai", EmbedRequest(MODEL, ["x" * 40_000]), "context_length"),
        ("openai", EmbedRequest(MODEL, ["x" * 32_000] * 40), "bad_request"),
        ("cohere", EmbedRequest(MODEL, ["x"] * 97), "bad_request"),
        ("cohere", EmbedRequest(MODEL, [""]), "bad_request"),
        ("gemini", EmbedRequest(MODEL, ["x"] * 101), "bad_request"),
        ("gemini", EmbedRequest(MODEL, [""]), "bad_request"),
        ("voyage", EmbedRequest(MODEL, ["x"] * 1001), "bad_request"),
        ("voyage", EmbedRequest(MODEL, [""]), "bad_request"),
        ("tei", EmbedRequest(MODEL, ["x"] * 33), "bad_request"),
        ("tei", EmbedRequest(MODEL, [""]), "bad_request"),
        ("tei", RankRequest(MODEL, "x", ["x"] * 33), "bad_request"),
        ("tei", RankRequest(MODEL, "x", ["x" * 40_000]), "context_length"),
        *(
            (adapter, request, "bad_request")
            for adapter in ("compatible", "cohere", "voyage")
            for request in (RankRequest(MODEL, "", ["x"]), RankRequest(MODEL, "x", []))
        ),
    ],
)
async def test_what_the_vendor_refuses_is_refused(
    simulator: Simulator, adapter: str, request_: Any, error_class: str
) -> None:
    parts, failure = await ask(simulator, adapter, request_)
    assert isinstance(failure, Failure)
    assert (parts, failure.error_class) == ([], error_class)
    assert failure.status in (400, 413)
    assert [one.outcome for one in simulator.account.attempts] == ["refused"]


@pytest.mark.parametrize("request_", [EMBED, RANK], ids=["embed", "rerank"])
@pytest.mark.parametrize("adapter", PATHS)
@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        (Fault(kind="status", status=429), ErrorClass.RATE_LIMIT),
        (Fault(kind="status", status=500), ErrorClass.SERVER_ERROR),
        (Fault(kind="status", status=503), ErrorClass.OVERLOADED),
        (Fault(kind="status", status=401), ErrorClass.AUTH),
        (Fault(kind="malformed"), ErrorClass.BAD_ANSWER),
        (Fault(kind="missing_end"), ErrorClass.BAD_ANSWER),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_faults(
    simulator: Simulator, adapter: str, request_: Any, fault: Fault, error_class: ErrorClass
) -> None:
    if adapter == "gemini" and request_ is RANK:
        return
    simulator.script.replace([fault])
    parts, outcome = await ask(simulator, adapter, request_)
    failure = outcome.failure if isinstance(outcome, Outcome) else outcome
    assert failure is not None
    if adapter == "tei" and fault.status == 429:
        error_class = ErrorClass.OVERLOADED  # it has no other limits
    assert (parts, failure.error_class) == ([], error_class)
    assert [one.fault for one in simulator.account.attempts] == [fault.kind]


@pytest.mark.parametrize("adapter", PATHS)
async def test_an_error_in_the_place_of_an_answer(simulator: Simulator, adapter: str) -> None:
    simulator.script.replace([Fault(kind="error_in_stream")])
    parts, outcome = await ask(simulator, adapter, EMBED)
    assert isinstance(outcome, Outcome)
    assert outcome.failure is not None
    broken = {ErrorClass.SERVER_ERROR, ErrorClass.OVERLOADED}
    assert (parts, outcome.failure.error_class in broken) == ([], True)


@pytest.mark.parametrize("adapter", PATHS)
async def test_a_model_that_is_not_there(adapter: str) -> None:
    vendor = "openai" if adapter == "compatible" else adapter
    async with Simulator(vendors=[vendor], models=["another"]) as simulator:
        _, failure = await ask(simulator, adapter, EMBED)
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.NOT_FOUND


@pytest.mark.parametrize(
    ("value", "texts"),
    [("one", ["one"]), ([1, 2], ["[1, 2]"]), ([[1], [2]], ["[1]", "[2]"])],
)
async def test_openai_takes_words_and_the_numbers_of_tokens(
    simulator: Simulator, value: Any, texts: list[str]
) -> None:
    async with httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client:
        answer = await client.post(
            "/openai/v1/embeddings",
            headers={"authorization": "Bearer test"},
            json={"model": MODEL, "input": value, "dimensions": 8},
        )
    found = [item["embedding"] for item in answer.json()["data"]]
    assert found == [expected_vector(MODEL, text, 8) for text in texts]


async def test_gemini_answers_one_text_and_wants_a_key(simulator: Simulator) -> None:
    path = f"/gemini/v1beta/models/{MODEL}:embedContent"
    body = {"content": {"parts": [{"text": "one"}]}, "outputDimensionality": 8}
    async with httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client:
        refused = await client.post(path, json=body)
        answer = await client.post(path, json=body, headers={"x-goog-api-key": "test"})
    assert refused.status_code == 403
    assert answer.json()["embedding"] == {"values": expected_vector(MODEL, "one", 8)}
    assert answer.json()["usageMetadata"]["promptTokenCount"] == 1
