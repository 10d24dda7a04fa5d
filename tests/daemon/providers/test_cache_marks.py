"""One mark at one place, for either lifetime: it arrives there, and nowhere else, at every wire.

A new wire that carries marks joins with its line in WIRES. What is marked is found again by what it
says; a mark stands on it, or, at Bedrock, right behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from routerd.providers.base import Adapter
from routerd.providers.blank_marks import BLANK_MARK_NOTE
from routerd.providers.registry import build_adapter
from routerd_proto.content import (
    CacheLifetime,
    Content,
    Document,
    Image,
    Message,
    Text,
    ToolCall,
    ToolResult,
)
from tests.daemon.providers.drive import encoded, request
from tests.daemon.providers.speaking import leaves

Json = dict[str, Any]
PIXEL = b"\x89PNG marked"
MARKED = "marked"
# As they are, and in base64.
FOUND = (MARKED, "iVBORyBtYXJrZWQ=", "bWFya2Vk")


class Wire(NamedTuple):
    """A wire, one of its models that takes marks, and what a mark of each lifetime is there."""

    adapter: Adapter
    model: str
    short: Json
    long: Json
    field: str


def of_openai(adapter: str) -> Wire:
    short, long = ({"mode": "explicit", "ttl": ttl} for ttl in ("30m", "12h"))
    return Wire(build_adapter(adapter), "gpt-5.6-sol", short, long, "prompt_cache_breakpoint")


WIRES = {
    "openai": of_openai("openai"),
    "openai-responses": of_openai("openai-responses"),
    "anthropic": Wire(
        build_adapter("anthropic"),
        "claude-opus-4-6",
        {"type": "ephemeral", "ttl": "5m"},
        {"type": "ephemeral", "ttl": "1h"},
        "cache_control",
    ),
    "bedrock": Wire(
        build_adapter("bedrock"),
        "us.anthropic.claude-opus-4-6-v1:0",
        {"type": "default"},
        {"type": "default", "ttl": "1h"},
        "cachePoint",
    ),
}
Place = Callable[[CacheLifetime], list[Message]]


def said(*content: Content) -> list[Message]:
    return [Message("user", [Text("before"), *content, Text("behind")])]


def answered(result: ToolResult) -> list[Message]:
    called = Message("assistant", [ToolCall("call_1", "look")])
    return [Message("user", "look"), called, Message("tool", [result])]


PLACES: dict[str, Place] = {
    "system": lambda ttl: [Message("system", [Text(MARKED, ttl), Text("behind")]), *said()],
    "text": lambda ttl: said(Text(MARKED, ttl)),
    "image": lambda ttl: said(Image(data=PIXEL, media_type="image/png", cache=ttl)),
    "document": lambda ttl: said(Document(data=PIXEL, cache=ttl)),
    "text document": lambda ttl: said(
        Document(data=MARKED.encode(), media_type="text/plain", cache=ttl)
    ),
    "result": lambda ttl: answered(ToolResult("call_1", MARKED, cache=ttl)),
    "result in parts": lambda ttl: answered(
        ToolResult("call_1", [Text("before"), Text(MARKED)], cache=ttl)
    ),
    "inside a result": lambda ttl: answered(
        ToolResult("call_1", [Text("before"), Text(MARKED, ttl)])
    ),
    "failed result": lambda ttl: answered(ToolResult("call_1", MARKED, is_error=True, cache=ttl)),
}


def marks_in(value: Any, field: str) -> Iterator[tuple[Any, Json]]:
    """Go through the marks of a body, each with what it stands on or behind.

    Between a document and its mark there is a text that nobody said.
    """
    if isinstance(value, list):
        for earlier, before, item in zip([None, None, *value], [None, *value], value, strict=False):
            if field == "cachePoint" and isinstance(item, dict) and field in item:
                assert list(item) == [field]
                yield earlier if before == {"text": "."} else before, item[field]
            else:
                yield from marks_in(item, field)
    elif isinstance(value, dict):
        if field in value:
            yield value, value[field]
        for item in value.values():
            yield from marks_in(item, field)


@pytest.mark.parametrize("lifetime", ["5m", "1h"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WIRES)
def test_a_mark_arrives_where_it_was_made(name: str, place: str, lifetime: CacheLifetime) -> None:
    wire = WIRES[name]
    body, _ = encoded(wire.adapter, request(wire.model, PLACES[place](lifetime)))
    [(holder, mark)] = marks_in(body, wire.field)
    assert mark == (wire.long if lifetime == "1h" else wire.short)
    found = [text for text in leaves(holder) if any(piece in text for piece in FOUND)]
    assert len(found) == 1
    assert "behind" not in "".join(leaves(holder))


@pytest.mark.parametrize("name", WIRES)
def test_of_six_marks_the_last_four_stay_wherever_they_are(name: str) -> None:
    wire = WIRES[name]
    messages = [
        Message("system", [Text("1", "1h")]),
        Message("user", [Text("2", "5m"), Image(data=PIXEL, cache="5m")]),
        Message("assistant", [ToolCall("call_1", "look"), ToolCall("call_2", "look")]),
        Message("tool", [ToolResult("call_1", "4", cache="1h"), ToolResult("call_2", [Text("5")])]),
        Message("user", [Text("6", "5m"), Text("7", "1h")]),
    ]
    body, notes = encoded(wire.adapter, request(wire.model, messages))
    marks = [mark for _, mark in marks_in(body.get("system", []), wire.field)]
    turns = body.get("messages", body.get("input"))
    marks += [mark for _, mark in marks_in(turns, wire.field)]
    # A longer one may not come after a shorter one with Anthropic's models.
    short = wire.short if name.startswith("openai") else wire.long
    assert marks == [short, wire.long, short, wire.long]
    assert sum("the last 4 cache marks" in note for note in notes) == 1


BLANKS: dict[str, Callable[[CacheLifetime], list[Message]]] = {
    "system": lambda ttl: [Message("system", [Text(MARKED), Text("", ttl)]), *said()],
    "two system messages": lambda ttl: [
        Message("system", MARKED),
        Message("system", [Text(" ", ttl)]),
        *said(),
    ],
    "text": lambda ttl: said(Text(MARKED), Text("\n ", ttl)),
    "behind another blank": lambda ttl: said(Text(MARKED), Text(" "), Text("", ttl)),
    "image": lambda ttl: said(Image(data=PIXEL, media_type="image/png"), Text("", ttl)),
    "document": lambda ttl: said(Document(data=PIXEL), Text("", ttl)),
    "behind a result": lambda ttl: [
        *answered(ToolResult("call_1", MARKED))[:-1],
        Message("user", [ToolResult("call_1", MARKED), Text("", ttl), Text("behind")]),
    ],
    "inside a result": lambda ttl: answered(
        ToolResult("call_1", [Text("before"), Text(MARKED), Text("", ttl)])
    ),
    "first in a result": lambda ttl: answered(ToolResult("call_1", [Text("", ttl), Text(MARKED)])),
    "a longer one is there": lambda ttl: said(Text(MARKED, ttl), Text("", "5m")),
}


@pytest.mark.parametrize("lifetime", ["5m", "1h"])
@pytest.mark.parametrize("place", BLANKS)
@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
def test_a_mark_on_an_empty_text_goes_to_the_part_before(
    name: str, place: str, lifetime: CacheLifetime
) -> None:
    """Neither is sent an empty text, which cannot be marked either."""
    wire = WIRES[name]
    body, notes = encoded(wire.adapter, request(wire.model, BLANKS[place](lifetime)))
    [(holder, mark)] = marks_in(body, wire.field)
    assert mark == (wire.long if lifetime == "1h" else wire.short)
    assert any(piece in text for text in leaves(holder) for piece in FOUND)
    assert "behind" not in "".join(leaves(holder))
    assert BLANK_MARK_NOTE not in notes


@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", [Text("", "1h"), Text("Hi")])],
        [Message("system", [Text(" ", "5m")]), Message("user", "Hi")],
        [
            Message("user", "Hi"),
            Message("assistant", [Text("a"), ToolCall("call_1", "look"), Text("", "1h")]),
            Message("tool", [ToolResult("call_1", "b")]),
        ],
    ],
)
def test_a_mark_on_an_empty_text_behind_nothing_is_noted(
    name: str, messages: list[Message]
) -> None:
    wire = WIRES[name]
    body, notes = encoded(wire.adapter, request(wire.model, messages))
    assert list(marks_in(body, wire.field)) == []
    assert notes.count(BLANK_MARK_NOTE) == 1


@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
def test_blanks_beside_words_are_left_out_with_a_note(name: str) -> None:
    wire = WIRES[name]
    content: list[Content] = [Text("words"), Text(" \n")]
    body, notes = encoded(wire.adapter, request(wire.model, [Message("user", content)]))
    assert notes == ["a part of nothing but blanks was left out"]
    (part,) = body["messages"][0]["content"]
    assert part["text"] == "words"
