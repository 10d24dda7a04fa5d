from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.errors import CallRefused
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import Adapter
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.json_schema import closed, is_strict
from routerd_proto.content import Tool
from tests.daemon.providers.drive import encoded, request
from tests.daemon.providers.schemas import CLOSED_SCHEMAS, SCHEMAS, is_open, schemas_in
from tests.daemon.providers.speaking import SPEAKERS, Speaker

STRING = {"type": "string"}


def strict_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (strict_object(), True),
        (strict_object(a=STRING, b=strict_object(c=STRING)), True),
        (strict_object(a={"type": "array", "items": strict_object()}), True),
        (strict_object(properties=STRING, items=STRING), True),
        ({**strict_object(a=STRING), "$defs": {"x": strict_object()}}, True),
        ({}, False),
        (STRING, False),
        ({**strict_object(a=STRING), "required": []}, False),
        ({**strict_object(a=STRING), "required": None}, False),
        ({**strict_object(a=STRING), "additionalProperties": True}, False),
        ({"type": "object", "properties": {}, "required": []}, False),
        (strict_object(a={"type": "object"}), False),
        (strict_object(a={"type": ["object", "null"]}), False),
        (strict_object(a={"type": "array", "items": {"type": "object"}}), False),
        (strict_object(a={"anyOf": [STRING, {"type": "object"}]}), False),
        ({**strict_object(), "$defs": {"x": {"type": "object"}}}, False),
        ({**strict_object(), "properties": []}, False),
    ],
)
def test_what_counts_as_strict(schema: dict[str, Any], strict: bool) -> None:
    assert is_strict(schema) is strict


def test_a_schema_too_deep_is_not_strict() -> None:
    schema: dict[str, Any] = strict_object()
    for _ in range(100):
        schema = strict_object(a=schema)
    assert not is_strict(schema)


ODD_SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["object", "string", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "anyOf",
                    "$defs",
                    "required",
                    "additionalProperties",
                    "a",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf"]), ODD_SCHEMAS))
def test_closing_twice_changes_nothing_more(schema: dict[str, Any]) -> None:
    once = closed(schema)
    assert closed(once) == once
    assert is_strict(once) in (True, False)


def test_closing_leaves_what_was_said_alone() -> None:
    schema = strict_object(a={"type": "object", "additionalProperties": {"type": "object"}})
    assert closed(schema)["properties"]["a"] == {
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": False},
    }


OPEN = {"type": "object", "additionalProperties": {"type": "integer"}}


@pytest.mark.parametrize(
    "schema",
    [
        OPEN,
        {"type": "object", "additionalProperties": True},
        strict_object(a=OPEN),
        strict_object(a={"type": "array", "items": OPEN}),
        strict_object(a={"anyOf": [{"type": "string"}, OPEN]}),
        {**strict_object(), "$defs": {"a": OPEN}},
    ],
)
@pytest.mark.parametrize(
    ("adapter", "model"),
    [(AnthropicAdapter(), "claude-sonnet-5-5"), (BedrockAdapter(), "anthropic.claude-opus-5-5")],
)
def test_an_open_schema_of_an_answer_is_refused_where_only_closed_ones_are_taken(
    adapter: Adapter, model: str, schema: dict[str, Any]
) -> None:
    with pytest.raises(CallRefused) as refused:
        adapter.encode(request(model, output_schema=schema))
    assert "additionalProperties" in refused.value.info.message


every_speaker = pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: speaker.name)
few = settings(max_examples=10)  # each wire takes as many


def sent_in(value: Any, key: str = "") -> Iterator[Any]:
    """Go through all objects of a body, and a schema that is sent as text."""
    if key == "schema" and isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, dict):
        yield value
        for name, item in value.items():
            yield from sent_in(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from sent_in(item)


@every_speaker
@few
@given(schema=SCHEMAS)
def test_the_schema_of_a_tool_is_sent_as_it_is_given(
    speaker: Speaker, schema: dict[str, Any]
) -> None:
    chat = request(speaker.model, tools=[Tool("look_up", "Looks up.", schema)])
    body, _ = encoded(speaker.build(), chat)
    # Where a schema without a type is made an object's, the type is at the front.
    as_given = {json.dumps(schema), json.dumps({"type": "object"} | schema)}
    assert any(json.dumps(sent) in as_given for sent in sent_in(body))


@every_speaker
@few
@given(schema=SCHEMAS)
def test_the_schema_of_an_answer_is_sent_as_it_is_given_or_closed(
    speaker: Speaker, schema: dict[str, Any]
) -> None:
    try:
        body, _ = encoded(speaker.build(), request(speaker.model, output_schema=schema))
    except CallRefused:
        assert speaker.name in ("anthropic", "bedrock")
        assert is_open(schema)
        return
    taken = schema
    if speaker.name in ("anthropic", "bedrock"):
        assert not is_open(schema)
        taken = closed(schema)
    # In its order too, in which the answer is written.
    assert any(json.dumps(sent) == json.dumps(taken) for sent in sent_in(body))


@given(CLOSED_SCHEMAS)
def test_what_is_closed_to_the_last_object_is_strict(schema: dict[str, Any]) -> None:
    assert is_strict(schema)
    assert closed(schema) == schema


@given(SCHEMAS)
def test_what_was_closed_says_so_in_every_object_and_nothing_else(schema: dict[str, Any]) -> None:
    once = closed(schema)
    for before, after in zip(schemas_in(schema), schemas_in(once), strict=True):
        added = {"additionalProperties": False} if before.get("type") == "object" else {}
        assert added | {key: before[key] for key in before} | after == after
        assert after.keys() == before.keys() | added.keys()


def test_an_open_schema_goes_out_where_nobody_is_known_to_refuse_it() -> None:
    body, _ = encoded(BedrockAdapter(), request("qwen.qwen3-32b-v1:0", output_schema=OPEN))
    structure = body["outputConfig"]["textFormat"]["structure"]
    assert json.loads(structure["jsonSchema"]["schema"]) == OPEN
