from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routerd.errors import CallRefused
from routerd.providers.gemini import GeminiAdapter
from routerd.providers.gemini.messages import STAND_IN_SIGNATURE
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

ADAPTER = GeminiAdapter()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = Tool("weather", "The weather.", SCHEMA)
NEW, OLD = "gemini-3.8-flash", "gemini-2.5-flash"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
LITE, PRO = "gemini-2.5-flash-lite", "gemini-2.5-pro"


def sent(model: str = NEW, messages: list[Message] | None = None, **options: Any) -> Any:
    return encoded(ADAPTER, request(model, messages, **options))


def test_the_key_goes_in_a_header_and_the_model_in_the_path() -> None:
    assert ADAPTER.authorize(" key ") == [(b"x-goog-api-key", b"key")]
    assert ADAPTER.authorize(None) == []
    path = ADAPTER.encode(request("models/gemini-4-argon")).path
    assert path == "/v1beta/models/gemini-4-argon:generateContent"
    path = ADAPTER.encode(request("a/../b?c", stream=True)).path
    assert path == "/v1beta/models/a%2F..%2Fb%3Fc:streamGenerateContent?alt=sse"


def test_nothing_is_sent_that_was_not_set() -> None:
    assert sent() == ({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, [])


def test_system_text_and_turns() -> None:
    body, notes = sent(
        messages=[
            Message("system", "Be brief."),
            Message("user", "a"),
            Message("user", "b"),
            Message("assistant", "c"),
            Message("system", "Now long."),
        ]
    )
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
        {"role": "user", "parts": [{"text": "Now long."}]},
    ]
    assert notes == ["a system message after the start was sent as user text"]


def test_pictures_and_documents() -> None:
    body, notes = sent(
        messages=[
            Message(
                "user",
                [
                    Image(data=b"\x00", media_type="image/jpeg"),
                    Image(url="https://example.org/a.webp?x=1"),
                    Image(url="data:image/gif;base64,AA=="),
                    Document(data=b"%PDF"),
                    Document(data=b"words", media_type="text/plain", title="Notes"),
                ],
            )
        ]
    )
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://example.org/a.webp?x=1"}},
        {"inlineData": {"mimeType": "image/gif", "data": "AA=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
        {"text": "Notes\n\nwords"},
    ]
    assert notes == ["a text document was sent as plain text"]


def test_a_picture_whose_address_names_no_type_is_noted() -> None:
    body, notes = sent(messages=[Message("user", [Image(url="https://example.org/picture")])])
    [part] = body["contents"][0]["parts"]
    assert part["fileData"]["mimeType"] == "image/png"
    assert notes == ["what an address leads to was said to be image/png: it names no type"]
    told = Image(url="https://example.org/picture", media_type="image/webp")
    assert sent(messages=[Message("user", [told])])[1] == []


@pytest.mark.parametrize(
    "document",
    [
        Document(data=b"PK", media_type=DOCX),
        Document(url="https://example.org/a", media_type=DOCX.upper()),
        Document(url=f"data:{DOCX};base64,UEs="),
    ],
)
def test_documents_of_an_office_are_refused(document: Document) -> None:
    with pytest.raises(CallRefused) as refused:
        sent(messages=[Message("user", [document])])
    assert "takes no documents of type" in refused.value.info.message


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (ToolName("weather"), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tools(choice: Any, calling: Any) -> None:
    body, _ = sent(tools=[TOOL], tool_choice=choice)
    [tool] = body["tools"][0]["functionDeclarations"]
    assert tool == {
        "name": "weather",
        "description": "The weather.",
        "parametersJsonSchema": SCHEMA,
    }
    assert body["toolConfig"] == {"functionCallingConfig": calling}


@pytest.mark.parametrize(("model", "signed"), [(NEW, True), (OLD, False)])
def test_calls_of_another_model_get_the_stand_in_where_signatures_are_checked(
    model: str, signed: bool
) -> None:
    body, notes = sent(
        model,
        [
            Message("user", "Weather?"),
            Message(
                "assistant",
                [
                    Reasoning("hm", "anthropic", {"signature": "x"}),
                    ToolCall("toolu_1", "weather", '{"city": "Paris"}'),
                    ToolCall("toolu_2", "weather", "not json"),
                ],
            ),
            Message(
                "tool",
                [
                    ToolResult("toolu_2", "bad", is_error=True),
                    ToolResult("toolu_1", [Text("22 C"), Image(data=b"\x00")]),
                ],
            ),
        ],
    )
    first, second = body["contents"][1]["parts"]
    assert first.get("thoughtSignature") == (STAND_IN_SIGNATURE if signed else None)
    assert "thoughtSignature" not in second
    assert second["functionCall"]["args"] == {"arguments": "not json"}
    results = body["contents"][2]["parts"]
    assert results[0]["functionResponse"]["response"] == {"output": "22 C"}
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    assert results[1]["functionResponse"]["response"] == {"error": "bad"}
    assert (picture in results[0]["functionResponse"].get("parts", [])) is signed
    assert (picture in results) is not signed
    assert ("a tool call without a signature" in " ".join(notes)) is signed


def test_the_stand_in_is_the_documented_one() -> None:
    assert STAND_IN_SIGNATURE == "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


def test_a_result_without_its_call_is_refused() -> None:
    with pytest.raises(CallRefused):
        sent(messages=[Message("tool", [ToolResult("nobody", "x")])])


@pytest.mark.parametrize(
    ("model", "asked", "thinking"),
    [
        (NEW, "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (NEW, "none", {"thinkingLevel": "LOW"}),
        ("gemini-3.7-flash", "minimal", {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3.5-flash", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-4-argon", "max", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        (OLD, "low", {"thinkingBudget": 4096, "includeThoughts": True}),
        (OLD, "none", {"thinkingBudget": 0}),
        (LITE, "none", {"thinkingBudget": 0}),
        (LITE, "minimal", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.0-flash", "high", None),
    ],
)
def test_reasoning(model: str, asked: Any, thinking: Any) -> None:
    body, _ = sent(model, reasoning=asked)
    assert body.get("generationConfig", {}).get("thinkingConfig") == thinking


@pytest.mark.parametrize(
    ("model", "asked", "limit", "budget", "note"),
    [
        (OLD, "low", 8192, 4096, None),
        (OLD, "low", 8191, 4096, None),
        (OLD, "low", 4096, 3072, "low was sent as 3072 tokens: 4096 output tokens leave no room"),
        (OLD, "max", 8192, 6144, "max was sent as 6144 tokens: 8192 output tokens leave no room"),
        (OLD, "low", 1, 0, "was left out: 1 output tokens leave no room for it"),
        (OLD, "none", 1, 0, None),
        (LITE, "low", 683, 512, "low was sent as 512 tokens: 683 output tokens leave no room"),
        (LITE, "low", 682, 0, "was left out: 682 output tokens leave no room for it"),
        (LITE, "none", 682, 0, None),
        (PRO, "low", 100, 128, "low was sent as 128 tokens, the least this model takes"),
        (PRO, "none", None, 128, "none was sent as 128 tokens, the least this model takes"),
    ],
)
def test_a_budget_that_is_another_than_was_asked_for_is_noted(
    model: str, asked: Any, limit: int | None, budget: int, note: str | None
) -> None:
    body, notes = sent(model, reasoning=asked, max_output_tokens=limit)
    thinking = body["generationConfig"]["thinkingConfig"]
    assert thinking["thinkingBudget"] == budget
    assert ("includeThoughts" in thinking) == (asked != "none" and budget > 0)
    assert len(notes) == (note is not None)
    assert (note or "") in "".join(notes)


def test_settings() -> None:
    body, notes = sent(
        max_output_tokens=100,
        temperature=3.0,
        top_p=0.5,
        seed=7,
        stop=["a", "", "b", "c", "d", "e", "f"],
        output_schema=SCHEMA,
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 100,
        "temperature": 2.0,
        "topP": 0.5,
        "seed": 7,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert len(notes) == 2


def test_a_schema_and_tools_are_refused_where_they_do_not_go_together() -> None:
    sent(NEW, output_schema=SCHEMA, tools=[TOOL])
    with pytest.raises(CallRefused):
        sent(OLD, output_schema=SCHEMA, tools=[TOOL])


# Recorded: a forced call beside the media type of JSON is refused as unsupported.
@pytest.mark.parametrize("choice", ["required", ToolName("weather")])
@pytest.mark.parametrize("model", [NEW, OLD])
def test_no_schema_goes_along_where_a_tool_must_be_called(model: str, choice: Any) -> None:
    asked: Any = {"output_schema": SCHEMA, "tools": [TOOL], "tool_choice": choice}
    body, notes = sent(model, **asked)
    assert body["toolConfig"]["functionCallingConfig"]["mode"] == "ANY"
    assert "generationConfig" not in body
    [note] = notes
    assert note.startswith("output_schema was left out")
    # Where nothing can be forced, the schema is not left out.
    unable = msgspec.structs.replace(ABLE, forced_tool_choice=False)
    chat = request(NEW, capabilities=unable, **asked)
    assert "responseJsonSchema" in encoded(ADAPTER, chat)[0]["generationConfig"]


def test_a_message_to_go_on_from_is_refused_where_the_model_cannot() -> None:
    chat = request(NEW, [Message("user", "a"), Message("assistant", "b")])
    ADAPTER.encode(chat)
    unable = msgspec.structs.replace(ABLE, prefill=False)
    with pytest.raises(CallRefused):
        ADAPTER.encode(msgspec.structs.replace(chat, capabilities=unable))


def test_cache_marks_are_left_out_with_a_note() -> None:
    def chat(cache: Any) -> list[Message]:
        said: list[Content] = [Text("b", cache=cache), Image(data=b"a")]
        return [Message("system", [Text("a", cache=cache)]), Message("user", said)]

    body, notes = sent(messages=chat("1h"))
    assert body == sent(messages=chat(None))[0]
    assert notes == ["cache marks were left out: this provider or model takes none"]
    answer = Message("assistant", [ToolCall("c1", "weather")])
    result = Message("tool", [ToolResult("c1", [Text("a", cache="1h"), Text("b")])])
    _, notes = sent(messages=[Message("user", "a"), answer, result])
    assert "cache marks were left out: this provider or model takes none" in notes


def test_parallel_tool_calls_cannot_be_forbidden() -> None:
    body, notes = sent(tools=[TOOL], parallel_tool_calls=False)
    assert body == sent(tools=[TOOL])[0]
    assert notes == ["parallel_tool_calls was left out: this provider does not take it"]
    assert sent(tools=[TOOL], parallel_tool_calls=True)[1] == []


def test_sampling_and_seeds_the_model_does_not_take_are_left_out() -> None:
    body, notes = sent(seed=2**40, temperature=0.5, top_p=0.5)
    assert body["generationConfig"] == {"temperature": 0.5, "topP": 0.5}
    assert notes == ["seed was left out: this provider takes one of 32 bits"]
    silent = msgspec.structs.replace(ABLE, sampling="no")
    body, notes = encoded(ADAPTER, request(NEW, capabilities=silent, temperature=0.5, top_p=0.5))
    assert "generationConfig" not in body
    assert len(notes) == 2


def test_the_title_of_a_document_in_bytes_is_left_out_with_a_note() -> None:
    document = Document(data=b"%PDF", media_type="application/pdf", title="Report")
    _, notes = encoded(ADAPTER, request(NEW, [Message("user", [document, Text("?")])]))
    assert notes == ["the title of a document was left out"]
