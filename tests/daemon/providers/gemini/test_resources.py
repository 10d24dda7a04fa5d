"""The names that models have at Google, and where each is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from routerd.errors import CallRefused
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd.providers.registry import search_wires
from routerd.providers.search import EmbedRequest
from tests.daemon.providers.drive import encoded, request

ADAPTERS = {name: GeminiAdapter(service) for name, service in SERVICES.items()}
PATHS = [
    ("gemini", "gemini-x", "/v1beta/models/gemini-x"),
    ("gemini", "models/gemini-x", "/v1beta/models/gemini-x"),
    ("gemini", "publishers/google/models/gemini-x", "/v1beta/models/gemini-x"),
    ("gemini", "tunedModels/abc", "/v1beta/tunedModels/abc"),
    ("gemini", "google/gemini-x", "/v1beta/models/google%2Fgemini-x"),
    ("gemini", "a?b#c", "/v1beta/models/a%3Fb%23c"),
    ("vertex", "gemini-x", "/publishers/google/models/gemini-x"),
    ("vertex", "models/gemini-x", "/publishers/google/models/gemini-x"),
    ("vertex", "publishers/google/models/gemini-x", "/publishers/google/models/gemini-x"),
    ("vertex", "publishers/meta/models/llama-x", "/publishers/meta/models/llama-x"),
    ("vertex", "meta/llama-x", "/publishers/meta/models/llama-x"),
    ("vertex", "endpoints/123", "/endpoints/123"),
    ("vertex", "endpoints/1?2", "/endpoints/1%3F2"),
]
NONE = [
    ("gemini", "projects/p/locations/l/endpoints/123"),
    ("gemini", "publishers/meta/models/llama-x"),
    ("gemini", "endpoints/123"),
    ("gemini", "models/a/b"),
    ("vertex", "projects/p/locations/l/endpoints/123"),
    ("vertex", "projects/p/locations/l/publishers/google/models/gemini-x"),
    ("vertex", "locations/l/endpoints/123"),
    ("vertex", "tunedModels/abc"),
    ("vertex", "publishers/google/gemini-x"),
    ("vertex", "endpoints/"),
    ("vertex", "a/b/c"),
]


@pytest.mark.parametrize(("service", "model", "path"), PATHS)
def test_a_model_is_found_by_any_of_its_names(service: str, model: str, path: str) -> None:
    adapter = ADAPTERS[service]
    assert adapter.encode(request(model)).path == f"{path}:generateContent"
    stream = adapter.encode(request(model, stream=True)).path
    assert stream == f"{path}:streamGenerateContent?alt=sse"
    assert adapter.wrong_name(model) is None
    wire = search_wires("gemini", service)["embedding"]
    asked = wire.encode(EmbedRequest(model, ["a"]))
    method = "batchEmbedContents" if service == "gemini" else "predict"
    assert asked.path == f"{path}:{method}"


@pytest.mark.parametrize(("service", "model"), NONE)
def test_what_is_no_name_of_a_model_is_refused_with_what_is(service: str, model: str) -> None:
    adapter = ADAPTERS[service]
    expected = adapter.wrong_name(model)
    assert expected is not None
    assert expected.startswith("expected the id of a model")
    with pytest.raises(CallRefused) as refused:
        adapter.encode(request(model))
    assert expected in refused.value.info.message
    with pytest.raises(CallRefused) as refused:
        search_wires("gemini", service)["embedding"].encode(EmbedRequest(model, ["a"]))
    assert expected in refused.value.info.message


def test_each_request_of_a_batch_names_the_model_of_the_path() -> None:
    wire = search_wires("gemini")["embedding"]
    for model in ("gemini-embedding-2", "models/gemini-embedding-2"):
        body = json.loads(wire.encode(EmbedRequest(model, ["a"], purpose="query")).body)
        [asked] = body["requests"]
        assert asked["model"] == "models/gemini-embedding-2"
        assert asked["content"]["parts"] == [{"text": "task: search result | query: a"}]


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 4096}),
        ("gemini-3.8-flash", {"thinkingLevel": "LOW"}),
        ("", {"thinkingLevel": "LOW"}),
    ],
)
def test_a_tuned_model_thinks_as_the_directory_says_it_does(
    model: str, thinking: dict[str, Any]
) -> None:
    asked = replace(request("endpoints/123", reasoning="low"), model=model)
    body, _ = encoded(ADAPTERS["vertex"], asked)
    assert body["generationConfig"]["thinkingConfig"] == thinking | {"includeThoughts": True}
