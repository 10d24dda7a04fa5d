"""What a call keeps in a provider's cache is priced by how long it asked for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest
from msgspec import structs

from routerd.models.pricing import Price
from routerd.providers.base import Adapter
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.openai.responses import ResponsesAdapter
from routerd.providers.registry import build_adapter
from routerd_proto.content import Message, Text
from routerd_proto.frames import Usage
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Vendor
from tests.daemon.providers.bedrock.wire import delta, event, metadata, stopped

RATE = 1_000_000_000
PRICE = Price(
    input=RATE,
    output=RATE,
    cache_write=2 * RATE,
    cache_write_long=5 * RATE,
    source="test",
)


async def writing(exchange: Exchange) -> None:
    """Say that the prompt was written to the cache, but not for how long: Chat has no field."""
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
    details = {"cached_tokens": 0, "cache_write_tokens": 1_000}
    usage = {"prompt_tokens": 1_010, "completion_tokens": 0, "prompt_tokens_details": details}
    await exchange.plain(200, {"model": "m-1", "choices": [choice], "usage": usage})


@pytest.mark.parametrize(
    ("lifetime", "model", "usage", "rate"),
    [
        ("1h", "gpt-5.6-sol", Usage(10, 0, 0, 1_000), 5),
        ("5m", "gpt-5.6-sol", Usage(10, 0, 1_000, 0), 2),
        (None, "gpt-5.6-sol", Usage(10, 0, 1_000, 0), 2),
        # Its maker's older models take no marks, and keep what they like.
        ("1h", "gpt-4o", Usage(10, 0, 1_000, 0), 2),
    ],
)
async def test_what_is_written_for_an_hour_costs_what_that_costs(
    lifetime: Literal["5m", "1h"] | None, model: str, usage: Usage, rate: int
) -> None:
    async with Vendor(writing, adapter=OpenAIAdapter()) as vendor:
        target = structs.replace(vendor.target(price=PRICE), provider_model=model)
        messages = [Message("user", [Text("hello", cache=lifetime)])]
        run = await Run(target, stream=False, messages=messages).go()
    [attempt] = run.attempts
    assert attempt.usage == usage
    assert attempt.cost_nanodollars == (10 + 1_000 * rate) * RATE // 1_000_000


async def test_a_mark_that_is_not_sent_makes_nothing_dearer() -> None:
    """Only four are: an hour asked for before them is not asked for."""
    async with Vendor(writing, adapter=OpenAIAdapter()) as vendor:
        target = structs.replace(vendor.target(price=PRICE), provider_model="gpt-5.6-sol")
        messages = [Message("system", [Text("s", cache="1h")])]
        messages += [Message("user", [Text("hello", cache="5m")])] * 4
        run = await Run(target, stream=False, messages=messages).go()
    [attempt] = run.attempts
    assert attempt.usage == Usage(10, 0, 1_000, 0)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"ttl_30m_tokens": 1_000, "ttl_12h_tokens": 0}, Usage(10, 0, 1_000, 0)),
        ({"ttl_30m_tokens": 400, "ttl_12h_tokens": 600}, Usage(10, 0, 400, 600)),
        # Where it is not told, it is as it was asked for; the dearer where both were.
        (None, Usage(10, 0, 0, 1_000)),
    ],
)
async def test_a_lifetime_that_is_told_goes_before_what_was_asked_for(
    told: dict[str, int] | None, usage: Usage
) -> None:
    async def answering(exchange: Exchange) -> None:
        text = {"type": "output_text", "text": "Hello"}
        details: dict[str, object] = {"cached_tokens": 0, "cache_write_tokens": 1_000}
        if told is not None:
            details["cache_write_tokens_details"] = told
        counts = {"input_tokens": 1_010, "output_tokens": 0, "input_tokens_details": details}
        output = [{"type": "message", "content": [text]}]
        answer = {"id": "r", "status": "completed", "output": output, "usage": counts}
        await exchange.plain(200, answer)

    async with Vendor(answering, adapter=ResponsesAdapter()) as vendor:
        target = structs.replace(vendor.target(price=PRICE), provider_model="gpt-5.6-sol")
        messages = [
            Message("system", [Text("s", cache="1h")]),
            Message("user", [Text("hello", cache="5m")]),
        ]
        run = await Run(target, stream=False, messages=messages).go()
    [attempt] = run.attempts
    assert attempt.usage is not None
    assert structs.replace(attempt.usage, reasoning_tokens=None) == usage


# --- Anthropic and Bedrock, which mostly tell how much was written for how long -------------------


def of_anthropic(split: tuple[int, int] | None) -> dict[str, Any]:
    counts: dict[str, Any] = {"input_tokens": 10, "cache_creation_input_tokens": 1_000}
    if split is not None:
        names = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        counts["cache_creation"] = dict(zip(names, split, strict=True))
    text = {"type": "text", "text": "Hello"}
    usage = {**counts, "output_tokens": 0}
    return {"type": "message", "content": [text], "stop_reason": "end_turn", "usage": usage}


def of_bedrock(split: tuple[int, int] | None) -> dict[str, Any]:
    usage: dict[str, Any] = {"inputTokens": 10, "outputTokens": 0, "cacheWriteInputTokens": 1_000}
    if split is not None:
        told = zip(("5m", "1h"), split, strict=True)
        usage["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in told]
    message = {"role": "assistant", "content": [{"text": "Hello"}]}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}


TELLING: dict[str, tuple[str, Callable[[tuple[int, int] | None], dict[str, Any]]]] = {
    "anthropic": ("claude-opus-4-6", of_anthropic),
    "bedrock": ("us.anthropic.claude-opus-4-6-v1:0", of_bedrock),
}
Lifetime = Literal["5m", "1h"]
SHORT, LONG = Usage(10, 0, 1_000, 0), Usage(10, 0, 0, 1_000)


async def used_at(wire: str, messages: list[Message], split: tuple[int, int] | None) -> Usage:
    model, answer = TELLING[wire]

    async def answering(exchange: Exchange) -> None:
        await exchange.plain(200, answer(split))

    run = await running(build_adapter(wire), model, answering, messages)
    [attempt] = run.attempts
    usage = attempt.usage
    assert usage is not None
    written = usage.cache_write_tokens * 2 + usage.cache_write_long_tokens * 5
    dollars = usage.input_tokens + usage.output_tokens + written
    assert attempt.cost_nanodollars == dollars * RATE // 1_000_000
    return usage


async def running(
    adapter: Adapter,
    model: str,
    answering: Callable[[Exchange], Awaitable[None]],
    messages: list[Message],
    *,
    stream: bool = False,
) -> Run:
    async with Vendor(answering, adapter=adapter) as vendor:
        target = structs.replace(vendor.target(price=PRICE), provider_model=model)
        return await Run(target, stream=stream, messages=messages).go()


def marked(*lifetimes: Lifetime | None) -> list[Message]:
    return [Message("user", [Text("hello", cache=lifetime) for lifetime in lifetimes])]


@pytest.mark.parametrize(
    ("lifetimes", "split", "usage"),
    [
        (("1h",), None, LONG),
        (("5m",), None, SHORT),
        ((None,), None, SHORT),
        # The dearer, where both were asked for and neither is told; so where it does not add up.
        (("1h", "5m"), None, LONG),
        (("1h", "5m"), (0, 0), LONG),
        (("1h", "5m"), (300, 200), LONG),
        # What is told goes before what was asked for.
        (("1h", "5m"), (400, 600), Usage(10, 0, 400, 600)),
        (("1h",), (1_000, 0), SHORT),
        (("5m",), (300, 200), Usage(10, 0, 800, 200)),
    ],
)
@pytest.mark.parametrize("wire", TELLING)
async def test_without_a_split_a_write_is_what_was_asked_for(
    wire: str,
    lifetimes: tuple[Lifetime | None, ...],
    split: tuple[int, int] | None,
    usage: Usage,
) -> None:
    assert await used_at(wire, marked(*lifetimes), split) == usage


@pytest.mark.parametrize("wire", TELLING)
async def test_an_hour_asked_for_before_the_last_four_marks_is_not_asked_for(wire: str) -> None:
    messages = [Message("system", [Text("s", cache="1h")]), *marked("5m", "5m", "5m", "5m")]
    assert await used_at(wire, messages, None) == SHORT


async def test_a_model_that_keeps_for_five_minutes_alone_is_never_billed_for_an_hour() -> None:
    async def answering(exchange: Exchange) -> None:
        await exchange.plain(200, of_bedrock(None))

    model, adapter = "us.amazon.nova-2-lite-v1:0", build_adapter("bedrock")
    run = await running(adapter, model, answering, marked("1h"))
    assert [attempt.usage for attempt in run.attempts] == [SHORT]


async def test_a_stream_that_is_cut_is_billed_by_what_was_asked_for_too() -> None:
    start = {"type": "message_start", "message": {"usage": of_anthropic(None)["usage"]}}

    async def answering(exchange: Exchange) -> None:
        await exchange.plain(200, b"data: " + json.dumps(start).encode() + b"\n\n")

    adapter = build_adapter("anthropic")
    run = await running(adapter, "claude-opus-4-6", answering, marked("1h"), stream=True)
    assert run.attempts
    assert {attempt.usage for attempt in run.attempts} == {LONG}


async def test_what_bedrock_tells_in_its_last_event_counts() -> None:
    usage = of_bedrock((400, 600))["usage"]
    body = event("messageStart", role="assistant") + delta(0, text="Hi") + stopped()

    async def answering(exchange: Exchange) -> None:
        await exchange.plain(200, body + metadata(**usage))

    model, _ = TELLING["bedrock"]
    run = await running(build_adapter("bedrock"), model, answering, marked("1h"), stream=True)
    assert [attempt.usage for attempt in run.attempts] == [Usage(10, 0, 400, 600)]
