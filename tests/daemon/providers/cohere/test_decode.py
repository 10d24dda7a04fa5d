from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Usage
from routerd.errors import ErrorClass
from routerd.models import cost, load_directory
from routerd.providers.cohere import CohereAdapter
from routerd_proto.frames import (
    CitationAdded,
    LogprobsAdded,
    ReasoningDelta,
    ReasoningEnded,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from tests.daemon.providers.drive import calls_in, decode, fixture, reasoning_in, text_in

ADAPTER = CohereAdapter()
THINKING = ReasoningEnded("cohere", {"kind": "thinking"})
PLAN = ReasoningEnded("cohere", {"kind": "tool_plan"})
CITED = {
    "start": 16,
    "end": 20,
    "text": "24°C",
    "sources": [
        {
            "type": "tool",
            "id": "get_weather_p1t92w7gfgq7:0",
            "tool_output": {"temperature": "24°C"},
        }
    ],
    "type": "TEXT_CONTENT",
}


def event(kind: str | None, **fields: Any) -> bytes:
    named = f"event: {kind}\n".encode() if kind else b""
    typed = {"type": kind} if kind else {}
    return named + b"data: " + json.dumps({**typed, **fields}).encode() + b"\n\n"


def said(text: str) -> bytes:
    return event("content-delta", index=0, delta={"message": {"content": {"text": text}}})


def ended(**delta: Any) -> bytes:
    return event("message-end", delta=delta)


def test_a_stream_of_text() -> None:
    parts, outcome = decode(ADAPTER, [fixture("cohere/text.sse")])
    assert parts == [TextDelta("Hello, wörld\u2028 👋")]
    assert (outcome.finish, outcome.complete, outcome.malformed_events) == ("stop", True, 0)
    assert outcome.response_id == "c14c80c3-18eb-4519-9460-6c92edd8cfb4"
    assert outcome.model is None
    # Of 69 tokens, 64 of them from the cache, these are paid.
    assert outcome.usage == Usage(input_tokens=7, output_tokens=9)


@pytest.mark.parametrize("stream", [True, False])
def test_content_of_an_unknown_kind_is_noted(*, stream: bool) -> None:
    piece = {"type": "picture", "picture": "secret"}
    body = event("content-start", index=0, delta={"message": {"content": piece}})
    body += said("Hi") + ended(finish_reason="COMPLETE")
    if not stream:
        content = [piece, {"type": "text", "text": "Hi"}, {"type": "text", "text": ""}]
        body = json.dumps({"id": "m", "message": {"content": content}}).encode()
    parts, outcome = decode(ADAPTER, [body], stream=stream)
    assert (parts, outcome.complete) == ([TextDelta("Hi")], True)
    assert outcome.notes == ["content of kind picture was left out"]


def test_a_tool_plan_and_parallel_calls() -> None:
    parts, outcome = decode(ADAPTER, [fixture("cohere/tools_parallel.sse")])
    assert parts == [
        ReasoningDelta("I will look."),
        PLAN,
        ToolCallStarted(0, "get_weather_p1t92w7gfgq7", "get_weather"),
        ToolCallDelta(0, '{\n    "location": "Madrid"\n}'),
        ToolCallStarted(1, "get_weather_ay6nmvjgp9vn", "get_weather"),
        ToolCallDelta(1, '{"location": "Brasilia"}'),
        ToolCallStarted(2, "now_0000000000", "now"),
        ToolCallDelta(2, "{}"),
    ]
    assert (outcome.finish, outcome.complete) == ("tool_calls", True)
    assert outcome.usage == Usage(input_tokens=37, output_tokens=28)


def test_calls_that_arrive_mixed_are_kept_apart() -> None:
    def call(number: int, kind: str, **fields: Any) -> bytes:
        return event(kind, index=number, delta={"message": {"tool_calls": fields}})

    def more(number: int, text: str) -> bytes:
        return call(number, "tool-call-delta", function={"arguments": text})

    begun = [
        call(number, "tool-call-start", id=name, function={"name": name, "arguments": ""})
        for number, name in enumerate("ab")
    ]
    pieces = [more(0, '{"x":'), more(1, '{"y":'), more(0, "1}"), more(1, "2}")]
    ends = [event("tool-call-end", index=number) for number in (0, 1)]
    parts, outcome = decode(ADAPTER, [*begun, *pieces, *ends, ended(finish_reason="TOOL_CALL")])
    assert calls_in(parts) == [("a", "a", '{"x":1}'), ("b", "b", '{"y":2}')]
    assert (outcome.complete, outcome.finish) == (True, "tool_calls")


def test_thinking_comes_apart_from_the_answer() -> None:
    parts, outcome = decode(ADAPTER, [fixture("cohere/thinking.sse")])
    assert parts == [ReasoningDelta("Let me think."), THINKING, TextDelta("Answer")]
    assert outcome.complete
    parts, outcome = decode(ADAPTER, [fixture("cohere/thinking_tools.sse")])
    assert parts[:2] == [ReasoningDelta("A tool is needed."), THINKING]
    assert calls_in(parts) == [("get_weather_1", "get_weather", '{"location":"Rome"}')]


def test_a_citation_passes_through() -> None:
    parts, _ = decode(ADAPTER, [fixture("cohere/citations.sse")])
    assert parts == [
        TextDelta("It is currently 24°C in Madrid."),
        CitationAdded("cohere", CITED),
    ]


def test_plain_answers() -> None:
    parts, outcome = decode(ADAPTER, [fixture("cohere/text.json")], stream=False)
    assert parts == [
        ReasoningDelta("Hm."),
        THINKING,
        TextDelta("It is 24°C."),
        CitationAdded("cohere", CITED),
    ]
    assert (outcome.finish, outcome.complete, outcome.response_id) == ("stop", True, "c14c80c3")
    assert outcome.usage == Usage(input_tokens=7, output_tokens=9)
    parts, outcome = decode(ADAPTER, [fixture("cohere/tools.json")], stream=False)
    assert parts[:2] == [ReasoningDelta("I will look."), PLAN]
    assert calls_in(parts) == [
        ("get_weather_1", "get_weather", '{"location":"Rome"}'),
        ("now_1", "now", "{}"),
    ]
    assert outcome.finish == "tool_calls"
    assert outcome.usage == Usage(input_tokens=37, output_tokens=28)


def test_what_is_odd_loses_nothing() -> None:
    parts, outcome = decode(ADAPTER, [fixture("cohere/odd.sse")])
    assert text_in(parts) == "Begun"
    [(call_id, name, arguments)] = calls_in(parts)
    assert (name, json.loads(arguments)) == ("f", {"a": 1})
    assert call_id.startswith("call_")
    assert (outcome.finish, outcome.complete, outcome.failure) == ("tool_calls", True, None)
    assert outcome.usage == Usage(input_tokens=3, output_tokens=2)
    assert outcome.malformed_events == 0


def test_characters_cut_in_two_are_joined() -> None:
    parts, outcome = decode(ADAPTER, [fixture("cohere/surrogates.sse")])
    assert text_in(parts) == "Hi 😀!\ufffd"
    assert outcome.complete


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_LIMIT", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("NEWS", "stop"),
        (7, "stop"),
        (None, "stop"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_finish_reasons(reason: Any, finish: str, stream: bool) -> None:
    body = said("a") + ended(finish_reason=reason)
    if not stream:
        body = json.dumps({"finish_reason": reason, "message": {"content": "a"}}).encode()
    parts, outcome = decode(ADAPTER, [body], stream=stream)
    assert (text_in(parts), outcome.finish, outcome.complete) == ("a", finish, True)
    assert bool(outcome.notes) == (reason in ("NEWS", 7))


def test_only_the_end_of_the_message_ends_a_stream() -> None:
    for body in (fixture("cohere/truncated.sse"), said("Hel") + said("lo") + b"data: [DONE]\n\n"):
        parts, outcome = decode(ADAPTER, [body])
        assert text_in(parts) == "Hello"
        assert (outcome.complete, outcome.failure, outcome.finish) == (False, None, None)


@pytest.mark.parametrize(
    ("delta", "expected", "code"),
    [
        ({"finish_reason": "ERROR", "error": "internal error"}, ErrorClass.SERVER_ERROR, None),
        ({"finish_reason": "ERROR"}, ErrorClass.SERVER_ERROR, "ERROR"),
        ({"finish_reason": "TIMEOUT"}, ErrorClass.TIMEOUT, "TIMEOUT"),
        ({"finish_reason": "TIMEOUT", "error": "took long"}, ErrorClass.TIMEOUT, None),
        ({"error": {"message": "no more"}}, ErrorClass.SERVER_ERROR, None),
        (
            {"finish_reason": "ERROR", "error": "too many tokens: size limit exceeded"},
            ErrorClass.CONTEXT_LENGTH,
            None,
        ),
        (
            {"finish_reason": "ERROR", "error": "blocked: see our Usage Guidelines"},
            ErrorClass.CONTENT_POLICY,
            None,
        ),
    ],
)
def test_an_error_ends_a_stream_and_keeps_the_text_before_it(
    delta: Any, expected: ErrorClass, code: str | None
) -> None:
    usage = {"billed_units": {"input_tokens": 3, "output_tokens": 1}}
    parts, outcome = decode(ADAPTER, [said("Hel") + ended(**delta, usage=usage)])
    assert text_in(parts) == "Hel"
    assert outcome.failure is not None
    assert (outcome.failure.error_class, outcome.failure.code) == (expected, code)
    assert (outcome.finish, outcome.complete) == ("error", False)
    assert outcome.usage == Usage(input_tokens=3, output_tokens=1)


@pytest.mark.parametrize(
    "error",
    [
        b'event: error\ndata: {"message":"gone"}\n\n',
        b'data: {"message":"gone","id":"1"}\n\n',
        b'data: {"error":{"message":"gone"}}\n\n',
        b'data: {"error":"gone"}\n\n',
        b"event: error\ndata: gone\n\n",
    ],
)
def test_an_error_in_place_of_an_event(error: bytes) -> None:
    parts, outcome = decode(ADAPTER, [said("a") + error])
    assert text_in(parts) == "a"
    assert outcome.failure is not None
    assert (outcome.failure.message, outcome.complete) == ("gone", False)


def test_an_unknown_event_is_no_error_whatever_it_says() -> None:
    body = said("a") + event("news", message="hello") + event("debug", prompt="x") + ended()
    parts, outcome = decode(ADAPTER, [body])
    assert (text_in(parts), outcome.complete, outcome.failure) == ("a", True, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>502 Bad Gateway</title></html>",
        b"null",
        b'"text"',
        b"{}",
        b"[]",
        b'{"message": null}',
        b"\xff\xfe",
        fixture("cohere/error.json"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_none_never_looks_complete(body: bytes, stream: bool) -> None:
    parts, outcome = decode(ADAPTER, [body], stream=stream)
    assert (parts, outcome.complete) == ([], False)
    assert stream or outcome.failure is not None


def test_what_is_billed_is_priced_whatever_was_cached() -> None:
    price = load_directory().deployments["cohere/command-a-03-2025"].price
    usage = {
        "billed_units": {"input_tokens": 1000, "output_tokens": 10},
        "tokens": {"input_tokens": 1062, "output_tokens": 10},
        "cached_tokens": 1040,
    }
    _, outcome = decode(ADAPTER, [said("a") + ended(finish_reason="COMPLETE", usage=usage)])
    assert outcome.usage is not None
    assert cost(price, outcome.usage) == 1000 * 2_500 + 10 * 10_000


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"tokens": {"input_tokens": 9, "output_tokens": 2}, "cached_tokens": 4}, (5, 4, 2)),
        ({"billed_units": {"input_tokens": 0, "output_tokens": 0}}, (0, 0, 0)),
        (
            {"billed_units": {"input_tokens": 7}, "tokens": {"input_tokens": 69}}
            | {"cached_tokens": 500},
            (7, 0, 0),
        ),
        ({"billed_units": {"search_units": 1}}, None),
        ({"billed_units": None, "tokens": None, "cached_tokens": 3}, None),
        ({"billed_units": {"input_tokens": 10**12, "output_tokens": 1}}, None),
        (7, None),
    ],
)
def test_usage(usage: Any, expected: tuple[int, int, int] | None) -> None:
    _, outcome = decode(ADAPTER, [said("a") + ended(finish_reason="COMPLETE", usage=usage)])
    wanted = expected and Usage(
        input_tokens=expected[0], cache_read_tokens=expected[1], output_tokens=expected[2]
    )
    assert outcome.usage == wanted
    assert bool(outcome.notes) == (str(10**12) in str(usage))


def test_calls_without_start_index_or_id_are_still_calls() -> None:
    def called(kind: str, call: Any, **more: Any) -> bytes:
        return event(kind, delta={"message": {"tool_calls": call}}, **more)

    body = (
        called("tool-call-start", {"id": "a", "function": {"name": "f", "arguments": "{"}}, index=0)
        + called("tool-call-delta", {"function": {"arguments": "}"}})
        + called("tool-call-start", {"function": {"name": "g"}}, index=0)
        + called("tool-call-delta", {"function": {"arguments": '{"x":1}'}}, index=0)
        + ended(finish_reason="COMPLETE")
    )
    parts, outcome = decode(ADAPTER, [body])
    (_, *first), (second_id, *second) = calls_in(parts)
    assert (first, second) == (["f", "{}"], ["g", '{"x":1}'])
    assert second_id.startswith("call_")
    assert outcome.finish == "tool_calls"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"text": "ab", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}, [("ab", -0.75)]),
        ({"text": "a", "token_ids": [1], "logprobs": [-1]}, [("a", -1.0)]),
        ({"text": "a", "token_ids": [1]}, []),
        ({"text": "a", "logprobs": [None]}, []),
        ({"text": "a", "logprobs": [True]}, []),
        ({"text": 7, "logprobs": [-1]}, []),
        ({"text": "a", "logprobs": []}, []),
        ({"text": "a", "logprobs": [10**400]}, []),
        (7, []),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_logprobs(item: Any, expected: list[tuple[str, float]], stream: bool) -> None:
    added = {"message": {"content": {"text": "ab"}}}
    body = event("content-delta", delta=added, logprobs=item) + ended()
    if not stream:
        body = json.dumps({"message": {"content": "ab"}, "logprobs": [item]}).encode()
    parts, outcome = decode(ADAPTER, [body], stream=stream)
    assert (parts[0], outcome.complete) == (TextDelta("ab"), True)
    told = [part for part in parts if isinstance(part, LogprobsAdded)]
    assert [(one.token, one.logprob) for part in told for one in part.tokens] == expected


def test_thinking_and_plan_are_blocks_of_their_own() -> None:
    def adds(**message: Any) -> bytes:
        return event("content-delta", delta={"message": message})

    body = adds(content={"thinking": "a"}) + adds(tool_plan="b") + adds(content={"thinking": "c"})
    parts, _ = decode(ADAPTER, [body + ended()])
    assert parts == [
        ReasoningDelta("a"),
        THINKING,
        ReasoningDelta("b"),
        PLAN,
        ReasoningDelta("c"),
        THINKING,
    ]
    assert reasoning_in(parts) == "abc"
