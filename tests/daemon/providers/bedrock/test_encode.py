from __future__ import annotations

import base64
import re
from typing import Any

import msgspec
import pytest

from routerd.errors import CallRefused, ErrorClass, Failure
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.bedrock.tools import ANSWER_TOOL
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

BEDROCK = BedrockAdapter()
CLAUDE = "us.anthropic.claude-opus-4-6-v1:0"
WEATHER = Tool("get_weather", "", {"properties": {"city": {"type": "string"}}})


def turns(*messages: Message, **options: Any) -> list[dict[str, Any]]:
    body, _ = encoded(BEDROCK, request(CLAUDE, list(messages), **options))
    found: list[dict[str, Any]] = body["messages"]
    return found


def user(*content: Content) -> Message:
    return Message("user", list(content))


def test_the_path_has_the_id_as_one_segment() -> None:
    assert BEDROCK.encode(request(CLAUDE)).path == (
        "/model/us.anthropic.claude-opus-4-6-v1%3A0/converse"
    )
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/x"
    assert BEDROCK.encode(request(arn, stream=True)).path == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream"
    )


def test_only_what_was_set_is_sent() -> None:
    body, notes = encoded(BEDROCK, request(CLAUDE))
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    assert notes == []


def test_system_sampling_and_stops() -> None:
    messages = [Message("system", [Text("Be brief.", cache="1h")]), Message("user", "Hi")]
    body, notes = encoded(
        BEDROCK,
        request(
            "amazon.nova-pro-v1:0",
            messages,
            max_output_tokens=10,
            temperature=1.5,
            top_p=0.5,
            stop=["END", "\n\n", ""],
            seed=1,
        ),
    )
    assert body["system"] == [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]
    assert body["inferenceConfig"] == {
        "maxTokens": 10,
        "temperature": 1.0,
        "topP": 0.5,
        "stopSequences": ["END", "\n\n"],
    }
    assert notes == [
        "a cache mark of 1h was sent as 5m",
        "temperature was cut from 1.5 to 1.0",
        "seed was left out: this provider has none",
        "a stop sequence of white space was left out: this provider refuses it",
    ]


def test_a_tool_round_trip() -> None:
    history = [
        Message("user", "Weather?"),
        Message(
            "assistant",
            [
                Reasoning("Hm", "bedrock", {"signature": "S"}),
                Reasoning("", "bedrock", {"redacted": "QUJD"}),
                Reasoning("other", "openai", {}),
                ToolCall("a" * 70, "get_weather", '{"city":"Paris"}'),
            ],
        ),
        Message("tool", [ToolResult("a" * 70, "22 C")]),
    ]
    body, notes = encoded(BEDROCK, request(CLAUDE, history, tools=[WEATHER]))
    _, assistant, results = body["messages"]
    assert assistant["content"][:2] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "S"}}},
        {"reasoningContent": {"redactedContent": "QUJD"}},
    ]
    call = assistant["content"][2]["toolUse"]
    assert (call["name"], call["input"]) == ("get_weather", {"city": "Paris"})
    assert len(call["toolUseId"]) == 30
    result = {"toolUseId": call["toolUseId"], "content": [{"text": "22 C"}]}
    assert results == {"role": "user", "content": [{"toolResult": result}]}
    assert body["toolConfig"]["tools"] == [
        {
            "toolSpec": {
                "name": "get_weather",
                "inputSchema": {"json": {"type": "object", **WEATHER.parameters}},
            }
        }
    ]
    assert notes == ["reasoning of an earlier answer was left out: this provider cannot read it"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", None),  # as without: some models refuse to be told so
        ("required", {"any": {}}),
        (ToolName("get_weather"), {"tool": {"name": "get_weather"}}),
    ],
)
def test_tool_choice(choice: Any, sent: dict[str, Any] | None) -> None:
    body, _ = encoded(BEDROCK, request(CLAUDE, tools=[WEATHER], tool_choice=choice))
    assert body["toolConfig"].get("toolChoice") == sent


def test_a_model_that_cannot_be_made_to_call_a_tool_is_told_of_no_choice() -> None:
    unable = msgspec.structs.replace(ABLE, forced_tool_choice=False)
    chat = request(CLAUDE, tools=[WEATHER], tool_choice="required", capabilities=unable)
    body, notes = encoded(BEDROCK, chat)
    assert "toolChoice" not in body["toolConfig"]
    assert notes == ["tool_choice was sent as auto: this model cannot be made to call a tool"]


CALLED = [
    Message("user", "Weather?"),
    Message(
        "assistant",
        [
            Reasoning("Hm", "bedrock", {"signature": "S"}),
            Text("Looking."),
            ToolCall("a", "get_weather", '{"city":"Paris"}'),
            ToolCall("b", "look", ""),
            ToolCall("c", "wait"),
        ],
    ),
    Message("tool", [ToolResult("b", [Text("seen"), Image(data=b"x")], cache="1h")]),
    Message("user", [ToolResult("a", "no city", is_error=True), Text("Well?")]),
]


@pytest.mark.parametrize(
    "options",
    [{"tools": [WEATHER], "tool_choice": "none"}, {}, {"tools": [WEATHER], "unable": True}],
)
def test_calls_of_earlier_turns_are_told_in_words_where_none_may_be_made(options: Any) -> None:
    able = msgspec.structs.replace(ABLE, tools=not options.pop("unable", False))
    if not able.tools:
        options["tool_choice"] = "none"
    body, notes = encoded(BEDROCK, request(CLAUDE, CALLED, capabilities=able, **options))
    assert "toolConfig" not in body
    picture = {"format": "png", "source": {"bytes": base64.b64encode(b"x").decode()}}
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "Weather?"}]},
        {"role": "assistant", "content": [{"text": "Looking."}]},
        {
            "role": "user",
            "content": [
                {"text": "The tool look was called with {}. It answered:\n\nseen"},
                {"image": picture},
                {"cachePoint": {"type": "default", "ttl": "1h"}},
                {
                    "text": 'The tool get_weather was called with {"city":"Paris"}. '
                    "It failed:\n\nno city"
                },
                {"text": "The tool wait was called with {}. It gave no answer."},
                {"text": "Well?"},
            ],
        },
    ]
    assert len(notes) == 2
    assert "in words" in notes[0]
    assert "reasoning" in notes[1]


def test_calls_stay_what_they_are_where_a_tool_is_named() -> None:
    for tool in (WEATHER, Tool("other", "words")):
        body, _ = encoded(BEDROCK, request(CLAUDE, CALLED, tools=[tool]))
        assert "toolUse" in body["messages"][1]["content"][-1]
        results = [block["toolResult"] for block in body["messages"][2]["content"][::2]]
        assert [result.get("status") for result in results] == [None, "error"]
    nova = request("amazon.nova-pro-v1:0", CALLED, output_schema={"type": "object"})
    body, _ = encoded(BEDROCK, nova)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == [ANSWER_TOOL]
    assert "toolUse" in body["messages"][1]["content"][-1]
    body, _ = encoded(BEDROCK, request(CLAUDE, tools=[WEATHER], tool_choice="none"))
    assert "toolConfig" not in body


def test_unanswered_calls_and_results_of_none_are_told_too() -> None:
    said = [Message("user", "a"), Message("tool", [ToolResult("x", "")]), *CALLED[1:2]]
    body, _ = encoded(BEDROCK, request("us.meta.llama4-scout-17b-instruct-v1:0", said))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"][1] == {"text": "A tool was called. It answered."}
    assert len(body["messages"][2]["content"]) == 3


def test_images_and_documents() -> None:
    picture = base64.b64encode(b"x").decode()
    [turn] = turns(
        user(
            Image(data=b"x", media_type="image/jpeg", cache="5m"),
            Image(url=f"data:image/png;base64,{picture}"),
            Document(data=b"x", title="A/b.pdf"),
            Document(data=b"x", title="A/b.pdf", media_type="text/plain"),
        )
    )
    assert turn["content"] == [
        {"image": {"format": "jpeg", "source": {"bytes": picture}}},
        {"cachePoint": {"type": "default"}},
        {"image": {"format": "png", "source": {"bytes": picture}}},
        {"document": {"format": "pdf", "name": "A b pdf", "source": {"bytes": picture}}},
        {"document": {"format": "txt", "name": "A b pdf 2", "source": {"bytes": picture}}},
        {"text": "."},
    ]


@pytest.mark.parametrize("title", ["a" * 179 + " b", "ü/ü", "a\u2003 \n b", "(1) [x]-y", "", None])
def test_names_of_documents_are_such_as_the_vendor_takes(title: str | None) -> None:
    [turn] = turns(user(*[Document(data=b"x", title=title)] * 11))
    names = [block["document"]["name"] for block in turn["content"] if "document" in block]
    assert len(set(names)) == 11
    for name in names:
        assert re.fullmatch(r"(?:[a-zA-Z0-9()\[\]-]+ ?)+", name) is not None
        assert len(name) <= 200
        assert name == name.strip()


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://example.com/a.png"),
        Image(data=b"x", media_type="image/tiff"),
        Document(data=b"x", media_type="application/zip"),
    ],
)
def test_what_cannot_be_sent_is_refused(part: Content) -> None:
    with pytest.raises(CallRefused):
        BEDROCK.encode(request(CLAUDE, [user(part)]))


def test_at_most_four_cache_marks() -> None:
    messages = [Message("system", [Text("s", cache="5m")])]
    messages.append(user(*(Text(str(number), cache="5m") for number in range(5))))
    body, notes = encoded(BEDROCK, request(CLAUDE, messages))
    assert body["system"] == [{"text": "s"}]
    kinds = [next(iter(block)) for block in body["messages"][0]["content"]]
    assert kinds == ["text", "text", *["cachePoint", "text"] * 3, "cachePoint"]
    assert notes == ["only the last 4 cache marks were sent"]


def test_marks_before_one_of_an_hour_are_of_an_hour_too() -> None:
    said = [
        Message("system", [Text("s", cache="5m")]),
        user(Text("a", cache="1h"), Text("b", cache="5m")),
    ]
    body, notes = encoded(BEDROCK, request(CLAUDE, said))
    written = [*body["system"], *body["messages"][0]["content"]]
    marks = [block["cachePoint"].get("ttl") for block in written if "cachePoint" in block]
    assert marks == ["1h", "1h", None]
    assert notes == ["a cache mark of 5m was sent as 1h: one of 1h comes after it"]
    assert BEDROCK.encode(request(CLAUDE, said)).keeps_long


def test_no_mark_is_next_to_a_document_whose_text_is_taken_out() -> None:
    said = [
        user(
            Document(data=b"x", cache="1h"),
            Document(data=b"x", media_type="text/csv", cache="5m"),
            Document(data=b"x", media_type="text/plain"),
            Text("Sum it up."),
        )
    ]
    body, notes = encoded(BEDROCK, request(CLAUDE, said))
    kinds = [next(iter(block)) for block in body["messages"][0]["content"]]
    assert kinds == ["document", "cachePoint", "document", "text", "cachePoint", "document", "text"]
    assert body["messages"][0]["content"][3] == {"text": "."}
    note = "a text was added between a document and its cache mark, which is refused there"
    assert notes == [note]


def test_marks_inside_results_are_sent_behind_them() -> None:
    inside = [Text("a", cache="1h"), Text("b", cache="5m")]
    said = [
        user(Text("Hi")),
        Message("assistant", [ToolCall("c1", "look"), ToolCall("c2", "look")]),
        Message("tool", [ToolResult("c1", inside), ToolResult("c2", [Text("c", cache="5m")])]),
    ]
    body, notes = encoded(BEDROCK, request(CLAUDE, said, tools=[WEATHER]))
    results = body["messages"][2]["content"]
    assert [next(iter(block)) for block in results] == ["toolResult", "cachePoint"] * 2
    assert results[0]["toolResult"]["content"] == [{"text": "a"}, {"text": "b"}]
    assert [block["cachePoint"].get("ttl") for block in results[1::2]] == ["1h", None]
    assert notes[0] == "a cache mark inside the result of a tool was sent at its end"
    body, notes = encoded(BEDROCK, request("meta.llama3-1-8b-instruct-v1:0", said, tools=[WEATHER]))
    assert "cachePoint" not in str(body)
    assert notes[0] == "cache marks were left out: this provider or model takes none"
    refused = Failure(
        ErrorClass.BAD_REQUEST, "Invalid cache point: cachePoint is not supported", status=400
    )
    repair = BEDROCK.repair(request(CLAUDE, said), refused)
    assert repair is not None
    assert "cachePoint" not in str(encoded(BEDROCK, repair.request)[0])


def test_blank_text_and_the_first_turn() -> None:
    said = [Message("user", text) for text in (" ", "Hi", "there")]
    found = turns(Message("assistant", "Hello "), Message("assistant", "you"), *said)
    assert found == [
        {"role": "user", "content": [{"text": "."}]},
        {"role": "assistant", "content": [{"text": "Hello "}, {"text": "you"}]},
        {"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]},
    ]


def test_a_last_user_message_of_blanks_is_no_prefill() -> None:
    said = [Message("user", "Count"), Message("assistant", "One"), Message("user", " ")]
    unable = msgspec.structs.replace(ABLE, prefill=False)
    body, notes = encoded(BEDROCK, request(CLAUDE, said, capabilities=unable))
    assert body["messages"][2:] == [{"role": "user", "content": [{"text": "."}]}]
    assert notes == [
        "a message of nothing but blanks was left out",
        'a last user message without words was sent as "."',
    ]


def test_no_answer_of_claudes_ends_with_thinking() -> None:
    def sent(model: str, data: dict[str, Any]) -> tuple[list[list[str]], list[str]]:
        thought = Reasoning("t", "bedrock", data)
        said = [user(Text("a")), Message("assistant", [thought]), user(Text("b"))]
        body, notes = encoded(BEDROCK, request(model, said))
        turns = body["messages"]
        return [[kind for block in turn["content"] for kind in block] for turn in turns], notes

    found, notes = sent(CLAUDE, {"signature": "s"})
    assert found == [["text", "text"]]
    assert notes == ["thinking at the end of an earlier answer was left out: nothing came after it"]
    found, notes = sent("openai.gpt-oss-120b-1:0", {})
    assert (found, notes) == ([["text"], ["reasoningContent"], ["text"]], [])


def test_results_open_their_turn_with_their_images_and_their_status() -> None:
    pixel = Image(data=b"\x00", media_type="image/png")
    found = turns(
        Message("user", "go"),
        Message("assistant", [ToolCall("a", "look"), ToolCall("b", "look")]),
        Message("user", [Text("so?"), ToolResult("a", [Text("seen"), pixel])]),
        Message("tool", [ToolResult("b", "gone", is_error=True)]),
        tools=[Tool("look")],
    )
    seen = [{"text": "seen"}, {"image": {"format": "png", "source": {"bytes": "AA=="}}}]
    gone = {"toolUseId": "b", "content": [{"text": "gone"}], "status": "error"}
    assert found[2]["content"] == [
        {"toolResult": {"toolUseId": "a", "content": seen}},
        {"toolResult": gone},
        {"text": "so?"},
    ]


@pytest.mark.parametrize("content", ["", " \n", [], [Text("")]])
@pytest.mark.parametrize("failed", [True, False])
def test_a_result_without_content_says_so(content: Any, failed: bool) -> None:
    said = [
        Message("user", "Hi"),
        Message("assistant", [ToolCall("t", "get_weather")]),
        Message("tool", [ToolResult("t", content, is_error=failed)]),
    ]
    body, notes = encoded(BEDROCK, request(CLAUDE, said, tools=[WEATHER]))
    [block] = body["messages"][2]["content"]
    assert block["toolResult"]["content"] == [{"text": "."}]
    assert notes == ["a tool result without content was sent as `.`, which this provider asks for"]


def test_claude_gets_no_stop_sequence_of_white_space() -> None:
    body, notes = encoded(BEDROCK, request(CLAUDE, stop=["END", "\n\n"]))
    assert body["inferenceConfig"] == {"stopSequences": ["END"]}
    assert notes == ["a stop sequence of white space was left out: this provider refuses it"]


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        (
            CLAUDE,
            "high",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "high"},
            },
        ),
        (
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "low",
            {"thinking": {"type": "enabled", "budget_tokens": 4096}},
        ),
        ("openai.gpt-oss-120b-1:0", "xhigh", {"reasoning_effort": "high"}),
        ("amazon.nova-pro-v1:0", "high", None),
        ("amazon.nova-pro-v1:0", "none", None),
        ("amazon.nova-2-lite-v1:0", "none", None),
        (
            "us.amazon.nova-2-lite-v1:0",
            "max",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
    ],
)
def test_reasoning(model: str, effort: Any, sent: dict[str, Any] | None) -> None:
    body, _ = encoded(BEDROCK, request(model, reasoning=effort))
    assert body.get("additionalModelRequestFields") == sent


def test_an_old_model_cannot_think_on_from_words() -> None:
    haiku = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
    said = [Message("user", "Count"), Message("assistant", "One,")]
    body, notes = encoded(BEDROCK, request(haiku, said, reasoning="low"))
    assert "additionalModelRequestFields" not in body
    assert notes == ["reasoning was left out: the answer to go on with does not begin with it"]
    thought = Reasoning("t", "bedrock", {"signature": "s"})
    said[1] = Message("assistant", [thought, Text("One,")])
    body, notes = encoded(BEDROCK, request(haiku, said, reasoning="low"))
    assert body["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    assert notes == []


def test_an_output_schema_is_a_string() -> None:
    body, _ = encoded(BEDROCK, request(CLAUDE, output_schema={"type": "object"}))
    schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
    assert msgspec.json.decode(schema) == {"type": "object", "additionalProperties": False}


def test_no_prefill_where_the_model_has_none() -> None:
    unable = msgspec.structs.replace(ABLE, prefill=False)
    messages = [Message("user", "Hi"), Message("assistant", "I")]
    with pytest.raises(CallRefused):
        BEDROCK.encode(request(CLAUDE, messages, capabilities=unable))


def test_the_highest_effort_of_nova_goes_without_bound_and_sampling() -> None:
    nova = "us.amazon.nova-2-lite-v1:0"
    body, notes = encoded(BEDROCK, request(nova, reasoning="high", temperature=0.5))
    assert "inferenceConfig" not in body
    assert notes == ["temperature was left out: it does not go with reasoning"]
    # The caller's bound goes before depth.
    body, notes = encoded(
        BEDROCK, request(nova, reasoning="high", temperature=0.5, max_output_tokens=9)
    )
    effort = body["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"]
    assert effort == "medium"
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5}
    assert notes == ["reasoning high was sent as medium"]


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("options", "names", "choice"),
    [
        ({}, [ANSWER_TOOL], {"tool": {"name": ANSWER_TOOL}}),
        ({"tools": [WEATHER]}, ["get_weather", ANSWER_TOOL], {"any": {}}),
        (
            {"tools": [WEATHER], "tool_choice": "none"},
            [ANSWER_TOOL],
            {"tool": {"name": ANSWER_TOOL}},
        ),
        ({"tools": [WEATHER], "tool_choice": "required"}, ["get_weather"], {"any": {}}),
    ],
)
def test_a_model_without_schemas_answers_by_a_tool(
    options: dict[str, Any], names: list[str], choice: dict[str, Any]
) -> None:
    body, notes = encoded(BEDROCK, request("amazon.nova-pro-v1:0", output_schema=SCHEMA, **options))
    specs = [tool["toolSpec"] for tool in body["toolConfig"]["tools"]]
    assert [spec["name"] for spec in specs] == names
    assert body["toolConfig"]["toolChoice"] == choice
    assert "outputConfig" not in body
    if ANSWER_TOOL in names:
        assert specs[-1]["inputSchema"] == {"json": SCHEMA}
    assert len(notes) == 1


def test_a_tool_of_the_callers_is_never_taken_for_the_answer() -> None:
    with pytest.raises(CallRefused):
        BEDROCK.encode(request(CLAUDE, tools=[Tool(ANSWER_TOOL)]))


@pytest.mark.parametrize(
    ("model", "written"),
    [
        (CLAUDE, [{"cachePoint": {"type": "default", "ttl": "1h"}}]),
        ("amazon.nova-pro-v1:0", [{"cachePoint": {"type": "default"}}]),
        ("meta.llama4-maverick-17b-instruct-v1:0", []),
        ("us.meta.llama4-maverick-17b-instruct-v1:0", []),
        (
            "arn:aws:bedrock:eu-west-1:1:provisioned-model/a1b2",
            [{"cachePoint": {"type": "default", "ttl": "1h"}}],
        ),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-5-5",
            [{"cachePoint": {"type": "default", "ttl": "1h"}}],
        ),
    ],
)
def test_cache_marks_go_to_models_that_take_them(model: str, written: list[dict[str, Any]]) -> None:
    body, _ = encoded(BEDROCK, request(model, [user(Text("Hi", cache="1h"))]))
    assert body["messages"][0]["content"] == [{"text": "Hi"}, *written]


@pytest.mark.parametrize(
    ("model", "kept"),
    [(CLAUDE, [0, 1]), ("amazon.nova-2-lite-v1:0", [2]), ("provisioned", [0, 1, 2])],
)
def test_reasoning_goes_back_to_models_of_its_kind(model: str, kept: list[int]) -> None:
    thoughts = [
        Reasoning("a", "bedrock", {"signature": "S"}),
        Reasoning("", "bedrock", {"redacted": "QUJD"}),
        Reasoning("c", "bedrock", {}),
        Reasoning("d", "anthropic", {"signature": "S"}),
    ]
    written = [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "S"}}},
        {"reasoningContent": {"redactedContent": "QUJD"}},
        {"reasoningContent": {"reasoningText": {"text": "c"}}},
    ]
    said = [
        Message("user", "Hi"),
        Message("assistant", [*thoughts, Text("Hm")]),
        Message("user", "?"),
    ]
    body, notes = encoded(BEDROCK, request(model, said))
    assert body["messages"][1]["content"] == [*(written[place] for place in kept), {"text": "Hm"}]
    assert len(notes) == 1


def test_parallel_tool_calls_cannot_be_forbidden() -> None:
    without, _ = encoded(BEDROCK, request(CLAUDE, tools=[WEATHER]))
    body, notes = encoded(BEDROCK, request(CLAUDE, tools=[WEATHER], parallel_tool_calls=False))
    assert body == without
    assert notes == ["parallel_tool_calls was left out: this provider cannot forbid them"]
