"""The habits of simulated servers that speak OpenAI's format, on the wire itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.simulate import Simulator, expected_reasoning, expected_text

SAID = "How is the harbour today?"
USER = {"role": "user", "content": SAID}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": CITY}}]
PLACES = {
    "mistral": "/mistral/v1",
    "deepseek": "/deepseek",
    "groq": "/groq/openai/v1",
    "openrouter": "/openrouter/api/v1",
    "xai": "/xai/v1",
}
FIELDS = {
    "deepseek": "reasoning_content",
    "groq": "reasoning",
    "openrouter": "reasoning",
    "xai": "reasoning_content",
}
every_member = pytest.mark.parametrize("name", PLACES)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        Simulator(vendors=[*PLACES]) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as opened,
    ):
        yield opened


async def post(client: httpx.AsyncClient, name: str, **more: Any) -> httpx.Response:
    body = {"model": "m-1", "messages": [USER], **more}
    headers = {"authorization": "Bearer test"}
    return await client.post(f"{PLACES[name]}/chat/completions", headers=headers, json=body)


async def streamed(
    client: httpx.AsyncClient, name: str, **more: Any
) -> tuple[str, list[dict[str, Any]]]:
    """Return a whole stream, and its chunks."""
    answer = await post(client, name, stream=True, **more)
    lines = [line for line in answer.text.split("\n") if line.startswith("data: {")]
    return answer.text, [json.loads(line[6:]) for line in lines]


@every_member
async def test_where_the_usage_is_unasked(client: httpx.AsyncClient, name: str) -> None:
    _, chunks = await streamed(client, name)
    finished = [bool(chunk["choices"][0]["finish_reason"]) for chunk in chunks]
    told = [chunk.get("usage") is not None for chunk in chunks]
    after = name == "openrouter"
    assert finished == [False] * (len(chunks) - 1 - after) + [True] * (1 + after)
    assert told == [False] * (len(chunks) - 1) + [name != "xai"]
    assert ("x_groq" in chunks[-1]) == (name == "groq")


@every_member
async def test_where_the_reasoning_is(client: httpx.AsyncClient, name: str) -> None:
    whole = (await post(client, name, reasoning_effort="low")).json()["choices"][0]["message"]
    _, chunks = await streamed(client, name, reasoning_effort="low")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    thought, text = expected_reasoning("m-1", SAID, 16), expected_text("m-1", SAID)
    if name == "mistral":
        parts = [part for one in deltas for part in one.get("content") or () if "type" in part]
        pieces = [piece["text"] for part in parts for piece in part["thinking"]]
        assert whole["content"] == [
            {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
            {"type": "text", "text": text},
        ]
    else:
        pieces = [one[FIELDS[name]] for one in deltas if FIELDS[name] in one]
        assert (whole[FIELDS[name]], whole["content"]) == (thought, text)
        details = [detail["text"] for one in deltas for detail in one.get("reasoning_details", ())]
        assert details == (pieces if name == "openrouter" else [])
    assert "".join(pieces) == thought


async def test_who_thinks_unasked(client: httpx.AsyncClient) -> None:
    for name in PLACES:
        for more in ({}, {"thinking": {"type": "disabled"}}):
            usage = (await post(client, name, **more)).json()["usage"]
            details = usage.get("completion_tokens_details", {"reasoning_tokens": 0})
            assert bool(details["reasoning_tokens"]) == (name == "deepseek" and not more)


async def test_what_counts_beside_the_completion(client: httpx.AsyncClient) -> None:
    for name in PLACES:
        usage = (await post(client, name, reasoning_effort="low")).json()["usage"]
        beside = usage["total_tokens"] - usage["prompt_tokens"] - usage["completion_tokens"]
        assert beside == (16 if name == "xai" else 0)


@every_member
async def test_comments_and_who_speaks(client: httpx.AsyncClient, name: str) -> None:
    text, chunks = await streamed(client, name)
    comment = {"deepseek": ": keep-alive\n\n", "openrouter": ": OPENROUTER PROCESSING\n\n"}
    assert text.startswith(comment.get(name, "data: "))
    speaking = sum("role" in chunk["choices"][0]["delta"] for chunk in chunks)
    assert speaking == (len(chunks) if name == "openrouter" else 1)
    assert "obfuscation" not in text


@every_member
async def test_how_calls_are_streamed(client: httpx.AsyncClient, name: str) -> None:
    _, chunks = await streamed(client, name, tools=TOOLS, tool_choice="required")
    calls = [
        call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]
    whole = name == "mistral"
    assert (len(calls) == 1) == whole
    assert (len(calls[0]["id"]) == 9) == whole
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert isinstance(json.loads(arguments)["city"], str)


@every_member
async def test_what_only_some_refuse(client: httpx.AsyncClient, name: str) -> None:
    call = {"id": "call_1", "type": "function"} | {
        "function": {"name": "get_weather", "arguments": "{}"}
    }
    result = {"role": "tool", "tool_call_id": "call_1", "content": "calm"}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"messages": [USER, asked, result]}, {"mistral", "deepseek"}),
        ({"messages": [USER, asked | {"reasoning_content": ""}, result]}, {"mistral"}),
        ({"messages": [USER, {"role": "assistant", "content": [thought]}, USER]},
         {*PLACES} - {"mistral"}),
        ({"tools": TOOLS, "tool_choice": "any"}, {*PLACES} - {"mistral"}),
    ]  # fmt: skip
    for more, refusing in cases:
        answer = await post(client, name, **more)
        assert answer.status_code == (400 if name in refusing else 200)


@every_member
async def test_its_models(client: httpx.AsyncClient, name: str) -> None:
    headers = {"authorization": "Bearer test"}
    [listed] = (await client.get(f"{PLACES[name]}/models", headers=headers)).json()["data"]
    one = await client.get(f"{PLACES[name]}/models/{listed['id']}", headers=headers)
    assert one.json() == listed
