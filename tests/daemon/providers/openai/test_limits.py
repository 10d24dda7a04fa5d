"""What a provider sends beyond all reason costs a note, not the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.surrogates import LOST_NOTE
from routerd_proto import daemon_frame_reader, encode_frames
from routerd_proto.frames import CitationAdded, ReasoningDelta, ReasoningEnded, TextDelta
from tests.daemon.providers.drive import decode
from tests.daemon.providers.openai.test_decode import DONE, OPENAI, adapter, chunk

ABSURD = "the provider's token counts were left out: one is too large to be true, or cannot be read"


@pytest.mark.parametrize("place", ["usage", "x_groq"])
def test_absurd_usage_is_no_usage_and_a_note(place: str) -> None:
    usage: Any = {"prompt_tokens": 2**60, "completion_tokens": 1}
    fields = {place: usage if place == "usage" else {"usage": usage}}
    _, outcome = decode(OPENAI, [chunk({"content": "a"}, "stop", **fields), DONE])
    assert (outcome.complete, outcome.usage, outcome.notes) == (True, None, [ABSURD])


def nested(depth: int) -> Any:
    deep: Any = 1
    for _ in range(depth):
        deep = {"x": [deep]}
    return deep


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("lone", ["", "\ud800"])
def test_a_citation_no_frame_can_carry_is_left_out_with_a_note(stream: bool, lone: str) -> None:
    citations = [nested(3), nested(400), {"text": "x" * 3_000_000}, nested(40)]
    delta = {"content": "a" + lone, "annotations": citations}
    if stream:
        body = chunk(delta, "stop") + DONE
    else:
        body = json.dumps({"choices": [{"message": delta, "finish_reason": "stop"}]}).encode()
    parts, outcome = decode(OPENAI, [body], stream=stream)
    assert [part for part in parts if isinstance(part, CitationAdded)] == [
        CitationAdded("openai", nested(3)),
        CitationAdded("openai", nested(40)),
    ]
    assert outcome.complete
    note = "a citation was left out: it is too large or nested too deeply"
    assert outcome.notes == [note, *([LOST_NOTE] if lone else [])]
    encode_frames(parts)


def test_a_number_beyond_the_wire_does_not_cost_the_answer() -> None:
    delta = {"content": "a", "annotations": [{"at": 2**70}]}
    parts, outcome = decode(OPENAI, [chunk(delta, "stop"), DONE])
    assert outcome.complete
    _, citation = daemon_frame_reader().feed(bytes(encode_frames(parts)))
    assert citation == CitationAdded("openai", {"at": 2.0**70})


def test_reasoning_data_no_frame_can_carry_is_left_out_with_a_note() -> None:
    details = [{"type": "reasoning.text", "text": "why", "more": nested(300)}]
    parts, outcome = decode(
        adapter("openrouter"),
        [chunk({"reasoning_details": details}), chunk({"content": "a"}, "stop"), DONE],
    )
    assert parts == [ReasoningDelta("why"), ReasoningEnded("openrouter", {}), TextDelta("a")]
    assert len(outcome.notes) == 1
    assert outcome.complete


def test_tool_arguments_nested_nearly_too_deep_to_read_do_not_raise() -> None:
    for depth in range(100, 1100, 20):
        function = {"name": "f", "arguments": "ARGUMENTS"}
        deep = "[" * depth + '"\\ud800"' + "]" * depth
        for delta in ({"tool_calls": [{"index": 0, "function": function}]},):
            body = json.dumps({"choices": [{"message": delta, "finish_reason": "stop"}]})
            data = body.replace('"ARGUMENTS"', deep).encode()
            for stream in (True, False):
                chunks = [b"data: ", data, b"\n\n", DONE] if stream else [data]
                _, outcome = decode(OPENAI, chunks, stream=stream)
                assert outcome.complete or outcome.malformed_events or outcome.failure
