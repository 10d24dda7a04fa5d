"""A Responses request: read, checked as OpenAI checks it, and turned into a `Question`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from routerd.simulate.exchange import JsonSchema, Question, Refusal, Tool
from routerd.simulate.openai.errors import INVALID, invalid, missing, unsupported
from routerd.simulate.openai.request import REASONING_TOKENS
from routerd.simulate.openai.responses.body import Item, ResponsesRequest, TextFormat, decoded
from routerd.simulate.openai.responses.seal import is_sealed
from routerd.simulate.schema import ANY_OBJECT, loose_object
from routerd.simulate.vendor import Prompt

__all__ = ["read_question"]

LEAST_OUTPUT_TOKENS = 16
ROLES = ("assistant", "system", "developer", "user")
USER_PARTS = ("input_text", "input_image", "input_file")
SPOKEN_PARTS = ("output_text", "refusal")
ITEMS = ("message", "function_call", "function_call_output", "reasoning")
INCLUDES = ("reasoning.encrypted_content", "message.output_text.logprobs")
SUMMARIES = ("auto", "concise", "detailed")
FORMATS = ("text", "json_object", "json_schema")


def read_question(data: bytes) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    body = decoded(data)
    if not body.model:
        raise missing("model")
    items = checked_items(body)
    check_settings(body)
    prompt = Prompt()
    for block in (*(body.tools or ()), body.instructions):
        if block is not None:
            prompt.add(block)
    for item in items:
        prompt.add(*countable(item))
    choice, named = tool_choice(body)
    thinking, last = body.reasoning, items[-1]
    shows_logprobs = "message.output_text.logprobs" in (body.include or ())
    options = body.stream_options
    return Question(
        model=body.model,
        said=next((text for one in reversed(items) if (text := user_text(one))), ""),
        prompt=prompt.data,
        stream=bool(body.stream),
        tools=offered(body),
        tool_choice=choice,
        tool_named=named,
        tools_answered=last.type == "function_call_output",
        prefilled=last.type == "message" and last.role == "assistant",
        parallel_calls=body.parallel_tool_calls is not False,
        schema=wanted_schema(body.text.format if body.text else None),
        reasoning_tokens=REASONING_TOKENS[(thinking and thinking.effort) or "none"],
        reasoning_shown=bool(thinking and thinking.summary),
        limit=body.max_output_tokens,
        padded=options is None or options.include_obfuscation is not False,
        alternatives=(body.top_logprobs or 0) if shows_logprobs else None,
    )


def checked_items(body: ResponsesRequest) -> list[Item]:
    """Check the items by themselves, and that calls, results and reasoning go together."""
    if isinstance(body.input, str):
        return [Item(role="user", content=body.input)]
    if body.input is None:
        raise missing("input")
    if not body.input:
        raise invalid("Input must have at least one item.", "empty_array", "input")
    for number, item in enumerate(body.input):
        check_item(item, f"input[{number}]")
    check_calls(body.input)
    check_reasoning(body.input)
    return body.input


def check_item(item: Item, place: str) -> None:
    """Check one item by itself."""
    if item.type not in ITEMS:
        raise unsupported(item.type, ITEMS, f"{place}.type")
    needed = {
        "message": ("role", "content"),
        "function_call": ("call_id", "name", "arguments"),
        "function_call_output": ("call_id", "output"),
        "reasoning": ("summary",),
    }
    for name in needed[item.type]:
        if getattr(item, name) is None:
            raise missing(f"{place}.{name}")
    if item.type == "message":
        check_message(item, place)


def check_message(item: Item, place: str) -> None:
    """Check the role and the parts of a message."""
    if item.role not in ROLES:
        raise unsupported(str(item.role), ROLES, f"{place}.role")
    allowed = SPOKEN_PARTS if item.role == "assistant" else USER_PARTS
    for number, part in enumerate(item.content if isinstance(item.content, list) else ()):
        if part.type not in allowed:
            raise unsupported(part.type, allowed, f"{place}.content[{number}]")
        if part.file_data is not None and not part.file_data.startswith("data:"):
            raise invalid(
                "Invalid 'file_data': expected a data URL.",
                "invalid_value",
                f"{place}.content[{number}].file_data",
            )


def check_calls(items: list[Item]) -> None:
    """Check that every call has its result, and every result its call."""
    called: set[str] = set()
    answered = {item.call_id for item in items if item.type == "function_call_output"}
    for item in items:
        if item.type == "function_call":
            called.add(item.call_id or "")
            if item.call_id not in answered:
                raise invalid(
                    f"No tool output found for function call {item.call_id}.", param="input"
                )
        elif item.type == "function_call_output" and item.call_id not in called:
            raise invalid(
                f"No tool call found for function call output with call_id {item.call_id}.",
                param="input",
            )


def check_reasoning(items: list[Item]) -> None:
    """Check that reasoning is this server's, and that what came after it is there."""
    for item, after in zip(items, [*items[1:], None], strict=True):
        if item.type != "reasoning":
            continue
        if item.encrypted_content is None:
            raise Refusal(
                404,
                INVALID,
                f"Item with id '{item.id}' not found. Items are not persisted when `store` is set "
                "to false. Try again with `store` set to true, or remove this item from your "
                "input.",
                param="input",
            )
        if not is_sealed(item.encrypted_content):
            raise invalid(
                f"The encrypted content for item {item.id} could not be verified.",
                "invalid_encrypted_content",
            )
        follows = after is not None and (
            after.type in ("function_call", "reasoning") or after.role == "assistant"
        )
        if not follows:
            raise invalid(
                f"Item '{item.id}' of type 'reasoning' was provided without its required "
                "following item.",
                param="input",
            )


def check_settings(body: ResponsesRequest) -> None:
    """Check what is not an item."""
    if body.previous_response_id is not None:
        raise invalid(
            f"Previous response with id '{body.previous_response_id}' not found.",
            "previous_response_not_found",
            "previous_response_id",
        )
    if body.background:
        raise invalid("The simulator answers at once only.", "unsupported_value", "background")
    limit = body.max_output_tokens
    if limit is not None and limit < LEAST_OUTPUT_TOKENS:
        raise invalid(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{LEAST_OUTPUT_TOKENS}, but got {limit} instead.",
            "integer_below_min_value",
            "max_output_tokens",
        )
    for name in body.include or ():
        if name not in INCLUDES:
            raise unsupported(name, INCLUDES, "include")
    if (thinking := body.reasoning) is not None:
        if thinking.effort is not None and thinking.effort not in REASONING_TOKENS:
            raise unsupported(thinking.effort, tuple(REASONING_TOKENS), "reasoning.effort")
        if thinking.summary is not None and thinking.summary not in SUMMARIES:
            raise unsupported(thinking.summary, SUMMARIES, "reasoning.summary")
    check_format(body.text.format if body.text else None)


def check_format(wanted: TextFormat | None) -> None:
    """Check the shape of the answer that is asked for."""
    if wanted is None:
        return
    if wanted.type not in FORMATS:
        raise unsupported(wanted.type, FORMATS, "text.format.type")
    if wanted.type != "json_schema":
        return
    for name in ("name", "schema"):
        if getattr(wanted, name) is None:
            raise missing(f"text.format.{name}")
    if wanted.strict and (place := loose_object(wanted.schema)) is not None:
        raise invalid(
            f"Invalid schema for response_format '{wanted.name}': 'additionalProperties' is "
            f"required to be supplied and to be false ({place}).",
            "invalid_json_schema",
            "text.format.schema",
        )


def tool_choice(
    body: ResponsesRequest,
) -> tuple[Literal["auto", "none", "required", "named"], str]:
    """Read `tool_choice`: how, and which tool by name."""
    match body.tool_choice:
        case None:
            return "auto", ""
        case ("auto" | "none" | "required") as chosen if chosen != "required" or body.tools:
            return chosen, ""
        case {"type": "function", "name": str(name)}:
            if name not in [tool.name for tool in body.tools or ()]:
                raise invalid(
                    f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice"
                )
            return "named", name
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode}:
            return mode, ""
        case "required":
            raise invalid(
                "Tool choice 'required' must be specified with 'tools' parameter.",
                param="tool_choice",
            )
        case other:
            raise unsupported(str(other), ("none", "auto", "required"), "tool_choice")


def offered(body: ResponsesRequest) -> tuple[Tool, ...]:
    """Read the caller's functions; of `allowed_tools` only those."""
    tools: list[Tool] = []
    for number, tool in enumerate(body.tools or ()):
        if tool.type == "function":
            if tool.name is None:
                raise missing(f"tools[{number}].name")
            # The API is strict where it is not told otherwise, as far as the schema lets it.
            if tool.strict and (place := loose_object(tool.parameters)) is not None:
                raise invalid(
                    f"Invalid schema for function '{tool.name}': 'additionalProperties' is "
                    f"required to be supplied and to be false ({place}).",
                    "invalid_function_parameters",
                    f"tools[{number}].parameters",
                )
            tools.append(Tool(tool.name, tool.parameters or {"type": "object"}))
    match body.tool_choice:
        case {"type": "allowed_tools", "tools": [*entries]}:
            allowed = [entry.get("name") for entry in entries if isinstance(entry, dict)]
            tools = [tool for tool in tools if tool.name in allowed]
    return tuple(tools)


def wanted_schema(wanted: TextFormat | None) -> JsonSchema | None:
    """Read the schema the answer must fit; any object for `json_object`."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ANY_OBJECT
    return wanted.schema or {"type": "object"}


def user_text(item: Item) -> str:
    """Return the text of a user message, its parts joined by newlines."""
    if item.role != "user" or item.content is None:
        return ""
    if isinstance(item.content, str):
        return item.content
    return "\n".join(part.text for part in item.content if part.type == "input_text")


def countable(item: Item) -> list[Any]:
    """Return the item without its images and files, and then each of those."""
    attached: list[str] = []
    texts: list[str] = []
    for value in (item.content, item.output):
        for part in value if isinstance(value, list) else ():
            if data := part.image_url or part.file_data or part.file_url or part.file_id:
                attached.append(data)
            else:
                texts.append(part.text or part.refusal)
    if not attached:
        return [item]
    bare = msgspec.structs.replace(item, content=None, output=None)
    return [[bare, texts], *attached]
