"""Whatever a conversation holds, what is sent is a request by Anthropic's own types.

They drop what they do not know, so nothing may be missing once they have read a body.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.errors import CallRefused
from routerd.providers.anthropic import AnthropicAdapter
from routerd_proto.content import ToolName
from tests.daemon.providers.conversations import TOOLS, conversations
from tests.daemon.providers.drive import ABLE, encoded, request, walked
from tests.daemon.providers.schemas import SCHEMAS, is_open

REASON = "the vendors' own clients are not installed: requirements-vendors.lock"
pydantic = pytest.importorskip("pydantic", reason=REASON)
message_types = pytest.importorskip("anthropic.types.message_create_params", reason=REASON)

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(1, 100_000),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "stop": st.lists(st.text(max_size=3), max_size=6),
        "seed": st.integers(0, 2**40),
        "parallel_tool_calls": st.booleans(),
        "output_schema": SCHEMAS,
        "reasoning": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        "logprobs": st.integers(0, 5),
    },
)
CALLS = st.tuples(
    conversations(documents="anywhere"),
    OPTIONS,
    TOOLS,
    st.sampled_from([None, "auto", "none", "required", "named"]),
    st.booleans(),
)


def body_of(model: str, call: Any) -> dict[str, Any] | None:
    """Return the body of a call, None where it is refused with a reason and never sent."""
    messages, options, tools, choice, stream = call
    if choice == "named":
        choice = ToolName(tools[0].name) if tools else None
    chat = request(model, messages, stream=stream, capabilities=replace(ABLE, logprobs=True))
    named: dict[str, Any] = {**options, "tools": tools, "tool_choice": choice}
    chat = replace(chat, options=replace(chat.options, **named))
    try:
        return encoded(AnthropicAdapter(), chat)[0]
    except CallRefused:
        return None


@cache
def reader(kind: Any) -> Any:
    """Return what reads a type; building it takes a while."""
    return pydantic.TypeAdapter(kind)


def check(body: dict[str, Any]) -> None:
    streamed = "Streaming" if body.get("stream") else "NonStreaming"
    kind = getattr(message_types, f"MessageCreateParams{streamed}")
    assert walked(reader(kind).validate_python(body)) == body


@pytest.mark.parametrize(
    "model",
    ["claude-fable-5-1", "claude-sonnet-4-6", "claude-haiku-4-5-20251001", "claude-3-5-haiku"],
)
@given(call=CALLS)
def test_any_conversation_is_a_request_of_the_vendors_own(model: str, call: Any) -> None:
    body = body_of(model, call)
    assert (body is None) == ("logprobs" in call[1] or is_open(call[1].get("output_schema")))
    if body is not None:
        # The types are of a later version, which takes no sampling at all; 2023-06-01 is sent.
        for name in ("temperature", "top_p"):
            body.pop(name, None)
        check(body)


def test_the_check_finds_what_is_wrong() -> None:
    text = {"type": "text", "text": "a"}
    good: dict[str, Any] = {"model": "m", "max_tokens": 5}
    good["messages"] = [{"role": "user", "content": [text]}]
    check(good)
    for wrong in (
        {**good, "seed": 1},
        {**good, "messages": [{"role": "user", "content": [{**text, "title": "b"}]}]},
        {**good, "messages": [{"role": "system", "content": "a", "name": "b"}]},
        {**good, "tool_choice": "any"},
    ):
        with pytest.raises((pydantic.ValidationError, AssertionError)):
            check(wrong)
