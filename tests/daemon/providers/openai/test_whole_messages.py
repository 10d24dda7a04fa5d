"""Whole messages, and bare text, in a stream of Chat Completions: all of it said, nothing twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Part
from routerd.providers.base import Outcome
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.openai.told import MOST_PIECES, OTHER_TEXT_NOTE
from routerd_proto.frames import CitationAdded, ReasoningDelta, RefusalDelta, TextDelta
from tests.daemon.providers.drive import calls_in, decode, reasoning_in, text_in

OPENAI = OpenAIAdapter()
HELLO = {"role": "assistant", "content": "Hello"}
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://example.org"}}
Json = dict[str, Any]


def read(*choices: Json) -> tuple[list[Part], Outcome]:
    body = b"".join(
        b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
        for choice in choices
    )
    return decode(OPENAI, [body + b"data: [DONE]\n\n"])


def said(text: Any, **fields: Any) -> Json:
    return {"delta": {"content": text, **fields}}


def whole(text: Any, **fields: Any) -> Json:
    return {"message": {"content": text, **fields}}


@pytest.mark.parametrize(
    "choices",
    [
        [{"message": HELLO}],
        [{"delta": {}, "message": HELLO}],
        [{"delta": {"content": ""}, "message": HELLO}],
        [said("Hel"), said("lo"), {"message": HELLO}],
        [said("Hel"), {"delta": {}, "message": HELLO}],
        [said("Hel"), {"message": HELLO}, {"message": HELLO, "finish_reason": "stop"}],
        # The message so far beside each piece, or the piece itself once more.
        [said(piece) | whole(sofar) for piece, sofar in (("Hel", "Hel"), ("lo", "Hello"))],
        [said(piece) | whole(piece) for piece in ("Hel", "lo")],
        [said("Hel") | {"text": "Hel"}, said("lo") | {"text": "lo"}],
        # The message alone: so far, or piece by piece.
        [whole("H"), whole("Hel"), whole("Hello"), {"message": HELLO}],
        [whole("Hel"), whole("lo"), whole("Hello")],
        [whole("Hel"), said("lo"), whole("Hello")],
        # Text in the choice itself: by pieces, and as a whole behind pieces of another kind.
        [{"text": "Hel"}, {"text": "l"}, {"text": "o", "finish_reason": "stop"}],
        [{"delta": {}, "text": "Hel"}, {"delta": {"content": ""}, "text": "lo"}],
        [{"delta": None, "message": None, "text": "Hello"}],
        [said("Hel"), {"text": "Hello", "finish_reason": "stop"}],
        [{"message": HELLO, "text": "Hello"}],
        [{"text": "Hel"}, {"text": "lo"}, {"message": HELLO}],
        [said([{"type": "text", "text": "Hello"}]), {"message": HELLO}],
        [said("Hel"), whole([{"type": "text", "text": "Hello"}])],
        [said("Hello"), whole(None)],
        [said("Hello"), whole("")],
        [said("Hello"), {"text": 7}],
    ],
)
def test_what_comes_whole_says_what_no_piece_brought(choices: list[Json]) -> None:
    parts, outcome = read(*choices)
    assert parts == [TextDelta("Hello")]
    assert (outcome.complete, outcome.finish, outcome.notes) == (True, "stop", [])


def test_text_in_a_plain_answer_of_the_older_kind() -> None:
    body = {"id": "c", "choices": [{"index": 0, "text": "Hello", "finish_reason": "length"}]}
    parts, outcome = decode(OPENAI, [json.dumps(body).encode()], stream=False)
    assert parts == [TextDelta("Hello")]
    assert (outcome.complete, outcome.finish, outcome.notes) == (True, "length", [])


def test_pieces_that_are_alike_are_no_wholes() -> None:
    assert text_in(read({"text": "ha"}, {"text": "ha"}, {"text": "haha"})[0]) == "hahahaha"
    assert text_in(read(said("ha"), said("ha"), whole("haha"))[0]) == "haha"


@pytest.mark.parametrize("other", [whole("Hello"), {"delta": {}, "text": "Hello"}])
def test_a_whole_that_is_another_is_noted_and_not_said(other: Json) -> None:
    parts, outcome = read(said("lo"), other)
    assert (text_in(parts), outcome.notes) == ("lo", [OTHER_TEXT_NOTE])
    assert outcome.complete


def test_every_kind_of_text_is_compared_by_itself() -> None:
    message = {"reasoning": "Hmm.", "refusal": "No.", "annotations": [SOURCE]}
    for pieces in (
        [],
        [{"delta": {"reasoning": "Hm"}}],
        [{"delta": {"reasoning": "Hmm."}}, {"delta": {"refusal": "N"}}],
        [{"delta": message}],
    ):
        parts, outcome = read(*pieces, whole("So.", **message), whole("So.", **message))
        assert (text_in(parts), reasoning_in(parts)) == ("So.", "Hmm.")
        refusals = [part.refusal for part in parts if isinstance(part, RefusalDelta)]
        assert "".join(refusals) == "No."
        assert [part for part in parts if isinstance(part, CitationAdded)] == [
            CitationAdded("openai", SOURCE)
        ]
        assert outcome.notes == []
    parts, outcome = read({"delta": {"refusal": "Yes"}}, whole(None, refusal="No."))
    assert (parts, outcome.notes) == ([RefusalDelta("Yes")], [OTHER_TEXT_NOTE])
    parts, outcome = read(said("a", reasoning="x"), whole("a", reasoning="y"))
    assert (reasoning_in(parts), outcome.notes) == ("x", [OTHER_TEXT_NOTE])


def test_thinking_among_the_parts_of_a_whole_message_is_no_text() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]}
    parts, outcome = read(said([thinking]), whole([thinking, {"type": "text", "text": "So."}]))
    assert (reasoning_in(parts), text_in(parts), outcome.notes) == ("Hmm.", "So.", [])
    assert isinstance(parts[0], ReasoningDelta)


def called(arguments: Any, **fields: Any) -> Json:
    return {"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}, **fields}


SECOND = {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}


@pytest.mark.parametrize(
    "before",
    [
        [],
        [said("Hm.")],
        [said(None, tool_calls=[called("")])],
        [said(None, tool_calls=[called('{"x"')])],
        [said(None, tool_calls=[called('{"x":1}')])],
        [said(None, tool_calls=[called('{"x":1}'), SECOND])],
    ],
)
def test_calls_of_a_whole_message_are_made_once_and_whole(before: list[Json]) -> None:
    message = whole(None, tool_calls=[called('{"x":1}'), SECOND])
    parts, outcome = read(*before, message, message | {"finish_reason": "tool_calls"})
    assert calls_in(parts) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]
    assert (outcome.finish, outcome.notes) == ("tool_calls", [])


def test_calls_of_a_whole_message_that_are_others_are_noted() -> None:
    message = whole(None, tool_calls=[called('{"y":1}')])
    parts, outcome = read(said(None, tool_calls=[called('{"x"')]), message)
    assert calls_in(parts) == [("a", "f", '{"x"')]
    assert outcome.notes == [OTHER_TEXT_NOTE]
    old = {"function_call": {"name": "f", "arguments": '{"x":1}'}}
    parts, outcome = read({"delta": old}, {"message": old})
    assert [call[1:] for call in calls_in(parts)] == [("f", '{"x":1}')]
    assert outcome.notes == []


@pytest.mark.parametrize("count", [1, MOST_PIECES - 1, MOST_PIECES, 3 * MOST_PIECES + 1])
def test_a_long_text_is_compared_whole(count: int) -> None:
    words = [f"wörd{number} " for number in range(count)]
    text = "".join(words)
    pieces = [said(word) for word in words]
    parts, outcome = read(*pieces, whole(text + "end"))
    assert (text_in(parts), outcome.notes) == (text + "end", [])
    parts, outcome = read(*pieces, whole("W" + text[1:]))
    assert (text_in(parts), outcome.notes) == (text, [OTHER_TEXT_NOTE])


@given(
    pieces=st.lists(st.text(max_size=3), min_size=1, max_size=8),
    shown=st.lists(st.sampled_from(["delta", "both", "so far", "late"]), min_size=8, max_size=8),
)
def test_however_a_text_is_repeated_it_is_said_once(pieces: list[str], shown: list[str]) -> None:
    """A message so far comes beside its piece, behind it, or brings a piece that came nowhere."""
    choices: list[Json] = [said("<")]
    came = "<"
    for piece, way in zip(pieces, shown, strict=False):
        came += piece
        if way == "delta":
            choices.append(said(piece))
        elif way == "both":
            choices.append(said(piece) | whole(came))
        elif way == "so far":
            choices += [said(piece), {"delta": {}} | whole(came)]
        else:
            choices.append(whole(came))
    parts, outcome = read(*choices, whole(came))
    assert (text_in(parts), outcome.notes) == (came, [])
