from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import ErrorClass
from routerd.providers.gemini import SERVICES, GeminiAdapter
from routerd.providers.gemini.wire import OWN_PARTS
from routerd_proto.content import Message, ToolResult
from routerd_proto.frames import CitationAdded, RefusalDelta
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    decode,
    encoded,
    reasoning_in,
    request,
    text_in,
)

ADAPTER = GeminiAdapter()
VERTEX = GeminiAdapter(SERVICES["vertex"])
USAGE = {
    "promptTokenCount": 30,
    "cachedContentTokenCount": 10,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 5,
    "toolUsePromptTokenCount": 3,
    "totalTokenCount": 45,
}


def chunk(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate | more],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-4-argon",
        "responseId": "r-1",
    }


def events(*chunks: Any, end: str = "\r\n") -> bytes:
    return b"".join(
        b"data: %b%b%b" % (json.dumps(one).encode(), end.encode(), end.encode()) for one in chunks
    )


WEATHER = [
    chunk({"text": "Let me", "thought": True}),
    chunk({"text": " see.", "thought": True}),
    chunk({"text": "In \u2028Paris"}),
    chunk({"text": ":", "thoughtSignature": "dGV4dA=="}),
    chunk(
        {
            "functionCall": {"name": "weather", "args": {"city": "Paris"}},
            "thoughtSignature": "Y2FsbA==",
        },
        {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
    ),
    chunk({"text": ""}, finish="STOP"),
]


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_stream_reads_the_same_wherever_it_is_cut(end: str) -> None:
    body = events(*WEATHER, end=end)
    whole, outcome = decode(ADAPTER, [body])
    assert text_in(whole) == "In \u2028Paris:"
    assert reasoning_in(whole) == "Let me see."
    assert [(name, json.loads(given)) for _, name, given in calls_in(whole)] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Rome"}),
    ]
    assert (outcome.finish, outcome.complete, outcome.failure) == ("tool_calls", True, None)
    assert (outcome.model, outcome.response_id) == ("gemini-4-argon", "r-1")
    for cut in range(1, len(body)):
        assert decode(ADAPTER, [body[:cut], body[cut:]]) == (whole, outcome)
    assert decode(ADAPTER, [body[at : at + 1] for at in range(len(body))]) == (whole, outcome)


def test_usage_counts_thoughts_as_output_and_the_cache_apart() -> None:
    _, outcome = decode(ADAPTER, [events(*WEATHER)])
    usage = outcome.usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens) == (23, 10)
    assert (usage.output_tokens, usage.reasoning_tokens) == (12, 5)


def test_signatures_go_back_with_the_parts_they_came_with() -> None:
    parts, _ = decode(ADAPTER, [events(*WEATHER)])
    answer = answer_message(parts)
    ids = [call_id for call_id, _, _ in calls_in(parts)]
    history = [
        Message("user", "Weather?"),
        answer,
        Message("tool", [ToolResult(ids[1], "20 C"), ToolResult(ids[0], "22 C")]),
    ]
    body, notes = encoded(ADAPTER, request("gemini-4-argon", history))
    model = body["contents"][1]["parts"]
    assert model == [
        {"text": "Let me see.", "thought": True},
        {"text": "In \u2028Paris:", "thoughtSignature": "dGV4dA=="},
        {
            "functionCall": {"id": ids[0], "name": "weather", "args": {"city": "Paris"}},
            "thoughtSignature": "Y2FsbA==",
        },
        {"functionCall": {"id": ids[1], "name": "weather", "args": {"city": "Rome"}}},
    ]
    results = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert [result["response"] for result in results] == [{"output": "22 C"}, {"output": "20 C"}]
    assert [(result["id"], result["name"]) for result in results] == [
        (ids[0], "weather"),
        (ids[1], "weather"),
    ]
    assert notes == []


def test_an_empty_part_may_carry_a_signature_alone() -> None:
    parts, _ = decode(
        ADAPTER, [events(chunk({"text": "", "thoughtSignature": "YQ=="}, finish="STOP"))]
    )
    history = [Message("user", "Hi"), answer_message(parts), Message("user", "Go on")]
    body, _ = encoded(ADAPTER, request("gemini-4-argon", history))
    assert body["contents"][1]["parts"] == [{"text": "", "thoughtSignature": "YQ=="}]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("CONTINUATION", "pause"),
        ("OTHER", "stop"),
        (2, "length"),
    ],
)
def test_finish_reasons(reason: Any, finish: str) -> None:
    _, outcome = decode(ADAPTER, [events({"candidates": [{"finishReason": reason}]})])
    assert (outcome.finish, outcome.complete, outcome.failure) == (finish, True, None)


@pytest.mark.parametrize(
    ("number", "word", "at_vertex"),
    [
        (6, "LANGUAGE", "BLOCKLIST"),
        (7, "BLOCKLIST", "PROHIBITED_CONTENT"),
        (8, "PROHIBITED_CONTENT", "SPII"),
        (9, "SPII", "MALFORMED_FUNCTION_CALL"),
        (10, "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR"),
        (11, "IMAGE_SAFETY", "IMAGE_SAFETY"),
        (12, "UNEXPECTED_TOOL_CALL", "IMAGE_PROHIBITED_CONTENT"),
        (13, "TOO_MANY_TOOL_CALLS", "IMAGE_RECITATION"),
        (15, "IMAGE_OTHER", "UNEXPECTED_TOOL_CALL"),
        (99, "99", "99"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_number_is_the_word_that_its_service_has_for_it(
    number: int, word: str, at_vertex: str, stream: bool
) -> None:
    for adapter, meant in ((ADAPTER, word), (VERTEX, at_vertex)):
        (parts, outcome), expected = (
            decode(
                adapter,
                [events(answer) if stream else json.dumps(answer).encode()],
                stream=stream,
            )
            for answer in (chunk({"text": "a"}, finishReason=reason) for reason in (number, meant))
        )
        assert (parts, outcome) == expected
        assert outcome.notes or outcome.failure is not None


def test_yes_is_no_reason_to_end() -> None:
    _, outcome = decode(ADAPTER, [events(chunk({"text": "a"}, finishReason=True))])
    assert outcome.notes == ["the answer ended for an unknown reason: 'True'"]


def test_a_malformed_call_is_an_error_that_quotes_nothing() -> None:
    ended = chunk({"text": "Hm"}, finish="MALFORMED_FUNCTION_CALL", finishMessage="secret()")
    parts, outcome = decode(ADAPTER, [events(ended)])
    assert text_in(parts) == "Hm"
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.SERVER_ERROR
    assert "secret" not in outcome.failure.message


def test_a_stopped_answer_says_why() -> None:
    parts, outcome = decode(
        ADAPTER, [events(chunk({"text": "a"}, finish="SAFETY", finishMessage="Not this."))]
    )
    assert parts[-1] == RefusalDelta("Not this.")
    assert outcome.notes == ["the provider stopped the answer: SAFETY"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_blocked_prompt_is_content_policy_with_the_reason(stream: bool) -> None:
    answer = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}
    body = events(answer) if stream else json.dumps(answer).encode()
    _, outcome = decode(ADAPTER, [body], stream=stream)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.CONTENT_POLICY
    assert (outcome.failure.code, outcome.complete) == ("SAFETY", False)
    assert outcome.usage is not None


@pytest.mark.parametrize("reason", ["BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED", 0])
@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_that_is_blocked_for_no_reason_is_not(reason: Any, stream: bool) -> None:
    answer = chunk({"text": "Hi"}, finish="STOP") | {"promptFeedback": {"blockReason": reason}}
    body = events(answer) if stream else json.dumps(answer).encode()
    parts, outcome = decode(ADAPTER, [body], stream=stream)
    assert (text_in(parts), outcome.failure, outcome.complete) == ("Hi", None, True)


@pytest.mark.parametrize(
    "error",
    [
        events({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}),
        b'{\n  "error": {\n    "code": 503,\n    "status": "UNAVAILABLE"\n  }\n}\n',
        b'[{\r\n  "error": {\r\n    "code": 503,\r\n    "status": "UNAVAILABLE"\r\n  }\r\n}]\r\n',
    ],
)
def test_an_error_in_the_stream_keeps_the_text_before_it(error: bytes) -> None:
    body = events(chunk({"text": "Hello"})) + error
    for cut in range(1, len(body)):
        parts, outcome = decode(ADAPTER, [body[:cut], body[cut:]])
        assert text_in(parts) == "Hello"
        assert outcome.failure is not None
        assert outcome.failure.error_class is ErrorClass.OVERLOADED
        assert (outcome.finish, outcome.complete) == ("error", False)


def test_a_stream_without_a_finish_reason_was_cut() -> None:
    parts, outcome = decode(ADAPTER, [events(chunk({"text": "Hel"}))])
    assert text_in(parts) == "Hel"
    assert (outcome.complete, outcome.failure) == (False, None)


def test_a_list_of_chunks_reads_like_a_stream_and_cut_off_keeps_its_text() -> None:
    body = json.dumps([chunk({"text": "Hel"}), chunk({"text": "lo"}, finish="STOP")]).encode()
    parts, outcome = decode(ADAPTER, [body])
    assert (text_in(parts), outcome.complete) == ("Hello", True)
    parts, outcome = decode(ADAPTER, [body[:-40]])
    assert text_in(parts) == "Hel"
    assert outcome.failure is not None


def test_citations_come_once() -> None:
    cited = {"citations": [{"uri": "https://example.org"}]}
    again = chunk({"text": "a"}, citationMetadata=cited)
    last = chunk({"text": "b"}, finish="STOP", citationMetadata=cited)
    parts, _ = decode(ADAPTER, [events(again, last)])
    assert [part for part in parts if isinstance(part, CitationAdded)] == [
        CitationAdded("gemini", {"uri": "https://example.org"})
    ]


def test_what_grounds_an_answer_is_cited() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://example.org"}}]}
    fetched = {"urlMetadata": [{"retrievedUrl": "https://example.org"}]}
    ended = chunk({"text": "a"}, finish="STOP", groundingMetadata=grounding)
    ended["candidates"][0]["urlContextMetadata"] = fetched
    parts, _ = decode(ADAPTER, [events(ended)])
    assert [part.citation for part in parts if isinstance(part, CitationAdded)] == [
        {"groundingMetadata": grounding},
        {"urlContextMetadata": fetched},
    ]


OWN: list[dict[str, Any]] = [
    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
    {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"q": "a"}}, "thoughtSignature": "YQ=="},
    {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"r": 1}}},
    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
]


def test_parts_of_the_vendors_own_tools_go_back_as_they_came() -> None:
    answer = [{"text": "Let me see."}, *OWN, {"text": "It is 1."}]
    parts, outcome = decode(ADAPTER, [events(chunk(*answer), chunk(finish="STOP"))])
    assert text_in(parts) == "Let me see.It is 1."
    assert calls_in(parts) == []
    assert (outcome.finish, outcome.complete) == ("stop", True)
    assert [next(iter(part)) in " ".join(outcome.notes) for part in OWN] == [True] * len(OWN)
    history = [Message("user", "Hi"), answer_message(parts), Message("user", "Go on")]
    body, notes = encoded(ADAPTER, request("gemini-4-argon", history))
    assert body["contents"][1]["parts"] == answer
    assert notes == []


CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}
PICTURE = {"inlineData": {"mimeType": "image/png", "data": "YQ=="}}


def test_what_a_thought_calls_is_a_call_and_what_it_holds_goes_back() -> None:
    thoughts = [
        {"text": "Hm.", "thought": True},
        {**PICTURE, "thought": True, "thoughtSignature": "cGlj"},
        {**CALL, "thought": True, "thoughtSignature": "Y2FsbA=="},
        {"thought": True, "novelThing": {}},
    ]
    parts, outcome = decode(ADAPTER, [events(chunk(*thoughts, finish="STOP"))])
    assert [(name, json.loads(given)) for _, name, given in calls_in(parts)] == [
        ("get_weather", {"city": "Paris"})
    ]
    assert (outcome.finish, outcome.malformed_events) == ("tool_calls", 0)
    assert len(outcome.notes) == 2
    assert "inlineData" in outcome.notes[0]
    [call_id] = [call_id for call_id, *_ in calls_in(parts)]
    history = [Message("user", "Hi"), answer_message(parts)]
    body, _ = encoded(ADAPTER, request("gemini-4-argon", history))
    sent = {"id": call_id, **CALL["functionCall"]}
    assert body["contents"][1]["parts"] == [
        {"text": "Hm.", "thought": True},
        {**PICTURE, "thought": True, "thoughtSignature": "cGlj"},
        {"functionCall": sent, "thoughtSignature": "Y2FsbA=="},
    ]


def test_a_text_beside_a_call_is_said() -> None:
    part = {"text": "Looking.", **CALL}
    parts, outcome = decode(ADAPTER, [events(chunk(part, finish="STOP"))])
    assert (text_in(parts), len(calls_in(parts))) == ("Looking.", 1)
    assert outcome.notes == []


@pytest.mark.parametrize(
    ("args", "given", "wrong"),
    [('{"city": "Paris"}', {"city": "Paris"}, 0), ("", {}, 0), ("Paris", {}, 1), (["a"], {}, 1)],
)
def test_arguments_that_are_no_object(args: Any, given: Any, wrong: int) -> None:
    part = {"functionCall": {"name": "get_weather", "args": args}}
    parts, outcome = decode(ADAPTER, [events(chunk(part, finish="STOP"))])
    assert [json.loads(arguments) for *_, arguments in calls_in(parts)] == [given]
    assert outcome.malformed_events == wrong


def test_a_part_of_an_unknown_kind_is_noted() -> None:
    _, outcome = decode(ADAPTER, [events(chunk({"hologram": 1}, {"text": ""}, finish="STOP"))])
    assert outcome.notes == ["a part of the answer was left out: it is of an unknown kind"]


def test_an_answer_that_paused_goes_on_by_its_token() -> None:
    paused = chunk({"text": "Part one"}, finish="CONTINUATION", continuationToken="dG9r")
    parts, outcome = decode(ADAPTER, [events(paused)])
    assert (outcome.finish, outcome.complete) == ("pause", True)
    history = [Message("user", "Hi"), answer_message(parts)]
    body, _ = encoded(ADAPTER, request("gemini-4-argon", history))
    assert body["continuationToken"] == "dG9r"
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    body, _ = encoded(ADAPTER, request("gemini-4-argon", [*history, Message("user", "New")]))
    assert "continuationToken" not in body
    assert body["contents"][1] == {"role": "model", "parts": [{"text": "Part one"}]}


def piece(path: Any, more: bool = False, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value, **({"willContinue": True} if more else {})}


def growing(*pieces: Any, more: bool = True) -> dict[str, Any]:
    call: dict[str, Any] = {"partialArgs": list(pieces)} if pieces else {}
    return chunk({"functionCall": call | ({"willContinue": True} if more else {})})


STREAMED = [
    chunk(
        {
            "functionCall": {"name": "book", "id": "c-1", "willContinue": True},
            "thoughtSignature": "YQ==",
        }
    ),
    growing(piece("$.city", more=True, stringValue="New ")),
    growing(piece("$.city", stringValue="Delhi")),
    growing(
        piece("$.days[1].n", numberValue=2),
        piece("$['odd.key'].on", boolValue=True),
        piece('$["none"]', nullValue="NULL_VALUE"),
    ),
    growing(more=False),
    chunk({"functionCall": {"name": "look", "args": {}}}),
    chunk({"text": ""}, finish="STOP"),
]


def test_arguments_that_come_piece_by_piece_are_put_together() -> None:
    body = events(*STREAMED)
    parts, outcome = decode(ADAPTER, [body])
    [(call_id, name, arguments), (_, other, none)] = calls_in(parts)
    assert (call_id, name, other, none) == ("c-1", "book", "look", "{}")
    assert json.loads(arguments) == {
        "city": "New Delhi",
        "days": [None, {"n": 2}],
        "odd.key": {"on": True},
        "none": None,
    }
    assert (outcome.finish, outcome.complete, outcome.malformed_events) == ("tool_calls", True, 0)
    for cut in range(1, len(body)):
        assert decode(ADAPTER, [body[:cut], body[cut:]]) == (parts, outcome)


# Recorded at Vertex either way: the last piece says that nothing follows, or an empty call does.
@pytest.mark.parametrize("ends", [[], [growing(more=False)], [growing(more=False)] * 2])
def test_a_call_that_is_over_may_be_ended_again(ends: list[Any]) -> None:
    first = chunk({"functionCall": {"name": "book", "willContinue": True}})
    last = growing(piece("$.price", numberValue=0.3), more=False)
    body = events(first, last, *ends, STREAMED[-1])
    parts, outcome = decode(ADAPTER, [body])
    assert [(name, given) for _, name, given in calls_in(parts)] == [("book", '{"price":0.3}')]
    assert (outcome.finish, outcome.malformed_events) == ("tool_calls", 0)


def test_a_call_that_never_ends_keeps_what_came_of_it() -> None:
    parts, outcome = decode(ADAPTER, [events(*STREAMED[:3], STREAMED[-1])])
    assert [json.loads(given) for _, _, given in calls_in(parts)] == [{"city": "New Delhi"}]
    assert outcome.complete
    cut, outcome = decode(ADAPTER, [events(*STREAMED[:3])])
    assert [name for _, name, _ in calls_in(cut)] == ["book"]
    assert not outcome.complete


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        7,
        {},
        {"jsonPath": "$.a"},
        piece("a", stringValue="x"),
        piece("$", stringValue="x"),
        piece("$[0]", stringValue="x"),
        piece("$.a..b", stringValue="x"),
        piece("$.city.deeper", stringValue="x"),
        piece("$.list[999999]", stringValue="x"),
        piece("$" + ".a" * 100, stringValue="x"),
        piece(7, stringValue="x"),
    ],
)
def test_a_piece_without_a_place_is_counted_and_changes_nothing(wrong: Any) -> None:
    first = chunk({"functionCall": {"name": "book", "willContinue": True}})
    body = events(
        first, growing(piece("$.city", stringValue="x")), growing(wrong, more=False), STREAMED[-1]
    )
    parts, outcome = decode(ADAPTER, [body])
    [(_, _, arguments)] = calls_in(parts)
    given = json.loads(arguments)
    assert given.pop("list", []) == []
    assert given == {"city": "x"}
    assert (outcome.malformed_events, outcome.complete) == (1, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>502 Bad Gateway</title></html>",
        b"null",
        b'"text"',
        b"{}",
        b"[]",
        b'{"candidates": []}',
        b'{"candidates": null}',
        b"\xff\xfe",
        b'{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}',
        b'[{"error": {"code": 400, "message": "no"}}]',
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_none_never_looks_complete(body: bytes, stream: bool) -> None:
    _, outcome = decode(ADAPTER, [body], stream=stream)
    assert not outcome.complete


def test_lone_surrogates_are_joined_over_chunks() -> None:
    body = (
        b'data: {"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}]}\r\n\r\n'
        b'data: {"candidates":[{"content":{"parts":[{"text":"\\ude00"}]},"finishReason":"STOP"}]}'
    )
    parts, outcome = decode(ADAPTER, [body])
    assert (text_in(parts), outcome.complete) == ("\U0001f600", True)


GARBAGE = st.one_of(
    st.sampled_from(
        [
            b": ping\r\n\r\n",
            b"data: {\r\n\r\n",
            b"data: null\r\n\r\n",
            b"data: 1\r\n\r\n",
            b'data: {"candidates": null}\r\n\r\n',
            b'data: {"candidates": {}}\r\n\r\n',
            b'data: {"candidates": [null, 7]}\r\n\r\n',
            b'data: {"candidates": [{"content": null}]}\r\n\r\n',
            b'data: {"candidates": [{"content": {"parts": [{"text": 7, "thought": 2}]}}]}\r\n\r\n',
            b'data: {"usageMetadata": {"promptTokenCount": "7"}}\r\n\r\n',
            b'data: {"unknown": 1}\r\n\r\n',
            b"event: surprise\r\ndata: <html>\r\n\r\n",
        ]
    ),
    st.binary(max_size=20).map(lambda data: b"data: {" + data.translate(None, b"\r\n") + b"\n\n"),
)


@given(
    st.lists(st.tuples(st.text(max_size=8), st.lists(GARBAGE, max_size=2)), max_size=6),
    st.lists(st.integers(0, 2000), max_size=6),
)
def test_no_garbage_between_events_loses_text(
    pieces: list[tuple[str, list[bytes]]], cuts: list[int]
) -> None:
    body = b"".join(
        b"".join(garbage) + events(chunk({"text": text})) for text, garbage in pieces
    ) + events(chunk(finish="STOP"))
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    chunks = [body[start:end] for start, end in itertools.pairwise(places)]
    parts, outcome = decode(ADAPTER, chunks)
    assert text_in(parts) == "".join(text for text, _ in pieces)
    assert (outcome.complete, outcome.finish) == (True, "stop")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("candidates", "content", "parts", "text", "thought", "functionCall", "args"),
                    *("finishReason", "usageMetadata", "promptFeedback", "blockReason", "error"),
                    *("citationMetadata", "citations", "index", "thoughtSignature", "modelStatus"),
                    *("partialArgs", "jsonPath", "stringValue", "willContinue", "executableCode"),
                    *("groundingMetadata", "continuationToken", "logprobsResult", "name"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(JSON, st.booleans())
def test_no_json_raises(value: Any, stream: bool) -> None:
    body = json.dumps(value).encode()
    decode(ADAPTER, [b"data: " + body + b"\r\n\r\n"] if stream else [body], stream=stream)


def test_zeros_at_the_end_do_not_take_the_place_of_a_count() -> None:
    zeros = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    last = chunk(finish="STOP") | {"usageMetadata": zeros}
    _, counted = decode(ADAPTER, [events(chunk({"text": "a"}), chunk(finish="STOP"))])
    _, outcome = decode(ADAPTER, [events(chunk({"text": "a"}), last)])
    assert outcome.usage is not None
    assert outcome.usage == counted.usage
    assert outcome.usage.input_tokens > 0


@pytest.mark.parametrize(
    "beside", [{"text": "a"}, {"text": "a", "thought": True}, {"functionCall": {"name": "f"}}]
)
@pytest.mark.parametrize("kind", OWN_PARTS)
def test_what_is_not_shown_is_noted_beside_what_is(kind: str, beside: dict[str, Any]) -> None:
    part = beside | {kind: {"mimeType": "image/png", "data": "AAAA"}}
    parts, outcome = decode(ADAPTER, [events(chunk(part, finish="STOP"))])
    alone, _ = decode(ADAPTER, [events(chunk(beside, finish="STOP"))])
    assert parts == alone
    assert outcome.notes == [f"content of kind {kind} was left out"]


def chunk_of(text: str, **fields: Any) -> bytes:
    return json.dumps({"candidates": [{"content": {"parts": [{"text": text}]}, **fields}]}).encode()


def test_what_stands_behind_events_never_ends_a_cut_answer() -> None:
    piece = b"data: " + chunk_of("Half") + b"\n\n"  # without an id
    parts, outcome = decode(ADAPTER, [piece, chunk_of("Half", finishReason="STOP") + b"\n"])
    assert text_in(parts) == "Half"
    assert (outcome.finish, outcome.complete) == (None, False)


def test_of_an_answer_behind_a_page_nothing_is_in_the_error() -> None:
    page = b"<html><body>502 Bad Gateway</body></html>\n\n"
    body = page + b"data: " + chunk_of("words of the answer", finishReason="STOP") + b"\n\n"
    _, outcome = decode(ADAPTER, [body])
    assert outcome.failure is not None
    assert "502 Bad Gateway" in outcome.failure.message
    assert "words" not in outcome.failure.message
