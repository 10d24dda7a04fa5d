from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import ErrorClass
from routerd.providers.openai.responses import RESPONSES_DIALECTS, ResponsesAdapter
from routerd_proto.frames import (
    CitationAdded,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    Usage,
)
from tests.daemon.providers.drive import calls_in, decode, fixture, reasoning_in, text_in

OPENAI = ResponsesAdapter()
COMPATIBLE = ResponsesAdapter(RESPONSES_DIALECTS["compatible"])
MODEL = "gpt-6.1-sol-2026-09-01"
FINAL = ReasoningEnded("openai-responses", {"phase": "final_answer"})
SUMMARY = [
    {"type": "summary_text", "text": "Let me look."},
    {"type": "summary_text", "text": "Then decide."},
]
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": SUMMARY,
    "encrypted_content": "gAAAAenc==",
}


def event(_kind: str, **fields: Any) -> bytes:
    kind, data = _kind, json.dumps({**fields, "type": _kind}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def delta(text: str, index: int = 0, place: int = 0, **fields: Any) -> bytes:
    return event(
        "response.output_text.delta",
        output_index=index,
        content_index=place,
        delta=text,
        **fields,
    )


def completed(status: str = "completed", **fields: Any) -> bytes:
    return event(f"response.{status}", response={"id": "resp_1", "status": status, **fields})


def message(*texts: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"type": "message", "id": "m", "role": "assistant", "content": content, **fields}


def call(number: int, arguments: str = "{}") -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{number}",
        "call_id": f"call_{number}",
        "name": f"tool_{number}",
        "arguments": arguments,
    }


def done(index: int, item: dict[str, Any]) -> bytes:
    return event("response.output_item.done", output_index=index, item=item)


def added(index: int, item: dict[str, Any]) -> bytes:
    return event("response.output_item.added", output_index=index, item=item)


@pytest.mark.parametrize("name", ["text.sse", "text.json"])
def test_text_its_phase_and_its_usage(name: str) -> None:
    parts, outcome = decode(OPENAI, [fixture(f"openai-responses/{name}")])
    assert parts == [TextDelta("Grüße 👋🏽\u2028\u0085ok"), FINAL]
    assert (outcome.finish, outcome.complete, outcome.failure) == ("stop", True, None)
    assert (outcome.model, outcome.response_id) == (MODEL, "resp_1")
    assert outcome.usage == Usage(8, 2000, 2000, 12, 25, 0)
    assert (outcome.malformed_events, outcome.notes) == (0, [])


def test_each_text_delta_comes_out_at_once() -> None:
    decoder = OPENAI.decoder(stream=True)
    assert decoder.feed(delta("a")) == [TextDelta("a")]
    assert decoder.feed(delta("b") + delta("c")) == [TextDelta("b"), TextDelta("c")]
    assert decoder.feed(completed()) == []
    assert decoder.outcome.complete


@pytest.mark.parametrize("name", ["tools_parallel.sse", "tools.json", "no_deltas.sse"])
def test_reasoning_text_and_parallel_calls(name: str) -> None:
    parts, outcome = decode(OPENAI, [fixture(f"openai-responses/{name}")])
    assert parts[:4] == [
        ReasoningDelta("Let me look.\n\nThen decide."),
        ReasoningEnded("openai-responses", {"item": REASONING, "model": MODEL}),
        TextDelta("Looking."),
        ReasoningEnded("openai-responses", {"phase": "commentary"}),
    ]
    assert calls_in(parts) == [
        ("call_2", "get_weather", '{"city": "Paris"}'),
        ("call_3", "ping", "{}"),
    ]
    assert (outcome.finish, outcome.complete) == ("tool_calls", True)
    assert outcome.usage == Usage(40, output_tokens=120, reasoning_tokens=70)


def test_hidden_reasoning_waits_for_content() -> None:
    body = fixture("openai-responses/hidden_reasoning.sse")
    item = {"type": "reasoning", "id": "rs_9", "summary": [], "encrypted_content": "gAAAAhid=="}
    ended = ReasoningEnded("openai-responses", {"item": item, "model": MODEL})
    decoder = OPENAI.decoder(stream=True)
    begin = body.index(b"event: response.output_text.delta")
    assert decoder.feed(body[:begin]) == []
    assert decoder.feed(body[begin:]) == [ended, TextDelta("Yes")]


def test_hidden_reasoning_before_a_failure_is_not_given_out() -> None:
    item = {**REASONING, "summary": []}
    failed = completed("failed", error={"code": "server_error", "message": "no"})
    parts, outcome = decode(OPENAI, [added(0, item) + done(0, item) + failed])
    assert parts == []
    assert outcome.failure is not None


def test_open_reasoning_without_numbers_and_with_an_end_mark() -> None:
    parts, outcome = decode(COMPATIBLE, [fixture("openai-responses/open_reasoning.sse")])
    item = {
        "type": "reasoning",
        "id": "rs_a",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hmm, yes."}],
    }
    assert parts == [
        ReasoningDelta("Hmm, yes."),
        ReasoningEnded("compatible-responses", {"item": item, "model": "gpt-oss-120b"}),
        TextDelta("Oui"),
    ]
    assert (outcome.complete, outcome.malformed_events) == (True, 0)
    assert outcome.usage == Usage(9, output_tokens=7, reasoning_tokens=4)


def test_a_refusal() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/refusal.sse")])
    assert parts == [RefusalDelta("I cannot help.")]
    assert (outcome.finish, outcome.complete) == ("stop", True)


SOURCE = {
    "type": "url_citation",
    "url": "https://example.org",
    "title": "E",
    "start_index": 0,
    "end_index": 4,
}


def test_sources_come_once_and_the_search_they_are_of_goes_back() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/citations.sse")])
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    item = {**search, "action": {"type": "search", "query": "x"}}
    assert parts == [
        ReasoningEnded("openai-responses", {"item": item, "model": MODEL}),
        TextDelta("News"),
        CitationAdded("openai-responses", SOURCE),
    ]
    assert (outcome.finish, outcome.complete, outcome.malformed_events) == ("stop", True, 0)
    assert outcome.notes == []


@pytest.mark.parametrize("by_event", [0, 1, 2])
@pytest.mark.parametrize("by_item", [True, False])
def test_a_source_is_told_by_its_event_or_by_its_text(by_event: int, by_item: bool) -> None:
    name = "response.output_text.annotation.added"
    added_source = event(name, output_index=0, content_index=0, annotation=SOURCE)
    item = message("News")
    item["content"][0]["annotations"] = [SOURCE] if by_item else []
    body = delta("News") + added_source * by_event + done(0, item)
    parts, outcome = decode(OPENAI, [body + completed(output=[item])])
    sources = [part for part in parts if isinstance(part, CitationAdded)]
    assert sources == [CitationAdded("openai-responses", SOURCE)] * bool(by_event or by_item)
    assert (text_in(parts), outcome.notes) == ("News", [])


def test_an_answer_at_its_limit() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/incomplete.sse")])
    assert parts == [TextDelta("Half of")]
    assert (outcome.finish, outcome.complete, outcome.usage) == (
        "length",
        True,
        Usage(9, output_tokens=16, reasoning_tokens=0),
    )


@pytest.mark.parametrize(
    ("reason", "finish", "notes"),
    [
        ("max_output_tokens", "length", 0),
        ("content_filter", "content_filter", 0),
        ("max_messages", "length", 0),
        ("something_new", "length", 1),
        (None, "length", 1),
        (7, "length", 1),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_reasons_of_incomplete_answers(reason: Any, finish: str, notes: int, stream: bool) -> None:
    fields = {"incomplete_details": {"reason": reason}, "output": [message("a")]}
    plain = json.dumps({"status": "incomplete", **fields}).encode()
    body = completed("incomplete", **fields) if stream else plain
    parts, outcome = decode(OPENAI, [body], stream=stream)
    assert parts == [TextDelta("a")]
    assert (outcome.finish, outcome.complete, len(outcome.notes)) == (finish, True, notes)


def test_the_first_error_is_the_cause_and_usage_is_kept() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/failed.sse")])
    assert parts == []
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.RATE_LIMIT
    assert (outcome.failure.code, outcome.failure.retry_after) == ("rate_limit_exceeded", 2.0)
    assert (outcome.finish, outcome.complete) == ("error", False)
    assert outcome.usage == Usage(9, reasoning_tokens=0)


def test_a_failure_midway() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/failed_midway.sse")])
    assert parts == [TextDelta("Hal")]
    assert outcome.failure is not None
    assert (outcome.failure.error_class, outcome.complete) == (ErrorClass.SERVER_ERROR, False)


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        ("rate_limit_exceeded", ErrorClass.RATE_LIMIT),
        ("server_error", ErrorClass.SERVER_ERROR),
        ("vector_store_timeout", ErrorClass.SERVER_ERROR),
        ("invalid_prompt", ErrorClass.CONTENT_POLICY),
        ("bio_policy", ErrorClass.CONTENT_POLICY),
        ("misalignment_policy_violation", ErrorClass.CONTENT_POLICY),
        ("image_content_policy_violation", ErrorClass.CONTENT_POLICY),
        ("data_residency_mismatch", ErrorClass.BAD_REQUEST),
        *(
            (code, ErrorClass.BAD_REQUEST)
            for code in (
                *("invalid_image", "invalid_image_format", "invalid_base64_image"),
                *("invalid_image_url", "image_too_large", "image_too_small", "image_parse_error"),
                *("invalid_image_mode", "image_file_too_large", "unsupported_image_media_type"),
                *("empty_image_file", "failed_to_download_image", "image_file_not_found"),
            )
        ),
        ("insufficient_quota", ErrorClass.QUOTA),
        ("something_new", ErrorClass.SERVER_ERROR),
        (None, ErrorClass.SERVER_ERROR),
    ],
)
def test_failures_by_code(code: str | None, error_class: ErrorClass) -> None:
    error = {"code": code, "message": "no"}
    shapes = [
        completed("failed", error=error),
        event("error", **error, param=None),
        event("error", error=error),
        b"data: " + json.dumps({"error": error}).encode() + b"\n\n",
        json.dumps({"status": "failed", "error": error, "output": []}).encode(),
        json.dumps({"error": error}).encode(),
    ]
    for body in shapes:
        parts, outcome = decode(OPENAI, [body])
        assert outcome.failure is not None, body
        assert (parts, outcome.complete) == ([], False)
        assert (outcome.failure.error_class, outcome.failure.message) == (error_class, "no")


def test_the_error_statuses_of_this_wire() -> None:
    missing = {"message": "no such model", "code": "model_not_found", "param": "model"}
    body = json.dumps({"error": missing}).encode()
    assert OPENAI.failure(400, {}, body).error_class is ErrorClass.NOT_FOUND
    long = json.dumps({"error": {"message": "Input too long for this model."}}).encode()
    assert OPENAI.failure(400, {}, long).error_class is ErrorClass.CONTEXT_LENGTH


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_answer_that_ended_without_a_word(status: str) -> None:
    for body in (completed(status), json.dumps({"status": status, "output": []}).encode()):
        _, outcome = decode(OPENAI, [body])
        assert outcome.failure is not None
        assert status in outcome.failure.message


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_plain_answer_that_is_not_finished_is_none(status: str) -> None:
    body = json.dumps({"status": status, "output": [message("a")]}).encode()
    parts, outcome = decode(OPENAI, [body], stream=False)
    assert outcome.failure is not None
    assert (outcome.failure.error_class, outcome.complete) == (ErrorClass.BAD_ANSWER, False)
    assert parts == [TextDelta("a")]


def test_the_status_of_old_recordings() -> None:
    body = json.dumps({"status": "complete", "output": [message("a")]}).encode()
    assert decode(OPENAI, [body], stream=False)[1].complete


def test_without_a_final_event_an_answer_is_not_complete() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/truncated.sse")])
    assert parts == [TextDelta("Cut")]
    assert (outcome.complete, outcome.failure, outcome.malformed_events) == (False, None, 0)
    assert not decode(OPENAI, [delta("a") + b"data: [DONE]\n\n"])[1].complete


def test_carriage_returns_comments_and_a_byte_order_mark() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/crlf.sse")])
    assert (text_in(parts), outcome.complete, outcome.malformed_events) == ("line", True, 0)


def test_halves_of_a_character_are_joined() -> None:
    parts, outcome = decode(OPENAI, [fixture("openai-responses/surrogates.sse")])
    assert (text_in(parts), outcome.complete) == ("hi 😀!", True)


@pytest.mark.parametrize(
    "body",
    [
        delta("ab") + completed(),
        delta("a") + delta("b") + completed(output=[message("ab")]),
        delta("ab") + done(0, message("ab")) + done(0, message("ab")) + completed() + completed(),
        event("response.output_text.done", output_index=0, content_index=0, text="ab")
        + done(0, message("ab"))
        + completed(output=[message("ab")]),
        done(0, message("ab")) + completed(output=[message("ab")]),
        done(0, message("a", "b")) + completed(),
        delta("a") + delta("b", place=1) + done(0, message("a", "b")) + completed(),
        delta("a") + done(0, message("a", "b")) + completed(),
        completed(output=[message("ab")]),
        completed(output=[message("a"), message("b")]),
        completed(output=[{"type": "message", "content": "ab"}]),
        # Ids that change from event to event.
        added(0, message())
        + delta("ab", item_id="x")
        + done(0, message("ab", id="y"))
        + completed(),
        # No place in the output, only ids; or neither.
        event("response.output_item.added", item=message())
        + event("response.output_text.delta", item_id="m", delta="ab")
        + event("response.output_item.done", item=message("ab"))
        + completed(output=[message("ab")]),
        event("response.output_text.delta", delta="ab")
        + event("response.output_text.done", text="ab")
        + event("response.output_item.done", item={**message("ab"), "id": None})
        + completed(),
    ],
)
def test_text_is_said_once_however_it_comes(body: bytes) -> None:
    parts, outcome = decode(OPENAI, [body])
    assert parts == [TextDelta("ab")]
    assert outcome.complete


@pytest.mark.parametrize(
    "body",
    [
        added(0, call(0, "")) + done(0, call(0, '{"a":1}')),
        added(0, call(0, ""))
        + event("response.function_call_arguments.delta", output_index=0, delta='{"a"')
        + event("response.function_call_arguments.delta", output_index=0, delta=":1}")
        + event("response.function_call_arguments.done", output_index=0, arguments='{"a":1}')
        + done(0, call(0, '{"a":1}')),
        added(0, call(0, ""))
        + event("response.function_call_arguments.done", item_id="fc_0", arguments='{"a":1}'),
        # The beginning is lost: the name comes with the end.
        event("response.function_call_arguments.delta", output_index=0, delta='{"a":1}')
        + done(0, call(0, '{"a":1}')),
        added(0, call(0, "")),
        b"",
        done(0, {**call(0), "arguments": {"a": 1}}),
    ],
)
def test_a_call_is_made_once_however_it_comes(body: bytes) -> None:
    parts, outcome = decode(OPENAI, [body + completed(output=[call(0, '{"a":1}')])])
    assert calls_in(parts) == [("call_0", "tool_0", '{"a":1}')]
    assert (outcome.finish, outcome.complete) == ("tool_calls", True)


def test_calls_without_arguments_or_with_one_id() -> None:
    parts, _ = decode(OPENAI, [added(0, call(0, "")) + completed()])
    assert calls_in(parts) == [("call_0", "tool_0", "{}")]
    twice = {"status": "completed", "output": [call(1), call(1)]}
    made = calls_in(decode(OPENAI, [json.dumps(twice).encode()])[0])
    assert [name for _, name, _ in made] == ["tool_1", "tool_1"]
    assert len({call_id for call_id, *_ in made}) == 2


def test_calls_that_arrive_mixed_are_kept_apart() -> None:
    def piece(index: int, text: str) -> bytes:
        return event("response.function_call_arguments.delta", output_index=index, delta=text)

    body = added(0, call(0, "")) + added(1, call(1, ""))
    body += piece(0, '{"a"') + piece(1, '{"b"') + piece(0, ":1}") + piece(1, ":2}") + completed()
    assert calls_in(decode(OPENAI, [body])[0]) == [
        ("call_0", "tool_0", '{"a":1}'),
        ("call_1", "tool_1", '{"b":2}'),
    ]


def test_reasoning_is_told_once_though_it_comes_as_summary_and_as_text() -> None:
    def thought(kind: str, text: str) -> bytes:
        return event(f"response.reasoning{kind}.delta", output_index=0, delta=text)

    item = {**REASONING, "summary": SUMMARY[:1], "content": [{"type": "x", "text": "All of it."}]}
    body = thought("_summary_text", "Let me look.") + thought("_text", "All of it.")
    parts, _ = decode(OPENAI, [body + done(0, item) + delta("Yes", 1) + completed()])
    assert reasoning_in(parts) == "Let me look."
    whole, _ = decode(OPENAI, [done(0, item) + delta("Yes", 1) + completed()])
    assert whole == parts


def test_reasoning_that_never_ended_ends_before_the_text() -> None:
    thought = event("response.reasoning_text.delta", output_index=0, delta="Hm")
    parts, _ = decode(OPENAI, [thought + delta("Yes", 1) + completed()])
    assert parts == [ReasoningDelta("Hm"), ReasoningEnded("openai-responses", {}), TextDelta("Yes")]


@pytest.mark.parametrize(
    "change",
    [
        {"encrypted_content": None},
        {"status": "incomplete"},
        {"encrypted_content": "x" * 3_000_000},
    ],
)
def test_reasoning_that_cannot_go_back_leaves_its_text(change: dict[str, Any]) -> None:
    item = {**REASONING, "summary": SUMMARY[:1], **change}
    parts, outcome = decode(OPENAI, [done(0, item) + delta("Yes", 1) + completed()])
    assert parts == [
        ReasoningDelta("Let me look."),
        ReasoningEnded("openai-responses", {}),
        TextDelta("Yes"),
    ]
    assert len(outcome.notes) == (1 if len(str(change)) > 100 else 0)


def test_reasoning_the_provider_left_out_is_noted() -> None:
    left_out = [
        {"id": "rs_1", "type": "reasoning", "action": "removed", "reason": "model_mismatch"}
    ]
    _, outcome = decode(OPENAI, [delta("a") + completed(input_transformations=left_out)])
    assert outcome.notes == ["the provider left out reasoning of an earlier answer"]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, output_tokens=2)),
        (
            {
                "input_tokens": 5,
                "input_tokens_details": None,
                "output_tokens": 2,
                "output_tokens_details": None,
                "total_tokens": 7,
            },
            Usage(5, output_tokens=2),
        ),
        ({"input_tokens": 0, "output_tokens": 0}, Usage()),
        (
            {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 9}, "output_tokens": 2},
            Usage(0, 5, output_tokens=2),
        ),
        (
            {
                "input_tokens": 50,
                "input_tokens_details": {
                    "cache_write_tokens": 40,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 30, "ttl_12h_tokens": 10},
                },
                "output_tokens": 2,
            },
            Usage(10, 0, 30, 10, 2),
        ),
        (
            {
                "input_tokens": 50,
                "input_tokens_details": {"cache_write_tokens_details": {"ttl_12h_tokens": 10}},
                "output_tokens": 2,
            },
            Usage(40, 0, 0, 10, 2),
        ),
        ({"output_tokens": 2, "total_tokens": 9}, Usage(7, output_tokens=2)),
        # A server that counts reasoning beside the output.
        (
            {
                "input_tokens": 5,
                "output_tokens": 2,
                "output_tokens_details": {"reasoning_tokens": 4},
                "total_tokens": 11,
            },
            Usage(5, output_tokens=6, reasoning_tokens=4),
        ),
        ({"input_tokens": 2**40, "output_tokens": 2}, None),
        ({}, None),
        ("many", None),
        (None, None),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    _, outcome = decode(OPENAI, [delta("a") + completed(usage=usage)])
    assert outcome.usage == expected
    assert outcome.complete


FIELDS = st.sampled_from(
    [
        *("type", "output_index", "content_index", "summary_index", "item_id", "delta", "item"),
        *("response", "annotation", "text", "refusal", "arguments", "error", "code", "message"),
        *("status", "output", "content", "summary", "call_id", "name", "id", "phase", "usage"),
        *("incomplete_details", "encrypted_content", "annotations", "input_tokens_details"),
    ]
)
KINDS = st.sampled_from(
    [
        *("response.created", "response.output_item.added", "response.output_item.done"),
        *("response.output_text.delta", "response.output_text.done", "response.refusal.delta"),
        *("response.refusal.done", "response.function_call_arguments.delta", "error"),
        *("response.function_call_arguments.done", "response.reasoning_summary_text.delta"),
        *("response.reasoning_text.delta", "response.output_text.annotation.added"),
        *("response.completed", "response.incomplete", "response.failed", "response.new", "ping"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.sampled_from(["", "a", "\ud800", "message", "function_call", "reasoning", "completed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=10,
)


@given(
    events=st.lists(st.tuples(KINDS, st.dictionaries(FIELDS, VALUES, max_size=6)), max_size=8),
    size=st.integers(1, 200),
)
def test_any_events_in_any_order_are_read(
    events: list[tuple[str, dict[str, Any]]], size: int
) -> None:
    body = b"".join(event(kind, **fields) for kind, fields in events)
    parts, outcome = decode(OPENAI, [body])
    assert not (outcome.complete and outcome.failure)
    calls_in(parts)
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert decode(OPENAI, chunks) == (parts, outcome)


def begun(number: int, item_id: str | None) -> bytes:
    item: dict[str, Any] = {"type": "function_call", "call_id": f"call_{number}", "name": "f"}
    if item_id is not None:
        item["id"] = item_id
    return event("response.output_item.added", item=item | {"arguments": ""})


@pytest.mark.parametrize("in_turns", [False, True])
@pytest.mark.parametrize("item", [None, "fc"])
@pytest.mark.parametrize("piece", ["fc", "call"])
@pytest.mark.parametrize("alike", [False, True])
def test_calls_without_a_place_keep_their_arguments(
    in_turns: bool, item: str | None, piece: str, alike: bool
) -> None:
    numbers = (1, 2)
    arguments = {number: json.dumps({"a": 1 if alike else number}) for number in numbers}
    beginnings = [begun(number, item and f"{item}_{number}") for number in numbers]
    kind = "response.function_call_arguments.delta"
    pieces = [
        event(kind, item_id=f"{piece}_{number}", delta=arguments[number]) for number in numbers
    ]
    body = (
        [part for both in zip(beginnings, pieces, strict=True) for part in both]
        if in_turns
        else [*beginnings, *pieces]
    )
    output = [
        {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": "f",
            "arguments": arguments[number],
        }
        for number in numbers
    ]
    parts, outcome = decode(OPENAI, [*body, completed(output=output)])
    assert calls_in(parts) == [(f"call_{number}", "f", arguments[number]) for number in numbers]
    assert outcome.notes == []
