"""A Messages answer: one JSON body, or a stream of typed events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from routerd.simulate.anthropic.own_tools import SEARCH_INPUT, found_block, search_block
from routerd.simulate.anthropic.signature import sign
from routerd.simulate.exchange import Frame, Reply, ToolCall
from routerd.simulate.vendor import server_sent_event

__all__ = ["stream_frames", "whole_body"]

STOP_REASONS = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}


def whole_body(reply: Reply) -> bytes:
    """Write a `message`."""
    answer = reply.answer
    content: list[dict[str, Any]] = []
    if reply.question.begun is not None:
        content.append(found_block(reply.question.begun))
    if answer.reasoning:
        content.append(thinking_block(reply))
    if answer.text:
        content.append({"type": "text", "text": "".join(answer.text)})
    for number, call in enumerate(answer.calls):
        content.append({**tool_block(reply, number, call), "input": call.input()})
    if reply.question.pauses:
        content.append({**search_block(reply.id), "input": msgspec.json.decode(SEARCH_INPUT)})
    message = {
        **opened(reply),
        "content": content,
        "stop_reason": stop_reason(reply),
        "stop_sequence": answer.stop,
        "usage": {**usage_at_start(reply), **usage_at_end(reply)},
    }
    return msgspec.json.encode(message)


def stream_frames(reply: Reply) -> Iterator[Frame]:
    """Write the events of a stream."""
    answer = reply.answer
    start = {**opened(reply), "usage": usage_at_start(reply)}
    yield frame({"type": "message_start", "message": start})
    for index, block in enumerate(blocks(reply)):
        events = block_frames(index, *block)
        if index == 0:
            yield next(events)
            yield frame({"type": "ping"})
        yield from events
    yield frame(
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(reply), "stop_sequence": answer.stop},
            "usage": usage_at_end(reply),
        }
    )
    yield frame({"type": "message_stop"})


# What a block opens with, its delta type and field, its tokens, and what ends it.
BlockPlan = tuple[dict[str, Any], str, str, Iterable[str], list[dict[str, Any]]]


def blocks(reply: Reply) -> Iterator[BlockPlan]:
    """Plan the content blocks in their order."""
    answer = reply.answer
    if reply.question.begun is not None:
        yield found_block(reply.question.begun), "", "", (), []
    if answer.reasoning:
        whole = thinking_block(reply)
        shown = answer.reasoning if whole["thinking"] else ()
        closing = [{"type": "signature_delta", "signature": whole["signature"]}]
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        yield empty, "thinking_delta", "thinking", shown, closing
    if answer.text:
        yield {"type": "text", "text": ""}, "text_delta", "text", answer.text, []
    for number, call in enumerate(answer.calls):
        opening = {**tool_block(reply, number, call), "input": {}}
        yield opening, "input_json_delta", "partial_json", call.arguments, []
    if reply.question.pauses:
        called = [{"type": "input_json_delta", "partial_json": SEARCH_INPUT}]
        yield search_block(reply.id), "", "", (), called


def stop_reason(reply: Reply) -> str:
    """Say why the answer ends."""
    return "pause_turn" if reply.question.pauses else STOP_REASONS[reply.answer.finish]


def block_frames(
    index: int,
    opening: dict[str, Any],
    kind: str,
    field: str,
    tokens: Iterable[str],
    closing: list[dict[str, Any]],
) -> Iterator[Frame]:
    """Write one content block: what its deltas share is encoded once."""
    yield frame({"type": "content_block_start", "index": index, "content_block": opening})
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % index
    head += b'"delta":{"type":"%b","%b":' % (kind.encode(), field.encode())
    if kind == "input_json_delta":
        yield Frame(head + b'""}}\n\n', 0)
    encode = msgspec.json.encode
    for token in tokens:
        yield Frame(b"%b%b}}\n\n" % (head, encode(token)), 1)
    for delta in closing:
        yield frame({"type": "content_block_delta", "index": index, "delta": delta})
    yield frame({"type": "content_block_stop", "index": index})


def frame(event: dict[str, Any]) -> Frame:
    """Write an event that carries no token."""
    return Frame(server_sent_event(msgspec.json.encode(event), event["type"]), 0)


def opened(reply: Reply) -> dict[str, Any]:
    """Return a message before its content."""
    return {
        "id": f"msg_01{reply.id[:22]}",
        "type": "message",
        "role": "assistant",
        "model": reply.question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def thinking_block(reply: Reply) -> dict[str, Any]:
    """Write the thinking: signed as it is, and empty where it is not to be shown."""
    thought = "".join(reply.answer.reasoning)
    shown = thought if reply.question.reasoning_shown else ""
    return {"type": "thinking", "thinking": shown, "signature": sign(thought)}


def tool_block(reply: Reply, number: int, call: ToolCall) -> dict[str, Any]:
    """Write a tool use without its input."""
    return {"type": "tool_use", "id": f"toolu_01{reply.id[:20]}{number:02d}", "name": call.name}


def usage_at_start(reply: Reply) -> dict[str, Any]:
    """Tell the prompt's usage: what the cache read or wrote is not in the input."""
    used = reply.usage
    return {
        "input_tokens": used.input - used.cached - used.written - used.written_long,
        "cache_creation_input_tokens": used.written + used.written_long,
        "cache_read_input_tokens": used.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.written,
            "ephemeral_1h_input_tokens": used.written_long,
        },
        "output_tokens": min(1, used.output),
        "service_tier": "standard",
    }


def usage_at_end(reply: Reply) -> dict[str, Any]:
    """Tell the totals of the answer."""
    used = reply.usage
    told: dict[str, Any] = {"output_tokens": used.output}
    if used.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": used.reasoning}
    return told
