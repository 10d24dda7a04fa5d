"""Answers of which a vendor's own tools did a part: no word is lost, and what they took is counted.

The answers are as the vendors write them where their tools ran: a search, its results, a text with
its sources, the tokens that the tools read, and the tier that served.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Usage
from routerd.providers.registry import build_adapter
from routerd_proto.frames import CitationAdded
from tests.daemon.providers.bedrock.wire import (
    block_stop,
    delta,
    event,
    stopped,
    tool_start,
)
from tests.daemon.providers.drive import calls_in, decode, text_in

Json = dict[str, Any]
SAID = "It is windy."
URL = "https://example.org"
QUERY = '{"query":"wind"}'


def events(*values: Json) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


SOURCE = {"type": "url_citation", "url_citation": {"url": URL, "start_index": 0, "end_index": 5}}
CHAT_USAGE = {"prompt_tokens": 900, "completion_tokens": 20, "total_tokens": 920}
CHAT = {
    "id": "c",
    "model": "m",
    "service_tier": "priority",
    "choices": [
        {
            "index": 0,
            "message": {"content": SAID, "annotations": [SOURCE], "executed_tools": [{"i": 0}]},
            "finish_reason": "stop",
        }
    ],
    "usage": CHAT_USAGE,
}


def chat_chunk(finish: str | None = None, **fields: Any) -> Json:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"id": "c", "model": "m", "service_tier": "priority", "choices": [choice]}


CHAT_STREAM = events(
    chat_chunk(content="It is "),
    chat_chunk(content="windy.", annotations=[SOURCE]),
    chat_chunk(finish="stop"),
    {"id": "c", "service_tier": "priority", "choices": [], "usage": CHAT_USAGE},
)

SEARCHED = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"query": "w"}}
RAN = {
    "type": "code_interpreter_call",
    "id": "ci",
    "status": "completed",
    "code": "1",
    "outputs": [],
}
LISTED = {"type": "mcp_list_tools", "id": "ml", "server_label": "s", "tools": []}
ASKED = {"type": "mcp_call", "id": "mc", "name": "f", "arguments": QUERY, "output": "o"}
URL_CITED = {"type": "url_citation", "url": URL, "start_index": 0, "end_index": 5}
MESSAGE = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "content": [{"type": "output_text", "text": SAID, "annotations": [URL_CITED]}],
}
RESPONSE = {
    "id": "r",
    "status": "completed",
    "model": "m",
    "service_tier": "priority",
    "output": [SEARCHED, RAN, LISTED, ASKED, MESSAGE],
    "usage": {"input_tokens": 900, "output_tokens": 20, "total_tokens": 920},
}


def response_event(kind: str, index: int, **fields: Any) -> Json:
    return {"type": f"response.{kind}", "output_index": index, **fields}


RESPONSE_STREAM = events(
    response_event("output_item.added", 0, item={**SEARCHED, "status": "in_progress"}),
    response_event("web_search_call.searching", 0, item_id="ws"),
    response_event("output_item.done", 0, item=SEARCHED),
    response_event("code_interpreter_call_code.delta", 1, item_id="ci", delta="1"),
    response_event("output_item.done", 1, item=RAN),
    response_event("mcp_call_arguments.delta", 3, item_id="mc", delta=QUERY),
    response_event("output_item.done", 3, item=ASKED),
    response_event("output_item.added", 4, item={**MESSAGE, "content": []}),
    response_event("output_text.delta", 4, item_id="m", content_index=0, delta="It is "),
    response_event("output_text.delta", 4, item_id="m", content_index=0, delta="windy."),
    response_event(
        "output_text.annotation.added", 4, item_id="m", content_index=0, annotation=URL_CITED
    ),
    {"type": "response.completed", "response": RESPONSE},
)

LOCATION = {"type": "web_search_result_location", "url": URL, "cited_text": "windy"}
RESULTS = [{"type": "web_search_result", "url": URL, "title": "T", "encrypted_content": "E"}]
BLOCKS: list[Json] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "w"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": RESULTS},
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "f", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": []},
    {"type": "text", "text": SAID, "citations": [LOCATION]},
]
ANTHROPIC_USAGE = {
    "input_tokens": 900,
    "output_tokens": 20,
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "priority",
    "inference_geo": "us",
    "speed": "fast",
}
MESSAGES = {
    "id": "m",
    "type": "message",
    "model": "m",
    "content": BLOCKS,
    "stop_reason": "end_turn",
    "usage": ANTHROPIC_USAGE,
}


def messages_event(kind: str, **fields: Any) -> Json:
    return {"type": kind, **fields}


def messages_stream() -> bytes:
    began = {**MESSAGES, "content": [], "usage": ANTHROPIC_USAGE | {"output_tokens": 1}}
    told = [messages_event("message_start", message=began)]
    for index, block in enumerate(BLOCKS):
        start = {**block, "text": "", "citations": []} if block["type"] == "text" else block
        told.append(messages_event("content_block_start", index=index, content_block=start))
        pieces: list[Json] = []
        if block["type"] == "server_tool_use":
            pieces = [{"type": "input_json_delta", "partial_json": QUERY}]
        elif block["type"] == "text":
            pieces = [
                {"type": "citations_delta", "citation": LOCATION},
                {"type": "text_delta", "text": "It is "},
                {"type": "text_delta", "text": "windy."},
            ]
        told += [messages_event("content_block_delta", index=index, delta=one) for one in pieces]
        told.append(messages_event("content_block_stop", index=index))
    told.append(
        messages_event(
            "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 20}
        )
    )
    return events(*told, messages_event("message_stop"))


GROUNDING = {"groundingChunks": [{"web": {"uri": URL}}], "webSearchQueries": ["wind"]}
GEMINI: Json = {
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {
                "role": "model",
                "parts": [
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                    {"text": SAID},
                ],
            },
            "groundingMetadata": GROUNDING,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "candidatesTokenCount": 20,
        "toolUsePromptTokenCount": 800,
        "totalTokenCount": 920,
        "serviceTier": "PRIORITY",
    },
}

CONVERSE: Json = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {
                    "toolUse": {
                        "toolUseId": "s",
                        "name": "g",
                        "input": {},
                        "type": "server_tool_use",
                    }
                },
                {"toolResult": {"toolUseId": "s", "content": [], "type": "nova_grounding"}},
                {
                    "citationsContent": {
                        "content": [{"text": SAID}],
                        "citations": [{"location": {"web": {"url": URL}}}],
                    }
                },
            ],
        }
    },
    "stopReason": "end_turn",
    "usage": {"inputTokens": 900, "outputTokens": 20, "totalTokens": 920},
    "serviceTier": {"type": "priority"},
    "performanceConfig": {"latency": "optimized"},
}
CONVERSE_STREAM = b"".join(
    (
        event("messageStart", role="assistant"),
        tool_start(0, "s", "g", type="server_tool_use"),
        delta(0, toolUse={"input": QUERY}),
        block_stop(0),
        event("contentBlockStart", contentBlockIndex=1, start={"toolResult": {"toolUseId": "s"}}),
        block_stop(1),
        delta(2, text="It is "),
        delta(2, text="windy."),
        delta(2, citation={"location": {"web": {"url": URL}}}),
        block_stop(2),
        stopped("end_turn"),
        event(
            "metadata",
            usage=CONVERSE["usage"],
            metrics={"latencyMs": 1},
            serviceTier=CONVERSE["serviceTier"],
            performanceConfig=CONVERSE["performanceConfig"],
        ),
    )
)

TIER = {"servicetier": "priority"}
ANSWERS: list[tuple[str, bool, bytes, Json]] = [
    ("openai", False, json.dumps(CHAT).encode(), TIER),
    ("openai", True, CHAT_STREAM, TIER),
    ("openai-responses", False, json.dumps(RESPONSE).encode(), TIER),
    ("openai-responses", True, RESPONSE_STREAM, TIER),
    *(
        ("anthropic", stream, data, {**TIER, "inferencegeo": "us", "speed": "fast"})
        for stream, data in ((False, json.dumps(MESSAGES).encode()), (True, messages_stream()))
    ),
    ("gemini", False, json.dumps(GEMINI).encode(), {"servicetier": "PRIORITY"}),
    ("gemini", True, events(GEMINI), {"servicetier": "PRIORITY"}),
    *(
        ("bedrock", stream, data, {**TIER, "performanceconfig": "optimized"})
        for stream, data in ((False, json.dumps(CONVERSE).encode()), (True, CONVERSE_STREAM))
    ),
]


@pytest.mark.parametrize(
    ("wire", "stream", "data", "terms"),
    ANSWERS,
    ids=[f"{wire}-{'stream' if stream else 'plain'}" for wire, stream, *_ in ANSWERS],
)
def test_what_a_vendors_tools_found_is_read_whole(
    wire: str, stream: bool, data: bytes, terms: Json
) -> None:
    adapter = build_adapter(wire)
    whole, _ = decode(adapter, [data], stream=stream)
    for cut in range(1, len(data)):
        parts, outcome = decode(adapter, [data[:cut], data[cut:]], stream=stream)
        assert parts == whole
        assert text_in(parts) == SAID
        assert calls_in(parts) == []
        assert URL in json.dumps(
            [part.citation for part in parts if isinstance(part, CitationAdded)]
        )
        assert (outcome.finish, outcome.complete, outcome.failure) == ("stop", True, None)
        assert outcome.usage is not None
        assert outcome.usage.input_tokens == 900
        assert outcome.usage.output_tokens == 20
        assert outcome.malformed_events == 0
        assert outcome.terms == terms


def test_a_tier_alone_counts_nothing() -> None:
    began = {"usageMetadata": {"serviceTier": "standard"}}
    _, outcome = decode(build_adapter("gemini"), [events(began)])
    assert (outcome.usage, outcome.early_usage) == (None, None)
    _, outcome = decode(build_adapter("gemini"), [events(began, GEMINI)])
    assert outcome.usage == Usage(900, output_tokens=20, reasoning_tokens=0)


@pytest.mark.parametrize("term", [None, 7, ["priority"], {"type": {}}, "", "\ud83d", {"type": 1}])
def test_whatever_stands_for_a_tier_the_answer_is_read(term: Any) -> None:
    answers: list[tuple[str, Json]] = [
        ("openai", {**CHAT, "service_tier": term}),
        ("openai-responses", {**RESPONSE, "service_tier": term}),
        ("anthropic", {**MESSAGES, "usage": {**ANTHROPIC_USAGE, "service_tier": term}}),
        ("gemini", {**GEMINI, "usageMetadata": {**GEMINI["usageMetadata"], "serviceTier": term}}),
        ("bedrock", {**CONVERSE, "serviceTier": term, "performanceConfig": term}),
    ]
    for wire, answer in answers:
        parts, outcome = decode(build_adapter(wire), [json.dumps(answer).encode()], stream=False)
        assert text_in(parts) == SAID
        assert (outcome.complete, outcome.malformed_events) == (True, 0)
        assert outcome.usage is not None
