"""Half a character that cannot be sent is noted where it is sent as another one."""

from __future__ import annotations

import pytest

from routerd.providers.registry import build_adapter
from routerd.providers.request import HALVES_NOTE
from routerd_proto.content import Message, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import request


@pytest.mark.parametrize("adapter", ["anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize(
    ("arguments", "sent", "is_lost"),
    [
        (r'{"a": "x\ud83d"}', "x\ufffd", True),
        (r'{"\udc4b": 1}', "\ufffd", True),
        (r'{"a": "\ud83d\udc4b"}', "\U0001f44b", False),
        (r'{"a": "\u00e9"}', "é", False),
        ('{"a": "\ufffd"}', "\ufffd", False),
    ],
)
def test_of_arguments_that_go_back_as_an_object(
    adapter: str, arguments: str, sent: str, *, is_lost: bool
) -> None:
    messages = [
        Message("user", "go"),
        Message("assistant", [ToolCall("call_0", "find", arguments)]),
        Message("tool", [ToolResult("call_0", "found")]),
    ]
    encoded = build_adapter(adapter).encode(request(messages=messages, tools=[Tool("find")]))
    assert sent in encoded.body.decode()
    assert (HALVES_NOTE in encoded.notes) is is_lost
