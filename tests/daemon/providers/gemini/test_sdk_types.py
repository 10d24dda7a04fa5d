"""Arbitrary conversations through the adapter, held against the vendor's own client.

The client's types read what the adapter wrote, strictly; then the client writes the same request in
its own way, and both are compared.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.providers.gemini import GeminiAdapter
from routerd_proto.content import Content, Message, Reasoning, ToolCall, ToolName
from tests.daemon.providers.conversations import TOOLS, conversations
from tests.daemon.providers.drive import ABLE, encoded, request
from tests.daemon.providers.schemas import SCHEMAS

genai = pytest.importorskip(
    "google.genai", reason="the vendors' own clients are not installed: requirements-vendors.lock"
)
types = pytest.importorskip("google.genai.types")

ADAPTER = GeminiAdapter()
MODELS = ("gemini-4-argon", "gemini-3.1-pro-preview", "gemini-2.5-flash", "gemini-2.0-flash")
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 3),
        "top_p": st.floats(0, 1),
        "seed": st.integers(-5, 2**65),
        "stop": st.lists(st.text(max_size=3), max_size=7),
        "max_output_tokens": st.integers(1, 100_000),
        "parallel_tool_calls": st.booleans(),
        "reasoning": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        "logprobs": st.integers(0, 20),
    },
)
# What earlier answers of Gemini itself leave in a history.
OWN = st.sampled_from(
    [
        {"on": "thought", "signature": "dGhvdWdodA=="},
        {"on": "text", "signature": "dGV4dA+/"},
        {"on": "empty", "signature": "ZW1wdHk="},
        {"on": "part", "part": {"executableCode": {"code": "1", "language": "PYTHON"}}},
        {"on": "part", "part": {"inlineData": {"mimeType": "image/png", "data": "AA=="}}},
    ]
)
SPOKEN = {
    "contents": "a list",
    "systemInstruction": "of the config",
    "tools": "of the config",
    "toolConfig": "of the config",
    "generationConfig": "the config",
    "continuationToken": "of the config",
}

# What callers and models wrote, whose names are their own.
AS_GIVEN = ("args", "response", "parametersJsonSchema", "responseJsonSchema")
# Some names are sent as they are called in the client's own language.
SNAKE = re.compile(r"_([a-z])")


class Kept:
    """The last request that the client sent."""

    body: Any = None

    def __call__(self, sent: httpx.Request) -> httpx.Response:
        self.body = json.loads(sent.content)
        return httpx.Response(200, json={"candidates": [{"finishReason": "STOP"}]})


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[Any, Kept]]:
    kept = Kept()
    with httpx.Client(transport=httpx.MockTransport(kept)) as opened:
        options = types.HttpOptions(base_url="http://none", httpx_client=opened)
        yield genai.Client(api_key="test", http_options=options), kept


def plain(value: Any, at: str = "") -> Any:
    """Return a request without what the client writes differently and the server reads alike."""
    if at in ("data", "thoughtSignature", "continuationToken"):
        return base64.urlsafe_b64decode(value.replace("+", "-").replace("/", "_"))
    if isinstance(value, dict) and at not in AS_GIVEN:
        named = {SNAKE.sub(lambda found: found[1].upper(), key): value[key] for key in value}
        return {key: plain(item, key) for key, item in named.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def with_own(message: Message, drawn: Any) -> Message:
    """Put what only Gemini can read among the parts of an answer."""
    if message.role != "assistant" or isinstance(message.content, str):
        return message
    content: list[Content] = []
    for part in message.content:
        if isinstance(part, ToolCall) and drawn.draw(st.booleans()):
            data = {"on": "call", "call": part.id, "signature": "Y2FsbA=="}
            content.append(Reasoning("", "gemini", data))
        content.append(part)
        if drawn.draw(st.booleans()):
            content.append(Reasoning("", "gemini", drawn.draw(OWN)))
    return replace(message, content=content)


@given(conversations(documents="anywhere"), TOOLS, OPTIONS, st.sampled_from(MODELS), st.data())
def test_every_request_is_one_that_the_client_sends_too(
    client: tuple[Any, Kept], messages: list[Message], tools: Any, options: Any, model: str,
    data: Any,
) -> None:  # fmt: skip
    names = [ToolName(tool.name) for tool in tools]
    # Before Gemini 3 a schema does not go together with tools, and is refused.
    schemas = st.none() if tools and model in MODELS[2:] else st.none() | SCHEMAS
    choices = [None, "auto", "none", *(["required", *names] if tools else [])]
    chat = request(
        model,
        [with_own(message, data) for message in messages],
        capabilities=replace(ABLE, logprobs=True),
        output_limit=64_000,
        tools=tools,
        tool_choice=data.draw(st.sampled_from(choices)),
        output_schema=data.draw(schemas),
        **options,
    )
    body, _ = encoded(ADAPTER, chat)
    assert body.keys() <= SPOKEN.keys()
    contents = [
        types.Content.model_validate_json(json.dumps(turn), strict=True)
        for turn in body["contents"]
    ]
    beside = {key: value for key, value in body.items() if SPOKEN[key] == "of the config"}
    config = types.GenerateContentConfig.model_validate_json(
        json.dumps(body.get("generationConfig", {}) | beside), strict=True
    )
    opened, kept = client
    opened.models.generate_content(model=model, contents=contents, config=config)
    if not kept.body["generationConfig"]:
        del kept.body["generationConfig"]
    assert plain(kept.body) == plain(body)
