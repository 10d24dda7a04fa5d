"""OpenAI's own client against the simulator: if it is content, the wire format is right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import pytest

from routerd.simulate import Fault, Pacing, Simulator, expected_text
from tests.daemon.simulate.own_client import OwnClient

openai = pytest.importorskip(
    "openai", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)

CLIENT = OwnClient(openai.AsyncOpenAI, openai.OpenAI, "openai/v1")
MODEL = "gpt-6.1-sol"
SAID = "Describe the lantern."
TOKENS = 60
TEXT = expected_text(MODEL, SAID, TOKENS)
MESSAGES = [{"role": "user", "content": SAID}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
    for name in ("get_weather", "get_tides")
]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(pacing=Pacing(output_tokens=TOKENS)) as running:
        yield running


async def ask(simulator: Simulator, mode: str, **more: Any) -> Any:
    """Call once, with the blocking client in a thread or with the async one."""
    body = {"model": MODEL, "messages": MESSAGES} | more
    return await CLIENT.ask(simulator, mode, lambda client: client.chat.completions.create(**body))


async def ask_streaming(simulator: Simulator, mode: str, **more: Any) -> list[Any]:
    """Call once and gather the chunks of the stream."""
    body = {"model": MODEL, "messages": MESSAGES, "stream": True} | more
    if mode == "async":
        async with (
            await CLIENT.opened(simulator) as client,
            await client.chat.completions.create(**body) as stream,
        ):
            return [chunk async for chunk in stream]

    def blocking() -> list[Any]:
        with (
            CLIENT.blocking(**CLIENT.settings(simulator)) as client,
            client.chat.completions.create(**body) as stream,
        ):
            return list(stream)

    return await anyio.to_thread.run_sync(blocking)


both_ways = pytest.mark.parametrize("mode", ["async", "blocking"])


@both_ways
async def test_text(simulator: Simulator, mode: str) -> None:
    completion = await ask(simulator, mode)
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens == TOKENS
    assert completion.usage.prompt_tokens_details.cached_tokens == 0
    assert completion._request_id.startswith("req_")
    assert simulator.account.total.output_tokens == TOKENS


@both_ways
async def test_a_stream_of_text_with_usage(simulator: Simulator, mode: str) -> None:
    chunks = await ask_streaming(simulator, mode, stream_options={"include_usage": True})
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == TOKENS
    assert simulator.account.total.completed == 1


@both_ways
async def test_tools(simulator: Simulator, mode: str) -> None:
    said = [{"role": "user", "content": "Call both tools"}]
    completion = await ask(simulator, mode, messages=said, tools=TOOLS)
    assert completion.choices[0].finish_reason == "tool_calls"
    calls = completion.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_tides"]
    for call in calls:
        arguments = json.loads(call.function.arguments)
        assert isinstance(arguments["city"], str)
        assert isinstance(arguments["days"], int)
    answered = [
        *said,
        completion.choices[0].message,
        *({"role": "tool", "tool_call_id": call.id, "content": "calm"} for call in calls),
    ]
    end = await ask(simulator, mode, messages=answered, tools=TOOLS)
    assert end.choices[0].message.content == expected_text(MODEL, "Call both tools", TOKENS)


async def test_the_clients_own_stream_helper_puts_tools_together(simulator: Simulator) -> None:
    asked = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Call both tools"}],
        "tools": TOOLS,
        "stream_options": {"include_usage": True},
    }
    async with (
        await CLIENT.opened(simulator) as client,
        client.chat.completions.stream(**asked) as stream,
    ):
        completion = await stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_tides"]
    assert all(json.loads(call.function.arguments) for call in calls)
    assert len({call.id for call in calls}) == 2


@both_ways
async def test_a_structured_answer(simulator: Simulator, mode: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "number"}},
        "required": ["name", "size"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    completion = await ask(simulator, mode, response_format=wanted)
    assert set(json.loads(completion.choices[0].message.content)) == {"name", "size"}


@both_ways
async def test_reasoning_and_images_and_logprobs(simulator: Simulator, mode: str) -> None:
    content = [
        {"type": "text", "text": SAID},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    completion = await ask(
        simulator,
        mode,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": content},
        ],
        reasoning_effort="medium",
        logprobs=True,
        top_logprobs=2,
    )
    usage = completion.usage
    assert usage.completion_tokens_details.reasoning_tokens > 0
    assert usage.completion_tokens - usage.completion_tokens_details.reasoning_tokens == TOKENS
    assert len(completion.choices[0].logprobs.content) == TOKENS


@both_ways
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "context_length_exceeded", "BadRequestError"),
        (401, None, "AuthenticationError"),
        (403, None, "PermissionDeniedError"),
        (404, None, "NotFoundError"),
        (409, None, "ConflictError"),
        (422, None, "UnprocessableEntityError"),
        (429, None, "RateLimitError"),
        (429, "insufficient_quota", "RateLimitError"),
        (500, None, "InternalServerError"),
        (503, None, "InternalServerError"),
    ],
)
async def test_errors(
    simulator: Simulator, mode: str, status: int, code: str | None, error: str
) -> None:
    wait = 2 if status == 429 else None
    simulator.script.replace([Fault(kind="status", status=status, code=code, retry_after=wait)])
    with pytest.raises(getattr(openai, error)) as raised:
        await ask(simulator, mode)
    assert raised.value.status_code == status
    assert raised.value.request_id.startswith("req_")
    assert raised.value.type
    if code is not None:
        assert raised.value.code == code
    assert raised.value.response.headers.get("retry-after") == (None if wait is None else "2")


@both_ways
async def test_a_page_is_an_error_too(simulator: Simulator, mode: str) -> None:
    simulator.script.replace([Fault(kind="status", status=502)])
    with pytest.raises(openai.InternalServerError) as raised:
        await ask(simulator, mode)
    assert raised.value.status_code == 502


@both_ways
async def test_an_unknown_model_and_a_wrong_request(simulator: Simulator, mode: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(simulator, mode, messages=[])
    assert (raised.value.code, raised.value.param) == ("empty_array", "messages")
    simulator._models = ["openai/other"]
    with pytest.raises(openai.NotFoundError) as missing:
        await ask(simulator, mode)
    assert missing.value.code == "model_not_found"


@both_ways
async def test_broken_streams_are_errors(simulator: Simulator, mode: str) -> None:
    simulator.script.replace([Fault(kind="error_in_stream", times=1)])
    with pytest.raises(openai.APIError, match="The server had an error"):
        await ask_streaming(simulator, mode)
    simulator.script.replace([Fault(kind="cut", times=1)])
    with pytest.raises(openai.APIConnectionError):
        await ask_streaming(simulator, mode)
    simulator.script.replace([Fault(kind="malformed", times=1)])
    with pytest.raises(json.JSONDecodeError):
        await ask_streaming(simulator, mode)
    simulator.script.replace([Fault(kind="reset", times=1)])
    with pytest.raises(openai.APIConnectionError):
        await ask(simulator, mode)


async def test_leaving_a_stream_early_is_seen(simulator: Simulator) -> None:
    simulator.pacing = Pacing(tokens_per_second=100, output_tokens=50_000)
    async with await CLIENT.opened(simulator) as client:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        async with await client.chat.completions.create(**body) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
        await simulator.until(lambda account: account.total.aborted == 1)
    assert 1 <= simulator.account.attempts[0].sent_tokens < 2000


@both_ways
async def test_the_models_list(simulator: Simulator, mode: str) -> None:
    if mode == "async":
        async with await CLIENT.opened(simulator) as client:
            names = [model.id async for model in client.models.list()]
            one = await client.models.retrieve(names[0])
    else:

        def blocking() -> Any:
            with CLIENT.blocking(**CLIENT.settings(simulator)) as client:
                listed = [model.id for model in client.models.list()]
                return listed, client.models.retrieve(listed[0])

        names, one = await anyio.to_thread.run_sync(blocking)
    assert (one.id, one.object) == (names[0], "model")
