"""An answer that its vendor paused goes back to it, to go on; to nobody else who begins anew."""

from __future__ import annotations

from typing import Any

from routerd.providers.anthropic import AnthropicAdapter
from routerd_proto.content import Message, Reasoning, Text
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Exchange, Vendor, answer

USE = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
PAUSED = [
    Message("user", "Search."),
    Message(
        "assistant",
        [
            Text("Let me see."),
            Reasoning("", "anthropic", {"block": USE}),
            Reasoning("", "anthropic", {"on": "pause"}),
        ],
    ),
]


async def going_on(exchange: Exchange) -> None:
    text = {"type": "text", "text": "It is calm."}
    body: dict[str, Any] = {"type": "message", "content": [text], "stop_reason": "end_turn"}
    await exchange.plain(200, body | {"usage": {"input_tokens": 1, "output_tokens": 1}})


async def test_it_goes_on_where_it_paused() -> None:
    async with Vendor(going_on, adapter=AnthropicAdapter()) as vendor:
        run = await Run(vendor.target(), stream=False, messages=PAUSED).go()
    assert (run.execution.error, run.sink.text) == (None, "It is calm.")
    [sent] = vendor.requests
    assert sent["messages"][-1]["content"] == [{"type": "text", "text": "Let me see."}, USE]


async def test_who_cannot_go_on_from_it_is_passed_by() -> None:
    async with (
        Vendor(answer("anew"), name="other") as other,
        Vendor(going_on, name="own", adapter=AnthropicAdapter()) as vendor,
    ):
        run = await Run(other.target(), vendor.target(), stream=False, messages=PAUSED).go()
    assert run.way == [("other", "first", "bad_request"), ("own", "fallback", None)]
    assert (len(other.requests), run.sink.text) == (0, "It is calm.")


async def test_where_nobody_can_it_is_the_callers_to_know() -> None:
    async with Vendor(answer("anew")) as other:
        run = await Run(other.target(), stream=False, messages=PAUSED).go()
    assert (run.error.code, other.requests) == ("invalid_request", [])
    assert "cannot continue a message" in run.error.message
