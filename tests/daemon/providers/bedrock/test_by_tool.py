"""Answers that a model gives by a tool of ours, because nothing else binds it to a schema."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.bedrock.decode import NO_CALL_NOTE, SECOND_NOTE, WORDS_NOTE
from routerd.providers.bedrock.tools import ANSWER_TOOL
from routerd_proto.content import Message, Reasoning, Text, Tool
from routerd_proto.frames import ReasoningDelta, ReasoningEnded
from tests.daemon.providers.bedrock.wire import (
    block_stop,
    delta,
    event,
    metadata,
    stopped,
    tool_start,
)
from tests.daemon.providers.drive import (
    answer_message,
    calls_in,
    decode,
    encoded,
    request,
    text_in,
)

BEDROCK = BedrockAdapter()
NOVA = "amazon.nova-pro-v1:0"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
WORDS = {"text": "<thinking>I use the tool.</thinking>\n"}


def use(call_id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": given}}


FIRST, SECOND = use("t", ANSWER_TOOL, a="1"), use("u", ANSWER_TOOL, a="2")
OTHER = use("f", "f", x=1)


def written(blocks: list[dict[str, Any]], reason: str, *, stream: bool) -> bytes:
    """Write an answer of these blocks, in either form."""
    if not stream:
        body = {
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": reason,
            "usage": {"inputTokens": 1, "outputTokens": 1},
        }
        return json.dumps(body).encode()
    events = [event("messageStart", role="assistant")]
    for index, block in enumerate(blocks):
        if tool := block.get("toolUse"):
            text = json.dumps(tool["input"])
            events.append(tool_start(index, tool["toolUseId"], tool["name"]))
            events += [delta(index, toolUse={"input": piece}) for piece in (text[:3], text[3:])]
        else:
            text = block["text"]
            events += [delta(index, text=piece) for piece in (text[:3], text[3:])]
        events.append(block_stop(index))
    return b"".join([*events, stopped(reason), metadata(inputTokens=1, outputTokens=1)])


def read(blocks: list[dict[str, Any]], reason: str = "tool_use", *, stream: bool) -> Any:
    """Read an answer as the request for it says."""
    wire = BEDROCK.encode(request(NOVA, output_schema=SCHEMA, stream=stream)).wire
    assert wire is not None
    data = written(blocks, reason, stream=stream)
    expected = decode(wire, [data], stream=stream)
    cuts = sorted(random.Random(7).sample(range(len(data)), 9))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert decode(wire, pieces, stream=stream) == expected
    return expected


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("blocks", "notes"),
    [
        ([FIRST], []),
        ([WORDS, FIRST], [WORDS_NOTE]),
        ([FIRST, WORDS], [WORDS_NOTE]),
        ([FIRST, SECOND], [SECOND_NOTE]),
        ([WORDS, FIRST, WORDS, SECOND], [SECOND_NOTE, WORDS_NOTE]),
    ],
)
def test_the_text_is_the_first_answer_and_nothing_else(
    blocks: list[dict[str, Any]], notes: list[str], stream: bool
) -> None:
    parts, outcome = read(blocks, stream=stream)
    assert json.loads(text_in(parts)) == {"a": "1"}
    assert calls_in(parts) == []
    thoughts = [part for part in parts if isinstance(part, ReasoningDelta | ReasoningEnded)]
    aside = [ReasoningDelta(WORDS["text"]), ReasoningEnded("bedrock", {"aside": True})]
    assert thoughts == aside * blocks.count(WORDS)
    assert (outcome.finish, outcome.complete, outcome.notes) == ("stop", True, notes)
    assert outcome.malformed_events == 0


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_arguments_is_an_empty_object(stream: bool) -> None:
    data = tool_start(0, "t", ANSWER_TOOL) + block_stop(0) + stopped("tool_use")
    if not stream:
        data = written([use("t", ANSWER_TOOL)], "tool_use", stream=False)
    parts, outcome = decode(BEDROCK, [data], stream=stream)
    assert (text_in(parts), outcome.finish) == ("{}", "stop")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", ["end_turn", "guardrail_intervened", "max_tokens"])
def test_words_are_the_answer_where_nothing_was_called(reason: str, stream: bool) -> None:
    parts, outcome = read([WORDS], reason, stream=stream)
    assert text_in(parts) == WORDS["text"]
    # What a guardrail says is not the model's.
    is_the_models = reason != "guardrail_intervened"
    assert (outcome.complete, NO_CALL_NOTE in outcome.notes) == (True, is_the_models)


@pytest.mark.parametrize("stream", [True, False])
def test_words_before_a_call_of_the_callers_are_text(stream: bool) -> None:
    parts, outcome = read([WORDS, OTHER], stream=stream)
    [(call_id, name, given)] = calls_in(parts)
    assert (call_id, name, json.loads(given)) == ("f", "f", {"x": 1})
    assert (text_in(parts), outcome.finish, outcome.notes) == (WORDS["text"], "tool_calls", [])


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (NOVA, {}),
        (NOVA, {"tools": [Tool("f")]}),
        (NOVA, {"output_schema": SCHEMA, "tools": [Tool("f")], "tool_choice": "required"}),
        ("us.anthropic.claude-opus-5-5", {"output_schema": SCHEMA}),
    ],
)
def test_no_other_answer_is_read_so(model: str, options: dict[str, Any]) -> None:
    assert BEDROCK.encode(request(model, **options)).wire is None


def test_words_beside_an_answer_do_not_go_back_as_reasoning() -> None:
    parts, _ = read([WORDS, FIRST], stream=True)
    answer = answer_message(parts)
    assert answer.content == [
        Reasoning(WORDS["text"], "bedrock", {"aside": True}),
        Text('{"a": "1"}'),
    ]
    body, notes = encoded(
        BEDROCK, request(NOVA, [Message("user", "Hi"), answer, Message("user", "And?")])
    )
    assert body["messages"][1]["content"] == [{"text": '{"a": "1"}'}]
    assert notes == [
        "reasoning of an earlier answer was left out: this provider cannot read it",
    ]
