"""Arbitrary conversations through the adapter, held against the types of Cohere's client."""

from __future__ import annotations

import importlib
import inspect
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.cohere import CohereAdapter
from routerd.simulate.cohere.request import read_question
from routerd_proto.content import Message, ToolName
from tests.daemon.providers.conversations import CONVERSATIONS, TOOLS
from tests.daemon.providers.drive import encoded, request
from tests.daemon.providers.schemas import SCHEMAS

cohere = pytest.importorskip(
    "cohere", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)
pydantic = pytest.importorskip("pydantic")

ADAPTER = CohereAdapter()
METHOD = importlib.import_module("cohere.v2.client").V2Client.chat
PARAMETERS = [
    name for name in inspect.signature(METHOD).parameters if name not in ("self", "request_options")
]
HINTS = {name: typing.get_type_hints(METHOD)[name] for name in PARAMETERS}
ROLES = {
    "system": cohere.SystemChatMessageV2,
    "user": cohere.UserChatMessageV2,
    "assistant": cohere.AssistantChatMessageV2,
    "tool": cohere.ToolChatMessageV2,
}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 3),
        "top_p": st.floats(0, 1),
        "seed": st.integers(-5, 2**65),
        "stop": st.lists(st.text(max_size=3), max_size=7),
        "max_output_tokens": st.integers(1, 100_000),
        "parallel_tool_calls": st.booleans(),
        "reasoning": st.sampled_from(["none", "minimal", "low", "medium", "high", "max"]),
    },
)


def check(kind: Any, value: Any) -> None:
    """Hold plain data against a type of the client: nothing missing, nothing it does not know."""
    model = pydantic.TypeAdapter(kind).validate_python(value)
    for item in model if isinstance(model, list) else [model]:
        known(item)


def known(item: Any) -> None:
    if not isinstance(item, pydantic.BaseModel):
        return
    assert not item.model_extra, (type(item), item.model_extra)
    for name in type(item).model_fields:
        value = getattr(item, name)
        for inner in value if isinstance(value, list) else [value]:
            known(inner)


@given(CONVERSATIONS, TOOLS, OPTIONS, st.booleans(), st.data())
def test_every_request_is_one_that_the_client_could_have_sent(
    messages: list[Message], tools: Any, options: Any, stream: bool, data: Any
) -> None:
    names = [ToolName(tool.name) for tool in tools]
    choices = [None, "auto", "none", *(["required", *names] if tools else [])]
    choice = data.draw(st.sampled_from(choices))
    schema = None if tools and choice != "none" else data.draw(st.none() | SCHEMAS)
    chat = request(
        "command-a-plus-05-2026",
        [*messages, Message("user", "Go on.")],
        stream=stream,
        output_limit=64_000,
        tools=tools,
        tool_choice=choice,
        output_schema=schema,
        **options,
    )
    body, _ = encoded(ADAPTER, chat)
    assert body.pop("stream", False) is stream
    assert set(body) <= set(PARAMETERS)
    for message in body["messages"]:
        check(ROLES[message["role"]], message)
    for name in set(body) - {"messages"}:
        check(HINTS[name], body[name])
    # And one that the server takes, as far as the simulator knows it.
    assert read_question(ADAPTER.encode(chat).body).said == "Go on."
