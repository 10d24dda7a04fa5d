"""generateContent as bytes, and read by the adapter: what is answered, refused and broken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Outcome
from routerd.providers.gemini import GeminiAdapter
from routerd.simulate import Fault, Simulator, expected_text
from routerd_proto.content import Message, Tool, ToolResult
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    reasoning_in,
    request,
    text_in,
)
from tests.daemon.simulate.adapting import ask

ADAPTER = GeminiAdapter()
MODEL = "gemini-4-argon"
SAID = "How is the harbour today?"
WEATHER = Tool("get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
TEXT = expected_text(MODEL, SAID)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(vendors=["gemini"]) as running:
        yield running


def asking(**options: Any) -> ChatRequest:
    return request(MODEL, [Message("user", SAID)], **options)


@pytest.mark.parametrize("stream", [True, False])
async def test_text_and_usage(simulator: Simulator, stream: bool) -> None:
    parts, outcome = await ask(simulator, ADAPTER, asking(stream=stream, reasoning="high"))
    assert isinstance(outcome, Outcome)
    assert text_in(parts) == TEXT
    assert reasoning_in(parts)
    assert (outcome.finish, outcome.complete, outcome.model) == ("stop", True, MODEL)
    assert outcome.usage is not None
    assert outcome.usage.input_tokens > 0
    assert outcome.usage.output_tokens > (outcome.usage.reasoning_tokens or 0) > 0


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_and_its_result(simulator: Simulator, stream: bool) -> None:
    chat = asking(stream=stream, tools=[WEATHER], tool_choice="required")
    parts, outcome = await ask(simulator, ADAPTER, chat)
    assert isinstance(outcome, Outcome)
    [(call_id, name, _)] = calls_in(parts)
    assert (name, outcome.finish) == ("get_weather", "tool_calls")
    results = Message("tool", [ToolResult(call_id, "22 C")])
    history = [*chat.messages, answer_message(parts), results]
    parts, outcome = await ask(
        simulator, ADAPTER, request(MODEL, history, stream=stream, tools=[WEATHER])
    )
    assert isinstance(outcome, Outcome)
    assert (outcome.finish, calls_in(parts)) == ("stop", [])
    assert text_in(parts)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind="status", status=429, retry_after=2.5), ErrorClass.RATE_LIMIT),
        (
            Fault(kind="status", status=429, code="insufficient_quota"),
            ErrorClass.QUOTA,
        ),
        (Fault(kind="status", status=500), ErrorClass.SERVER_ERROR),
        (Fault(kind="status", status=502), ErrorClass.SERVER_ERROR),
        (Fault(kind="status", status=503), ErrorClass.OVERLOADED),
        (Fault(kind="status", status=401), ErrorClass.AUTH),
        (Fault(kind="status", status=404), ErrorClass.NOT_FOUND),
        (
            Fault(kind="status", status=400, code="context_length_exceeded"),
            ErrorClass.CONTEXT_LENGTH,
        ),
    ],
)
async def test_statuses(simulator: Simulator, fault: Fault, expected: ErrorClass) -> None:
    simulator.script.replace([fault])
    _, failure = await ask(simulator, ADAPTER, asking(stream=True))
    assert isinstance(failure, Failure)
    assert failure.error_class is expected
    assert failure.retry_after == fault.retry_after


async def test_a_blocked_prompt(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="status", status=400, code="content_policy_violation")])
    _, outcome = await ask(simulator, ADAPTER, asking())
    assert isinstance(outcome, Outcome)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.CONTENT_POLICY
    assert outcome.failure.code == "PROHIBITED_CONTENT"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_in_the_answer(simulator: Simulator, stream: bool) -> None:
    simulator.script.replace([Fault(kind="error_in_stream")])
    parts, outcome = await ask(simulator, ADAPTER, asking(stream=stream))
    assert isinstance(outcome, Outcome)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.OVERLOADED
    assert TEXT.startswith(text_in(parts))


async def test_a_broken_event_loses_no_text(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="malformed")])
    parts, outcome = await ask(simulator, ADAPTER, asking(stream=True))
    assert isinstance(outcome, Outcome)
    assert (text_in(parts), outcome.complete, outcome.malformed_events) == (TEXT, True, 1)


async def test_an_answer_without_its_end_is_not_complete(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="missing_end")])
    parts, outcome = await ask(simulator, ADAPTER, asking(stream=True))
    assert isinstance(outcome, Outcome)
    assert (text_in(parts), outcome.complete) == (TEXT, False)


async def test_a_cut_stream_breaks_off(simulator: Simulator) -> None:
    simulator.script.replace([Fault(kind="cut")])
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(simulator, ADAPTER, asking(stream=True))


async def test_what_is_refused_and_listed(simulator: Simulator) -> None:
    base = f"{simulator.base_url}/gemini/v1beta/models"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(base)).status_code == 403
        listing = await client.get(base, headers={"x-goog-api-key": "test"})
        assert "gemini-4-argon" in [model.id for model in ADAPTER.list_models(listing.content)]
        refused = await client.post(
            f"{base}/{MODEL}:generateContent",
            headers={"x-goog-api-key": "test"},
            json={"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]},
        )
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "Please use a valid role: user, model."
