"""Vertex is another address: it is sent what the Gemini API is sent, and read as that is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.errors import CallRefused
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd_proto.content import Message, Tool
from tests.daemon.providers.conversations import TOOLS, conversations
from tests.daemon.providers.drive import ABLE, decode, request
from tests.daemon.providers.gemini.test_decode import GARBAGE, WEATHER, chunk, events
from tests.daemon.providers.schemas import SCHEMAS

GEMINI, VERTEX = GeminiAdapter(), GeminiAdapter(SERVICES["vertex"])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 3),
        "seed": st.integers(0, 2**40),
        "stop": st.lists(st.text(max_size=3), max_size=7),
        "max_output_tokens": st.integers(1, 100_000),
        "output_schema": SCHEMAS,
        "reasoning": st.sampled_from(["none", "low", "max"]),
        "logprobs": st.integers(0, 20),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
    },
)


@pytest.mark.parametrize("model", ["gemini-4-argon", "gemini-2.5-flash"])
@given(conversations(documents="anywhere"), TOOLS, OPTIONS)
def test_any_conversation_is_sent_alike(
    model: str, messages: list[Message], tools: list[Tool], options: dict[str, Any]
) -> None:
    able = replace(ABLE, logprobs=True)
    chat = request(model, messages, capabilities=able, tools=tools, **options)
    sent: list[Any] = []
    for adapter in (GEMINI, VERTEX):
        try:
            encoded = adapter.encode(chat)
        except CallRefused as refused:
            sent.append(refused.info)
        else:
            sent.append((encoded.body, encoded.notes, encoded.max_output_tokens))
    assert sent[0] == sent[1]


@given(st.lists(GARBAGE, max_size=4), st.text(max_size=5), st.booleans())
def test_any_answer_is_read_alike(garbage: list[bytes], text: str, ends: bool) -> None:
    last = chunk({"text": text}, finish="STOP" if ends else None)
    body = events(*WEATHER[:-1]) + b"".join(garbage) + events(last)
    assert decode(VERTEX, [body]) == decode(GEMINI, [body])


@given(st.integers(300, 599), st.sampled_from(["", "UNAVAILABLE", "RESOURCE_EXHAUSTED"]))
def test_any_error_is_read_alike(status: int, word: str) -> None:
    body = json.dumps({"error": {"code": status, "message": "no", "status": word}}).encode()
    assert VERTEX.failure(status, {}, body) == GEMINI.failure(status, {}, body)
