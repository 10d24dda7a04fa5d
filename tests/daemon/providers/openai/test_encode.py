from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routerd.domain import Capabilities
from routerd.errors import CallRefused
from routerd.providers.openai import DIALECTS, OpenAIAdapter
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

OPENAI = OpenAIAdapter()
WEATHER = Tool(
    "get_weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = b"\x89PNG\r\n\x1a\n"
HI = [{"role": "user", "content": "Hi"}]


def adapter(dialect: str) -> OpenAIAdapter:
    return OpenAIAdapter(DIALECTS[dialect])


def able(**changes: Any) -> Capabilities:
    return msgspec.structs.replace(ABLE, **changes)


def body_of(dialect: str = "openai", **arguments: Any) -> dict[str, Any]:
    return encoded(adapter(dialect), request(**arguments))[0]


def notes_of(dialect: str = "openai", **arguments: Any) -> list[str]:
    return encoded(adapter(dialect), request(**arguments))[1]


def test_only_what_was_set_is_sent() -> None:
    body, notes = encoded(OPENAI, request("gpt-6-sol"))
    assert body == {"model": "gpt-6-sol", "messages": HI}
    assert notes == []


def test_where_it_goes_and_what_goes_with_it() -> None:
    assert OPENAI.encode(request()).path == "/chat/completions"
    assert OPENAI.models_path == "/models"
    assert OPENAI.authorize("a-key\n") == [(b"authorization", b"Bearer a-key")]
    assert OPENAI.authorize(None) == OPENAI.authorize("") == []


def test_a_stream_asks_for_its_usage() -> None:
    body = body_of(stream=True)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    body = body_of("mistral", stream=True)
    assert body["stream"] is True
    assert "stream_options" not in body


def test_all_simple_options() -> None:
    body = body_of(
        model_id="gpt-4.1",
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        stop=["a", "b"],
        seed=7,
    )
    assert body == {
        "model": "gpt-4.1",
        "messages": HI,
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["a", "b"],
        "seed": 7,
    }


def test_each_dialect_has_its_own_names() -> None:
    assert body_of("compatible", max_output_tokens=9)["max_tokens"] == 9
    body = body_of("mistral", max_output_tokens=9, seed=3, tools=[WEATHER], tool_choice="required")
    assert (body["max_tokens"], body["random_seed"], body["tool_choice"]) == (9, 3, "any")
    assert "seed" not in body


def test_the_output_is_bounded_by_what_the_model_writes() -> None:
    chat = request(output_limit=50, max_output_tokens=100)
    body, notes = encoded(OPENAI, chat)
    assert body["max_completion_tokens"] == OPENAI.encode(chat).max_output_tokens == 50
    assert notes == ["max_output_tokens was cut from 100 to 50, the most this model writes"]
    assert OPENAI.encode(request(output_limit=50)).max_output_tokens is None


@pytest.mark.parametrize(
    ("sampling", "reasoning", "sent"),
    [
        ("yes", None, True),
        ("yes", "high", True),
        ("no", None, False),
        ("no", "none", False),
        ("without_reasoning", "none", True),
        ("without_reasoning", None, False),
        ("without_reasoning", "low", False),
    ],
)
def test_sampling_where_the_model_takes_it(sampling: Any, reasoning: Any, sent: bool) -> None:
    body, notes = encoded(
        OPENAI,
        request(
            "gpt-5.2",
            capabilities=able(sampling=sampling),
            temperature=0.1,
            top_p=0.2,
            reasoning=reasoning,
        ),
    )
    assert ("temperature" in body, "top_p" in body) == (sent, sent)
    assert len(notes) == (0 if sent else 2)


def test_stop_sequences() -> None:
    body, notes = encoded(OPENAI, request("gpt-4o", stop=["a", "", "b", "c", "d", "e"]))
    assert body["stop"] == ["a", "b", "c", "d"]
    assert notes == ["only the first 4 stop sequences were sent"]
    body, notes = encoded(OPENAI, request("gpt-6-sol", stop=["a"]))
    assert "stop" not in body
    assert notes == ["stop was left out: this model does not take it"]
    assert body_of(model_id="o3-mini", stop=["a"])["stop"] == ["a"]


@pytest.mark.parametrize(
    ("dialect", "model", "asked", "sent"),
    [
        ("openai", "gpt-6-sol", "none", "none"),
        ("openai", "gpt-6-sol", "minimal", "low"),
        ("openai", "gpt-6-sol", "max", "xhigh"),
        ("openai", "gpt-6-astra", "none", "low"),
        ("openai", "gpt-6.1-sol", "none", "low"),
        ("openai", "gpt-6.1-terra", "none", "none"),
        ("openai", "gpt-5.4-mini-2026-03-17", "xhigh", "xhigh"),
        ("openai", "gpt-5.2-2025-12-11", "xhigh", "xhigh"),
        ("openai", "gpt-5.1-2025-11-13", "xhigh", "high"),
        ("openai", "gpt-5-mini-2025-08-07", "none", "minimal"),
        ("openai", "gpt-5-2025-08-07", "minimal", "minimal"),
        ("openai", "o4-mini-2025-04-16", "xhigh", "high"),
        ("openai", "o3-mini", "minimal", "low"),
        ("openai", "something-else", "high", "high"),
        ("mistral", "mistral-medium-2604", "max", "xhigh"),
        ("groq", "openai/gpt-oss-120b", "none", "low"),
        ("groq", "qwen/qwen3.8-27b", "none", "none"),
        ("groq", "qwen/qwen3.8-27b", "high", None),
        ("xai", "grok-4.3", "none", "none"),
        ("xai", "grok-4.5", "none", "low"),
        ("openrouter", "x/y", "max", "xhigh"),
        ("deepseek", "deepseek-v4-pro", "max", "max"),
        ("compatible", "llama", "xhigh", "high"),
    ],
)
def test_reasoning_effort(dialect: str, model: str, asked: Any, sent: str | None) -> None:
    body, notes = encoded(adapter(dialect), request(model, reasoning=asked))
    assert body.get("reasoning_effort") == sent
    assert len(notes) == (asked != sent)


def test_reasoning_of_a_model_that_does_not_reason() -> None:
    chat = request(capabilities=able(reasoning=False), reasoning="high")
    body, notes = encoded(OPENAI, chat)
    assert "reasoning_effort" not in body
    assert notes == ["reasoning high was left out: this model does not reason"]
    assert notes_of(capabilities=able(reasoning=False), reasoning="none") == []


def test_an_effort_beside_tools_is_left_out_where_it_is_refused() -> None:
    body, notes = encoded(OPENAI, request("gpt-6-sol", reasoning="high", tools=[WEATHER]))
    assert "reasoning_effort" not in body
    assert len(notes) == 1
    body, notes = encoded(OPENAI, request("gpt-6-sol", reasoning="none", tools=[WEATHER]))
    assert (body["reasoning_effort"], notes) == ("none", [])
    assert body_of(model_id="gpt-5.2", reasoning="high", tools=[WEATHER])["reasoning_effort"]


def test_deepseek_switches_thinking_off_in_its_own_way() -> None:
    body = body_of("deepseek", reasoning="none", temperature=0.1)
    assert body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in body


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp", "deepseek", "zai"])
def test_thinking_is_switched_off_whatever_is_known_of_the_model(dialect: str) -> None:
    spoken = adapter(dialect)
    chat = request("m", capabilities=able(reasoning=False), reasoning="none")
    body, notes = encoded(spoken, chat)
    assert spoken.dialect.reasoning_off
    assert spoken.dialect.reasoning_off.items() <= body.items()
    assert notes == []


def test_an_object_of_parameters_has_properties() -> None:
    for parameters in ({}, {"type": "object"}, {"type": "object", "description": "none"}):
        (tool,) = body_of(tools=[Tool("now", parameters=parameters)])["tools"]
        sent = tool["function"]["parameters"]
        assert sent == {"type": "object", **parameters, "properties": {}}


# --- tools -----------------------------------------------------------------------------------


def test_tools() -> None:
    body = body_of(tools=[WEATHER, Tool("ping")], tool_choice="auto", parallel_tool_calls=False)
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather in a city.",
                "parameters": WEATHER.parameters,
            },
        },
        {
            "type": "function",
            "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (
            ToolName("get_weather"),
            {"type": "function", "function": {"name": "get_weather"}},
        ),
    ],
)
def test_tool_choice(choice: Any, sent: Any) -> None:
    body, notes = encoded(OPENAI, request(tools=[WEATHER], tool_choice=choice))
    assert (body.get("tool_choice"), notes) == (sent, [])


@pytest.mark.parametrize("choice", ["required", ToolName("get_weather")])
def test_a_choice_the_model_cannot_be_forced_to(choice: Any) -> None:
    chat = request(tools=[WEATHER], tool_choice=choice, capabilities=able(forced_tool_choice=False))
    body, notes = encoded(OPENAI, chat)
    assert body["tool_choice"] == "auto"
    assert notes == ["tool_choice was sent as auto: this model cannot be made to call a tool"]


def test_strict_tools_only_where_the_schema_is_strict() -> None:
    body, notes = encoded(OPENAI, request(tools=[Tool("f", parameters=CLOSED, strict=True)]))
    assert (body["tools"][0]["function"]["strict"], notes) == (True, [])
    for dialect, parameters in (("openai", WEATHER.parameters), ("groq", CLOSED)):
        chat = request(tools=[Tool("f", parameters=parameters, strict=True)])
        body, notes = encoded(adapter(dialect), chat)
        assert "strict" not in body["tools"][0]["function"]
        assert len(notes) == 1


def test_tool_options_without_tools_are_not_sent() -> None:
    body = body_of(tool_choice="auto", parallel_tool_calls=False)
    assert body == {"model": "a-model", "messages": HI}


def test_parallel_tool_calls_where_the_server_knows_them() -> None:
    chat = request(tools=[WEATHER], parallel_tool_calls=False)
    body, notes = encoded(adapter("deepseek"), chat)
    assert "parallel_tool_calls" not in body
    assert len(notes) == 1
    assert notes_of("deepseek", tools=[WEATHER], parallel_tool_calls=True) == []


# --- output schema ---------------------------------------------------------------------------


def test_an_output_schema_is_strict_if_it_can_be() -> None:
    assert body_of(output_schema={**CLOSED, "title": "City of the day!"})["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "City_of_the_day",
            "schema": {**CLOSED, "title": "City of the day!"},
            "strict": True,
        },
    }
    open_schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert body_of(output_schema=open_schema)["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": open_schema,
    }


# --- messages --------------------------------------------------------------------------------


def messages_of(*messages: Message, dialect: str = "openai", **arguments: Any) -> Any:
    return body_of(dialect, messages=list(messages), **arguments)["messages"]


def test_a_tool_round_trip() -> None:
    assert messages_of(
        Message("system", "Be brief."),
        Message("user", [Text("Weather"), Text("in Paris?")]),
        Message("assistant", [ToolCall("call_1", "get_weather", '{"city":"Paris"}')]),
        Message("tool", [ToolResult("call_1", "22 C")]),
    ) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Weather"}, {"type": "text", "text": "in Paris?"}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "22 C"},
    ]


def test_pictures_by_url_and_by_bytes() -> None:
    parts: list[Content] = [
        Image(url="https://example.org/a.png", detail="low"),
        Image(data=PNG, media_type="image/png"),
        Text("?"),
    ]
    assert messages_of(Message("user", parts))[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "text", "text": "?"},
    ]


def test_documents() -> None:
    pdf = Document(data=b"%PDF", media_type="application/pdf", title="a.pdf")
    url = Document(url="https://example.org/a.pdf")
    text = Document(data="Größe".encode(), media_type="text/plain", title="notes")
    assert messages_of(Message("user", [pdf]))[0]["content"] == [
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
        }
    ]
    assert messages_of(Message("user", [pdf, url]), dialect="mistral")[0]["content"] == [
        {
            "type": "document_url",
            "document_url": "data:application/pdf;base64,JVBERg==",
            "document_name": "a.pdf",
        },
        {"type": "document_url", "document_url": "https://example.org/a.pdf"},
    ]
    for dialect in DIALECTS:
        assert messages_of(Message("user", [text]), dialect=dialect)[0]["content"] == [
            {"type": "text", "text": "notes\n\nGröße"}
        ]
    for dialect, document in (("openai", url), ("groq", pdf), ("compatible", url)):
        with pytest.raises(CallRefused) as refused:
            messages_of(Message("user", [document]), dialect=dialect)
        assert refused.value.info.code == "invalid_request"


def test_pictures_of_tool_results_follow_the_last_result() -> None:
    picture = Image(url="https://example.org/a.png")
    calls: list[Content] = [ToolCall("a", "f"), ToolCall("b", "g")]
    chat = [
        Message("user", "go"),
        Message("assistant", calls),
        Message("tool", [ToolResult("a", [Text("seen"), picture])]),
        Message("tool", [ToolResult("b", "plain", is_error=True)]),
        Message("user", "and?"),
    ]
    body, notes = encoded(OPENAI, request(messages=chat))
    assert body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "seen"},
        {"role": "tool", "tool_call_id": "b", "content": "plain"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Images of the tool result a:"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            ],
        },
        {"role": "user", "content": "and?"},
    ]
    assert notes == [
        "images of a tool result were sent in a user message",
        "that a tool failed was left to its own words: this provider has no mark for it",
    ]
    assert messages_of(*chat[:4])[-1]["role"] == "user"
    inside = messages_of(*chat[:3], dialect="mistral")[-1]
    assert [part["type"] for part in inside["content"]] == ["text", "image_url"]


def test_results_and_words_in_one_user_message() -> None:
    encoded_messages = messages_of(
        Message("user", "go"),
        Message("assistant", [ToolCall("a", "f")]),
        Message("user", [Text("now"), ToolResult("a", "", is_error=True)]),
    )
    assert encoded_messages[2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "error"},
        {"role": "user", "content": "now"},
    ]


def test_ids_of_other_vendors_are_replaced_alike_in_call_and_result() -> None:
    long_id = "x" * 100
    for dialect, pattern in (("openai", 29), ("mistral", 9), ("compatible", 29)):
        sent = messages_of(
            Message("user", "go"),
            Message("assistant", [ToolCall(long_id, "f"), ToolCall("toolu_ä", "g")]),
            Message("tool", [ToolResult(long_id, "1"), ToolResult("toolu_ä", "2")]),
            dialect=dialect,
        )
        ids = [call["id"] for call in sent[1]["tool_calls"]]
        assert ids == [sent[2]["tool_call_id"], sent[3]["tool_call_id"]]
        assert [len(call_id) for call_id in ids] == [pattern, pattern]
        assert len(set(ids)) == 2
        assert all(call_id.isascii() for call_id in ids)
    kept = messages_of(Message("assistant", [ToolCall("abcDEF123", "f", "")]), dialect="mistral")
    assert kept[0]["tool_calls"][0]["id"] == "abcDEF123"
    assert kept[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_reasoning_goes_back_only_where_it_is_wanted() -> None:
    def sent(dialect: str, vendor: str, *, call: bool = True, **options: Any) -> Any:
        parts: list[Content] = [
            Reasoning("because", vendor),
            Text("so"),
            *([ToolCall("a", "f")] if call else []),
        ]
        return messages_of(Message("assistant", parts), dialect=dialect, **options)[0]

    assert sent("deepseek", "deepseek")["reasoning_content"] == "because"
    assert sent("deepseek", "")["reasoning_content"] == "because"
    assert sent("deepseek", "deepseek", call=False)["reasoning_content"] == "because"
    # Another vendor's is not shown to it, but a call must have the field.
    assert sent("deepseek", "anthropic")["reasoning_content"] == ""
    assert "reasoning_content" not in sent("deepseek", "anthropic", call=False)
    assert "reasoning_content" not in sent("deepseek", "deepseek", reasoning="none")
    # Moonshot asks for it as DeepSeek does; Z.ai takes its own back and asks for nothing.
    assert sent("moonshot", "moonshot")["reasoning_content"] == "because"
    assert sent("moonshot", "anthropic")["reasoning_content"] == ""
    assert sent("zai", "zai")["reasoning_content"] == "because"
    assert "reasoning_content" not in sent("zai", "anthropic")
    assert sent("openai", "openai").keys() == {"role", "content", "tool_calls"}
    assert sent("compatible", "compatible").keys() == {"role", "content", "tool_calls"}
    assert sent("mistral", "mistral")["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "because"}]},
        {"type": "text", "text": "so"},
    ]
    assert sent("mistral", "anthropic")["content"] == "so"


def test_openrouter_gets_its_details_back_unchanged() -> None:
    details = [{"type": "reasoning.encrypted", "data": "AAEC", "index": 0}]
    reasoning = Reasoning("t", "openrouter", {"reasoning_details": details})
    message = Message("assistant", [reasoning, Text("so")])
    assert messages_of(message, dialect="openrouter")[0] == {
        "role": "assistant",
        "content": "so",
        "reasoning_details": details,
    }


def test_an_assistant_message_of_reasoning_alone_is_left_out() -> None:
    chat = [Message("user", "a"), Message("assistant", [Reasoning("t", "anthropic", {})])]
    body, notes = encoded(OPENAI, request(messages=chat))
    assert body["messages"] == [{"role": "user", "content": "a"}]
    assert len(notes) == 2


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("vision", {"messages": [Message("user", [Image(url="https://example.org/a.png")])]}),
        ("vision", {"messages": [Message("user", [Document(data=b"x", media_type="a/b")])]}),
        (
            "vision",
            {"messages": [Message("tool", [ToolResult("a", [Image(url="https://e.org/a")])])]},
        ),
        ("tools", {"tools": [WEATHER]}),
        ("json_schema", {"output_schema": CLOSED}),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_changes_the_meaning_is_refused(missing: str, arguments: Any, dialect: str) -> None:
    with pytest.raises(CallRefused) as refused:
        body_of(dialect, capabilities=able(**{missing: False}), **arguments)
    assert refused.value.info.code == "invalid_request"
    assert refused.value.info.blame == "caller"


def test_a_choice_of_an_unknown_tool_is_refused() -> None:
    with pytest.raises(CallRefused):
        body_of(tools=[WEATHER], tool_choice=ToolName("other"))


def test_tools_nobody_may_call_are_left_out_for_a_model_without_tools() -> None:
    body = body_of(tools=[WEATHER], tool_choice="none", capabilities=able(tools=False))
    assert "tools" not in body


def test_text_that_utf_8_cannot_carry_does_not_raise() -> None:
    assert messages_of(Message("user", "a\ud800"))[0]["content"] == "a\ufffd"


def test_words_between_results_come_behind_all_of_them() -> None:
    messages = [
        Message("assistant", [ToolCall("c", "one"), ToolCall("d", "two")]),
        Message("user", "wait"),
        Message("user", [Text("look"), ToolResult("c", "1")]),
        Message("tool", [ToolResult("d", "2")]),
        Message("user", "go on"),
        Message("assistant", "done"),
    ]
    body, _ = encoded(OPENAI, request("m", messages))
    said = [
        (turn["role"], turn.get("tool_call_id") or turn["content"]) for turn in body["messages"]
    ]
    assert said == [
        ("assistant", None),
        ("tool", "c"),
        ("tool", "d"),
        ("user", "wait"),
        ("user", "look"),
        ("user", "go on"),
        ("assistant", "done"),
    ]
