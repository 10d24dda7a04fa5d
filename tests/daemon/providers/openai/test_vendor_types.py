"""Arbitrary requests by the dialects of Mistral and Groq, held against the types of their clients.

They know what those servers take beside OpenAI's own fields, so nothing is excused here: what the
types do not know is dropped by them, and is then missed.
"""

from __future__ import annotations

import json
import typing
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd_proto.content import Message, ToolName
from tests.daemon.providers.conversations import TOOLS, conversations
from tests.daemon.providers.drive import encoded, request, walked
from tests.daemon.providers.schemas import SCHEMAS

REASON = "the vendors' own clients are not installed: requirements-vendors.lock"
pydantic = pytest.importorskip("pydantic", reason=REASON)
of_mistral = pytest.importorskip("mistralai.client.models", reason=REASON)
of_groq = pytest.importorskip("groq.types.chat.completion_create_params", reason=REASON)
pytest.importorskip("openai", reason=REASON)

from tests.daemon.providers.openai.test_sdk_types import (  # noqa: E402 - only where it is whole
    OPTIONS,
)

CHOICES = st.sampled_from([None, "auto", "none", "required", "named"])


def body_of(dialect: str, model: str, messages: list[Message], call: Any) -> dict[str, Any]:
    tools, choice, schema, options, stream = call
    if choice in ("required", "named") and not tools:
        choice = None
    if choice == "named":
        choice = ToolName(tools[0].name)
    named = {"tools": tools, "tool_choice": choice, "output_schema": schema}
    chat = request(model, messages, stream=stream, **named, **options)
    return encoded(OpenAIAdapter(DIALECTS[dialect]), chat)[0]


CALLS = st.tuples(TOOLS, CHOICES, st.none() | SCHEMAS, OPTIONS, st.booleans())


def check_mistral(body: dict[str, Any]) -> None:
    read = of_mistral.ChatCompletionRequest.model_validate(body)
    assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == body


@settings(max_examples=200)
@given(
    conversations(documents="anywhere"),
    CALLS,
    st.sampled_from(["mistral-large-3", "magistral-small", "mistral-small-4"]),
)
def test_every_request_is_one_by_the_types_of_mistral(
    messages: list[Message], call: Any, model: str
) -> None:
    check_mistral(body_of("mistral", model, messages, call))


@cache
def of_field(name: str) -> Any:
    """Return what reads a field of Groq's; the types of messages are put together by the role."""
    return pydantic.TypeAdapter(typing.get_type_hints(of_groq.CompletionCreateParams)[name])


@cache
def of_role(role: str) -> Any:
    hint = typing.get_args(typing.get_type_hints(of_groq.CompletionCreateParams)["messages"])[0]
    [kind] = [
        kind
        for kind in typing.get_args(hint)
        if role in typing.get_args(typing.get_type_hints(kind)["role"])
    ]
    return pydantic.TypeAdapter(kind)


def check_groq(body: dict[str, Any]) -> None:
    # Sent to all of the family, and taken by the server; the client has no word for it.
    fields = {name: value for name, value in body.items() if name != "stream_options"}
    for message in fields.pop("messages"):
        assert walked(of_role(message["role"]).validate_python(message)) == message
    for name, value in fields.items():
        assert walked(of_field(name).validate_python(value)) == value


@settings(max_examples=200)
@given(conversations(), CALLS, st.sampled_from(["qwen/qwen3-32b", "openai/gpt-oss-120b"]))
def test_every_request_is_one_by_the_types_of_groq(
    messages: list[Message], call: Any, model: str
) -> None:
    check_groq(body_of("groq", model, messages, call))


def test_the_checks_find_what_is_wrong() -> None:
    good: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    for check in (check_mistral, check_groq):
        check(good)
        for wrong in (
            {**good, "stop_sequences": ["a"]},
            {**good, "messages": [{"role": "user", "content": "a", "surprise": 1}]},
            {**good, "messages": [{"role": "user", "content": [{"type": "text", "txt": "a"}]}]},
            {**good, "temperature": "hot"},
        ):
            with pytest.raises((pydantic.ValidationError, AssertionError, KeyError)):
                check(wrong)
