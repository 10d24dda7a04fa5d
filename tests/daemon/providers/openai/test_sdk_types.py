"""Arbitrary conversations through the dialects, held against the types of OpenAI's client.

What a dialect adds to OpenAI's own shapes is named here, so that nothing else gets into a request.
"""

from __future__ import annotations

import typing
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd_proto.content import Message, ToolName
from tests.daemon.providers.conversations import TOOLS, conversations
from tests.daemon.providers.drive import encoded, request, walked
from tests.daemon.providers.schemas import SCHEMAS

pytest.importorskip(
    "openai", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)
pydantic = pytest.importorskip("pydantic")

from openai.types import chat  # noqa: E402 - only where it is installed
from openai.types.chat import completion_create_params as parameters  # noqa: E402

ROLES = {
    "developer": chat.ChatCompletionDeveloperMessageParam,
    "system": chat.ChatCompletionSystemMessageParam,
    "user": chat.ChatCompletionUserMessageParam,
    "assistant": chat.ChatCompletionAssistantMessageParam,
    "tool": chat.ChatCompletionToolMessageParam,
}
# Beside the types: fields of the body, and of an assistant message.
OWN_FIELDS = {"thinking", "prompt_mode", "random_seed", "reasoning_format", "chat_template_kwargs"}
OWN_OF_MESSAGES = {"prefix", "reasoning_content", "reasoning", "reasoning_details"}
MODELS = ["gpt-6-luna", "gpt-5.1", "o3", "magistral-small", "qwen/qwen3-32b", "grok-4", "a-model"]
# The documents that a dialect has a place for.
DOCUMENTS: Any = {"file": "sent", "document_url": "anywhere", None: "text"}
HINTS = typing.get_type_hints(parameters.CompletionCreateParamsStreaming)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "seed": st.integers(0, 2**31),
        "stop": st.lists(st.text(max_size=3), max_size=7),
        "max_output_tokens": st.integers(1, 100_000),
        "parallel_tool_calls": st.booleans(),
        "reasoning": st.sampled_from(["none", "minimal", "low", "medium", "high", "max"]),
    },
)


@lru_cache
def adapter_of(field: str, role: str = "") -> Any:
    """Return the type of a field of the body, or of a message; making one takes long."""
    return pydantic.TypeAdapter(ROLES[role] if role else HINTS[field])


def check_message(message: dict[str, Any], dialect: str) -> None:
    own = OWN_OF_MESSAGES & set(message)
    assert not own or message["role"] == "assistant"
    plain = {name: value for name, value in message.items() if name not in own}
    kind = ROLES[message["role"]]
    assert set(plain) <= set(typing.get_type_hints(kind))
    parts = plain.get("content")
    if dialect == "mistral" and isinstance(parts, list):
        # Pictures inside results, and thinking that goes back, are Mistral's alone.
        assert {part["type"] for part in parts} <= {"text", "image_url", "document_url", "thinking"}
        return
    # The types drop what they do not know, inside of parts too.
    assert walked(adapter_of("messages", message["role"]).validate_python(plain)) == plain


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40)
@given(
    tools=TOOLS,
    options=OPTIONS,
    stream=st.booleans(),
    model=st.sampled_from(MODELS),
    data=st.data(),
)
def test_every_request_is_one_that_the_client_could_have_sent(
    dialect: str,
    tools: Any,
    options: Any,
    stream: bool,
    model: str,
    data: Any,
) -> None:
    taken = DOCUMENTS[DIALECTS[dialect].documents]
    images: Any = "sent" if dialect == "ollama" else "anywhere"
    messages: list[Message] = data.draw(conversations(images, documents=taken))
    names = [ToolName(tool.name) for tool in tools]
    choice = data.draw(
        st.sampled_from([None, "auto", "none", *(["required", *names] if tools else [])])
    )
    asked = request(
        model,
        messages,
        stream=stream,
        tools=tools,
        tool_choice=choice,
        output_schema=data.draw(st.none() | SCHEMAS),
        **options,
    )
    body, _ = encoded(OpenAIAdapter(DIALECTS[dialect]), asked)
    assert set(body) <= set(HINTS) | OWN_FIELDS
    for message in body.pop("messages"):
        check_message(message, dialect)
    assert body.pop("stream", False) is stream
    if body.get("tool_choice") == "any":
        assert dialect == "mistral"
        del body["tool_choice"]
    for name in set(body) - OWN_FIELDS:
        assert walked(adapter_of(name).validate_python(body[name])) == body[name]
