"""Arbitrary texts and documents, encoded, held against the types of the vendors' own clients.

What a type does not know may not be sent: some drop it, and it is then missed; where a client has
no types, its own method takes the fields by their names.
"""

from __future__ import annotations

import importlib
import inspect
import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.registry import search_wires
from routerd.providers.search import EmbedRequest, RankRequest
from tests.daemon.providers.drive import walked

REASON = "the vendors' own clients are not installed: requirements-vendors.lock"
pydantic = pytest.importorskip("pydantic", reason=REASON)
of_openai = pytest.importorskip("openai.types.embedding_create_params", reason=REASON)
of_mistral = pytest.importorskip("mistralai.client.models", reason=REASON)
of_google = pytest.importorskip("google.genai.types", reason=REASON)
cohere = pytest.importorskip("cohere", reason=REASON)
voyageai = pytest.importorskip("voyageai", reason=REASON)

TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5)
EMBEDS = st.builds(
    EmbedRequest,
    st.sampled_from(["text-embedding-3-small", "gemini-embedding-001", "gemini-embedding-2"]),
    TEXTS,
    st.none() | st.integers(1, 4096),
    st.sampled_from([None, "document", "query", "classification", "clustering"]),
    st.booleans(),
)
RANKS = st.builds(
    RankRequest,
    st.just("rerank-1"),
    st.text(min_size=1, max_size=12),
    TEXTS,
    st.none() | st.integers(1, 9),
    st.booleans(),
)
OF_OPENAI = pydantic.TypeAdapter(of_openai.EmbeddingCreateParams)


def body_of(adapter: str, dialect: str | None, request: EmbedRequest | RankRequest) -> Any:
    wires: Any = search_wires(adapter, dialect)
    kind = "embedding" if isinstance(request, EmbedRequest) else "rerank"
    return json.loads(wires[kind].encode(request).body)


def check_method(method: Any, body: dict[str, Any]) -> None:
    """Check plain fields by the hints of the method that takes them."""
    hints = typing.get_type_hints(method)
    assert set(body) <= set(inspect.signature(method).parameters)
    for name, value in body.items():
        hint = hints[name]
        # A number that may be left out is a string of dots in these hints.
        assert pydantic.TypeAdapter(hint).validate_python(value) == value, name


@pytest.mark.parametrize("dialect", ["openai", "azure", "compatible", "vllm", "ollama"])
@given(request=EMBEDS)
def test_texts_are_asked_for_by_the_types_of_openai(dialect: str, request: EmbedRequest) -> None:
    if not request.model_id.startswith("text-embedding-3-"):
        request = EmbedRequest(request.model_id, request.inputs)
    body = body_of("openai", dialect, request)
    assert walked(OF_OPENAI.validate_python(body)) == body
    assert body["input"] == request.inputs


@given(EMBEDS)
def test_texts_are_asked_for_by_the_types_of_mistral(request: EmbedRequest) -> None:
    body = body_of("openai", "mistral", request)
    read = of_mistral.EmbeddingRequest.model_validate(body)
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == body
    assert body["input"] == request.inputs


@given(EMBEDS)
def test_texts_are_asked_for_as_the_client_of_cohere_asks(request: EmbedRequest) -> None:
    body = body_of("cohere", None, request)
    check_method(importlib.import_module("cohere.v2.client").V2Client.embed, body)
    assert body["texts"] == request.inputs


@given(RANKS)
def test_an_order_is_asked_for_as_the_client_of_cohere_asks(request: RankRequest) -> None:
    body = body_of("cohere", None, request)
    check_method(importlib.import_module("cohere.v2.client").V2Client.rerank, body)
    assert (body["query"], body["documents"]) == (request.query, request.documents)


@given(EMBEDS | RANKS)
def test_voyage_is_asked_as_its_client_asks(request: EmbedRequest | RankRequest) -> None:
    body = body_of("voyage", None, request)
    if isinstance(request, RankRequest):
        check_method(voyageai.Client.rerank, body)
        return
    assert body.pop("encoding_format") == "base64"  # which its client asks for by itself
    body["texts"] = body.pop("input")
    check_method(voyageai.Client.embed, body)


@given(EMBEDS)
def test_texts_are_asked_for_by_the_types_of_google(request: EmbedRequest) -> None:
    for one in body_of("gemini", None, request)["requests"]:
        assert one.pop("model") == f"models/{request.model_id}"
        assert of_google.Content.model_validate_json(json.dumps(one.pop("content")), strict=True)
        assert of_google.EmbedContentConfig.model_validate_json(json.dumps(one), strict=True)
    single = EmbedRequest(request.model_id, request.inputs[:1], request.dimensions, None)
    body = body_of("gemini", "vertex", single)
    if "content" in body:
        assert of_google.Content.model_validate_json(json.dumps(body.pop("content")), strict=True)
        config = body.pop("embedContentConfig")
        assert body == {}
    else:
        config = body.pop("parameters")
    assert of_google.EmbedContentConfig.model_validate_json(json.dumps(config), strict=True)
