"""A generateContent answer: one JSON body, or a stream of the same shape piece by piece."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from routerd.simulate.exchange import Frame, Reply, ToolCall

__all__ = ["event", "stream_frames", "whole_body"]

FINISHES = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
}


def whole_body(reply: Reply) -> bytes:
    """Write a whole answer."""
    answer = reply.answer
    parts: list[dict[str, Any]] = []
    if answer.reasoning and reply.question.reasoning_shown:
        parts.append({"text": "".join(answer.reasoning), "thought": True})
    if answer.text:
        parts.append({"text": "".join(answer.text)})
    parts += [call_part(reply, number, call) for number, call in enumerate(answer.calls)]
    return msgspec.json.encode(chunk(reply, parts, FINISHES[answer.finish]))


def stream_frames(reply: Reply) -> Iterator[Frame]:
    """Write the chunks of a stream; the last has the reason and an empty text."""
    answer = reply.answer
    if reply.question.reasoning_shown:
        for token in answer.reasoning:
            yield Frame(event(chunk(reply, [{"text": token, "thought": True}])), 1)
    for token in answer.text:
        yield Frame(event(chunk(reply, [{"text": token}])), 1)
    for number, call in enumerate(answer.calls):
        part = call_part(reply, number, call)
        yield Frame(event(chunk(reply, [part])), len(call.arguments))
    yield Frame(event(chunk(reply, [{"text": ""}], FINISHES[answer.finish])), 0)


def event(value: Any) -> bytes:
    """Write one event, with the line ends that Gemini's streams have."""
    return b"data: %b\r\n\r\n" % msgspec.json.encode(value)


def chunk(reply: Reply, parts: list[dict[str, Any]], finish: str | None = None) -> dict[str, Any]:
    """Write an answer, or a piece of one."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": usage(reply),
        "modelVersion": reply.question.model,
        "responseId": reply.id[:22],
    }


def call_part(reply: Reply, number: int, call: ToolCall) -> dict[str, Any]:
    """Write a call whole; the first of an answer is signed."""
    part: dict[str, Any] = {"functionCall": {"name": call.name, "args": call.input()}}
    if number == 0:
        digest = hashlib.sha256(reply.id.encode()).digest()
        part["thoughtSignature"] = base64.b64encode(digest).decode()
    return part


def usage(reply: Reply) -> dict[str, Any]:
    """Tell the usage: the thoughts are not in the candidates' count, the cache is in the prompt."""
    used = reply.usage
    told = {
        "promptTokenCount": used.input,
        "candidatesTokenCount": used.output - used.reasoning,
        "totalTokenCount": used.input + used.output,
    }
    if used.cached:
        told["cachedContentTokenCount"] = used.cached
    if used.reasoning:
        told["thoughtsTokenCount"] = used.reasoning
    return told
