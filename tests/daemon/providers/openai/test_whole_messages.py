"""Whole messages, and bare text, in a stream of Chat Completions: all of it said, nothing twice."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from routerd.domain import Part
from routerd.providers.base import Outcome
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.openai.told import MOST_PIECES, OTHER_TEXT_NOTE
from routerd.providers.openai.whole_messages import MOST_BY_CHANCE
from routerd_proto.frames import (
    CitationAdded,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
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
        [whole("Hel"), whole("lo")],
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


LONG = "x" * MOST_BY_CHANCE


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        # Pieces that are alike, at the beginning and later.
        (["ha", "ha"], "haha"),
        (["ha", "ha", "ha", "!"], "hahaha!"),
        (["1", "0", "10", "10"], "101010"),
        (["a", "ab", "c"], "aabc"),
        (["<", "<b", "<b", ">"], "<<b<b>"),
        # Nothing shows which it is: all of it is given out.
        (["Hel", "Hello"], "HelHello"),
        (["Hello", "Hello"], "HelloHello"),
        # The message so far, and once more at the end.
        (["H", "Hel", "Hello", "Hello"], "Hello"),
        (["H", "H", "Hel", "Hel", "Hello"], "Hello"),
        (["x", LONG + "x", LONG + "x"], LONG + "x"),
        ([LONG + "x", LONG + "x"], LONG + "x"),
        ([LONG + "x", LONG + "xyz"], LONG + "xyz"),
        # Pieces, and at the end all of them together.
        (["Hello, ", "my dear ", "friend", "Hello, my dear friend"], "Hello, my dear friend"),
        (["Hello, ", "my dear ", "friend", "Hello, my dear friend."], "Hello, my dear friend."),
        # The message so far, and then another after all.
        ([LONG + "x", LONG + "xy", "z"], LONG + "xyz"),
    ],
)
@pytest.mark.parametrize("kind", ["content", "reasoning", "refusal"])
def test_messages_alone_lose_no_text(messages: list[str], expected: str, kind: str) -> None:
    parts, outcome = read(*({"message": {kind: text}} for text in messages))
    assert said_of(parts) == expected
    assert (outcome.complete, outcome.notes) == (True, [])


def said_of(parts: list[Part]) -> str:
    refused = "".join(part.refusal for part in parts if isinstance(part, RefusalDelta))
    return reasoning_in(parts) + text_in(parts) + refused


def test_what_is_held_comes_before_whatever_is_no_message() -> None:
    messages = [whole("ha"), whole("ha")]
    assert text_in(read(*messages, said("!"))[0]) == "haha!"
    assert text_in(read(*messages, {"text": "haha!"})[0]) == "haha!"
    parts, _ = read(*messages, whole("", tool_calls=[called("{}")]))
    assert [type(part) for part in parts] == [TextDelta, ToolCallStarted, ToolCallDelta]
    assert text_in(parts) == "haha"
    # The message so far, and in the end a call beside it.
    parts, _ = read(*messages, whole("ha", tool_calls=[called("{}")]))
    assert (text_in(parts), len(calls_in(parts))) == ("ha", 1)
    # Each kind of text by itself, and in the order in which it came.
    parts, _ = read(whole("", reasoning="h"), whole("", reasoning="h"), whole("a"), whole("a"))
    assert (reasoning_in(parts), text_in(parts)) == ("hh", "aa")
    body = b"".join(
        b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
        for choice in messages
    )
    parts, outcome = decode(OPENAI, [body])
    assert (text_in(parts), outcome.complete) == ("haha", False)


def test_a_delta_that_says_nothing_is_no_piece() -> None:
    empty: list[Json] = [{"delta": {}}, {"delta": {"content": ""}}, {"delta": None}]
    for silent in empty:
        parts, _ = read(whole("H"), whole("He"), silent, whole("Hel"))
        assert text_in(parts) == "Hel"


def test_pieces_in_the_middle_of_messages_make_them_wholes() -> None:
    parts, outcome = read(whole("ha"), said("ha"), whole("haha"), whole("haha"))
    assert (text_in(parts), outcome.notes) == ("haha", [])


SHORT = st.text("ab ", min_size=1, max_size=MOST_BY_CHANCE)


def might_be_so_far(messages: list[str]) -> bool:
    """Say whether the first messages grow as only a message so far would, twice in a row."""
    distinct = [text for text, _ in itertools.groupby(messages)]
    first = distinct[:3]
    return len(first) == 3 and first[2].startswith(first[1]) and first[1].startswith(first[0])


@given(st.lists(SHORT, max_size=12))
def test_short_pieces_are_all_said_however_alike_they_are(pieces: list[str]) -> None:
    assume(not might_be_so_far(pieces))
    told = ""
    for piece in pieces:  # a piece that says all of a longer text again is none
        assume(len(told) <= MOST_BY_CHANCE or not piece.startswith(told))
        told += piece
    parts, outcome = read(*map(whole, pieces))
    assert (text_in(parts), outcome.notes) == (told, [])


@given(st.text(min_size=MOST_BY_CHANCE + 1), st.lists(st.integers(0, 99)), st.integers(1, 3))
def test_messages_so_far_are_said_once(text: str, cuts: list[int], times: int) -> None:
    grown = [text[:cut] for cut in sorted(cuts) if cut > MOST_BY_CHANCE] + [text] * times
    parts, outcome = read(*map(whole, grown))
    assert (text_in(parts), outcome.notes) == (text, [])


@given(st.lists(st.text("ab", max_size=20), max_size=10))
def test_whatever_messages_come_all_of_each_is_in_the_answer(messages: list[str]) -> None:
    parts, _ = read(*map(whole, messages))
    answer = text_in(parts)
    assert all(message in answer for message in messages)


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
