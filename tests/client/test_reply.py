"""Putting an answer together."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd_client import (
    CitationAdded,
    LogprobsAdded,
    Message,
    ProviderError,
    Reasoning,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    Reply,
    Text,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
)
from routerd_client.reply import assemble
from routerd_proto.frames import CallEnded, Part

END = CallEnded("stop", "d1", first_content_us=1500, total_us=2_500_000, attempts=2, notes=["n"])


def test_the_order_of_the_parts_is_kept() -> None:
    reply = assemble(
        [
            ReasoningDelta("h"),
            ReasoningDelta("m"),
            ReasoningEnded("anthropic", {"signature": "s"}),
            ReasoningEnded("anthropic", {"redacted": "r"}),
            TextDelta("Let "),
            TextDelta("me."),
            ToolCallStarted(0, "c0", "look"),
            ToolCallStarted(1, "c1", "find"),
            ToolCallDelta(1, '{"b":'),
            ToolCallDelta(0, '{"a":'),
            ToolCallDelta(1, "2}"),
            ToolCallDelta(0, "1}"),
            ToolCallStarted(2, "c2", "stop"),
            TextDelta("Done."),
            CitationAdded("v", {"url": "u"}),
            LogprobsAdded([TokenLogprob("Let", -0.5)]),
            LogprobsAdded([TokenLogprob(" me", -0.25)]),
        ],
        END,
        "f" * 32,
    )
    assert reply.message == Message(
        "assistant",
        [
            Reasoning("hm", "anthropic", {"signature": "s"}),
            Reasoning("", "anthropic", {"redacted": "r"}),
            Text("Let me."),
            ToolCall("c0", "look", '{"a":1}'),
            ToolCall("c1", "find", '{"b":2}'),
            ToolCall("c2", "stop", "{}"),
            Text("Done."),
        ],
    )
    assert (reply.text, reply.reasoning) == ("Let me.Done.", "hm")
    assert [call.id for call in reply.tool_calls] == ["c0", "c1", "c2"]
    assert reply.citations == [{"url": "u"}]
    assert [item.token for item in reply.logprobs] == ["Let", " me"]
    assert (reply.first_content_seconds, reply.total_seconds) == (0.0015, 2.5)
    assert (reply.attempts, reply.notes, reply.trace_id) == (2, ["n"], "f" * 32)


def test_a_refusal_is_no_answer_but_goes_into_the_message() -> None:
    reply = assemble([RefusalDelta("I "), RefusalDelta("won't.")], END)
    assert (reply.text, reply.refusal) == ("", "I won't.")
    assert reply.message == Message("assistant", [Text("I won't.")])


def test_reasoning_that_was_cut_is_kept() -> None:
    assert assemble([ReasoningDelta("h"), TextDelta("a")], END).content == [
        Reasoning("h"),
        Text("a"),
    ]


def test_an_empty_answer() -> None:
    reply = assemble([], CallEnded("stop", "d1"))
    assert (reply.text, reply.content, reply.cost_cents) == ("", [], None)
    assert reply.first_content_seconds is None


def test_an_answer_read_as_json() -> None:
    class City(msgspec.Struct):
        name: str

    reply = assemble([TextDelta('{"name": "Oslo"}')], END)
    assert reply.parsed() == {"name": "Oslo"}
    assert reply.parsed(City) == City("Oslo")
    assert reply.parsed(dict[str, str]) == {"name": "Oslo"}


@pytest.mark.parametrize(("text", "kind"), [('{"na', Any), ("[]", dict[str, str]), ("", Any)])
def test_an_answer_that_is_not_the_json_asked_for(text: str, kind: Any) -> None:
    reply = assemble([TextDelta(text)], CallEnded("length", "d1"))
    with pytest.raises(ProviderError, match=r"bad_answer: .*finish: length.*decision d1") as caught:
        reply.parsed(kind)
    assert caught.value.reply is reply


PARTS = st.one_of(
    st.builds(TextDelta, st.text()),
    st.builds(ReasoningDelta, st.text()),
    st.builds(ReasoningEnded, st.text(), st.dictionaries(st.text(), st.integers())),
    st.builds(RefusalDelta, st.text()),
    st.builds(ToolCallStarted, st.integers(0, 3), st.text(), st.text()),
    st.builds(ToolCallDelta, st.integers(0, 3), st.text()),
)


@given(st.lists(PARTS))
def test_no_text_is_lost_whatever_comes(parts: list[Part]) -> None:
    reply = assemble(parts, END)
    assert reply.text == "".join(part.text for part in parts if isinstance(part, TextDelta))
    assert reply.reasoning == "".join(
        part.reasoning for part in parts if isinstance(part, ReasoningDelta)
    )
    joined = "".join(part.text for part in reply.content if isinstance(part, Text))
    assert len(joined) == len(reply.text) + len(reply.refusal)
    started = [part for part in parts if isinstance(part, ToolCallStarted)]
    assert [(call.id, call.name) for call in reply.tool_calls] == [
        (part.id, part.name) for part in started
    ]
    assert pickle.loads(pickle.dumps(reply)) == reply
    assert isinstance(reply, Reply)
