"""generateContent as bytes, and read by the adapter: what is answered, refused and broken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd.simulate import Fault, Simulator
from routerd_proto.content import Message
from tests.daemon.providers.drive import (
    request,
)
from tests.daemon.simulate.adapting import ask

ADAPTER = GeminiAdapter()
MODEL = "gemini-4-argon"
SAID = "How is the harbour today?"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["gemini"]) as running:
        yield running


def asking(**options: Any) -> ChatRequest:
    return request(MODEL, [Message("user", SAID)], **options)


async def test_a_quota_that_is_used_up(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="status", status=429, code="insufficient_quota")])
    _, failure = await ask(simulator, ADAPTER, asking(stream=True))
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.retry_after) == (ErrorClass.QUOTA, None)


async def test_a_blocked_prompt(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="status", status=400, code="content_policy_violation")])
    _, outcome = await ask(simulator, ADAPTER, asking())
    assert isinstance(outcome, Outcome)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.CONTENT_POLICY
    assert outcome.failure.code == "PROHIBITED_CONTENT"


async def test_what_is_refused_and_listed(simulator: Simulator) -> None:
    base = f"{simulator.base_url}/gemini/v1beta/models"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(base)).status_code == 403
        listing = await client.get(base, headers={"x-goog-api-key": "test"})
        assert "gemini-4-argon" in [model.id for model in ADAPTER.list_models(listing.content)]
        refused = await client.post(
            f"{base}/{MODEL}:generateContent",
            headers={"x-goog-api-key": "test"},
            json={"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]},
        )
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "Please use a valid role: user, model."


@pytest.mark.parametrize(
    ("service", "model", "named"),
    [
        ("gemini", "models/gemini-x", "gemini-x"),
        ("gemini", "tunedModels/mine", "mine"),
        ("vertex", "publishers/google/models/gemini-x", "gemini-x"),
        ("vertex", "meta/llama-x", "llama-x"),
        ("vertex", "endpoints/123", "123"),
    ],
)
async def test_a_model_answers_by_any_of_its_names(service: str, model: str, named: str) -> None:
    adapter = GeminiAdapter(SERVICES[service])
    place = "/v1/projects/p-1/locations/global" if service == "vertex" else ""
    headers = {"x-goog-api-key": "test", "authorization": "Bearer ya29.test"}
    async with (
        Simulator(vendors=[service]) as simulator,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        address = f"{simulator.base_url}/{service}{place}"
        sent = adapter.encode(request(model, [Message("user", SAID)]))
        answer = await client.post(address + sent.path, headers=headers, content=sent.body)
    assert answer.status_code == 200
    assert answer.json()["modelVersion"] == named


async def test_vertex_lists_what_is_published_and_nothing_of_a_project() -> None:
    token = {"authorization": "Bearer ya29.test"}
    adapter = GeminiAdapter(SERVICES["vertex"])
    async with (
        Simulator(vendors=["vertex"]) as simulator,
        httpx.AsyncClient(trust_env=False, headers=token) as client,
    ):
        place = f"{simulator.base_url}/vertex/v1/projects/p-1/locations/global"
        assert (await client.get(place + adapter.models_path)).status_code == 404
        listing = await client.get(adapter.list_address(place) + adapter.models_path)
        version = f"{simulator.base_url}/vertex/v1/publishers/google/models/{MODEL}"
        entry = await client.get(version)
    assert MODEL in [model.id for model in adapter.list_models(listing.content)]
    assert entry.json()["name"] == f"publishers/google/models/{MODEL}"
