"""What the vendors' strict modes ask of a JSON schema.

Rules of this file: schemas come from callers and may be anything. Nothing here raises, but for the
refusal of what cannot be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from routerd.providers.request import Notes, refusal

__all__ = ["closed", "closed_output", "is_strict"]

MAX_DEPTH: Final = 64
MAPS: Final = ("properties", "$defs", "definitions")
LISTS: Final = ("anyOf", "allOf", "oneOf", "prefixItems")
SINGLE: Final = ("items", "not", "additionalProperties", "if", "then", "else")


def is_strict(schema: dict[str, Any]) -> bool:
    """Return whether every object is closed and requires all its properties."""
    if schema.get("type") != "object":
        return False
    return all(_object_is_strict(inner) for inner in _schemas(schema, 0))


def closed_output(
    schema: dict[str, Any], notes: Notes, *, refuses_open: bool = True
) -> dict[str, Any]:
    """Return the schema of an answer for a provider that takes closed objects alone.

    What is said to be open cannot be closed without changing what is asked for: CallRefused, if the
    provider is known to refuse it.
    """
    if refuses_open and any(_is_open(inner) for inner in _schemas(schema, 0)):
        raise refusal(
            "this provider answers only by schemas whose objects name all their properties; this "
            "one has an object with additionalProperties: name them, or ask another model",
            param="options.output_schema",
        )
    result: dict[str, Any] = closed(schema)
    if result != schema:
        notes.add("additionalProperties: false was added to the output schema")
    return result


def closed(schema: Any, depth: int = 0) -> Any:
    """Return the schema with `additionalProperties: false` in every object that leaves it open."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in MAPS and isinstance(value, dict):
            result[key] = {name: closed(inner, depth + 1) for name, inner in value.items()}
        elif key in LISTS and isinstance(value, list):
            result[key] = [closed(inner, depth + 1) for inner in value]
        elif key in SINGLE:
            result[key] = closed(value, depth + 1)
        else:
            result[key] = value
    if _is_object(schema) and "additionalProperties" not in schema:
        result["additionalProperties"] = False
    return result


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_open(schema: dict[str, Any]) -> bool:
    return _is_object(schema) and schema.get("additionalProperties", False) is not False


def _object_is_strict(schema: dict[str, Any]) -> bool:
    if not _is_object(schema) and "properties" not in schema:
        return True
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return schema.get("additionalProperties") is False and all(
        name in required for name in properties
    )


def _schemas(schema: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield a schema and every schema inside it."""
    if not isinstance(schema, dict):
        return
    if depth > MAX_DEPTH:
        # Too deep to be judged: counted as an open object.
        yield {"type": "object"}
        return
    yield schema
    for key in MAPS:
        if isinstance(inner := schema.get(key), dict):
            for value in inner.values():
                yield from _schemas(value, depth + 1)
    for key in LISTS:
        if isinstance(inner := schema.get(key), list):
            for value in inner:
                yield from _schemas(value, depth + 1)
    for key in SINGLE:
        yield from _schemas(schema.get(key), depth + 1)
