"""Clients of vendors that speak OpenAI's format: they read at the simulator what the adapter reads.

Each is given the request that the adapter has written by that vendor's dialect, as its own types
have it, so that it takes what the dialect adds. Who has no client of its own tells people to use
OpenAI's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import anyio.to_thread
import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace

from routerd.domain import Usage
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.openai import DIALECTS
from routerd.providers.registry import build_adapter
from routerd.simulate import Pacing, Simulator
from routerd_proto.content import Message, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    encoded,
    reasoning_in,
    request,
    text_in,
)
from tests.daemon.simulate.adapting import ask
from tests.daemon.simulate.buckets import CACHED_PROMPT, buckets_used, openais_usage, warm_up

REASON = "the vendors' own clients are not installed: requirements-vendors.lock"
groq = pytest.importorskip("groq", reason=REASON)
mistralai = pytest.importorskip("mistralai.client", reason=REASON)
openai = pytest.importorskip("openai", reason=REASON)
httpx2 = pytest.importorskip("httpx2", reason=REASON)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("get_weather", "The weather.", CITY), Tool("get_tides", "The tides.", CITY)]
BOTH = Message("user", "Call both tools")
SAID = Message("user", "Describe the lantern.")
# Of another vendor, by its ids, and without the reasoning that some want.
ELSEWHERE = "toolu_01AbCdEf"
HISTORY = [
    Message("system", "Be brief."),
    Message("user", "What tide is it?"),
    Message("assistant", [Text("Let me see."), ToolCall(ELSEWHERE, "get_tides", '{"city":"a"}')]),
    Message("tool", [ToolResult(ELSEWHERE, "low")]),
    SAID,
]
CASES: dict[str, tuple[list[Message], dict[str, Any]]] = {
    "text": ([SAID], {"temperature": 0.5, "top_p": 0.5, "stop": ["@@"], "seed": 7}),
    "tools": ([BOTH], {"tools": TOOLS, "tool_choice": "auto"}),
    "required tools": ([SAID], {"tools": TOOLS, "tool_choice": "required"}),
    "history": (HISTORY, {"tools": TOOLS, "parallel_tool_calls": True}),
    "reasoning": ([SAID], {"reasoning": "medium"}),
    "reasoning before tools": ([BOTH], {"tools": TOOLS, "reasoning": "low"}),
    "no reasoning": ([SAID], {"reasoning": "none"}),
    "limit": ([SAID], {"max_output_tokens": 5}),
    "schema": ([SAID], {"output_schema": {**CITY, "additionalProperties": False}}),
    "cache": (CACHED_PROMPT, {}),
}


class Read(Struct):
    """What a reader made of an answer; calls by id, name and arguments."""

    text: str = ""
    reasoning: str = ""
    calls: list[list[str]] = []
    usage: Usage | None = None
    finish: str | None = None
    model: str = ""


def shown(read: Read, said: Any) -> None:
    """Read the words and the reasoning of a message or a delta, wherever its vendor has them."""
    if isinstance(said.content, list):
        for part in said.content:
            if part.type == "thinking":
                read.reasoning += "".join(piece.text for piece in part.thinking)
            else:
                read.text += part.text
    else:
        read.text += said.content or ""
    field = "reasoning" if hasattr(said, "reasoning") else "reasoning_content"
    read.reasoning += getattr(said, field, None) or ""


def read_by_types(answer: Any, usage_of: Callable[[Any], Usage]) -> Read:
    """Read a plain answer by the client's types, which are shaped alike in all."""
    [choice] = answer.choices
    calls = choice.message.tool_calls or ()
    read = Read(
        calls=[[call.id, call.function.name, call.function.arguments] for call in calls],
        usage=usage_of(answer.usage),
        finish=choice.finish_reason,
        model=answer.model,
    )
    shown(read, choice.message)
    return read


def put_together(chunks: Iterable[Any], usage_of: Callable[[Any], Usage]) -> Read:
    """Put a stream together, as whoever uses the client does."""
    read = Read()
    for chunk in chunks:
        read.model = chunk.model
        if chunk.usage:
            read.usage = usage_of(chunk.usage)
        if getattr(chunk, "x_groq", None):
            assert chunk.x_groq.usage == chunk.usage
        for choice in chunk.choices:
            shown(read, choice.delta)
            read.finish = choice.finish_reason or read.finish
            for piece in choice.delta.tool_calls or ():
                if piece.index == len(read.calls):
                    read.calls.append([piece.id, piece.function.name, ""])
                read.calls[piece.index][2] += piece.function.arguments
    return read


def by_groq(base_url: str, body: dict[str, Any]) -> Read:
    with (
        httpx.Client(trust_env=False) as http,
        groq.Groq(api_key="test", base_url=f"{base_url}/groq", http_client=http) as client,
    ):
        # Its client has no word for it, as OpenAI's does; the server takes it.
        extra = {name: body.pop(name) for name in ("stream_options",) if name in body}
        answer = client.chat.completions.create(**body, extra_body=extra)
        reader = put_together if body.get("stream") else read_by_types
        return reader(answer, openais_usage)


def by_mistral(base_url: str, body: dict[str, Any]) -> Read:
    with httpx2.Client(trust_env=False) as http:
        client = mistralai.Mistral("test", server_url=f"{base_url}/mistral", client=http)
        if not body.pop("stream", False):
            return read_by_types(client.chat.complete(**body), mistrals_usage)
        with client.chat.stream(**body) as events:
            return put_together((event.data for event in events), mistrals_usage)


def mistrals_usage(told: Any) -> Usage:
    """Read `UsageInfo`, which tells nothing of reasoning."""
    return Usage(
        input_tokens=told.prompt_tokens - told.num_cached_tokens,
        cache_read_tokens=told.num_cached_tokens,
        output_tokens=told.completion_tokens,
    )


def by_openai(place: str, usage_of: Callable[[Any], Usage]) -> Callable[..., Read]:
    """Return a reader by OpenAI's client, at another vendor's address."""

    def reader(base_url: str, body: dict[str, Any]) -> Read:
        with (
            httpx.Client(trust_env=False) as http,
            openai.OpenAI(api_key="test", base_url=base_url + place, http_client=http) as client,
        ):
            extra = {name: body.pop(name) for name in ("thinking",) if name in body}
            answer = client.chat.completions.create(**body, extra_body=extra)
            return (put_together if body.get("stream") else read_by_types)(answer, usage_of)

    return reader


def deepseeks_usage(told: Any) -> Usage:
    usage = openais_usage(told)
    assert told.prompt_cache_hit_tokens == usage.cache_read_tokens
    assert told.prompt_cache_miss_tokens == usage.input_tokens
    return usage


def openrouters_usage(told: Any) -> Usage:
    assert told.cost > 0
    return openais_usage(told)


def xais_usage(told: Any) -> Usage:
    """Read OpenAI's usage, with the reasoning beside the completion."""
    usage = openais_usage(told)
    return replace(usage, output_tokens=usage.output_tokens + (usage.reasoning_tokens or 0))


CLIENTS: dict[str, Callable[..., Read]] = {
    "deepseek": by_openai("/deepseek", deepseeks_usage),
    "groq": by_groq,
    "mistral": by_mistral,
    "openrouter": by_openai("/openrouter/api/v1", openrouters_usage),
    "xai": by_openai("/xai/v1", xais_usage),
}
every_client = pytest.mark.parametrize("dialect", CLIENTS)
whole_or_streamed = pytest.mark.parametrize("stream", [False, True])


def simulated() -> Simulator:
    """Return the family with empty caches, so that both readers find the same in them."""
    return Simulator(vendors=[*CLIENTS], pacing=Pacing(output_tokens=60))


def place_of(dialect: str) -> str:
    """Return where a simulator has it, by the end of its own address."""
    return dialect + DIALECTS[dialect].base_path


async def compare(dialect: str, chat: ChatRequest) -> tuple[Any, Usage]:
    """Compare what both read; return the parts that the adapter read, and what was used."""
    adapter, place = build_adapter("openai", dialect), place_of(dialect)
    async with simulated() as simulator:
        await warm_up(simulator, "openai", dialect, chat, place)
        parts, outcome = await ask(simulator, adapter, chat, place)
    body, _ = encoded(adapter, chat)
    async with simulated() as simulator:
        await warm_up(simulator, "openai", dialect, chat, place)
        theirs = await anyio.to_thread.run_sync(lambda: CLIENTS[dialect](simulator.base_url, body))
    assert isinstance(outcome, Outcome), outcome
    assert text_in(parts) == theirs.text
    assert reasoning_in(parts) == theirs.reasoning
    # The ids of two answers differ.
    mine = [(name, json.loads(arguments)) for _, name, arguments in calls_in(parts)]
    assert mine == [(name, json.loads(arguments)) for _, name, arguments in theirs.calls]
    assert len({call_id for call_id, *_ in theirs.calls}) == len(mine)
    assert outcome.usage is not None
    assert outcome.usage == theirs.usage
    assert (outcome.finish, outcome.model) == (theirs.finish, theirs.model)
    assert outcome.malformed_events == 0
    assert theirs.text or theirs.calls or theirs.finish == "length"
    return parts, outcome.usage


@every_client
@whole_or_streamed
@pytest.mark.parametrize("case", CASES)
async def test_both_read_the_same(dialect: str, case: str, stream: bool) -> None:
    messages, options = CASES[case]
    parts, usage = await compare(dialect, request("a-model", messages, stream=stream, **options))
    # DeepSeek's models think unasked; those of these two cannot leave it, and are asked for little.
    reasons = dialect == "deepseek" or "reasoning" in options
    if case == "no reasoning":
        reasons = dialect in ("groq", "xai")
    assert bool(reasoning_in(parts)) == reasons
    assert bool(calls_in(parts)) == ("tools" in case)
    used = {"cache_read"} if case == "cache" else set[str]()
    # Mistral does not tell how much of an answer was reasoning.
    used |= {"reasoning"} if reasons and dialect != "mistral" else set()
    assert buckets_used(usage) == used


@every_client
@whole_or_streamed
async def test_what_was_thought_goes_back_with_the_results(dialect: str, stream: bool) -> None:
    chat = request("a-model", [BOTH], stream=stream, tools=TOOLS, reasoning="high")
    parts, _ = await compare(dialect, chat)
    calls = calls_in(parts)
    assert len(calls) == 2
    results = Message("tool", [ToolResult(call_id, "calm") for call_id, *_ in calls])
    again = replace(chat, messages=[BOTH, answer_message(parts), results])
    parts, _ = await compare(dialect, again)
    assert text_in(parts)
    assert not calls_in(parts)


@whole_or_streamed
async def test_an_older_model_of_mistrals_reasons_in_a_mode(stream: bool) -> None:
    chat = request("magistral-small", [SAID], stream=stream, reasoning="high")
    parts, _ = await compare("mistral", chat)
    assert reasoning_in(parts)
