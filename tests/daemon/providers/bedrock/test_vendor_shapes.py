"""Arbitrary conversations, encoded, against the vendor's own model of a Converse request.

The vendor's validator checks members, types, lengths and unions; patterns and lists of values are
checked here, since its client leaves them to the server.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import CallRefused
from routerd.providers.bedrock import BedrockAdapter
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
from tests.daemon.providers.bedrock.parameters import as_parameters
from tests.daemon.providers.drive import ABLE, request
from tests.daemon.providers.schemas import SCHEMAS, is_open

session = pytest.importorskip(
    "botocore.session",
    reason="the vendors' own clients are not installed: requirements-vendors.lock",
)
from botocore.validate import ParamValidator  # noqa: E402 - behind the check that it is there

SERVICE = session.get_session().get_service_model("bedrock-runtime")
SHAPES = {
    name: SERVICE.operation_model(name).input_shape for name in ("Converse", "ConverseStream")
}

MODELS = (
    "us.anthropic.claude-opus-4-6-v1:0",
    "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    "amazon.nova-2-lite-v1:0",
    "amazon.nova-pro-v1:0",
    "openai.gpt-oss-120b-1:0",
    "meta.llama4-maverick-17b-instruct-v1:0",
    "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
)
TOOLS = [
    Tool("get_weather", "Tell the weather.", {"properties": {"city": {"type": "string"}}}),
    Tool("ping", "", {}, strict=True),
]


def with_schema(schema: dict[str, Any]) -> list[Tool]:
    """Return the tools, one of them with this schema."""
    return [TOOLS[1], Tool("get_weather", "Tell the weather.", schema, strict=True)]


texts = st.text(max_size=12)
words = st.text(min_size=1, max_size=80)
caches = st.none() | st.sampled_from(("5m", "1h"))
images = st.builds(
    Image,
    data=st.binary(min_size=1, max_size=4),
    media_type=st.sampled_from(("image/png", "image/jpeg", "image/gif", "image/webp", None)),
    cache=caches,
) | st.just(Image(url="data:image/png;base64,AAAA"))
documents = st.builds(
    Document,
    data=st.binary(min_size=1, max_size=4),
    media_type=st.sampled_from(("application/pdf", "text/plain", "text/csv", "text/html", None)),
    title=st.none() | st.text(max_size=230),
    cache=caches,
)
spoken = st.builds(Text, texts, cache=caches)
reasonings = st.builds(
    Reasoning,
    texts,
    st.sampled_from(("bedrock", "anthropic", "openai", "")),
    st.sampled_from(({}, {"signature": "S"}, {"redacted": "QUJD"}, {"id": "rs_1"}, {"x": None})),
)
arguments = st.sampled_from(("{}", "", '{"city":"Paris"}', "[1]", "not JSON", '{"a":"\\ud83d"}'))
calls = st.builds(ToolCall, words, st.sampled_from(("get_weather", "a.b", "x" * 90)), arguments)
results = st.builds(
    ToolResult,
    words,
    texts | st.lists(spoken | images, max_size=2),
    is_error=st.booleans(),
    cache=caches,
)
messages = st.one_of(
    st.builds(Message, st.just("system"), texts | st.lists(spoken, max_size=2)),
    st.builds(Message, st.just("user"), texts | st.lists(spoken | images | documents, max_size=3)),
    st.builds(
        Message, st.just("assistant"), texts | st.lists(spoken | reasonings | calls, max_size=4)
    ),
    st.builds(Message, st.just("tool"), st.lists(results, max_size=3)),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(1, 200_000),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "stop": st.lists(texts, max_size=3),
        "seed": st.integers(),
        "tools": st.just(TOOLS) | SCHEMAS.map(with_schema),
        "parallel_tool_calls": st.booleans(),
        "output_schema": SCHEMAS,
        "reasoning": st.sampled_from(("none", "minimal", "low", "high", "max")),
    },
)
choices = st.sampled_from((None, "auto", "none", "required", ToolName("ping")))


def check(chat: Any) -> dict[str, Any]:
    """Encode, and validate as the vendor's client does before it sends."""
    sent = BedrockAdapter().encode(chat)
    shape = SHAPES["ConverseStream" if chat.stream else "Converse"]
    body = msgspec.json.decode(sent.body)
    given_to_client = as_parameters(body | {"modelId": chat.model_id}, shape)
    report = ParamValidator().validate(given_to_client, shape)
    assert not report.has_errors(), report.generate_report()
    found: dict[str, Any] = body
    return found


def refuses(chat: Any) -> bool:
    """Tell whether a call is refused, as answers with what their schema does not name may be."""
    try:
        BedrockAdapter().encode(chat)
    except CallRefused as refused:
        assert refused.info.details["param"] == "options.output_schema"  # noqa: PT017 - either end is right
        return True
    return False


@given(
    st.sampled_from(MODELS),
    st.lists(messages, min_size=1, max_size=7),
    options,
    choices,
    st.booleans(),
)
def test_whatever_is_said_is_a_request_that_the_vendor_knows(
    model: str, said: list[Message], asked: dict[str, Any], choice: Any, stream: bool
) -> None:
    if isinstance(choice, ToolName) and "tools" not in asked:
        choice = None
    chat = request(model, said, stream=stream, tool_choice=choice, **asked)
    if is_open(asked.get("output_schema")) and refuses(chat):
        return
    body = check(chat)
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == [("user", "assistant")[number % 2] for number in range(len(roles))]
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    blocks += body.get("system", [])
    assert all(len(block) == 1 for block in blocks)
    assert sum("cachePoint" in block for block in blocks) <= 4
    names = [block["document"]["name"] for block in blocks if "document" in block]
    assert len(set(names)) == len(names)
    if any("toolUse" in block or "toolResult" in block for block in blocks):
        assert body["toolConfig"]["tools"]


@given(st.lists(calls, min_size=1, max_size=4, unique_by=lambda call: call.id))
def test_calls_and_their_results_have_the_same_ids(made: list[ToolCall]) -> None:
    said = [
        Message("user", "go"),
        Message("assistant", made),
        Message("tool", [ToolResult(call.id, "done") for call in made]),
    ]
    _, answer, told = check(request(MODELS[0], said, tools=[Tool("a", "words")]))["messages"]
    called = [block["toolUse"]["toolUseId"] for block in answer["content"]]
    assert called == [block["toolResult"]["toolUseId"] for block in told["content"]]
    assert len(set(called)) == len(made)


@given(st.sampled_from(MODELS), st.text(min_size=1, max_size=70))
def test_a_tool_is_sent_by_its_own_name_or_not_at_all(model: str, name: str) -> None:
    chat = request(model, tools=[Tool(name, "words")])
    try:
        body = check(chat)
    except CallRefused as refused:
        assert refused.info.code == "invalid_request"  # noqa: PT017 - either end is right
        assert not re.fullmatch("[a-zA-Z0-9_-]{1,64}", name)
    else:
        assert body["toolConfig"]["tools"][0]["toolSpec"]["name"] == name


def test_a_model_that_cannot_be_forced_gets_no_schema_by_a_tool() -> None:
    unable = msgspec.structs.replace(ABLE, forced_tool_choice=False)
    with pytest.raises(CallRefused):
        check(request("amazon.nova-pro-v1:0", output_schema={}, capabilities=unable))
