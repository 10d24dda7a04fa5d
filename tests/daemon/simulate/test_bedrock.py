"""Converse as bytes, and read by routerd's own adapter."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from routerd.errors import ErrorClass
from routerd.providers.bedrock import BedrockAdapter
from routerd.simulate import Fault, Simulator, expected_text
from routerd_proto.content import Document, Message, Tool, ToolResult
from routerd_proto.frames import ReasoningDelta, ReasoningEnded
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    decode,
    reasoning_in,
    request,
    text_in,
)

BEDROCK = BedrockAdapter()
NOVA = "us.amazon.nova-2-lite-v1:0"
MODEL = "us.anthropic.claude-opus-4-6-v1:0"
HEADERS = {"authorization": "Bearer test"}
SAID = "How is the harbour today?"


async def post(client: httpx.AsyncClient, *messages: Message, **options: Any) -> httpx.Response:
    chat = request(MODEL, list(messages) or [Message("user", SAID)], **options)
    call = BEDROCK.encode(chat)
    return await client.post(f"/bedrock{call.path}", headers=HEADERS, content=call.body)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer(client: httpx.AsyncClient, stream: bool) -> None:
    response = await post(client, stream=stream)
    kind = "application/vnd.amazon.eventstream" if stream else "application/json"
    assert response.headers["content-type"] == kind
    assert len(response.headers["x-amzn-requestid"]) == 32
    parts, outcome = decode(BEDROCK, [response.content], stream=stream)
    assert text_in(parts) == expected_text(MODEL, SAID)
    assert (outcome.finish, outcome.complete) == ("stop", True)
    assert outcome.usage is not None
    assert outcome.usage.output_tokens > 0
    assert outcome.malformed_events == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_with_reasoning_and_a_tool(
    client: httpx.AsyncClient, stream: bool
) -> None:
    asked = Message("user", "use get_weather")
    options = {"tools": [Tool("get_weather")], "reasoning": "low", "stream": stream}
    response = await post(client, asked, **options)
    parts, outcome = decode(BEDROCK, [response.content], stream=stream)
    [(call_id, name, _)] = calls_in(parts)
    assert (name, outcome.finish) == ("get_weather", "tool_calls")
    result = Message("tool", [ToolResult(call_id, "22 C")])
    response = await post(client, asked, answer_message(parts), result, **options)
    assert response.status_code == 200, response.text
    parts, outcome = decode(BEDROCK, [response.content], stream=stream)
    assert text_in(parts)
    assert (outcome.finish, outcome.complete) == ("stop", True)


async def test_refusals(client: httpx.AsyncClient) -> None:
    response = await client.post(f"/bedrock/model/{MODEL}/converse", json={})
    assert response.status_code == 403
    call = [Message("user", SAID)]
    body = {"messages": [{"role": "assistant", "content": [{"text": "Hi"}]}]}
    response = await client.post(f"/bedrock/model/{MODEL}/converse", json=body, headers=HEADERS)
    failure = BEDROCK.failure(response.status_code, response.headers, response.content)
    assert (failure.error_class, failure.code) == (ErrorClass.BAD_REQUEST, "ValidationException")
    assert (await post(client, *call)).status_code == 200
    short, long = {"type": "default"}, {"type": "default", "ttl": "1h"}
    marked: list[Any] = [{"text": "Be brief."}, {"cachePoint": short}, {"text": "And kind."}]
    rising = {
        "system": [*marked, {"cachePoint": long}],
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
    }
    response = await client.post(f"/bedrock/model/{MODEL}/converse", json=rising, headers=HEADERS)
    assert (response.status_code, "must not come after" in response.text) == (400, True)


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        ({"kind": "status", "status": 429}, ErrorClass.RATE_LIMIT),
        ({"kind": "status", "status": 503}, ErrorClass.OVERLOADED),
        ({"kind": "status", "status": 502}, ErrorClass.SERVER_ERROR),
        ({"kind": "status", "status": 400, "code": "model_not_found"}, ErrorClass.NOT_FOUND),
        ({"kind": "error_in_stream", "code": "rate_limit_exceeded"}, ErrorClass.RATE_LIMIT),
    ],
)
async def test_scripted_faults(fault: dict[str, Any], error_class: ErrorClass) -> None:
    async with (
        Simulator(script=[Fault(**fault)]) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        response = await post(client, stream=True)
    if response.status_code == 200:
        _, outcome = decode(BEDROCK, [response.content])
        failure = outcome.failure
    else:
        failure = BEDROCK.failure(response.status_code, response.headers, response.content)
    assert failure is not None
    assert failure.error_class is error_class


@pytest.mark.parametrize("kind", ["malformed", "missing_end"])
async def test_broken_streams(kind: Any) -> None:
    async with (
        Simulator(script=[Fault(kind=kind)]) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        response = await post(client, stream=True)
    _, outcome = decode(BEDROCK, [response.content])
    assert outcome.complete is (kind == "malformed")
    assert outcome.malformed_events == (kind == "malformed")
    assert outcome.failure is None


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_without_schemas_answers_in_the_form_asked_for(
    client: httpx.AsyncClient, stream: bool
) -> None:
    schema = {
        "type": "object",
        "properties": {"harbour": {"type": "string"}},
        "required": ["harbour"],
    }
    chat = request("amazon.nova-pro-v1:0", stream=stream, output_schema=schema)
    call = BEDROCK.encode(chat)
    response = await client.post(f"/bedrock{call.path}", headers=HEADERS, content=call.body)
    assert call.wire is not None
    parts, outcome = decode(call.wire, [response.content], stream=stream)
    assert list(json.loads(text_in(parts))) == ["harbour"]
    assert ReasoningDelta("<thinking> I need a tool for this. </thinking>\n") in parts
    assert calls_in(parts) == []
    assert (outcome.finish, outcome.complete) == ("stop", True)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("effort", ["low", "high"])
async def test_nova_thinks_by_its_own_field_and_does_not_sign(
    client: httpx.AsyncClient, stream: bool, effort: Any
) -> None:
    chat = request(NOVA, stream=stream, reasoning=effort, temperature=0.5)
    call = BEDROCK.encode(chat)
    response = await client.post(f"/bedrock{call.path}", headers=HEADERS, content=call.body)
    parts, outcome = decode(BEDROCK, [response.content], stream=stream)
    assert reasoning_in(parts)
    assert ReasoningEnded("bedrock", {}) in parts
    assert outcome.complete


@pytest.mark.parametrize(
    ("more", "inference", "said"),
    [
        ({"reasoning_config": {"type": "enabled"}}, {}, "extraneous key [reasoning_config]"),
        ({"thinking": {"type": "adaptive"}}, {}, "extraneous key [thinking]"),
        ({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "max"}}, {}, "Invalid"),
        (
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            {"maxTokens": 9},
            "must be unset",
        ),
    ],
)
async def test_what_nova_refuses(
    client: httpx.AsyncClient, more: dict[str, Any], inference: dict[str, Any], said: str
) -> None:
    body = {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "additionalModelRequestFields": more,
        "inferenceConfig": inference,
    }
    response = await client.post(f"/bedrock/model/{NOVA}/converse", json=body, headers=HEADERS)
    assert (response.status_code, said in response.text) == (400, True)


@pytest.mark.parametrize(
    ("names", "words", "status"),
    [
        (["a b", "a-b (1) [x]"], True, 200),
        (["a", "a"], True, 400),
        (["a  b"], True, 400),
        (["a.b"], True, 400),
        (["a" * 201], True, 400),
        ([""], True, 400),
        (["a"], False, 400),
    ],
)
async def test_documents_have_names_and_words_beside_them(
    client: httpx.AsyncClient, names: list[str], words: bool, status: int
) -> None:
    content: list[Any] = [{"text": "What is it?"}] * words
    content += [
        {"document": {"format": "pdf", "name": name, "source": {"bytes": "QQ=="}}} for name in names
    ]
    body = {"messages": [{"role": "user", "content": content}]}
    response = await client.post(f"/bedrock/model/{MODEL}/converse", json=body, headers=HEADERS)
    assert response.status_code == status


async def test_documents_are_sent_so_that_they_are_taken(client: httpx.AsyncClient) -> None:
    titles = ["a/b.pdf", "a/b.pdf", "a" * 179 + " b", "a" * 179 + " b", None, "Ünï"]
    documents = [Document(data=b"x", title=title) for title in titles]
    assert (await post(client, Message("user", documents))).status_code == 200


async def test_a_failed_tool_has_said_something(client: httpx.AsyncClient) -> None:
    asked, tools = Message("user", "use get_weather"), [Tool("get_weather")]
    response = await post(client, asked, tools=tools, stream=False)
    parts, _ = decode(BEDROCK, [response.content], stream=False)
    [(call_id, _, _)] = calls_in(parts)
    failed = Message("tool", [ToolResult(call_id, "", is_error=True)])
    said = [asked, answer_message(parts), failed]
    assert (await post(client, *said, tools=tools, stream=False)).status_code == 200
    call = BEDROCK.encode(request(MODEL, said, tools=tools))
    body = call.body.replace(b'[{"text":"."}]', b"[]")
    response = await client.post(f"/bedrock{call.path}", headers=HEADERS, content=body)
    assert (response.status_code, "cannot be empty" in response.text) == (400, True)
