from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.simulate.schema import SchemaError, instance, loose_object


class Place(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=3, max_length=20)]
    kind: Literal["city", "river"]
    height: Annotated[float, msgspec.Meta(gt=-3.5, lt=1.0)]
    people: Annotated[int, msgspec.Meta(ge=10, multiple_of=4)] | None
    open: bool
    tags: Annotated[list[str], msgspec.Meta(min_length=2, max_length=3)]
    near: list[Place]
    parent: Place | None


@given(st.text(max_size=8))
def test_an_instance_fits_its_schema(seed: str) -> None:
    made = instance(msgspec.json.schema(Place), seed)
    msgspec.convert(made, Place)


@given(st.integers(-50, 50), st.integers(0, 30), st.integers(1, 7), st.text(max_size=3))
def test_an_integer_keeps_within_its_bounds(low: int, span: int, step: int, seed: str) -> None:
    high = low + span + step
    schema = {"type": "integer", "minimum": low, "exclusiveMaximum": high, "multipleOf": step}
    made = instance(schema, seed)
    assert low <= made < high + step
    assert made % step == 0
    if step == 1:
        assert made < high


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"const": [1]}, lambda made: made == [1]),
        ({"enum": ["a", 2]}, lambda made: made in ("a", 2)),
        ({"type": ["null", "integer"]}, lambda made: isinstance(made, int)),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, lambda made: isinstance(made, bool)),
        ({"oneOf": [{"type": "array", "items": {"type": "null"}}]}, lambda made: None in made),
        ({"properties": {"a": {"type": "null"}}}, lambda made: made == {"a": None}),
        ({"type": "object", "required": ["b"]}, lambda made: set(made) == {"b"}),
        ({"type": "string", "format": "date"}, lambda made: made.count("-") == 2),
        ({"type": "array", "prefixItems": [{"const": 7}], "items": False}, [7].__eq__),
        ({"type": "string", "minLength": 10**9}, lambda made: 10_000 <= len(made) < 11_000),
        ({"type": "array", "minItems": 10**9}, lambda made: len(made) == 100),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, lambda made: made >= 5),
        ({"type": "nonsense"}, lambda made: made is None),
        (True, lambda made: isinstance(made, str)),
    ],
)  # fmt: skip
def test_each_keyword_is_understood(schema: Any, fits: Any) -> None:
    for seed in "abcdef":
        assert fits(instance(schema, seed))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": 3},
        {"type": "integer", "minimum": "low"},
        {"type": "array", "minItems": None},
        {"allOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {
            "type": "object",
            "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
            "required": ["left", "right"],
        },
    ],
)
def test_what_is_no_schema_or_has_no_instance_is_said_so(schema: Any) -> None:
    with pytest.raises(SchemaError):
        instance(schema, "seed")


def test_an_object_that_is_open_to_more_is_found() -> None:
    inner: dict[str, Any] = {"type": "object"}
    closed = {"type": "object", "additionalProperties": False, "properties": {"a": inner}}
    assert loose_object({"type": "object"}) == "$"
    assert loose_object(closed) == "$.properties.a"
    inner["additionalProperties"] = False
    assert loose_object(closed) is None
    assert loose_object({"anyOf": [closed, {"type": ["object", "null"]}]}) == "$.anyOf[1]"
