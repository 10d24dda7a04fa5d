"""Cohere's Chat as bytes, and read by the adapter: what is answered, refused and broken."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.domain import Usage
from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.cohere import CohereAdapter
from routerd.simulate import Fault, Simulator, expected_text
from routerd_proto.content import Document, Message, Text, Tool, ToolResult
from routerd_proto.frames import CitationAdded
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    encoded,
    request,
    text_in,
)
from tests.daemon.simulate.adapting import ask

ADAPTER = CohereAdapter()
MODEL = "command-a-plus-05-2026"
SAID = "How is the harbour today?"
WEATHER = Tool("get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
TEXT = expected_text(MODEL, SAID)
KEY = {"authorization": "Bearer test"}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["cohere"]) as running:
        yield running


def asking(**options: Any) -> ChatRequest:
    return request(MODEL, [Message("user", SAID)], **options)


async def test_what_the_cache_read_is_paid_for(simulator: Simulator) -> None:
    chat = request(MODEL, [Message("user", "harbour " * 1000)])
    await ask(simulator, ADAPTER, chat)
    _, outcome = await ask(simulator, ADAPTER, chat)
    assert isinstance(outcome, Outcome)
    billed = simulator.account.attempts[1].usage
    assert billed.cached > 1000
    assert outcome.usage == Usage(input_tokens=billed.input, output_tokens=billed.output)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_and_its_result(simulator: Simulator, stream: bool) -> None:
    chat = asking(stream=stream, tools=[WEATHER], tool_choice="required")
    parts, outcome = await ask(simulator, ADAPTER, chat)
    assert isinstance(outcome, Outcome)
    [(call_id, name, arguments)] = calls_in(parts)
    assert (name, outcome.finish) == ("get_weather", "tool_calls")
    assert set(json.loads(arguments)) <= {"city"}
    answer = answer_message(parts)
    results = Message("tool", [ToolResult(call_id, "22 C")])
    again = request(MODEL, [*chat.messages, answer, results], stream=stream, tools=[WEATHER])
    body, notes = encoded(ADAPTER, again)
    assert body["messages"][1]["tool_plan"].strip() == "I will call get_weather."
    assert notes == []
    parts, outcome = await ask(simulator, ADAPTER, again)
    assert isinstance(outcome, Outcome)
    assert (outcome.finish, calls_in(parts)) == ("stop", [])
    assert text_in(parts)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_document_is_cited(simulator: Simulator, stream: bool) -> None:
    document = Document(data=b"calm", media_type="text/plain", title="Harbour")
    chat = request(MODEL, [Message("user", [document, Text(SAID)])], stream=stream)
    parts, _ = await ask(simulator, ADAPTER, chat)
    [cited] = [part for part in parts if isinstance(part, CitationAdded)]
    assert TEXT.startswith(cited.citation["text"])
    assert cited.citation["sources"][0]["type"] == "document"


async def test_a_schema_a_stop_and_a_limit(simulator: Simulator) -> None:
    schema = {"type": "object", "properties": {"size": {"type": "number"}}, "required": ["size"]}
    parts, _ = await ask(simulator, ADAPTER, asking(output_schema=schema))
    assert set(json.loads(text_in(parts))) == {"size"}
    stop = TEXT[10:14]
    parts, outcome = await ask(simulator, ADAPTER, asking(stop=[stop]))
    assert isinstance(outcome, Outcome)
    assert (text_in(parts), outcome.finish) == (TEXT[: TEXT.index(stop)], "stop")
    parts, outcome = await ask(simulator, ADAPTER, asking(max_output_tokens=3, stream=True))
    assert isinstance(outcome, Outcome)
    assert outcome.finish == "length"
    assert TEXT.startswith(text_in(parts))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind="status", status=429, code="insufficient_quota"), ErrorClass.QUOTA),
        (Fault(kind="status", status=402), ErrorClass.QUOTA),
        (Fault(kind="status", status=504), ErrorClass.TIMEOUT),
        (Fault(kind="status", status=498), ErrorClass.AUTH),
        (Fault(kind="status", status=400), ErrorClass.BAD_REQUEST),
        (
            Fault(kind="status", status=400, code="content_policy_violation"),
            ErrorClass.CONTENT_POLICY,
        ),
    ],
)
async def test_statuses(simulator: Simulator, fault: Fault, expected: ErrorClass) -> None:
    simulator.script.replace([fault])
    _, failure = await ask(simulator, ADAPTER, asking(stream=True))
    assert isinstance(failure, Failure)
    assert failure.error_class is expected
    assert failure.retry_after == fault.retry_after


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_in_the_answer(simulator: Simulator, stream: bool) -> None:
    simulator.script.replace([Fault(kind="error_in_stream")])
    parts, outcome = await ask(simulator, ADAPTER, asking(stream=stream))
    assert isinstance(outcome, Outcome)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.SERVER_ERROR
    assert "internal server error" in outcome.failure.message
    assert TEXT.startswith(text_in(parts))


@pytest.mark.parametrize("kind", ["missing_end", "missing_mark"])
async def test_an_answer_without_its_end_is_not_complete(simulator: Simulator, kind: Any) -> None:
    simulator.script.replace([Fault(kind=kind)])
    parts, outcome = await ask(simulator, ADAPTER, asking(stream=True))
    assert isinstance(outcome, Outcome)
    assert (text_in(parts), outcome.complete) == (TEXT, False)


USER = {"role": "user", "content": "a"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
JSON_OBJECT = {"type": "json_object"}


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"messages": []}, 400, "must not be empty"),
        ({"messages": [{"role": "bot", "content": "a"}]}, 400, "Invalid role"),
        ({"messages": [USER, {"role": "system", "content": "a"}, USER]}, 400, "must be the first"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "must not be empty in a turn"),
        ({"messages": [USER, CALLING]}, 400, "did not have response messages: c"),
        ({"messages": [USER, CALLING, USER]}, 400, "did not have response messages: c"),
        (
            {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
            400,
            "tool call id not found",
        ),
        ({"messages": [USER, {"role": "assistant", "content": "a"}]}, 400, "the last message"),
        (
            {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "a"}]}]},
            400,
            "unexpected content type",
        ),
        ({"p": 1.0}, 400, "p must be between 0.01 and 0.99"),
        ({"temperature": 3}, 400, "temperature must be between 0 and 2.0"),
        ({"stop_sequences": [*"abcdef"]}, 400, "at most 5"),
        ({"tool_choice": "REQUIRED"}, 400, "needs tools"),
        ({"tool_choice": "auto"}, 422, "tool_choice"),
        ({"top_p": 0.5}, 422, "parameter 'top_p' is not a valid field"),
        ({"thinking": {"type": "low"}}, 400, "thinking.type"),
        ({"thinking": {"type": "enabled", "token_budget": 0}}, 400, "positive"),
        ({"response_format": JSON_OBJECT, "tools": [TOOL]}, 400, "not supported with tools"),
        ({"response_format": JSON_OBJECT, "documents": ["a"]}, 400, "not supported with RAG"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "parameters"),
    ],
)
async def test_what_is_refused(simulator: Simulator, wrong: Any, status: int, said: str) -> None:
    body = {"model": MODEL, "messages": [USER], **wrong}
    async with httpx.AsyncClient(trust_env=False, base_url=simulator.base_url) as client:
        answer = await client.post("/cohere/v2/chat", headers=KEY, json=body)
    assert answer.status_code == status
    assert said in answer.json()["message"]
    assert simulator.account.total.output_tokens == 0


async def test_keys_models_and_paths(simulator: Simulator) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=simulator.base_url) as client:
        assert (await client.get("/cohere/v1/models")).status_code == 401
        listing = await client.get("/cohere/v1/models?page_size=1", headers=KEY)
        assert [model.id for model in ADAPTER.list_models(listing.content)] == [MODEL]
        one = await client.get("/cohere/v1/models/command-a-03-2025", headers=KEY)
        assert one.json()["name"] == "command-a-03-2025"
        assert (await client.get("/cohere/v3/models", headers=KEY)).status_code == 404
