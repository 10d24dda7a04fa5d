"""What each vendor is sent for vectors and for an order: every field by its own name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Kind
from routerd.errors import CallRefused
from routerd.providers.registry import search_wires
from routerd.providers.search import EmbedRequest, RankRequest, SearchWire
from routerd_proto.search import Purpose

TEXTS = ["a rose", "the sky"]


def wire(kind: Kind, adapter: str, dialect: str | None = None) -> SearchWire:
    return search_wires(adapter, dialect)[kind]


def sent(of: SearchWire, request: EmbedRequest | RankRequest) -> tuple[str, Any, list[str]]:
    encoded = of.encode(request)
    assert encoded.headers == [(b"content-type", b"application/json")]
    return encoded.path, json.loads(encoded.body), encoded.notes


EMBED = EmbedRequest("m", TEXTS, 256, "query", truncate=True)
BARE = EmbedRequest("m", TEXTS)


def gemini(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "models/m", **more, "content": {"parts": [{"text": text}]}}


@pytest.mark.parametrize(
    ("adapter", "dialect", "path", "bare", "full"),
    [
        (
            "openai",
            "compatible",
            "/embeddings",
            {"model": "m", "input": TEXTS},
            {"model": "m", "input": TEXTS, "dimensions": 256},
        ),
        (
            "openai",
            "mistral",
            "/embeddings",
            {"model": "m", "input": TEXTS},
            {"model": "m", "input": TEXTS, "output_dimension": 256},
        ),
        (
            "gemini",
            None,
            "/v1beta/models/m:batchEmbedContents",
            {"requests": [gemini(text) for text in TEXTS]},
            {
                "requests": [
                    gemini(text, taskType="RETRIEVAL_QUERY", outputDimensionality=256)
                    for text in TEXTS
                ]
            },
        ),
        (
            "cohere",
            None,
            "/v2/embed",
            {
                "model": "m",
                "input_type": "search_document",
                "texts": TEXTS,
                "embedding_types": ["float"],
                "truncate": "NONE",
            },
            {
                "model": "m",
                "input_type": "search_query",
                "texts": TEXTS,
                "embedding_types": ["float"],
                "truncate": "END",
                "output_dimension": 256,
            },
        ),
        (
            "voyage",
            None,
            "/embeddings",
            {"model": "m", "input": TEXTS, "truncation": False, "encoding_format": "base64"},
            {
                "model": "m",
                "input": TEXTS,
                "truncation": True,
                "encoding_format": "base64",
                "input_type": "query",
                "output_dimension": 256,
            },
        ),
    ],
    ids=["compatible", "mistral", "gemini", "cohere", "voyage"],
)
def test_texts_are_asked_for_in_each_vendors_words(
    adapter: str, dialect: str | None, path: str, bare: Any, full: Any
) -> None:
    of = wire("embedding", adapter, dialect)
    assert sent(of, BARE)[:2] == (path, bare)
    assert sent(of, EMBED)[:2] == (path, full)


def test_vertex_is_asked_for_one_text_in_the_words_of_its_model() -> None:
    of, models = wire("embedding", "gemini", "vertex"), "/publishers/google/models/"
    newer = EmbedRequest("gemini-embedding-2", ["a rose"], 256, "query")
    path, body, notes = sent(of, newer)
    text = "task: search result | query: a rose"
    assert (path, notes) == (f"{models}gemini-embedding-2:embedContent", [])
    config: dict[str, Any] = {"autoTruncate": False, "outputDimensionality": 256}
    assert body == {"content": {"parts": [{"text": text}]}, "embedContentConfig": config}
    _, body, notes = sent(of, EmbedRequest("gemini-embedding-2", ["a rose"], truncate=True))
    assert (body["embedContentConfig"], notes) == ({"autoTruncate": True}, [])
    older = EmbedRequest("gemini-embedding-001", ["a rose"], None, "query", truncate=True)
    path, body, notes = sent(of, older)
    assert (path, notes) == (f"{models}gemini-embedding-001:predict", [])
    assert body == {
        "instances": [{"content": "a rose", "task_type": "RETRIEVAL_QUERY"}],
        "parameters": {"autoTruncate": True},
    }
    _, body, [note] = sent(of, EmbedRequest("gemini-embedding-001", ["a rose"], 8))
    assert body["parameters"] == {"autoTruncate": False, "outputDimensionality": 8}
    assert "not of length 1" in note


def test_openai_is_asked_for_base64_and_shortens_its_own_models_alone() -> None:
    of = wire("embedding", "openai", "openai")
    path, body, notes = sent(of, EmbedRequest("text-embedding-3-small", TEXTS, 256))
    assert (path, notes) == ("/embeddings", [])
    assert body == {
        "model": "text-embedding-3-small",
        "input": TEXTS,
        "dimensions": 256,
        "encoding_format": "base64",
    }
    with pytest.raises(CallRefused) as caught:
        of.encode(EmbedRequest("text-embedding-ada-002", TEXTS, 256))
    assert caught.value.info.code == "invalid_request"
    assert caught.value.info.details == {"param": "dimensions"}


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("azure", "/embeddings"),
        ("azure-deployments", "/deployments/my%20own/embeddings"),
        ("vllm", "/embeddings"),
        ("ollama", "/embeddings"),
        ("llamacpp", "/embeddings"),
    ],
)
def test_every_dialect_is_asked_where_it_listens(dialect: str, path: str) -> None:
    request = EmbedRequest("my own", TEXTS, 256)
    assert sent(wire("embedding", "openai", dialect), request)[0] == path


@pytest.mark.parametrize(
    ("purpose", "text"),
    [
        ("document", "title: none | text: a rose"),
        ("query", "task: search result | query: a rose"),
        ("classification", "task: classification | query: a rose"),
        ("clustering", "task: clustering | query: a rose"),
        (None, "a rose"),
    ],
)
def test_the_newest_gemini_model_is_told_in_words(purpose: Any, text: str) -> None:
    request = EmbedRequest("gemini-embedding-2", ["a rose"], None, purpose)
    _, body, notes = sent(wire("embedding", "gemini"), request)
    [one] = body["requests"]
    assert one == {
        "model": "models/gemini-embedding-2",
        "content": {"parts": [{"text": text}]},
    }
    assert notes == []


@pytest.mark.parametrize(
    ("adapter", "dialect", "request_", "noted"),
    [
        ("openai", "openai", EmbedRequest("m", TEXTS, None, "query"), "purpose was left out"),
        ("openai", "openai", EmbedRequest("m", TEXTS, truncate=True), "truncate was left out"),
        ("gemini", None, EmbedRequest("m", TEXTS, truncate=True), "truncate was left out"),
        ("gemini", None, EmbedRequest("gemini-embedding-001", TEXTS, 8), "not of length 1"),
        ("cohere", None, EmbedRequest("m", TEXTS), "purpose was not given"),
        ("voyage", None, EmbedRequest("m", TEXTS, None, "clustering"), "purpose was left out"),
        ("openai", "vllm", EmbedRequest("m", TEXTS, None, "query"), "purpose was left out"),
        ("openai", "vllm", EmbedRequest("m", TEXTS, truncate=True), "truncate was left out"),
    ],
    ids=[
        "openai-purpose",
        "openai-truncate",
        "gemini-truncate",
        "gemini-shorter",
        "cohere-purpose",
        "voyage-purpose",
        "vllm-purpose",
        "vllm-truncate",
    ],
)
def test_what_is_left_out_is_noted(
    adapter: str, dialect: str | None, request_: EmbedRequest, noted: str
) -> None:
    [note] = sent(wire("embedding", adapter, dialect), request_)[2]
    assert noted in note


@pytest.mark.parametrize(
    ("adapter", "path", "more", "top"),
    [
        pytest.param("openai", "/rerank", {}, {"top_n": 1}, id="compatible"),
        pytest.param("cohere", "/v2/rerank", {}, {"top_n": 1}, id="cohere"),
        pytest.param("voyage", "/rerank", {"truncation": False}, {"top_k": 1}, id="voyage"),
    ],
)
def test_documents_are_asked_for_in_each_vendors_words(
    adapter: str, path: str, more: dict[str, Any], top: dict[str, Any]
) -> None:
    of = wire("rerank", adapter)
    body = {"model": "m", "query": "red?", "documents": TEXTS, **more}
    assert sent(of, RankRequest("m", "red?", TEXTS)) == (path, body, [])
    assert sent(of, RankRequest("m", "red?", TEXTS, 1)) == (path, body | top, [])
    cut = sent(of, RankRequest("m", "red?", TEXTS, truncate=True))[1]
    assert cut == body | ({"truncation": True} if more else {})


@pytest.mark.parametrize("adapter", ["cohere", "gemini", "vertex"])
@pytest.mark.parametrize(
    ("purpose", "of_cohere", "of_google"),
    [
        ("document", "search_document", "RETRIEVAL_DOCUMENT"),
        ("query", "search_query", "RETRIEVAL_QUERY"),
        ("classification", "classification", "CLASSIFICATION"),
        ("clustering", "clustering", "CLUSTERING"),
    ],
)
def test_every_purpose_has_the_vendors_word(
    adapter: str, purpose: Purpose, of_cohere: str, of_google: str
) -> None:
    dialect = ("gemini", "vertex") if adapter == "vertex" else (adapter, None)
    request = EmbedRequest("gemini-embedding-001", ["a"], None, purpose)
    _, body, notes = sent(wire("embedding", *dialect), request)
    told = {
        "cohere": lambda: (body["input_type"], of_cohere),
        "gemini": lambda: (body["requests"][0]["taskType"], of_google),
        "vertex": lambda: (body["instances"][0]["task_type"], of_google),
    }[adapter]()
    assert told[0] == told[1]
    assert notes == []


def test_tei_is_asked_in_its_own_words() -> None:
    of, body = wire("rerank", "openai", "tei"), {"query": "red?", "texts": TEXTS}
    assert sent(of, RankRequest("m", "red?", TEXTS)) == ("/rerank", body, [])
    # It gives an order of all there are, of which the best are taken.
    assert sent(of, RankRequest("m", "red?", TEXTS, 1)) == ("/rerank", body, [])
    cut = RankRequest("m", "red?", TEXTS, truncate=True)
    assert sent(of, cut) == ("/rerank", body | {"truncate": True}, [])
    path, body, _ = sent(wire("embedding", "openai", "tei"), BARE)
    assert (path, body) == ("/v1/embeddings", {"model": "m", "input": TEXTS})


@pytest.mark.parametrize(
    ("adapter", "dialect"),
    [("openai", "compatible"), ("cohere", None), ("voyage", None)],
    ids=["compatible", "cohere", "voyage"],
)
def test_no_more_documents_are_asked_for_than_there_are(adapter: str, dialect: str | None) -> None:
    _, body, _ = sent(wire("rerank", adapter, dialect), RankRequest("m", "red?", TEXTS, 10))
    assert {body.get("top_n"), body.get("top_k")} == {None, 2}


def test_long_documents_are_cut_by_cohere_and_a_note_says_so() -> None:
    [note] = sent(wire("rerank", "cohere"), RankRequest("m", "q", ["x" * 5000]))[2]
    assert "longer ones were cut" in note


@pytest.mark.parametrize("adapter", ["openai", "gemini", "cohere", "voyage"])
def test_half_a_character_is_sent_as_what_utf8_can_carry(adapter: str) -> None:
    wires = search_wires(adapter)
    bodies = [wires["embedding"].encode(EmbedRequest("m", ["a\ud83d"])).body]
    if "rerank" in wires:
        bodies.append(wires["rerank"].encode(RankRequest("m", "q", ["a\ud83d"])).body)
    for body in bodies:
        assert "a\ufffd" in body.decode()


@pytest.mark.parametrize(
    ("adapter", "dialect", "embedding", "rerank"),
    [
        pytest.param("openai", "openai", (2048, 300_000), (1000, None), id="openai"),
        pytest.param("openai", "compatible", (256, 300_000), (1000, None), id="compatible"),
        pytest.param("openai", "mistral", (512, 16_000), (1000, None), id="mistral"),
        pytest.param("openai", "tei", (32, None), (32, None), id="tei"),
        pytest.param("gemini", None, (100, None), None, id="gemini"),
        pytest.param("gemini", "vertex", (1, None), None, id="vertex"),
        pytest.param("cohere", None, (96, None), (1000, None), id="cohere"),
        pytest.param("voyage", None, (1000, 120_000), (1000, 600_000), id="voyage"),
    ],
)
def test_every_limit_is_that_of_the_vendor(
    adapter: str,
    dialect: str | None,
    embedding: tuple[int, int | None],
    rerank: tuple[int, int | None] | None,
) -> None:
    limits = {
        kind: (of.limits.texts, of.limits.tokens)
        for kind, of in search_wires(adapter, dialect).items()
    }
    assert limits == {"embedding": embedding} | ({"rerank": rerank} if rerank else {})


def test_who_has_neither_has_no_wire_for_them() -> None:
    assert search_wires("anthropic") == search_wires("bedrock") == {}
