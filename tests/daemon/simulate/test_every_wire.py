"""What holds on every simulated wire, read through the adapter that speaks it.

A new wire joins with its line in WIRES; what is particular about a vendor stands in its own file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import Adapter, ChatRequest, Outcome
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd.simulate import Fault, Simulator, expected_text
from routerd_proto.content import Message, Tool, ToolResult
from tests.daemon.providers.drive import answer_message, calls_in, reasoning_in, request, text_in
from tests.daemon.simulate import adapting

SAID = "How is the harbour today?"
WEATHER = Tool("get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})


class Wire(NamedTuple):
    """A wire and one of its models; `place` is where its paths begin.

    `overloaded` is the status that says so; `tells_waits`: its errors say how long.
    """

    adapter: Adapter
    model: str
    place: str
    overloaded: int = 503
    tells_waits: bool = True
    shows_reasoning: bool = True

    @property
    def text(self) -> str:
        return expected_text(self.model, SAID)

    def asking(self, **options: Any) -> ChatRequest:
        return request(self.model, [Message("user", SAID)], **options)


WIRES = (
    Wire(build_adapter("openai"), "gpt-6.1-sol", "openai/v1", shows_reasoning=False),
    Wire(build_adapter("openai-responses"), "gpt-6.1-sol", "openai-responses/v1"),
    Wire(build_adapter("anthropic"), "claude-sonnet-5-5", "anthropic", overloaded=529),
    Wire(build_adapter("gemini"), "gemini-4-argon", "gemini"),
    Wire(build_adapter("bedrock"), "us.anthropic.claude-opus-5-5", "bedrock", tells_waits=False),
    Wire(build_adapter("cohere"), "command-a-plus-05-2026", "cohere"),
)
every_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.adapter.name)
streamed_or_not = pytest.mark.parametrize("stream", [True, False])


@pytest.fixture
async def simulator(wire: Wire) -> AsyncIterator[Simulator]:
    async with Simulator(vendors=[wire.adapter.name]) as running:
        yield running


async def ask(simulator: Simulator, wire: Wire, chat: ChatRequest) -> tuple[Any, Outcome | Failure]:
    return await adapting.ask(simulator, wire.adapter, chat, wire.place)


async def answered(simulator: Simulator, wire: Wire, chat: ChatRequest) -> tuple[Any, Outcome]:
    parts, outcome = await ask(simulator, wire, chat)
    assert isinstance(outcome, Outcome), outcome
    return parts, outcome


def test_every_adapter_of_a_chat_is_here() -> None:
    assert {wire.adapter.name for wire in WIRES} == set(ADAPTERS)


@every_wire
@streamed_or_not
async def test_text_reasoning_and_usage(simulator: Simulator, wire: Wire, stream: bool) -> None:
    chat = wire.asking(stream=stream, reasoning="high")
    parts, outcome = await answered(simulator, wire, chat)
    assert text_in(parts) == wire.text
    assert bool(reasoning_in(parts)) == wire.shows_reasoning
    assert (outcome.finish, outcome.complete, outcome.malformed_events) == ("stop", True, 0)
    [attempt] = simulator.account.attempts
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (
        attempt.usage.input,
        attempt.usage.output,
    )


@every_wire
@streamed_or_not
async def test_a_tool_and_its_result(simulator: Simulator, wire: Wire, stream: bool) -> None:
    chat = wire.asking(stream=stream, tools=[WEATHER], tool_choice="required")
    parts, outcome = await answered(simulator, wire, chat)
    [(call_id, name, _)] = calls_in(parts)
    assert (name, outcome.finish) == ("get_weather", "tool_calls")
    results = Message("tool", [ToolResult(call_id, "22 C")])
    history = [*chat.messages, answer_message(parts), results]
    again = request(wire.model, history, stream=stream, tools=[WEATHER])
    parts, outcome = await answered(simulator, wire, again)
    assert (outcome.finish, calls_in(parts)) == ("stop", [])
    assert text_in(parts)


@every_wire
@streamed_or_not
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, None, ErrorClass.RATE_LIMIT),
        (500, None, ErrorClass.SERVER_ERROR),
        (502, None, ErrorClass.SERVER_ERROR),
        (401, None, ErrorClass.AUTH),
        (404, None, ErrorClass.NOT_FOUND),
        (400, "context_length_exceeded", ErrorClass.CONTEXT_LENGTH),
    ],
)
async def test_statuses(
    simulator: Simulator,
    wire: Wire,
    status: int,
    code: str | None,
    expected: ErrorClass,
    stream: bool,
) -> None:
    wait = 2.5 if status == 429 else None
    simulator.script.replace([Fault(kind="status", status=status, code=code, retry_after=wait)])
    _, failure = await ask(simulator, wire, wire.asking(stream=stream))
    assert isinstance(failure, Failure)
    assert failure.error_class is expected
    assert failure.retry_after == (wait if wire.tells_waits else None)


@every_wire
async def test_a_provider_that_is_overloaded(simulator: Simulator, wire: Wire) -> None:
    simulator.script.replace([Fault(kind="status", status=wire.overloaded)])
    _, failure = await ask(simulator, wire, wire.asking())
    assert isinstance(failure, Failure)
    assert failure.error_class is ErrorClass.OVERLOADED


@every_wire
@streamed_or_not
async def test_an_error_in_the_answer(simulator: Simulator, wire: Wire, stream: bool) -> None:
    simulator.script.replace([Fault(kind="error_in_stream")])
    parts, outcome = await answered(simulator, wire, wire.asking(stream=stream))
    assert outcome.failure is not None
    assert outcome.failure.error_class in (ErrorClass.SERVER_ERROR, ErrorClass.OVERLOADED)
    assert (outcome.complete, outcome.finish) == (False, "error")
    assert wire.text.startswith(text_in(parts))


@every_wire
async def test_a_broken_event_loses_no_text(simulator: Simulator, wire: Wire) -> None:
    simulator.script.replace([Fault(kind="malformed")])
    parts, outcome = await answered(simulator, wire, wire.asking(stream=True))
    assert (text_in(parts), outcome.complete, outcome.malformed_events) == (wire.text, True, 1)


@every_wire
async def test_an_answer_without_its_end_is_not_complete(simulator: Simulator, wire: Wire) -> None:
    simulator.script.replace([Fault(kind="missing_end")])
    parts, outcome = await answered(simulator, wire, wire.asking(stream=True))
    assert (text_in(parts), outcome.complete, outcome.failure) == (wire.text, False, None)


@every_wire
@pytest.mark.parametrize("kind", ["malformed", "missing_end"])
async def test_a_broken_body_is_no_answer(simulator: Simulator, wire: Wire, kind: Any) -> None:
    simulator.script.replace([Fault(kind=kind)])
    _, outcome = await answered(simulator, wire, wire.asking())
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER


@every_wire
@streamed_or_not
@pytest.mark.parametrize("kind", ["cut", "reset", "reset_in_answer"])
async def test_a_connection_that_breaks(
    simulator: Simulator, wire: Wire, kind: Any, stream: bool
) -> None:
    simulator.script.replace([Fault(kind=kind)])
    with pytest.raises(httpx.TransportError):
        await ask(simulator, wire, wire.asking(stream=stream))
