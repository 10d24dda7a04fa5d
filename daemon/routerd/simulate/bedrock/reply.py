"""A Converse answer: one JSON body, or a stream of frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from routerd.simulate.bedrock.frames import event_frame
from routerd.simulate.bedrock.request import signature_of
from routerd.simulate.exchange import Frame, Reply, ToolCall

__all__ = ["stream_frames", "whole_body"]

STOP_REASONS = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}
UNSIGNED = re.compile(r"amazon\.|openai\.")
PADDING = "abcdefghijklmnopqrstuvwxyz"


def whole_body(reply: Reply) -> bytes:
    """Write the answer."""
    answer = reply.answer
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        thought = "".join(answer.reasoning)
        shown = thought if reply.question.reasoning_shown else ""
        signed = {"signature": signature_of(thought)} if signs(reply) else {}
        content.append({"reasoningContent": {"reasoningText": {"text": shown, **signed}}})
    if answer.text:
        content.append({"text": "".join(answer.text)})
    for number, call in enumerate(answer.calls):
        content.append({"toolUse": {**tool(reply, number, call), "input": call.input()}})
    body = {
        "metrics": {"latencyMs": 100},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": STOP_REASONS[answer.finish],
        "usage": usage(reply),
    }
    return msgspec.json.encode(body)


def stream_frames(reply: Reply) -> Iterator[Frame]:
    """Write the events of a stream: the usage comes behind the end of the message."""
    answer = reply.answer
    yield frame("messageStart", {"role": "assistant"})
    index = 0
    if answer.reasoning:
        for token in answer.reasoning if reply.question.reasoning_shown else ():
            yield delta(index, {"reasoningContent": {"text": token}}, 1)
        if signs(reply):
            signature = signature_of("".join(answer.reasoning))
            yield delta(index, {"reasoningContent": {"signature": signature}}, 0)
        yield frame("contentBlockStop", {"contentBlockIndex": index})
        index += 1
    if answer.text:
        for token in answer.text:
            yield delta(index, {"text": token}, 1)
        yield frame("contentBlockStop", {"contentBlockIndex": index})
        index += 1
    for number, call in enumerate(answer.calls):
        start = {"toolUse": tool(reply, number, call)}
        yield frame("contentBlockStart", {"contentBlockIndex": index, "start": start})
        for token in call.arguments:
            yield delta(index, {"toolUse": {"input": token}}, 1)
        yield frame("contentBlockStop", {"contentBlockIndex": index})
        index += 1
    yield frame("messageStop", {"stopReason": STOP_REASONS[answer.finish]})
    yield frame("metadata", {"metrics": {"latencyMs": 100}, "usage": usage(reply)})


def signs(reply: Reply) -> bool:
    """Say whether the model signs its thoughts: those of Amazon and OpenAI do not."""
    return not UNSIGNED.search(reply.question.model)


def frame(kind: str, payload: dict[str, Any], tokens: int = 0) -> Frame:
    """Write an event, with padding as the vendor adds it."""
    return Frame(event_frame(kind, {**payload, "p": PADDING[: 1 + len(kind) % 20]}), tokens)


def delta(index: int, piece: dict[str, Any], tokens: int) -> Frame:
    """Write what is added to a block."""
    return frame("contentBlockDelta", {"contentBlockIndex": index, "delta": piece}, tokens)


def tool(reply: Reply, number: int, call: ToolCall) -> dict[str, Any]:
    """Write a tool use without its input."""
    return {"toolUseId": f"tooluse_{reply.id[:20]}{number:02d}", "name": call.name}


def usage(reply: Reply) -> dict[str, Any]:
    """Tell the usage: what the cache read or wrote is not in the input."""
    used = reply.usage
    written = used.written + used.written_long
    details = [("5m", used.written), ("1h", used.written_long)]
    return {
        "inputTokens": used.input - used.cached - written,
        "outputTokens": used.output,
        "totalTokens": used.input + used.output,
        "cacheReadInputTokens": used.cached,
        "cacheReadInputTokenCount": used.cached,
        "cacheWriteInputTokens": written,
        "cacheWriteInputTokenCount": written,
        "cacheDetails": [{"ttl": ttl, "inputTokens": count} for ttl, count in details if count],
        "serverToolUsage": {},
    }
