"""What a call keeps in a provider's cache is priced by how long it asked for."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec import structs

from routerd.models.pricing import Price
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.openai.responses import ResponsesAdapter
from routerd_proto.content import Message, Text
from routerd_proto.frames import Usage
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Vendor

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
