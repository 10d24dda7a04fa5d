"""What tools of Bedrock's own did: given out, and back to Bedrock as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Part
from routerd.providers.bedrock import BedrockAdapter
from routerd_client.reply import assemble
from routerd_proto.content import Message, Tool
from routerd_proto.frames import CallEnded, ReasoningEnded, TextDelta
from tests.daemon.providers.bedrock.wire import (
    block_stop,
    delta,
    event,
    metadata,
    stopped,
    tool_start,
)
from tests.daemon.providers.drive import chat_parts, decode, encoded, request

BEDROCK = BedrockAdapter()
MODEL = "us.amazon.nova-2-lite-v1:0"
USE = {
    "toolUse": {
        "toolUseId": "t_1",
        "name": "nova_grounding",
        "type": "server_tool_use",
        "input": {"query": "tides"},
    }
}
FOUND = {
    "toolResult": {
        "toolUseId": "t_1",
        "type": "nova_grounding_result",
        "status": "success",
        "content": [{"text": "It is calm."}, {"json": {"a": [1]}}, {"text": "So."}],
    }
}
BLOCKS: list[dict[str, Any]] = [{"text": "Let me see."}, USE, FOUND, {"text": "Calm."}]
TOOLS = [Tool("look", "Look.", {"type": "object", "properties": {}})]
GO_ON = Message("user", "Go on.")


def streamed() -> bytes:
    started = {key: FOUND["toolResult"][key] for key in ("toolUseId", "type", "status")}
    body = event("messageStart", role="assistant")
    body += delta(0, text="Let me see.") + block_stop(0)
    body += tool_start(1, "t_1", "nova_grounding", type="server_tool_use")
    body += delta(1, toolUse={"input": '{"query":'}) + delta(1, toolUse={"input": ' "tides"}'})
    body += block_stop(1)
    body += event("contentBlockStart", contentBlockIndex=2, start={"toolResult": started})
    body += delta(2, toolResult=[{"text": "It is "}]) + delta(2, toolResult=[{"text": "calm."}])
    body += delta(2, toolResult=[{"json": {"a": [1]}}, {"text": "So."}]) + block_stop(2)
    body += delta(3, text="Calm.") + block_stop(3)
    return body + stopped() + metadata(inputTokens=1, outputTokens=2)


def plain() -> bytes:
    message = {"role": "assistant", "content": BLOCKS}
    usage = {"inputTokens": 1, "outputTokens": 2}
    body = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    return json.dumps(body).encode()


def message_of(parts: list[Part]) -> Message:
    return assemble(chat_parts(parts), CallEnded("stop", "d")).message


@pytest.mark.parametrize("body", [streamed(), plain()], ids=["stream", "plain"])
def test_they_go_back_as_they_came_and_in_their_place(body: bytes) -> None:
    parts, outcome = decode(BEDROCK, [body])
    assert parts == [
        TextDelta("Let me see."),
        ReasoningEnded("bedrock", {"block": USE}),
        ReasoningEnded("bedrock", {"block": FOUND}),
        TextDelta("Calm."),
    ]
    assert (outcome.finish, outcome.complete, outcome.malformed_events) == ("stop", True, 0)
    assert outcome.notes == [
        f"a part of the answer is not shown, and goes back: {kind}"
        for kind in ("toolUse", "toolResult")
    ]
    history = [Message("user", "Hi"), message_of(parts), GO_ON]
    sent, notes = encoded(BEDROCK, request(MODEL, history, tools=TOOLS))
    assert sent["messages"][1] == {"role": "assistant", "content": BLOCKS}
    assert notes == []


def test_a_request_without_tools_may_not_hold_them() -> None:
    parts, _ = decode(BEDROCK, [plain()])
    history = [Message("user", "Hi"), message_of(parts), GO_ON]
    sent, notes = encoded(BEDROCK, request(MODEL, history))
    assert sent["messages"][1]["content"] == [BLOCKS[0], BLOCKS[3]]
    assert notes == [
        "what the provider's own tools did was left out: this request names no tool to call"
    ]


def test_half_of_one_is_left_out() -> None:
    begun = tool_start(1, "t_1", "nova_grounding", type="server_tool_use") + block_stop(1)
    parts, _ = decode(BEDROCK, [delta(0, text="Let me see.") + begun + stopped()])
    history = [Message("user", "Hi"), message_of(parts), GO_ON]
    sent, notes = encoded(BEDROCK, request(MODEL, history, tools=TOOLS))
    assert sent["messages"][1]["content"] == [BLOCKS[0]]
    assert len(notes) == 1
    assert "its result is not in the conversation" in notes[0]


@pytest.mark.parametrize(
    "piece", [{"toolResult": "x"}, {"toolResult": [{"text": "lost"}]}, {"toolUse": {"input": "{"}}]
)
def test_pieces_of_no_known_block_are_counted(piece: dict[str, Any]) -> None:
    parts, outcome = decode(BEDROCK, [delta(0, **piece) + stopped()])
    assert (parts, outcome.malformed_events) == ([], 1)


def test_a_block_that_begins_where_one_never_ended_ends_it() -> None:
    body = delta(0, reasoningContent={"text": "Hm"}) + delta(0, reasoningContent={"signature": "s"})
    body += tool_start(0, "t", "f") + stopped()
    parts, _ = decode(BEDROCK, [body])
    assert parts[1] == ReasoningEnded("bedrock", {"signature": "s"})
