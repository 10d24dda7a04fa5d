"""Streams that lose events, or send some twice: what came in comes out, or it is noted.

Every piece of every kind holds a word of its own, so that a piece that is missing, or said again,
is seen. The streams are as the vendors write them: thinking, text, refusals and tool calls.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Part
from routerd.providers.base import Outcome
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd_proto.codec import encode_frame
from tests.daemon.providers.bedrock.wire import frame
from tests.daemon.providers.drive import decode

Json = dict[str, Any]
WORD = re.compile(r"<\w+>")
FIELDS = ("text", "reasoning", "refusal", "arguments")


def chunk(**delta: Any) -> Json:
    return {"id": "c", "choices": [{"index": 0, "delta": delta}]}


def called(index: int, arguments: str, **more: Any) -> Json:
    function = {"arguments": arguments, **({"name": "f"} if more else {})}
    return chunk(tool_calls=[{"index": index, "function": function, **more}])


def item(kind: str, name: str, index: int, **fields: Any) -> Json:
    return {"type": f"response.{kind}", "output_index": index, "item_id": name, **fields}


def block(index: int, kind: str, **fields: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def opened(index: int, kind: str, **fields: Any) -> Json:
    content = {"type": kind, **fields}
    return {"type": "content_block_start", "index": index, "content_block": content}


def part(**fields: Any) -> Json:
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [fields]}}]}


def said_by(kind: str, index: int, **message: Any) -> Json:
    return {"type": kind, "index": index, "delta": {"message": message}}


def added(index: int, **delta: Any) -> Json:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}


THOUGHT = {
    "type": "reasoning",
    "id": "r",
    "summary": [{"type": "summary_text", "text": "<a><b>"}],
    "encrypted_content": "gAAA",
}
SAID = {
    "type": "message",
    "id": "m",
    "content": [{"type": "output_text", "text": "<c><d>"}, {"type": "refusal", "refusal": "<e>"}],
}
CALL = {"type": "function_call", "id": "f", "call_id": "1", "name": "f", "arguments": "<f><g>"}
DONE = {"id": "resp", "status": "completed", "output": [THOUGHT, SAID, CALL]}
STREAMS: dict[str, list[Json]] = {
    "openai": [
        chunk(reasoning_content="<a>"),
        chunk(reasoning_content="<b>"),
        chunk(content="<c>"),
        chunk(content="<d>"),
        chunk(refusal="<e>"),
        called(0, "", id="1"),
        called(0, "<f>"),
        called(0, "<g>"),
        called(1, "<h>", id="2"),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ],
    "openai-responses": [
        item("output_item.added", "r", 0, item={**THOUGHT, "summary": []}),
        item("reasoning_summary_text.delta", "r", 0, summary_index=0, delta="<a>"),
        item("reasoning_summary_text.delta", "r", 0, summary_index=0, delta="<b>"),
        item("reasoning_summary_text.done", "r", 0, summary_index=0, text="<a><b>"),
        item("output_item.done", "r", 0, item=THOUGHT),
        item("output_item.added", "m", 1, item={**SAID, "content": []}),
        item("output_text.delta", "m", 1, content_index=0, delta="<c>"),
        item("output_text.delta", "m", 1, content_index=0, delta="<d>"),
        item("output_text.done", "m", 1, content_index=0, text="<c><d>"),
        item("content_part.done", "m", 1, content_index=0, part=SAID["content"][0]),
        item("refusal.delta", "m", 1, content_index=1, delta="<e>"),
        item("refusal.done", "m", 1, content_index=1, refusal="<e>"),
        item("output_item.done", "m", 1, item=SAID),
        item("output_item.added", "f", 2, item={**CALL, "arguments": ""}),
        item("function_call_arguments.delta", "f", 2, delta="<f>"),
        item("function_call_arguments.delta", "f", 2, delta="<g>"),
        item("function_call_arguments.done", "f", 2, arguments="<f><g>"),
        item("output_item.done", "f", 2, item=CALL),
        {"type": "response.completed", "response": DONE},
    ],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
        opened(0, "thinking", thinking="<a>"),
        block(0, "thinking_delta", thinking="<b>"),
        block(0, "signature_delta", signature="c2ln"),
        {"type": "content_block_stop", "index": 0},
        opened(1, "text", text="<c>"),
        block(1, "text_delta", text="<d>"),
        {"type": "content_block_stop", "index": 1},
        opened(2, "tool_use", id="1", name="f", input={}),
        block(2, "input_json_delta", partial_json="<e>"),
        block(2, "input_json_delta", partial_json="<f>"),
        {"type": "content_block_stop", "index": 2},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ],
    "gemini": [
        part(text="<a>", thought=True),
        part(text="<b>", thought=True, thoughtSignature="c2ln"),
        part(text="<c>"),
        part(text="<d>", thoughtSignature="c2ln"),
        part(functionCall={"name": "f", "args": {"x": "<e>"}}),
        part(functionCall={"name": "g", "args": {"x": "<f>"}}, thought=True),
        {"candidates": [{"index": 0, "finishReason": "STOP"}]},
    ],
    "cohere": [
        {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
        said_by("content-start", 0, content={"type": "thinking", "thinking": "<a>"}),
        said_by("content-delta", 0, content={"thinking": "<b>"}),
        {"type": "content-end", "index": 0},
        said_by("tool-plan-delta", 0, tool_plan="<c>"),
        said_by("content-start", 1, content={"type": "text", "text": "<d>"}),
        said_by("content-delta", 1, content={"text": "<e>"}),
        {"type": "content-end", "index": 1},
        said_by("tool-call-start", 0, tool_calls={"id": "1", "function": {"name": "f"}}),
        said_by("tool-call-delta", 0, tool_calls={"function": {"arguments": "<f>"}}),
        said_by("tool-call-delta", 0, tool_calls={"function": {"arguments": "<g>"}}),
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    ],
    "bedrock": [
        {"messageStart": {"role": "assistant"}},
        added(0, reasoningContent={"text": "<a>"}),
        added(0, reasoningContent={"text": "<b>"}),
        added(0, reasoningContent={"signature": "c2ln"}),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        added(1, text="<c>"),
        added(1, text="<d>"),
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {
            "contentBlockStart": {
                "contentBlockIndex": 2,
                "start": {"toolUse": {"toolUseId": "1", "name": "f"}},
            }
        },
        added(2, toolUse={"input": "<e>"}),
        added(2, toolUse={"input": "<f>"}),
        {"contentBlockStop": {"contentBlockIndex": 2}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}},
    ],
}


def read(wire: str, events: list[Json]) -> tuple[list[Part], Outcome]:
    body = b""
    for event in events:
        if wire == "bedrock":
            [(kind, payload)] = event.items()
            headers = {":message-type": "event", ":event-type": kind}
            body += frame(headers, json.dumps(payload).encode())
        else:
            body += b"data: " + json.dumps(event).encode() + b"\n\n"
    parts, outcome = decode(build_adapter(wire), [body])
    for one in parts:
        encode_frame(one)
    return parts, outcome


def words_in(parts: list[Part]) -> Counter[str]:
    texts = (getattr(one, name, None) for one in parts for name in FIELDS)
    return Counter(WORD.findall(" ".join(text for text in texts if isinstance(text, str))))


def test_every_wire_is_here_and_says_all_of_it_once() -> None:
    assert STREAMS.keys() == ADAPTERS.keys()
    for wire, events in STREAMS.items():
        parts, outcome = read(wire, events)
        assert words_in(parts) == dict.fromkeys(WORD.findall(json.dumps(events)), 1)
        assert (outcome.complete, outcome.notes, outcome.malformed_events) == (True, [], 0)


@pytest.mark.parametrize("wire", STREAMS)
@given(data=st.data())
def test_what_came_in_comes_out_or_is_noted(wire: str, data: st.DataObject) -> None:
    events = STREAMS[wire]
    times = data.draw(st.lists(st.sampled_from([1, 1, 1, 0, 2]), min_size=1, max_size=len(events)))
    came = [event for event, count in zip(events, times, strict=False) for _ in range(count)]
    came += events[len(times) :] if data.draw(st.booleans()) else []
    parts, outcome = read(wire, came)
    said = words_in(parts)
    lost = set(WORD.findall(json.dumps(came))) - said.keys()
    assert not lost or outcome.notes or outcome.malformed_events or not outcome.complete
    # Nothing is said again for another reason than that it came again.
    assert 2 not in times or max(said.values(), default=0) <= 2
    assert 2 in times or max(said.values(), default=0) <= 1
