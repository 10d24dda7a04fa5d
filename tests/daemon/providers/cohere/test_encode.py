from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from routerd.errors import CallRefused
from routerd.providers.cohere import CohereAdapter
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
from tests.daemon.providers.drive import ABLE, answer_message, decode, encoded, fixture, request

ADAPTER = CohereAdapter()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = Tool("weather", "The weather.", SCHEMA)
OTHER = Tool("now")
MODEL = "command-a-plus-05-2026"
UNABLE = replace(ABLE, prefill=False)


def sent(messages: list[Message] | None = None, **options: Any) -> Any:
    return encoded(ADAPTER, request(MODEL, messages, **options))


def refused(messages: list[Message] | None = None, **options: Any) -> str:
    """Return why a request is not sent."""
    with pytest.raises(CallRefused) as caught:
        sent(messages, **options)
    return caught.value.info.message


def written(*messages: Message, **options: Any) -> Any:
    """Return the messages that are sent."""
    return sent([Message("user", "Hi"), *messages], **options)[0]["messages"][1:]


def test_the_key_goes_in_a_header() -> None:
    assert ADAPTER.authorize(" key ") == [(b"authorization", b"Bearer key")]
    assert ADAPTER.authorize(None) == []
    assert ADAPTER.encode(request(MODEL)).path == "/v2/chat"


def test_nothing_is_sent_that_was_not_set() -> None:
    plain = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    assert sent() == (plain, [])
    assert sent(stream=True) == ({**plain, "stream": True}, [])


def test_system_text_stands_once_and_first() -> None:
    body, notes = sent(
        [
            Message("system", "Be brief."),
            Message("system", [Text("Be kind."), Text("")]),
            Message("user", "a"),
            Message("system", "Now long."),
        ]
    )
    assert body["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "Now long."},
    ]
    assert notes == ["a system message after the start was sent as user text"]


def test_pictures() -> None:
    [turn] = written(
        Message(
            "user",
            [
                Text("See:"),
                Text(""),
                Image(data=b"\x00", media_type="image/jpeg", detail="low"),
                Image(url="https://example.org/a.webp"),
            ],
        )
    )
    assert turn["content"] == [
        {"type": "text", "text": "See:"},
        {
            "type": "image_url",
            "image_url": {"url": "data:image/jpeg;base64,AA==", "detail": "low"},
        },
        {"type": "image_url", "image_url": {"url": "https://example.org/a.webp"}},
    ]


def test_documents_stand_beside_the_messages_to_be_cited() -> None:
    messages = [
        Message(
            "user",
            [
                Document(data="Größe".encode(), media_type="text/plain", title="T"),
                Document(data=b"two", media_type="text/csv"),
                Text("Compare."),
            ],
        )
    ]
    body, notes = sent(messages)
    assert body["messages"] == [{"role": "user", "content": "Compare."}]
    assert body["documents"] == [
        {"data": {"title": "T", "text": "Größe"}},
        {"data": {"text": "two"}},
    ]
    assert notes == []
    body, notes = sent(messages, output_schema=SCHEMA)
    assert "documents" not in body
    assert [part["text"] for part in body["messages"][0]["content"]] == [
        "T\n\nGröße",
        "two",
        "Compare.",
    ]
    assert notes == ["a text document was sent as plain text"]


def test_documents_alone_are_what_the_user_says() -> None:
    document = Document(data=b"text", media_type="text/plain")
    body, _ = sent([Message("user", [document])])
    assert body["messages"] == [{"role": "user", "content": "text"}]
    assert "documents" not in body
    body, notes = sent([Message("user", [replace(document, data=b""), Text("a")])])
    assert body["messages"] == [{"role": "user", "content": "a"}]
    assert notes == ["an empty document was left out"]


@pytest.mark.parametrize(
    "document",
    [
        Document(data=b"%PDF", media_type="application/pdf"),
        Document(data=b"%PDF"),
        Document(url="https://example.org/a.pdf"),
        Document(url="https://example.org/a.txt", media_type="text/plain"),
    ],
)
def test_other_documents_are_refused(document: Document) -> None:
    assert "plain text only" in refused([Message("user", [document, Text("a")])])


def test_calls_and_results() -> None:
    turns = written(
        Message("assistant", [Text("I look."), ToolCall("c1", "weather", '{"city":"Rome"}')]),
        Message("tool", [ToolResult("c1", [Text("22 C"), Text("dry")])]),
        Message("assistant", [ToolCall("x" * 200, "now", "")]),
        Message("user", [Text("So?"), ToolResult("x" * 200, "", is_error=True)]),
    )
    long = turns[2]["tool_calls"][0]["id"]
    assert turns == [
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "22 C\n\ndry"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": long, "type": "function", "function": {"name": "now", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": long, "content": "error"},
        {"role": "user", "content": "So?"},
    ]
    assert len(long) == 29


def test_pictures_of_results_follow_the_last_result() -> None:
    body, notes = sent(
        [
            Message("user", "Look."),
            Message("assistant", [ToolCall("a", "look"), ToolCall("b", "look")]),
            Message("tool", [ToolResult("a", [Image(data=b"\x00")])]),
            Message("tool", [ToolResult("b", "nothing")]),
        ]
    )
    assert [turn["role"] for turn in body["messages"]] == [
        *("user", "assistant", "tool", "tool", "user")
    ]
    assert body["messages"][2]["content"] == ""
    assert body["messages"][4]["content"] == [
        {"type": "text", "text": "Images of the tool result a:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    assert notes == ["images of a tool result were sent in a user message"]


@pytest.mark.parametrize(
    ("name", "stream", "expected"),
    [
        (
            "cohere/thinking.sse",
            True,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Let me think."},
                    {"type": "text", "text": "Answer"},
                ],
            },
        ),
        (
            "cohere/tools.json",
            False,
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "get_weather_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"location":"Rome"}'},
                    },
                    {
                        "id": "now_1",
                        "type": "function",
                        "function": {"name": "now", "arguments": "{}"},
                    },
                ],
                "tool_plan": "I will look.",
            },
        ),
    ],
)
def test_an_answer_goes_back_as_it_came(name: str, stream: bool, expected: Any) -> None:
    parts, _ = decode(ADAPTER, [fixture(name)], stream=stream)
    answer = answer_message(parts)
    results = [
        Message("tool", [ToolResult(call.id, "x")])
        for call in answer.content
        if isinstance(call, ToolCall)
    ]
    body, notes = sent([Message("user", "go"), answer, *results, Message("user", "on")])
    assert (body["messages"][1], notes) == (expected, [])


def test_thinking_goes_back_only_where_it_can_be_read() -> None:
    answer = Message(
        "assistant",
        [
            Reasoning("s", "anthropic", {"signature": "x"}),
            Reasoning("p", "cohere", {"kind": "tool_plan"}),
            Reasoning("t", "cohere", {"kind": "thinking"}),
            Reasoning("u"),
            ToolCall("c", "weather"),
        ],
    )
    messages = [Message("user", "a"), answer, Message("tool", [ToolResult("c", "x")])]
    left_out = "reasoning of an earlier answer was left out: this model cannot read it"
    body, notes = sent(messages)
    assert body["messages"][1]["content"] == [{"type": "thinking", "thinking": "tu"}]
    assert body["messages"][1]["tool_plan"] == "p"
    assert notes == [left_out]
    body, notes = sent(messages, capabilities=replace(ABLE, reasoning=False))
    assert "content" not in body["messages"][1]
    assert body["messages"][1]["tool_plan"] == "p"
    assert notes == [left_out]


def test_an_empty_answer_is_left_out() -> None:
    body, notes = sent([Message("user", "a"), Message("assistant", ""), Message("user", "b")])
    assert [turn["content"] for turn in body["messages"]] == ["a", "b"]
    assert notes == ["an assistant message without text or tool calls was left out"]


def test_a_message_cannot_be_continued() -> None:
    messages = [Message("user", "a"), Message("assistant", "The")]
    assert "cannot continue" in refused(messages, capabilities=UNABLE)
    assert sent(messages)[0]["messages"][-1] == {"role": "assistant", "content": "The"}


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        (None, None, ["weather", "now"]),
        ("auto", None, ["weather", "now"]),
        ("none", "NONE", ["weather", "now"]),
        ("required", "REQUIRED", ["weather", "now"]),
        (ToolName("now"), "REQUIRED", ["now"]),
    ],
)
def test_tool_choice(choice: Any, expected: str | None, names: list[str]) -> None:
    body, notes = sent(tools=[TOOL, OTHER], tool_choice=choice)
    assert body.get("tool_choice") == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert bool(notes) == (len(names) == 1)


def test_tools() -> None:
    body, notes = sent(tools=[TOOL, OTHER], parallel_tool_calls=False)
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather.",
                "parameters": SCHEMA,
            },
        },
        {
            "type": "function",
            "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert notes == ["parallel_tool_calls was left out: this provider does not take it"]


def test_a_model_that_cannot_be_forced_is_not() -> None:
    able = replace(ABLE, forced_tool_choice=False)
    body, notes = sent(tools=[TOOL, OTHER], tool_choice=ToolName("now"), capabilities=able)
    assert "tool_choice" not in body
    assert len(body["tools"]) == 2
    assert notes == ["tool_choice was sent as auto: this model cannot be made to call a tool"]


@pytest.mark.parametrize(
    ("tools", "strict"),
    [
        ([replace(TOOL, strict=True)], True),
        ([replace(TOOL, strict=True), replace(OTHER, strict=True)], True),
        ([replace(TOOL, strict=True), OTHER], None),
        ([replace(TOOL, strict=True, parameters={**SCHEMA, "required": []})], None),
        ([TOOL], None),
    ],
)
def test_strictness_is_for_all_tools(tools: list[Tool], strict: bool | None) -> None:
    body, notes = sent(tools=tools)
    assert body.get("strict_tools") is strict
    assert bool(notes) == (strict is None and any(tool.strict for tool in tools))


def test_a_schema() -> None:
    body, notes = sent(output_schema=SCHEMA)
    assert body["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    assert notes == []
    assert "JSON schema and call tools" in refused(output_schema=SCHEMA, tools=[TOOL])
    body, notes = sent(output_schema=SCHEMA, tools=[TOOL], tool_choice="none")
    assert "tools" not in body
    assert notes == ["tools were left out: this provider takes none beside a JSON schema"]


def test_sampling_and_limits() -> None:
    body, notes = sent(
        temperature=0.5, top_p=0.9, seed=7, stop=["a", "", "b"], max_output_tokens=50
    )
    assert body | {"messages": 0} == {
        "model": MODEL,
        "messages": 0,
        "temperature": 0.5,
        "p": 0.9,
        "seed": 7,
        "stop_sequences": ["a", "b"],
        "max_tokens": 50,
    }
    assert notes == []
    body, notes = sent(
        temperature=2.5,
        top_p=1.0,
        seed=-1,
        stop=[*"abcdef"],
        max_output_tokens=9000,
        output_limit=8000,
    )
    assert (body["temperature"], body["p"], body["max_tokens"]) == (2.0, 0.99, 8000)
    assert body["stop_sequences"] == [*"abcde"]
    assert "seed" not in body
    assert len(notes) == 5
    body, notes = sent(temperature=1.0, capabilities=replace(ABLE, sampling="no"))
    assert ("temperature" in body, len(notes)) == (False, 1)


def test_logprobs_come_without_alternatives() -> None:
    able = replace(ABLE, logprobs=True)
    body, notes = sent(logprobs=0, capabilities=able)
    assert (body["logprobs"], notes) == (True, [])
    body, notes = sent(logprobs=3, capabilities=able)
    assert (body["logprobs"], len(notes)) == (True, 1)
    assert "log probabilities" in refused(logprobs=0)


@pytest.mark.parametrize(
    ("asked", "limit", "thinking"),
    [
        (None, None, None),
        ("none", None, {"type": "disabled"}),
        ("minimal", None, {"type": "enabled", "token_budget": 1024}),
        ("medium", None, {"type": "enabled", "token_budget": 8192}),
        ("high", None, {"type": "enabled"}),
        ("max", 8000, {"type": "enabled", "token_budget": 7000}),
        ("medium", 4000, {"type": "enabled", "token_budget": 3000}),
        ("low", 8000, {"type": "enabled", "token_budget": 4096}),
        ("high", 1, {"type": "enabled", "token_budget": 1}),
    ],
)
def test_reasoning(asked: Any, limit: int | None, thinking: Any) -> None:
    body, notes = sent(reasoning=asked, max_output_tokens=limit)
    assert body.get("thinking") == thinking
    assert notes == []
    body, notes = sent(reasoning=asked, capabilities=replace(ABLE, reasoning=False))
    assert "thinking" not in body
    assert len(notes) == (asked not in (None, "none"))


def test_what_the_model_cannot_take_is_refused() -> None:
    blind = replace(ABLE, vision=False, tools=False, json_schema=False)
    assert "cannot see" in refused([Message("user", [Image(data=b"a")])], capabilities=blind)
    assert "cannot call" in refused(tools=[TOOL], capabilities=blind)
    assert "JSON schema" in refused(output_schema=SCHEMA, capabilities=blind)
    assert "cannot hold ToolCall" in refused([Message("user", [ToolCall("a", "b")])])


def test_cache_marks_are_left_out_with_a_note() -> None:
    def chat(cache: Any) -> list[Message]:
        said: list[Content] = [Text("b", cache=cache), Image(data=b"a")]
        return [Message("system", [Text("a", cache=cache)]), Message("user", said)]

    body, notes = sent(chat("5m"))
    assert body == sent(chat(None))[0]
    assert notes == ["cache marks were left out: this provider or model takes none"]
    answer = Message("assistant", [ToolCall("c1", "weather")])
    result = Message("tool", [ToolResult("c1", [Text("a", cache="1h"), Text("b")])])
    _, notes = sent([Message("user", "a"), answer, result])
    assert "cache marks were left out: this provider or model takes none" in notes


def test_a_failed_tool_is_told_by_its_words() -> None:
    result = ToolResult("c1", "no such city", is_error=True)
    answer = Message("assistant", [ToolCall("c1", "weather")])
    body, notes = sent([Message("user", "a"), answer, Message("tool", [result])])
    assert body["messages"][2]["content"] == "no such city"
    assert notes == [
        "that a tool failed was left to its own words: this provider has no mark for it"
    ]


def test_words_between_results_come_behind_all_of_them() -> None:
    turns = written(
        Message("assistant", [ToolCall("c", "one"), ToolCall("d", "two")]),
        Message("user", [Text("look"), ToolResult("c", "1")]),
        Message("tool", [ToolResult("d", "2")]),
        Message("user", "go on"),
    )
    said = [(turn["role"], turn.get("tool_call_id") or turn.get("content")) for turn in turns]
    assert said == [
        ("assistant", None),
        ("tool", "c"),
        ("tool", "d"),
        ("user", "look"),
        ("user", "go on"),
    ]
