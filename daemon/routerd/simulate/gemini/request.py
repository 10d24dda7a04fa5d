"""A generateContent request: read, checked as Gemini checks it, and turned into a `Question`."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from routerd.simulate.exchange import Question, Tool
from routerd.simulate.gemini.errors import invalid
from routerd.simulate.schema import ANY_OBJECT
from routerd.simulate.vendor import Prompt

__all__ = ["read_question"]

Json = dict[str, Any]

# Reasoning by level: made up, in the order of the real ones.
THINKING_TOKENS = {"MINIMAL": 8, "LOW": 16, "MEDIUM": 48, "HIGH": 96, "XHIGH": 160}
MODES: dict[str, Literal["auto", "none", "required"]] = {
    "AUTO": "auto",
    "NONE": "none",
    "ANY": "required",
    "VALIDATED": "auto",
}


class Content(msgspec.Struct):
    """A turn of the conversation."""

    parts: list[Json]
    role: str = "user"


class GenerateRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body: the fields that have an effect here, and those that are let pass."""

    contents: list[Content] = []
    system_instruction: Content | None = None
    tools: list[Json] = []
    tool_config: Json = {}
    generation_config: Json = {}
    safety_settings: list[Json] = []
    cached_content: str | None = None
    service_tier: str | None = None


# Names are taken in either spelling; what stands in these is the caller's own.
SNAKE: Final = re.compile(r"_([a-z])")
OPAQUE: Final = ("args", "response", "parametersJsonSchema", "responseJsonSchema")


def read_question(data: bytes, model: str, *, stream: bool) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    try:
        body = msgspec.convert(camel(msgspec.json.decode(data)), GenerateRequest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from None
    check(body)
    prompt = Prompt()
    for block in (*body.tools, body.system_instruction, *body.contents):
        if block is not None:
            prompt.add(block)
    settings, last = body.generation_config, body.contents[-1]
    thinking = settings.get("thinkingConfig") or {}
    schema = settings.get("responseJsonSchema")
    if schema is None and settings.get("responseMimeType") == "application/json":
        schema = ANY_OBJECT
    tools, calling = offered(body), body.tool_config.get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames") or []
    named = len(allowed) == 1 and calling.get("mode") == "ANY"
    return Question(
        model=model,
        said=next((text for turn in reversed(body.contents) if (text := user_text(turn))), ""),
        prompt=prompt.data,
        stream=stream,
        tools=tuple(tool for tool in tools if not allowed or tool.name in allowed),
        tool_choice="named" if named else MODES[calling.get("mode", "AUTO")],
        tool_named=allowed[0] if named else "",
        tools_answered=any("functionResponse" in part for part in last.parts),
        prefilled=last.role == "model",
        schema=schema,
        reasoning_tokens=thinking_tokens(thinking),
        reasoning_shown=bool(thinking.get("includeThoughts")),
        limit=settings.get("maxOutputTokens"),
        stops=tuple(settings.get("stopSequences") or ()),
    )


def camel(value: Any) -> Any:
    """Spell the names in a request as they are documented."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {SNAKE.sub(lambda found: found[1].upper(), key): item for key, item in value.items()}
    return {key: item if key in OPAQUE else camel(item) for key, item in named.items()}


def check(body: GenerateRequest) -> None:
    """Check roles, settings, and that calls and their results match."""
    if not body.contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n")
    calls = 0
    for turn in body.contents:
        if turn.role not in ("user", "model"):
            raise invalid("Please use a valid role: user, model.")
        results = sum("functionResponse" in part for part in turn.parts)
        if turn.role == "user" and (calls or results) and results != calls:
            raise invalid(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )
        calls = sum("functionCall" in part for part in turn.parts)
    if body.generation_config.get("temperature", 0) > 2:
        raise invalid("temperature must be in the range [0.0, 2.0].")
    thinking = body.generation_config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    mode = (body.tool_config.get("functionCallingConfig") or {}).get("mode", "AUTO")
    if mode not in MODES:
        raise invalid(f"Invalid value at 'tool_config.function_calling_config.mode': {mode}")


def thinking_tokens(thinking: Json) -> int:
    """Return how many tokens of thoughts are made."""
    budget = thinking.get("thinkingBudget")
    if budget is not None:
        return 48 if budget < 0 else min(budget // 100, 160)
    return THINKING_TOKENS.get(thinking.get("thinkingLevel", ""), 0)


def offered(body: GenerateRequest) -> tuple[Tool, ...]:
    """Read the tools that the caller declares."""
    return tuple(
        Tool(entry["name"], entry.get("parametersJsonSchema") or {"type": "object"})
        for tool in body.tools
        for entry in tool.get("functionDeclarations") or ()
    )


def user_text(turn: Content) -> str:
    """Return the text of a user turn, its parts joined by newlines."""
    if turn.role != "user":
        return ""
    return "\n".join(part["text"] for part in turn.parts if isinstance(part.get("text"), str))
