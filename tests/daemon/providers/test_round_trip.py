"""An answer goes back in the next turn: to the vendor it came from, and to another one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from routerd.providers.base import Adapter
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd_proto.content import Message, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import answer_message, decode, encoded, fixture, request

SOURCES = [
    ("anthropic", None, "anthropic/tools_parallel.sse"),
    ("anthropic", None, "anthropic/tools.json"),
    ("openai", "openai", "openai/tools_parallel.sse"),
    ("openai", "openai", "openai/tools_no_index.sse"),
    ("openai", "openai", "openai/tools_index_zero.sse"),
    ("openai", "deepseek", "openai/tools.json"),
    ("cohere", None, "cohere/tools_parallel.sse"),
    ("cohere", None, "cohere/tools.json"),
    ("openai-responses", "openai", "openai-responses/tools_parallel.sse"),
    ("openai-responses", "azure", "openai-responses/tools.json"),
]
TARGETS: list[tuple[str, str | None]] = [
    (name, dialect) for name, dialects in ADAPTERS.items() for dialect in dialects or (None,)
]


def conversation(adapter: Adapter, name: str) -> tuple[list[Message], list[ToolCall]]:
    answer = answer_message(decode(adapter, [fixture(name)])[0])
    calls = [part for part in answer.content if isinstance(part, ToolCall)]
    assert calls
    results = [ToolResult(call.id, f"result {number}") for number, call in enumerate(calls)]
    return [Message("user", "go"), answer, Message("tool", list(results))], calls


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source[2])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[1] or target[0])
def test_calls_and_results_stay_paired(
    source: tuple[str, str | None, str], target: tuple[str, str | None]
) -> None:
    messages, calls = conversation(build_adapter(source[0], source[1]), source[2])
    tools = [Tool(name) for name in dict.fromkeys(call.name for call in calls)]
    chat = request("claude-opus-4-6", messages=messages, tools=tools)
    body, _ = encoded(build_adapter(*target), chat)
    read = {
        "anthropic": anthropic_calls,
        "bedrock": bedrock_calls,
        "cohere": openai_calls,  # the same shape
        "gemini": gemini_calls,
        "openai": openai_calls,
        "openai-responses": responses_calls,
    }
    sent = read[target[0]](body)
    assert [(name, arguments, result) for _, name, arguments, result in sent] == [
        (call.name, json.loads(call.arguments), f"result {number}")
        for number, call in enumerate(calls)
    ]
    ids = [call_id for call_id, *_ in sent]
    assert len(set(ids)) == len(ids)
    if target[1] == "mistral":
        assert all(re.fullmatch(r"[a-zA-Z0-9]{9}", call_id) for call_id in ids)
    elif (source[0], source[1]) == target:
        assert ids == [call.id for call in calls]


def openai_calls(body: dict[str, Any]) -> list[tuple[str, str, Any, str]]:
    assert [message["role"] for message in body["messages"][:2]] == ["user", "assistant"]
    calls = body["messages"][1]["tool_calls"]
    results = body["messages"][2:]
    assert [result["role"] for result in results] == ["tool"] * len(calls)
    return [
        (
            call["id"],
            call["function"]["name"],
            json.loads(call["function"]["arguments"]),
            next(result["content"] for result in results if result["tool_call_id"] == call["id"]),
        )
        for call in calls
    ]


def responses_calls(body: dict[str, Any]) -> list[tuple[str, str, Any, str]]:
    calls = [item for item in body["input"] if item.get("type") == "function_call"]
    results = [item for item in body["input"] if item.get("type") == "function_call_output"]
    assert body["input"][-len(results) :] == results
    return [
        (call["call_id"], call["name"], json.loads(call["arguments"]), one["output"])
        for call, one in zip(calls, results, strict=True)
        if call["call_id"] == one["call_id"]
    ]


def anthropic_calls(body: dict[str, Any]) -> list[tuple[str, str, Any, str]]:
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    calls = [block for block in body["messages"][1]["content"] if block["type"] == "tool_use"]
    results = {block["tool_use_id"]: block for block in body["messages"][2]["content"]}
    return [
        (call["id"], call["name"], call["input"], results[call["id"]]["content"]) for call in calls
    ]


def bedrock_calls(body: dict[str, Any]) -> list[tuple[str, str, Any, str]]:
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    _, answer, results = (turn["content"] for turn in body["messages"])
    found = {block["toolResult"]["toolUseId"]: block["toolResult"] for block in results}
    calls = [block["toolUse"] for block in answer if "toolUse" in block]
    return [
        (
            call["toolUseId"],
            call["name"],
            call["input"],
            found[call["toolUseId"]]["content"][0]["text"],
        )
        for call in calls
    ]


def gemini_calls(body: dict[str, Any]) -> list[tuple[str, str, Any, str]]:
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    parts, answers = body["contents"][1]["parts"], body["contents"][2]["parts"]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in answers]
    assert [one["id"] for one in results] == [call["id"] for call in calls]
    return [
        (call["id"], call["name"], call["args"], one["response"]["output"])
        for call, one in zip(calls, results, strict=True)
    ]


def test_thinking_goes_back_to_its_vendor_in_its_order() -> None:
    adapter = build_adapter("anthropic")
    answer = answer_message(decode(adapter, [fixture("anthropic/thinking.sse")])[0])
    messages = [Message("user", "go"), answer, Message("user", "on")]
    body, notes = encoded(adapter, request("claude-opus-4-6", messages=messages))
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Let me think.", "signature": "EqQBSig=="},
        {"type": "redacted_thinking", "data": "RedactedBlob=="},
        {"type": "thinking", "thinking": "", "signature": "OnlySig"},
        {"type": "text", "text": "Answer"},
    ]
    assert notes == []
    body, notes = encoded(build_adapter("openai", "openai"), request(messages=messages))
    assert body["messages"][1] == {"role": "assistant", "content": "Answer"}
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("dialect", "name", "expected"),
    [
        (
            "deepseek",
            "openai/deepseek.sse",
            {"role": "assistant", "content": "Yes", "reasoning_content": "Hmm, yes."},
        ),
        (
            "mistral",
            "openai/mistral_thinking.sse",
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Let me see."}]},
                    {"type": "text", "text": "Voilà!"},
                ],
            },
        ),
        (
            "openrouter",
            "openai/openrouter_reasoning.sse",
            {
                "role": "assistant",
                "content": "Done",
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "First step",
                        "format": "google-gemini-v1",
                        "index": 0,
                    },
                    {
                        "type": "reasoning.encrypted",
                        "data": "AAEC",
                        "format": "google-gemini-v1",
                        "index": 1,
                        "id": "call_1",
                    },
                ],
            },
        ),
    ],
)
def test_reasoning_goes_back_to_the_servers_that_want_it(
    dialect: str, name: str, expected: Any
) -> None:
    adapter = build_adapter("openai", dialect)
    answer = answer_message(decode(adapter, [fixture(name)])[0])
    messages = [Message("user", "go"), answer, Message("user", "on")]
    assert encoded(adapter, request(messages=messages))[0]["messages"][1] == expected
    other, notes = encoded(build_adapter("anthropic"), request(messages=messages))
    assert {block["type"] for block in other["messages"][1]["content"]} == {"text"}
    assert len(notes) == 1
