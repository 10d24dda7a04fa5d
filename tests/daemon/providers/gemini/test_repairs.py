"""A request that was refused for a signature or a level, judged by what is sent in its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass
from routerd.providers.gemini import GeminiAdapter
from routerd.providers.gemini.messages import STAND_IN_SIGNATURE
from routerd_proto.content import Message, Reasoning, Text, ToolCall, ToolResult
from tests.daemon.providers.drive import request

ADAPTER = GeminiAdapter()
MISSING = "Function call is missing a `thought_signature` in functionCall parts."
INVALID = "Thought signature is not valid."
HISTORY = [
    Message("user", "Look."),
    Message(
        "assistant",
        [
            Reasoning("hm", "gemini", {}),
            Text("I look."),
            Reasoning("", "gemini", {"on": "text", "signature": "dGV4dA=="}),
            Reasoning("", "gemini", {"on": "call", "call": "c1", "signature": "Y2FsbA=="}),
            ToolCall("c1", "look"),
            ToolCall("c2", "look"),
            Reasoning(
                "", "gemini", {"on": "part", "part": {"toolCall": {"id": "x"}}, "signature": "eA=="}
            ),
        ],
    ),
    Message("tool", [ToolResult("c1", "a"), ToolResult("c2", "b")]),
]


def sent(chat: Any) -> Any:
    return json.loads(ADAPTER.encode(chat).body)["contents"]


def refused(chat: Any, message: str, status: int = 400) -> Any:
    error = {"code": status, "message": message, "status": "INVALID_ARGUMENT"}
    failure = ADAPTER.failure(status, {}, json.dumps({"error": error}).encode())
    return ADAPTER.repair(chat, failure)


# The second model checks no signatures as far as is known, and this one did.
@pytest.mark.parametrize("model", ["gemini-3.8-flash", "gemini-2.5-flash"])
@pytest.mark.parametrize("message", [MISSING, INVALID])
def test_signatures_go_and_the_first_call_has_the_stand_in(model: str, message: str) -> None:
    chat = request(model, HISTORY)
    repair = refused(chat, message)
    before, after = sent(chat), sent(repair.request)
    signed = [part.pop("thoughtSignature", None) for part in before[1]["parts"]]
    assert signed == [None, "dGV4dA==", "Y2FsbA==", None, "eA=="]
    resigned = [part.pop("thoughtSignature", None) for part in after[1]["parts"]]
    assert resigned == [None, None, STAND_IN_SIGNATURE, None, None]
    assert after == before
    # The caller's own messages are as they were, and there is nothing left to take away.
    assert chat.messages is HISTORY
    assert refused(repair.request, message) is None


def test_other_refusals_stay() -> None:
    chat = request("gemini-3.8-flash", HISTORY)
    assert refused(chat, "Please use a valid role: user, model.") is None
    assert refused(chat, MISSING, status=500) is None
    assert refused(request("gemini-3.8-flash"), MISSING) is None


@pytest.mark.parametrize(
    ("model", "asked", "level", "sent_as"),
    [
        ("gemini-3.5-flash", "none", "MINIMAL", "LOW"),
        ("gemini-flash-latest", "minimal", "MINIMAL", "LOW"),
        ("gemini-3.1-pro-preview", "medium", "MEDIUM", "LOW"),
        ("gemini-4-argon", "max", "XHIGH", "HIGH"),
    ],
)
def test_a_level_that_the_model_lacks_becomes_the_next(
    model: str, asked: Any, level: str, sent_as: str
) -> None:
    def level_in(chat: Any) -> Any:
        return json.loads(ADAPTER.encode(chat).body)["generationConfig"]["thinkingConfig"]

    message = (
        f"Thinking level {level} is not supported for this model. "
        "Please retry with other thinking level."
    )
    chat = request(model, reasoning=asked)
    assert level_in(chat)["thinkingLevel"] == level
    repair = refused(chat, message)
    assert level_in(repair.request)["thinkingLevel"] == sent_as
    assert f"reasoning {asked} was sent as {sent_as.lower()}" in repair.note
    # What the caller did not ask for stands in `raw`, which is the caller's own.
    assert refused(request(model), message) is None
    assert refused(chat, message.replace(level, sent_as)) is None


def test_a_prompt_too_long_for_vertex_is_context_length() -> None:
    message = (
        "Unable to submit request because the input token count is 1200000 but model only "
        "supports up to 1048576. Reduce the input token count and try again."
    )
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": []}
    failure = ADAPTER.failure(400, {}, json.dumps({"error": error}).encode())
    assert failure.error_class is ErrorClass.CONTEXT_LENGTH
