"""Arbitrary JSON schemas, as callers write them for tools and for the shape of an answer.

Rules of this file: the outermost is an object, as every vendor asks. Objects within objects,
arrays, choices, constants, what may be null, and definitions that are referred to, from themselves
too. A schema is closed to the last object, as strict modes ask, or open in places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

__all__ = ["CLOSED_SCHEMAS", "SCHEMAS", "is_open", "schemas_in"]

Json = dict[str, Any]

# Some are words of JSON schema itself, which as names of properties mean nothing.
NAMES = st.sampled_from(["city", "a", "Straße", "type", "properties", "$ref", "first_name"])
WORDS = st.text(max_size=8)
DEFINED = ("node", "kind")
PLAIN = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "integer", "number", "boolean", "null"])},
        optional={"description": WORDS, "title": WORDS},
    ),
    st.sampled_from(
        [
            {"type": "string", "format": "date-time"},
            {"type": "string", "pattern": "^[a-z]+$", "maxLength": 9},
            {"type": "integer", "minimum": 0, "maximum": 10},
            {"type": ["string", "null"], "default": None},
            {"const": "x"},
        ]
    ),
    st.builds(
        lambda values: {"type": "string", "enum": values},
        st.lists(WORDS, min_size=1, max_size=3, unique=True),
    ),
    st.builds(lambda values: {"enum": values}, st.just([1, "one", None, True])),
    st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in DEFINED]),
)


def objects(inner: st.SearchStrategy[Any], *, closed: bool) -> st.SearchStrategy[Any]:
    """Draw an object with these as properties: closed, or whatever a caller leaves open."""
    return st.dictionaries(NAMES, inner, max_size=3).flatmap(lambda fields: _object(fields, closed))


def _object(fields: Json, closed: bool) -> st.SearchStrategy[Json]:
    names = list(fields)
    base = {"type": st.just("object"), "properties": st.just(fields)}
    if closed:
        every = {"required": st.just(names), "additionalProperties": st.just(value=False)}
        return st.fixed_dictionaries(base | every, optional={"description": WORDS})
    some = st.lists(st.sampled_from(names), unique=True) if names else st.just([])
    return st.fixed_dictionaries(
        base,
        optional={
            "required": some,
            "additionalProperties": st.sampled_from([False, True, {"type": "string"}]),
            "description": WORDS,
        },
    )


def _nested(*, closed: bool) -> st.SearchStrategy[Any]:
    return st.recursive(
        PLAIN,
        lambda inner: st.one_of(
            objects(inner, closed=closed),
            st.builds(lambda items: {"type": "array", "items": items}, inner),
            st.builds(
                lambda items, least: {"type": "array", "items": items, "minItems": least},
                inner,
                st.integers(0, 1),
            ),
            st.builds(lambda choices: {"anyOf": choices}, st.lists(inner, min_size=1, max_size=3)),
        ),
        max_leaves=6,
    )


@st.composite
def schemas(draw: Any, *, closed: bool) -> Json:
    """Draw a whole schema, with the definitions that any part of it may refer to."""
    nested = _nested(closed=closed)
    schema: Json = draw(objects(nested, closed=closed))
    if draw(st.booleans()):
        schema = schema | {"title": draw(WORDS)}
    # Before or behind what refers to it.
    if any("$ref" in inner for inner in schemas_in(schema)) or draw(st.booleans()):
        following = {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
        node = draw(_object({"next": following}, closed))
        defined = {"$defs": {"node": node, "kind": draw(nested)}}
        schema = defined | schema if draw(st.booleans()) else schema | defined
    return schema


CLOSED_SCHEMAS = schemas(closed=True)
"""Those that strict modes take."""
SCHEMAS = CLOSED_SCHEMAS | schemas(closed=False)


def schemas_in(schema: Any) -> Iterator[Json]:
    """Go through a schema and those inside it, not through what it is only called."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key in ("properties", "$defs"):
        for inner in schema.get(key, {}).values():
            yield from schemas_in(inner)
    for inner in schema.get("anyOf", ()):
        yield from schemas_in(inner)
    for key in ("items", "additionalProperties"):
        yield from schemas_in(schema.get(key))


def is_open(schema: Any) -> bool:
    """Tell whether anything in it may hold what it does not name."""
    return any(
        inner.get("additionalProperties", False) is not False for inner in schemas_in(schema)
    )
