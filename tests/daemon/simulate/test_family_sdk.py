"""Clients of vendors that speak OpenAI's format: they read at the simulator what the adapter reads.

Each is given the request that the adapter has written by that vendor's dialect, as its own types
have it, so that it takes what the dialect adds.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anyio.to_thread
import httpx
import pytest
from msgspec import Struct

from routerd.domain import Usage
from routerd.providers.base import Outcome
from routerd.providers.registry import build_adapter
from routerd.simulate import Pacing, Simulator
from routerd_proto.content import Message, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import calls_in, encoded, request, text_in
from tests.daemon.simulate.adapting import ask

REASON = "the vendors' own clients are not installed: requirements-vendors.lock"
groq = pytest.importorskip("groq", reason=REASON)
mistralai = pytest.importorskip("mistralai.client", reason=REASON)
httpx2 = pytest.importorskip("httpx2", reason=REASON)

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [Tool("get_weather", "The weather.", CITY), Tool("get_tides", "The tides.", CITY)]
SAID = Message("user", "Describe the lantern.")
HISTORY = [
    Message("system", "Be brief."),
    Message("user", "What tide is it?"),
    Message("assistant", [Text("Let me see."), ToolCall("call12345", "get_tides", '{"city":"a"}')]),
    Message("tool", [ToolResult("call12345", "low")]),
    SAID,
]
CASES: dict[str, tuple[list[Message], dict[str, Any]]] = {
    "text": ([SAID], {"temperature": 0.5, "top_p": 0.5, "stop": ["@@"], "seed": 7}),
    "tools": ([Message("user", "Call both tools")], {"tools": TOOLS, "tool_choice": "auto"}),
    "history": (HISTORY, {"tools": TOOLS, "parallel_tool_calls": True}),
    "limit": ([SAID], {"max_output_tokens": 5}),
    "schema": ([SAID], {"output_schema": {**CITY, "additionalProperties": False}}),
}


class Read(Struct):
    """What a reader made of an answer; calls by id, name and arguments."""

    text: str = ""
    calls: list[list[str]] = []
    tokens: tuple[int, int] | None = None
    finish: str | None = None
    model: str = ""


def read_by_types(answer: Any) -> Read:
    """Read a plain answer by the client's types, which are shaped alike in both."""
    [choice] = answer.choices
    calls = choice.message.tool_calls or ()
    return Read(
        text=choice.message.content or "",
        calls=[[call.id, call.function.name, call.function.arguments] for call in calls],
        tokens=(answer.usage.prompt_tokens, answer.usage.completion_tokens),
        finish=choice.finish_reason,
        model=answer.model,
    )


def put_together(chunks: Iterable[Any]) -> Read:
    """Put a stream together, as whoever uses the client does."""
    read = Read()
    for chunk in chunks:
        read.model = chunk.model
        if chunk.usage is not None:
            read.tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            read.text += choice.delta.content or ""
            read.finish = choice.finish_reason or read.finish
            for piece in choice.delta.tool_calls or ():
                if piece.index == len(read.calls):
                    read.calls.append([piece.id, piece.function.name, ""])
                read.calls[piece.index][2] += piece.function.arguments
    return read


def by_groq(base_url: str, body: dict[str, Any]) -> Read:
    with (
        httpx.Client(trust_env=False) as http,
        groq.Groq(api_key="test", base_url=base_url, http_client=http) as client,
    ):
        # Its client has no word for what the server takes, as OpenAI's does.
        extra = {name: body.pop(name) for name in ("stream_options",) if name in body}
        answer = client.chat.completions.create(**body, extra_body=extra)
        return put_together(answer) if body.get("stream") else read_by_types(answer)


def by_mistral(base_url: str, body: dict[str, Any]) -> Read:
    with httpx2.Client(trust_env=False) as http:
        client = mistralai.Mistral("test", server_url=f"{base_url}/openai", client=http)
        if not body.pop("stream", False):
            return read_by_types(client.chat.complete(**body))
        with client.chat.stream(**body) as events:
            return put_together(event.data for event in events)


def tokens_of(usage: Usage | None) -> tuple[int, int] | None:
    """Return the tokens in and out, all of them."""
    if usage is None:
        return None
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return read, usage.output_tokens


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["openai"], pacing=Pacing(output_tokens=60)) as running:
        yield running


CLIENTS: dict[str, Callable[..., Read]] = {"groq": by_groq, "mistral": by_mistral}


@pytest.mark.parametrize(
    ("dialect", "case", "stream"),
    [
        (dialect, case, stream)
        for dialect in CLIENTS
        for case in CASES
        for stream in (False, True)
        # Mistral streams a call whole, and its client takes no pieces of one.
        if (dialect, case, stream) != ("mistral", "tools", True)
    ],
)
async def test_both_read_the_same(
    simulator: Simulator, dialect: str, case: str, stream: bool
) -> None:
    messages, options = CASES[case]
    adapter = build_adapter("openai", dialect)
    chat = request("a-model", messages, stream=stream, **options)
    parts, outcome = await ask(simulator, adapter, chat, "openai/v1")
    body, _ = encoded(adapter, chat)
    theirs = await anyio.to_thread.run_sync(lambda: CLIENTS[dialect](simulator.base_url, body))
    assert isinstance(outcome, Outcome)
    assert text_in(parts) == theirs.text
    # The ids of two answers differ.
    mine = [(name, json.loads(arguments)) for _, name, arguments in calls_in(parts)]
    assert mine == [(name, json.loads(arguments)) for _, name, arguments in theirs.calls]
    assert len({call_id for call_id, *_ in theirs.calls}) == len(mine)
    assert tokens_of(outcome.usage) == theirs.tokens
    # Mistral tells the usage of every stream unasked, which the simulated OpenAI does not.
    assert (outcome.usage is None) == (stream and dialect == "mistral")
    assert (outcome.finish, outcome.model) == (theirs.finish, theirs.model)
    assert theirs.text or theirs.calls
