"""Blanks that a wire takes nowhere are left out with a note, in system text and results too."""

from __future__ import annotations

import pytest

from routerd.providers.alternating import BLANK_NOTE
from routerd.providers.blank_marks import BLANK_RESULT_NOTE
from routerd.providers.registry import build_adapter
from routerd_proto.content import Content, Message, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import encoded, request

USER = Message("user", "Hi")
by_each_that_refuses_blanks = pytest.mark.parametrize("adapter", ["anthropic", "bedrock"])
MODEL = "anthropic.claude-sonnet-4-6"


def notes_on(adapter: str, *messages: Message) -> list[str]:
    chat = request(MODEL, list(messages), tools=[Tool("find")])
    return encoded(build_adapter(adapter), chat)[1]


def returned(*parts: Text) -> tuple[Message, ...]:
    result = ToolResult("call_0", list(parts))
    return (USER, Message("assistant", [ToolCall("call_0", "find")]), Message("tool", [result]))


@by_each_that_refuses_blanks
@pytest.mark.parametrize(
    ("system", "noted"),
    [
        ([Text("Be kind")], []),
        ([Text("Be kind"), Text("")], []),
        ([Text("Be kind"), Text(" \n")], [BLANK_NOTE]),
        ([Text(" ")], [BLANK_NOTE]),
        ([Text("Be kind"), Text(" ", cache="5m")], [BLANK_NOTE]),
    ],
)
def test_in_the_system_text(adapter: str, system: list[Content], noted: list[str]) -> None:
    assert notes_on(adapter, Message("system", system), USER) == noted


@by_each_that_refuses_blanks
@pytest.mark.parametrize(
    ("texts", "noted"),
    [
        ((Text("a"), Text("b")), []),
        ((Text("a"), Text("")), []),
        ((Text("a"), Text(" ")), [BLANK_RESULT_NOTE]),
        ((Text("a"), Text(" ", cache="5m")), [BLANK_RESULT_NOTE]),
    ],
)
def test_in_the_result_of_a_tool(adapter: str, texts: tuple[Text, ...], noted: list[str]) -> None:
    assert notes_on(adapter, *returned(*texts)) == noted


@by_each_that_refuses_blanks
def test_that_bear_a_mark(adapter: str) -> None:
    message = Message("user", [Text("Hi"), Text(" ", cache="5m")])
    assert notes_on(adapter, message) == [BLANK_NOTE]
