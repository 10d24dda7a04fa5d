"""What Gemini has beside a tool call in this format: kept, and back with that call alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd_proto.content import Message, ToolResult
from tests.daemon.providers.drive import answer_message, calls_in, decode, encoded, request
from tests.daemon.providers.openai.test_decode import DONE, call, chunk

GOOGLE = OpenAIAdapter(DIALECTS["google"])


@pytest.mark.parametrize("stream", [True, False])
def test_what_comes_beside_a_tool_call_goes_back_with_it_to_google_alone(stream: bool) -> None:
    extra = {"google": {"thought_signature": "S"}}
    # Of one id, so that one of them gets another.
    calls = [
        {"id": "c", "type": "function", "function": {"name": name, "arguments": '{"a": 1}'}}
        for name in ("f", "g")
    ]
    calls[1]["extra_content"] = extra
    if stream:
        pieces = [
            chunk({"content": "Hm"}),
            *(chunk({"tool_calls": [one | {"index": i}]}) for i, one in enumerate(calls)),
            chunk({}, "tool_calls"),
            DONE,
        ]
    else:
        message = {"role": "assistant", "content": "Hm", "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        pieces = [json.dumps({"id": "r", "model": "m", "choices": [choice]}).encode()]
    parts, outcome = decode(GOOGLE, pieces, stream=stream)
    assert (outcome.finish, outcome.complete, outcome.notes) == ("tool_calls", True, [])
    answer = answer_message(parts)
    said = [Message("user", "?"), answer]
    said += [Message("tool", [ToolResult(name, "4")]) for name, _, _ in calls_in(parts)]

    def sent(dialect: str) -> tuple[list[Any], list[str]]:
        body, notes = encoded(OpenAIAdapter(DIALECTS[dialect]), request("m", said))
        [turn] = [turn for turn in body["messages"] if turn["role"] == "assistant"]
        assert turn["content"] == "Hm"
        return [
            (one["function"]["name"], one.get("extra_content")) for one in turn["tool_calls"]
        ], notes

    assert sent("google") == ([("f", None), ("g", extra)], [])
    assert sent("compatible") == (
        [("f", None), ("g", None)],
        ["reasoning of an earlier answer was left out: this provider cannot read it"],
    )


def test_what_comes_beside_no_call_is_noted() -> None:
    late = {"index": 0, "extra_content": {"google": {"thought_signature": "S"}}}
    pieces = [chunk({"tool_calls": [one]}) for one in (call(0, "f", "{}"), late)]
    _, outcome = decode(GOOGLE, [*pieces, chunk({}, "tool_calls"), DONE])
    assert len(outcome.notes) == 1
