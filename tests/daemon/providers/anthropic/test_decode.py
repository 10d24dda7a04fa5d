from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass
from routerd.providers.anthropic import AnthropicAdapter
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
from tests.daemon.providers.drive import calls_in, decode, fixture, text_in

ANTHROPIC = AnthropicAdapter()


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def block(index: int, **fields: Any) -> bytes:
    return event("content_block_start", index=index, content_block=fields)


STOP = event("message_stop")


def test_text_and_its_usage() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/text.sse")])
    assert parts == [TextDelta("Grüße 👋🏽\u2028\u0085ok")]
    assert (outcome.finish, outcome.complete, outcome.failure) == ("stop", True, None)
    assert (outcome.model, outcome.response_id) == ("claude-sonnet-4-6", "msg_01X")
    assert outcome.usage == Usage(12, 2000, 200, 500, 25, None)
    assert (outcome.malformed_events, outcome.notes) == (0, [])


def test_a_citation_comes_where_it_stands_in_the_stream() -> None:
    cited = {"type": "char_location", "cited_text": "x", "document_index": 0}
    body = block(0, type="text", text="") + delta(0, "text_delta", text="Hi")
    body += delta(0, "citations_delta", citation=cited) + delta(0, "text_delta", text="!")
    parts, outcome = decode(ANTHROPIC, [body + event("content_block_stop", index=0) + STOP])
    assert parts == [TextDelta("Hi"), CitationAdded("anthropic", cited), TextDelta("!")]
    assert (outcome.complete, outcome.notes) == (True, [])


def test_each_text_delta_comes_out_at_once() -> None:
    decoder = ANTHROPIC.decoder(stream=True)
    assert decoder.feed(delta(0, "text_delta", text="a")) == [TextDelta("a")]
    assert decoder.feed(delta(0, "text_delta", text="b") + delta(0, "text_delta", text="c")) == [
        TextDelta("b"),
        TextDelta("c"),
    ]
    assert decoder.feed(STOP) == []
    assert decoder.outcome.complete


def test_parallel_tool_calls() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/tools_parallel.sse")])
    assert text_in(parts) == "Looking."
    assert calls_in(parts) == [
        ("toolu_1", "get_weather", '{"city": "Paris"}'),
        ("toolu_2", "ping", "{}"),
    ]
    assert (outcome.finish, outcome.usage) == ("tool_calls", Usage(12, output_tokens=80))


def test_thinking_with_signatures() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/thinking.sse")])
    assert parts == [
        ReasoningDelta("Let me think."),
        ReasoningEnded("anthropic", {"signature": "EqQBSig=="}),
        ReasoningEnded("anthropic", {"redacted": "RedactedBlob=="}),
        ReasoningEnded("anthropic", {"signature": "OnlySig"}),
        TextDelta("Answer"),
    ]
    assert outcome.usage == Usage(12, output_tokens=90, reasoning_tokens=70)


def test_an_error_in_the_stream() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/error.sse")])
    assert parts == [TextDelta("Half")]
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.OVERLOADED
    assert (outcome.finish, outcome.complete, outcome.usage) == ("error", False, None)


@pytest.mark.parametrize("name", ["truncated", "no_stop_event"])
def test_without_the_end_event_an_answer_is_not_complete(name: str) -> None:
    parts, outcome = decode(ANTHROPIC, [fixture(f"anthropic/{name}.sse")])
    assert text_in(parts) in ("Never", "Cut")
    assert not outcome.complete
    assert outcome.early_usage == Usage(12, output_tokens=1)
    assert outcome.usage == (Usage(12, output_tokens=3) if name == "no_stop_event" else None)
    assert outcome.malformed_events == 0


def test_carriage_returns_comments_and_a_byte_order_mark() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/crlf.sse")])
    assert (text_in(parts), outcome.finish, outcome.complete) == ("line", "stop", True)


def test_the_vendors_own_tools_are_not_the_callers() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/server_tool.sse")])
    assert calls_in(parts) == []
    kinds = [ReasoningEnded, ReasoningEnded, CitationAdded, TextDelta, ReasoningEnded]
    assert [type(part) for part in parts] == kinds
    assert (outcome.finish, outcome.complete, outcome.malformed_events) == ("pause", True, 0)


@pytest.mark.parametrize(
    ("kind", "shown"), [("unheard_of", "unheard_of"), ("the user likes roses", "(unreadable)")]
)
def test_a_note_names_no_more_than_a_code(kind: str, shown: str) -> None:
    body = event("message_start", message={"usage": {"input_tokens": 1}})
    body += event("content_block_start", index=0, content_block={"type": kind})
    body += event("message_delta", delta={"stop_reason": kind}) + STOP
    _, outcome = decode(ANTHROPIC, [body])
    assert outcome.notes == [
        f"content of kind {shown} was left out",
        f"unknown stop reason: {shown}",
    ]


def test_a_refusal_names_its_category() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/refusal.sse")])
    assert parts == [RefusalDelta("This request was declined.")]
    assert (outcome.finish, outcome.complete) == ("content_filter", True)
    assert outcome.notes == ["the provider refused: category cyber"]


def test_halves_of_a_character_are_joined() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/surrogates.sse")])
    assert (text_in(parts), outcome.complete) == ("hi 😀!", True)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reasons(reason: str | None, finish: str) -> None:
    body = event("message_delta", delta={"stop_reason": reason}) + STOP
    _, outcome = decode(ANTHROPIC, [body])
    assert (outcome.finish, outcome.complete) == (finish, True)
    assert bool(outcome.notes) == (reason == "something_new")


def test_usage_is_overwritten_field_by_field() -> None:
    start = {
        "input_tokens": 5,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 9,
        "output_tokens": 1,
    }
    body = (
        event("message_start", message={"id": "m", "usage": start})
        + event("message_delta", delta={}, usage={"output_tokens": 4, "input_tokens": None})
        + event("message_delta", delta={}, usage={"output_tokens": 8, "input_tokens": 6})
        + STOP
    )
    _, outcome = decode(ANTHROPIC, [body])
    assert outcome.usage == Usage(6, 7, 9, 0, 8, None)
    assert outcome.early_usage == Usage(5, 7, 9, 0, 1, None)


def test_explicit_zero_usage_is_usage() -> None:
    zero = {"input_tokens": 0, "output_tokens": 0}
    body = event("message_delta", delta={"stop_reason": "end_turn"}, usage=zero) + STOP
    assert decode(ANTHROPIC, [body])[1].usage == Usage()
    assert decode(ANTHROPIC, [event("message_delta", delta={}, usage={}) + STOP])[1].usage is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 3}},
            Usage(1, 0, 0, 3),
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 7},
            },
            Usage(1, 0, 7, 3),
        ),
        ({"input_tokens": -1, "output_tokens": "3"}, Usage(output_tokens=3)),
        (
            {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 9}},
            Usage(output_tokens=5, reasoning_tokens=5),
        ),
    ],
)
def test_usage_is_put_into_disjoint_buckets(usage: dict[str, Any], expected: Usage) -> None:
    body = {"type": "message", "content": [], "stop_reason": "end_turn", "usage": usage}
    _, outcome = decode(ANTHROPIC, [json.dumps(body).encode()], stream=False)
    assert outcome.usage == expected


def test_a_compaction_is_billed_on_top() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/compaction.json")], stream=False)
    assert parts == [TextDelta("ok")]
    assert outcome.usage == Usage(55_416, 10, 30, 0, 340, None)
    assert outcome.notes == [
        "an advisor model was used; its tokens are not in the usage",
        "content of kind compaction was left out",
    ]
    assert outcome.finish == "length"


def test_what_a_compaction_keeps_for_an_hour_is_priced_as_that() -> None:
    lifetimes = {"ephemeral_1h_input_tokens": 70, "ephemeral_5m_input_tokens": 30}
    compaction = {
        "type": "compaction",
        "input_tokens": 5,
        "cache_creation_input_tokens": 100,
        "cache_creation": lifetimes,
    }
    usage = {"input_tokens": 1, "output_tokens": 2, "iterations": [compaction]}
    body = event("message_start", message={"usage": {"input_tokens": 1}})
    body += event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage) + STOP
    _, outcome = decode(ANTHROPIC, [body])
    assert outcome.usage == Usage(6, 0, 30, 70, 2, None)


def test_a_plain_answer_with_every_block() -> None:
    parts, outcome = decode(ANTHROPIC, [fixture("anthropic/tools.json")], stream=False)
    assert parts == [
        ReasoningDelta("Hm"),
        ReasoningEnded("anthropic", {"signature": "S1"}),
        ReasoningEnded("anthropic", {"redacted": "R1"}),
        CitationAdded("anthropic", {"type": "char_location", "cited_text": "x"}),
        TextDelta("Look 👋"),
        ToolCallStarted(0, "toolu_9", "get_weather"),
        ToolCallDelta(0, '{"city":"Århus"}'),
        ToolCallStarted(1, "toolu_10", "ping"),
        ToolCallDelta(1, "{}"),
    ]
    assert (outcome.finish, outcome.complete) == ("tool_calls", True)
    assert outcome.usage == Usage(220, 10, 30, 0, 40, None)


@pytest.mark.parametrize(
    ("body", "error_class"),
    [
        (b'{"type":"error","error":{"type":"api_error","message":"m"}}', ErrorClass.SERVER_ERROR),
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"m"}}',
            ErrorClass.RATE_LIMIT,
        ),
        (b'{"type":"error","error":{"type":"timeout_error","message":""}}', ErrorClass.TIMEOUT),
        (b'{"detail":"nope"}', ErrorClass.SERVER_ERROR),
        (b'{"type":"message"}', ErrorClass.BAD_ANSWER),
        (b"{}", ErrorClass.BAD_ANSWER),
        (b"[1]", ErrorClass.BAD_ANSWER),
        (b"", ErrorClass.BAD_ANSWER),
        (b"<html><h1>504 Gateway Time-out</h1></html>", ErrorClass.BAD_ANSWER),
        (b'event: error\ndata: {"error":{"type":"overloaded_error"}}\n\n', ErrorClass.OVERLOADED),
        (b"event: error\ndata: gone\n\n", ErrorClass.SERVER_ERROR),
    ],
)
def test_errors_inside_an_answer(body: bytes, error_class: ErrorClass) -> None:
    _, outcome = decode(ANTHROPIC, [body], stream=False)
    assert outcome.failure is not None
    assert outcome.failure.error_class is error_class
    assert (outcome.finish, outcome.complete) == ("error", False)


def test_an_event_may_have_its_type_in_its_name_only() -> None:
    body = b'event: message_delta\ndata: {"delta":{"stop_reason":"max_tokens"}}\n\n' + STOP
    assert decode(ANTHROPIC, [body])[1].finish == "length"


def test_the_end_marker_of_another_format_is_no_end() -> None:
    _, outcome = decode(ANTHROPIC, [delta(0, "text_delta", text="x"), b"data: [DONE]\n\n"])
    assert (outcome.complete, outcome.malformed_events) == (False, 0)


def test_blocks_that_never_stop_are_closed_at_the_end() -> None:
    body = (
        block(0, type="thinking", thinking="t", signature="")
        + delta(0, "signature_delta", signature="s")
        + block(1, type="tool_use", id="a", name="f", input={"whole": 1})
        + STOP
    )
    parts, outcome = decode(ANTHROPIC, [body])
    assert parts == [
        ReasoningDelta("t"),
        ToolCallStarted(0, "a", "f"),
        ReasoningEnded("anthropic", {"signature": "s"}),
        ToolCallDelta(0, '{"whole":1}'),
    ]
    assert outcome.finish == "tool_calls"


def test_arguments_of_no_known_block_are_counted() -> None:
    _, outcome = decode(ANTHROPIC, [delta(3, "input_json_delta", partial_json="{}"), STOP])
    assert outcome.malformed_events == 1


def test_a_tool_call_without_an_id_gets_one() -> None:
    body = block(0, type="tool_use", id="", name="f", input={}) + STOP
    (call_id, name, arguments) = calls_in(decode(ANTHROPIC, [body])[0])[0]
    assert call_id.startswith("toolu_")
    assert (name, arguments) == ("f", "{}")


ABSURD = "the provider's token counts were left out: one is too large to be true, or cannot be read"


@pytest.mark.parametrize(
    ("early", "late"),
    [
        ({"input_tokens": 2**60, "output_tokens": 1}, {"output_tokens": 5}),
        ({"input_tokens": 5}, {"output_tokens": 2**31}),
        ({"input_tokens": 5}, {"output_tokens": 5, "cache_creation": {"x_tokens": 2**40}}),
        (
            {"input_tokens": 5},
            {"iterations": [{"type": "compaction", "input_tokens": 2**31 - 1}] * 2},
        ),
    ],
)
def test_absurd_usage_is_no_usage_and_a_note(early: Any, late: Any) -> None:
    body = event("message_start", message={"usage": early})
    body += event("message_delta", delta={"stop_reason": "end_turn"}, usage=late) + STOP
    _, outcome = decode(ANTHROPIC, [body])
    assert (outcome.complete, outcome.usage, outcome.notes) == (True, None, [ABSURD])


def test_what_no_frame_can_carry_is_left_out_with_a_note() -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"x": [deep]}
    body = block(0, type="thinking", thinking="why")
    body += delta(0, "signature_delta", signature="s" * 3_000_000)
    body += event("content_block_stop", index=0)
    body += block(1, type="text", text="a", citations=[deep, {"url": "u"}])
    body += delta(1, "citations_delta", citation=deep)
    parts, outcome = decode(ANTHROPIC, [body, STOP])
    assert parts == [
        ReasoningDelta("why"),
        ReasoningEnded("anthropic", {}),
        CitationAdded("anthropic", {"url": "u"}),
        TextDelta("a"),
    ]
    assert outcome.complete
    assert len(outcome.notes) == 2


TEXT = {"text": "ab"}


@pytest.mark.parametrize(
    "piece",
    [
        {"delta": TEXT},
        {"index": 0, "delta": TEXT},
        {"index": 7, "delta": TEXT},
        {"index": 0, "delta": {"type": None, **TEXT}},
        {"index": 0, "delta": {"type": "text", **TEXT}},
        {"index": 0, "delta": "ab"},
        {"index": 0, "delta": {"text": "ab", "thinking": None, "partial_json": ""}},
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_text_that_does_not_say_what_it_is(piece: dict[str, Any], begun: bool) -> None:
    start = block(0, type="text", text="") if begun else b""
    for body in (
        event("content_block_delta", **piece),
        b"data: " + json.dumps(piece).encode() + b"\n\n",  # nor what kind of event it is
    ):
        parts, outcome = decode(ANTHROPIC, [start + body + STOP])
        assert (parts, outcome.notes) == ([TextDelta("ab")], [])
        assert (outcome.complete, outcome.malformed_events) == (True, 0)


DROPPED = {"type": "thinking_dropped", "path": "messages.1.content.0"}
SHOWN = {"type": "thinking_mismatch_allowed", "path": "messages.1.content.0"}


@pytest.mark.parametrize("place", ["start", "end", "whole"])
@pytest.mark.parametrize(
    ("told", "noted"), [([], False), ([SHOWN], False), ([SHOWN, DROPPED], True), ("x", False)]
)
def test_thinking_the_provider_left_out_is_noted(place: str, told: Any, *, noted: bool) -> None:
    answer = {"id": "m", "content": [], "stop_reason": "end_turn"}
    changes = {"input_transformations": told}
    body = {
        "start": event("message_start", message={**answer, **changes}) + STOP,
        "end": event("message_delta", delta={"stop_reason": "end_turn"}, **changes) + STOP,
        "whole": json.dumps({**answer, **changes}).encode(),
    }[place]
    _, outcome = decode(ANTHROPIC, [body], stream=place != "whole")
    note = "the provider left out reasoning of an earlier answer"
    assert outcome.notes == ([note] if noted else [])


def test_thinking_that_never_began_ends_with_its_signature() -> None:
    pieces = delta(3, "thinking_delta", thinking="Hm") + delta(3, "", signature="c2ln")
    parts, outcome = decode(ANTHROPIC, [pieces + delta(4, "text_delta", text="Yes") + STOP])
    assert parts == [
        ReasoningDelta("Hm"),
        TextDelta("Yes"),
        ReasoningEnded("anthropic", {"signature": "c2ln"}),
    ]
    assert (outcome.complete, outcome.notes) == (True, [])


def test_a_block_that_begins_where_one_never_ended_ends_it() -> None:
    start = block(0, type="thinking", thinking="")
    body = start + delta(0, "thinking_delta", thinking="Hm") + delta(0, "", signature="c2ln")
    parts, _ = decode(ANTHROPIC, [body + block(0, type="text", text="Yes") + STOP])
    assert parts == [
        ReasoningDelta("Hm"),
        ReasoningEnded("anthropic", {"signature": "c2ln"}),
        TextDelta("Yes"),
    ]


def test_blocks_that_do_not_say_what_they_are() -> None:
    answer = {"content": ["a", {"text": "b"}, {"thinking": "Hm", "signature": "c2ln"}]}
    parts, outcome = decode(ANTHROPIC, [json.dumps(answer).encode()])
    assert parts == [
        TextDelta("ab"),
        ReasoningDelta("Hm"),
        ReasoningEnded("anthropic", {"signature": "c2ln"}),
    ]
    assert outcome.complete


def test_content_that_the_start_of_a_message_holds_is_read() -> None:
    """Some servers have a whole answer at once, and stream it as the start of one."""
    thought = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sea"}}
    content = [thought, {"type": "text", "text": "Yes"}, call]
    start = event("message_start", message={"id": "m", "content": content})
    late = block(0, type="text", text="") + delta(0, "text_delta", text="!")
    parts, outcome = decode(ANTHROPIC, [start + late + STOP])
    assert parts == [
        ReasoningDelta("Hm"),
        ReasoningEnded("anthropic", {"signature": "c2ln"}),
        TextDelta("Yes"),
        ToolCallStarted(0, "toolu_1", "look"),
        ToolCallDelta(0, '{"at":"sea"}'),
        TextDelta("!"),
    ]
    assert (outcome.complete, outcome.malformed_events, outcome.notes) == (True, 0, [])
    odd: list[tuple[Any, list[Any]]] = [("Hi", [TextDelta("Hi")]), (None, []), (7, []), ([], [])]
    for held, said in odd:
        parts, _ = decode(ANTHROPIC, [event("message_start", message={"content": held}) + STOP])
        assert parts == said


def test_content_that_cannot_be_given_out_is_noted() -> None:
    body = delta(0, "input_json_delta", partial_json='{"a":1}')
    parts, outcome = decode(ANTHROPIC, [body + delta(1, "novel_delta", novel="It was") + STOP])
    assert (parts, outcome.malformed_events) == ([], 1)
    assert len(outcome.notes) == 2
    assert "novel_delta" in outcome.notes[1]
    body = event("novel_start", index=0, content_block={"type": "text", "text": "It was"})
    _, outcome = decode(ANTHROPIC, [body + block(1, type="novel", novel="It was") + STOP])
    assert outcome.notes == [
        "content of kind novel_start was left out",
        "content of kind novel was left out",
    ]
    # What the vendor's own tools did is no such content: it goes back, and that is said.
    _, outcome = decode(ANTHROPIC, [block(1, type="web_search_tool_result", content=[]) + STOP])
    assert outcome.notes == [
        "a part of the answer is not shown, and goes back: web_search_tool_result"
    ]
    _, outcome = decode(ANTHROPIC, [delta(1, "novel_delta", novel="It was") + STOP])
    assert "It was" not in str(outcome.notes)


@pytest.mark.parametrize(
    ("last", "output"),
    [
        ({"input_tokens": 0, "output_tokens": 5}, 5),
        ({"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}, 1),
        ({"output_tokens": 0}, 0),
        ({"input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 0}}, 1),
    ],
)
def test_zeros_at_the_end_do_not_take_the_place_of_the_prompts_count(
    last: dict[str, Any], output: int
) -> None:
    first = {
        "input_tokens": 30,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 4,
        "cache_creation": {"ephemeral_1h_input_tokens": 4},
        "output_tokens": 1,
    }
    body = event("message_start", message={"usage": first})
    body += event("message_delta", delta={"stop_reason": "end_turn"}, usage=last)
    _, outcome = decode(ANTHROPIC, [body + STOP])
    assert outcome.usage == Usage(30, 7, 0, 4, output, None)


@pytest.mark.parametrize(
    ("last", "short", "long"),
    [
        ({"cache_creation_input_tokens": 0}, 0, 0),
        ({"cache_creation_input_tokens": 3}, 3, 0),
        ({"cache_creation_input_tokens": 10}, 6, 4),
        ({"cache_creation_input_tokens": 12}, 8, 4),
        (
            {
                "cache_creation_input_tokens": 3,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 1,
                    "ephemeral_1h_input_tokens": 2,
                },
            },
            1,
            2,
        ),
    ],
)
def test_the_last_count_of_cache_writes_stands_against_an_older_split(
    last: dict[str, Any], short: int, long: int
) -> None:
    first = {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4},
    }
    last = {"input_tokens": 30, "output_tokens": 2, **last}
    body = event("message_start", message={"usage": first})
    body += event("message_delta", delta={"stop_reason": "end_turn"}, usage=last)
    _, outcome = decode(ANTHROPIC, [body + STOP])
    assert outcome.usage == Usage(30, 0, short, long, 2, None)


def test_a_prompt_that_is_found_in_the_cache_after_all_is_believed() -> None:
    body = event("message_start", message={"usage": {"input_tokens": 30, "output_tokens": 1}})
    last = {"input_tokens": 0, "cache_read_input_tokens": 30, "output_tokens": 2}
    body += event("message_delta", delta={"stop_reason": "end_turn"}, usage=last)
    _, outcome = decode(ANTHROPIC, [body + STOP])
    assert outcome.usage == Usage(0, 30, 0, 0, 2, None)
