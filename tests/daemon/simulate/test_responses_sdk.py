"""OpenAI's own client against the simulator's Responses, and beside it what routerd reads there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import httpx
import pytest

from routerd.domain import Part, Usage
from routerd.providers.base import Outcome
from routerd.providers.openai.responses import ResponsesAdapter
from routerd.simulate import Fault, Pacing, Simulator, expected_reasoning, expected_text
from routerd_proto.content import Message, Tool
from tests.daemon.providers.drive import calls_in, decode, reasoning_in, request, text_in

openai = pytest.importorskip(
    "openai", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)

ADAPTER = ResponsesAdapter()
MODEL = "gpt-6.1-sol"
SAID = "Describe the lantern."
BOTH = "Call both tools"
LONG = "Describe the lantern in the harbour. " * 200  # more than the least that is cached
TOKENS = 60
TEXT = expected_text(MODEL, SAID, TOKENS)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [Tool(name, "", SCHEMA) for name in ("get_weather", "get_tides")]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(
        vendors=["openai-responses"], pacing=Pacing(output_tokens=TOKENS)
    ) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    def make() -> Any:
        return openai.AsyncOpenAI(
            api_key="test",
            base_url=f"{simulator.base_url}/openai-responses/v1",
            max_retries=0,
            timeout=10.0,
        )

    # In a thread, since it reads files as it is made.
    async with await anyio.to_thread.run_sync(make) as opened:
        yield opened


def body_of(said: str = SAID, *, stream: bool = False, **options: Any) -> dict[str, Any]:
    """Return what routerd sends, for the vendor's client to send it too."""
    sent = ADAPTER.encode(request(MODEL, [Message("user", said)], stream=stream, **options))
    body: dict[str, Any] = json.loads(sent.body)
    return body


async def read_by_routerd(simulator: Simulator, body: dict[str, Any]) -> tuple[list[Part], Outcome]:
    url = f"{simulator.base_url}/openai-responses/v1/responses"
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(url, headers={"authorization": "Bearer test"}, json=body)
    return decode(ADAPTER, [answer.content], stream=bool(body.get("stream")))


async def events_of(client: Any, body: dict[str, Any]) -> list[Any]:
    return [event async for event in await client.responses.create(**body)]


async def read_by_sdk(client: Any, body: dict[str, Any]) -> Any:
    """Return the whole answer; of a stream, the one that its last event brings."""
    if not body.get("stream"):
        return await client.responses.create(**body)
    return (await events_of(client, body))[-1].response


def usage_of(response: Any) -> Usage:
    told = response.usage
    read = told.input_tokens_details.cached_tokens
    written = told.input_tokens_details.cache_write_tokens
    return Usage(
        input_tokens=told.input_tokens - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=told.output_tokens,
        reasoning_tokens=told.output_tokens_details.reasoning_tokens,
    )


def summary_of(response: Any) -> str:
    items = [item for item in response.output if item.type == "reasoning"]
    return "".join(part.text for item in items for part in item.summary)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("said", "options"),
    [
        (SAID, {}),
        (SAID, {"reasoning": "high"}),
        (LONG, {}),
        (SAID, {"max_output_tokens": 20}),
        (SAID, {"output_schema": SCHEMA}),
        (BOTH, {"tools": TOOLS}),
        (BOTH, {"tools": TOOLS, "reasoning": "low", "parallel_tool_calls": False}),
        (SAID, {"tools": TOOLS, "tool_choice": "required"}),
    ],
)
async def test_both_read_the_same(
    simulator: Simulator, client: Any, said: str, options: dict[str, Any], stream: bool
) -> None:
    body = body_of(said, stream=stream, **options)
    if said == LONG:
        await read_by_routerd(simulator, body)  # and leave it in the cache
    response = await read_by_sdk(client, body)
    parts, outcome = await read_by_routerd(simulator, body)
    assert text_in(parts) == response.output_text
    assert reasoning_in(parts) == summary_of(response)
    assert [(name, arguments) for _, name, arguments in calls_in(parts)] == [
        (item.name, item.arguments) for item in response.output if item.type == "function_call"
    ]
    assert outcome.usage is not None
    assert outcome.usage == usage_of(response)
    assert (outcome.usage.cache_read_tokens > 0) == (said == LONG)
    assert outcome.model == response.model
    cut = response.incomplete_details is not None
    calls = "tool_calls" if "tools" in options else "stop"
    assert (outcome.finish, outcome.complete) == ("length" if cut else calls, True)


async def test_the_words_are_the_simulators_own(client: Any) -> None:
    response = await read_by_sdk(client, body_of(reasoning="high"))
    assert response.output_text == TEXT
    thought = response.usage.output_tokens_details.reasoning_tokens
    assert summary_of(response) == expected_reasoning(MODEL, SAID, thought)
    assert response.usage.output_tokens == TOKENS + thought
    assert response._request_id.startswith("req_")


async def test_every_event_is_of_a_known_type(client: Any) -> None:
    known = openai.types.responses
    body = body_of(BOTH, stream=True, tools=TOOLS, reasoning="low")
    seen = await events_of(client, body)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    for event in seen:
        # Where the fields are not those of the type, the client builds it all the same.
        assert type(event).__module__.startswith(known.__name__)
        assert type(event).model_validate(event.model_dump(by_alias=True))


async def test_the_clients_own_stream_helper_puts_the_answer_together(client: Any) -> None:
    body = body_of(BOTH, tools=TOOLS, reasoning="low")
    async with client.responses.stream(**body) as stream:
        response = await stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "get_tides"]
    assert len({call.call_id for call in calls}) == 2


async def test_an_answer_goes_back_as_its_types_have_it(client: Any) -> None:
    body = body_of(BOTH, tools=TOOLS, reasoning="low")
    response = await read_by_sdk(client, body)
    calls = [item for item in response.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "calm"}
        for call in calls
    ]
    items = [*body["input"], *response.output, *results]
    end = await read_by_sdk(client, {**body, "input": items})
    assert end.output_text == expected_text(MODEL, BOTH, TOKENS)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "context_length_exceeded", "BadRequestError"),
        (401, None, "AuthenticationError"),
        (404, None, "NotFoundError"),
        (429, None, "RateLimitError"),
        (500, None, "InternalServerError"),
        (502, None, "InternalServerError"),
    ],
)
async def test_errors(
    simulator: Simulator, client: Any, status: int, code: str | None, error: str
) -> None:
    simulator.script.replace([Fault(kind="status", status=status, code=code)])
    with pytest.raises(getattr(openai, error)) as raised:
        await read_by_sdk(client, body_of())
    assert raised.value.status_code == status
    if code is not None:
        assert raised.value.code == code


async def test_broken_streams_are_errors(simulator: Simulator, client: Any) -> None:
    simulator.script.replace([Fault(kind="error_in_stream", times=1)])
    *_, last = await events_of(client, body_of(stream=True))
    assert isinstance(last, openai.types.responses.ResponseErrorEvent)
    assert last.message.startswith("The server had an error")
    simulator.script.replace([Fault(kind="cut", times=1)])
    with pytest.raises(openai.APIConnectionError):
        await read_by_sdk(client, body_of(stream=True))
    simulator.script.replace([Fault(kind="error_in_stream", times=1)])
    failed = await read_by_sdk(client, body_of())
    assert (failed.status, failed.error.message.startswith("The server")) == ("failed", True)
