from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import CallRefused
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import Adapter
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.json_schema import closed, is_strict
from tests.daemon.providers.drive import request

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


SCHEMAS = st.recursive(
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


@given(st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf"]), SCHEMAS))
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
