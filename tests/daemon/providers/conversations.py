"""Arbitrary conversations that a caller may send: every role, every part, in any number.

Rules of this file: every call of a tool is answered before anybody else speaks, as all vendors ask,
and the last word is not the assistant's. Texts may be empty, and may hold anything but halves of
surrogate pairs, which no caller can send. Every kind of content is there, in each of its forms:
which of them a wire has no place for is said by who asks. A refusal goes back as the text it is.
"""

from __future__ import annotations

from typing import Any, Literal

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
from tests.daemon.providers.schemas import SCHEMAS

__all__ = ["CONVERSATIONS", "TOOLS", "conversations"]

TEXTS = st.text(max_size=12)
LIFETIMES = st.sampled_from([None, "5m", "1h"])
DETAILS = st.sampled_from([None, "auto", "low", "high"])
LINKED_IMAGES = st.builds(
    Image,
    url=st.sampled_from(["https://example.org/a.png", "https://example.org/b"]),
    media_type=st.sampled_from([None, "image/png"]),
    detail=DETAILS,
    cache=LIFETIMES,
)
SENT_IMAGES = st.builds(
    Image,
    data=st.binary(min_size=1, max_size=6),
    media_type=st.sampled_from([None, "image/gif", "image/jpeg"]),
    detail=DETAILS,
    cache=LIFETIMES,
) | st.builds(Image, url=st.just("data:image/webp;base64,AAAA"), cache=LIFETIMES)
TITLES = st.none() | TEXTS
TEXT_DOCUMENTS = st.builds(
    Document,
    data=st.binary(max_size=12),
    media_type=st.sampled_from(["text/plain", "text/csv"]),
    title=TITLES,
    cache=LIFETIMES,
)
SENT_DOCUMENTS = TEXT_DOCUMENTS | st.builds(
    Document,
    data=st.binary(min_size=1, max_size=6),
    media_type=st.sampled_from([None, "application/pdf"]),
    title=TITLES,
    cache=LIFETIMES,
)
LINKED_DOCUMENTS = st.builds(
    Document, url=st.just("https://example.org/a.pdf"), title=TITLES, cache=LIFETIMES
)
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA=="}
# What every vendor leaves in a history, and one that nobody knows.
LEFT: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("nobody", {"x": [None]}),
    ("anthropic", {"signature": "c2ln"}),
    ("anthropic", {"redacted": "cmVk"}),
    ("bedrock", {"signature": "c2ln"}),
    ("bedrock", {"redacted": "cmVk"}),
    ("cohere", {"kind": "thinking"}),
    ("cohere", {"kind": "tool_plan"}),
    ("deepseek", {}),
    ("mistral", {}),
    ("gemini", {"on": "thought", "signature": "c2ln"}),
    ("gemini", {"on": "text", "signature": "c2ln"}),
    ("openai-responses", {"item": ITEM, "model": "gpt-6-sol"}),
    ("openai-responses", {"phase": "commentary"}),
    (
        "openrouter",
        {"reasoning_details": [{"type": "reasoning.text", "text": "a", "signature": "c2ln"}]},
    ),
]
REASONINGS = st.sampled_from(LEFT).flatmap(
    lambda left: st.builds(Reasoning, TEXTS, st.just(left[0]), st.just(left[1]))
)
ARGUMENTS = st.sampled_from(["", "{}", '{"city": "Paris"}', "[1]", "not json", '{"a": {"b": []}}'])
NAMES = st.sampled_from(["look", "get_weather", "a-b"])
TOOLS = st.lists(
    st.builds(
        Tool,
        NAMES,
        TEXTS,
        st.just({}) | SCHEMAS,
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
)
SPOKEN = st.builds(Text, TEXTS, LIFETIMES)
SYSTEM = st.builds(Message, st.just("system"), TEXTS | st.lists(SPOKEN, max_size=2))
IDS = st.sampled_from(["call_1", "toolu_2", "get_weather_p1t92w7gfgq7", "é", "x" * 200])


@st.composite
def _answer(draw: Any, number: int, images: st.SearchStrategy[Image]) -> list[Message]:
    """Draw an answer of the assistant, and the results of the calls in it."""
    content: list[Content] = draw(st.lists(REASONINGS | SPOKEN, max_size=3))
    ids = draw(st.lists(IDS, max_size=3, unique=True))
    content += [ToolCall(f"{name}{number}", draw(NAMES), draw(ARGUMENTS)) for name in ids]
    messages = [Message("assistant", content)]
    if ids:
        told = TEXTS | st.lists(SPOKEN | images, max_size=3)
        results: list[Content] = [
            ToolResult(f"{name}{number}", draw(told), draw(st.booleans()), draw(LIFETIMES))
            for name in ids
        ]
        messages.append(Message(draw(st.sampled_from(["tool", "user"])), results))
    return messages


@st.composite
def conversations(
    draw: Any,
    images: Literal["anywhere", "sent"] = "anywhere",
    documents: Literal["anywhere", "sent", "text"] = "text",
) -> list[Message]:
    """Draw a whole conversation.

    `images` and `documents` are at an address or sent along, `anywhere`, or `sent` along alone;
    documents of `text` are plain text that is sent along.
    """
    pictures = SENT_IMAGES | LINKED_IMAGES if images == "anywhere" else SENT_IMAGES
    papers = {
        "anywhere": SENT_DOCUMENTS | LINKED_DOCUMENTS,
        "sent": SENT_DOCUMENTS,
        "text": TEXT_DOCUMENTS,
    }[documents]
    said = TEXTS | st.lists(SPOKEN | pictures | papers, max_size=4)
    user = st.builds(Message, st.just("user"), said)
    messages: list[Message] = draw(st.lists(SYSTEM, max_size=2))
    messages.append(draw(user))
    for number in range(draw(st.integers(0, 3))):
        messages += draw(_answer(number, pictures))
        messages += draw(st.lists(user | SYSTEM, max_size=2))
    if messages[-1].role == "assistant":
        messages.append(Message("user", "Go on."))
    return messages


CONVERSATIONS = conversations()
"""Whole conversations without what only some wires have a place for."""
