from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.openai.decode import ChatDecoder
from routerd.providers.openai.failure import failure_rules
from routerd.providers.openai.usage import read_usage
from routerd_proto.frames import (
    CitationAdded,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from tests.daemon.providers.drive import calls_in, decode, fixture, reasoning_in, text_in

OPENAI = OpenAIAdapter()


def adapter(dialect: str) -> OpenAIAdapter:
    return OpenAIAdapter(DIALECTS[dialect])


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event(id="c1", model="m", choices=[choice], **fields)


DONE = b"data: [DONE]\n\n"


def test_text_with_usage_in_a_chunk_of_its_own() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/text.sse")])
    assert parts == [TextDelta("Grüße 👋🏽 aus Paris\u2028zweite Zeile\u0085\f「終」")]
    assert (outcome.finish, outcome.complete, outcome.failure) == ("stop", True, None)
    assert (outcome.model, outcome.response_id) == ("gpt-6-sol-2026-05-04", "chatcmpl-Bx7")
    assert outcome.usage == Usage(996, 1024, 2000, 0, 30, 12)
    assert outcome.malformed_events == 0


def test_each_text_delta_comes_out_at_once() -> None:
    decoder = OPENAI.decoder(stream=True)
    assert decoder.feed(chunk({"content": "a"})) == [TextDelta("a")]
    assert decoder.feed(chunk({"content": "b"}) + chunk({"content": "c"})) == [
        TextDelta("b"),
        TextDelta("c"),
    ]
    assert not decoder.outcome.complete
    assert decoder.feed(chunk({}, "stop") + DONE) == []
    assert decoder.outcome.complete


def test_everything_is_out_and_final_at_the_end_marker() -> None:
    call = {"index": 0, "id": "x", "function": {"name": "f", "arguments": ""}}
    decoder = OPENAI.decoder(stream=True)
    decoder.feed(chunk({"tool_calls": [call]}, "tool_calls"))
    assert decoder.feed(DONE) == [ToolCallDelta(0, "{}")]
    assert (decoder.outcome.complete, decoder.outcome.finish) == (True, "tool_calls")
    assert decoder.end() == []


def test_parallel_tool_calls_with_arguments_cut_inside_an_escape() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/tools_parallel.sse")])
    assert calls_in(parts) == [
        ("call_A", "get_weather", '{"city":"Par\\u00e9s"}'),
        ("call_B", "get_time", '{"zone":"CET"}'),
        ("call_C", "ping", "{}"),
    ]
    assert (outcome.finish, outcome.usage) == ("tool_calls", Usage(80, output_tokens=40))


def test_tool_calls_without_an_index_or_an_id() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/tools_no_index.sse")])
    calls = calls_in(parts)
    assert [(name, arguments) for _, name, arguments in calls] == [
        ("get_weather", '{"city":"Rom"}'),
        ("get_weather", '{"city":"Oslo"}'),
    ]
    assert len({call_id for call_id, _, _ in calls}) == 2
    assert all(call_id.startswith("call_") for call_id, _, _ in calls)
    assert outcome.finish == "tool_calls"


def test_index_zero_for_every_call_and_arguments_as_an_object() -> None:
    parts, _ = decode(OPENAI, [fixture("openai/tools_index_zero.sse")])
    calls = calls_in(parts)
    assert [(name, arguments) for _, name, arguments in calls] == [
        ("first", '{"a":1,"b":[true,null]}'),
        ("second", '{"x":2}'),
        ("third", "{}"),
        ("fourth", "{}"),
    ]
    assert [call_id for call_id, _, _ in calls[:3]] == ["c1", "c2", "c3"]


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        # The id comes again with every piece, without the name: one call.
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
                {"index": 0, "id": "a", "function": {"arguments": "}"}},
            ],
            [("a", "f", "{}")],
        ),
        # A new id without a name is no new call.
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
                {"index": 0, "id": "b", "function": {"arguments": "}"}},
            ],
            [("a", "f", "{}")],
        ),
        # The name comes again with every piece.
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}},
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": ":1}"}},
            ],
            [("a", "f", '{"x":1}')],
        ),
        # The name comes late.
        (
            [
                {"index": 0, "id": "a", "function": {"arguments": '{"x"'}},
                {"index": 0, "function": {"name": "f", "arguments": ":1}"}},
            ],
            [("a", "f", '{"x":1}')],
        ),
        # No index, pieces of one call told by its id.
        (
            [
                {"id": "a", "function": {"name": "f", "arguments": "{"}},
                {"id": "b", "function": {"name": "g", "arguments": "{}"}},
                {"id": "a", "function": {"arguments": "}"}},
            ],
            [("a", "f", "{}"), ("b", "g", "{}")],
        ),
        # The same index without any id: a second whole set of arguments is a second call.
        (
            [
                {"index": 0, "function": {"name": "f", "arguments": '{"n":1}'}},
                {"index": 0, "function": {"name": "f", "arguments": '{"n":2}'}},
            ],
            [(None, "f", '{"n":1}'), (None, "f", '{"n":2}')],
        ),
        # Two calls under one id: the second gets its own.
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                {"index": 1, "id": "a", "function": {"name": "g", "arguments": "{}"}},
            ],
            [("a", "f", "{}"), (None, "g", "{}")],
        ),
        # The same, without an index, and with the same one.
        (
            [
                {"id": "a", "function": {"name": "f", "arguments": '{"n":1}'}},
                {"id": "a", "function": {"name": "f", "arguments": '{"n":2}'}},
            ],
            [("a", "f", '{"n":1}'), (None, "f", '{"n":2}')],
        ),
        (
            [
                {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"n":1}'}},
                {"index": 0, "id": "a", "function": {"name": "g", "arguments": '{"n":2}'}},
            ],
            [("a", "f", '{"n":1}'), (None, "g", '{"n":2}')],
        ),
        ([{}, {"index": 0, "id": None, "function": None}], []),
    ],
)
def test_odd_tool_calls(fragments: list[Any], expected: list[tuple[str | None, str, str]]) -> None:
    events = [chunk({"tool_calls": [fragment]}) for fragment in fragments]
    parts, _ = decode(OPENAI, [*events, chunk({}, "stop"), DONE])
    calls = calls_in(parts)
    assert [call[1:] for call in calls] == [call[1:] for call in expected]
    for found, wanted in zip(calls, expected, strict=True):
        assert found[0] == wanted[0] if wanted[0] else found[0].startswith("call_")
    assert len({call[0] for call in calls}) == len(calls)


def test_made_ids_differ_between_answers() -> None:
    fragment = {"index": 0, "function": {"name": "f", "arguments": "{}"}}

    def made_id(response_id: str) -> str:
        body = event(id=response_id, choices=[{"index": 0, "delta": {"tool_calls": [fragment]}}])
        parts, _ = decode(OPENAI, [body, DONE])
        return calls_in(parts)[0][0]

    assert made_id("one") == made_id("one") != made_id("two")


def test_the_old_function_call() -> None:
    events = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":1}'}}),
        chunk({}, "function_call"),
    ]
    parts, outcome = decode(OPENAI, [*events, DONE])
    assert [call[1:] for call in calls_in(parts)] == [("f", '{"a":1}')]
    assert outcome.finish == "tool_calls"


def test_a_filtered_answer_of_azure() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/azure_filter.sse")])
    assert parts == [TextDelta("I will")]
    assert (outcome.finish, outcome.complete) == ("content_filter", True)
    assert (outcome.model, outcome.response_id) == ("gpt-4o-2024-11-20", "chatcmpl-az")
    assert outcome.usage == Usage(20, output_tokens=2)


def test_an_error_event_ends_the_answer_without_quoting_the_model() -> None:
    parts, outcome = decode(adapter("groq"), [fixture("openai/groq_error.sse")])
    assert parts == [TextDelta("Let me")]
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_REQUEST
    assert (outcome.failure.status, outcome.failure.code) == (400, "tool_use_failed")
    assert outcome.failure.retryable_here
    assert (outcome.finish, outcome.complete) == ("error", False)
    assert "SECRET" not in repr(outcome)


def test_groq_has_its_usage_in_a_field_of_its_own() -> None:
    parts, outcome = decode(adapter("groq"), [fixture("openai/groq_reasoning.sse")])
    assert parts == [
        ReasoningDelta("Two plus two."),
        ReasoningEnded("groq", {}),
        TextDelta("4"),
    ]
    assert outcome.usage == Usage(75, output_tokens=20, reasoning_tokens=8)


def test_openrouter_says_everything_twice() -> None:
    parts, outcome = decode(adapter("openrouter"), [fixture("openai/openrouter_reasoning.sse")])
    assert reasoning_in(parts) == "First step"
    ended = [part for part in parts if isinstance(part, ReasoningEnded)]
    assert [part.vendor for part in ended] == ["openrouter"]
    details = ended[0].data["reasoning_details"]
    assert [detail["type"] for detail in details] == ["reasoning.text", "reasoning.encrypted"]
    assert details[0]["text"] == "First step"
    assert details[1]["data"] == "AAEC"
    assert text_in(parts) == "Done"
    assert (outcome.finish, outcome.notes) == ("stop", [])
    # The server counted 11 of 10.
    assert outcome.usage == Usage(12, output_tokens=10, reasoning_tokens=10)


def test_reaching_the_length_is_no_failure() -> None:
    parts, outcome = decode(adapter("openrouter"), [fixture("openai/openrouter_length.sse")])
    assert text_in(parts) == "Once upon"
    assert (outcome.finish, outcome.complete, outcome.failure) == ("length", True, None)
    assert outcome.usage == Usage(12, output_tokens=10)


@pytest.mark.parametrize("finish", [None, "", "stop", "length", "error"])
@pytest.mark.parametrize("before", [0, 2])
def test_reaching_the_length_is_no_failure_whatever_reason_stands_beside_it(
    finish: str | None, before: int
) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    error = {"code": 400, "message": "Token limit reached"}
    body = chunk({"content": "hi"}) + chunk({"content": ""}, "length") * before
    body += chunk({"content": ""}, finish, usage=usage, error=error) + DONE
    parts, outcome = decode(adapter("openrouter"), [body])
    assert text_in(parts) == "hi"
    assert (outcome.finish, outcome.complete, outcome.failure) == ("length", True, None)
    assert outcome.usage == Usage(1, output_tokens=2)


def test_an_error_beside_choices_loses_neither_text_nor_usage() -> None:
    parts, outcome = decode(adapter("openrouter"), [fixture("openai/error_beside_choices.sse")])
    assert text_in(parts) == "Half an answer"
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.SERVER_ERROR
    assert outcome.failure.message == "Provider disconnected"
    assert outcome.usage == Usage(5, output_tokens=3)
    assert (outcome.finish, outcome.complete) == ("error", False)


def test_an_error_in_place_of_the_first_chunk() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/error_first.sse")])
    assert parts == []
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.RATE_LIMIT
    assert outcome.failure.retry_after == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        (b'data: {"error":"model runner stopped"}\n\n', ErrorClass.SERVER_ERROR),
        (b'data: {"error":[1]}\n\n', ErrorClass.SERVER_ERROR),
        (b'data: [{"error":{"code":503,"message":"busy"}}]\n\n', ErrorClass.OVERLOADED),
        (
            b'data: {"object":"error","message":"bad","type":"BadRequestError","code":400}\n\n',
            ErrorClass.BAD_REQUEST,
        ),
        (b'data: {"detail":"nope"}\n\n', ErrorClass.SERVER_ERROR),
        (b'event: error\ndata: {"reason":"?"}\n\n', ErrorClass.SERVER_ERROR),
        (b"event: error\ndata: upstream is gone\n\n", ErrorClass.SERVER_ERROR),
        (b'event: error\ndata: "upstream is gone"\n\n', ErrorClass.SERVER_ERROR),
        (
            b'data: {"choices":[{"index":0,"error":{"code":429,"message":"m"}}]}\n\n',
            ErrorClass.RATE_LIMIT,
        ),
        (
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}\n\n',
            ErrorClass.SERVER_ERROR,
        ),
        (
            b'data: {"choices":[{"index":0,"finish_reason":"insufficient_system_resource"}]}\n\n',
            ErrorClass.OVERLOADED,
        ),
        (b'{"error":{"message":"plain","code":"insufficient_quota"}}', ErrorClass.QUOTA),
        (
            b'data: {"error":{"message":"too long","code":"context_length_exceeded"}}\n\n',
            ErrorClass.CONTEXT_LENGTH,
        ),
    ],
)
@pytest.mark.parametrize("end", [b"", DONE])
def test_errors_inside_an_answer(body: bytes, error_class: ErrorClass, end: bytes) -> None:
    if body.startswith(b"{"):
        end = b""
    _, outcome = decode(OPENAI, [body, end])
    assert outcome.failure is not None
    assert outcome.failure.error_class is error_class
    assert (outcome.finish, outcome.complete) == ("error", False)


def test_deepseek_reasoning_and_keep_alives() -> None:
    parts, outcome = decode(adapter("deepseek"), [fixture("openai/deepseek.sse")])
    assert parts == [
        ReasoningDelta("Hmm, yes."),
        ReasoningEnded("deepseek", {}),
        TextDelta("Yes"),
    ]
    assert outcome.usage == Usage(36, 64, output_tokens=50, reasoning_tokens=40)


def test_mistral_sends_content_as_a_list() -> None:
    parts, outcome = decode(adapter("mistral"), [fixture("openai/mistral_thinking.sse")])
    assert parts == [
        ReasoningDelta("Let me see."),
        ReasoningEnded("mistral", {}),
        TextDelta("Voilà"),
        CitationAdded("mistral", {"type": "reference", "reference_ids": [1]}),
        TextDelta("!"),
    ]
    assert outcome.usage == Usage(16, 48, output_tokens=20)


def test_thinking_inside_the_text_stays_text() -> None:
    parts, _ = decode(OPENAI, [chunk({"content": "<think>hm</think>yes"}, "stop"), DONE])
    assert parts == [TextDelta("<think>hm</think>yes")]


def test_a_stream_may_end_without_a_finish_reason() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/no_finish.sse")])
    assert text_in(parts) == "All good"
    assert (outcome.finish, outcome.complete, outcome.response_id) == ("stop", True, None)


def test_a_stream_may_end_without_the_end_marker() -> None:
    _, outcome = decode(OPENAI, [chunk({"content": "x"}, "length")])
    assert (outcome.finish, outcome.complete) == ("length", True)


def test_a_cut_stream_is_not_complete() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/truncated.sse")])
    assert text_in(parts) == "This is cut"
    assert (outcome.complete, outcome.finish, outcome.failure) == (False, None, None)
    assert outcome.malformed_events == 0


def test_a_last_event_without_its_blank_line_counts_if_it_is_whole() -> None:
    last = chunk({"content": " end"}, "stop").rstrip(b"\n")
    parts, outcome = decode(OPENAI, [chunk({"content": "the"}), last])
    assert (text_in(parts), outcome.complete) == ("the end", True)


def test_every_line_end_and_several_data_lines() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/crlf.sse")])
    assert text_in(parts) == "one two three"
    assert (outcome.complete, outcome.malformed_events) == (True, 0)


def test_halves_of_a_character_are_joined_or_replaced() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/surrogates.sse")])
    assert text_in(parts) == "a😀blone \ufffdplain\ufffdx😀"
    assert reasoning_in(parts) == "r\ufffd"
    assert (outcome.complete, outcome.malformed_events) == (True, 0)


def test_a_half_at_the_very_end_is_replaced() -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"a\\ud83d"}}]}\n\n'
    assert decode(OPENAI, [body])[0] == [TextDelta("a\ufffd")]


def test_halves_in_other_places_are_replaced() -> None:
    body = (
        b'{"id":"\\ud800","model":"m\\udc00","choices":[{"index":0,"finish_reason":"stop",'
        b'"message":{"tool_calls":[{"id":"\\ud800","function":{"name":"f\\ud800",'
        b'"arguments":{"a\\ud800":"\\ud83d\\ude00"}}}],"annotations":[{"u\\ud800":["\\ud800"]}]}}]}'
    )
    parts, outcome = decode(OPENAI, [body], stream=False)
    assert parts == [
        CitationAdded("openai", {"u\ufffd": ["\ufffd"]}),
        ToolCallStarted(0, "\ufffd", "f\ufffd"),
        ToolCallDelta(0, '{"a\ufffd":"😀"}'),
    ]
    assert (outcome.response_id, outcome.model) == ("\ufffd", "m\ufffd")


def test_invalid_bytes_cost_no_text() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/bad_bytes.sse")])
    assert text_in(parts) == "before \ufffd\ufffd aftertab\there!"
    assert (outcome.malformed_events, outcome.complete) == (1, True)


def test_a_refusal() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/refusal.sse")])
    assert parts == [RefusalDelta("I cannot help.")]
    assert outcome.complete


def test_fields_of_unexpected_types() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/odd_types.sse")])
    assert text_in(parts) == "text keptbare part"
    assert [part for part in parts if isinstance(part, CitationAdded)] == [
        CitationAdded(
            "openai", {"type": "url_citation", "url_citation": {"url": "https://example.org"}}
        )
    ]
    assert calls_in(parts) == []
    assert (outcome.finish, outcome.complete) == ("stop", True)
    assert outcome.notes == ["unknown finish reason 'made_up'"]
    assert outcome.malformed_events == 0


@pytest.mark.parametrize(
    ("reasons", "finish"),
    [
        (["stop"], "stop"),
        (["eos"], "stop"),
        ([""], "stop"),
        (["length", "length"], "length"),
        (["length", "stop"], "length"),
        (["stop", "length"], "length"),
        (["stop", ""], "stop"),
        (["model_length"], "length"),
        (["content_filter", "stop"], "content_filter"),
        (["tool_calls"], "tool_calls"),
    ],
)
def test_finish_reasons(reasons: list[str], finish: str) -> None:
    _, outcome = decode(OPENAI, [*(chunk({"content": "x"}, reason) for reason in reasons), DONE])
    assert (outcome.finish, outcome.complete) == (finish, True)


@pytest.mark.parametrize("reason", ["stop", "", "eos", None])
def test_an_answer_that_calls_tools_ends_in_tool_calls(reason: str | None) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    _, outcome = decode(OPENAI, [chunk({"tool_calls": [call]}, reason), DONE])
    assert outcome.finish == "tool_calls"


def test_only_the_first_of_several_answers_is_read() -> None:
    events = [
        event(choices=[{"index": 0, "delta": {"content": "a"}}]),
        event(choices=[{"index": 1, "delta": {"content": "b"}}]),
        event(choices=[{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}]),
    ]
    parts, outcome = decode(OPENAI, [*events, DONE])
    assert text_in(parts) == "ac"
    assert outcome.notes == ["more than one choice came; the first was read"]


# --- plain answers ---------------------------------------------------------------------------


def test_a_plain_answer() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/text.json")], stream=False)
    assert parts == [TextDelta("Hallo 👋\u2028Welt")]
    assert (outcome.finish, outcome.complete) == ("stop", True)
    assert outcome.usage == Usage(996, 1024, 2000, 0, 30, 12)


def test_nothing_of_a_plain_answer_comes_out_before_its_end() -> None:
    body = fixture("openai/text.json")
    decoder = OPENAI.decoder(stream=False)
    assert decoder.feed(body) == []
    assert not decoder.outcome.complete
    assert len(decoder.end()) == 1
    assert decoder.outcome.complete


def test_a_plain_answer_with_tools_and_zero_usage() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/tools.json")], stream=False)
    assert reasoning_in(parts) == "Need both."
    assert calls_in(parts) == [
        ("call_1", "get_weather", '{"city":"Paris"}'),
        ("call_2", "ping", "{}"),
    ]
    assert (outcome.finish, outcome.usage) == ("tool_calls", Usage(10))


def test_an_error_in_place_of_a_plain_answer() -> None:
    _, outcome = decode(OPENAI, [fixture("openai/azure_error.json")], stream=False)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.CONTENT_POLICY
    assert (outcome.failure.status, outcome.failure.param) == (400, "prompt")
    assert not outcome.complete


def test_a_choice_without_a_message() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai/no_message.json")], stream=False)
    assert parts == []
    assert (outcome.finish, outcome.complete, outcome.usage) == ("content_filter", True, None)


def test_an_answer_without_choices_is_no_answer_but_is_billed() -> None:
    _, outcome = decode(OPENAI, [fixture("openai/no_choices.json")], stream=False)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert outcome.usage == Usage(7)


@pytest.mark.parametrize(
    "body",
    [b"", b"  \n\n ", b"null", b"[]", b'"text"', b"{", b'{"choices":[{"mess', b"Bad Gateway"],
)
def test_a_plain_answer_that_makes_no_sense(body: bytes) -> None:
    parts, outcome = decode(OPENAI, [body], stream=False)
    assert parts == []
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert not outcome.complete


@pytest.mark.parametrize("stream", [True, False])
def test_a_web_page_in_place_of_an_answer(stream: bool) -> None:
    _, outcome = decode(OPENAI, [fixture("openai/bad_gateway.html")], stream=stream)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert outcome.failure.message == "the answer is a web page: 502 Bad Gateway"


def test_an_empty_stream_is_only_incomplete() -> None:
    _, outcome = decode(OPENAI, [b": keep-alive\n\n"])
    assert (outcome.complete, outcome.failure) == (False, None)


def test_a_stream_without_any_choice_is_no_answer() -> None:
    _, outcome = decode(OPENAI, [DONE])
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER


def test_an_answer_over_the_limit_is_refused() -> None:
    for stream, start in ((True, b"data: "), (False, b"")):
        decoder = ChatDecoder(
            "openai", failure_rules(DIALECTS["openai"]), stream=stream, max_body_bytes=1000
        )
        decoder.feed(start)
        for _ in range(5):
            decoder.feed(b" " * 900 + b"x")
        decoder.end()
        assert decoder.outcome.failure is not None
        assert "1000 bytes" in decoder.outcome.failure.message
        assert not decoder.outcome.complete


# --- usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ("12", None),
        ({"cost": 0.1}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage()),
        ({"prompt_tokens": 10.0, "completion_tokens": 2}, Usage(10, output_tokens=2)),
        ({"prompt_tokens": 10, "total_tokens": 12}, Usage(10, output_tokens=2)),
        ({"prompt_tokens": -5, "completion_tokens": 2}, Usage(0, output_tokens=2)),
        (
            {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4},
            Usage(6, 4, output_tokens=1),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 1,
                "num_cached_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            Usage(6, 4, output_tokens=1),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 90},
            },
            Usage(0, 10, output_tokens=1),
        ),
        (
            {"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4, "completion_tokens": 1},
            Usage(4, 6, output_tokens=1),
        ),
        (
            # xAI counts reasoning beside the completion; its own total says so.
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 45,
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(10, output_tokens=35, reasoning_tokens=30),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            Usage(10, output_tokens=5, reasoning_tokens=0),
        ),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, None),
        ({"prompt_tokens": 2**31, "completion_tokens": 1}, None),
        ({"prompt_tokens": 2**31 - 1, "completion_tokens": 1}, Usage(2**31 - 1, output_tokens=1)),
        ({"prompt_tokens": 5, "completion_tokens": float("inf")}, None),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2.0**40}}, None),
        ({"prompt_tokens": 5, "cost_in_usd_ticks": 10**12}, Usage(5)),
        ({"prompt_tokens": True, "completion_tokens": 1}, Usage(0, output_tokens=1)),
    ],
)
def test_usage_is_put_into_disjoint_buckets(value: Any, usage: Usage | None) -> None:
    assert read_usage(value) == usage


def test_the_last_usage_counts_and_none_does_not_undo_it() -> None:
    events = [
        chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
        chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 9}),
        event(choices=[], usage=None),
    ]
    _, outcome = decode(OPENAI, [*events, DONE])
    assert outcome.usage == Usage(5, output_tokens=9)


def test_who_answers_may_be_said_late_and_in_pieces() -> None:
    text = [{"index": 0, "delta": {"content": "a"}}]
    chunks: list[dict[str, Any]] = [
        {"id": "", "model": "", "system_fingerprint": None, "choices": []},
        {"model": "m-2026", "choices": text},
        {"id": "c1", "model": "m-2026", "system_fingerprint": "", "choices": text},
        {"id": "c1", "model": "m-2026", "choices": text},
        {"id": "c1", "model": "m-2026", "system_fingerprint": "fp_1", "choices": text},
        {"id": "c2", "model": "other", "system_fingerprint": "fp_2", "choices": []},
    ]
    for come in (chunks, chunks[1:], chunks[4:]):
        _, outcome = decode(OPENAI, [b"".join(event(**fields) for fields in come) + DONE])
        named = (outcome.model, outcome.response_id, outcome.fingerprint)
        assert named == ("m-2026", "c1", "fp_1")
    _, outcome = decode(OPENAI, [event(system_fingerprint="fp_1", choices=text) + DONE])
    assert (outcome.model, outcome.fingerprint) == (None, "fp_1")


@pytest.mark.parametrize("stream", [True, False])
def test_every_kind_of_content_part_is_read_or_noted(*, stream: bool) -> None:
    content = [
        {"type": "text", "text": {"value": "a"}},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "text", "text": "b"},
        {"type": "text", "text": ""},
        {"type": "text"},
    ]
    if stream:
        body = chunk({"content": content}, "stop") + DONE
    else:
        body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
    parts, outcome = decode(OPENAI, [body], stream=stream)
    assert [part for part in parts if isinstance(part, RefusalDelta)] == [RefusalDelta("no")]
    assert text_in(parts) == "ab"
    assert outcome.notes == ["content of kind image_url was left out"]


@pytest.mark.parametrize("content", [None, "", "said"])
def test_what_was_spoken_is_the_text_where_no_text_came(content: str | None) -> None:
    audio = {"id": "a", "transcript": "spoken", "data": "AAAA"}
    message = {"content": content, "audio": audio, "images": [{"type": "image_url"}]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    parts, outcome = decode(OPENAI, [body], stream=False)
    assert text_in(parts) == (content or "spoken")
    assert outcome.notes == [
        "content of kind audio was left out",
        "content of kind images was left out",
    ]


@pytest.mark.parametrize("content", [None, "", "said"])
@pytest.mark.parametrize(
    ("kind", "value"), [("images", [{"type": "image_url"}]), ("audio", {"data": "AAAA"})]
)
def test_pictures_and_sound_in_a_stream_are_noted(
    content: str | None, kind: str, value: Any
) -> None:
    delta = {"content": content, kind: value}
    parts, outcome = decode(OPENAI, [chunk(delta) + chunk({}, "stop") + DONE])
    assert text_in(parts) == (content or "")
    assert outcome.notes == [f"content of kind {kind} was left out"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_sound_with_nothing_in_it_is_none(*, stream: bool) -> None:
    empty = {"id": "", "data": "", "expires_at": 0, "transcript": ""}
    called = {"name": "", "arguments": ""}
    message = {"content": "said", "refusal": "", "audio": empty, "function_call": called}
    body = json.dumps({"choices": [{"message": message, "finish_reason": ""}]}).encode()
    chunks = [chunk(message), chunk({}, "stop"), DONE] if stream else [body]
    parts, outcome = decode(adapter("compatible"), chunks, stream=stream)
    assert parts == [TextDelta("said")]
    assert (outcome.finish, outcome.notes) == ("stop", [])


def test_what_is_spoken_in_pieces_comes_in_pieces_and_once() -> None:
    pieces = [chunk({"content": "", "audio": {"transcript": text}}) for text in ("one ", "two")]
    whole = {"content": None, "audio": {"transcript": "one two"}}
    last = event(choices=[{"index": 0, "message": whole, "finish_reason": "stop"}])
    parts, outcome = decode(OPENAI, [*pieces, last, DONE])
    assert parts == [TextDelta("one two")]
    assert outcome.notes == ["content of kind audio was left out"]


@pytest.mark.parametrize(
    "pieces",
    [
        [chunk({"role": "assistant", "content": ""}, "")],
        [chunk({"content": "Half of a sen"}, "")],
        [chunk({"role": "assistant", "content": ""}, ""), chunk({"content": "Half"}, "")],
        [
            chunk(
                {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]},
                "",
            ),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"path": "/tm'}}]}, ""),
        ],
    ],
)
def test_an_empty_reason_with_a_piece_ends_nothing(pieces: list[bytes]) -> None:
    _, cut = decode(OPENAI, pieces)
    assert not cut.complete
    if len(pieces) > 1:
        _, ended = decode(OPENAI, [*pieces, DONE])
        assert ended.complete


def test_an_empty_reason_behind_all_pieces_ends_an_answer() -> None:
    parts, outcome = decode(OPENAI, [chunk({"content": "all"}), chunk({"content": ""}, "")])
    assert (parts, outcome.finish, outcome.complete) == ([TextDelta("all")], "stop", True)


def test_an_answer_that_vllm_gave_up_is_none() -> None:
    parts, outcome = decode(adapter("vllm"), [chunk({"content": "half"}), chunk({}, "abort"), DONE])
    assert (parts, outcome.finish, outcome.complete) == ([TextDelta("half")], "error", False)


@pytest.mark.parametrize("stream", [True, False])
def test_a_whole_answer_behind_remarks_is_read(stream: bool) -> None:
    answer = {
        "id": "c1",
        "model": "m",
        "choices": [{"index": 0, "message": {"content": "all"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    body = b": keep-alive\n\n: keep-alive\n\n" + json.dumps(answer).encode()
    parts, outcome = decode(OPENAI, [body], stream=stream)
    assert (parts, outcome.finish, outcome.complete) == ([TextDelta("all")], "stop", True)
    assert outcome.usage == Usage(3, 0, 0, 0, 1, None)


def test_an_answer_that_stands_among_events_is_not_said_again() -> None:
    whole = {"id": "c1", "choices": [{"index": 0, "message": {"content": "all"}}]}
    body = chunk({"content": "all"}) + json.dumps(whole).encode() + b"\n"
    parts, _ = decode(OPENAI, [body])
    assert parts == [TextDelta("all")]


def test_a_sum_behind_its_parts_takes_no_place_of_theirs() -> None:
    told = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    pieces = [
        chunk({"content": "a"}, "stop", usage=told),
        event(id="c1", choices=[], usage={"total_tokens": 15}),
        DONE,
    ]
    _, outcome = decode(OPENAI, pieces)
    assert outcome.usage == Usage(10, 0, 0, 0, 5, None)


def test_an_error_in_groqs_own_field_is_one() -> None:
    pieces = [chunk({"content": "a"}), chunk({}, "stop", x_groq={"error": "over capacity"}), DONE]
    parts, outcome = decode(adapter("groq"), pieces)
    assert parts == [TextDelta("a")]
    assert outcome.failure is not None
    assert not outcome.complete


def call(index: int, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"id{index}", "type": "function", "function": function}


def of_calls(*calls: dict[str, Any], where: str = "message") -> bytes:
    choice = {"index": 0, where: {"tool_calls": list(calls)}, "finish_reason": None}
    return event(id="c1", model="m", choices=[choice])


BEGUN = of_calls(call(0, "f", ""), where="delta")
F1 = of_calls(call(0, "f", '{"a":1}'))


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        # Begun in one order, and whole in the other.
        (
            [
                BEGUN,
                of_calls(call(1, "g", ""), where="delta"),
                of_calls(call(1, "g", '{"x":1}'), call(0, "f", '{"y":1}')),
            ],
            {"f": '{"y":1}', "g": '{"x":1}'},
        ),
        (
            [BEGUN, of_calls(call(1, "g", '{"x":1}'), call(0, "f", '{"y":1}'))],
            {"f": '{"y":1}', "g": '{"x":1}'},
        ),
        # Each in a message of its own, whatever is alike in them.
        ([F1, of_calls(call(1, "g", '{"a":1}'))], {"f": '{"a":1}', "g": '{"a":1}'}),
        ([F1, of_calls(call(1, "g", '{"a":2}'))], {"f": '{"a":1}', "g": '{"a":2}'}),
        # The same once more, by another id.
        ([F1, of_calls(call(0, "f", '{"a":1}') | {"id": "other"})], {"f": '{"a":1}'}),
        ([F1, of_calls(call(0, "f", '{"a":1}') | {"id": None})], {"f": '{"a":1}'}),
    ],
)
def test_a_whole_call_is_the_one_of_its_id_or_name(
    pieces: list[bytes], expected: dict[str, str]
) -> None:
    parts, outcome = decode(OPENAI, [*pieces, chunk({}, "tool_calls"), DONE])
    found = [(name, arguments) for _, name, arguments in calls_in(parts)]
    assert dict(found) == expected
    assert len(found) == len(expected)
    assert outcome.notes == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Hello", "Hello"], "Hello"),
        (["He", "Hello", "Hello"], "Hello"),
        (["{}", "{}"], "{}"),
        (["ha", "ha", "!"], "haha!"),
    ],
)
def test_a_last_message_that_repeats_beside_the_reason_says_nothing_new(
    texts: list[str], expected: str
) -> None:
    def message(text: str, finish: str | None) -> bytes:
        choice = {"index": 0, "message": {"content": text}, "finish_reason": finish}
        return event(id="c1", model="m", choices=[choice])

    pieces = [message(text, None) for text in texts[:-1]]
    parts, outcome = decode(OPENAI, [*pieces, message(texts[-1], "stop"), DONE])
    assert text_in(parts) == expected
    assert outcome.complete


def test_sources_of_a_whole_answer_are_passed_on_once() -> None:
    sources = ["https://a.example", {"url": "https://b.example", "title": "B"}]
    pieces = [
        chunk({"content": "a"}),
        chunk({"content": "b"}, "stop", citations=sources),
        event(id="c1", choices=[], citations=sources),
        DONE,
    ]
    parts, outcome = decode(adapter("xai"), pieces)
    cited = [part.citation for part in parts if isinstance(part, CitationAdded)]
    assert cited == [{"url": "https://a.example"}, {"url": "https://b.example", "title": "B"}]
    assert (text_in(parts), outcome.complete) == ("ab", True)
    choice = {"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    plain = {"id": "c1", "choices": [choice], "citations": sources, "usage": usage}
    parts, _ = decode(adapter("xai"), [json.dumps(plain).encode()], stream=False)
    assert [part.citation for part in parts if isinstance(part, CitationAdded)] == cited


@pytest.mark.parametrize("stream", [True, False])
def test_sources_that_come_with_a_title_are_not_told_by_address_again(*, stream: bool) -> None:
    found = {"url": "https://a.example", "title": "A", "date": "2026-05-01"}
    addresses = ["https://a.example", "https://b.example"]
    sources: dict[str, Any] = {"citations": addresses, "search_results": [found]}
    if stream:
        chunks = [chunk({"content": "a"}, **sources), chunk({}, "stop", **sources), DONE]
    else:
        choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        chunks = [json.dumps({"choices": [choice], "usage": usage, **sources}).encode()]
    parts, _ = decode(adapter("compatible"), chunks, stream=stream)
    cited = [part.citation for part in parts if isinstance(part, CitationAdded)]
    assert cited == [found, {"url": "https://b.example"}]
    alone = {"choices": [{"message": {"content": "a"}}], "search_results": [found, "x"]}
    parts, _ = decode(adapter("compatible"), [json.dumps(alone).encode()], stream=False)
    assert parts == [TextDelta("a"), CitationAdded("compatible", found)]


@pytest.mark.parametrize("stream", [True, False])
def test_what_groq_ran_itself_is_noted_and_what_it_found_is_cited(*, stream: bool) -> None:
    found = {"url": "https://a.example", "title": "A", "content": "c", "score": 0.9}
    begun: dict[str, Any] = {"index": 0, "type": "search", "arguments": "{}"}
    ran = begun | {"output": "Title: A", "search_results": {"results": [found, None]}}
    if stream:
        last = [begun | {"search_results": None}, 7]
        pieces: list[tuple[str, list[Any]]] = [("", [begun]), ("", [ran]), ("said", last)]
        deltas = [{"content": text, "executed_tools": tools} for text, tools in pieces]
        chunks = [*(chunk(delta) for delta in deltas), chunk({}, "stop"), DONE]
    else:
        message = {"content": "said", "executed_tools": [ran]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        chunks = [json.dumps({"choices": [choice], "usage": usage}).encode()]
    parts, outcome = decode(adapter("groq"), chunks, stream=stream)
    assert [part.citation for part in parts if isinstance(part, CitationAdded)] == [found]
    assert text_in(parts) == "said"
    assert outcome.notes == ["content of kind executed_tools was left out"]


def test_what_comes_beside_a_tool_call_is_noted() -> None:
    signed = call(0, "f", "{}") | {"extra_content": {"google": {"thought_signature": "S"}}}
    parts, outcome = decode(
        adapter("compatible"), [chunk({"tool_calls": [signed]}, "tool_calls"), DONE]
    )
    assert [name for _, name, _ in calls_in(parts)] == ["f"]
    assert outcome.notes == [
        "what came beside a tool call is not kept; the dialect google keeps it"
    ]


@pytest.mark.parametrize("stray", [{"note": "bye"}, {"choices": [{"message": {"content": "x"}}]}])
@pytest.mark.parametrize("cut", [None, 1, 60])
def test_what_stands_behind_events_never_ends_a_cut_answer(
    stray: dict[str, Any], cut: int | None
) -> None:
    piece = event(choices=[{"index": 0, "delta": {"content": "Half of a"}}])  # without an id
    body = piece + json.dumps(stray).encode() + b"\n"
    chunks = [body] if cut is None else [body[i : i + cut] for i in range(0, len(body), cut)]
    parts, outcome = decode(OPENAI, chunks)
    assert parts == [TextDelta("Half of a")]
    assert (outcome.finish, outcome.complete) == (None, False)
