from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routerd.domain import Capabilities
from routerd.errors import CallRefused
from routerd.providers.anthropic import AnthropicAdapter
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolName,
    ToolResult,
)
from tests.daemon.providers.drive import ABLE, encoded, request

ANTHROPIC = AnthropicAdapter()
MODEL = "claude-sonnet-4-6"
OLD_MODEL = "claude-haiku-4-5-20251001"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
WEATHER = Tool("get_weather", "The weather.", {"properties": {"city": {"type": "string"}}})
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
HI = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]


def able(**changes: Any) -> Capabilities:
    return msgspec.structs.replace(ABLE, **changes)


def body_of(model_id: str = MODEL, **arguments: Any) -> dict[str, Any]:
    return encoded(ANTHROPIC, request(model_id, **arguments))[0]


def both(model_id: str = MODEL, **arguments: Any) -> tuple[dict[str, Any], list[str]]:
    return encoded(ANTHROPIC, request(model_id, **arguments))


def turns(*messages: Message, **arguments: Any) -> Any:
    return body_of(messages=list(messages), **arguments)["messages"]


def test_only_what_was_set_is_sent() -> None:
    body, notes = both()
    assert body == {"model": MODEL, "max_tokens": 4096, "messages": HI}
    assert notes == []


def test_where_it_goes_and_what_goes_with_it() -> None:
    assert ANTHROPIC.encode(request()).path == "/v1/messages"
    version = (b"anthropic-version", b"2023-06-01")
    assert ANTHROPIC.authorize("a-key") == [version, (b"x-api-key", b"a-key")]
    assert ANTHROPIC.authorize(None) == [version]


def test_all_simple_options() -> None:
    body, notes = both(
        stream=True, max_output_tokens=100, temperature=0.5, stop=["END", "\n\n"], seed=7
    )
    assert body == {
        "model": MODEL,
        "max_tokens": 100,
        "messages": HI,
        "stream": True,
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }
    assert notes == [
        "seed was left out: this provider has none",
        "a stop sequence of white space was left out: this provider refuses it",
    ]


@pytest.mark.parametrize(
    ("model", "limit", "options", "sent"),
    [
        (MODEL, None, {}, 4096),
        (MODEL, 1000, {}, 1000),
        (MODEL, 64_000, {}, 4096),
        (MODEL, 1000, {"max_output_tokens": 2000}, 1000),
        (MODEL, None, {"max_output_tokens": 200_000}, 200_000),
        # Room for thinking is added to the default, never to what the caller asked for.
        (MODEL, 128_000, {"reasoning": "high"}, 20_480),
        (MODEL, 8000, {"reasoning": "high"}, 8000),
        (MODEL, 128_000, {"reasoning": "high", "max_output_tokens": 500}, 500),
        ("claude-opus-5", 128_000, {}, 20_480),
        ("claude-opus-5", 128_000, {"reasoning": "none"}, 4096),
        (OLD_MODEL, 64_000, {"reasoning": "low"}, 8192),
        (OLD_MODEL, 64_000, {}, 4096),
    ],
)
def test_max_tokens_is_always_sent(model: str, limit: int | None, options: Any, sent: int) -> None:
    chat = request(model, output_limit=limit, **options)
    assert encoded(ANTHROPIC, chat)[0]["max_tokens"] == sent
    assert ANTHROPIC.encode(chat).max_output_tokens == sent


# --- reasoning -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "effort", "noted"),
    [
        ("claude-opus-4-6", None, None, None, False),
        ("claude-opus-4-6", "none", None, None, False),
        ("claude-opus-4-6", "minimal", "adaptive", "low", True),
        ("claude-opus-4-6", "high", "adaptive", "high", False),
        ("claude-opus-4-6", "xhigh", "adaptive", "high", True),
        ("claude-opus-4-6", "max", "adaptive", "max", False),
        ("claude-opus-4-7", "xhigh", "adaptive", "xhigh", False),
        ("claude-opus-4-8", None, None, None, False),
        ("claude-opus-5", None, None, None, False),
        ("claude-opus-5", "none", "disabled", None, False),
        ("claude-haiku-5-5", "none", "disabled", None, False),
        ("claude-opus-5-5", "none", "adaptive", "low", True),
        ("claude-sonnet-5-5", "none", "adaptive", "low", True),
        ("claude-fable-5-1", "none", "adaptive", "low", True),
        ("claude-fable-5-2", "medium", "adaptive", "medium", False),
        ("anthropic.claude-opus-5-5", "none", "adaptive", "low", True),
        ("anthropic/claude-sonnet-4.6", "xhigh", "adaptive", "high", True),
        ("a-future-model", "max", "adaptive", "max", False),
        ("claude-opus-4-20250514", "none", None, None, False),
        ("claude-3-5-haiku-20241022", "high", None, None, True),
        ("claude-2.1", "high", None, None, True),
    ],
)
def test_reasoning(
    model: str, asked: Any, thinking: str | None, effort: str | None, noted: bool
) -> None:
    body, notes = both(model, reasoning=asked)
    assert body.get("thinking", {}).get("type") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert bool(notes) == noted


@pytest.mark.parametrize(
    ("options", "limit", "budget", "max_tokens"),
    [
        ({"reasoning": "minimal"}, 64_000, 1024, 5120),
        ({"reasoning": "high"}, 64_000, 16_384, 20_480),
        ({"reasoning": "max"}, 64_000, 32_768, 36_864),
        ({"reasoning": "max"}, 8000, 6000, 8000),
        ({"reasoning": "high", "max_output_tokens": 2000}, 64_000, 1500, 2000),
        ({"reasoning": "high", "max_output_tokens": 30_000}, 64_000, 16_384, 30_000),
        ({"reasoning": "high", "max_output_tokens": 1200}, 64_000, None, 1200),
    ],
)
@pytest.mark.parametrize("model", [OLD_MODEL, "claude-3-7-sonnet-20250219"])
def test_old_models_think_within_a_budget(
    model: str, options: Any, limit: int, budget: int | None, max_tokens: int
) -> None:
    body, notes = both(model, output_limit=limit, **options)
    assert body["max_tokens"] == max_tokens
    if budget is None:
        assert "thinking" not in body
        assert notes == ["reasoning was left out: 1200 output tokens leave no room for it"]
    else:
        assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
        assert 1024 <= budget < max_tokens
    assert "output_config" not in body


def test_an_old_model_cannot_think_on_from_another_models_tool_call() -> None:
    chat = [
        Message("user", "go"),
        Message("assistant", [ToolCall("a", "f")]),
        Message("tool", [ToolResult("a", "1")]),
    ]
    body, notes = both(OLD_MODEL, messages=chat, reasoning="low", tools=[Tool("f")])
    assert "thinking" not in body
    assert notes == ["reasoning was left out: the tool call to go on from was another model's"]
    own: list[Content] = [
        Reasoning("t", "anthropic", {"signature": "s"}),
        ToolCall("a", "f"),
    ]
    chat[1] = Message("assistant", own)
    body = body_of(OLD_MODEL, messages=chat, reasoning="low", tools=[Tool("f")])
    assert body["thinking"]["type"] == "enabled"


def test_an_old_model_cannot_think_on_from_words() -> None:
    chat = [Message("user", "Count"), Message("assistant", "One,")]
    body, notes = both("claude-sonnet-4-5", messages=chat, reasoning="high", temperature=0.5)
    assert ("thinking" in body, body["max_tokens"], body["temperature"]) == (False, 4096, 0.5)
    assert notes == ["reasoning was left out: the answer to go on with does not begin with it"]
    # What paused goes on with the thinking that it began with.
    thought = Reasoning("t", "anthropic", {"signature": "s"})
    chat[1] = Message(
        "assistant", [thought, Text("One,"), Reasoning("", "anthropic", {"on": "pause"})]
    )
    body, notes = both("claude-sonnet-4-5", messages=chat, reasoning="high")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 16_384}
    assert body["messages"][1]["content"][0]["type"] == "thinking"
    assert notes == []


@pytest.mark.parametrize(
    ("asked", "shown", "display"),
    [("high", True, "summarized"), ("high", False, None), ("none", True, None)],
)
def test_thinking_is_asked_to_be_shown(asked: Any, shown: bool, display: str | None) -> None:
    chat = request("claude-opus-5-5", reasoning=asked)
    body, _ = encoded(ANTHROPIC, msgspec.structs.replace(chat, reasoning_shown=shown))
    assert body["thinking"].get("display") == display


def test_a_model_whose_abilities_are_unknown_thinks_like_its_generation() -> None:
    body, notes = both("claude-fable-5-2", capabilities=Capabilities(), reasoning="high")
    assert (body["thinking"]["type"], body["output_config"]) == ("adaptive", {"effort": "high"})
    assert notes == []
    # It thinks unasked too, and needs the room.
    assert body_of("claude-fable-5-2", capabilities=Capabilities())["max_tokens"] == 20_480


@pytest.mark.parametrize("model", ["a-model", OLD_MODEL, "claude-opus-4-8"])
def test_a_model_that_does_not_reason(model: str) -> None:
    body, notes = both(model, capabilities=able(reasoning=False), reasoning="high")
    assert "thinking" not in body
    assert notes == ["reasoning high was left out: this model does not reason"]


# --- sampling --------------------------------------------------------------------------------


def test_temperature_goes_to_one_only() -> None:
    body, notes = both(temperature=1.5)
    assert (body["temperature"], notes) == (1.0, ["temperature was cut from 1.5 to 1.0"])


def test_temperature_and_top_p_do_not_go_together() -> None:
    body, notes = both(temperature=0.5, top_p=0.5)
    assert "top_p" not in body
    assert len(notes) == 1
    assert body_of(top_p=0.5)["top_p"] == 0.5


def test_sampling_goes_neither_with_reasoning_nor_with_newer_models() -> None:
    body, notes = both(temperature=0.5, reasoning="low")
    assert "temperature" not in body
    assert notes == ["temperature was left out: it does not go with reasoning"]
    body, notes = both(temperature=0.5, capabilities=able(sampling="no"))
    assert "temperature" not in body
    assert notes == ["temperature was left out: this model does not take it"]
    assert "temperature" in body_of(temperature=0.5, reasoning="none")


# --- tools and schema ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolName("get_weather"), None, {"type": "tool", "name": "get_weather"}),
    ],
)
def test_tools_and_tool_choice(choice: Any, parallel: bool | None, sent: Any) -> None:
    body = body_of(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=parallel)
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "The weather.",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
    ]
    assert body.get("tool_choice") == sent


def test_a_choice_the_model_cannot_be_forced_to() -> None:
    options: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "required"}
    body, notes = both(capabilities=able(forced_tool_choice=False), **options)
    assert (body["tool_choice"], len(notes)) == ({"type": "auto"}, 1)
    body, notes = both(OLD_MODEL, reasoning="low", **options)
    assert (body["tool_choice"], len(notes)) == ({"type": "auto"}, 1)
    body, notes = both(MODEL, reasoning="low", **options)
    assert (body["tool_choice"], len(notes)) == ({"type": "any"}, 0)


def test_strict_tools_only_where_the_schema_is_strict() -> None:
    body, notes = both(tools=[Tool("f", parameters=CLOSED, strict=True)])
    assert (body["tools"][0]["strict"], notes) == (True, [])
    body, notes = both(tools=[Tool("f", parameters={}, strict=True)])
    assert "strict" not in body["tools"][0]
    assert len(notes) == 1


def test_tools_of_earlier_turns_are_named() -> None:
    chat = [
        Message("user", "go"),
        Message("assistant", [ToolCall("a", "f"), ToolCall("b", "f")]),
        Message("tool", [ToolResult("a", "1"), ToolResult("b", "2")]),
    ]
    body, notes = both(messages=chat)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
    assert len(notes) == 1


def test_an_output_schema_is_closed() -> None:
    body, notes = both(output_schema=CLOSED, reasoning="low")
    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": CLOSED},
    }
    assert notes == []
    body, notes = both(output_schema={"type": "object", "properties": {"a": {"type": "object"}}})
    assert body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {"a": {"type": "object", "additionalProperties": False}},
        "additionalProperties": False,
    }
    assert notes == ["additionalProperties: false was added to the output schema"]


# --- messages --------------------------------------------------------------------------------


def test_system_messages_at_the_start_become_one_prompt() -> None:
    chat = [
        Message("system", "One."),
        Message("system", [Text("Two."), Text("")]),
        Message("user", "Hi"),
    ]
    body, notes = both(messages=chat)
    assert (body["system"], body["messages"], notes) == ("One.\n\nTwo.", HI, [])


def test_a_cached_system_prompt_keeps_its_parts() -> None:
    chat = [Message("system", [Text("One.", cache="1h"), Text("Two.")]), Message("user", "Hi")]
    assert body_of(messages=chat)["system"] == [
        {"type": "text", "text": "One.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "Two."},
    ]


def test_a_later_system_message_stays_in_its_place() -> None:
    chat = [
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("system", "Now in French."),
        Message("user", "Again"),
    ]
    body, notes = both(messages=chat)
    assert body["system"] == "Be brief."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in body["messages"][2]["content"]] == [
        "Now in French.",
        "Again",
    ]
    assert notes == ["a system message after the start was sent as user text"]


def test_results_of_one_turn_are_one_user_message_and_come_first() -> None:
    sent = turns(
        Message("user", "go"),
        Message("assistant", [Text("ok"), Text(""), ToolCall("a", "f", '{"x":1}')]),
        Message("assistant", [ToolCall("b", "g", "")]),
        Message("tool", [ToolResult("a", "1")]),
        Message("tool", [ToolResult("b", [Text("2"), Text("")], is_error=True, cache="5m")]),
        Message("user", [Text("so?"), ToolResult("c", "")]),
        tools=[Tool("f"), Tool("g")],
    )
    assert sent[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "text", "text": "2"}],
                    "is_error": True,
                    "cache_control": {"type": "ephemeral", "ttl": "5m"},
                },
                {"type": "tool_result", "tool_use_id": "c"},
                {"type": "text", "text": "so?"},
            ],
        },
    ]


def test_pictures_and_documents() -> None:
    sent = turns(
        Message(
            "user",
            [
                Image(url="https://example.org/a.png"),
                Image(url="data:image/webp;base64,AAAA"),
                Image(data=b"\x00", media_type="image/gif", cache="5m"),
                Image(url="data:image/jpg;base64,AAAA"),
                Image(data=b"\x00", media_type="image/JPG"),
                Document(data=b"%PDF", media_type="application/pdf", title="T"),
                Document(url="https://example.org/a.pdf"),
                Document(data=b"abc", media_type="text/markdown"),
                Document(url="data:text/plain;charset=utf-8;base64,R3LDvMOfZQ=="),
            ],
        )
    )
    assert [block["source"] for block in sent[0]["content"]] == [
        {"type": "url", "url": "https://example.org/a.png"},
        {"type": "base64", "media_type": "image/webp", "data": "AAAA"},
        {"type": "base64", "media_type": "image/gif", "data": "AA=="},
        {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
        {"type": "base64", "media_type": "image/jpeg", "data": "AA=="},
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
        {"type": "url", "url": "https://example.org/a.pdf"},
        {"type": "text", "media_type": "text/plain", "data": "abc"},
        {"type": "text", "media_type": "text/plain", "data": "Grüße"},
    ]
    assert [block["type"] for block in sent[0]["content"]] == ["image"] * 5 + ["document"] * 4
    assert sent[0]["content"][5]["title"] == "T"


def test_a_picture_in_a_tool_result_stays_there() -> None:
    sent = turns(
        Message("user", "go"),
        Message("assistant", [ToolCall("a", "f")]),
        Message("tool", [ToolResult("a", [Image(data=b"\x00", media_type="image/png")])]),
    )
    assert sent[2]["content"][0]["content"][0]["type"] == "image"


def test_own_reasoning_goes_back_as_it_came() -> None:
    sent, notes = both(
        messages=[
            Message("user", "go"),
            Message(
                "assistant",
                [
                    Reasoning("t", "anthropic", {"signature": "s"}),
                    Reasoning("", "anthropic", {"signature": "only"}),
                    Reasoning("", "anthropic", {"redacted": "r"}),
                    Text("x"),
                ],
            ),
            Message("user", "on"),
        ]
    )
    assert sent["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "thinking", "thinking": "", "signature": "only"},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "text", "text": "x"},
    ]
    assert notes == []


@pytest.mark.parametrize(
    "reasoning",
    [
        Reasoning("t", "deepseek", {"signature": "s"}),
        Reasoning("t", "", {"signature": "s"}),
        Reasoning("t", "anthropic", {}),
        Reasoning("t", "anthropic", {"signature": 5, "redacted": None}),
    ],
)
def test_reasoning_without_the_vendors_signature_is_left_out(reasoning: Reasoning) -> None:
    chat = [
        Message("user", "a"),
        Message("assistant", [reasoning, Text("b")]),
        Message("user", "c"),
    ]
    body, notes = both(messages=chat)
    assert body["messages"][1]["content"] == [{"type": "text", "text": "b"}]
    assert notes == ["reasoning of an earlier answer was left out: this provider cannot read it"]


def test_the_first_turn_is_the_users() -> None:
    for chat in ([Message("assistant", "a"), Message("user", "b")], [Message("system", "s")]):
        body, notes = both(messages=chat)
        assert body["messages"][0]["role"] == "user"
        assert notes == ["a user turn was put first, which this provider asks for"]


def test_ids_of_other_vendors_are_replaced_alike_in_call_and_result() -> None:
    sent = turns(
        Message("user", "go"),
        Message("assistant", [ToolCall("functions.f:0", "f"), ToolCall("", "f")]),
        Message("tool", [ToolResult("functions.f:0", "1"), ToolResult("", "2")]),
    )
    ids = [block["id"] for block in sent[1]["content"]]
    assert ids == [block["tool_use_id"] for block in sent[2]["content"]]
    assert len(set(ids)) == 2
    assert all(call_id.isascii() and call_id.replace("_", "").isalnum() for call_id in ids)


@pytest.mark.parametrize("arguments", ["[1]", "{cut", '"text"', "null"])
def test_arguments_that_are_no_object_are_wrapped(arguments: str) -> None:
    chat = [
        Message("user", "go"),
        Message("assistant", [ToolCall("a", "f", arguments)]),
        Message("tool", [ToolResult("a", "1")]),
    ]
    body, notes = both(messages=chat, tools=[Tool("f")])
    assert body["messages"][1]["content"][0]["input"] == {"arguments": arguments}
    assert len(notes) == 1


def test_only_the_last_four_cache_marks_are_sent() -> None:
    chat = [
        Message("system", [Text("s", cache="1h")]),
        Message("user", [Text(str(number), cache="5m") for number in range(4)]),
    ]
    body, notes = both(messages=chat)
    assert "cache_control" not in body["system"][0]
    assert all("cache_control" in block for block in body["messages"][0]["content"])
    assert notes == ["only the last 4 cache marks were sent"]
    body, notes = both(messages=[chat[0], Message("user", [Text("a", cache="5m")])])
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert notes == []


def test_marks_before_one_of_an_hour_are_of_an_hour_too() -> None:
    """The vendor refuses a mark of an hour behind one of five minutes."""
    chat = [
        Message("system", [Text("s", cache="5m")]),
        Message("user", [Text("a", cache="1h"), Text("b", cache="5m")]),
    ]
    body, notes = both(messages=chat)
    asked = [body["system"][0], *body["messages"][0]["content"]]
    assert [block["cache_control"]["ttl"] for block in asked] == ["1h", "1h", "5m"]
    assert notes == ["a cache mark of 5m was sent as 1h: one of 1h comes after it"]
    assert ANTHROPIC.encode(request(MODEL, chat)).keeps_long
    # One that is not sent raises nothing.
    chat[1] = Message("user", [Text(str(number), cache="5m") for number in range(4)])
    chat[0] = Message("system", [Text("s", cache="1h")])
    assert not ANTHROPIC.encode(request(MODEL, chat)).keeps_long


def test_marks_inside_the_results_of_tools_are_counted_too() -> None:
    calls, names = [Tool("f")], [f"call-{number}" for number in range(6)]
    chat = [
        Message("user", "Go on"),
        Message("assistant", [ToolCall(name, "f") for name in names]),
        Message("tool", [ToolResult(name, [Text("r", cache="1h")]) for name in names]),
    ]
    body, notes = both(messages=chat, tools=calls)
    results = body["messages"][2]["content"]
    marked = ["cache_control" in result["content"][0] for result in results]
    assert marked == [False] * 2 + [True] * 4
    assert notes == ["only the last 4 cache marks were sent"]


def test_text_of_blanks_alone_is_left_out_everywhere() -> None:
    """Many open models write two line ends before a call; a block without words is a 400."""
    chat = [
        Message("system", [Text("Be kind", cache="5m"), Text(" \n")]),
        Message("user", "Go on"),
        Message("assistant", [Text("\n\n"), ToolCall("call-1", "f")]),
        Message("tool", [ToolResult("call-1", [Text(" ")])]),
    ]
    body, _ = both(messages=chat, tools=[Tool("f")])
    assert [block["text"] for block in body["system"]] == ["Be kind"]
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]
    assert "content" not in body["messages"][2]["content"][0]


@pytest.mark.parametrize("after", [[], [Message("assistant", " ")]])
def test_a_last_user_message_of_blanks_is_no_prefill(after: list[Message]) -> None:
    chat = [Message("user", "Count"), Message("assistant", "One"), Message("user", " "), *after]
    body, notes = both(messages=chat, capabilities=able(prefill=False))
    assert body["messages"][2:] == [{"role": "user", "content": [{"type": "text", "text": "."}]}]
    assert notes == [
        "a message of nothing but blanks was left out",
        'a last user message without words was sent as "."',
    ]


def test_no_answer_ends_with_thinking() -> None:
    thought = Reasoning("t", "anthropic", {"signature": "s"})
    chat = [
        Message("user", "a"),
        Message("assistant", [thought, Reasoning("", "anthropic", {"redacted": "r"})]),
        Message("user", "b"),
        Message("assistant", [Text("c"), thought]),
        Message("user", "d"),
        Message("assistant", [thought]),
        Message("assistant", [Text("e")]),
        Message("user", "f"),
    ]
    body, notes = both(messages=chat)
    said = [[block["type"] for block in turn["content"]] for turn in body["messages"]]
    assert said == [["text", "text"], ["text"], ["text"], ["thinking", "text"], ["text"]]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert notes == ["thinking at the end of an earlier answer was left out: nothing came after it"]
    # Nor does a blank message before it make what is left of it a prefill.
    body, _ = both(messages=[*chat[:4], Message("user", " "), Message("assistant", [thought])])
    assert body["messages"][-1] == {"role": "user", "content": [{"type": "text", "text": "."}]}


def test_going_on_from_the_assistants_words() -> None:
    chat = [Message("user", "Count"), Message("assistant", "One, ")]
    body, notes = both(messages=chat)
    assert body["messages"][1]["content"] == [{"type": "text", "text": "One,"}]
    assert len(notes) == 1
    with pytest.raises(CallRefused) as refused:
        both(messages=chat, capabilities=able(prefill=False))
    assert refused.value.info.code == "invalid_request"
    parts = [Message("user", "Count"), Message("assistant", [Text("One, "), Text("  ")])]
    body, notes = both(messages=parts)
    assert body["messages"][1]["content"] == [{"type": "text", "text": "One,"}]
    assert len(notes) == 2
    blank = [Message("user", "Count"), Message("assistant", " ")]
    assert [turn["role"] for turn in body_of(messages=blank)["messages"]] == ["user"]


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("vision", {"messages": [Message("user", [Image(url="https://example.org/a.png")])]}),
        ("tools", {"tools": [WEATHER]}),
        ("json_schema", {"output_schema": CLOSED}),
    ],
)
def test_what_changes_the_meaning_is_refused(missing: str, arguments: Any) -> None:
    with pytest.raises(CallRefused) as refused:
        body_of(capabilities=able(**{missing: False}), **arguments)
    assert refused.value.info.code == "invalid_request"


def test_what_the_format_cannot_carry_is_refused() -> None:
    for message in (
        Message("assistant", [Image(url="https://example.org/a.png")]),
        Message("user", [Image(url="data:image/png,raw")]),
        Message("user", [Image(data=b"x", media_type="image/tiff")]),
        Message("user", [Document(data=b"x", media_type=DOCX)]),
        Message("user", [Document(url="https://example.org/a", media_type=DOCX)]),
        Message("user", [Document(url=f"data:{DOCX};base64,AAAA")]),
        Message("user", [Document(url="data:text/plain;base64,A")]),
    ):
        with pytest.raises(CallRefused):
            turns(Message("user", "x"), message)
