from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routerd.domain import Capabilities
from routerd.errors import CallRefused
from routerd.providers.openai.responses import RESPONSES_DIALECTS, ResponsesAdapter
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

ADAPTERS = {name: ResponsesAdapter(dialect) for name, dialect in RESPONSES_DIALECTS.items()}
OPENAI = ADAPTERS["openai"]
MODEL = "gpt-6.1-sol"
OLD_MODEL = "gpt-5.2"
LAST = "gpt-6.1-sol-2026-09-01"
WEATHER = Tool("get_weather", "The weather.", {"type": "object", "properties": {"city": {}}})
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = Image(data=b"\x89PNG", media_type="image/png")
PIXEL_URL = "data:image/png;base64,iVBORw=="
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA=="}
THOUGHT = Reasoning("", "openai-responses", {"item": ITEM, "model": LAST})
LEFT_OUT = "reasoning of an earlier answer was left out: this provider cannot read it"


def able(**changes: Any) -> Capabilities:
    return msgspec.structs.replace(ABLE, **changes)


def both(
    model_id: str = MODEL, dialect: str = "openai", **arguments: Any
) -> tuple[dict[str, Any], list[str]]:
    return encoded(ADAPTERS[dialect], request(model_id, **arguments))


def body_of(model_id: str = MODEL, **arguments: Any) -> dict[str, Any]:
    return both(model_id, **arguments)[0]


def items(*messages: Message, **arguments: Any) -> Any:
    return body_of(messages=list(messages), **arguments)["input"]


def user(*parts: Content) -> Message:
    return Message("user", list(parts))


def assistant(*parts: Content) -> Message:
    return Message("assistant", list(parts))


def call_of(item: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": item, "name": "f", "arguments": arguments}


def test_only_what_was_set_is_sent_and_nothing_is_stored() -> None:
    body, notes = both(capabilities=able(reasoning=False))
    assert body == {"model": MODEL, "input": [{"role": "user", "content": "Hi"}], "store": False}
    assert notes == []


def test_reasoning_is_asked_for_in_a_form_that_can_go_back() -> None:
    assert body_of()["include"] == ["reasoning.encrypted_content"]
    for name in ("compatible", "groq", "bedrock", "deepseek"):
        assert "include" not in body_of(dialect=name)
    assert "include" not in body_of(capabilities=able(reasoning=False))


def test_where_it_goes_and_what_goes_with_it() -> None:
    sent = OPENAI.encode(request(MODEL, max_output_tokens=99))
    assert (sent.path, sent.max_output_tokens) == ("/responses", 99)
    assert OPENAI.authorize(" sk-1\n") == [(b"authorization", b"Bearer sk-1")]
    assert ADAPTERS["azure"].authorize("k") == [(b"api-key", b"k")]
    assert OPENAI.authorize(None) == []
    assert body_of(stream=True)["stream"] is True


def test_roles_in_their_order() -> None:
    said = [Message("system", "Be brief."), Message("user", "Hi"), Message("system", "Now rhyme.")]
    assert items(*said) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Now rhyme."},
    ]
    asked = msgspec.structs.replace(request(MODEL, said), system_role="developer")
    body, notes = encoded(OPENAI, asked)
    assert [item["role"] for item in body["input"]] == ["developer", "user", "developer"]
    assert notes == ["system text was sent in the role developer"]


def test_texts_of_one_turn() -> None:
    parts = [Text("a"), Text("b")]
    assert items(Message("system", parts)) == [{"role": "system", "content": "a\n\nb"}]
    assert items(user(*parts)) == [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        }
    ]


def test_pictures_and_documents() -> None:
    sent = items(
        user(
            Image(url="https://example.org/a.png", detail="low"),
            PIXEL,
            Document(data=b"%PDF-", title="Report"),
            Document(url="https://example.org/a.pdf"),
            Document(url="data:application/pdf;base64,JVBERi0="),
            Document(data=b"plain", media_type="text/plain", title="Notes"),
        )
    )
    pdf = "data:application/pdf;base64,JVBERi0="
    assert sent[0]["content"] == [
        {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "low"},
        {"type": "input_image", "image_url": PIXEL_URL, "detail": "auto"},
        {"type": "input_file", "file_data": pdf, "filename": "Report.pdf"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {"type": "input_file", "file_data": pdf, "filename": "document.pdf"},
        {"type": "input_text", "text": "Notes\n\nplain"},
    ]


@pytest.mark.parametrize(
    ("dialect", "document"),
    [
        ("compatible", Document(data=b"%PDF-")),
        ("azure", Document(url="https://example.org/a.pdf")),
    ],
)
def test_documents_a_server_does_not_take_are_refused(dialect: str, document: Document) -> None:
    with pytest.raises(CallRefused) as refused:
        both(dialect=dialect, messages=[user(document)])
    assert "no document" in refused.value.info.message


def test_calls_and_results() -> None:
    sent = items(
        Message("user", "Look."),
        assistant(Text("I look."), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "f", "")),
        Message("tool", [ToolResult("c1", "22 C"), ToolResult("c2", "", is_error=True)]),
        user(ToolResult("c3", [Text("seen"), PIXEL]), Text("Go on.")),
    )
    assert sent[1:] == [
        {"type": "message", "role": "assistant", "content": "I look."},
        call_of("c1", '{"a":1}'),
        call_of("c2"),
        {"type": "function_call_output", "call_id": "c1", "output": "22 C"},
        {"type": "function_call_output", "call_id": "c2", "output": "error"},
        {
            "type": "function_call_output",
            "call_id": "c3",
            "output": [
                {"type": "input_text", "text": "seen"},
                {"type": "input_image", "image_url": PIXEL_URL, "detail": "auto"},
            ],
        },
        {"role": "user", "content": "Go on."},
    ]


def test_a_failed_tool_is_told_by_its_words() -> None:
    for content in ("no such city", [Text("no such city")]):
        result = ToolResult("c1", content, is_error=True)
        messages = [assistant(ToolCall("c1", "f")), Message("tool", [result])]
        body, notes = both(messages=messages)
        assert "no such city" in str(body["input"][1]["output"])
        assert notes == [
            "that a tool failed was left to its own words: this provider has no mark for it"
        ]


def test_ids_that_are_too_long_are_replaced_in_pairs() -> None:
    call, result = items(
        assistant(ToolCall("x" * 65, "f")), Message("tool", [ToolResult("x" * 65, "1")])
    )
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


def test_reasoning_goes_back_before_what_came_after_it() -> None:
    second = {**ITEM, "id": "rs_2"}
    sent, notes = both(
        messages=[
            assistant(
                THOUGHT,
                ToolCall("c1", "f"),
                Reasoning("seen", "openai-responses", {"item": second, "model": LAST}),
                Text("Done"),
            ),
            Message("tool", [ToolResult("c1", "1")]),
        ]
    )
    assert sent["input"][:4] == [
        ITEM,
        call_of("c1"),
        second,
        {"type": "message", "role": "assistant", "content": "Done"},
    ]
    assert notes == []


def test_reasoning_that_nothing_came_after_stays_behind() -> None:
    sent, notes = both(messages=[assistant(Text("a"), THOUGHT), Message("user", "b")])
    assert [item.get("type") for item in sent["input"]] == ["message", None]
    assert notes == ["reasoning that nothing came after was left out"]
    sent, notes = both(messages=[Message("user", "a"), assistant(THOUGHT), Message("user", "b")])
    assert [item["role"] for item in sent["input"]] == ["user", "user"]
    assert notes[-1] == "an assistant message without text or tool calls was left out"


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning("hm"),
        Reasoning("hm", "anthropic", {"signature": "c2ln"}),
        Reasoning("hm", "openai", {"item": ITEM}),
        Reasoning("hm", "azure-responses", {"item": ITEM}),
        Reasoning("hm", "openai-responses", {"item": "gAAAA"}),
        Reasoning("hm", "openai-responses", {"phase": "unheard of"}),
        Reasoning("hm", "openai-responses"),
    ],
)
def test_reasoning_of_others_is_left_out(thought: Reasoning) -> None:
    sent, notes = both(messages=[assistant(thought, Text("a"))])
    assert sent["input"] == [{"type": "message", "role": "assistant", "content": "a"}]
    assert notes == [LEFT_OUT]


@pytest.mark.parametrize(
    ("dialect", "model", "written_by", "goes_back"),
    [
        ("openai", "gpt-6.1-terra", LAST, True),
        ("azure", "our-deployment", LAST, True),
        ("openrouter", "openai/gpt-6-sol", "openai/gpt-6-sol-2026-09-01", True),
        ("openrouter", "google/gemini-4-argon", "openai/gpt-6-sol", False),
        ("openrouter", "google/gemini-4-argon", None, True),
    ],
)
def test_reasoning_never_goes_to_another_makers_model(
    dialect: str, model: str, written_by: str | None, goes_back: bool
) -> None:
    data = {"item": ITEM} if written_by is None else {"item": ITEM, "model": written_by}
    messages = [assistant(Reasoning("", f"{dialect}-responses", data), Text("a"))]
    body, notes = both(model, dialect, messages=messages)
    assert (ITEM in body["input"], notes) == (goes_back, [] if goes_back else [LEFT_OUT])


def test_phases_mark_the_message_before_them() -> None:
    sent = items(
        assistant(
            Text("I "),
            Text("look."),
            Reasoning("", "openai-responses", {"phase": "commentary"}),
            Text("Done."),
            Reasoning("", "openai-responses", {"phase": "final_answer"}),
        )
    )
    message = {"type": "message", "role": "assistant"}
    assert sent == [
        {**message, "content": "I look.", "phase": "commentary"},
        {**message, "content": "Done.", "phase": "final_answer"},
    ]


@pytest.mark.parametrize("name", ["tools_parallel.sse", "tools.json", "no_deltas.sse"])
def test_an_answer_goes_back_as_it_came(name: str) -> None:
    answer = answer_message(decode(OPENAI, [fixture(f"openai-responses/{name}")])[0])
    sent, notes = both(messages=[Message("user", "go"), answer])
    whole = msgspec.json.decode(fixture("openai-responses/tools.json"))["output"]
    calls = [
        {name: item[name] for name in ("type", "call_id", "name", "arguments")}
        for item in whole[2:]
    ]
    said = {"type": "message", "role": "assistant", "content": "Looking.", "phase": "commentary"}
    assert sent["input"][1:] == [whole[0], said, *calls]
    assert notes == []


def test_at_most_four_cache_marks_inside_results_too() -> None:
    result = ToolResult("c", [Text("a", cache="5m"), PIXEL, Text("b", cache="5m")], cache="5m")
    said = [user(Text("1", cache="5m"), Text("2", cache="5m")), Message("tool", [result])]
    body, notes = both(messages=[*said, user(Text("3", cache="1h"))])
    first, second, third = body["input"]
    marks = [
        "prompt_cache_breakpoint" in part
        for part in [*first["content"], *second["output"], *third["content"]]
    ]
    assert marks == [False, True, True, False, True, True]
    assert notes == ["only the last 4 cache marks were sent"]
    _, notes = both(OLD_MODEL, messages=[Message("tool", [result]), user(Text("3"))])
    assert notes == ["cache marks were left out: this provider or model takes none"]


def test_cache_marks_where_models_take_them() -> None:
    parts: list[Content] = [
        Text("a", cache="5m"),
        PIXEL,
        Document(url="https://e.org/a.pdf", cache="1h"),
    ]
    texts = items(user(*parts))[0]["content"]
    marks = [part.get("prompt_cache_breakpoint") for part in texts]
    short, long = {"mode": "explicit", "ttl": "30m"}, {"mode": "explicit", "ttl": "12h"}
    assert marks == [short, None, long]
    results = [ToolResult("c", "a", cache="5m"), ToolResult("d", [Text("a"), PIXEL], cache="1h")]
    first, second = items(Message("tool", results))
    assert [part["prompt_cache_breakpoint"] for part in first["output"]] == [short]
    assert [part.get("prompt_cache_breakpoint") for part in second["output"]] == [None, long]
    for dialect, model in (("openai", OLD_MODEL), ("azure", MODEL), ("compatible", MODEL)):
        body, notes = both(model, dialect, messages=[user(Text("a", cache="1h"))])
        assert body["input"] == [{"role": "user", "content": "a"}]
        assert notes == ["cache marks were left out: this provider or model takes none"]
    body, notes = both(messages=[assistant(Text("a", cache="5m")), Message("user", "b")])
    assert body["input"][0] == {"type": "message", "role": "assistant", "content": "a"}
    assert notes == ["a cache mark in an answer was left out: it has no place"]


@pytest.mark.parametrize(
    ("model", "dialect", "asked", "sent"),
    [
        (MODEL, "openai", "high", {"effort": "high", "summary": "auto"}),
        (MODEL, "openai", "max", {"effort": "max", "summary": "auto"}),
        (MODEL, "openai", "none", {"effort": "low", "summary": "auto"}),
        ("gpt-6.1-terra", "openai", "none", {"effort": "none"}),
        (OLD_MODEL, "openai", "max", {"effort": "xhigh", "summary": "auto"}),
        ("gpt-5", "openai", "minimal", {"effort": "minimal", "summary": "auto"}),
        ("o3", "openai", "minimal", {"effort": "low", "summary": "auto"}),
        ("gpt-oss-120b", "compatible", "high", {"effort": "high"}),
        ("openai.gpt-oss-120b", "bedrock", "max", {"effort": "high"}),
    ],
)
def test_reasoning_efforts(model: str, dialect: str, asked: str, sent: dict[str, str]) -> None:
    body, notes = both(model, dialect, reasoning=asked, tools=[WEATHER])
    assert body["reasoning"] == sent
    assert len(notes) == (sent["effort"] != asked)


def test_a_model_that_does_not_reason() -> None:
    body, notes = both(capabilities=able(reasoning=False), reasoning="high")
    assert "reasoning" not in body
    assert notes == ["reasoning high was left out: this model does not reason"]


@pytest.mark.parametrize(
    ("sampling", "reasoning", "is_sent"),
    [
        ("yes", "high", True),
        ("no", "none", False),
        ("without_reasoning", "none", True),
        ("without_reasoning", "low", False),
        ("without_reasoning", None, False),
    ],
)
def test_sampling(sampling: str, reasoning: str | None, is_sent: bool) -> None:
    body, notes = both(
        OLD_MODEL,
        capabilities=able(sampling=sampling),
        temperature=0.0,
        top_p=0.9,
        reasoning=reasoning,
    )
    assert ({"temperature", "top_p"} <= set(body)) == is_sent
    assert len(notes) == (0 if is_sent else 2)


def test_what_the_wire_has_not() -> None:
    body, notes = both(seed=7, stop=["END"])
    assert set(body) == {"model", "input", "store", "include"}
    assert notes == [
        "seed was left out: this wire format has none",
        "stop was left out: this wire format has none",
    ]


def test_the_least_bound_on_the_output() -> None:
    assert body_of(max_output_tokens=16)["max_output_tokens"] == 16
    with pytest.raises(CallRefused) as refused:
        both(max_output_tokens=15)
    assert "below 16" in refused.value.info.message
    assert both(dialect="compatible", max_output_tokens=1)[0]["max_output_tokens"] == 1
    body, notes = both(max_output_tokens=900, output_limit=500)
    assert body["max_output_tokens"] == 500
    assert len(notes) == 1


def test_tools_say_whether_they_are_strict() -> None:
    strict = Tool("closed", "", CLOSED, strict=True)
    body, notes = both(tools=[WEATHER, strict, Tool("open", "", {}, strict=True)])
    assert body["tools"] == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "The weather.",
            "parameters": WEATHER.parameters,
            "strict": False,
        },
        {"type": "function", "name": "closed", "parameters": CLOSED, "strict": True},
        {
            "type": "function",
            "name": "open",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ]
    assert notes == ["strict was left out of a tool: the provider or the schema does not allow it"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        (ToolName("get_weather"), {"type": "function", "name": "get_weather"}),
    ],
)
def test_tool_choice(choice: Any, sent: Any) -> None:
    body = body_of(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False)
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (sent, False)


def test_a_model_that_cannot_be_made_to_call() -> None:
    weak = able(forced_tool_choice=False)
    body, notes = both(tools=[WEATHER], tool_choice="required", capabilities=weak)
    assert (body["tool_choice"], len(notes)) == ("auto", 1)
    without = body_of(tools=[WEATHER], tool_choice="none", capabilities=able(tools=False))
    assert "tools" not in without


def test_a_schema_for_the_answer() -> None:
    schema = {**CLOSED, "title": "A City!"}
    assert body_of(output_schema=schema)["text"] == {
        "format": {"type": "json_schema", "name": "A_City", "schema": schema, "strict": True}
    }
    loose = {"type": "object"}
    assert body_of(output_schema=loose)["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": loose}
    }


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([assistant(PIXEL)], "assistant message cannot hold Image"),
        ([user(ToolCall("c", "f"))], "user message cannot hold ToolCall"),
    ],
)
def test_what_has_no_place_is_refused(messages: list[Message], said: str) -> None:
    with pytest.raises(CallRefused) as refused:
        both(messages=messages)
    assert said in refused.value.info.message


def test_lone_surrogates_can_be_sent() -> None:
    assert items(Message("user", "a\ud800b")) == [{"role": "user", "content": "a\ufffdb"}]
