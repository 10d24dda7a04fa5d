"""What a type checker must understand of the public interface. Checked by mypy, never run."""

from __future__ import annotations

from array import array
from typing import Any, assert_type

import msgspec

import routerd_client
from routerd_client import (
    CallRestarted,
    Client,
    Embeddings,
    Message,
    Options,
    Ranked,
    Ranking,
    Reply,
    RouterdError,
    Stream,
    StreamPart,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    Usage,
)


class City(msgspec.Struct):
    name: str


def blocking(client: Client) -> None:
    assert_type(client.complete("smart", "x", tenant="acme", task="tagging"), Reply)
    client.complete("smart", "x", raw={"openai": {"verbosity": "low"}, "gemini": {"a": [1]}})
    assert_type(client.stream("smart", "x", restart=True), Stream)
    assert_type(routerd_client.complete("smart", "x"), Reply)
    for part in client.stream("smart", "x"):
        assert_type(part, StreamPart)
        if isinstance(part, TextDelta):
            assert_type(part.text, str)
        elif isinstance(part, CallRestarted):
            assert_type(part.reason.code, str)
    for text in client.stream("smart", "x").text:
        assert_type(text, str)
    with client.stream("smart", "x") as stream:
        assert_type(stream, Stream)
        assert_type(stream.reply, Reply)


async def awaited(client: Client) -> None:
    assert_type(await client.acomplete("smart", "x"), Reply)
    assert_type(await routerd_client.acomplete("smart", "x"), Reply)
    async for part in client.stream("smart", "x"):
        assert_type(part, StreamPart)
    async for text in client.stream("smart", "x").text:
        assert_type(text, str)
    async with Client("/a/b", connect_patience=1.0) as other, other.stream("smart", "x") as stream:
        assert_type(stream, Stream)


def inputs(client: Client, history: list[Message], options: Options) -> None:
    client.complete("smart", history)
    client.complete("smart", [{"role": "user", "content": "x"}])
    client.complete("smart", [Message("user", [Text("x")]), {"role": "user", "content": "x"}])
    client.complete("smart", "x", **options)
    client.complete("smart", "x", tools=[Tool("a"), {"name": "b"}], tool_choice="auto")
    client.complete("smart", "x", trace={"traceparent": ""}, stop=("a", "b"), timeout=30)
    client.complete("smart", "x", tennant="acme")  # type: ignore[call-arg]
    client.complete("smart", "x", timeout="30")  # type: ignore[arg-type]
    client.complete("smart", 5)  # type: ignore[arg-type]
    client.complete("smart", "x", sensitivity="secret")  # type: ignore[arg-type]


async def searches(client: Client) -> None:
    assert_type(client.embed("embed", ["a"], dimensions=8, purpose="query"), Embeddings)
    assert_type(await client.aembed("embed", "a", tenant="acme"), Embeddings)
    assert_type(client.rerank("rerank", "q", ("a", "b"), top=1).results, list[Ranked])
    assert_type(await client.arerank("rerank", "q", ["a"], truncate=True), Ranking)
    assert_type(client.embed("embed", "a").vectors, list[array[float]])
    client.embed("embed", "a", temperature=1.0)  # type: ignore[call-arg]
    client.embed("embed", "a", purpose="search")  # type: ignore[arg-type]


def outputs(reply: Reply, error: RouterdError) -> None:
    assert_type(reply.text, str)
    assert_type(reply.cost_cents, float | None)
    assert_type(reply.usage, Usage | None)
    assert_type(reply.degraded, str | None)
    assert_type(reply.message, Message)
    assert_type(reply.tool_calls, list[ToolCall])
    assert_type(reply.parsed(City), City)
    assert_type(reply.parsed(), Any)
    assert_type(error.reply, Reply | None)
    assert_type(error.retry_after, float | None)
