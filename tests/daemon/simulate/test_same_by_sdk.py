"""The vendors' own clients read the same answers as the adapters do: words, calls, usage, the end.

Each client is given the request that the adapter has written, so it takes that request too.
"""

from __future__ import annotations

import json
from typing import Any

import anyio.to_thread
import pytest
from msgspec import Struct

from routerd.domain import Part, Usage
from routerd.errors import Failure
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.registry import build_adapter
from routerd.simulate import Pacing, Price, Simulator
from routerd_proto.content import Image, Message, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import calls_in, encoded, reasoning_in, request, text_in
from tests.daemon.simulate.adapting import ask
from tests.daemon.simulate.buckets import (
    CACHED_PROMPT,
    anthropics_usage,
    buckets_used,
    openais_usage,
    usage_of,
    warm_up,
)

REASON = "the vendors' own clients are not installed: requirements-vendors.lock"
openai = pytest.importorskip("openai", reason=REASON)
anthropic = pytest.importorskip("anthropic", reason=REASON)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("get_weather", "The weather.", CITY), Tool("get_tides", "The tides.", CITY)]
BOTH = "Call both tools"
HISTORY = [
    Message("system", "Be brief."),
    Message("user", [Text("What is this?"), Image(data=b"\x89PNG", media_type="image/png")]),
    Message("assistant", [Text("Let me see."), ToolCall("call12345", "get_tides", '{"city":"a"}')]),
    Message("tool", [ToolResult("call12345", "low")]),
    Message("user", "Describe the lantern."),
]
CASES: dict[str, tuple[list[Message], dict[str, Any]]] = {
    "text": ([Message("user", "Describe the lantern.")], {"temperature": 0.5, "stop": ["@@"]}),
    "tools": ([Message("user", BOTH)], {"tools": TOOLS, "tool_choice": "required"}),
    "history": (HISTORY, {"tools": TOOLS}),
    "reasoning": ([Message("user", "Describe the lantern.")], {"reasoning": "medium"}),
    "limit": ([Message("user", "Describe the lantern.")], {"max_output_tokens": 5}),
    "schema": (
        [Message("user", "Describe the lantern.")],
        {"output_schema": {**CITY, "additionalProperties": False}},
    ),
    "cache": (CACHED_PROMPT, {}),
}
# Writes are told of models that sell them.
MODEL = "gpt-5.2"
PRICES = {MODEL: Price(input=1, output=1, cache_write=1)}


class Read(Struct):
    """What a reader made of an answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = []
    usage: Usage | None = None
    finish: str | None = None


def by_openai(base_url: str, body: dict[str, Any]) -> Read:
    options = {"api_key": "test", "base_url": f"{base_url}/openai/v1", "max_retries": 0}
    with openai.OpenAI(**options) as client:
        answer = client.chat.completions.create(**body)
        return chunks_read(answer) if body.get("stream") else completion_read(answer)


def completion_read(completion: Any) -> Read:
    [choice] = completion.choices
    calls = choice.message.tool_calls or ()
    return Read(
        text=choice.message.content or "",
        calls=[(call.function.name, json.loads(call.function.arguments)) for call in calls],
        usage=openais_usage(completion.usage),
        finish=choice.finish_reason,
    )


def chunks_read(chunks: Any) -> Read:
    read = Read()
    calls: list[list[str]] = []
    for chunk in chunks:
        if chunk.usage is not None:
            read.usage = openais_usage(chunk.usage)
        for choice in chunk.choices:
            read.text += choice.delta.content or ""
            read.finish = choice.finish_reason or read.finish
            for piece in choice.delta.tool_calls or ():
                if piece.index == len(calls):
                    calls.append([piece.function.name, ""])
                calls[piece.index][1] += piece.function.arguments
    read.calls = [(name, json.loads(arguments)) for name, arguments in calls]
    return read


def by_anthropic(base_url: str, body: dict[str, Any]) -> Read:
    options = {"api_key": "test", "base_url": f"{base_url}/anthropic", "max_retries": 0}
    # The client asks for a later version, without sampling; routerd sends 2023-06-01.
    extra = {name: body.pop(name) for name in ("temperature", "top_p") if name in body}
    headers = {"anthropic-version": "2023-06-01"}
    with anthropic.Anthropic(**options) as client:
        more = {"extra_body": extra, "extra_headers": headers}
        if not body.pop("stream", False):
            message = client.messages.create(**body, **more)
        else:
            with client.messages.stream(**body, **more) as stream:
                message = stream.get_final_message()
    read = Read(finish=message.stop_reason, usage=anthropics_usage(message.usage))
    for block in message.content:
        if block.type == "text":
            read.text += block.text
        elif block.type == "thinking":
            read.reasoning += block.thinking
        else:
            read.calls.append((block.name, block.input))
    return read


def by_adapter(parts: list[Part], outcome: Outcome | Failure) -> Read:
    """Return the same of what an adapter has read."""
    assert isinstance(outcome, Outcome)
    return Read(
        text=text_in(parts),
        reasoning=reasoning_in(parts),
        calls=[(name, json.loads(arguments)) for _, name, arguments in calls_in(parts)],
        usage=usage_of(outcome),
        finish=outcome.finish,
    )


FINISHES = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


def simulated() -> Simulator:
    """Return vendors whose caches are empty, so that both readers find the same in them."""
    return Simulator(pacing=Pacing(output_tokens=60), prices=PRICES)


async def compare(wire: str, dialect: str | None, chat: ChatRequest, client: Any) -> Usage:
    """Compare what both read, and return what was used."""
    adapter = build_adapter(wire, dialect)
    place = "openai/v1" if wire == "openai" else None
    async with simulated() as simulator:
        await warm_up(simulator, wire, dialect, chat, place)
        mine = by_adapter(*await ask(simulator, adapter, chat, place))
    body, _ = encoded(adapter, chat)
    async with simulated() as simulator:
        await warm_up(simulator, wire, dialect, chat, place)
        theirs: Read = await anyio.to_thread.run_sync(lambda: client(simulator.base_url, body))
    theirs.finish = FINISHES.get(theirs.finish or "", theirs.finish)
    assert mine == theirs
    assert mine.text or mine.calls
    assert mine.usage is not None
    assert min(mine.usage.input_tokens, mine.usage.output_tokens) > 0
    return mine.usage


whole_or_streamed = pytest.mark.parametrize("stream", [False, True])
every_case = pytest.mark.parametrize("case", CASES)


def asking(model: str, case: str, *, stream: bool) -> ChatRequest:
    messages, options = CASES[case]
    return request(model, messages, stream=stream, **options)


@whole_or_streamed
@every_case
@pytest.mark.parametrize("dialect", ["openai", "compatible"])
async def test_openais_reads_the_same(dialect: str, case: str, stream: bool) -> None:
    chat = asking(MODEL, case, stream=stream)
    used = buckets_used(await compare("openai", dialect, chat, by_openai))
    expected = {"cache": {"cache_read", "cache_write"}, "reasoning": {"reasoning"}}
    assert used == expected.get(case, set())


@whole_or_streamed
@every_case
async def test_anthropics_reads_the_same(case: str, stream: bool) -> None:
    chat = asking("claude-sonnet-4-6", case, stream=stream)
    used = buckets_used(await compare("anthropic", None, chat, by_anthropic))
    cache = {"cache_read", "cache_write", "cache_write_long"}
    assert used == {"cache": cache, "reasoning": {"reasoning"}}.get(case, set())
