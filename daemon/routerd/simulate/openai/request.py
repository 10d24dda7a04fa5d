"""A Chat Completions request: read, checked as OpenAI checks it, and turned into a `Question`."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from routerd.simulate.exchange import JsonSchema, Question, Tool
from routerd.simulate.openai.body import (
    ChatRequest,
    Message,
    ResponseFormat,
    StreamOptions,
    decoded,
)
from routerd.simulate.openai.errors import invalid, missing, unsupported
from routerd.simulate.openai.habits import OPENAI, Habits
from routerd.simulate.schema import ANY_OBJECT, loose_object
from routerd.simulate.vendor import Prompt

__all__ = ["REASONING_TOKENS", "read_question"]

# Hidden reasoning by effort: made up, in the order of the real ones.
REASONING_TOKENS = {
    "none": 0,
    "minimal": 8,
    "low": 16,
    "medium": 48,
    "high": 96,
    "xhigh": 160,
    "max": 256,
}
ROLES = ("system", "assistant", "user", "function", "tool", "developer")
USER_PARTS = ("text", "image_url", "input_audio", "file")
SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


def read_question(data: bytes, habits: Habits = OPENAI) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    body = decoded(data)
    if not body.model:
        raise invalid("you must provide a model parameter")
    messages = checked_messages(body, habits)
    check_settings(body, messages)
    prompt = Prompt()
    for tool in body.tools or ():
        prompt.add(tool)
    for message in messages:
        prompt.add(*countable(message))
    options = body.stream_options or StreamOptions()
    choice, named = tool_choice(body, habits)
    return Question(
        model=body.model,
        said=next((text for one in reversed(messages) if (text := user_text(one))), ""),
        prompt=prompt.data,
        stream=bool(body.stream),
        tools=offered(body),
        tool_choice=choice,
        tool_named=named,
        tools_answered=messages[-1].role == "tool",
        prefilled=messages[-1].role == "assistant",
        parallel_calls=body.parallel_tool_calls is not False,
        schema=wanted_schema(body.response_format),
        reasoning_tokens=REASONING_TOKENS[effort(body, habits)],
        reasoning_shown=habits.reasoning is not None,
        limit=body.max_completion_tokens or body.max_tokens,
        stops=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
        usage_in_stream=bool(options.include_usage),
        padded=habits is OPENAI and options.include_obfuscation is not False,
        alternatives=(body.top_logprobs or 0) if body.logprobs else None,
    )


def effort(body: ChatRequest, habits: Habits) -> str:
    """Tell how hard it thinks: as it is asked to, or as it does by itself."""
    if body.reasoning_effort is not None:
        return body.reasoning_effort
    is_off = (body.thinking or {}).get("type") == "disabled"
    unasked = habits.thinks and not is_off
    return "medium" if unasked or body.prompt_mode == "reasoning" else "none"


def checked_messages(body: ChatRequest, habits: Habits) -> list[Message]:
    """Check roles, parts, and that every tool call is answered right after it was made."""
    messages = body.messages
    if messages is None:
        raise missing("messages")
    if not messages:
        raise invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            "empty_array",
            "messages",
        )
    waiting: set[str] = set()
    answering = False
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        check_message(message, place, habits)
        check_habits(body, message, number, habits)
        if message.role == "tool":
            if not answering:
                raise invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'.",
                    param=f"messages.[{number}].role",
                )
            waiting.discard(message.tool_call_id or "")
            continue
        check_answered(waiting)
        waiting = {call.id for call in message.tool_calls or ()}
        answering = bool(waiting)
    check_answered(waiting)
    return messages


def check_answered(waiting: set[str]) -> None:
    """Refuse a conversation that goes on while tool calls wait for their results."""
    if waiting:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(sorted(waiting)),
            param="messages",
        )


def check_habits(body: ChatRequest, message: Message, number: int, habits: Habits) -> None:
    """Check what only some servers of the family ask for."""
    calls = message.tool_calls or ()
    if habits.short_ids:
        ids = [*(call.id for call in calls), *filter(None, [message.tool_call_id])]
        if not all(SHORT_ID.fullmatch(one) for one in ids):
            raise invalid("Tool call id must be a-z, A-Z, 0-9, with a length of 9.")
    thinks = effort(body, habits) != "none"
    if habits.wants_reasoning and thinks and calls and message.reasoning_content is None:
        raise invalid(
            "The reasoning_content in the thinking mode must be passed back to the API.",
            param=f"messages[{number}]",
        )


def check_message(message: Message, place: str, habits: Habits) -> None:
    """Check one message by itself."""
    if message.role not in ROLES:
        raise unsupported(message.role, ROLES, f"{place}.role")
    if message.role == "tool" and message.tool_call_id is None:
        raise missing(f"{place}.tool_call_id")
    if message.content is None and not (message.role == "assistant" and message.tool_calls):
        raise invalid(
            f"Invalid value for 'content': expected a string, got null. ({place}.content)",
            param=f"{place}.content",
        )
    if isinstance(message.content, list):
        allowed = USER_PARTS if message.role == "user" else ("text", "refusal")
        if message.role == "assistant" and habits.reasoning == "thinking":
            allowed = ("text", "thinking")
        for number, part in enumerate(message.content):
            if part.type not in allowed:
                raise unsupported(part.type, allowed, f"{place}.content[{number}].type")


def check_settings(body: ChatRequest, messages: list[Message]) -> None:
    """Check what is not a message."""
    if body.n not in (None, 1):
        raise invalid("The simulator gives one choice only.", "unsupported_value", "n")
    if body.stream_options is not None and not body.stream:
        raise invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    effort = body.reasoning_effort
    if effort is not None and effort not in REASONING_TOKENS:
        raise unsupported(effort, tuple(REASONING_TOKENS), "reasoning_effort")
    for name in ("max_tokens", "max_completion_tokens"):
        limit = getattr(body, name)
        if limit is not None and limit < 1:
            raise invalid(
                f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got "
                f"{limit} instead.",
                "integer_below_min_value",
                name,
            )
    if body.top_logprobs is not None and not body.logprobs:
        raise invalid(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )
    check_format(body.response_format, messages)


def check_format(wanted: ResponseFormat | None, messages: list[Message]) -> None:
    """Check the shape of the answer that is asked for."""
    if wanted is None:
        return
    if wanted.type not in {"text", "json_object", "json_schema"}:
        kinds = ("json_object", "json_schema", "text")
        raise unsupported(wanted.type, kinds, "response_format.type")
    if wanted.type == "json_schema" and wanted.json_schema is None:
        raise missing("response_format.json_schema")
    named = wanted.json_schema
    if named and named.strict and (place := loose_object(named.schema)) is not None:
        raise invalid(
            "Invalid schema for response_format: 'additionalProperties' is required to be supplied "
            f"and to be false ({place}).",
            param="response_format",
        )
    if wanted.type == "json_object" and b"json" not in msgspec.json.encode(messages).lower():
        raise invalid(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            param="messages",
        )


def tool_choice(
    body: ChatRequest, habits: Habits
) -> tuple[Literal["auto", "none", "required", "named"], str]:
    """Read `tool_choice`: how, and which tool by name."""
    match body.tool_choice:
        case "any" if habits.any_tool and body.tools:
            return "required", ""
        case None:
            return "auto", ""
        case ("auto" | "none" | "required") as chosen if chosen == "none" or body.tools:
            return chosen, ""
        case {"type": "function", "function": {"name": str(name)}}:
            if name not in [tool.name for tool in offered(body)]:
                raise invalid(
                    f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice"
                )
            return "named", name
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode}}:
            return mode, ""
        case "auto" | "required":
            raise invalid(
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
                "specified.",
                param="tool_choice",
            )
        case other:
            raise unsupported(str(other), ("none", "auto", "required"), "tool_choice")


def offered(body: ChatRequest) -> tuple[Tool, ...]:
    """Read the tools; of `allowed_tools` only those."""
    for number, tool in enumerate(body.tools or ()):
        if tool.function is None:
            raise missing(f"tools[{number}].function")
    tools = [
        Tool(tool.function.name, tool.function.parameters or {"type": "object"})
        for tool in body.tools or ()
        if tool.function is not None
    ]
    match body.tool_choice:
        case {"allowed_tools": {"tools": [*entries]}}:
            allowed = [allowed_name(entry) for entry in entries]
            tools = [tool for tool in tools if tool.name in allowed]
    return tuple(tools)


def allowed_name(entry: object) -> str:
    """Read an entry of `allowed_tools`."""
    match entry:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case other:
            raise unsupported(str(other), ("function",), "tool_choice.allowed_tools.tools")


def wanted_schema(wanted: ResponseFormat | None) -> JsonSchema | None:
    """Read the schema the answer must fit; any object for `json_object`."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object" or wanted.json_schema is None:
        return ANY_OBJECT
    return wanted.json_schema.schema or {"type": "object"}


def user_text(message: Message) -> str:
    """Return the text of a user message, its parts joined by newlines."""
    if message.role != "user" or message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if part.type == "text")


def countable(message: Message) -> list[Any]:
    """Return the message without its images and files, and then each of those."""
    if not isinstance(message.content, list):
        return [message]
    attached: list[str] = []
    texts: list[str] = []
    for part in message.content:
        if data := part.image_url or part.input_audio or part.file:
            attached.append(msgspec.json.encode(data).decode())
        else:
            texts.append(part.text or part.refusal)
    bare = {"role": message.role, "content": texts, "tool_calls": message.tool_calls}
    return [bare, *attached]
