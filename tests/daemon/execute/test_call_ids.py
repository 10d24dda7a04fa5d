"""A conversation whose servers counted their calls anew, on its way to another vendor."""

from __future__ import annotations

import pytest

from routerd.providers.call_ids import SAME_ID_NOTE
from routerd.providers.registry import build_adapter
from routerd_proto.content import Message, Reasoning, Tool, ToolCall, ToolResult
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Vendor, answer, failing

TURN = [
    Message("assistant", [ToolCall("call_0", "find")]),
    Message("tool", [ToolResult("call_0", "found")]),
]


async def test_calls_of_one_id_are_told_apart_on_the_wire_and_noted() -> None:
    async with Vendor(answer("Hello")) as vendor:
        run = await Run(vendor.target(), messages=[Message("user", "go"), *TURN, *TURN]).go()
    assert run.sink.text == "Hello"
    _, first, its_result, second, its_result_too = vendor.requests[0]["messages"]
    assert [turn["tool_calls"][0]["id"] for turn in (first, second)] == ["call_0", "call_0_2"]
    results = (its_result, its_result_too)
    assert [result["tool_call_id"] for result in results] == ["call_0", "call_0_2"]
    assert run.attempts[0].notes == [SAME_ID_NOTE]


ABORTED = [
    Message("user", "go"),
    Message("assistant", [ToolCall("call_0", "find"), ToolCall("call_1", "look")]),
    Message("tool", [ToolResult("call_0", "found")]),
    Message("user", "never mind"),
]


@pytest.mark.parametrize(
    ("adapter", "dialect"),
    [
        ("openai", "openai"),
        ("openai", "azure"),
        ("openai", "mistral"),
        ("openai", "deepseek"),
        ("openai", "moonshot"),
        ("openai", "google"),
        ("openai-responses", "openai"),
        ("openai-responses", "azure"),
        ("anthropic", None),
        ("gemini", None),
        ("bedrock", None),
    ],
)
async def test_a_call_without_a_result_is_refused_before_it_is_sent(
    adapter: str, dialect: str | None
) -> None:
    strict = build_adapter(adapter, dialect)
    async with (
        Vendor(name="first", adapter=strict) as first,
        Vendor(name="second", adapter=strict) as second,
    ):
        run = await Run(
            first.target(), second.target(), messages=ABORTED, tools=[Tool("find")]
        ).go()
    assert (first.requests, second.requests) == ([], [])
    assert not any(attempt.sent for attempt in run.attempts)
    assert (run.error.code, run.error.blame) == ("invalid_request", "caller")
    assert "'call_1' of 'look' has no result" in run.error.message
    assert "add a tool_result" in run.error.message
    assert "call_0" not in run.error.message


@pytest.mark.parametrize("dialect", ["compatible", "ollama", "vllm", "llamacpp"])
async def test_a_server_that_may_take_it_is_asked_in_place_of_one_that_does_not(
    dialect: str,
) -> None:
    async with (
        Vendor(name="first", adapter=build_adapter("openai")) as first,
        Vendor(answer("Hello"), name="own", adapter=build_adapter("openai", dialect)) as own,
    ):
        run = await Run(first.target(), own.target(), messages=ABORTED).go()
    assert first.requests == []
    assert run.sink.text == "Hello"
    assert [call["id"] for call in own.requests[0]["messages"][1]["tool_calls"]] == [
        "call_0",
        "call_1",
    ]


async def test_a_call_whose_id_was_used_before_is_named_by_it() -> None:
    twice = [
        Message("user", "hi"),
        Message("assistant", [ToolCall("a", "look")]),
        Message("user", [ToolResult("a", "seen")]),
        Message("assistant", [ToolCall("a", "look")]),
        Message("user", "never mind"),
    ]
    async with Vendor(name="first", adapter=build_adapter("openai")) as vendor:
        run = await Run(vendor.target(), messages=twice, tools=[Tool("look")]).go()
    assert "the tool call 'a' of 'look' has no result" in run.error.message


async def test_an_answer_that_paused_needs_no_results_of_its_calls_yet() -> None:
    paused = [
        *ABORTED[:1],
        Message(
            "assistant",
            [ToolCall("call_1", "look"), Reasoning("", "anthropic", {"on": "pause"})],
        ),
    ]
    async with Vendor(failing(400), name="first", adapter=build_adapter("anthropic")) as vendor:
        await Run(vendor.target(), messages=paused, tools=[Tool("look")]).go()
    assert len(vendor.requests) == 1


async def test_where_calls_are_told_in_words_none_needs_a_result() -> None:
    async with Vendor(failing(400), name="first", adapter=build_adapter("bedrock")) as vendor:
        await Run(vendor.target(), messages=ABORTED).go()
    assert "It gave no answer." in str(vendor.requests[0]["messages"])
