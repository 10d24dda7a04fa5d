"""Drive an adapter's decoder over bytes, and put parts together as a client does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from routerd.domain import Capabilities, Part
from routerd.providers.base import Adapter, ChatRequest, Outcome, Wire
from routerd_proto.content import Content, Message, Reasoning, Text, ToolCall
from routerd_proto.frames import (
    CallOptions,
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from routerd_proto.frames import Part as ChatPart

FIXTURES = Path(__file__).parents[2] / "fixtures"
ABLE = Capabilities(
    vision=True,
    tools=True,
    forced_tool_choice=True,
    json_schema=True,
    reasoning=True,
    sampling="yes",
    prefill=True,
)


def chat_parts(parts: Iterable[Part]) -> list[ChatPart]:
    """Return the parts of an answer to chat as the client knows them."""
    return cast("list[ChatPart]", list(parts))


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def decode(
    adapter: Wire, chunks: Iterable[bytes], *, stream: bool = True
) -> tuple[list[Part], Outcome]:
    decoder = adapter.decoder(stream=stream)
    parts: list[Part] = []
    for chunk in chunks:
        parts += decoder.feed(chunk)
    parts += decoder.end()
    assert decoder.end() == []
    return merge(parts), decoder.outcome


def merge(parts: list[Part]) -> list[Part]:
    """Join neighbouring deltas, which may be cut anywhere."""
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        match last, part:
            case TextDelta(), TextDelta():
                merged[-1] = TextDelta(last.text + part.text)
            case ReasoningDelta(), ReasoningDelta():
                merged[-1] = ReasoningDelta(last.reasoning + part.reasoning)
            case RefusalDelta(), RefusalDelta():
                merged[-1] = RefusalDelta(last.refusal + part.refusal)
            case ToolCallDelta(), ToolCallDelta() if last.index == part.index:
                merged[-1] = ToolCallDelta(last.index, last.arguments + part.arguments)
            case _:
                merged.append(part)
    return merged


def text_in(parts: list[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


def reasoning_in(parts: list[Part]) -> str:
    return "".join(part.reasoning for part in parts if isinstance(part, ReasoningDelta))


def calls_in(parts: list[Part]) -> list[tuple[str, str, str]]:
    """Return id, name and arguments of every tool call."""
    calls: list[list[str]] = []
    for part in parts:
        if isinstance(part, ToolCallStarted):
            assert part.index == len(calls)
            calls.append([part.id, part.name, ""])
        elif isinstance(part, ToolCallDelta):
            calls[part.index][2] += part.arguments
    return [(call_id, name, arguments) for call_id, name, arguments in calls]


def answer_message(parts: list[Part]) -> Message:
    """Put an answer together for the next turn, as a client does."""
    content: list[Content] = []
    reasoning = ""
    calls: dict[int, ToolCall] = {}
    for part in merge(parts):
        match part:
            case TextDelta():
                content.append(Text(part.text))
            case ReasoningDelta():
                reasoning += part.reasoning
            case ReasoningEnded():
                content.append(Reasoning(reasoning, part.vendor, part.data))
                reasoning = ""
            case ToolCallStarted():
                calls[part.index] = ToolCall(part.id, part.name, "")
            case ToolCallDelta():
                call = calls[part.index]
                calls[part.index] = msgspec.structs.replace(
                    call, arguments=call.arguments + part.arguments
                )
            case _:
                pass
    return Message("assistant", [*content, *calls.values()])


def request(
    model_id: str = "a-model",
    messages: list[Message] | None = None,
    *,
    stream: bool = False,
    capabilities: Capabilities = ABLE,
    output_limit: int | None = None,
    **options: Any,
) -> ChatRequest:
    return ChatRequest(
        model_id=model_id,
        messages=[Message("user", "Hi")] if messages is None else messages,
        options=CallOptions(**options),
        stream=stream,
        capabilities=capabilities,
        output_limit=output_limit,
    )


def encoded(adapter: Adapter, chat: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    """Return the body as plain data, and the notes."""
    result = adapter.encode(chat)
    assert (b"content-type", b"application/json") in result.headers
    return msgspec.json.decode(result.body), result.notes


def walked(value: Any) -> Any:
    """Return the same plain data; a client's types check some lists only as they are read."""
    if isinstance(value, dict):
        return {key: walked(item) for key, item in value.items()}
    if isinstance(value, str | int | float) or value is None:
        return value
    return [walked(item) for item in value]
