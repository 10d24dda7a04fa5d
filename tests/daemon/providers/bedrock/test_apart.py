"""Tool calls and results stand alone for models that take nothing beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.bedrock.apart import APART_NOTE
from routerd_proto.content import Document, Image, Message, Reasoning, Text, Tool, ToolCall
from routerd_proto.content import ToolResult as Result
from tests.daemon.providers.drive import encoded, request

BEDROCK = BedrockAdapter()
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "us.meta.llama4-maverick-17b-instruct-v1:0"
ALONE = [LLAMA, "mistral.pixtral-large-2502-v1:0", "us.writer.palmyra-x4-v1:0"]
OTHERS = ["us.amazon.nova-pro-v1:0", "qwen.qwen3-32b-v1:0", "my-own-model", CLAUDE]
PAPER = Document(data=b"%PDF", title="p")
LOOK = Tool("look", "Looks.", {"type": "object", "properties": {}})
CALLED = [
    Message("user", "Look."),
    Message(
        "assistant",
        [Reasoning("hm", "bedrock", {}), Text("I look."), ToolCall("a", "look")],
    ),
    Message("assistant", [ToolCall("b", "look")]),
    Message("tool", [Result("a", [Text("seen"), Image(data=b"x")])]),
    Message("user", [Text("So?"), Result("b", "gone", is_error=True)]),
    Message("assistant", "It is gone."),
]
CUT = [
    ["user", "text"],
    ["assistant", "reasoningContent", "text"],
    ["user", "text"],
    ["assistant", "toolUse", "toolUse"],
    ["user", "toolResult", "toolResult"],
    ["assistant", "text"],
    ["user", "text"],
    ["assistant", "text"],
]
REFUSED = "messages.{}.content: Conversation blocks and tool {} blocks cannot be provided in the {}"


def sent(model: str, messages: list[Message]) -> tuple[list[dict[str, Any]], list[str]]:
    body, notes = encoded(BEDROCK, request(model, messages, tools=[LOOK]))
    return body["messages"], notes


def kinds(turns: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [turn["role"], *(kind for block in turn["content"] for kind in block)] for turn in turns
    ]


@pytest.mark.parametrize("model", ALONE)
def test_calls_and_results_have_turns_of_their_own(model: str) -> None:
    turns, notes = sent(model, CALLED)
    assert kinds(turns) == CUT
    said = [block["text"] for turn in turns for block in turn["content"] if "text" in block]
    assert said == ["Look.", "I look.", ".", ".", "So?", "It is gone."]
    assert notes == [APART_NOTE]


@pytest.mark.parametrize("model", OTHERS)
def test_other_models_have_them_together(model: str) -> None:
    turns, notes = sent(model, CALLED)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant"]
    assert APART_NOTE not in notes


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "Look.")],
        [Message("user", [Text("Look."), PAPER]), Message("assistant", "No."), CALLED[0]],
        [CALLED[0], Message("assistant", [Text(" "), ToolCall("a", "look")]), CALLED[3]],
        [
            CALLED[0],
            Message("assistant", [Reasoning("hm", "bedrock", {}), ToolCall("a", "look")]),
            CALLED[3],
        ],
    ],
    ids=["no calls", "words alone", "blanks beside a call", "reasoning beside a call"],
)
def test_what_stands_alone_already_stays_as_it_is(messages: list[Message]) -> None:
    turns, notes = sent(LLAMA, messages)
    assert len(turns) == len(messages)
    assert APART_NOTE not in notes


def test_claude_has_a_document_in_a_turn_behind_results() -> None:
    asked = [CALLED[0], Message("assistant", [Text("I look."), ToolCall("a", "look")])]
    turns, notes = sent(CLAUDE, [*asked, Message("user", [Result("a", "ok"), Text("And?"), PAPER])])
    assert kinds(turns[1:]) == [
        ["assistant", "text", "toolUse"],
        ["user", "toolResult"],
        ["assistant", "text"],
        ["user", "text", "document"],
    ]
    assert notes == [APART_NOTE]
    turns, notes = sent(CLAUDE, [*asked, Message("user", [Result("a", "ok"), Text("And?")])])
    assert (kinds(turns)[2:], notes) == ([["user", "toolResult", "text"]], [])


@pytest.mark.parametrize("kind", ["use", "result"])
def test_a_model_that_refuses_them_together_has_them_apart(kind: str) -> None:
    message = REFUSED.format(2, kind, "same turn.")
    failure = BEDROCK.failure(400, {}, json.dumps({"message": message}).encode())
    repair = BEDROCK.repair(request("us.maker.new-v1:0", CALLED, tools=[LOOK]), failure)
    assert repair is not None
    assert repair.note == APART_NOTE
    body, _ = encoded(BEDROCK, repair.request)
    assert kinds(body["messages"]) == CUT
    assert BEDROCK.repair(repair.request, failure) is None
    assert BEDROCK.repair(request(LLAMA, CALLED, tools=[LOOK]), failure) is None
