from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import ErrorClass
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.bedrock.tools import ANSWER_TOOL
from routerd.providers.surrogates import LOST_NOTE
from routerd_proto.frames import (
    CitationAdded,
    ReasoningDelta,
    ReasoningEnded,
    TextDelta,
    Usage,
)
from tests.daemon.providers.bedrock.wire import (
    block_stop,
    delta,
    event,
    exception,
    metadata,
    sealed,
    stopped,
    tool_start,
)
from tests.daemon.providers.drive import calls_in, decode, text_in
from tests.daemon.providers.test_bad_input import paths_in, put

BEDROCK = BedrockAdapter()
START = event("messageStart", role="assistant")
WHOLE = [
    START,
    delta(0, reasoningContent={"text": "Let me "}),
    delta(0, reasoningContent={"text": "think."}),
    delta(0, reasoningContent={"signature": "Sig=="}),
    block_stop(0),
    delta(1, text="Grüße 👋🏽"),
    block_stop(1),
    tool_start(2, "tooluse_1", "get_weather", type="tool_use"),
    delta(2, toolUse={"input": '{"city":'}),
    delta(2, toolUse={"input": ' "Paris"}'}),
    block_stop(2),
    tool_start(3, "tooluse_2", "ping"),
    block_stop(3),
    stopped("tool_use"),
    metadata(
        inputTokens=12,
        outputTokens=25,
        totalTokens=2737,
        cacheReadInputTokens=2000,
        cacheReadInputTokenCount=2000,
        cacheWriteInputTokens=700,
        cacheWriteInputTokenCount=700,
        cacheDetails=[{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 500}],
        serverToolUsage={},
    ),
]


def test_a_whole_stream() -> None:
    parts, outcome = decode(BEDROCK, WHOLE)
    assert parts[:3] == [
        ReasoningDelta("Let me think."),
        ReasoningEnded("bedrock", {"signature": "Sig=="}),
        TextDelta("Grüße 👋🏽"),
    ]
    assert calls_in(parts) == [
        ("tooluse_1", "get_weather", '{"city": "Paris"}'),
        ("tooluse_2", "ping", "{}"),
    ]
    assert (outcome.finish, outcome.complete, outcome.failure) == ("tool_calls", True, None)
    assert outcome.usage == Usage(12, 2000, 200, 500, 25)
    assert (outcome.malformed_events, outcome.notes) == (0, [])


def test_a_citation_comes_where_it_stands_in_the_stream() -> None:
    cited = {"title": "A", "location": {"web": {"url": "https://example.org"}}}
    frames = [START, delta(0, text="Hi"), delta(0, citation=cited), delta(0, text="!")]
    parts, outcome = decode(BEDROCK, [*frames, block_stop(0), stopped(), metadata(inputTokens=1)])
    assert parts == [TextDelta("Hi"), CitationAdded("bedrock", cited), TextDelta("!")]
    assert (outcome.complete, outcome.notes) == (True, [])


def test_it_is_the_same_however_it_is_split() -> None:
    expected = decode(BEDROCK, WHOLE)
    data = b"".join(WHOLE)
    chance = random.Random(3)
    assert decode(BEDROCK, [data[place : place + 1] for place in range(len(data))]) == expected
    for _ in range(50):
        cuts = sorted(chance.sample(range(len(data)), 5))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert decode(BEDROCK, pieces) == expected


def test_the_answer_is_complete_with_its_usage_and_not_before() -> None:
    decoder = BEDROCK.decoder(stream=True)
    decoder.feed(START + delta(0, text="Hi") + stopped())
    assert not decoder.outcome.complete
    decoder.feed(metadata(inputTokens=1, outputTokens=2))
    assert decoder.outcome.complete
    assert decoder.outcome.usage == Usage(1, output_tokens=2)


def test_without_usage_the_end_of_the_body_completes_it() -> None:
    parts, outcome = decode(BEDROCK, [START, delta(0, text="Hi"), stopped()])
    assert (text_in(parts), outcome.complete, outcome.usage) == ("Hi", True, None)


def test_without_a_stop_it_is_not_complete() -> None:
    parts, outcome = decode(BEDROCK, [START, delta(0, text="Hi"), delta(0, text="cut")[:-9]])
    assert (text_in(parts), outcome.complete, outcome.failure) == ("Hi", False, None)


def test_a_broken_checksum_is_a_broken_answer() -> None:
    spoilt = bytearray(delta(0, text="lost"))
    spoilt[-1] ^= 1
    parts, outcome = decode(BEDROCK, [START + delta(0, text="Hi") + bytes(spoilt) + stopped()])
    assert text_in(parts) == "Hi"
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert (outcome.finish, outcome.complete) == ("error", False)


def test_what_is_broken_behind_a_whole_answer_takes_nothing_from_it() -> None:
    spoilt = bytearray(delta(0, text="lost"))
    spoilt[-1] ^= 1
    for behind in (bytes(spoilt), b"upstream connect error"):
        parts, outcome = decode(BEDROCK, [*WHOLE, behind, behind])
        assert text_in(parts) == "Grüße 👋🏽"
        assert (outcome.finish, outcome.complete, outcome.failure) == ("tool_calls", True, None)
        assert outcome.notes == ["what came behind the end of the answer could not be read"]
    # Its usage is still to come: a bill of nothing would be wrong.
    _, outcome = decode(BEDROCK, [*WHOLE[:-1], bytes(spoilt)])
    assert (outcome.finish, outcome.complete) == ("error", False)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the answer is empty"),
        (b"<html><title>Bad gateway</title></html>", "a web page: Bad gateway"),
        (b"upstream connect error", "no event stream"),
        (b'data: {"choices": []}\n\n', "no event stream"),
        (b'{"output":', "not whole JSON"),
        (b"[]", "not whole JSON"),
        (b"{}", "holds no content"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_no_answer(data: bytes, said: str, stream: bool) -> None:
    parts, outcome = decode(BEDROCK, [data], stream=stream)
    assert parts == []
    assert outcome.failure is not None
    if stream or said != "no event stream":
        assert said in outcome.failure.message
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER


@pytest.mark.parametrize(
    ("kind", "fields", "error_class"),
    [
        ("throttlingException", {}, ErrorClass.RATE_LIMIT),
        ("throttlingException", {"message": "Too many tokens per day"}, ErrorClass.QUOTA),
        ("serviceUnavailableException", {}, ErrorClass.OVERLOADED),
        ("internalServerException", {}, ErrorClass.SERVER_ERROR),
        ("validationException", {"message": "no"}, ErrorClass.BAD_REQUEST),
        (
            "validationException",
            {"message": "Input is too long for requested model"},
            ErrorClass.CONTEXT_LENGTH,
        ),
        ("modelStreamErrorException", {"originalStatusCode": 429}, ErrorClass.RATE_LIMIT),
        (
            "modelStreamErrorException",
            {
                "message": "The model stream failed",
                "originalStatusCode": 400,
                "originalMessage": "prompt is too long: 9 tokens > 8 maximum",
            },
            ErrorClass.CONTEXT_LENGTH,
        ),
        ("modelStreamErrorException", {}, ErrorClass.SERVER_ERROR),
        ("neverHeardOf", {}, ErrorClass.SERVER_ERROR),
    ],
)
def test_an_exception_in_the_stream(
    kind: str, fields: dict[str, Any], error_class: ErrorClass
) -> None:
    parts, outcome = decode(BEDROCK, [START, delta(0, text="Half"), exception(kind, **fields)])
    assert text_in(parts) == "Half"
    assert outcome.failure is not None
    assert outcome.failure.error_class is error_class
    assert (outcome.finish, outcome.complete) == ("error", False)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("something_new", "stop"),
        ("malformed_tool_use", "error"),
    ],
)
def test_stop_reasons(reason: str, finish: str) -> None:
    parts, outcome = decode(BEDROCK, [delta(0, text="Hi"), stopped(reason)])
    assert text_in(parts) == "Hi"
    assert (outcome.finish, outcome.complete) == (finish, finish != "error")


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_broken_output_is_told_by_the_providers_own_word(reason: str, stream: bool) -> None:
    body = {"output": {"message": {"content": [{"text": "Hi"}]}}, "stopReason": reason}
    data = [delta(0, text="Hi"), stopped(reason)] if stream else [json.dumps(body).encode()]
    _, outcome = decode(BEDROCK, data, stream=stream)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert (outcome.failure.code, outcome.complete) == (reason, False)


def test_a_plain_answer() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "S"}}},
        {"reasoningContent": {"redactedContent": "QUJD"}},
        {"text": "Hi \ud83d"},
        {"citationsContent": {"content": [{"text": "cited"}], "citations": [{"title": "A"}]}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}, "type": "tool_use"}},
        {"toolUse": {"toolUseId": "s", "name": "g", "input": {}, "type": "server_tool_use"}},
        {"unheard_of": {}},
    ]
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        "metrics": {"latencyMs": 1},
    }
    data = json.dumps(body).encode()
    for stream in (True, False):
        parts, outcome = decode(BEDROCK, [data], stream=stream)
        assert parts[:3] == [
            ReasoningDelta("Hm"),
            ReasoningEnded("bedrock", {"signature": "S"}),
            ReasoningEnded("bedrock", {"redacted": "QUJD"}),
        ]
        assert text_in(parts) == "Hi \ufffdcited"
        assert CitationAdded("bedrock", {"title": "A"}) in parts
        assert calls_in(parts) == [("t", "f", '{"a":1}')]
        assert (outcome.finish, outcome.complete) == ("tool_calls", True)
        assert outcome.usage == Usage(3, output_tokens=4)
        assert outcome.notes == [
            "a part of the answer is not shown, and goes back: toolUse",
            "content of kind unheard_of was left out",
            LOST_NOTE,
        ]


def test_frames_where_a_plain_answer_was_asked_for() -> None:
    parts, outcome = decode(BEDROCK, WHOLE, stream=False)
    assert text_in(parts) == "Grüße 👋🏽"
    assert outcome.complete


def test_an_error_in_a_plain_answer() -> None:
    for body in (
        {"message": "Too many requests", "__type": "com.amazon#ThrottlingException"},
        {"Output": {"__type": "com.amazon#ThrottlingException"}, "Version": "1.0"},
    ):
        _, outcome = decode(BEDROCK, [json.dumps(body).encode()], stream=False)
        assert outcome.failure is not None
        assert outcome.failure.error_class is ErrorClass.RATE_LIMIT
        assert outcome.failure.code == "ThrottlingException"


def test_odd_events_lose_no_text() -> None:
    odd = [
        event("somethingNew", x=1),
        delta(0, unknown={}),
        delta(9, toolUse={"input": "{}"}),
        event("contentBlockDelta", contentBlockIndex="x", delta={"text": "?"}),
        event("contentBlockDelta", contentBlockIndex=0, delta=None),
        event("contentBlockStart", contentBlockIndex=4, start=None),
        event("contentBlockStop", contentBlockIndex=None),
        event("metadata", usage="none"),
    ]
    parts, outcome = decode(BEDROCK, [delta(0, text="a"), *odd, delta(0, text="b"), stopped()])
    assert text_in(parts) == "ab"
    assert outcome.complete
    assert outcome.malformed_events == 4


@pytest.mark.parametrize(
    "given",
    [
        [delta(0, toolUse={"input": {"city": "Paris"}})],
        [delta(0, toolUse={"input": {}}), delta(0, toolUse={"input": '{"city":"Paris"}'})],
    ],
)
@pytest.mark.parametrize("name", ["get_weather", ANSWER_TOOL])
def test_arguments_that_come_as_an_object_are_not_lost(given: list[bytes], name: str) -> None:
    for start, pieces in (
        (tool_start(0, "tooluse_1", name), given),
        (tool_start(0, "tooluse_1", name, input={"city": "Paris"}), []),
        (tool_start(0, "tooluse_1", name, input={}), given),
    ):
        parts, outcome = decode(BEDROCK, [start, *pieces, block_stop(0), stopped("tool_use")])
        called = text_in(parts) if name == ANSWER_TOOL else calls_in(parts)[0][2]
        assert called == '{"city":"Paris"}'
        assert (outcome.malformed_events, outcome.notes) == (0, [])


def test_a_character_in_two_halves() -> None:
    halves = [delta(0, text="\ud83d"), delta(0, text="\udc4b"), stopped()]
    parts, _ = decode(BEDROCK, halves)
    assert text_in(parts) == "👋"


def test_absurd_counts_are_left_out() -> None:
    usage = {"inputTokens": 10**12, "outputTokens": 1}
    _, outcome = decode(BEDROCK, [delta(0, text="a"), stopped(), metadata(**usage)])
    assert outcome.usage is None
    assert "too large to be true" in outcome.notes[0]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("others", [0, 1])
def test_the_answer_by_a_tool_is_its_text(stream: bool, others: int) -> None:
    if stream:
        data = [
            *[tool_start(0, "t", "f") + block_stop(0)] * others,
            tool_start(1, "a", ANSWER_TOOL),
            delta(1, toolUse={"input": '{"a":'}),
            delta(1, toolUse={"input": '"b"}'}),
            block_stop(1),
            stopped("tool_use"),
        ]
    else:
        content = [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}] * others
        content.append({"toolUse": {"toolUseId": "a", "name": ANSWER_TOOL, "input": {"a": "b"}}})
        body = {"output": {"message": {"content": content}}, "stopReason": "tool_use"}
        data = [json.dumps(body).encode()]
    parts, outcome = decode(BEDROCK, data, stream=stream)
    assert text_in(parts) == '{"a":"b"}'
    assert [name for _, name, _ in calls_in(parts)] == ["f"] * others
    assert (outcome.finish, outcome.complete) == ("tool_calls" if others else "stop", True)


def test_an_answer_by_a_tool_that_was_cut_is_cut() -> None:
    data = [
        tool_start(0, "a", ANSWER_TOOL),
        delta(0, toolUse={"input": '{"a'}),
        stopped("max_tokens"),
    ]
    parts, outcome = decode(BEDROCK, data)
    assert (text_in(parts), outcome.finish) == ('{"a', "length")


TRACE = {
    "promptRouter": {"invokedModelId": "arn:aws:bedrock:us-east-1::foundation-model/m.one-v1:0"},
    "guardrail": {
        "modelOutput": ["what was said"],
        "inputAssessment": {
            "g1": {"topicPolicy": {"topics": [{"name": "secret", "action": "BLOCKED"}]}}
        },
        "outputAssessments": {
            "g1": [
                {
                    "contentPolicy": {"filters": [{"type": "HATE", "action": "NONE"}]},
                    "sensitiveInformationPolicy": {
                        "piiEntities": [{"match": "a@b.c", "action": "ANONYMIZED"}],
                        "regexes": [{"match": "a@b.c", "action": "ANONYMIZED"}],
                    },
                }
            ]
        },
    },
}


@pytest.mark.parametrize("stream", [True, False])
def test_what_a_trace_tells_is_noted_without_its_words(stream: bool) -> None:
    text = "I cannot answer that."
    if stream:
        data = [
            delta(0, text=text),
            stopped("guardrail_intervened"),
            event("metadata", usage={"inputTokens": 1, "outputTokens": 2}, trace=TRACE),
        ]
    else:
        body = {
            "output": {"message": {"content": [{"text": text}]}},
            "stopReason": "guardrail_intervened",
            "usage": {"inputTokens": 1, "outputTokens": 2},
            "trace": TRACE,
        }
        data = [json.dumps(body).encode()]
    parts, outcome = decode(BEDROCK, data, stream=stream)
    assert text_in(parts) == text
    assert (outcome.finish, outcome.model) == ("content_filter", "m.one-v1:0")
    assert sorted(outcome.notes) == [
        "a guardrail of the provider's stepped in",
        "a guardrail's sensitiveInformationPolicy acted: anonymized",
        "a guardrail's topicPolicy acted: blocked",
    ]


@pytest.mark.parametrize(
    "trace", [None, 1, [], {"guardrail": 1}, {"guardrail": {"inputAssessment": {"g": [1, None]}}}]
)
def test_a_trace_that_makes_no_sense_is_passed_over(trace: Any) -> None:
    data = [delta(0, text="a"), stopped(), event("metadata", trace=trace)]
    parts, outcome = decode(BEDROCK, data)
    assert (text_in(parts), outcome.complete, outcome.notes) == ("a", True, [])


PIECES = st.sampled_from(
    [
        delta(0, text="t"),
        delta(0, text="\u2028\r\n"),
        delta(0, text="\ud83d"),
        delta(1, toolUse={"input": "{}"}),
        delta(2, reasoningContent={"text": "r"}),
        delta(2, reasoningContent={"redactedContent": "QQ=="}),
        delta(0, text=None),
        delta(0, citation={"title": "c"}),
        tool_start(1, "t", "f"),
        block_stop(1),
        block_stop(2),
        stopped(),
        metadata(inputTokens=1, outputTokens=1),
        event("unheardOf", delta={"text": "no"}),
        sealed(b"\x0b:event-type\x07\x00\x11contentBlockDelta", b'{"delta":{"text":"\xff"}}'),
        sealed(b"\x0b:event-type\x07\x00\x11contentBlockDelta", b"not JSON"),
        sealed(b"\x0b:event-type\x07\x00\x11contentBlockDelta", b"[" * 5000),
    ]
)


@given(st.lists(PIECES, max_size=12), st.data())
def test_whatever_comes_is_read_the_same_however_it_is_cut(
    pieces: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    cut = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
    whole = decode(BEDROCK, [stream])
    assert decode(BEDROCK, cut) == whole
    said = text_in(whole[0])
    assert said.count("t") == pieces.count(delta(0, text="t"))


@given(st.binary(max_size=80), st.booleans(), st.booleans())
def test_garbage_never_raises(data: bytes, stream: bool, begun: bool) -> None:
    decode(BEDROCK, [START] * begun + [data], stream=stream)
    BEDROCK.failure(500, {"x-amzn-errortype": "x"}, data)


ODD: tuple[Any, ...] = (None, 0, "", [], {}, True)
EVENTS: dict[str, dict[str, Any]] = {
    "messageStart": {"role": "assistant"},
    "contentBlockStart": {
        "contentBlockIndex": 1,
        "start": {"toolUse": {"toolUseId": "t", "name": "f"}},
    },
    "contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hel"}},
    "contentBlockStop": {"contentBlockIndex": 0},
    "messageStop": {"stopReason": "end_turn", "additionalModelResponseFields": {"a": 1}},
    "metadata": {"usage": {"inputTokens": 1, "cacheDetails": [{"ttl": "5m"}]}, "trace": {"a": {}}},
}


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_anything_in_the_place_of_anything_never_raises(kind: str, odd: Any) -> None:
    for path in paths_in(EVENTS[kind]):
        spoilt = event(kind, **put(EVENTS[kind], path, odd))
        parts, outcome = decode(BEDROCK, [START, spoilt, delta(0, text="later"), stopped()])
        assert text_in(parts).endswith("later")
        assert outcome.complete


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("a\ud83d", "\ude00b"), "a\U0001f600b"),
        (("a\ud83d", "b"), "a\ufffdb"),
        (("a\u2028b\u2029", "\x85c\x0bd\x0c\x1c\x00"), "a\u2028b\u2029\x85c\x0bd\x0c\x1c\x00"),
        (("x" * 150_000, "é" * 100_001), "x" * 150_000 + "é" * 100_001),
    ],
)
def test_odd_characters_and_large_frames(pieces: tuple[str, str], expected: str) -> None:
    data = b"".join([START, *(delta(0, text=piece) for piece in pieces), stopped()])
    for size in (4093, len(data)):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        parts, outcome = decode(BEDROCK, chunks)
        assert (text_in(parts), outcome.complete, outcome.malformed_events) == (expected, True, 0)


def test_what_comes_twice_or_says_nothing() -> None:
    end = [stopped(), metadata(inputTokens=1, outputTokens=1)]
    nothing = [event("metadata", usage=None), event("contentBlockStop"), START]
    for events in ([*end, *end], [*nothing, *end], [stopped(), *end]):
        parts, outcome = decode(BEDROCK, [START, delta(0, text="Hello"), *events])
        assert (text_in(parts), outcome.complete, outcome.finish) == ("Hello", True, "stop")
        assert outcome.failure is None
