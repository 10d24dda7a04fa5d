"""Refuse what no model can serve, before anything is sent.

Rules of this file: pure; every refusal is the caller's to correct and names the place. What only
some models cannot take (an image, a tool) is not refused here: the plan drops those models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from routerd.errors import CallRefused
from routerd.telemetry.plain import MAX_NAME_CHARACTERS
from routerd_proto.content import (
    Content,
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
from routerd_proto.errors import error_info
from routerd_proto.frames import CallOptions

__all__ = ["check_request"]

ALLOWED_PARTS: Final[dict[str, tuple[type, ...]]] = {
    "system": (Text,),
    "user": (Text, Image, Document, ToolResult),
    "assistant": (Text, Reasoning, ToolCall),
    "tool": (ToolResult,),
}
NAMES: Final = ("tenant", "team", "agent", "user", "feature", "task")
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
SCHEMA_TYPES: Final = {"object", "array", "string", "number", "integer", "boolean", "null"}
SCHEMA_MAX_DEPTH: Final = 64
MAX_NESTING: Final = 200  # a level of a schema takes up to three of its objects and lists
MAX_STEP_CHARACTERS: Final = 60
SCHEMA_KEYWORDS: Final = {"type", "properties", "items", "enum", "const", "$ref"} | {
    "anyOf",
    "oneOf",
    "allOf",
}


class _Place(NamedTuple):
    """A place in a schema, written out only where something is refused there.

    Names are a stranger's: a long one above many others would be copied for each of them.
    """

    step: str
    above: _Place | None = None

    def __str__(self) -> str:
        steps: list[str] = []
        place: _Place | None = self
        while place is not None:
            steps.append(str(place.step)[:MAX_STEP_CHARACTERS])
            place = place.above
        return ".".join(reversed(steps))


def check_request(messages: list[Message], options: CallOptions) -> None:
    """Raise CallRefused for the first thing that cannot be meant."""
    if not messages:
        raise _refusal("messages", "is empty; expected at least one user message")
    if not any(message.role in ("user", "tool") for message in messages):
        raise _refusal("messages", "has no user message; there is nothing to answer")
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]", open_calls)
    _check_options(options)


def _check_message(message: Message, place: str, open_calls: set[str]) -> None:
    if isinstance(message.content, str):
        if message.role == "tool":
            raise _refusal(f"{place}.content", "a tool message holds tool_result parts")
        if not message.content:
            raise _refusal(f"{place}.content", "is empty")
        return
    if not message.content:
        raise _refusal(f"{place}.content", "is empty")
    allowed = ALLOWED_PARTS[message.role]
    for index, part in enumerate(message.content):
        at = f"{place}.content[{index}]"
        if not isinstance(part, allowed):
            names = ", ".join(sorted(_type_name(kind) for kind in allowed))
            raise _refusal(
                at, f"a {message.role} message cannot hold {_type_name(type(part))}; only {names}"
            )
        _check_part(part, at, open_calls)


def _check_part(part: Content, at: str, open_calls: set[str]) -> None:
    match part:
        case Image() | Document():
            _check_media(part, at)
        case ToolCall():
            if not TOOL_NAME.fullmatch(part.name):
                raise _refusal(f"{at}.name", "is not a tool name")
            open_calls.add(part.id)
        case ToolResult():
            if part.call_id not in open_calls:
                raise _refusal(f"{at}.call_id", "answers no tool call of an earlier message")
            if not isinstance(part.content, str):
                for index, inner in enumerate(part.content):
                    _check_part(inner, f"{at}.content[{index}]", open_calls)


def _check_media(part: Image | Document, at: str) -> None:
    if (part.url is None) == (part.data is None):
        raise _refusal(at, "needs exactly one of url and data")
    if part.url is not None and not part.url.startswith(("https://", "http://", "data:")):
        raise _refusal(f"{at}.url", "is not an http, https or data URL")
    if part.data is not None:
        if not part.media_type:
            raise _refusal(f"{at}.media_type", "is needed with data")
        if isinstance(part, Image) and not part.media_type.startswith("image/"):
            raise _refusal(f"{at}.media_type", "is not that of an image")


def _check_options(options: CallOptions) -> None:
    for name in NAMES:
        value = getattr(options, name)
        if value is not None and not 0 < len(value) <= MAX_NAME_CHARACTERS:
            raise _refusal(f"options.{name}", f"expected 1 to {MAX_NAME_CHARACTERS} characters")
    _check_range("max_output_tokens", options.max_output_tokens, 1, 10_000_000)
    _check_range("temperature", options.temperature, 0, 2)
    _check_range("top_p", options.top_p, 0, 1)
    if options.timeout is not None and not options.timeout > 0:
        raise _refusal("options.timeout", "is not above 0 seconds")
    if not all(options.stop):
        raise _refusal("options.stop", "holds an empty string")
    names = {tool.name for tool in options.tools}
    for index, tool in enumerate(options.tools):
        _check_tool(tool, f"options.tools[{index}]")
    if len(names) < len(options.tools):
        raise _refusal("options.tools", "holds two tools of the same name")
    choice = options.tool_choice
    if isinstance(choice, ToolName) and choice.name not in names:
        raise _refusal("options.tool_choice", f"names {choice.name!r:.80}, which is no given tool")
    if choice == "required" and not names:
        raise _refusal("options.tool_choice", "requires a tool, and none is given")
    if options.output_schema is not None:
        _check_schema(options.output_schema, _Place("options.output_schema"))


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise _refusal(f"options.{name}", f"is {value}; expected {low} to {high}")


def _check_tool(tool: Tool, at: str) -> None:
    if not TOOL_NAME.fullmatch(tool.name):
        raise _refusal(f"{at}.name", "expected 1 to 64 letters, digits, _ or -")
    if tool.parameters:
        if tool.parameters.get("type") != "object":
            raise _refusal(f"{at}.parameters", "is not a JSON schema of type object")
        _check_schema(tool.parameters, _Place(f"{at}.parameters"))


def _check_schema(schema: Any, at: _Place, depth: int = 0) -> None:
    """Refuse what is no JSON schema; what a keyword accepts beyond its shape is the vendor's."""
    if isinstance(schema, bool) and depth:
        return
    if not isinstance(schema, dict):
        raise _refusal(at, "is not a JSON schema: expected an object")
    if depth > SCHEMA_MAX_DEPTH:
        raise _refusal(at, f"is nested deeper than {SCHEMA_MAX_DEPTH}")
    if not depth:
        if not SCHEMA_KEYWORDS & schema.keys():
            raise _refusal(at, "is not a JSON schema: it says nothing about a type")
        _check_nesting(schema, at)
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if not isinstance(kind, str) or kind not in SCHEMA_TYPES:
            raise _refusal(_Place("type", at), f"{kind!r:.40} is no JSON type")
    _check_schema_lists(schema, at)
    for place, inner in _inner_schemas(schema, at):
        _check_schema(inner, place, depth + 1)


def _check_nesting(schema: dict[str, Any], at: _Place) -> None:
    """Refuse what later steps could not walk through, under keywords nobody knows too."""
    level: list[Any] = [schema]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _refusal(at, f"holds objects and lists nested deeper than {MAX_NESTING}")


def _check_schema_lists(schema: dict[str, Any], at: _Place) -> None:
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _refusal(_Place("required", at), "is not a list of names")
    if "enum" in schema and (not isinstance(schema["enum"], list) or not schema["enum"]):
        raise _refusal(_Place("enum", at), "is not a list of values")


def _inner_schemas(schema: dict[str, Any], at: _Place) -> Iterable[tuple[_Place, Any]]:
    for key in ("properties", "$defs", "definitions"):
        inner, place = schema.get(key, {}), _Place(key, at)
        if not isinstance(inner, dict):
            raise _refusal(place, "is not an object of schemas")
        yield from ((_Place(name, place), value) for name, value in inner.items())
    for key in ("anyOf", "oneOf", "allOf"):
        inner = schema.get(key, [])
        if not isinstance(inner, list) or (key in schema and not inner):
            raise _refusal(_Place(key, at), "is not a list of schemas")
        yield from ((_Place(f"{key}[{index}]", at), value) for index, value in enumerate(inner))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield _Place(key, at), schema[key]


def _type_name(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]


def _refusal(place: _Place | str, problem: str) -> CallRefused:
    text = str(place)
    return CallRefused(error_info("invalid_request", f"{text}: {problem}", details={"place": text}))
