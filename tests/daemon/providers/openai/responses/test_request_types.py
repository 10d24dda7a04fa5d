"""Whatever a conversation holds, what is sent is a request by OpenAI's own types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.errors import CallRefused
from routerd.providers.openai.responses import RESPONSES_DIALECTS, ResponsesAdapter
from routerd_proto.content import (
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolName,
    ToolResult,
)
from tests.daemon.providers.drive import ABLE, encoded, request, walked
from tests.daemon.providers.schemas import SCHEMAS

pydantic = pytest.importorskip("pydantic", reason="requirements-vendors.lock is not installed")
openai_types = pytest.importorskip(
    "openai.types.responses.response_create_params",
    reason="the vendors' own clients are not installed: requirements-vendors.lock",
)
openai_response = pytest.importorskip("openai.types.responses")

WORDS = st.text(max_size=12)
NAMES = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)
CACHES = st.sampled_from([None, "5m", "1h"])
ITEM = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "gAAAA==",
}
# One of each kind that goes back, as an answer has it; all that may be missing is there.
OWN_ITEMS: list[dict[str, Any]] = [
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "x", "queries": ["x"]},
    },
    {
        "type": "file_search_call",
        "id": "fs_1",
        "status": "completed",
        "queries": ["x"],
        "results": None,
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "1 + 1",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw=="},
    {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "x",
        "tools": [{"name": "f", "input_schema": {}, "annotations": None, "description": None}],
        "error": None,
    },
    {
        "type": "mcp_call",
        "id": "mcp_1",
        "server_label": "x",
        "name": "f",
        "arguments": "{}",
        "output": "y",
        "error": None,
    },
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA=="},
]
TEXTS = st.builds(Text, WORDS, CACHES)
IMAGES = st.one_of(
    st.builds(Image, url=st.just("https://example.org/a.png"), cache=CACHES),
    st.builds(
        Image,
        data=st.binary(max_size=4),
        detail=st.sampled_from([None, "auto", "low", "high"]),
        cache=CACHES,
    ),
)
DOCUMENTS = st.one_of(
    st.builds(Document, url=st.just("https://example.org/a.pdf"), cache=CACHES),
    st.builds(
        Document,
        data=st.binary(max_size=4),
        media_type=st.sampled_from([None, "application/pdf", "text/plain"]),
        title=st.none() | WORDS,
        cache=CACHES,
    ),
)
RESULTS = st.builds(
    ToolResult,
    WORDS,
    WORDS | st.lists(TEXTS | IMAGES, max_size=3),
    st.booleans(),
    CACHES,
)
REASONINGS = st.builds(
    Reasoning,
    WORDS,
    st.sampled_from(["", "openai-responses", "openrouter-responses", "anthropic"]),
    st.sampled_from(
        [
            {},
            {"item": ITEM, "model": "gpt-6-sol"},
            {"phase": "commentary"},
            {"phase": "final_answer"},
            {"signature": "c2ln"},
            {"left_out": "custom_tool_call"},
            *({"item": item} for item in OWN_ITEMS),
        ]
    ),
)
CALLS = st.builds(ToolCall, WORDS, NAMES, st.sampled_from(["", "{}", '{"a":1}', "no JSON"]))
MESSAGES = st.one_of(
    st.builds(Message, st.just("system"), WORDS | st.lists(TEXTS, max_size=3)),
    st.builds(
        Message,
        st.just("user"),
        WORDS | st.lists(st.one_of(TEXTS, IMAGES, DOCUMENTS, RESULTS), max_size=4),
    ),
    st.builds(
        Message,
        st.just("assistant"),
        WORDS | st.lists(st.one_of(TEXTS, REASONINGS, CALLS), max_size=6),
    ),
    st.builds(Message, st.just("tool"), st.lists(RESULTS, max_size=3)),
)
TOOLS = st.lists(
    st.builds(Tool, NAMES, WORDS, SCHEMAS, st.booleans()),
    max_size=3,
    unique_by=lambda one: one.name,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(16, 200_000),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "stop": st.lists(WORDS, max_size=2),
        "seed": st.integers(0, 9),
        "logprobs": st.integers(0, 20),
        "parallel_tool_calls": st.booleans(),
        "output_schema": SCHEMAS,
        "reasoning": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    },
)
CHOICES = st.sampled_from([None, "auto", "none", "required", "named"])


# Made once: the types of all items take seconds to be put together.
PLAIN = pydantic.TypeAdapter(openai_types.ResponseCreateParamsNonStreaming)
STREAMED = pydantic.TypeAdapter(openai_types.ResponseCreateParamsStreaming)


def checked(body: dict[str, Any]) -> None:
    """Validate by the types, which drop what they do not know: nothing may be missing then."""
    kind = STREAMED if "stream" in body else PLAIN
    assert walked(kind.validate_python(body)) == walked(body)


@settings(max_examples=200)
@given(
    messages=st.lists(MESSAGES, min_size=1, max_size=6),
    options=OPTIONS,
    tools=TOOLS,
    choice=CHOICES,
    stream=st.booleans(),
    model=st.sampled_from(["gpt-6.1-sol", "gpt-6.1-terra", "gpt-5.2", "o3", "gpt-4.1"]),
    dialect=st.sampled_from(sorted(RESPONSES_DIALECTS)),
    sampling=st.sampled_from(["yes", "no", "without_reasoning"]),
)
def test_any_conversation_is_a_request_of_the_vendors_own(
    messages: list[Message],
    options: dict[str, Any],
    tools: list[Tool],
    choice: Any,
    stream: bool,
    model: str,
    dialect: str,
    sampling: Any,
) -> None:
    able = replace(ABLE, sampling=sampling, logprobs=True)
    chat = request(model, messages, stream=stream, capabilities=able, **options)
    named = ToolName(tools[0].name) if choice == "named" and tools else None
    tool_choice = named if choice == "named" else choice
    chat = replace(chat, options=replace(chat.options, tools=tools, tool_choice=tool_choice))
    adapter = ResponsesAdapter(RESPONSES_DIALECTS[dialect])
    try:
        body, _ = encoded(adapter, chat)
    except CallRefused:
        # What cannot be said to this server is refused with a reason, never sent wrong.
        return
    checked(body)
    assert said_in(body["input"]) == said_by(messages)


def test_what_the_vendors_tools_did_is_an_item_of_both_its_answers_and_its_requests() -> None:
    for dialect in ("openai", "azure"):
        assert {item["type"] for item in OWN_ITEMS} == RESPONSES_DIALECTS[dialect].own_items
    output = pydantic.TypeAdapter(openai_response.ResponseOutputItem)
    for item in OWN_ITEMS:
        known = output.validate_python(item).model_dump(exclude_unset=True)
        assert known == item
        checked({"model": "m", "input": [item], "store": False})


def test_the_check_finds_what_is_wrong() -> None:
    good = {"model": "m", "input": [{"role": "user", "content": "a"}], "store": False}
    checked(good)
    for wrong in (
        {**good, "stop": ["a"]},
        {**good, "input": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {**good, "input": [{"type": "function_call", "call_id": "c"}]},
        {**good, "input": [{"role": "user", "content": "a", "name": "b"}]},
        {**good, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {**good, "text": {"format": {"type": "json_schema", "json_schema": {}}}},
    ):
        with pytest.raises((pydantic.ValidationError, AssertionError)):
            checked(wrong)


def said_by(messages: list[Message]) -> str:
    """Return all the texts of a conversation in order, reasoning left out."""
    texts: list[str] = []
    for message in messages:
        if isinstance(message.content, str):
            texts.append(message.content)
            continue
        for part in message.content:
            match part:
                case Text():
                    texts.append(part.text)
                case ToolResult():
                    result = part.content
                    if not isinstance(result, str):
                        result = "".join(item.text for item in result if isinstance(item, Text))
                    texts.append(result if part.content or not part.is_error else "error")
                case Document(data=bytes() as data, media_type="text/plain"):
                    texts += [part.title or "", data.decode("utf-8", "replace")]
                case _:
                    pass
    return "".join("".join(texts).split())


def said_in(items: list[dict[str, Any]]) -> str:
    texts: list[str] = []
    for item in items:
        value = item.get("output", item.get("content", ""))
        if item.get("type") == "reasoning" or ("call_id" not in item and "role" not in item):
            continue
        parts = (
            [value]
            if isinstance(value, str)
            else [part["text"] for part in value if part["type"] == "input_text"]
        )
        texts += parts
    return "".join("".join(texts).split())
