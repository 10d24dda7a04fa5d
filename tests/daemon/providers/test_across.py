"""A conversation crosses vendors: from A to B and back to A, arbitrary ones, over all adapters.

What must come back is told by what the vendor wrote, not by what was read of it: a signature that
is lost on the way in is as lost as one that is not sent.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.providers.call_ids import with_distinct_calls
from routerd.providers.gemini.messages import STAND_IN_SIGNATURE
from routerd.providers.registry import ADAPTERS
from routerd_proto.content import (
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.daemon.providers.crossing import NAMES, Answer, Counting, Said, conversations, tool_calls
from tests.daemon.providers.drive import ABLE, encoded, request
from tests.daemon.providers.speaking import (
    SPEAKERS,
    Block,
    Did,
    Speaker,
    Thought,
    Use,
    Words,
    calls_in_body,
    leaves,
    name_of,
    results_in_body,
    signed_in,
    turns_of,
)

THOUGHT, SIGNATURE = re.compile(r"<thought \d+>"), re.compile(r"<signature \d+>")
SIGNED = "thoughtSignature"
LEFT_OUT = "reasoning of an earlier answer was left out"
TOOLS = [Tool(name, parameters={"type": "object", "properties": {}}) for name in NAMES]
# What marks a place up to which to cache: it moves on with the conversation, which changes nothing.
MARKS = ("cache_control", "cachePoint", "prompt_cache_breakpoint")


def a_to_b_to_a(a: Speaker) -> st.SearchStrategy[Said]:
    others = [speaker for speaker in SPEAKERS if speaker != a]
    return st.sampled_from(others).flatmap(lambda b: conversations((a, b, a)))


def sent(speaker: Speaker, messages: list[Message]) -> tuple[dict[str, Any], list[str]]:
    distinct = with_distinct_calls(messages, [])
    chat = request(speaker.model, distinct, tools=TOOLS, capabilities=ABLE)
    return encoded(speaker.build(), chat)


def in_turns(*speakers: Speaker, stream: bool = False) -> Said:
    """Have the speakers answer in turns, each time with everything that an answer may hold."""
    messages, answers = [Message("user", "<words 0>")], list[Answer]()
    for turn, speaker in enumerate(speakers, 1):
        blocks: list[Block] = [
            Thought(f"<thought {turn}1>", f"<signature {turn}1>"),
            Did(f"<signature {turn}7>"),
            Thought("", f"<signature {turn}2>"),
            Words(f"<words {turn}0>", f"<signature {turn}4>"),
            Did(f"<signature {turn}5>"),
            Words(f"<words {turn}1>"),
            Words(f"<words {turn}3>", f"<signature {turn}6>"),
            Use("call_0", "look_up", {"turn": turn}, f"<signature {turn}3>"),
            Use("functions.a:0", "a", {}),
        ]
        answer = speaker.say(blocks, stream=stream)
        answers.append(Answer(speaker, speaker.write(blocks), answer))
        calls = enumerate(tool_calls(answer), 2 * (turn - 1))
        results = [ToolResult(call.id, f"<result {number}>") for number, call in calls]
        messages += [answer, Message("tool", results[::-1]), Message("user", f"<words {turn}2>")]
    return Said(messages, answers)


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
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_pair_from_a_to_b_to_a(speaker: Speaker, stream: bool) -> None:
    for other in SPEAKERS:
        if other != speaker:
            said = in_turns(speaker, other, speaker, stream=stream)
            for target in (speaker, other):
                check_reasoning(target, said)
                check_signed(target, said)
                check_words(target, said)
                check_calls(target, said)


@every_speaker
@given(st.data())
def test_an_answer_in_a_stream_is_the_same_message(speaker: Speaker, data: st.DataObject) -> None:
    blocks = Counting(data.draw).blocks()
    streamed, whole = speaker.say(blocks, stream=True), speaker.say(blocks)
    if speaker.name == "cohere":
        # Of a whole one all reasoning is given out first, as one.
        assert told_in(streamed) == told_in(whole)
    else:
        assert streamed == whole


@every_speaker
@few
@given(st.data())
def test_what_a_vendor_left_goes_back_to_it_and_to_nobody_else(
    speaker: Speaker, data: st.DataObject
) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    for target in SPEAKERS:
        check_reasoning(target, said)
        check_signed(target, said)


@every_speaker
@few
@given(st.data())
def test_all_words_reach_everybody_once_and_in_their_order(
    speaker: Speaker, data: st.DataObject
) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    for target in SPEAKERS:
        check_words(target, said)


@every_speaker
@few
@given(st.data())
def test_pictures_and_papers_reach_everybody_once(speaker: Speaker, data: st.DataObject) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    for target in SPEAKERS:
        check_attached(target, said)


@every_speaker
@few
@given(st.data())
def test_calls_and_results_stay_paired(speaker: Speaker, data: st.DataObject) -> None:
    said = data.draw(a_to_b_to_a(speaker))
    for target in SPEAKERS:
        check_calls(target, said)


def check_reasoning(target: Speaker, said: Said) -> None:
    """Check that reasoning is with whom it belongs to, in its order, and with nobody else."""
    body, notes = sent(target, said.messages)
    found = "\n".join(leaves(turns_of(body)))
    is_missed = False
    for author, written, message in said.answers:
        kept = target.keeps if author == target else frozenset()
        texts = "\n".join(leaves(written))
        assert_kept(found, THOUGHT.findall(texts), is_kept="text" in kept)
        assert_kept(found, SIGNATURE.findall(texts), is_kept="data" in kept)
        reasons = any(isinstance(part, Reasoning) for part in message.content)
        is_missed = is_missed or (reasons and not kept)
    assert any(LEFT_OUT in note for note in notes) == is_missed


def check_signed(target: Speaker, said: Said) -> None:
    """Check that what only a vendor can read comes back as it wrote it, to the last byte."""
    if "data" not in target.keeps:
        return
    body, _ = sent(target, said.messages)
    found = [item for item in signed_in(turns_of(body)) if item.get(SIGNED) != STAND_IN_SIGNATURE]
    wrote = [answer.written for answer in said.answers if answer.author == target]
    expected = [item for written in wrote for item in signed_in(written)]
    assert list(map(as_written, found)) == list(map(as_written, expected))


def check_words(target: Speaker, said: Said) -> None:
    """Check that all that was said is there once, in its order."""
    words = [text for message in said.messages for text in words_of(message)]
    body, _ = sent(target, said.messages)
    found = "\n".join(leaves(turns_of(body)))
    assert [found.count(text) for text in words] == [1] * len(words)
    assert_kept(found, words, is_kept=True)


def check_attached(target: Speaker, said: Said) -> None:
    """Check that all that was attached is there once, what the user attached in its order."""
    body, _ = sent(target, said.messages)
    # Cohere has papers beside the turns.
    found = "\n".join(opened(leaf) for leaf in leaves(body))
    for message in said.messages:
        for kind in (Image, Document):
            attached = list(attached_to(message, kind))
            assert [found.count(piece) for piece in attached] == [1] * len(attached)
            if message.role == "user":
                assert_kept(found, attached, is_kept=True)


def opened(leaf: str) -> str:
    """Return a string of a body, or what is packed in it."""
    try:
        return base64.b64decode(leaf.rpartition(";base64,")[2], validate=True).decode()
    except ValueError:
        return leaf


def attached_to(message: Message, kind: type[Image | Document]) -> Iterator[str]:
    """Go through what stands in pictures or papers, those in results too."""
    for part in () if isinstance(message.content, str) else message.content:
        inner = part.content if isinstance(part, ToolResult) else [part]
        for item in () if isinstance(inner, str) else inner:
            if isinstance(item, kind):
                assert item.data is not None
                yield item.data.decode()


def check_calls(target: Speaker, said: Said) -> None:
    """Check that all calls are there in their order, each with its own result."""
    calls = [part for answer in said.answers for part in tool_calls(answer.message)]
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
        whole = unmarked(turns_of(sent(target, messages)[0]))
        for index in asked:
            before = unmarked(turns_of(sent(target, messages[:index])[0]))
            assert whole[: len(before)] == before


def unmarked(value: Any) -> Any:
    """Return the turns without the marks for a cache."""
    if isinstance(value, dict):
        return {key: unmarked(item) for key, item in value.items() if key not in MARKS}
    if isinstance(value, list):
        # Bedrock's marks are blocks of their own, of which nothing is left.
        return [item for item in map(unmarked, value) if item != {}]
    return value


def assert_kept(found: str, pieces: list[str], *, is_kept: bool) -> None:
    """Assert that all pieces are there, in their order, or that none is."""
    if not is_kept:
        assert not any(piece in found for piece in pieces)
        return
    places = [found.find(piece) for piece in pieces]
    assert -1 not in places
    assert places == sorted(places)


def as_written(item: dict[str, Any]) -> dict[str, Any]:
    """Return what a vendor must find as it wrote it; the ids of calls are made to differ.

    Texts behind each other may be one: then the signature is that of the last.
    """
    if "text" in item and not item.get("thought"):
        item = {**item, "text": item["text"].rpartition("<words")[2]}
    call = item.get("functionCall")
    return item if call is None else {**item, "functionCall": {**call, "id": None}}


def words_of(message: Message) -> list[str]:
    if message.role == "system":
        return []
    if isinstance(message.content, str):
        return [message.content]
    return [part.text for part in message.content if isinstance(part, Text)]


def told_in(message: Message) -> tuple[str, str, list[ToolCall]]:
    """Return text, reasoning and calls of an answer, whatever stands between them."""
    reasoned = [part.text for part in message.content if isinstance(part, Reasoning)]
    return "".join(words_of(message)), "".join(reasoned), tool_calls(message)
