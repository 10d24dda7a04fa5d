"""A conversation whose servers counted their calls anew, on its way to another vendor."""

from __future__ import annotations

from routerd.providers.call_ids import SAME_ID_NOTE
from routerd_proto.content import Message, ToolCall, ToolResult
from tests.daemon.execute.run import Run
from tests.daemon.execute.scripted import Vendor, answer

TURN = [
    Message("assistant", [ToolCall("call_0", "find")]),
    Message("tool", [ToolResult("call_0", "found")]),
]


async def test_calls_of_one_id_are_told_apart_on_the_wire_and_noted() -> None:
    async with Vendor(answer("Hello")) as vendor:
        run = await Run(vendor.target(), messages=[Message("user", "go"), *TURN, *TURN]).go()
    assert run.sink.text == "Hello"
    _, first, its_result, second, its_result_too = vendor.requests[0]["messages"]
    assert [turn["tool_calls"][0]["id"] for turn in (first, second)] == ["call_0", "call_0_2"]
    results = (its_result, its_result_too)
    assert [result["tool_call_id"] for result in results] == ["call_0", "call_0_2"]
    assert run.attempts[0].notes == [SAME_ID_NOTE]
