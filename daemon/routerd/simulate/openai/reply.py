"""A Chat Completions answer: one JSON body, or a stream of chunks."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from routerd.simulate.answer import TOKENS
from routerd.simulate.exchange import Frame, Reply

__all__ = ["FILLER", "call_id", "logprobs", "stream_frames", "whole_body"]

FILLER = "q7Zr0mWx3KdT9vLb"
FINISH_REASONS = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
}


def whole_body(reply: Reply) -> bytes:
    """Write a `chat.completion`."""
    answer = reply.answer
    text = "".join(answer.text)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else text,
        "refusal": None,
        "annotations": [],
    }
    if answer.calls:
        message["tool_calls"] = [
            {
                "id": call_id(reply, number),
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
    return msgspec.json.encode(
        {**common(reply, "chat.completion"), "choices": [choice], "usage": usage(reply)}
    )


def stream_frames(reply: Reply) -> Iterator[Frame]:
    """Write `chat.completion.chunk`s, event by event."""
    answer, encode = reply.answer, msgspec.json.encode
    chunks = Chunks(reply)
    content = None if answer.calls else ""
    first = {"role": "assistant", "content": content, "refusal": None}
    yield Frame(chunks.delta(encode(first)), 0)
    alternatives = reply.question.alternatives
    for token in answer.text:
        probabilities = logprobs(alternatives, (token,))
        yield Frame(chunks.delta(b'{"content":%b}' % encode(token), len(token), probabilities), 1)
    for number, call in enumerate(answer.calls):
        opening = {
            "index": number,
            "id": call_id(reply, number),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        yield Frame(chunks.delta(encode({"tool_calls": [opening]})), 0)
        for piece in call.arguments:
            fragment = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (
                number,
                encode(piece),
            )
            yield Frame(chunks.delta(fragment, len(piece)), 1)
    yield Frame(chunks.delta(b"{}", finish=FINISH_REASONS[answer.finish]), 0)
    if reply.question.usage_in_stream:
        yield Frame(chunks.usage(), 0)
    yield Frame(b"data: [DONE]\n\n", 0)


class Chunks:
    """Writes the chunks of one stream: what never changes is encoded once."""

    def __init__(self, reply: Reply) -> None:
        head = msgspec.json.encode(common(reply, "chat.completion.chunk"))
        question = reply.question
        self._reply = reply
        self._head = head[:-1] + b',"choices":['
        self._tail = b',"usage":null' if question.usage_in_stream else b""
        self._padded = question.padded

    def delta(
        self,
        delta: bytes,
        length: int = 0,
        probabilities: Mapping[str, Any] | None = None,
        finish: str | None = None,
    ) -> bytes:
        """Write a chunk with one choice; `length` of its text sets the filler's."""
        choice = b'{"index":0,"delta":%b,"logprobs":%b,"finish_reason":%b}' % (
            delta,
            b"null" if probabilities is None else msgspec.json.encode(probabilities),
            b"null" if finish is None else b'"%b"' % finish.encode(),
        )
        return b"data: %b%b]%b%b}\n\n" % (self._head, choice, self._tail, self._filler(length))

    def usage(self) -> bytes:
        """Write the chunk with no choice and the usage."""
        told = msgspec.json.encode(usage(self._reply))
        return b'data: %b],"usage":%b%b}\n\n' % (self._head, told, self._filler(0))

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


def call_id(reply: Reply, number: int) -> str:
    """Name a tool call of this answer."""
    return f"call_{reply.id[:22]}{number:02d}"


def usage(reply: Reply) -> dict[str, Any]:
    """Tell the usage: the cached part within the prompt, reasoning within the completion."""
    used = reply.usage
    prompt = {"cached_tokens": used.cached, "audio_tokens": 0}
    if written := used.written + used.written_long:
        prompt["cache_write_tokens"] = written
    return {
        "prompt_tokens": used.input,
        "completion_tokens": used.output,
        "total_tokens": used.input + used.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
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
