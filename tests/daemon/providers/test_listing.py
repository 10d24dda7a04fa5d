from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.base import ListedModel
from routerd.providers.registry import build_adapter

OPENAI, ANTHROPIC = build_adapter("openai"), build_adapter("anthropic")


@pytest.mark.parametrize(
    ("body", "models"),
    [
        (
            {"object": "list", "data": [{"id": "gpt-6-sol", "shutdown_date": "2027-01-14"}]},
            [ListedModel("gpt-6-sol", None, "2027-01-14")],
        ),
        ({"data": [{"id": "m", "max_model_len": 8192}]}, [ListedModel("m", 8192)]),
        ([{"id": "bare", "context_length": 4096}], [ListedModel("bare", 4096)]),
        ({"data": [{"id": "q", "context_window": 131072}]}, [ListedModel("q", 131072)]),
        ({"data": [{"id": "l", "meta": {"n_ctx": 512}}]}, [ListedModel("l", 512)]),
        (
            {"data": [{"id": "u", "shutdown_date": 1_800_000_000}]},
            [ListedModel("u", None, "2027-01-15")],
        ),
        ({"data": [{"id": "o", "max_model_len": True, "shutdown_date": []}]}, [ListedModel("o")]),
        ({"data": [{"id": ""}, {"id": 5}, {}, None, "x"]}, []),
        (
            {
                "publisherModels": [
                    {"name": "publishers/google/models/gemini-x", "versionId": "default"},
                    {"name": "publishers/meta/models/llama-x"},
                ]
            },
            [ListedModel("gemini-x")],
        ),
        ({"data": None}, []),
        ({}, []),
        ("text", []),
    ],
)
def test_lists_of_every_shape(body: Any, models: list[ListedModel]) -> None:
    assert OPENAI.list_models(json.dumps(body).encode()) == models


def test_a_list_of_anthropic() -> None:
    entries = [
        {
            "id": "claude-opus-5-5",
            "type": "model",
            "lifecycle": "active",
            "retires_at": None,
            "max_input_tokens": 1_000_000,
        },
        {
            "id": "claude-opus-4-20250514",
            "lifecycle": "retired",
            "retires_at": "2026-06-15T00:00:00Z",
        },
    ]
    body = json.dumps({"data": entries, "has_more": False}).encode()
    assert ANTHROPIC.list_models(body) == [
        ListedModel("claude-opus-5-5", 1_000_000),
        ListedModel("claude-opus-4-20250514", None, "2026-06-15T00:00:00Z", retired=True),
    ]
    assert ANTHROPIC.models_path == "/v1/models?limit=1000"


def test_warming_asks_for_as_little_as_can_be() -> None:
    assert ANTHROPIC.warm_path == "/v1/models?limit=1"
    assert OPENAI.warm_path == "/models"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff"])
def test_no_list_at_all(body: bytes) -> None:
    assert OPENAI.list_models(body) == ANTHROPIC.list_models(body) == []


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        ({"embedding": {"pooling": "cls"}}, "embedding"),
        ({"reranker": {"id2label": {}, "label2id": {}}}, "rerank"),
        ({"classifier": {}}, None),
        ("embedding", None),
        (None, None),
    ],
)
def test_a_server_of_one_model_says_what_it_is_for(model_type: Any, kind: str | None) -> None:
    body = json.dumps(
        {"model_id": "thenlper/gte-base", "model_type": model_type, "max_input_length": 512}
    ).encode()
    [found] = build_adapter("openai", "tei").list_models(body)
    assert (found.id, found.context_window, found.kind) == ("thenlper/gte-base", 512, kind)
    assert build_adapter("openai", "tei").models_path == "/info"
