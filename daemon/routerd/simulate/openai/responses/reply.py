"""A Responses answer: one JSON body, or a stream of typed and numbered events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from routerd.simulate.exchange import Frame, Refusal, Reply
from routerd.simulate.openai.reply import FILLER, call_id, logprobs
from routerd.simulate.openai.responses.seal import seal
from routerd.simulate.vendor import RequestNames, server_sent_event

__all__ = ["failed_body", "stream_frames", "whole_body"]

Json = dict[str, Any]


def whole_body(reply: Reply) -> bytes:
    """Write a `response`."""
    return msgspec.json.encode(ended(reply))


def failed_body(refusal: Refusal, names: RequestNames) -> bytes:
    """Write a `response` that failed."""
    error = {"code": refusal.code or refusal.kind, "message": refusal.message}
    body = response(f"resp_{names.id[:48]}", int(names.now), "", "failed")
    return msgspec.json.encode({**body, "error": error})


def stream_frames(reply: Reply) -> Iterator[Frame]:
    """Write the events of a stream."""
    events = Events(reply)
    opened = response(f"resp_{reply.id[:48]}", reply.created, reply.question.model, "in_progress")
    yield events.write("response.created", response=opened)
    yield events.write("response.in_progress", response=opened)
    calls = iter(reply.answer.calls)
    for index, item in enumerate(items(reply)):
        kind = item["type"]
        if kind == "reasoning":
            yield from reasoning_frames(events, index, item)
        elif kind == "message":
            yield from message_frames(events, index, item)
        else:
            yield from call_frames(events, index, item, next(calls).arguments)
    answer = ended(reply)
    yield events.write(f"response.{answer['status']}", response=answer)


class Events:
    """Writes the events of one stream, and numbers them."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self._number = 0

    def write(self, kind: str, tokens: int = 0, **fields: Any) -> Frame:
        """Write one event that carries so many tokens; a delta is padded to hide its length."""
        event = {"type": kind, "sequence_number": self._number, **fields}
        if kind.endswith(".delta") and self.reply.question.padded:
            event["obfuscation"] = FILLER[len(str(fields.get("delta"))) % len(FILLER) :]
        self._number += 1
        return Frame(server_sent_event(msgspec.json.encode(event), kind), tokens)


def reasoning_frames(events: Events, index: int, item: Json) -> Iterator[Frame]:
    """Write reasoning: its summary token by token, where there is one."""
    begun = {**item, "summary": []}
    yield events.write("response.output_item.added", output_index=index, item=begun)
    if item["summary"]:
        place = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        name, part = "response.reasoning_summary", item["summary"][0]
        empty = {**part, "text": ""}
        yield events.write(f"{name}_part.added", **place, part=empty)
        for token in events.reply.answer.reasoning:
            yield events.write(f"{name}_text.delta", 1, **place, delta=token)
        yield events.write(f"{name}_text.done", **place, text=part["text"])
        yield events.write(f"{name}_part.done", **place, part=part)
    yield events.write("response.output_item.done", output_index=index, item=item)


def message_frames(events: Events, index: int, item: Json) -> Iterator[Frame]:
    """Write a message token by token."""
    begun = {**item, "content": [], "status": "in_progress"}
    yield events.write("response.output_item.added", output_index=index, item=begun)
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    empty = {**part, "text": "", "logprobs": []}
    yield events.write("response.content_part.added", **place, part=empty)
    alternatives = events.reply.question.alternatives
    for token in events.reply.answer.text:
        shown = probabilities(alternatives, (token,))
        yield events.write("response.output_text.delta", 1, **place, delta=token, logprobs=shown)
    yield events.write(
        "response.output_text.done", **place, text=part["text"], logprobs=part["logprobs"]
    )
    yield events.write("response.content_part.done", **place, part=part)
    yield events.write("response.output_item.done", output_index=index, item=item)


def call_frames(
    events: Events, index: int, item: Json, arguments: Sequence[str]
) -> Iterator[Frame]:
    """Write a call: its arguments token by token."""
    begun = {**item, "arguments": "", "status": "in_progress"}
    yield events.write("response.output_item.added", output_index=index, item=begun)
    place = {"item_id": item["id"], "output_index": index}
    name = "response.function_call_arguments"
    for piece in arguments:
        yield events.write(f"{name}.delta", 1, **place, delta=piece)
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield events.write(f"{name}.done", **place, **done)
    yield events.write("response.output_item.done", output_index=index, item=item)


def response(name: str, created: int, model: str, status: str) -> Json:
    """Return an answer before its output."""
    return {
        "id": name,
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def ended(reply: Reply) -> Json:
    """Return the whole answer."""
    cut = reply.answer.finish == "length"
    status = "incomplete" if cut else "completed"
    body = response(f"resp_{reply.id[:48]}", reply.created, reply.question.model, status)
    details = {"reason": "max_output_tokens"} if cut else None
    output = list(items(reply))
    return {**body, "incomplete_details": details, "output": output, "usage": usage(reply)}


def items(reply: Reply) -> Iterator[Json]:
    """Write the output items in their order; where the limit struck, the last is incomplete."""
    answer = reply.answer
    reasons, says = bool(answer.reasoning), bool(answer.text)
    count = reasons + says + len(answer.calls)
    cut = answer.finish == "length"

    def status(number: int) -> str:
        return "incomplete" if cut and number == count - 1 else "completed"

    if reasons:
        thought = "".join(answer.reasoning)
        shown = (
            [{"type": "summary_text", "text": thought}] if reply.question.reasoning_shown else []
        )
        yield {
            "type": "reasoning",
            "id": f"rs_{reply.id[:48]}",
            "summary": shown,
            "encrypted_content": seal(thought),
        }
    if says:
        text = {
            "type": "output_text",
            "text": "".join(answer.text),
            "annotations": [],
            "logprobs": probabilities(reply.question.alternatives, answer.text),
        }
        yield {
            "type": "message",
            "id": f"msg_{reply.id[:48]}",
            "status": status(int(reasons)),
            "role": "assistant",
            "content": [text],
            "phase": "final_answer",
        }
    for number, call in enumerate(answer.calls):
        yield {
            "type": "function_call",
            "id": f"fc_{reply.id[:46]}{number:02d}",
            "status": status(reasons + says + number),
            "call_id": call_id(reply, number),
            "name": call.name,
            "arguments": "".join(call.arguments),
        }


def usage(reply: Reply) -> Json:
    """Tell the usage: the cached part within the input, reasoning within the output."""
    used = reply.usage
    read: Json = {"cached_tokens": used.cached, "cache_write_tokens": used.written}
    return {
        "input_tokens": used.input,
        "input_tokens_details": read,
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input + used.output,
    }


def probabilities(alternatives: int | None, tokens: tuple[str, ...]) -> list[Any]:
    """Return the log probabilities of tokens; none where none were asked for."""
    told = logprobs(alternatives, tokens)
    return [] if told is None else told["content"]
