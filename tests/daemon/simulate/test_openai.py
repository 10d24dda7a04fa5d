"""Chat Completions as bytes: what is answered, and what is refused in which words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from routerd.simulate import Pacing, Price, Simulator, count_tokens, expected_text

if TYPE_CHECKING:
    from .conftest import Dialect

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    ],
}
LONG = "The harbour is calm. " * 400


async def test_an_answer_that_is_not_streamed(client: httpx.AsyncClient, openai: Dialect) -> None:
    response = await openai.post(client)
    body = response.json()
    assert set(body) >= {"id", "object", "created", "model", "choices", "usage"}
    assert (body["object"], body["model"]) == ("chat.completion", openai.model)
    assert body["id"].startswith("chatcmpl-")
    (choice,) = body["choices"]
    assert choice["message"]["content"] == expected_text(openai.model, openai.said)
    assert choice["message"]["refusal"] is None
    assert (choice["finish_reason"], choice["index"]) == ("stop", 0)
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-ratelimit-remaining-requests"]


async def test_a_stream(client: httpx.AsyncClient, openai: Dialect) -> None:
    response = await openai.post(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content.endswith(b"data: [DONE]\n\n")
    events = openai.events(response.content)
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [None] * (
        len(events) - 1
    )
    assert events[-1]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert not any("usage" in event for event in events)
    assert all("obfuscation" in event for event in events)
    assert openai.text_of_stream(response.content) == expected_text(openai.model, openai.said)


async def test_a_stream_tells_its_usage_where_asked(
    client: httpx.AsyncClient, openai: Dialect
) -> None:
    options = {"include_usage": True, "include_obfuscation": False}
    response = await openai.post(client, stream=True, stream_options=options)
    *events, last = openai.events(response.content)
    assert all(event["usage"] is None for event in events)
    assert last["choices"] == []
    assert last["usage"] == (await openai.post(client)).json()["usage"]
    assert not any("obfuscation" in event for event in [*events, last])


async def test_tool_calls_in_parallel(client: httpx.AsyncClient, openai: Dialect) -> None:
    asked: dict[str, Any] = {"said": "use both tools", "tools": [WEATHER, TIME]}
    choice = (await openai.post(client, **asked)).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    whole = [(one["type"], one["function"]) for one in choice["message"]["tool_calls"]]
    streamed: dict[int, dict[str, Any]] = {}
    for event in openai.events((await openai.post(client, stream=True, **asked)).content):
        for part in event["choices"][0]["delta"].get("tool_calls", ()):
            if part["index"] in streamed:
                # Name and id come once.
                assert set(part) == {"index", "function"}
                assert set(part["function"]) == {"arguments"}
                streamed[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
            else:
                streamed[part["index"]] = part
    assert [(one["type"], one["function"]) for one in streamed.values()] == whole
    assert [one["function"]["name"] for one in streamed.values()] == ["get_weather", "get_time"]
    assert len({one["id"] for one in streamed.values()}) == 2
    assert isinstance(json.loads(whole[0][1]["arguments"])["city"], str)
    alone = await openai.post(client, **asked, parallel_tool_calls=False)
    assert len(alone.json()["choices"][0]["message"]["tool_calls"]) == 1


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "get_time"}}],
                },
            },
            ["get_time"],
        ),
    ],
)
async def test_the_choice_of_tools(
    client: httpx.AsyncClient, openai: Dialect, choice: Any, called: list[str]
) -> None:
    response = await openai.post(client, tools=[WEATHER, TIME], tool_choice=choice)
    message = response.json()["choices"][0]["message"]
    assert [one["function"]["name"] for one in message.get("tool_calls", ())] == called


async def test_a_tool_round_trip_ends_in_text(client: httpx.AsyncClient, openai: Dialect) -> None:
    messages = [
        {"role": "user", "content": "use get_weather"},
        CALLED,
        {"role": "tool", "tool_call_id": "call_1", "content": "22 C"},
    ]
    response = await openai.post(client, messages=messages, tools=[WEATHER])
    text = openai.text_of_body(response.json())
    assert text == expected_text(openai.model, "use get_weather")


async def test_a_structured_answer_fits_its_schema(
    client: httpx.AsyncClient, openai: Dialect
) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"type": "integer"}},
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    whole = await openai.post(client, response_format=wanted)
    filled = json.loads(openai.text_of_body(whole.json()))
    assert filled["colour"] in {"red", "blue"}
    assert isinstance(filled["count"], int)
    streamed = await openai.post(client, stream=True, response_format=wanted)
    assert json.loads(openai.text_of_stream(streamed.content)) == filled
    loose = await openai.post(client, said="as json", response_format={"type": "json_object"})
    assert isinstance(json.loads(openai.text_of_body(loose.json())), dict)


async def test_the_limit_and_stops(openai: Dialect) -> None:
    whole = expected_text(openai.model, openai.said, 30)
    async with (
        Simulator(pacing=Pacing(output_tokens=30)) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        for name in ("max_tokens", "max_completion_tokens"):
            choice = (await openai.post(client, stream=False, **{name: 4})).json()["choices"][0]
            assert choice["finish_reason"] == "length"
            assert choice["message"]["content"] == expected_text(openai.model, openai.said, 4)
        for stop in (whole[9:12], [whole[9:12], "never"]):
            choice = (await openai.post(client, stop=stop)).json()["choices"][0]
            assert choice["finish_reason"] == "stop"
            assert choice["message"]["content"] == whole[: whole.index(whole[9:12])]


async def test_reasoning_is_hidden_and_counted(client: httpx.AsyncClient, openai: Dialect) -> None:
    thinking = (await openai.post(client, reasoning_effort="high")).json()
    plain = (await openai.post(client, reasoning_effort="none")).json()
    hidden = thinking["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert hidden > 0
    assert plain["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    spent = thinking["usage"]["completion_tokens"] - hidden
    assert spent == plain["usage"]["completion_tokens"]
    assert openai.text_of_body(thinking) == openai.text_of_body(plain)
    cut = (await openai.post(client, reasoning_effort="high", max_completion_tokens=5)).json()
    assert (cut["choices"][0]["message"]["content"], cut["choices"][0]["finish_reason"]) == (
        "",
        "length",
    )


async def test_logprobs(client: httpx.AsyncClient, openai: Dialect) -> None:
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 3}
    whole = (await openai.post(client, **asked)).json()["choices"][0]
    entries = whole["logprobs"]["content"]
    assert "".join(one["token"] for one in entries) == whole["message"]["content"]
    for entry in entries:
        assert bytes(entry["bytes"]).decode() == entry["token"]
        likely = [one["logprob"] for one in entry["top_logprobs"]]
        assert len(likely) == 3
        assert likely == sorted(likely, reverse=True)
        assert likely[0] == entry["logprob"] <= 0
    streamed = await openai.post(client, stream=True, **asked)
    again = [
        entry
        for event in openai.events(streamed.content)
        for entry in (event["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    assert again == entries


async def test_a_long_prompt_is_cached_the_second_time(openai: Dialect) -> None:
    price = Price(input=1000, output=0, cache_write=2000)
    async with (
        Simulator(prices={"sells-writes": price}) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        seen = [
            (await openai.post(client, said=LONG, model=model)).json()["usage"]
            for model in ("m", "m", "sells-writes", "sells-writes")
        ]
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in seen]
    assert cached[0] == cached[2] == 0
    assert cached[1] == cached[3] == seen[1]["prompt_tokens"] // 128 * 128
    written = [usage["prompt_tokens_details"].get("cache_write_tokens") for usage in seen]
    assert written == [None, None, cached[3], None]


async def test_images_are_taken_and_counted_alike(
    client: httpx.AsyncClient, openai: Dialect
) -> None:
    def content(url: str) -> list[dict[str, Any]]:
        return [
            {"type": "text", "text": "what is"},
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": "this?"},
        ]

    used = []
    for url in ("https://example.com/a.png", f"data:image/png;base64,{'A' * 5000}"):
        body = (await openai.post(client, said=content(url))).json()
        assert openai.text_of_body(body) == expected_text(openai.model, "what is\nthis?")
        used.append(body["usage"]["prompt_tokens"])
    assert used[0] == used[1]
    assert 256 < used[0] < 300


async def test_the_prompt_is_counted_by_its_bytes(
    client: httpx.AsyncClient, openai: Dialect
) -> None:
    used = (await openai.post(client, said="abcd" * 100)).json()["usage"]["prompt_tokens"]
    wrapped = '{"role":"user","content":"' + "abcd" * 100 + '"}'
    assert used == count_tokens(wrapped)


def refusals() -> list[Any]:
    user = {"role": "user", "content": "hi"}
    tool = {"role": "tool", "tool_call_id": "call_1", "content": "22"}
    return [
        ({"model": ""}, None, None),
        ({"messages": None}, "missing_required_parameter", "messages"),
        ({"messages": []}, "empty_array", "messages"),
        ({"messages": "hi"}, "invalid_type", "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "robot", "content": ""}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user"}]}, None, "messages[0].content"),
        ({"messages": [user, tool]}, None, "messages.[1].role"),
        ({"messages": [user, CALLED]}, None, "messages"),
        ({"messages": [user, CALLED, user, tool]}, None, "messages"),
        (
            {"messages": [user, CALLED, {"role": "tool", "content": "22"}]},
            "missing_required_parameter",
            "messages[2].tool_call_id",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]},
            "invalid_value",
            "messages[0].content[0].type",
        ),
        ({"n": 2}, "unsupported_value", "n"),
        ({"stream_options": {"include_usage": True}}, None, "stream_options"),
        ({"reasoning_effort": "huge"}, "invalid_value", "reasoning_effort"),
        ({"max_tokens": 0}, "integer_below_min_value", "max_tokens"),
        ({"top_logprobs": 2}, None, "top_logprobs"),
        ({"tool_choice": "required"}, None, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "any"}, "invalid_value", "tool_choice"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "function", "function": {"name": "other"}},
            },
            None,
            "tool_choice",
        ),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
            "invalid_value",
            "tool_choice",
        ),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function"}]},
                },
            },
            "invalid_value",
            "tool_choice.allowed_tools.tools",
        ),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].function"),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
        ({"response_format": {"type": "json_object"}}, None, "messages"),
        (
            {"response_format": {"type": "json_schema"}},
            "missing_required_parameter",
            "response_format.json_schema",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}},
                }
            },
            None,
            "response_format",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "integer", "minimum": "a"}},
                }
            },
            "invalid_function_parameters",
            None,
        ),
    ]


@pytest.mark.parametrize(("more", "code", "param"), refusals())
async def test_a_request_that_is_wrong_is_refused(
    simulator: Simulator,
    client: httpx.AsyncClient,
    openai: Dialect,
    more: dict[str, Any],
    code: str | None,
    param: str | None,
) -> None:
    refused = await openai.post(client, **more)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert simulator.account.total.refused == 1


async def test_what_is_no_json_is_refused(client: httpx.AsyncClient, openai: Dialect) -> None:
    for content in (b"", b"{", b"\xff{}"):
        refused = await client.post(openai.path, headers=openai.headers, content=content)
        assert refused.status_code == 400
        assert "could not parse the JSON body" in refused.json()["error"]["message"]


async def test_a_key_is_needed_and_never_repeated(
    simulator: Simulator, client: httpx.AsyncClient, openai: Dialect
) -> None:
    for given in ({}, {"authorization": "Bearer"}, {"authorization": "Basic hush-hush"}):
        refused = await client.post(openai.path, headers=given, json=openai.body(stream=False))
        assert refused.status_code == 401
        assert "hush" not in refused.text
        assert refused.json()["error"]["message"].startswith("You didn't provide an API key.")
    assert simulator.account.total.refused == 3


async def test_the_models_list(client: httpx.AsyncClient, openai: Dialect) -> None:
    listed = (await client.get("/openai/v1/models", headers=openai.headers)).json()
    assert listed["object"] == "list"
    one = listed["data"][0]
    assert set(one) == {"id", "object", "created", "owned_by"}
    answered = await client.get(f"/openai/v1/models/{one['id']}", headers=openai.headers)
    assert answered.json() == one
    anything = await client.get("/openai/v1/models/any-name", headers=openai.headers)
    assert anything.json()["id"] == "any-name"
