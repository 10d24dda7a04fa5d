"""Amazon's own client against the simulator, beside routerd's adapter: both read the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any

import anyio.to_thread
import httpx
import msgspec
import pytest

from routerd.providers.base import ChatRequest
from routerd.providers.bedrock import BedrockAdapter
from routerd.simulate import Fault, Pacing, Simulator, expected_text
from routerd_proto.content import Image, Message, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.bedrock.parameters import as_parameters
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    decode,
    reasoning_in,
    request,
    text_in,
)

boto3 = pytest.importorskip(
    "boto3", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)
from botocore.config import Config  # noqa: E402 - behind the check that it is there
from botocore.exceptions import ClientError, EventStreamError  # noqa: E402

MODEL = "us.anthropic.claude-opus-4-6-v1:0"
SAID = "Describe the lantern."
TOKENS = 60
BEDROCK = BedrockAdapter()
TOOLS = [
    Tool(name, "", {"properties": {"city": {"type": "string"}}, "required": ["city"]})
    for name in ("get_weather", "get_tides")
]
Seen = dict[str, Any]
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(pacing=Pacing(output_tokens=TOKENS), vendors=["bedrock"]) as running:
        yield running


def client_at(simulator: Simulator, service: str = "bedrock-runtime") -> Any:
    return boto3.client(
        service,
        endpoint_url=f"{simulator.base_url}/bedrock",
        region_name="eu-central-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="a/secret+of+forty",
        aws_session_token="a+token=",
        config=Config(retries={"total_max_attempts": 1}, proxies={}, connect_timeout=5),
    )


def with_boto3(simulator: Simulator, chat: ChatRequest) -> Seen:
    """Ask the same question with the vendor's client, and put its answer together."""
    client = client_at(simulator)
    operation = "ConverseStream" if chat.stream else "Converse"
    shape = client.meta.service_model.operation_model(operation).input_shape
    body = as_parameters(msgspec.json.decode(BEDROCK.encode(chat).body), shape)
    try:
        if not chat.stream:
            answer = client.converse(modelId=chat.model_id, **body)
            return seen_by_boto3(answer["output"]["message"]["content"], answer)
        stream = client.converse_stream(modelId=chat.model_id, **body)["stream"]
        with closing(stream):
            return gathered(stream)
    finally:
        client.close()


def gathered(stream: Any) -> Seen:
    """Put the events of a stream together, block by block."""
    blocks: dict[int, dict[str, Any]] = {}
    ends: dict[str, Any] = {}
    for event in stream:
        ((kind, fields),) = event.items()
        if kind == "contentBlockStart":
            blocks[fields["contentBlockIndex"]] = {
                "toolUse": fields["start"]["toolUse"] | {"input": ""}
            }
        elif kind == "contentBlockDelta":
            add(blocks.setdefault(fields["contentBlockIndex"], {}), fields["delta"])
        elif kind in ("messageStop", "metadata"):
            ends |= fields
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return seen_by_boto3(list(blocks.values()), ends)


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        inner = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
        for name, text in delta["reasoningContent"].items():
            inner[name] = inner.get(name, "") + text


def seen_by_boto3(blocks: list[dict[str, Any]], answer: dict[str, Any]) -> Seen:
    usage = answer["usage"]
    split = {item["ttl"]: item["inputTokens"] for item in usage.get("cacheDetails", ())}
    thoughts = [
        block["reasoningContent"]["reasoningText"]
        for block in blocks
        if "reasoningContent" in block
    ]
    return {
        "text": "".join(block.get("text", "") for block in blocks),
        "reasoning": "".join(thought["text"] for thought in thoughts),
        "calls": [
            (block["toolUse"]["name"], block["toolUse"]["input"])
            for block in blocks
            if "toolUse" in block
        ],
        "stop": answer["stopReason"],
        "usage": (
            usage["inputTokens"],
            usage["cacheReadInputTokens"],
            split.get("5m", 0),
            split.get("1h", 0),
            usage["outputTokens"],
        ),
    }


async def with_routerd(simulator: Simulator, chat: ChatRequest) -> tuple[Seen, Message]:
    call = BEDROCK.encode(chat)
    headers = {"authorization": "Bearer test"}
    async with httpx.AsyncClient(base_url=simulator.base_url, trust_env=False) as client:
        response = await client.post(f"/bedrock{call.path}", headers=headers, content=call.body)
    assert response.status_code == 200, response.text
    parts, outcome = decode(BEDROCK, [response.content], stream=chat.stream)
    assert outcome.complete
    used = outcome.usage
    assert used is not None
    stops = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
    seen = {
        "text": text_in(parts),
        "reasoning": reasoning_in(parts),
        "calls": [(name, json.loads(arguments)) for _, name, arguments in calls_in(parts)],
        "stop": stops[str(outcome.finish)],
        "usage": (
            used.input_tokens,
            used.cache_read_tokens,
            used.cache_write_tokens,
            used.cache_write_long_tokens,
            used.output_tokens,
        ),
    }
    return seen, answer_message(parts)


async def in_thread(ask: Callable[..., Any], *given: Any) -> Any:
    return await anyio.to_thread.run_sync(lambda: ask(*given))


@both
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_output_tokens": 7},
        {"reasoning": "low"},
        {"tools": TOOLS, "tool_choice": "required"},
        {"output_schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    ],
    ids=["text", "cut", "reasoning", "tool", "schema"],
)
async def test_the_vendors_client_reads_what_routerd_reads(
    simulator: Simulator, stream: bool, options: dict[str, Any]
) -> None:
    picture = Image(data=b"\x89PNG", media_type="image/png")
    said = [Message("system", "Be brief."), Message("user", [Text(SAID), picture])]
    chat = request(MODEL, said, stream=stream, **options)
    theirs = await in_thread(with_boto3, simulator, chat)
    ours, _ = await with_routerd(simulator, chat)
    assert ours == theirs
    assert ours["text"] or ours["calls"]
    assert theirs["usage"][4] > 0
    if not options:
        assert theirs["text"] == expected_text(MODEL, SAID, TOKENS)


@both
async def test_a_conversation_with_tools(simulator: Simulator, stream: bool) -> None:
    said = [Message("user", "Call both tools")]
    asked: dict[str, Any] = {"tools": TOOLS, "reasoning": "low", "stream": stream}
    theirs = await in_thread(with_boto3, simulator, request(MODEL, said, **asked))
    ours, answer = await with_routerd(simulator, request(MODEL, said, **asked))
    assert ours == theirs
    assert [name for name, _ in ours["calls"]] == ["get_weather", "get_tides"]
    results = [ToolResult(part.id, "calm") for part in answer.content if isinstance(part, ToolCall)]
    said += [answer, Message("tool", results)]
    theirs = await in_thread(with_boto3, simulator, request(MODEL, said, **asked))
    ours, _ = await with_routerd(simulator, request(MODEL, said, **asked))
    assert ours == theirs
    assert ours["text"] == expected_text(MODEL, "Call both tools", TOKENS)


@both
async def test_the_cache_at_both_lifetimes(stream: bool) -> None:
    text = "Calm sea. " * 800
    said = [
        Message("system", [Text(text, cache="1h")]),
        Message("user", [Text(text, cache="5m"), Text(SAID)]),
    ]
    chat = request(MODEL, said, stream=stream)
    seen: dict[str, list[Seen]] = {"boto3": [], "routerd": []}
    async with Simulator(vendors=["bedrock"]) as one, Simulator(vendors=["bedrock"]) as other:
        for _ in range(2):
            seen["boto3"].append(await in_thread(with_boto3, one, chat))
            seen["routerd"].append((await with_routerd(other, chat))[0])
    assert seen["routerd"] == seen["boto3"]
    first, second = (item["usage"] for item in seen["routerd"])
    assert first[2] > 1024
    assert first[3] > 1024
    assert second[1] == first[2] + first[3]


@both
async def test_an_error_of_the_vendors(stream: bool) -> None:
    fault = Fault(kind="status", status=429)
    async with Simulator(script=[fault], vendors=["bedrock"]) as simulator:
        with pytest.raises(ClientError) as caught:
            await in_thread(with_boto3, simulator, request(MODEL, stream=stream))
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


async def test_an_exception_in_the_stream() -> None:
    fault = Fault(kind="error_in_stream", code="rate_limit_exceeded")
    async with Simulator(script=[fault], vendors=["bedrock"]) as simulator:
        with pytest.raises(EventStreamError) as caught:
            await in_thread(with_boto3, simulator, request(MODEL, stream=True))
    assert caught.value.response["Error"]["Code"] == "throttlingException"


async def test_its_client_finds_what_can_be_called(simulator: Simulator) -> None:
    def lists() -> tuple[list[Any], list[Any]]:
        client = client_at(simulator, "bedrock")
        found = client.list_foundation_models()["modelSummaries"]
        return found, client.list_inference_profiles(maxResults=1000)["inferenceProfileSummaries"]

    models, profiles = await anyio.to_thread.run_sync(lists)
    assert {entry["modelId"]: entry["inferenceTypesSupported"] for entry in models} == {
        "amazon.nova-pro-v1:0": ["ON_DEMAND"],
        "anthropic.claude-opus-5-5": ["INFERENCE_PROFILE"],
    }
    assert {entry["modelLifecycle"]["status"] for entry in models} == {"ACTIVE"}
    assert [entry["inferenceProfileId"] for entry in profiles] == ["us.anthropic.claude-opus-5-5"]
