"""What is read in one go is what the general way reads, and nothing it would read is missed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from routerd.providers.base import AnswerDecoder, Outcome
from routerd.providers.bounds import MAX_PART_CHARACTERS
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.openai.decode import ChatDecoder
from routerd.providers.openai.failure import failure_rules
from routerd.providers.openai.plain import PlainAnswer, PlainChoice, PlainDecoder, PlainMessage
from routerd.providers.openai.wire import Choice, Chunk, Delta
from routerd_proto.frames import TextDelta, Usage
from tests.daemon.providers.drive import merge

RULES = failure_rules(DIALECTS["openai"])
# Each of them says something in some field, or is what a server writes to say nothing.
VALUES = st.sampled_from(
    [
        *(None, "", "said", "stop", "length", "tool_calls", "error", "\ud800"),
        *(0, 1, 7.0, -1, True, False, [], ["said"], {}, {"text": "said"}),
        [{"function": {"name": "f", "arguments": "{}"}}],
        {"message": "it broke", "code": "server_error"},
        [{"type": "text", "text": "said"}],
    ]
)
PLACES = st.sampled_from(
    [
        *(("answer", name) for name in (*Chunk.__struct_fields__, "role")),
        *(("choice", name) for name in (*Choice.__struct_fields__, "seed")),
        *(("message", name) for name in (*Delta.__struct_fields__, "role")),
        *(("usage", name) for name in ("prompt_tokens", "total_tokens", "prompt_tokens_details")),
        ("usage", "credits"),
    ]
)


def answer() -> dict[str, Any]:
    """Return an answer as OpenAI writes it."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "Grüße 👋🏽",
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    details = {"cached_tokens": 4, "audio_tokens": 0}
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-6-sol",
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def changed(changes: dict[tuple[str, str], Any]) -> bytes:
    whole = answer()
    choice = whole["choices"][0]
    places = {
        "answer": whole,
        "choice": choice,
        "message": choice["message"],
        "usage": whole["usage"],
    }
    for (place, name), value in changes.items():
        places[place][name] = value
    return json.dumps(whole).encode()


def read(decoder: AnswerDecoder, *chunks: bytes) -> tuple[list[Any], Outcome]:
    parts = [part for chunk in chunks for part in decoder.feed(chunk)]
    parts += decoder.end()
    assert decoder.end() == []
    return merge(parts), decoder.outcome


def plainly(*chunks: bytes) -> tuple[list[Any], Outcome]:
    return read(PlainDecoder("openai", RULES), *chunks)


def generally(*chunks: bytes) -> tuple[list[Any], Outcome]:
    return read(ChatDecoder("openai", RULES, stream=False), *chunks)


def test_an_answer_by_the_book_is_read_without_the_general_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = changed({})
    expected = generally(body)
    monkeypatch.setattr("routerd.providers.openai.plain.ChatDecoder", None)
    decoder = OpenAIAdapter().decoder(stream=False)
    parts, outcome = read(decoder, body[:30], body[30:])
    assert (parts, outcome) == expected
    assert parts == [TextDelta("Grüße 👋🏽")]
    assert outcome.usage == Usage(5, 4, 0, output_tokens=5, reasoning_tokens=2)
    assert (outcome.model, outcome.response_id) == ("gpt-6-sol", "chatcmpl-1")
    assert (outcome.fingerprint, outcome.terms) == ("fp_1", {"servicetier": "default"})
    assert (outcome.finish, outcome.complete) == ("stop", True)


@pytest.mark.parametrize(
    ("plain", "general"), [(PlainMessage, Delta), (PlainChoice, Choice), (PlainAnswer, Chunk)]
)
def test_no_field_that_the_general_way_reads_is_passed_over(plain: type, general: type) -> None:
    assert {field.name for field in fields(plain)} == {field.name for field in fields(general)}


@given(st.dictionaries(PLACES, VALUES, max_size=3))
def test_whatever_stands_in_whichever_field_both_ways_read_the_same(
    changes: dict[tuple[str, str], Any],
) -> None:
    body = changed(changes)
    assert plainly(body) == generally(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xef\xbb\xbf" + json.dumps(answer()).encode(),
        b"[" + json.dumps(answer()).encode() + b"]",
        json.dumps(answer()).encode() + b"\n \n",
        json.dumps(answer()).encode()[:-9],
        json.dumps(answer()).encode() + b"}",
        json.dumps({**answer(), "choices": answer()["choices"] * 2}).encode(),
        json.dumps({**answer(), "choices": []}).encode(),
        json.dumps({"error": {"message": "no", "type": "server_error"}}).encode(),
        b'{"a": ' + b"[" * 5_000,
        b"<html><title>Bad gateway</title></html>",
        b'data: {"choices": [{"delta": {"content": "a stream"}}]}\n\ndata: [DONE]\n\n',
        changed({("message", "content"): "x" * (MAX_PART_CHARACTERS + 9)}),
    ],
)
@pytest.mark.parametrize("size", [1, 40, 65_536, 2**22])
def test_however_a_body_is_cut_both_ways_read_the_same(body: bytes, size: int) -> None:
    if size < 65_536 < len(body):
        body = body[:80] + body[-80:]
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert plainly(*chunks) == generally(*chunks)


def test_a_stream_that_nobody_asked_for_comes_out_as_it_comes() -> None:
    decoder = PlainDecoder("openai", RULES)
    outcome = decoder.outcome
    event = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
    assert decoder.feed(event) == [TextDelta("a")]
    assert outcome.finish == "stop"
    assert decoder.end() == []
    assert outcome.complete
