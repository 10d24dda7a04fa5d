"""A Chat answer: one JSON body, or a stream of events."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from routerd.simulate.cohere.request import DOCUMENT_MARK
from routerd.simulate.exchange import Frame, Reply
from routerd.simulate.vendor import server_sent_event

__all__ = ["message_end", "stream_frames", "whole_body"]

Json = dict[str, Any]

FINISHES = {
    "stop": "COMPLETE",
    "stop_sequence": "STOP_SEQUENCE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
}
# What the vendor puts in front of every prompt, and bills nobody for.
HIDDEN_PROMPT_TOKENS = 62


def whole_body(reply: Reply) -> bytes:
    """Write a whole answer."""
    answer = reply.answer
    message: Json = {"role": "assistant"}
    content: list[Json] = []
    if answer.reasoning:
        content.append({"type": "thinking", "thinking": "".join(answer.reasoning)})
    if answer.text:
        content.append({"type": "text", "text": "".join(answer.text)})
    if content:
        message["content"] = content
    if answer.calls:
        message["tool_plan"] = tool_plan(reply)
        message["tool_calls"] = [
            called(reply, number, "".join(call.arguments))
            for number, call in enumerate(answer.calls)
        ]
    if cited := citations(reply):
        message["citations"] = cited
    body: Json = {
        "id": answer_id(reply),
        "finish_reason": FINISHES[answer.finish],
        "message": message,
        "usage": usage(reply),
    }
    if reply.question.alternatives is not None:
        body["logprobs"] = [likelihood(token) for token in answer.text]
    return msgspec.json.encode(body)


def stream_frames(reply: Reply) -> Iterator[Frame]:
    """Write the events of a stream, one token in each."""
    answer = reply.answer
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield Frame(event("message-start", start, id=answer_id(reply)), 0)
    index, tells = 0, reply.question.alternatives is not None
    for kind, tokens in (("thinking", answer.reasoning), ("text", answer.text)):
        if not tokens:
            continue
        opened: Json = {"content": {"type": kind, kind: ""}}
        yield Frame(event("content-start", opened, index=index), 0)
        for token in tokens:
            piece = {"content": {kind: token}}
            more: Json = {"logprobs": likelihood(token)} if tells and kind == "text" else {}
            yield Frame(event("content-delta", piece, index=index, **more), 1)
        yield Frame(event("content-end", index=index), 0)
        index += 1
    for number, citation in enumerate(citations(reply)):
        yield Frame(event("citation-start", {"citations": citation}, index=number), 0)
        yield Frame(event("citation-end", index=number), 0)
    if answer.calls:
        for word in tool_plan(reply).split(" "):
            yield Frame(event("tool-plan-delta", {"tool_plan": f" {word}"}), 0)
    for number, call in enumerate(answer.calls):
        begun = {"tool_calls": called(reply, number, "")}
        yield Frame(event("tool-call-start", begun, index=number), 0)
        for token in call.arguments:
            grown = {"tool_calls": {"function": {"arguments": token}}}
            yield Frame(event("tool-call-delta", grown, index=number), 1)
        yield Frame(event("tool-call-end", index=number), 0)
    end = {"finish_reason": FINISHES[answer.finish], "usage": usage(reply)}
    yield Frame(message_end(end) + b"data: [DONE]\n\n", 0)


def likelihood(token: str) -> Json:
    """Make up the log probabilities of a piece of text: the same for the same piece."""
    shade = zlib.crc32(token.encode()) % 100
    return {"text": token, "token_ids": [shade, 7], "logprobs": [-shade / 100, -0.5]}


def event(kind: str, message: Json | None = None, **more: Any) -> bytes:
    """Write one event, with what it adds to the message."""
    body: Json = {"type": kind, **more}
    if message is not None:
        body["delta"] = {"message": message}
    return server_sent_event(msgspec.json.encode(body), kind)


def message_end(delta: Json) -> bytes:
    """Write the end of the message."""
    return server_sent_event(
        msgspec.json.encode({"type": "message-end", "delta": delta}), "message-end"
    )


def answer_id(reply: Reply) -> str:
    """Name the answer."""
    return reply.id[:32]


def tool_plan(reply: Reply) -> str:
    """Say which tools are going to be called."""
    names = ", ".join(call.name for call in reply.answer.calls)
    return f"I will call {names}."


def called(reply: Reply, number: int, arguments: str) -> Json:
    """Write a call of a tool."""
    name = reply.answer.calls[number].name
    return {
        "id": f"{name}_{reply.id[:10]}{number:02d}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def citations(reply: Reply) -> list[Json]:
    """Cite the first document for the first word of a text."""
    answer = reply.answer
    if not answer.text or DOCUMENT_MARK not in reply.question.prompt:
        return []
    word = answer.text[0]
    source = {"type": "document", "id": "doc:0", "document": {"id": "doc:0"}}
    return [
        {"start": 0, "end": len(word), "text": word, "sources": [source], "type": "TEXT_CONTENT"}
    ]


def usage(reply: Reply) -> Json:
    """Tell the usage: what is billed, and all tokens with the vendor's own prompt."""
    used = reply.usage
    return {
        "billed_units": {"input_tokens": used.input, "output_tokens": used.output},
        "tokens": {
            "input_tokens": used.input + HIDDEN_PROMPT_TOKENS,
            "output_tokens": used.output,
        },
        "cached_tokens": used.cached + HIDDEN_PROMPT_TOKENS if used.cached else 0,
    }
