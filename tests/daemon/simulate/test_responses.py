"""Responses as bytes, and read by the adapter: what is answered, refused and broken."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.openai.responses import ResponsesAdapter
from routerd.simulate import Fault, Simulator, expected_reasoning, expected_text
from routerd.simulate.openai.request import REASONING_TOKENS
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolResult,
)
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    decode,
    reasoning_in,
    request,
    text_in,
)

ADAPTER = ResponsesAdapter()
MODEL = "gpt-6.1-sol"
SAID = "How is the harbour today?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER, TIDES = Tool("get_weather", "", SCHEMA), Tool("get_tides", "", SCHEMA)
TEXT = expected_text(MODEL, SAID)
BASE = {"model": MODEL, "input": SAID}
ITEM = {"type": "reasoning", "id": "rs_1", "summary": []}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
USER = {"role": "user", "content": SAID}
NUMBERED = "sequence_number"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["openai-responses"]) as running:
        yield running


def asking(**options: Any) -> ChatRequest:
    return request(MODEL, [Message("user", SAID)], **options)


async def posted(simulator: Simulator, body: Any) -> httpx.Response:
    headers = {"authorization": "Bearer test", "content-type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"{simulator.base_url}/openai-responses/v1/responses"
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(url, headers=headers, content=content)


async def ask(simulator: Simulator, chat: ChatRequest) -> tuple[Any, Outcome | Failure]:
    answer = await posted(simulator, ADAPTER.encode(chat).body)
    if answer.status_code != 200:
        return [], ADAPTER.failure(answer.status_code, dict(answer.headers), answer.content)
    return decode(ADAPTER, [answer.content], stream=chat.stream)


async def answered(simulator: Simulator, chat: ChatRequest) -> tuple[Any, Outcome]:
    parts, outcome = await ask(simulator, chat)
    assert isinstance(outcome, Outcome), outcome
    return parts, outcome


@pytest.mark.parametrize("stream", [True, False])
async def test_text_reasoning_and_usage(simulator: Simulator, stream: bool) -> None:
    parts, outcome = await answered(simulator, asking(stream=stream, reasoning="high"))
    assert text_in(parts) == TEXT
    assert reasoning_in(parts) == expected_reasoning(MODEL, SAID, REASONING_TOKENS["high"])
    assert (outcome.finish, outcome.complete, outcome.model) == ("stop", True, MODEL)
    assert (outcome.malformed_events, outcome.notes) == (0, [])
    usage = outcome.usage
    assert usage is not None
    [attempt] = simulator.account.attempts
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (
        attempt.usage.input,
        attempt.usage.output,
        REASONING_TOKENS["high"],
    )


async def test_events_are_numbered_and_end_without_a_mark(simulator: Simulator) -> None:
    body = (await posted(simulator, {**BASE, "stream": True})).content
    events = [json.loads(block.partition(b"data: ")[2]) for block in body.split(b"\n\n")[:-1]]
    names = [block.split(b"\n")[0].removeprefix(b"event: ") for block in body.split(b"\n\n")[:-1]]
    assert [event["type"].encode() for event in events] == names
    assert [event[NUMBERED] for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    padded = [event for event in events if "obfuscation" in event]
    assert {event["type"] for event in padded} == {"response.output_text.delta"}
    plain = {**BASE, "stream": True, "stream_options": {"include_obfuscation": False}}
    assert b"obfuscation" not in (await posted(simulator, plain)).content


@pytest.mark.parametrize("stream", [True, False])
async def test_tools_and_their_results_with_the_reasoning_sent_back(
    simulator: Simulator, stream: bool
) -> None:
    tools = [WEATHER, TIDES]
    chat = asking(stream=stream, tools=tools, tool_choice="required", reasoning="low")
    said = [Message("user", "Call both tools")]
    chat = request(MODEL, said, stream=stream, tools=tools, reasoning="low")
    parts, outcome = await answered(simulator, chat)
    calls = calls_in(parts)
    assert [name for _, name, _ in calls] == ["get_weather", "get_tides"]
    assert outcome.finish == "tool_calls"
    results = Message("tool", [ToolResult(call_id, "calm") for call_id, *_ in calls])
    history = [*said, answer_message(parts), results]
    following = request(MODEL, history, stream=stream, tools=tools)
    kinds = [item.get("type") for item in json.loads(ADAPTER.encode(following).body)["input"]]
    results_and_calls = ["function_call"] * 2 + ["function_call_output"] * 2
    assert kinds == [None, "reasoning", *results_and_calls]
    parts, outcome = await answered(simulator, following)
    assert (outcome.finish, calls_in(parts)) == ("stop", [])
    assert text_in(parts) == expected_text(MODEL, "Call both tools")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_schema_and_a_limit(simulator: Simulator, stream: bool) -> None:
    closed = {**SCHEMA, "required": ["city"], "additionalProperties": False}
    parts, outcome = await answered(simulator, asking(stream=stream, output_schema=closed))
    assert set(json.loads(text_in(parts))) == {"city"}
    parts, outcome = await answered(simulator, asking(stream=stream, max_output_tokens=16))
    assert (outcome.finish, outcome.complete) == ("length", True)
    assert text_in(parts) == expected_text(MODEL, SAID, 16)


async def test_pictures_and_files_are_counted_and_not_read(simulator: Simulator) -> None:
    content: list[Content] = [Text(SAID), Image(data=b"\x89PNG"), Document(data=b"%PDF-")]
    chat = request(MODEL, [Message("system", "Be brief."), Message("user", content)])
    parts, outcome = await answered(simulator, chat)
    assert text_in(parts) == TEXT
    assert outcome.usage is not None
    assert outcome.usage.input_tokens > 2 * 256


async def test_a_prompt_is_cached(simulator: Simulator) -> None:
    long = [Message("system", "Rule. " * 2000), Message("user", SAID)]
    first = (await answered(simulator, request(MODEL, long)))[1].usage
    second = (await answered(simulator, request(MODEL, long)))[1].usage
    assert first is not None
    assert second is not None
    assert (first.cache_read_tokens, second.cache_read_tokens > 1024) == (0, True)
    assert first.input_tokens == second.input_tokens + second.cache_read_tokens


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind="status", status=429, code="insufficient_quota"), ErrorClass.QUOTA),
        (Fault(kind="status", status=400, code="invalid_prompt"), ErrorClass.CONTENT_POLICY),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_statuses(
    simulator: Simulator, fault: Fault, expected: ErrorClass, stream: bool
) -> None:
    simulator.script.replace([fault])
    _, failure = await ask(simulator, asking(stream=stream))
    assert isinstance(failure, Failure)
    assert failure.error_class is expected
    assert failure.retry_after == fault.retry_after


@pytest.mark.parametrize("code", [None, "rate_limit_exceeded", "invalid_prompt"])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_in_the_answer(simulator: Simulator, stream: bool, code: str | None) -> None:
    simulator.script.replace([Fault(kind="error_in_stream", code=code)])
    parts, outcome = await answered(simulator, asking(stream=stream))
    assert outcome.failure is not None
    assert (outcome.failure.error_class, outcome.complete) == (
        {
            "rate_limit_exceeded": ErrorClass.RATE_LIMIT,
            "invalid_prompt": ErrorClass.CONTENT_POLICY,
        }.get(code or "", ErrorClass.SERVER_ERROR),
        False,
    )
    assert TEXT.startswith(text_in(parts))


@pytest.mark.parametrize("kind", ["missing_end", "missing_mark"])
async def test_an_answer_without_its_end_is_not_complete(simulator: Simulator, kind: Any) -> None:
    simulator.script.replace([Fault(kind=kind)])
    parts, outcome = await answered(simulator, asking(stream=True))
    assert (text_in(parts), outcome.complete) == (TEXT, False)


@pytest.mark.parametrize("kind", ["stall", "silence"])
async def test_a_connection_that_is_held(simulator: Simulator, kind: Any) -> None:
    simulator.script.replace([Fault(kind=kind)])
    url = f"{simulator.base_url}/openai-responses/v1/responses"
    async with httpx.AsyncClient(trust_env=False, timeout=0.1) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                url, headers={"authorization": "Bearer t"}, json={**BASE, "stream": True}
            )
    await simulator.until(lambda account: account.total.aborted == 1)


async def test_a_slow_first_token_comes(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="slow_first_token", seconds=0.02)])
    parts, outcome = await answered(simulator, asking(stream=True))
    assert (text_in(parts), outcome.complete) == (TEXT, True)


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": None}, 400, "missing_required_parameter", "model"),
        ({"input": None}, 400, "missing_required_parameter", "input"),
        ({"input": []}, 400, "empty_array", "input"),
        ({"input": 7}, 400, "invalid_type", "input"),
        ({"max_output_tokens": 15}, 400, "integer_below_min_value", "max_output_tokens"),
        ({"reasoning": {"effort": "huge"}}, 400, "invalid_value", "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, 400, "invalid_value", "reasoning.summary"),
        ({"include": ["all"]}, 400, "invalid_value", "include"),
        ({"tool_choice": "required"}, 400, None, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, 400, "invalid_value", "text.format.type"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            400,
            "missing_required_parameter",
            "text.format.name",
        ),
        (
            {"previous_response_id": "resp_0"},
            400,
            "previous_response_not_found",
            "previous_response_id",
        ),
        ({"input": [CALL]}, 400, None, "input"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]},
            400,
            None,
            "input",
        ),
        (
            {"input": [USER, {**ITEM, "encrypted_content": "gAAAAforeign"}, CALL]},
            400,
            None,
            "input",
        ),
        (
            {"input": [{**ITEM, "encrypted_content": "gAAAAforeign"}, USER]},
            400,
            "invalid_encrypted_content",
            None,
        ),
        ({"input": [ITEM, USER]}, 404, None, "input"),
        (
            {"input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
            400,
            "invalid_value",
            "input[0].content[0]",
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_file", "file_data": "JVBERi0="}]}
                ]
            },
            400,
            "invalid_value",
            "input[0].content[0].file_data",
        ),
        ({"input": [{"role": "tool", "content": "a"}]}, 400, "invalid_value", "input[0].role"),
        ({"input": [{"type": "call"}]}, 400, "invalid_value", "input[0].type"),
    ],
)
async def test_what_is_refused(
    simulator: Simulator, change: Any, status: int, code: str | None, param: str | None
) -> None:
    answer = await posted(simulator, {**BASE, **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


async def test_reasoning_torn_from_what_came_after_it(simulator: Simulator) -> None:
    chat = asking(reasoning="low")
    parts, _ = await answered(simulator, chat)
    thought, *_ = [part for part in answer_message(parts).content if isinstance(part, Reasoning)]
    torn = await posted(simulator, {**BASE, "input": [thought.data["item"], USER]})
    assert (torn.status_code, torn.json()["error"]["param"]) == (400, "input")
    failure = ADAPTER.failure(400, {}, torn.content)
    assert ADAPTER.repair(chat, failure) is not None


async def test_models_are_listed_and_missed(simulator: Simulator) -> None:
    base = f"{simulator.base_url}/openai-responses/v1/models"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(base)).status_code == 401
        listing = await client.get(base, headers={"authorization": "Bearer test"})
    assert MODEL in [model.id for model in ADAPTER.list_models(listing.content)]
    simulator._models = ["openai-responses/other"]
    _, failure = await ask(simulator, asking())
    assert isinstance(failure, Failure)
    assert (failure.error_class, failure.status, failure.param) == (
        ErrorClass.NOT_FOUND,
        400,
        "model",
    )


async def test_both_wires_of_the_vendor_on_one_address() -> None:
    async with (
        Simulator(vendors=["openai", "openai-responses"]) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        headers = {"authorization": "Bearer test"}
        chat = {"model": MODEL, "messages": [USER]}
        first = await client.post("/v1/chat/completions", headers=headers, json=chat)
        second = await client.post("/v1/responses", headers=headers, json=BASE)
    assert first.json()["choices"][0]["message"]["content"] == TEXT
    assert second.json()["output"][0]["content"][0]["text"] == TEXT
