"""Anthropic's own client against the simulator: if it is content, the wire format is right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import pytest

from routerd.simulate import Fault, Pacing, Simulator, expected_reasoning, expected_text
from tests.daemon.simulate.own_client import OwnClient

anthropic = pytest.importorskip(
    "anthropic", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)

CLIENT = OwnClient(anthropic.AsyncAnthropic, anthropic.Anthropic, "anthropic")
MODEL = "claude-sonnet-5-5"
SAID = "Describe the lantern."
TOKENS = 60
TEXT = expected_text(MODEL, SAID, TOKENS)
MESSAGES = [{"role": "user", "content": SAID}]
BOTH_TOOLS = [{"role": "user", "content": "Call both tools"}]
TOOLS = [
    {
        "name": name,
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
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
    body = {"model": MODEL, "max_tokens": 4096, "messages": MESSAGES} | more
    return await CLIENT.ask(simulator, mode, lambda client: client.messages.create(**body))


async def ask_streaming(simulator: Simulator, mode: str, **more: Any) -> Any:
    """Call once through the client's own stream helper, which puts the message together."""
    body = {"model": MODEL, "max_tokens": 4096, "messages": MESSAGES} | more
    if mode == "async":
        async with (
            await CLIENT.opened(simulator) as client,
            client.messages.stream(**body) as stream,
        ):
            return await stream.get_final_message()

    def blocking() -> Any:
        with (
            CLIENT.blocking(**CLIENT.settings(simulator)) as client,
            client.messages.stream(**body) as stream,
        ):
            return stream.get_final_message()

    return await anyio.to_thread.run_sync(blocking)


both_ways = pytest.mark.parametrize("mode", ["async", "blocking"])
whole_or_streamed = pytest.mark.parametrize("call", [ask, ask_streaming])


@both_ways
@whole_or_streamed
async def test_text(simulator: Simulator, mode: str, call: Any) -> None:
    message = await call(simulator, mode)
    assert [(block.type, block.text) for block in message.content] == [("text", TEXT)]
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == TOKENS
    assert message.usage.input_tokens == simulator.account.total.input_tokens
    assert simulator.account.total.completed == 1


@both_ways
async def test_the_request_id_is_found(simulator: Simulator, mode: str) -> None:
    assert (await ask(simulator, mode))._request_id.startswith("req_")


@both_ways
@whole_or_streamed
async def test_tools(simulator: Simulator, mode: str, call: Any) -> None:
    message = await call(simulator, mode, messages=BOTH_TOOLS, tools=TOOLS)
    assert message.stop_reason == "tool_use"
    assert [block.name for block in message.content] == ["get_weather", "get_tides"]
    for block in message.content:
        assert isinstance(block.input["city"], str)
        assert isinstance(block.input["days"], int)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "calm"}
        for block in message.content
    ]
    answered = [*BOTH_TOOLS, message.to_param(), {"role": "user", "content": results}]
    end = await call(simulator, mode, messages=answered, tools=TOOLS)
    assert end.content[0].text == expected_text(MODEL, "Call both tools", TOKENS)


@both_ways
@whole_or_streamed
async def test_thinking_and_its_way_back(simulator: Simulator, mode: str, call: Any) -> None:
    thinking = {"type": "adaptive", "display": "summarized"}
    asked: dict[str, Any] = {"thinking": thinking, "tools": TOOLS}
    said = [{"role": "user", "content": "use get_tides"}]
    message = await call(simulator, mode, messages=said, **asked)
    thought, use = message.content
    tokens = message.usage.output_tokens_details.thinking_tokens
    assert thought.thinking == expected_reasoning(MODEL, "use get_tides", tokens)
    assert len(thought.signature) > 300
    assert use.type == "tool_use"
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "calm"}
    answered = [*said, message.to_param(), {"role": "user", "content": [result]}]
    end = await call(simulator, mode, messages=answered, **asked)
    assert [block.type for block in end.content] == ["thinking", "text"]


@both_ways
@whole_or_streamed
async def test_a_pause_goes_on_when_it_is_sent_back(
    simulator: Simulator, mode: str, call: Any
) -> None:
    search: dict[str, Any] = {
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    }
    said = [{"role": "user", "content": "use web_search"}]
    paused = await call(simulator, mode, messages=said, **search)
    assert [block.type for block in paused.content] == ["text", "server_tool_use"]
    assert paused.stop_reason == "pause_turn"
    assert paused.content[1].input == {"query": "tides"}
    answered = [*said, paused.to_param()]
    ended = await call(simulator, mode, messages=answered, **search)
    assert [block.type for block in ended.content] == ["web_search_tool_result", "text"]
    assert ended.stop_reason == "end_turn"
    assert ended.content[0].tool_use_id == paused.content[1].id
    again = [*answered, ended.to_param(), {"role": "user", "content": SAID}]
    assert (await call(simulator, mode, messages=again, **search)).content[0].text == TEXT
    ended.content[0].content[0].encrypted_content += "A"
    with pytest.raises(anthropic.BadRequestError, match="encrypted_content"):
        await call(simulator, mode, messages=again, **search)
    half = [*said, paused.to_param(), {"role": "user", "content": SAID}]
    with pytest.raises(anthropic.BadRequestError, match="without `web_search_tool_result`"):
        await call(simulator, mode, messages=half, **search)


@both_ways
@whole_or_streamed
async def test_the_cache(simulator: Simulator, mode: str, call: Any) -> None:
    text = {"type": "text", "text": "Calm sea. " * 800, "cache_control": {"type": "ephemeral"}}
    first = await call(simulator, mode, system=[text])
    second = await call(simulator, mode, system=[text])
    written = first.usage.cache_creation.ephemeral_5m_input_tokens
    assert written == first.usage.cache_creation_input_tokens > 1024
    assert second.usage.cache_read_input_tokens == written


@both_ways
@whole_or_streamed
async def test_a_structured_answer_and_an_image(simulator: Simulator, mode: str, call: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "number"}},
        "required": ["name", "size"],
        "additionalProperties": False,
    }
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    content = [{"type": "image", "source": source}, {"type": "text", "text": SAID}]
    message = await call(
        simulator,
        mode,
        messages=[{"role": "user", "content": content}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert set(json.loads(message.content[0].text)) == {"name", "size"}


@both_ways
@whole_or_streamed
@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, "BadRequestError", "invalid_request_error"),
        (401, "AuthenticationError", "authentication_error"),
        (402, "PaymentRequiredError", "billing_error"),
        (403, "PermissionDeniedError", "permission_error"),
        (404, "NotFoundError", "not_found_error"),
        (413, "ContentTooLargeError", "request_too_large"),
        (429, "RateLimitError", "rate_limit_error"),
        (500, "InternalServerError", "api_error"),
        (529, "OverloadedError", "overloaded_error"),
    ],
)
async def test_errors(
    simulator: Simulator, mode: str, call: Any, status: int, error: str, kind: str
) -> None:
    wait = 2 if status == 429 else None
    simulator.script.replace([Fault(kind="status", status=status, retry_after=wait)])
    with pytest.raises(anthropic.APIStatusError) as raised:
        await call(simulator, mode)
    assert type(raised.value).__name__ == error
    assert raised.value.status_code == status
    assert raised.value.body["error"]["type"] == kind
    assert raised.value.request_id == raised.value.body["request_id"]
    assert raised.value.response.headers.get("retry-after") == (None if wait is None else "2")


@both_ways
async def test_a_wrong_request(simulator: Simulator, mode: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match="at least one message is required"):
        await ask(simulator, mode, messages=[])


@both_ways
async def test_broken_streams_are_errors(simulator: Simulator, mode: str) -> None:
    simulator.script.replace([Fault(kind="error_in_stream", times=1)])
    with pytest.raises(anthropic.APIStatusError) as raised:
        await ask_streaming(simulator, mode)
    assert raised.value.body["error"]["type"] == "overloaded_error"
    simulator.script.replace([Fault(kind="cut", times=1)])
    # The client does not wrap what its transport raises here.
    with pytest.raises(Exception, match="incomplete chunked read"):
        await ask_streaming(simulator, mode)
    simulator.script.replace([Fault(kind="reset", times=1)])
    with pytest.raises(anthropic.APIConnectionError):
        await ask_streaming(simulator, mode)
    simulator.script.replace([Fault(kind="malformed", times=1)])
    with pytest.raises(json.JSONDecodeError):
        await ask_streaming(simulator, mode)


async def test_leaving_a_stream_early_is_seen(simulator: Simulator) -> None:
    simulator.pacing = Pacing(tokens_per_second=100, output_tokens=50_000)
    async with await CLIENT.opened(simulator) as client:
        body: dict[str, Any] = {"model": MODEL, "max_tokens": 50_000, "messages": MESSAGES}
        async with client.messages.stream(**body) as stream:
            async for event in stream:
                if event.type == "text":
                    break
        await simulator.until(lambda account: account.total.aborted == 1)
    assert 1 <= simulator.account.attempts[0].sent_tokens < 2000


@both_ways
async def test_counting_tokens(simulator: Simulator, mode: str) -> None:
    message = await ask(simulator, mode)

    def blocking() -> Any:
        with CLIENT.blocking(**CLIENT.settings(simulator)) as client:
            return client.messages.count_tokens(model=MODEL, messages=MESSAGES)

    if mode == "async":
        async with await CLIENT.opened(simulator) as client:
            counted = await client.messages.count_tokens(model=MODEL, messages=MESSAGES)
    else:
        counted = await anyio.to_thread.run_sync(blocking)
    assert counted.input_tokens == message.usage.input_tokens


@both_ways
async def test_the_models_list(simulator: Simulator, mode: str) -> None:
    if mode == "async":
        async with await CLIENT.opened(simulator) as client:
            names = [model.id async for model in client.models.list(limit=1)]
            one = await client.models.retrieve(names[0])
    else:

        def blocking() -> Any:
            with CLIENT.blocking(**CLIENT.settings(simulator)) as client:
                listed = [model.id for model in client.models.list(limit=1)]
                return listed, client.models.retrieve(listed[0])

        names, one = await anyio.to_thread.run_sync(blocking)
    assert len(names) == 4
    assert (one.id, one.lifecycle) == (names[0], "active")
