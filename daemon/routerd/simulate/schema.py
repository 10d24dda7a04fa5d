"""An instance of a JSON schema: what a simulated model fills in for tools and structured answers.

Pure, and the same for the same seed. It knows what the vendors' structured outputs know: types,
properties, items, enum, const, anyOf, oneOf, allOf, local $ref, and the common limits and formats.
`pattern`, `not` and `if` are not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from routerd.simulate.exchange import JsonSchema

__all__ = ["ANY_OBJECT", "SchemaError", "instance", "loose_object"]

ANY_OBJECT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
}
"""What is answered where JSON is wanted, and no schema says which."""

DEEPEST = 6  # beyond this a schema that contains itself gets its shortest end
MOST_VALUES = 10_000  # nothing fits a schema that must contain itself: stop somewhere
MOST_ITEMS = 100
LONGEST_TEXT = 10_000
WORDS = ("amber", "birch", "copper", "delta", "ember", "fjord", "grün", "harbour", "İzmir", "日本")
FORMATS = {
    "date": "2026-03-14",
    "date-time": "2026-03-14T09:26:53Z",
    "time": "09:26:53Z",
    "duration": "PT90S",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "uuid": "6f1b4ac2-7d3e-4a51-9c0d-2f8e5b7a9c11",
}


class SchemaError(ValueError):
    """What was given is no JSON schema."""


NOT_A_SCHEMA = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Dice:
    """A row of choices that depends on the seed alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._thrown = 0

    def throw(self, sides: int) -> int:
        """Return a number from 0 to `sides` - 1."""
        self._thrown += 1
        digest = hashlib.sha256(b"%d:%b" % (self._thrown, self._seed)).digest()
        return int.from_bytes(digest[:8]) % sides


def instance(schema: JsonSchema, seed: str) -> Any:
    """Make plain JSON data that fits the schema; another seed makes other data.

    Raises `SchemaError`.
    """
    root = schema if isinstance(schema, Mapping) else {}
    try:
        return _Maker(root, Dice(seed)).make(schema, 0)
    except NOT_A_SCHEMA as error:
        raise SchemaError(f"not a JSON schema: {error}") from error


class _Maker:
    def __init__(self, root: Mapping[str, Any], dice: Dice) -> None:
        self._root = root
        self._dice = dice
        self._made = 0

    def make(self, wanted: JsonSchema, depth: int) -> Any:
        schema = self._resolved(wanted)
        self._made += 1
        if self._made > MOST_VALUES:
            raise SchemaError("nothing of a sensible size fits it")
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("enum"):
            return choices[self._dice.throw(len(choices))]
        if branches := schema.get("anyOf") or schema.get("oneOf"):
            return self.make(self._branch(schema, branches, depth), depth + 1)
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "string": lambda: self._string(schema),
            "integer": lambda: self._integer(schema),
            "number": lambda: self._number(schema),
            "boolean": lambda: bool(self._dice.throw(2)),
            "null": lambda: None,
        }
        return makers.get(self._kind(schema), makers["null"])()

    def _resolved(self, schema: JsonSchema) -> Mapping[str, Any]:
        """Follow local references and join `allOf`, so that one mapping says all."""
        if not isinstance(schema, Mapping):
            return {}
        followed = 0
        while isinstance(reference := schema.get("$ref"), str) and followed < 100:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._lookup(reference), **rest}
            followed += 1
        joined = dict(schema)
        for part in joined.pop("allOf", ()):
            for key, value in self._resolved(part).items():
                if key == "properties":
                    joined[key] = {**joined.get(key, {}), **value}
                elif key == "required":
                    joined[key] = [*joined.get(key, ()), *value]
                else:
                    joined.setdefault(key, value)
        return joined

    def _lookup(self, reference: str) -> Mapping[str, Any]:
        place: Any = self._root
        for step in reference.removeprefix("#").split("/"):
            if step:
                step = step.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - unescaped
                place = place.get(step) if isinstance(place, Mapping) else None
        return place if isinstance(place, Mapping) else {}

    def _branch(
        self, schema: Mapping[str, Any], branches: Sequence[JsonSchema], depth: int
    ) -> Mapping[str, Any]:
        """Choose the first branch that says something; deep down the one that ends soonest."""
        around = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf"}}
        choices = [self._resolved(branch) for branch in branches]
        if depth >= DEEPEST:
            order = {"null": 0, "boolean": 1, "integer": 1, "number": 1, "string": 1, "array": 2}
            chosen = min(choices, key=lambda choice: order.get(self._kind(choice), 3))
        else:
            chosen = next((c for c in choices if self._kind(c) != "null"), choices[0])
        return {**around, **chosen}

    def _kind(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return next((one for one in kind if one != "null"), "null")
        if isinstance(kind, str):
            return kind
        for key, implied in (("properties", "object"), ("items", "array"), ("minimum", "number")):
            if key in schema:
                return implied
        return "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, JsonSchema] = schema.get("properties", {})
        required = dict.fromkeys(schema.get("required", ()))
        names = required if depth >= DEEPEST else {**dict.fromkeys(properties), **required}
        return {name: self.make(properties.get(name, {}), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least = min(schema.get("minItems", 0), MOST_ITEMS)
        most = schema.get("maxItems", max(least, 3))
        wanted = least if depth >= DEEPEST else min(most, max(least, 1 + self._dice.throw(2)))
        fixed = schema.get("prefixItems", ())
        items = [self.make(one, depth + 1) for one in fixed[:most]]
        rest = schema.get("items", True)
        while rest is not False and len(items) < wanted:
            items.append(self.make(rest, depth + 1))
        return items

    def _string(self, schema: Mapping[str, Any]) -> str:
        if (known := FORMATS.get(schema.get("format", ""))) is not None:
            return known
        text = WORDS[self._dice.throw(len(WORDS))]
        while len(text) < min(schema.get("minLength", 0), LONGEST_TEXT):
            text += " " + WORDS[self._dice.throw(len(WORDS))]
        return text[: schema["maxLength"]] if "maxLength" in schema else text

    def _integer(self, schema: Mapping[str, Any]) -> int:
        step = schema.get("multipleOf", 1)
        low, high = self._bounds(schema, step)
        first = -(-low // step)
        return int(step * (first + self._dice.throw(max(int(high // step - first), 0) + 1)))

    def _number(self, schema: Mapping[str, Any]) -> float:
        if "multipleOf" in schema:
            step = schema["multipleOf"]
            low, high = self._bounds(schema, step)
            first = int(-(-low // step))
            return float(step * (first + self._dice.throw(max(int(high // step) - first, 0) + 1)))
        low, high = self._bounds(schema, 0)
        # Between a tenth and nine tenths of the way: never on an excluded bound.
        return float(low + (high - low) * (1 + self._dice.throw(9)) / 10)

    def _bounds(self, schema: Mapping[str, Any], step: float) -> tuple[float, float]:
        """Return the least and the greatest value; `step` keeps away from an excluded bound."""
        low, high = schema.get("minimum"), schema.get("maximum")
        if (over := schema.get("exclusiveMinimum")) is not None:
            low = max(over + step, low) if low is not None else over + step
        if (under := schema.get("exclusiveMaximum")) is not None:
            high = min(under - step, high) if high is not None else under - step
        span = 100 * (step or 1)
        if low is None:
            low = 0 if high is None or high >= 0 else high - span
        if high is None:
            high = low + span
        return low, high


def loose_object(schema: object, place: str = "$") -> str | None:
    """Return where an object in the schema allows unnamed properties: strict outputs forbid it."""
    if isinstance(schema, list):
        found = (loose_object(one, f"{place}[{number}]") for number, one in enumerate(schema))
    elif isinstance(schema, Mapping):
        kind = schema.get("type")
        is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
        if is_object and schema.get("additionalProperties") is not False:
            return place
        found = (
            loose_object(value, f"{place}.{key}")
            for key, value in schema.items()
            if key not in {"enum", "const", "default", "examples"}
        )
    else:
        return None
    return next((one for one in found if one is not None), None)
