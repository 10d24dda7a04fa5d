"""What all servers of the compatible family are sent alike, and what each in its own way."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd_proto.content import (
    Content,
    Image,
    Message,
    Text,
    Tool,
    ToolCall,
    ToolName,
    ToolResult,
)
from routerd_proto.frames import RefusalDelta, TextDelta, Usage
from tests.daemon.providers.drive import calls_in, decode, encoded, fixture, request
from tests.daemon.providers.openai.test_encode import CLOSED, WEATHER

CALL_ID = "abcDEF123"
every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def sent(dialect: str, messages: list[Message] | None = None, **options: Any) -> dict[str, Any]:
    return encoded(OpenAIAdapter(DIALECTS[dialect]), request("m", messages, **options))[0]


@every_dialect
def test_the_turns(dialect: str) -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", "Weather?"),
        Message("assistant", [Text("Let me see."), ToolCall(CALL_ID, "get_weather", '{"a":1}')]),
        Message("tool", [ToolResult(CALL_ID, "22 C")]),
        Message("assistant", "Warm."),
        Message("user", "And now?"),
    ]
    turns = sent(dialect, messages)["messages"]
    # Where the server misses it, an empty one stands for reasoning that there was not.
    assert turns[2].pop("reasoning_content", "") == ""
    assert turns == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": CALL_ID,
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"a":1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": CALL_ID, "content": "22 C"},
        {"role": "assistant", "content": "Warm."},
        {"role": "user", "content": "And now?"},
    ]


@every_dialect
def test_pictures(dialect: str) -> None:
    # Ollama fetches nothing.
    url = "https://example.org/a.png" if dialect != "ollama" else "data:image/png;base64,AQ=="
    parts: list[Content] = [Image(url=url), Image(data=b"\x00"), Text("?")]
    assert sent(dialect, [Message("user", parts)])["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "text", "text": "?"},
    ]


@every_dialect
@pytest.mark.parametrize("choice", ["auto", "none", "required", ToolName("ping")])
def test_tools_and_their_choice(dialect: str, choice: Any) -> None:
    body = sent(dialect, tools=[WEATHER, Tool("ping")], tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["get_weather", "ping"]
    assert body["tools"][0]["function"]["parameters"] == WEATHER.parameters
    named = {"type": "function", "function": {"name": "ping"}}
    expected = named if isinstance(choice, ToolName) else choice
    if dialect == "mistral" and choice == "required":
        expected = "any"
    assert body["tool_choice"] == expected


@every_dialect
def test_settings_and_a_schema(dialect: str) -> None:
    options: dict[str, Any] = {"temperature": 0.5, "top_p": 0.25, "stop": ["a"], "seed": 7}
    body = sent(dialect, max_output_tokens=9, output_schema=CLOSED, **options)
    renamed = ("openai", "azure", "azure-deployments", "cerebras")
    bound = "max_completion_tokens" if dialect in renamed else "max_tokens"
    seed = "random_seed" if dialect == "mistral" else "seed"
    wanted = {"name": "answer", "schema": CLOSED, "strict": True}
    # xAI's models that reason take none, and those that nobody has described yet reason.
    stops = {} if dialect == "xai" else {"stop": ["a"]}
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == {
        "temperature": 0.5,
        "top_p": 0.25,
        **stops,
        seed: 7,
        bound: 9,
        "response_format": {"type": "json_schema", "json_schema": wanted},
    }


@every_dialect
def test_answers(dialect: str) -> None:
    adapter = OpenAIAdapter(DIALECTS[dialect])
    parts, outcome = decode(adapter, [fixture("openai/text.sse")])
    assert parts == [TextDelta("Grüße 👋🏽 aus Paris\u2028zweite Zeile\u0085\f「終」")]
    assert outcome.usage == Usage(996, 1024, 2000, 0, 30, 12)
    parts, outcome = decode(adapter, [fixture("openai/refusal.sse")])
    assert parts == [RefusalDelta("I cannot help.")]
    parts, outcome = decode(adapter, [fixture("openai/tools_parallel.sse")])
    assert [name for _, name, _ in calls_in(parts)] == ["get_weather", "get_time", "ping"]
    assert (outcome.finish, outcome.complete) == ("tool_calls", True)
