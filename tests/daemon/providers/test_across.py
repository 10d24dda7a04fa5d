"""A conversation crosses vendors: from A to B and back to A, arbitrary ones, over all adapters."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.providers.call_ids import with_distinct_calls
from routerd.providers.registry import ADAPTERS
from routerd_proto.content import Message, Reasoning, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import ABLE, encoded, request
from tests.daemon.providers.speaking import (
    SPEAKERS,
    Block,
    Speaker,
    Thought,
    Use,
    Words,
    calls_in_body,
    leaves,
    name_of,
    results_in_body,
    turns_of,
)

THOUGHT = re.compile(r"<thought \d+>")
NAMES = ("look_up", "find-it", "a")
LEFT_OUT = "reasoning of an earlier answer was left out"
TOOLS = [Tool(name, parameters={"type": "object", "properties": {}}) for name in NAMES]
# What servers of all kinds call a call: some begin anew in every answer, some write anything.
IDS = ("call_0", "functions.look_up:0", "toolu_01A", "", "Ω mega\n", "x" * 300, "abcdefghi")
SPOKEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ARGUMENTS = st.dictionaries(SPOKEN, st.integers(0, 9) | SPOKEN, max_size=2)


class Said(NamedTuple):
    """A conversation, and who gave which of its answers."""

    messages: list[Message]
    answers: list[tuple[Speaker, Message]]


class Counting:
    """Numbers what is said, so that each piece can be found again in any wire."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.count = self.calls = 0

    def mark(self, kind: str, more: str = "") -> str:
        self.count += 1
        return f"<{kind} {self.count}>{more}"

    def blocks(self) -> list[Block]:
        blocks: list[Block] = []
        kinds = st.sampled_from(["thought", "words", "use", "use"])
        for kind in self.draw(st.lists(kinds, min_size=1, max_size=5)):
            if kind == "thought":
                text = self.mark("thought") if self.draw(st.booleans()) else ""
                blocks.append(Thought(text, self.mark("signature")))
            elif kind == "words":
                blocks.append(Words(self.mark("words", self.draw(SPOKEN))))
            else:
                signature = self.mark("signature") if self.draw(st.booleans()) else ""
                call_id, name = self.draw(st.sampled_from(IDS)), self.draw(st.sampled_from(NAMES))
                blocks.append(Use(call_id, name, self.draw(ARGUMENTS), signature))
        if not any(isinstance(block, Words | Use) for block in blocks):
            blocks.append(Words(self.mark("words")))
        return blocks

    def results(self, calls: list[ToolCall]) -> Iterator[Message]:
        results = [
            ToolResult(call.id, f"<result {number}>", is_error=self.draw(st.booleans()))
            for number, call in enumerate(calls, self.calls)
        ]
        self.calls += len(calls)
        results = self.draw(st.permutations(results))
        if self.draw(st.booleans()):
            yield Message("tool", results)
        else:
            yield from (Message("tool", [result]) for result in results)


@st.composite
def conversations(
    draw: Callable[[st.SearchStrategy[Any]], Any], speakers: tuple[Speaker, ...]
) -> Said:
    """Have the speakers answer in turns, one of them twice at least: A to B to A."""
    counting = Counting(draw)
    messages = [Message("user", counting.mark("words"))]
    if draw(st.booleans()):
        messages.insert(0, Message("system", "Be brief."))
    answers: list[tuple[Speaker, Message]] = []
    for speaker in speakers:
        answer = speaker.say(counting.blocks())
        answers.append((speaker, answer))
        messages.append(answer)
        calls = tool_calls(answer)
        if calls:
            messages += counting.results(calls)
        if not calls or draw(st.booleans()):
            messages.append(Message("user", [Text(counting.mark("words", draw(SPOKEN)))]))
    return Said(messages, answers)


def a_to_b_to_a(a: Speaker) -> st.SearchStrategy[Said]:
    others = [speaker for speaker in SPEAKERS if speaker != a]
    return st.sampled_from(others).flatmap(lambda b: conversations((a, b, a)))


def sent(speaker: Speaker, messages: list[Message]) -> tuple[dict[str, Any], list[str]]:
    distinct = with_distinct_calls(messages)
    chat = request(speaker.model, distinct, tools=TOOLS, capabilities=ABLE)
    return encoded(speaker.build(), chat)


few = settings(max_examples=10)  # each of them goes to every vendor
every_speaker = pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: speaker.name)


def test_every_adapter_speaks_here() -> None:
    named = {
        name_of(adapter, dialect)
        for adapter, dialects in ADAPTERS.items()
        # The two services of Gemini read each other's answers: it speaks for both.
        for dialect in (dialects if adapter != "gemini" else ()) or (None,)
    }
    assert Counter(speaker.name for speaker in SPEAKERS) == Counter(named)


@every_speaker
@few
@given(st.data())
def test_what_a_vendor_left_goes_back_to_it_and_to_nobody_else(
    speaker: Speaker, data: st.DataObject
) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    for target in SPEAKERS:
        body, notes = sent(target, said.messages)
        found = "\n".join(leaves(turns_of(body)))
        is_missed = False
        for author, answer in said.answers:
            kept = target.keeps if author == target else frozenset()
            reasoning = [part for part in answer.content if isinstance(part, Reasoning)]
            thoughts = [text for part in reasoning for text in THOUGHT.findall(part.text)]
            assert_kept(found, thoughts, is_kept="text" in kept)
            assert_kept(found, list(signatures_in(reasoning)), is_kept="data" in kept)
            is_missed = is_missed or (bool(reasoning) and not kept)
        assert any(LEFT_OUT in note for note in notes) == is_missed


@every_speaker
@few
@given(st.data())
def test_all_words_reach_everybody_once_and_in_their_order(
    speaker: Speaker, data: st.DataObject
) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    words = [text for message in said.messages for text in words_of(message)]
    for target in SPEAKERS:
        body, _ = sent(target, said.messages)
        found = "\n".join(leaves(turns_of(body)))
        assert [found.count(text) for text in words] == [1] * len(words)
        assert_kept(found, words, is_kept=True)


@every_speaker
@few
@given(st.data())
def test_calls_and_results_stay_paired(speaker: Speaker, data: st.DataObject) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    calls = [part for _, answer in said.answers for part in tool_calls(answer)]
    for target in SPEAKERS:
        body, _ = sent(target, said.messages)
        turns = turns_of(body)
        given, returned = list(calls_in_body(turns)), list(results_in_body(turns))
        assert [(one.name, one.arguments) for one in given] == [
            (call.name, json.loads(call.arguments)) for call in calls
        ]
        assert len({one.id for one in given}) == len(given)
        assert len(returned) == len(given)
        by_id = {one.id: one for one in returned}
        for number, one in enumerate(given):
            assert f"<result {number}>" in by_id[one.id].text
            assert by_id[one.id].name in (None, one.name)


@every_speaker
@few
@given(st.data())
def test_what_was_sent_once_is_sent_again_as_it_was(speaker: Speaker, data: st.DataObject) -> None:
    """A prompt cache, and thinking that is bound to all before it, want nothing else."""
    said = data.draw(a_to_b_to_a(speaker))
    messages = said.messages
    asked = [index for index, message in enumerate(messages) if message.role == "assistant"]
    for target in SPEAKERS:
        whole = turns_of(sent(target, messages)[0])
        for index in asked:
            before = turns_of(sent(target, messages[:index])[0])
            assert whole[: len(before)] == before


def assert_kept(found: str, pieces: list[str], *, is_kept: bool) -> None:
    """Assert that all pieces are there, in their order, or that none is."""
    if not is_kept:
        assert not any(piece in found for piece in pieces)
        return
    places = [found.find(piece) for piece in pieces]
    assert -1 not in places
    assert places == sorted(places)


def signatures_in(reasoning: list[Reasoning]) -> Iterator[str]:
    for part in reasoning:
        yield from (text for text in leaves(part.data) if text.startswith("<signature"))


def words_of(message: Message) -> list[str]:
    if isinstance(message.content, str):
        return [message.content] if message.role != "system" else []
    return [part.text for part in message.content if isinstance(part, Text)]


def tool_calls(message: Message) -> list[ToolCall]:
    return [part for part in message.content if isinstance(part, ToolCall)]
