"""Refuse what is no JSON schema, in one walk over it.

Rules of this file: pure and without recursion, since a stranger chooses the depth. It runs on the
event loop for every call with tools, so a place is written out only where something is refused.
What a keyword accepts beyond its shape is the vendor's to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from routerd.errors import CallRefused
from routerd_proto.errors import error_info

__all__ = ["check_plain_data", "check_schema", "refusal"]

SCHEMA_TYPES: Final = {"object", "array", "string", "number", "integer", "boolean", "null"}
SCHEMA_MAX_DEPTH: Final = 64
MAX_NESTING: Final = 200  # a level of a schema takes up to three of its objects and lists
MAX_STEP_CHARACTERS: Final = 60
# A schema without any of these says nothing.
TELLING: Final = {"type", "properties", "items", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"}
CONTAINERS: Final = (dict, list)

# A step (a name, or a position) and the place it is taken from; a plain tuple, because one is made
# for every schema. Names are a stranger's: a long one is never copied for each below it.
Place = tuple[Any, Any]
# What is still to be looked at: a value, its place, how many schemas and how many objects and lists
# it is inside. A depth below 0 says that it is no schema but data.
Pending = list[tuple[Any, Place, int, int]]
DATA: Final = -1


def check_schema(schema: Any, at: str) -> None:
    """Raise CallRefused for the first place in a schema that makes it none."""
    place: Place = (at, None)
    if not isinstance(schema, dict):
        raise _refusal(place, "is not a JSON schema: expected an object")
    if not TELLING & schema.keys():
        raise _refusal(place, "is not a JSON schema: it says nothing about a type")
    _walk([(schema, place, 0, 0)])


def check_plain_data(data: Any, at: str) -> None:
    """Raise CallRefused where data holds what JSON cannot: keys that are no text, or any depth."""
    _walk([(data, (at, None), DATA, 0)])


def refusal(place: str, problem: str) -> CallRefused:
    """Build the exception that names the place of a caller's mistake."""
    message = f"{place}: {problem}"
    return CallRefused(error_info("invalid_request", message, details={"place": place}))


def _walk(pending: Pending) -> None:
    while pending:
        value, place, depth, nesting = pending.pop()
        if nesting >= MAX_NESTING and isinstance(value, CONTAINERS):
            raise _refusal(place, f"holds objects and lists nested deeper than {MAX_NESTING}")
        if depth == DATA:
            _take_data(value, place, nesting, pending)
        elif isinstance(value, dict):
            if depth > SCHEMA_MAX_DEPTH:
                raise _refusal(place, f"is nested deeper than {SCHEMA_MAX_DEPTH}")
            _take_schema(value, place, depth, nesting, pending)
        elif not isinstance(value, bool):
            raise _refusal(place, "is not a JSON schema: expected an object")


def _take_schema(
    schema: dict[Any, Any], place: Place, depth: int, nesting: int, pending: Pending
) -> None:
    for key, value in schema.items():
        take = KEYWORDS.get(key)
        if take is not None:
            take(value, (key, place), depth, nesting + 1, pending)
        elif not isinstance(key, str):
            raise _no_text(place)
        elif isinstance(value, CONTAINERS):
            pending.append((value, (key, place), DATA, nesting + 1))


def _take_types(value: Any, place: Place, _depth: int, _nesting: int, _pending: Pending) -> None:
    if isinstance(value, str) and value in SCHEMA_TYPES:
        return
    for kind in value if isinstance(value, list) else [value]:
        if not isinstance(kind, str) or kind not in SCHEMA_TYPES:
            raise _refusal(place, f"{kind!r:.40} is no JSON type")


def _take_names(value: Any, place: Place, _depth: int, _nesting: int, _pending: Pending) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _refusal(place, "is not a list of names")


def _take_values(value: Any, place: Place, _depth: int, nesting: int, pending: Pending) -> None:
    if not isinstance(value, list) or not value:
        raise _refusal(place, "is not a list of values")
    pending.append((value, place, DATA, nesting))


def _take_one(value: Any, place: Place, depth: int, nesting: int, pending: Pending) -> None:
    pending.append((value, place, depth + 1, nesting))


def _take_list(value: Any, place: Place, depth: int, nesting: int, pending: Pending) -> None:
    if not isinstance(value, list) or not value:
        raise _refusal(place, "is not a list of schemas")
    for index, inner in enumerate(value):
        pending.append((inner, (index, place), depth + 1, nesting + 1))


def _take_map(value: Any, place: Place, depth: int, nesting: int, pending: Pending) -> None:
    if not isinstance(value, dict):
        raise _refusal(place, "is not an object of schemas")
    for name, inner in value.items():
        if not isinstance(name, str):
            raise _no_text(place)
        pending.append((inner, (name, place), depth + 1, nesting + 1))


# Everything under another name is data that only has to be plain.
KEYWORDS: Final[dict[Any, Callable[[Any, Place, int, int, Pending], None]]] = {
    "type": _take_types,
    "required": _take_names,
    "enum": _take_values,
    **dict.fromkeys(("properties", "$defs", "definitions"), _take_map),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _take_list),
    **dict.fromkeys(("items", "additionalProperties"), _take_one),
}


def _take_data(value: Any, place: Place, nesting: int, pending: Pending) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise _no_text(place)
            if isinstance(inner, CONTAINERS):
                pending.append((inner, (key, place), DATA, nesting + 1))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, CONTAINERS):
                pending.append((inner, (index, place), DATA, nesting + 1))


def _no_text(place: Place) -> CallRefused:
    return _refusal(place, "holds a key that is not text")


def _refusal(place: Place, problem: str) -> CallRefused:
    return refusal(_written(place), problem)


def _written(place: Place) -> str:
    """Write a place as `options.output_schema.properties.a.anyOf[1]`."""
    steps: list[str] = []
    step: Place | None = place
    while step is not None:
        name, step = step
        if isinstance(name, int):
            steps.append(f"[{name}]")
        else:
            # The first one is ours, and stands whole.
            steps.append(name if step is None else f".{name[:MAX_STEP_CHARACTERS]}")
    return "".join(reversed(steps))
