"""A whole answer written as the stream by which its vendor would have sent it.

Rules of this file: a function for each wire, from the answer's JSON to bytes. What grows comes in
two pieces; what a vendor sends at once, as a signature or a result of its own tools, comes at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.daemon.providers.bedrock import wire as frames

__all__ = ["STREAMS"]

Json = dict[str, Any]


def halves(text: str) -> list[str]:
    """Cut a text in two; an empty one is no piece, and a short one is one."""
    middle = (len(text) + 1) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def compact(value: Json) -> str:
    """Write JSON as what was made whole is written on."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def data(body: Json, name: str | None = None) -> bytes:
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {json.dumps(body)}\n\n".encode()


def anthropic(answer: Json) -> bytes:
    events: list[Json] = [
        {"type": "message_start", "message": {**answer, "content": [], "stop_reason": None}}
    ]
    for index, block in enumerate(answer["content"]):
        begun, deltas = _anthropic_block(block)
        at: Json = {"index": index}
        events.append({"type": "content_block_start", **at, "content_block": begun})
        events += [{"type": "content_block_delta", **at, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", **at})
    ended = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ended, "usage": answer["usage"]})
    events.append({"type": "message_stop"})
    return b"".join(data(event, str(event["type"])) for event in events)


def _anthropic_block(block: Json) -> tuple[Json, list[Json]]:
    match block:
        case {"type": "text", "text": text}:
            deltas = [{"type": "text_delta", "text": piece} for piece in halves(text)]
            return {**block, "text": ""}, deltas
        case {"type": "thinking", "thinking": text, "signature": signature}:
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in halves(text)]
            deltas.append({"type": "signature_delta", "signature": signature})
            return {**block, "thinking": "", "signature": ""}, deltas
        case {"type": "tool_use" | "server_tool_use", "input": given}:
            pieces = halves(compact(given))
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            return {**block, "input": {}}, deltas
        case _:
            return block, []


def bedrock(answer: Json) -> bytes:
    stream = frames.event("messageStart", role="assistant")
    for index, block in enumerate(answer["output"]["message"]["content"]):
        match block:
            case {"text": text}:
                for piece in halves(text):
                    stream += frames.delta(index, text=piece)
            case {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}:
                for piece in halves(text):
                    stream += frames.delta(index, reasoningContent={"text": piece})
                stream += frames.delta(index, reasoningContent={"signature": signature})
            case {"reasoningContent": redacted}:
                stream += frames.delta(index, reasoningContent=redacted)
            case {"toolUse": use}:
                start = {name: use[name] for name in use if name != "input"}
                stream += _bedrock_start(index, "toolUse", start)
                for piece in halves(compact(use["input"])):
                    stream += frames.delta(index, toolUse={"input": piece})
            case {"toolResult": result}:
                start = {name: result[name] for name in result if name != "content"}
                stream += _bedrock_start(index, "toolResult", start)
                stream += frames.delta(index, toolResult=result["content"])
        stream += frames.block_stop(index)
    return stream + frames.stopped(answer["stopReason"]) + frames.metadata(**answer["usage"])


def _bedrock_start(index: int, kind: str, start: Json) -> bytes:
    return frames.event("contentBlockStart", contentBlockIndex=index, start={kind: start})


def gemini(answer: Json) -> bytes:
    """Write a chunk for each part; a text comes in two, and what signs it with the second."""
    [candidate] = answer["candidates"]
    stream = b""
    for part in candidate["content"]["parts"]:
        pieces = halves(part.get("text", ""))
        plain = {"text": "", "thought": part["thought"]} if "thought" in part else {"text": ""}
        chunks = [{**plain, "text": piece} for piece in pieces[:-1]]
        chunks.append({**part, "text": pieces[-1]} if pieces else part)
        for chunk in chunks:
            content = {"role": "model", "parts": [chunk]}
            stream += data({"candidates": [{"content": content}]})
    return stream + data({"candidates": [{"finishReason": candidate["finishReason"]}]})


def openai(answer: Json) -> bytes:
    [choice] = answer["choices"]
    deltas = [{"role": "assistant", "content": ""}, *_openai_deltas(choice["message"])]
    head = {"id": answer["id"], "object": "chat.completion.chunk", "model": answer["model"]}
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    finish = "tool_calls" if "tool_calls" in choice["message"] else "stop"
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(data(head | event) for event in events) + b"data: [DONE]\n\n"


def _openai_deltas(message: Json) -> Iterator[Json]:
    for name in ("reasoning_content", "reasoning"):
        for piece in halves(message.get(name, "")):
            yield {name: piece}
    for detail in message.get("reasoning_details", ()):
        # What signs it comes with the last piece.
        *before, last = halves(detail["text"]) or [""]
        for piece in before:
            begun = {name: detail[name] for name in ("type", "index")}
            yield {"reasoning_details": [begun | {"text": piece}]}
        yield {"reasoning_details": [detail | {"text": last}]}
    content = message["content"]
    if isinstance(content, list):
        yield from ({"content": [part]} for part in content)
    else:
        yield from ({"content": piece} for piece in halves(content or ""))
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        opening = {"index": index, **call, "function": {**function, "arguments": ""}}
        yield {"tool_calls": [opening]}
        for piece in halves(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def cohere(answer: Json) -> bytes:
    message = answer["message"]
    stream = _cohere_event("message-start", {"role": "assistant", "content": []}, id=answer["id"])
    for index, item in enumerate(message["content"]):
        kind = item["type"]
        opened = {"content": {"type": kind, kind: ""}}
        stream += _cohere_event("content-start", opened, index=index)
        for piece in halves(item[kind]):
            stream += _cohere_event("content-delta", {"content": {kind: piece}}, index=index)
        stream += _cohere_event("content-end", index=index)
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        begun = {**call, "function": {**function, "arguments": ""}}
        stream += _cohere_event("tool-call-start", {"tool_calls": begun}, index=index)
        for piece in halves(function["arguments"]):
            grown = {"tool_calls": {"function": {"arguments": piece}}}
            stream += _cohere_event("tool-call-delta", grown, index=index)
        stream += _cohere_event("tool-call-end", index=index)
    end = {"finish_reason": answer["finish_reason"]}
    return stream + data({"type": "message-end", "delta": end}, "message-end")


def _cohere_event(kind: str, message: Json | None = None, **more: Any) -> bytes:
    delta = {} if message is None else {"delta": {"message": message}}
    return data({"type": kind, **more, **delta}, kind)


def responses(answer: Json) -> bytes:
    empty = {**answer, "status": "in_progress", "output": []}
    events: list[Json] = [{"type": "response.created", "response": empty}]
    for index, item in enumerate(answer["output"]):
        place = {"item_id": item["id"], "output_index": index}
        begun, steps = _responses_item(item, place)
        events.append({"type": "response.output_item.added", **place, "item": begun})
        events += steps
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": answer})
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    return b"".join(data(event, str(event["type"])) for event in numbered)


def _responses_item(item: Json, place: Json) -> tuple[Json, list[Json]]:
    match item:
        case {"type": "reasoning", "summary": summary}:
            steps: list[Json] = []
            for number, part in enumerate(summary):
                at = {**place, "summary_index": number}
                name = "response.reasoning_summary"
                steps.append({"type": f"{name}_part.added", **at, "part": {**part, "text": ""}})
                pieces = halves(part["text"])
                steps += [{"type": f"{name}_text.delta", **at, "delta": one} for one in pieces]
                steps.append({"type": f"{name}_text.done", **at, "text": part["text"]})
                steps.append({"type": f"{name}_part.done", **at, "part": part})
            return {**item, "summary": []}, steps
        case {"type": "message", "content": [part]}:
            at = {**place, "content_index": 0}
            added = {**part, "text": ""}
            steps = [{"type": "response.content_part.added", **at, "part": added}]
            for piece in halves(part["text"]):
                steps.append({"type": "response.output_text.delta", **at, "delta": piece})
            steps.append({"type": "response.output_text.done", **at, "text": part["text"]})
            steps.append({"type": "response.content_part.done", **at, "part": part})
            return {**item, "content": []}, steps
        case {"type": "function_call", "arguments": arguments}:
            name = "response.function_call_arguments"
            steps = [
                {"type": f"{name}.delta", **place, "delta": piece} for piece in halves(arguments)
            ]
            steps.append({"type": f"{name}.done", **place, "arguments": arguments})
            return {**item, "arguments": ""}, steps
        case _:
            return {**item, "status": "in_progress"}, []


STREAMS: dict[str, Callable[[Json], bytes]] = {
    "anthropic": anthropic,
    "bedrock": bedrock,
    "cohere": cohere,
    "gemini": gemini,
    "openai": openai,
    "openai-responses": responses,
}
