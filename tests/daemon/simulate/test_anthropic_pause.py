"""An answer of Anthropic's that pauses goes on through the adapter, and its client reads the same.

The search is put beside what the adapter has written: it is a parameter of the vendor's alone.
"""

from __future__ import annotations

import json
from typing import Any

import anyio.to_thread
import httpx
import pytest

from routerd.domain import Capabilities, Part
from routerd.providers.base import Outcome
from routerd.providers.registry import build_adapter
from routerd.simulate import Pacing, Simulator
from routerd_client.reply import assemble
from routerd_proto.content import Message, Reasoning, ToolCall, ToolResult
from routerd_proto.frames import CallEnded
from tests.daemon.providers.drive import calls_in, chat_parts, decode, request, text_in

anthropic = pytest.importorskip(
    "anthropic", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)

ANTHROPIC = build_adapter("anthropic")
MODEL = "claude-opus-4-8"
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
ASKED = Message("user", "use web_search")
# As this model is: it takes no answer that is begun for it.
UNABLE = Capabilities(tools=True, reasoning=True, prefill=False)


def body_of(messages: list[Message], *, stream: bool = True) -> dict[str, Any]:
    sent = ANTHROPIC.encode(request(MODEL, messages, stream=stream, capabilities=UNABLE))
    body: dict[str, Any] = json.loads(sent.body)
    return body | {"tools": [SEARCH]}


async def ask(
    simulator: Simulator, messages: list[Message], *, stream: bool = True
) -> tuple[list[Part], Outcome]:
    headers = ANTHROPIC.authorize("test")
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{simulator.base_url}/anthropic/v1/messages"
        body = body_of(messages, stream=stream)
        answer = await client.post(url, headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    return decode(ANTHROPIC, [answer.content], stream=stream)


def as_message(parts: list[Part]) -> Message:
    return assemble(chat_parts(parts), CallEnded("stop", "d")).message


@pytest.mark.parametrize("stream", [True, False])
async def test_it_goes_on_and_the_conversation_too(*, stream: bool) -> None:
    async with Simulator(pacing=Pacing(output_tokens=20)) as simulator:
        paused, outcome = await ask(simulator, [ASKED], stream=stream)
        assert (outcome.finish, outcome.complete, calls_in(paused)) == ("pause", True, [])
        history = [ASKED, as_message(paused)]
        ended, outcome = await ask(simulator, history, stream=stream)
        assert (outcome.finish, outcome.complete) == ("stop", True)
        assert text_in(ended)
        # To somebody else and back: all that is Anthropic's own is still there, unchanged.
        history += [as_message(ended), Message("user", "And now?")]
        history += [Message("assistant", "It is late."), ASKED]
        _, outcome = await ask(simulator, history, stream=stream)
        assert outcome.finish == "pause"
        own = own_blocks(history)
        assert [block["type"] for block in own] == ["server_tool_use", "web_search_tool_result"]
        blocks = [
            block
            for turn in body_of(history)["messages"]
            for block in turn["content"]
            if block["type"] not in ("text", "thinking")
        ]
        assert blocks == own


def own_blocks(messages: list[Message]) -> list[dict[str, Any]]:
    return [
        part.data["block"]
        for message in messages
        for part in message.content
        if isinstance(part, Reasoning) and "block" in part.data
    ]


async def test_its_own_client_reads_the_same_pause() -> None:
    async with Simulator(pacing=Pacing(output_tokens=20)) as simulator:
        parts, _ = await ask(simulator, [ASKED])
        message = await anyio.to_thread.run_sync(by_client, simulator.base_url, body_of([ASKED]))
        history = [ASKED, as_message(parts)]
        rest, _ = await ask(simulator, history)
        more = await anyio.to_thread.run_sync(by_client, simulator.base_url, body_of(history))
    for told, read in ((message, parts), (more, rest)):
        assert "".join(block.text for block in told.content if block.type == "text") == text_in(
            read
        )
    use = next(block for block in message.content if block.type == "server_tool_use")
    [block] = own_blocks([as_message(parts)])
    assert (use.name, use.input) == (block["name"], block["input"])
    assert message.stop_reason == "pause_turn"


def by_client(base_url: str, body: dict[str, Any]) -> Any:
    body = {name: value for name, value in body.items() if name != "stream"}
    options = {"api_key": "test", "base_url": f"{base_url}/anthropic", "max_retries": 0}
    with anthropic.Anthropic(**options) as client, client.messages.stream(**body) as stream:
        return stream.get_final_message()


async def test_calls_of_the_callers_stay_beside_it() -> None:
    """A search in the history is no call: results of tools are still paired with theirs."""
    async with Simulator(pacing=Pacing(output_tokens=20)) as simulator:
        paused, _ = await ask(simulator, [ASKED])
        ended, _ = await ask(simulator, [ASKED, as_message(paused)])
        history = [ASKED, as_message(paused), as_message(ended), Message("user", "Look.")]
        history += [
            Message("assistant", [ToolCall("call_1", "look")]),
            Message("tool", [ToolResult("call_1", "calm")]),
        ]
        parts, outcome = await ask(simulator, history)
    assert (text_in(parts) != "", outcome.complete) == (True, True)
