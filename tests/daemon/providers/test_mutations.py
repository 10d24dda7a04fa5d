"""An answer with everything in it, with one thing in it made odd: nothing raises, and what is not
given out is told of.

Every piece that a reader may lose says <n>. Of a mutated answer each that is still there comes out
once, or the outcome says that something was not read: by a note, a count or a failure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from routerd.providers.registry import build_adapter
from routerd_proto.codec import encode_frame
from routerd_proto.frames import ToolCallDelta, ToolCallStarted
from tests.daemon.providers.bedrock.wire import event
from tests.daemon.providers.drive import decode
from tests.daemon.providers.test_bad_input import paths_in, put

Json = dict[str, Any]
PIECE = re.compile(r"<\d+>")
ODD: tuple[Any, ...] = (
    *(None, 0, -1, 1.5, 2**70, True, "", "odd", "\ud800", [], {}, [1], ["odd"], [None], [[]]),
    *(10**400, {"text": "odd"}, [{"text": "odd"}], {"type": "text"}, {"a": {"b": [{"c": 1}]}}),
)


def anthropic(kind: str, index: int | None = None, **fields: Any) -> Json:
    return {"type": kind, **({} if index is None else {"index": index}), **fields}


def begun(index: int, **block: Any) -> Json:
    return anthropic("content_block_start", index, content_block=block)


def more(index: int, kind: str, **piece: Any) -> Json:
    return anthropic("content_block_delta", index, delta={"type": kind, **piece})


def ended(index: int) -> Json:
    return anthropic("content_block_stop", index)


ANTHROPIC = [
    anthropic("message_start", message={"id": "m", "usage": {"input_tokens": 3}}),
    begun(0, type="thinking", thinking="", signature=""),
    more(0, "thinking_delta", thinking="<1>"),
    more(0, "signature_delta", signature="<2>"),
    ended(0),
    begun(1, type="redacted_thinking", data="<3>"),
    ended(1),
    begun(2, type="text", text=""),
    more(2, "text_delta", text="<4>"),
    more(2, "citations_delta", citation={"cited_text": "<5>"}),
    more(2, "text_delta", text="<6>"),
    ended(2),
    begun(3, type="server_tool_use", id="s", name="web_search", input={}),
    more(3, "input_json_delta", partial_json='{"q":'),
    more(3, "input_json_delta", partial_json='"<7>"}'),
    ended(3),
    begun(4, type="web_search_tool_result", tool_use_id="s", content=[{"title": "<8>"}]),
    ended(4),
    begun(5, type="tool_use", id="<9>", name="<10>", input={}),
    more(5, "input_json_delta", partial_json='{"a":"<11>'),
    more(5, "input_json_delta", partial_json='<12>"}'),
    ended(5),
    anthropic("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9}),
    anthropic("message_stop"),
]


def at(index: int, **delta: Any) -> Json:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}}


def opened(index: int, **start: Any) -> Json:
    return {"contentBlockStart": {"contentBlockIndex": index, "start": start}}


def closed(index: int) -> Json:
    return {"contentBlockStop": {"contentBlockIndex": index}}


BEDROCK = [
    {"messageStart": {"role": "assistant"}},
    at(0, reasoningContent={"text": "<1>"}),
    at(0, reasoningContent={"signature": "<2>"}),
    closed(0),
    at(1, text="<3>"),
    at(1, citation={"title": "<4>"}),
    at(1, text="<5>"),
    closed(1),
    opened(2, toolUse={"toolUseId": "s", "name": "search", "type": "server_tool_use"}),
    at(2, toolUse={"input": '{"q":"<6>"}'}),
    closed(2),
    opened(3, toolResult={"toolUseId": "s", "type": "found", "status": "success"}),
    at(3, toolResult=[{"text": "<7>"}]),
    at(3, toolResult=[{"json": {"a": "<8>"}}]),
    closed(3),
    opened(4, toolUse={"toolUseId": "<9>", "name": "<10>"}),
    at(4, toolUse={"input": '{"a":"<11>'}),
    at(4, toolUse={"input": '<12>"}'}),
    closed(4),
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}, "metrics": {"latencyMs": 1}}},
]


def chunk(*parts: Json, **fields: Any) -> Json:
    content = {"role": "model", "parts": list(parts)}
    counts = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    return {"candidates": [{"content": content, "index": 0, **fields}], "usageMetadata": counts}


GEMINI = [
    chunk({"text": "<1>", "thought": True, "thoughtSignature": "<2>"}),
    chunk({"text": "<3>"}),
    chunk({"text": "<4>", "thoughtSignature": "<5>"}),
    chunk({"executableCode": {"language": "PYTHON", "code": "<6>"}}),
    chunk({"codeExecutionResult": {"output": "<7>"}}),
    chunk({"functionCall": {"id": "c", "name": "<8>", "args": {"a": "<9>"}}}),
    chunk({"text": "", "thoughtSignature": "<10>"}),
    chunk(
        {"functionCall": {"name": "<11>", "args": {"b": "<12>"}}, "thoughtSignature": "<13>"},
        citationMetadata={"citations": [{"uri": "<14>"}]},
    ),
    chunk(finishReason="STOP"),
]


def said(kind: str, index: int | None = None, **message: Any) -> Json:
    return anthropic(kind, index, delta={"message": message})


def called(**function: str) -> Json:
    return {"tool_calls": {"function": function}}


COHERE = [
    {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
    said("content-start", 0, content={"type": "thinking", "thinking": "<1>"}),
    said("content-delta", 0, content={"thinking": "<2>"}),
    anthropic("content-end", 0),
    said("tool-plan-delta", tool_plan="<3>"),
    said("content-start", 1, content={"type": "text", "text": "<4>"}),
    said("content-delta", 1, content={"text": "<5>"}),
    anthropic("content-end", 1),
    said("citation-start", 0, citations={"text": "<6>"}),
    said("tool-call-start", 0, tool_calls={"id": "<7>", "function": {"name": "<8>"}}),
    said("tool-call-delta", 0, **called(arguments='{"a":"<9>')),
    said("tool-call-delta", 0, **called(arguments='<10>"}')),
    {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
]
ANSWERS = {"anthropic": ANTHROPIC, "bedrock": BEDROCK, "gemini": GEMINI, "cohere": COHERE}
PLAIN: dict[str, Json] = {
    "anthropic": {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": "<1>", "signature": "<2>"},
            {"type": "redacted_thinking", "data": "<3>"},
            {"type": "text", "text": "<4>", "citations": [{"cited_text": "<5>"}]},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "<6>"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "<7>"}]},
            {"type": "tool_use", "id": "<8>", "name": "<9>", "input": {"a": "<10>"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    },
    "bedrock": {
        "output": {
            "message": {
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "<1>", "signature": "<2>"}}},
                    {"text": "<3>"},
                    {
                        "citationsContent": {
                            "content": [{"text": "<4>"}],
                            "citations": [{"title": "<5>"}],
                        }
                    },
                    {
                        "toolUse": {
                            "toolUseId": "s",
                            "name": "search",
                            "type": "server_tool_use",
                            "input": {"q": "<6>"},
                        }
                    },
                    {"toolResult": {"toolUseId": "s", "content": [{"text": "<7>"}]}},
                    {"toolUse": {"toolUseId": "<8>", "name": "<9>", "input": {"a": "<10>"}}},
                ]
            }
        },
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 2},
    },
    "gemini": chunk(
        {"text": "<1>", "thought": True},
        {"text": "<2>", "thoughtSignature": "<3>"},
        {"executableCode": {"code": "<4>"}},
        {"functionCall": {"id": "<5>", "name": "<6>", "args": {"a": "<7>"}}},
        finishReason="STOP",
    ),
    "cohere": {
        "id": "m",
        "finish_reason": "TOOL_CALL",
        "message": {
            "content": [{"type": "thinking", "thinking": "<1>"}, {"type": "text", "text": "<2>"}],
            "tool_plan": "<3>",
            "citations": [{"text": "<4>"}],
            "tool_calls": [{"id": "<5>", "function": {"name": "<6>", "arguments": '{"a":"<7>"}'}}],
        },
    },
}


def streamed(name: str, events: list[Json]) -> bytes:
    if name != "bedrock":
        return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in events)
    body = b""
    for item in events:
        [(kind, fields)] = item.items()
        body += event(kind, **fields) if isinstance(fields, dict) else event("surprise", x=fields)
    return body


def mutated(value: Any) -> Iterator[Any]:
    """Return the same plain data with an odd thing at each place, and with each left out."""
    for path in paths_in(value):
        yield from (put(value, path, odd) for odd in ODD)
        if isinstance(path[-1], str):
            yield without(value, path)


def without(value: Any, path: tuple[Any, ...]) -> Any:
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy


def altered(name: str) -> Iterator[list[Json]]:
    events = ANSWERS[name]
    for place, item in enumerate(events):
        before, after = events[:place], events[place + 1 :]
        yield [*before, *after]
        yield [*before, *after[:1], item, *after[1:]]
        if name == "bedrock":
            [(kind, fields)] = item.items()
            yield [*before, {"surprise": fields}, *after]
            yield from ([*before, {kind: other}, *after] for other in mutated(fields))
        else:
            yield from ([*before, other, *after] for other in mutated(item))


def check(name: str, sent: Any, body: bytes, *, stream: bool) -> None:
    parts, outcome = decode(build_adapter(name), [body], stream=stream)
    for part in parts:
        encode_frame(part)
    started = [part.index for part in parts if isinstance(part, ToolCallStarted)]
    assert started == list(range(len(started)))
    assert {part.index for part in parts if isinstance(part, ToolCallDelta)} <= set(started)
    told = Counter(PIECE.findall(json.dumps([msgspec.to_builtins(part) for part in parts])))
    there = Counter(PIECE.findall(json.dumps(sent)))
    assert not [piece for piece in told if told[piece] > there[piece]], sent
    lost = [piece for piece in there if told[piece] < there[piece]]
    is_told = outcome.notes or outcome.malformed_events or outcome.failure is not None
    assert not lost or is_told, (sent, lost)
    if lost and outcome.failure is None and not outcome.malformed_events:
        assert any("left out" in note or "the first was read" in note for note in outcome.notes)


@pytest.mark.parametrize("name", ANSWERS)
def test_as_it_is_all_of_it_comes_out(name: str) -> None:
    for body, stream in (
        (streamed(name, ANSWERS[name]), True),
        (json.dumps(PLAIN[name]).encode(), False),
    ):
        parts, outcome = decode(build_adapter(name), [body], stream=stream)
        told = PIECE.findall(json.dumps([msgspec.to_builtins(part) for part in parts]))
        sent = PIECE.findall(json.dumps(ANSWERS[name] if stream else PLAIN[name]))
        assert sorted(told) == sorted(sent)
        assert (outcome.complete, outcome.malformed_events) == (True, 0)


@pytest.mark.parametrize("name", ANSWERS)
def test_one_odd_thing_in_a_stream(name: str) -> None:
    for events in altered(name):
        check(name, events, streamed(name, events), stream=True)


@pytest.mark.parametrize("name", PLAIN)
def test_one_odd_thing_in_a_plain_answer(name: str) -> None:
    for answer in mutated(PLAIN[name]):
        check(name, answer, json.dumps(answer).encode(), stream=False)
