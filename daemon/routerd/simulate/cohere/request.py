"""A Chat request: read, checked as Cohere checks it, and turned into a `Question`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from routerd.simulate.cohere.errors import invalid
from routerd.simulate.exchange import Question, Refusal, Tool
from routerd.simulate.schema import ANY_OBJECT
from routerd.simulate.vendor import Prompt

__all__ = ["DOCUMENT_MARK", "read_question"]

Json = dict[str, Any]

# Thinking without a budget: made up, as is how much of a budget is used.
THINKING_TOKENS = 48
ROLES = ("system", "user", "assistant", "tool")
MOST_STOPS = 5
RANGES = {
    "temperature": (0, 2.0),
    "p": (0.01, 0.99),
    "k": (0, 500),
    "seed": (0, 2**64 - 1),
    "max_tokens": (1, 2**31),
}
# Stands in the prompt where documents do, so that an answer knows it has something to cite.
DOCUMENT_MARK = b'{"documents":'
CONTENT = {
    "system": ("text",),
    "user": ("text", "image_url"),
    "assistant": ("text", "thinking"),
    "tool": ("text", "document"),
}


class Message(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A message of the conversation."""

    role: str
    content: str | list[Json] | None = None
    tool_calls: list[Json] = []
    tool_plan: str | None = None
    tool_call_id: str | None = None
    citations: list[Json] = []


class ChatRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body: every field that there is, also those without an effect here."""

    model: str = ""
    messages: list[Message] = []
    stream: bool = False
    tools: list[Json] = []
    strict_tools: bool = False
    documents: list[Json | str] = []
    citation_options: Json = {}
    response_format: Json = {}
    safety_mode: str | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] = []
    temperature: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    k: int | None = None
    p: float | None = None
    logprobs: bool = False
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    thinking: Json = {}
    priority: int | None = None


DECODER = msgspec.json.Decoder(ChatRequest)
CHOICES: dict[str | None, Literal["auto", "none", "required"]] = {
    None: "auto",
    "NONE": "none",
    "REQUIRED": "required",
}


def read_question(data: bytes) -> Question:
    """Read the body of a request; raise `Refusal` as the vendor would."""
    body = decoded(data)
    check_messages(body)
    check_settings(body)
    prompt = Prompt()
    if body.documents:
        prompt.add({"documents": body.documents})
    for block in (*body.tools, *body.messages):
        prompt.add(block)
    last = body.messages[-1]
    return Question(
        model=body.model,
        said=next((text for one in reversed(body.messages) if (text := user_text(one))), ""),
        prompt=prompt.data,
        stream=body.stream,
        tools=tuple(offered(tool) for tool in body.tools),
        tool_choice=CHOICES[body.tool_choice],
        tools_answered=last.role == "tool",
        schema=wanted_schema(body),
        reasoning_tokens=thinking_tokens(body.thinking),
        reasoning_shown=True,
        limit=body.max_tokens,
        stops=tuple(body.stop_sequences),
        alternatives=0 if body.logprobs else None,
    )


def decoded(data: bytes) -> ChatRequest:
    """Decode the JSON; say what is wrong in the vendor's words."""
    try:
        return DECODER.decode(data)
    except msgspec.ValidationError as error:
        if "unknown field" in str(error):
            name = str(error).split("`")[1]
            message = f"unknown field: parameter '{name}' is not a valid field"
            raise Refusal(422, "", message) from None
        raise Refusal(422, "", f"invalid type: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"invalid json syntax: {error}") from None


def check_messages(body: ChatRequest) -> None:
    """Check the roles, what they hold, and that calls of tools and their results match."""
    if not body.model:
        raise invalid("a model parameter is required for this endpoint.")
    if not body.messages:
        raise invalid("invalid request: messages must not be empty")
    waiting: list[str] = []
    for place, message in enumerate(body.messages):
        check_content(message, place)
        if message.role == "tool":
            if message.tool_call_id is None:
                raise invalid("tool call id must be provided with tool message")
            if message.tool_call_id not in waiting:
                raise invalid("tool call id not found in previous tool calls")
            waiting.remove(message.tool_call_id)
            continue
        check_answered(waiting)
        waiting = [str(call.get("id")) for call in message.tool_calls]
        if len(set(waiting)) < len(waiting):
            raise invalid("cannot have duplicate tool ids")
    check_answered(waiting)
    if body.messages[-1].role not in ("user", "tool"):
        raise invalid("invalid request: the last message must be the user's or a tool's")


def check_content(message: Message, place: int) -> None:
    """Check one message by itself."""
    if message.role not in ROLES:
        raise invalid(
            f"invalid request: Invalid role in messages at index {place}. Role must be one of the "
            "following: user, assistant, system, tool"
        )
    if message.role == "system" and place:
        raise invalid("system turn must be the first in the list")
    if not message.content and not (message.role == "tool" or message.tool_calls):
        raise invalid("message must not be empty in a turn")
    if message.tool_calls and message.role != "assistant":
        raise invalid("invalid request: only the assistant calls tools")
    for call in message.tool_calls:
        if call.get("type") != "function":
            raise invalid("tool call must be of type function")
    parts = message.content if isinstance(message.content, list) else []
    for part in parts:
        if part.get("type") not in CONTENT[message.role]:
            raise invalid(f"invalid request: unexpected content type in a {message.role} message")
        if not part.get(str(part["type"])):
            raise invalid("message must not be empty in a turn")


def check_answered(waiting: list[str]) -> None:
    """Refuse a conversation that goes on while calls of tools wait for their results."""
    if waiting:
        raise invalid(
            "invalid request: An assistant message with 'tool_calls' must be followed by tool "
            "messages responding to each 'tool_call_id'. The following tool_call_ids did not have "
            f"response messages: {', '.join(waiting)}"
        )


def check_settings(body: ChatRequest) -> None:
    """Check what is not a message."""
    for name, (least, most) in RANGES.items():
        value = getattr(body, name)
        if value is not None and not least <= value <= most:
            told = f"invalid request: {name} must be between {least} and {most} inclusive."
            raise invalid(told)
    if len(body.stop_sequences) > MOST_STOPS:
        raise invalid(f"invalid request: at most {MOST_STOPS} stop sequences are allowed.")
    if body.tool_choice == "REQUIRED" and not body.tools:
        raise invalid("invalid request: tool_choice REQUIRED needs tools.")
    thinking = body.thinking
    if thinking and thinking.get("type") not in ("enabled", "disabled"):
        raise invalid("invalid request: thinking.type must be one of 'enabled' or 'disabled'")
    if not thinking.get("token_budget", 1) > 0:
        raise invalid("invalid request: thinking.token_budget must be a positive integer")
    if body.response_format.get("type", "text") != "text" and (body.tools or body.documents):
        beside = "tools" if body.tools else "RAG"
        raise invalid(f"invalid request: response_format is not supported with {beside}.")


def offered(tool: Json) -> Tool:
    """Read a tool that the caller offers."""
    function = tool.get("function") or {}
    if tool.get("type") != "function" or not isinstance(function.get("parameters"), dict):
        raise invalid("invalid request: a tool must be of type function and have parameters.")
    return Tool(function["name"], function["parameters"])


def thinking_tokens(thinking: Json) -> int:
    """Return how many tokens are thought: none where it was not asked for."""
    if thinking.get("type") != "enabled":
        return 0
    return min(int(thinking.get("token_budget", THINKING_TOKENS)), THINKING_TOKENS)


def wanted_schema(body: ChatRequest) -> Json | None:
    """Read the schema the answer must fit; any object for `json_object` alone."""
    wanted = body.response_format
    if wanted.get("type", "text") == "text":
        return None
    schema: Json | None = wanted.get("json_schema")
    return schema or ANY_OBJECT


def user_text(message: Message) -> str:
    """Return the text of a user message, its parts joined by newlines."""
    if message.role != "user" or message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part["text"] for part in message.content if part["type"] == "text")
