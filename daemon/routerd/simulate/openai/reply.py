"""A Chat Completions answer: one JSON body, or a stream of chunks."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from routerd.simulate.answer import TOKENS
from routerd.simulate.exchange import Frame, Reply, ToolCall
from routerd.simulate.openai.habits import OPENAI, Habits

__all__ = ["FILLER", "call_id", "logprobs", "stream_frames", "whole_body"]

FILLER = "q7Zr0mWx3KdT9vLb"
# In dollars, and made up: the books of the simulator are what is billed.
COST = 0.00042
FINISH_REASONS = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
}


def whole_body(reply: Reply, habits: Habits) -> bytes:
    """Write a `chat.completion`."""
    answer = reply.answer
    text = "".join(answer.text)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else text,
        "refusal": None,
        "annotations": [],
    }
    if answer.reasoning and habits.reasoning:
        message |= reasoned("".join(answer.reasoning), habits)
        if habits.reasoning == "thinking" and text:
            message["content"].append({"type": "text", "text": text})
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call_id(reply, number, habits),
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for number, call in enumerate(answer.calls)
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": logprobs(reply.question.alternatives, answer.text),
        "finish_reason": FINISH_REASONS[answer.finish],
    }
    told = usage(reply, habits)
    return msgspec.json.encode(
        {**common(reply, "chat.completion"), "choices": [choice], "usage": told}
    )


def reasoned(text: str, habits: Habits) -> dict[str, Any]:
    """Write reasoning, or a piece of it, as the fields of a message or of a delta."""
    match habits.reasoning:
        case "thinking":
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
            return {"content": [thought]}
        case "reasoning_details":
            detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
            return {"reasoning": text, "reasoning_details": [detail]}
        case name:
            return {str(name): text}


def stream_frames(reply: Reply, habits: Habits) -> Iterator[Frame]:
    """Write `chat.completion.chunk`s, event by event."""
    answer, encode = reply.answer, msgspec.json.encode
    chunks = Chunks(reply, habits)
    if habits.comment:
        yield Frame(f"{habits.comment}\n\n".encode(), 0)
    content = None if answer.calls else ""
    first = {"role": "assistant", "content": content, "refusal": None}
    yield Frame(chunks.delta(encode(first)), 0)
    for token in answer.reasoning if habits.reasoning else ():
        yield Frame(chunks.delta(encode(chunks.said | reasoned(token, habits))), 1)
    alternatives = reply.question.alternatives
    for token in answer.text:
        probabilities = logprobs(alternatives, (token,))
        delta = encode(chunks.said | {"content": token})
        yield Frame(chunks.delta(delta, len(token), probabilities), 1)
    for number, call in enumerate(answer.calls):
        yield from call_frames(reply, chunks, number, call, habits)
    finish = FINISH_REASONS[answer.finish]
    at_finish = chunks.told() if habits.usage == "at_finish" else None
    yield Frame(chunks.delta(encode(chunks.said), finish=finish, told=at_finish), 0)
    if habits.usage == "after_finish":
        yield Frame(chunks.delta(encode(chunks.said), finish=finish, told=chunks.told()), 0)
    elif habits.usage == "asked" and reply.question.usage_in_stream:
        yield Frame(chunks.usage(), 0)
    yield Frame(b"data: [DONE]\n\n", 0)


def call_frames(
    reply: Reply, chunks: Chunks, number: int, call: ToolCall, habits: Habits
) -> Iterator[Frame]:
    """Write a tool call: its opening, and its arguments in pieces; or all of it at once."""
    opening = {
        "index": number,
        "id": call_id(reply, number, habits),
        "type": "function",
        "function": {
            "name": call.name,
            "arguments": "".join(call.arguments) if habits.whole_calls else "",
        },
    }
    delta = msgspec.json.encode(chunks.said | {"tool_calls": [opening]})
    if habits.whole_calls:
        yield Frame(chunks.delta(delta), len(call.arguments))
        return
    yield Frame(chunks.delta(delta), 0)
    for piece in call.arguments:
        fragment = {"index": number, "function": {"arguments": piece}}
        delta = msgspec.json.encode(chunks.said | {"tool_calls": [fragment]})
        yield Frame(chunks.delta(delta, len(piece)), 1)


class Chunks:
    """Writes the chunks of one stream: what never changes is encoded once.

    `said` is what every delta says.
    """

    def __init__(self, reply: Reply, habits: Habits) -> None:
        head = msgspec.json.encode(common(reply, "chat.completion.chunk"))
        question = reply.question
        self.said = {"role": "assistant"} if habits.role_always else {}
        self._reply = reply
        self._habits = habits
        self._head = head[:-1] + b',"choices":['
        self._tail = b',"usage":null' if question.usage_in_stream else b""
        self._padded = question.padded

    def delta(
        self,
        delta: bytes,
        length: int = 0,
        probabilities: Mapping[str, Any] | None = None,
        finish: str | None = None,
        told: bytes | None = None,
    ) -> bytes:
        """Write a chunk with one choice; `length` of its text sets the filler's."""
        choice = b'{"index":0,"delta":%b,"logprobs":%b,"finish_reason":%b}' % (
            delta,
            b"null" if probabilities is None else msgspec.json.encode(probabilities),
            b"null" if finish is None else b'"%b"' % finish.encode(),
        )
        tail = self._tail if told is None else told
        return b"data: %b%b]%b%b}\n\n" % (self._head, choice, tail, self._filler(length))

    def usage(self) -> bytes:
        """Write the chunk with no choice and the usage."""
        return b"data: %b]%b%b}\n\n" % (self._head, self.told(), self._filler(0))

    def told(self) -> bytes:
        """Write the usage as the last fields of a chunk."""
        used = msgspec.json.encode(usage(self._reply, self._habits))
        told = b',"usage":%b' % used
        if self._habits.x_groq:
            told += b',"x_groq":{"id":"req_%b","usage":%b}' % (self._reply.id[:26].encode(), used)
        return told

    def _filler(self, length: int) -> bytes:
        if not self._padded:
            return b""
        return b',"obfuscation":"%b"' % FILLER[length % len(FILLER) :].encode()


def common(reply: Reply, kind: str) -> dict[str, Any]:
    """Return the fields that a whole answer and every chunk begin with."""
    return {
        "id": f"chatcmpl-{reply.id[:29]}",
        "object": kind,
        "created": reply.created,
        "model": reply.question.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def call_id(reply: Reply, number: int, habits: Habits = OPENAI) -> str:
    """Name a tool call of this answer."""
    if habits.short_ids:
        return f"{reply.id[:7]}{number:02d}"
    return f"call_{reply.id[:22]}{number:02d}"


def usage(reply: Reply, habits: Habits) -> dict[str, Any]:
    """Tell the usage: the cached part within the prompt, reasoning mostly within the completion."""
    used = reply.usage
    prompt = {"cached_tokens": used.cached, "audio_tokens": 0}
    if written := used.written + used.written_long:
        prompt["cache_write_tokens"] = written
    known: dict[str, Any] = {
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "num_cached_tokens": used.cached,
        "prompt_cache_hit_tokens": used.cached,
        "prompt_cache_miss_tokens": used.input - used.cached,
        "cost": COST,
    }
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output - (used.reasoning if habits.reasoning_beside else 0),
        "total_tokens": used.input + used.output,
        **{name: known[name] for name in habits.counts},
    }


def logprobs(alternatives: int | None, tokens: tuple[str, ...]) -> dict[str, Any] | None:
    """Make up log probabilities: the same for the same token, the token itself the likeliest."""
    if alternatives is None:
        return None
    content = []
    for token in tokens:
        shade = zlib.crc32(token.encode()) % 100
        entry = likelihood(token, shade)
        others = [
            likelihood(TOKENS[(shade + rank) % len(TOKENS)], shade + 100 * rank)
            for rank in range(1, alternatives)
        ]
        content.append({**entry, "top_logprobs": [entry, *others][:alternatives]})
    return {"content": content, "refusal": None}


def likelihood(token: str, hundredths: int) -> dict[str, Any]:
    """Write one token with its log probability."""
    return {"token": token, "logprob": -hundredths / 100, "bytes": list(token.encode())}
