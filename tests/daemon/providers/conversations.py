"""Arbitrary conversations that a caller may send: every role, every part, in any number.

Rules of this file: every call of a tool is answered before anybody else speaks, as all vendors ask,
and the last word is not the assistant's. Texts may be empty, and may hold anything but halves of
surrogate pairs, which no caller can send.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["CONVERSATIONS", "TOOLS"]

TEXTS = st.text(max_size=12)
LIFETIMES = st.sampled_from([None, "5m", "1h"])
IMAGES = st.builds(
    Image,
    url=st.just("https://example.org/a.png"),
    detail=st.sampled_from([None, "low", "high"]),
    cache=LIFETIMES,
) | st.builds(Image, data=st.binary(max_size=6), media_type=st.sampled_from([None, "image/gif"]))
DOCUMENTS = st.builds(
    Document,
    data=st.binary(max_size=12),
    media_type=st.just("text/plain"),
    title=st.none() | TEXTS,
)
REASONINGS = st.builds(
    Reasoning,
    TEXTS,
    st.sampled_from(["", "anthropic", "cohere", "deepseek", "gemini", "openai"]),
    st.sampled_from([{}, {"signature": "c2ln"}, {"kind": "thinking"}, {"kind": "tool_plan"}]),
)
ARGUMENTS = st.sampled_from(["", "{}", '{"city": "Paris"}', "[1]", "not json", '{"a": {"b": []}}'])
NAMES = st.sampled_from(["look", "get_weather", "a-b"])
TOOLS = st.lists(
    st.builds(
        Tool,
        NAMES,
        TEXTS,
        st.sampled_from(
            [
                {},
                {"type": "object", "properties": {"city": {"type": "string"}}},
                {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            ]
        ),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
)
USER = st.builds(
    Message,
    st.just("user"),
    TEXTS | st.lists(st.builds(Text, TEXTS, LIFETIMES) | IMAGES | DOCUMENTS, max_size=4),
)
SYSTEM = st.builds(
    Message, st.just("system"), TEXTS | st.lists(st.builds(Text, TEXTS, LIFETIMES), max_size=2)
)
RESULTS = TEXTS | st.lists(st.builds(Text, TEXTS) | IMAGES, max_size=3)


@st.composite
def _answer(draw: Any, number: int) -> list[Message]:
    """Draw an answer of the assistant, and the results of the calls in it."""
    content: list[Content] = draw(st.lists(REASONINGS | st.builds(Text, TEXTS), max_size=3))
    ids = draw(
        st.lists(
            st.sampled_from(["call_1", "toolu_2", "get_weather_p1t92w7gfgq7", "é", "x" * 200]),
            max_size=3,
            unique=True,
        )
    )
    content += [ToolCall(f"{name}{number}", draw(NAMES), draw(ARGUMENTS)) for name in ids]
    messages = [Message("assistant", content)]
    if ids:
        results: list[Content] = [
            ToolResult(f"{name}{number}", draw(RESULTS), is_error=draw(st.booleans()))
            for name in ids
        ]
        messages.append(Message(draw(st.sampled_from(["tool", "user"])), results))
    return messages


@st.composite
def _conversation(draw: Any) -> list[Message]:
    messages: list[Message] = draw(st.lists(SYSTEM, max_size=2))
    messages.append(draw(USER))
    for number in range(draw(st.integers(0, 3))):
        messages += draw(_answer(number))
        messages += draw(st.lists(USER | SYSTEM, max_size=2))
    if messages[-1].role == "assistant":
        messages.append(Message("user", "Go on."))
    return messages


CONVERSATIONS = _conversation()
"""Whole conversations."""
