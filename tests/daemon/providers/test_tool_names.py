"""A tool is offered by its own name or not at all, and the refusal says what to do."""

from __future__ import annotations

import pytest

from routerd.errors import CallRefused
from routerd.providers.registry import build_adapter
from routerd_proto.content import Message, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import encoded, request
from tests.daemon.providers.speaking import calls_in_body

WIRES = {
    "anthropic": ("claude-opus-4-6", 128),
    "bedrock": ("us.anthropic.claude-opus-4-6-v1:0", 64),
    "gemini": ("gemini-3.8-flash", 128),
}
GOOD = ("get_weather", "get-weather", "_", "A" * 64)
NOWHERE = ("ns.get weather", "get weather", "größe", "", "a\n", "a/b")
every_wire = pytest.mark.parametrize("wire", WIRES)


def offering(name: str, wire: str) -> None:
    adapter, (model, _) = build_adapter(wire), WIRES[wire]
    body, notes = encoded(adapter, request(model, tools=[Tool("first"), Tool(name)]))
    assert name in str(body["tools"] if "tools" in body else body["toolConfig"])
    assert notes == []


@every_wire
@pytest.mark.parametrize("name", GOOD)
def test_names_that_every_vendor_takes_are_sent(wire: str, name: str) -> None:
    offering(name, wire)


@every_wire
@pytest.mark.parametrize("name", NOWHERE)
def test_a_name_that_the_vendor_would_refuse_is_refused_before(wire: str, name: str) -> None:
    with pytest.raises(CallRefused) as refused:
        offering(name, wire)
    info = refused.value.info
    assert (info.code, info.details) == ("invalid_request", {"param": "options.tools[1].name"})
    assert "rename it" in info.message
    assert repr(name) in info.message


@every_wire
def test_a_name_may_be_as_long_as_the_vendor_takes_it(wire: str) -> None:
    most = WIRES[wire][1]
    offering("a" * most, wire)
    with pytest.raises(CallRefused) as refused:
        offering("a" * (most + 1), wire)
    assert f"up to {most} " in refused.value.info.message


@pytest.mark.parametrize(
    ("name", "takers"),
    [
        ("ns.get:weather", {"gemini"}),
        ("1st", {"anthropic", "bedrock"}),
        ("-", {"anthropic", "bedrock"}),
    ],
)
def test_where_they_differ_each_takes_its_own(name: str, takers: set[str]) -> None:
    for wire in WIRES:
        if wire in takers:
            offering(name, wire)
        else:
            with pytest.raises(CallRefused):
                offering(name, wire)


@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
def test_what_an_earlier_tool_was_called_need_not_fit(wire: str) -> None:
    history = [
        Message("user", "Hi"),
        Message("assistant", [ToolCall("c", "ns.get weather"), ToolCall("d", "look")]),
        Message("tool", [ToolResult("c", "22 C"), ToolResult("d", "calm")]),
    ]
    chat = request(WIRES[wire][0], history, tools=[Tool("look")])
    body, notes = encoded(build_adapter(wire), chat)
    renamed, kept = (call.name for call in calls_in_body(body["messages"]))
    assert renamed is not None
    assert renamed.startswith("tool_")
    assert kept == "look"
    assert notes == ["the name of an earlier tool call was changed to one this provider takes"]
