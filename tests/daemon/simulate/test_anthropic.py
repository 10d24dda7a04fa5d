"""Messages as bytes: what is answered, and what is refused in which words."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from routerd.simulate import Pacing, Price, Simulator, expected_reasoning, expected_text

if TYPE_CHECKING:
    from .conftest import Dialect

WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TIME = {"name": "get_time", "input_schema": {"type": "object"}}
USER = {"role": "user", "content": "use get_weather"}
CALLED = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}],
}
RESULT = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "22 C"}],
}
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
LONG = "The harbour is calm. " * 400


async def test_an_answer_that_is_not_streamed(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    response = await anthropic.post(client)
    body = response.json()
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", anthropic.model)
    assert body["id"].startswith("msg_01")
    assert body["content"] == [
        {"type": "text", "text": expected_text(anthropic.model, anthropic.said)}
    ]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    usage = body["usage"]
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (0, 0)
    assert usage["input_tokens"] > 0
    assert response.headers["request-id"].startswith("req_01")
    assert response.headers["anthropic-ratelimit-requests-reset"].endswith("Z")


async def test_a_stream(client: httpx.AsyncClient, anthropic: Dialect) -> None:
    response = await anthropic.post(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = anthropic.events(response.content)
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[3:-3]) == {"content_block_delta"}
    # The event line and the type inside say the same.
    lines = [line for line in response.content.split(b"\n") if line.startswith(b"event: ")]
    assert [line.removeprefix(b"event: ").decode() for line in lines] == kinds
    start, end = events[0]["message"], events[-2]
    assert (start["content"], start["stop_reason"]) == ([], None)
    whole = (await anthropic.post(client)).json()
    assert start["usage"] | end["usage"] == whole["usage"]
    assert end["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    text = expected_text(anthropic.model, anthropic.said)
    assert anthropic.text_of_stream(response.content) == text


async def test_tool_calls_in_parallel(client: httpx.AsyncClient, anthropic: Dialect) -> None:
    asked: dict[str, Any] = {"said": "use both tools", "tools": [WEATHER, TIME]}
    whole = (await anthropic.post(client, **asked)).json()
    assert whole["stop_reason"] == "tool_use"
    assert [(one["type"], one["name"]) for one in whole["content"]] == [
        ("tool_use", "get_weather"),
        ("tool_use", "get_time"),
    ]
    assert isinstance(whole["content"][0]["input"]["city"], str)
    started: list[dict[str, Any]] = []
    texts: list[list[str]] = []
    for event in anthropic.events((await anthropic.post(client, stream=True, **asked)).content):
        if event["type"] == "content_block_start":
            assert event["index"] == len(started)
            started.append(event["content_block"])
            texts.append([])
        elif event["type"] == "content_block_delta":
            texts[event["index"]].append(event["delta"]["partial_json"])
    assert [one["input"] for one in started] == [{}, {}]
    assert [one[0] for one in texts] == ["", ""]
    assert [json.loads("".join(one)) for one in texts] == [one["input"] for one in whole["content"]]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    alone = await anthropic.post(client, **asked, tool_choice=choice)
    assert len(alone.json()["content"]) == 1


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "none"}, []),
        ({"type": "auto"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
    ],
)
async def test_the_choice_of_tools(
    client: httpx.AsyncClient, anthropic: Dialect, choice: Any, called: list[str]
) -> None:
    response = await anthropic.post(client, tools=[WEATHER, TIME], tool_choice=choice)
    names = [one["name"] for one in response.json()["content"] if one["type"] == "tool_use"]
    assert names == called


async def test_a_call_cut_by_the_limit_has_no_input(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    response = await anthropic.post(client, said="use get_weather", tools=[WEATHER], max_tokens=1)
    assert response.json()["stop_reason"] == "max_tokens"
    assert response.json()["content"][0]["input"] == {}


async def test_a_tool_round_trip_ends_in_text(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    response = await anthropic.post(client, messages=[USER, CALLED, RESULT], tools=[WEATHER])
    text = anthropic.text_of_body(response.json())
    assert text == expected_text(anthropic.model, "use get_weather")


async def test_thinking_is_shown_signed_and_counted(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    for thinking in (ADAPTIVE, {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}):
        whole = (await anthropic.post(client, thinking=thinking)).json()
        thought, text = whole["content"]
        tokens = whole["usage"]["output_tokens_details"]["thinking_tokens"]
        assert thought["thinking"] == expected_reasoning(anthropic.model, anthropic.said, tokens)
        assert text["text"] == expected_text(anthropic.model, anthropic.said)
        streamed = await anthropic.post(client, stream=True, thinking=thinking)
        deltas = [
            event["delta"]
            for event in anthropic.events(streamed.content)
            if event["type"] == "content_block_delta" and event["index"] == 0
        ]
        assert "".join(one["thinking"] for one in deltas[:-1]) == thought["thinking"]
        assert deltas[-1] == {"type": "signature_delta", "signature": thought["signature"]}


async def test_effort_sets_how_long_it_thinks(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    used = [
        (await anthropic.post(client, thinking=ADAPTIVE, output_config={"effort": effort})).json()[
            "usage"
        ]["output_tokens_details"]["thinking_tokens"]
        for effort in ("low", "medium", "high", "xhigh", "max")
    ]
    assert all(less < more for less, more in pairwise(used))


async def test_thinking_left_out_keeps_its_signature(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    shown = (await anthropic.post(client, thinking=ADAPTIVE)).json()
    omitted = (await anthropic.post(client, thinking=thinking)).json()
    assert shown["content"][0]["thinking"]
    for model, told in (("claude-sonnet-5-5", False), ("claude-sonnet-4-6", True)):
        untold = await anthropic.post(client, model=model, thinking={"type": "adaptive"})
        assert bool(untold.json()["content"][0]["thinking"]) == told
    assert omitted["content"][0] == shown["content"][0] | {"thinking": ""}
    assert omitted["usage"]["output_tokens"] == shown["usage"]["output_tokens"]
    streamed = await anthropic.post(client, stream=True, thinking=thinking)
    kinds = [
        event["delta"]["type"]
        for event in anthropic.events(streamed.content)
        if event["type"] == "content_block_delta" and event["index"] == 0
    ]
    assert kinds == ["signature_delta"]


async def test_thinking_sent_back_must_be_unchanged(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    asked: dict[str, Any] = {"tools": [WEATHER], "thinking": ADAPTIVE}
    answer = (await anthropic.post(client, said="use get_weather", **asked)).json()["content"]
    assert [one["type"] for one in answer] == ["thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": answer[1]["id"], "content": "22"}

    async def second_turn(**changed: str) -> httpx.Response:
        messages = [
            USER,
            {"role": "assistant", "content": [answer[0] | changed, answer[1]]},
            {"role": "user", "content": [result]},
        ]
        return await anthropic.post(client, messages=messages, **asked)

    assert (await second_turn()).status_code == 200
    assert (await second_turn(thinking="")).status_code == 200
    for changed in ({"thinking": "other"}, {"signature": "abc"}, {"thinking": "", "signature": ""}):
        refused = await second_turn(**changed)
        assert refused.status_code == 400
        assert "Invalid `signature` in `thinking` block" in refused.json()["error"]["message"]


async def test_a_structured_answer_fits_its_schema(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "schema": schema}
    for asked in ({"output_config": {"format": wanted}}, {"output_format": wanted}):
        body = (await anthropic.post(client, **asked)).json()
        assert json.loads(anthropic.text_of_body(body))["colour"] in {"red", "blue"}


async def test_the_limit_and_stops(anthropic: Dialect) -> None:
    whole = expected_text(anthropic.model, anthropic.said, 30)
    async with (
        Simulator(pacing=Pacing(output_tokens=30)) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        cut = (await anthropic.post(client, max_tokens=4)).json()
        assert cut["stop_reason"] == "max_tokens"
        text = expected_text(anthropic.model, anthropic.said, 4)
        assert anthropic.text_of_body(cut) == text
        stop = whole[9:14]
        stopped = (await anthropic.post(client, stop_sequences=["never", stop])).json()
        assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", stop)
        assert anthropic.text_of_body(stopped) == whole[: whole.index(stop)]


@pytest.mark.parametrize(
    ("ttl", "kept"),
    [(None, "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens")],
)
async def test_marked_prompts_are_written_and_then_read(
    anthropic: Dialect, ttl: str | None, kept: str
) -> None:
    mark = {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})
    system = [{"type": "text", "text": LONG, "cache_control": mark}]
    price = Price(
        input=10_000_000,
        output=0,
        cache_read=1_000_000,
        cache_write=20_000_000,
        cache_write_long=40_000_000,
    )
    async with (
        Simulator(prices={anthropic.model: price}) as simulator,
        httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client,
    ):
        first, second = [
            (await anthropic.post(client, system=system, said=said)).json()["usage"]
            for said in ("one", "two")
        ]
        bills = [one.billed_nanodollars for one in simulator.account.attempts]
    written = first["cache_creation_input_tokens"]
    assert written > 1024
    assert first["cache_creation"][kept] == written
    assert (first["cache_read_input_tokens"], second["cache_creation_input_tokens"]) == (0, 0)
    assert second["cache_read_input_tokens"] == written
    assert first["input_tokens"] == second["input_tokens"] < 100
    write_price = 40 if ttl else 20
    assert bills == [
        written * write_price + first["input_tokens"] * 10,
        written + second["input_tokens"] * 10,
    ]


async def test_a_mark_for_the_whole_request(client: httpx.AsyncClient, anthropic: Dialect) -> None:
    mark = {"type": "ephemeral"}
    used = [
        (await anthropic.post(client, said=LONG, cache_control=mark)).json()["usage"]
        for _ in range(2)
    ]
    assert used[0]["cache_creation_input_tokens"] == used[1]["cache_read_input_tokens"] > 1024
    unmarked = (await anthropic.post(client, said=LONG)).json()["usage"]
    assert unmarked["cache_read_input_tokens"] == 0


async def test_images_and_documents_are_taken(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": "A" * 5000}
    said = [
        {"type": "image", "source": image},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "text", "text": "what is this?"},
    ]
    body = (await anthropic.post(client, said=said)).json()
    assert anthropic.text_of_body(body) == expected_text(anthropic.model, "what is this?")
    assert 512 < body["usage"]["input_tokens"] < 600
    shown = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [said[0]]}
    messages = [USER, CALLED, {"role": "user", "content": [shown]}]
    assert (await anthropic.post(client, messages=messages)).status_code == 200


async def test_turns_of_one_role_are_joined(client: httpx.AsyncClient, anthropic: Dialect) -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "user", "content": [{"type": "text", "text": "two"}]},
    ]
    body = (await anthropic.post(client, messages=messages)).json()
    assert anthropic.text_of_body(body) == expected_text(anthropic.model, "one\ntwo")


async def test_counting_tokens_agrees_with_the_usage(
    simulator: Simulator, client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    body = anthropic.body(stream=False)
    del body["max_tokens"], body["stream"]
    counted = await client.post(
        f"{anthropic.path}/count_tokens", headers=anthropic.headers, json=body
    )
    used = (await anthropic.post(client)).json()["usage"]["input_tokens"]
    assert counted.json() == {"input_tokens": used}
    assert simulator.account.probes == {"anthropic": 1}


def refusals() -> list[Any]:
    def said(*content: Any) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": list(content)}]}

    mark = {"cache_control": {"type": "ephemeral"}}
    long_mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    text = {"type": "text", "text": "hi"}
    thinks = {"type": "enabled", "budget_tokens": 1024}
    return [
        ({"model": None}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "many"}, "max_tokens: "),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content: "),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role: "),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'must use the "user" role'),
        ({"messages": [USER, {"role": "assistant", "content": "x "}]}, "trailing whitespace"),
        ({"messages": [{"role": "user", "content": ""}]}, "must have non-empty content"),
        (said(text, {"type": "text", "text": ""}), "text content blocks must be non-empty"),
        (said({"type": "image"}), "messages.0.content.0.image.source: Field required"),
        (said({"type": "magic"}), "Input tag 'magic' found using 'type'"),
        (said(CALLED["content"][0]), "`tool_use` blocks are not permitted in `user` messages"),
        ({"messages": [USER, CALLED]}, "`tool_use` ids were found without `tool_result` blocks"),
        ({"messages": [USER, CALLED, USER]}, "without `tool_result` blocks immediately after"),
        ({"messages": [RESULT]}, "unexpected `tool_use_id` found in `tool_result` blocks"),
        (
            {
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "a:1", "name": "x", "input": {}}],
                    },
                ]
            },
            "String should match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"stop_sequences": [" "]}, "must contain non-whitespace"),
        ({"thinking": {"type": "loud"}}, "thinking: Input tag 'loud'"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        ({"thinking": thinks | {"budget_tokens": 5}}, "greater than or equal to 1024"),
        ({"thinking": thinks, "max_tokens": 1024}, "`max_tokens` must be greater than"),
        ({"thinking": thinks, "temperature": 0.5}, "`temperature` may only be set to 1"),
        (
            {"thinking": thinks, "tools": [WEATHER], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        ({"output_config": {"effort": "huge"}}, "Supported levels: low, medium, high"),
        ({"tool_choice": {"type": "any"}}, "only be specified while providing tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "required"}}, "Input tag 'required'"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "'x' not found"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            "'additionalProperties' must be explicitly set to false",
        ),
        ({"output_format": {"type": "json", "schema": {}}}, "Input should be 'json_schema'"),
        ({"system": [text | mark] * 5}, "A maximum of 4 blocks with cache_control"),
        (
            {"system": [text | mark, text | long_mark]},
            "a ttl='1h' cache_control block must not come after a ttl='5m'",
        ),
        ({"cache_control": {"type": "ephemeral", "ttl": "2d"}}, "cache_control: "),
        (
            {
                "said": "get_weather",
                "tools": [{"name": "get_weather", "input_schema": {"properties": 3}}],
            },
            "input_schema: JSON schema is invalid",
        ),
    ]


@pytest.mark.parametrize(("more", "message"), refusals())
async def test_a_request_that_is_wrong_is_refused(
    simulator: Simulator,
    client: httpx.AsyncClient,
    anthropic: Dialect,
    more: dict[str, Any],
    message: str,
) -> None:
    refused = await anthropic.post(client, **more)
    body = refused.json()
    assert (refused.status_code, body["type"]) == (400, "error")
    assert body["error"]["type"] == "invalid_request_error"
    assert message in body["error"]["message"]
    assert body["request_id"] == refused.headers["request-id"]
    assert simulator.account.total.refused == 1


async def test_the_newer_version_takes_no_sampling_parameters(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    for version, status in (("2023-06-01", 200), ("2026-10-21", 400)):
        anthropic.headers["anthropic-version"] = version
        for name, value in (("temperature", 1.0), ("top_p", 0.9), ("top_k", 5)):
            assert (
                await anthropic.post(client, stream=False, **{name: value})
            ).status_code == status


async def test_a_key_and_a_version_are_needed(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    body = anthropic.body(stream=False)
    version = {"anthropic-version": "2023-06-01"}
    cases: list[tuple[dict[str, str], int]] = [
        (version, 401),
        ({**version, "authorization": "Basic abc"}, 401),
        ({**version, "x-api-key": "k"}, 200),
        ({**version, "authorization": "Bearer k"}, 200),
        ({"x-api-key": "k"}, 400),
        ({"x-api-key": "k", "anthropic-version": "1999-01-01"}, 400),
    ]
    for headers, status in cases:
        answered = await client.post(anthropic.path, headers=headers, json=body)
        assert answered.status_code == status
        if status == 401:
            assert answered.json()["error"]["type"] == "authentication_error"


async def test_the_models_list_comes_in_pages(
    client: httpx.AsyncClient, anthropic: Dialect
) -> None:
    async def page(**query: str) -> dict[str, Any]:
        answered = await client.get("/anthropic/v1/models", headers=anthropic.headers, params=query)
        listed: dict[str, Any] = answered.json()
        return listed

    whole = await page()
    assert whole["has_more"] is False
    one = whole["data"][0]
    assert (one["type"], one["lifecycle"], one["retires_at"]) == ("model", "active", None)
    first = await page(limit="1")
    assert (first["has_more"], first["data"]) == (True, [one])
    second = await page(limit="1", after_id=first["last_id"])
    assert second["data"] == [whole["data"][1]]
    answered = await client.get(f"/anthropic/v1/models/{one['id']}", headers=anthropic.headers)
    assert answered.json() == one
