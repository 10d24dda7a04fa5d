"""Refuse what no model can serve, before anything is sent.

Rules of this file: pure; every refusal is the caller's to correct and names the place. What only
some models cannot take (an image, a tool) is not refused here: the plan drops those models.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Any, Final

from routerd.classify.schemas import check_plain_data, check_schema, refusal
from routerd.providers.raw import beyond_hold, forbidden_parameter
from routerd.settings import SHADOW_PREFIX
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
from routerd_proto.frames import CallOptions

__all__ = ["check_beyond_hold", "check_options", "check_request"]

ALLOWED_PARTS: Final[dict[str, tuple[type, ...]]] = {
    "system": (Text,),
    "user": (Text, Image, Document, ToolResult),
    "assistant": (Text, Reasoning, ToolCall),
    "tool": (ToolResult,),
}
NAMES: Final = ("tenant", "team", "agent", "user", "feature", "task", "region", "session")
_names_in: Final = attrgetter(*NAMES)
ASKING: Final = frozenset({"user", "tool"})
_role_of: Final = attrgetter("role")
MOST_FLAGS: Final = 32
MOST_ALTERNATIVES: Final = 20  # the most that any vendor gives
LONGEST_OUTPUT: Final = 10_000_000
RANGES: Final = (
    ("temperature", 0, 2),
    ("top_p", 0, 1),
    ("logprobs", 0, MOST_ALTERNATIVES),
    ("max_cost_cents", 0, 100_000_000),
    ("latency", 1, 86_400_000),  # or a word
)
_numbers_in: Final = attrgetter(*[name for name, _, _ in RANGES])
TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_request(messages: list[Message], options: CallOptions, *, is_copy: bool = False) -> None:
    """Raise CallRefused for the first thing that cannot be meant; `is_copy`: a shadow's call."""
    if not messages:
        raise refusal("messages", "is empty; expected at least one user message")
    if ASKING.isdisjoint(map(_role_of, messages)):
        raise refusal("messages", "has no user message; there is nothing to answer")
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        content = message.content
        if not isinstance(content, str) or not content or message.role == "tool":
            _check_message(message, f"messages[{index}]", open_calls)
    check_options(options)
    feature = options.feature
    if feature is not None and feature.startswith(SHADOW_PREFIX) and not is_copy:
        raise refusal("options.feature", f"begins with {SHADOW_PREFIX}, which is for shadows")


def _check_message(message: Message, place: str, open_calls: set[str]) -> None:
    if isinstance(message.content, str):
        if message.role == "tool":
            raise refusal(f"{place}.content", "a tool message holds tool_result parts")
        if not message.content:
            raise refusal(f"{place}.content", "is empty")
        return
    if not message.content:
        raise refusal(f"{place}.content", "is empty")
    allowed = ALLOWED_PARTS[message.role]
    for index, part in enumerate(message.content):
        at = f"{place}.content[{index}]"
        if not isinstance(part, allowed):
            names = ", ".join(sorted(_type_name(kind) for kind in allowed))
            raise refusal(
                at, f"a {message.role} message cannot hold {_type_name(type(part))}; only {names}"
            )
        _check_part(part, at, open_calls)


def _check_part(part: Content, at: str, open_calls: set[str]) -> None:
    match part:
        case Image() | Document():
            _check_media(part, at)
        case ToolCall():
            if not TOOL_NAME.fullmatch(part.name):
                raise refusal(f"{at}.name", "is not a tool name")
            open_calls.add(part.id)
        case Reasoning():
            check_plain_data(part.data, f"{at}.data")
        case ToolResult():
            if part.call_id not in open_calls:
                raise refusal(f"{at}.call_id", "answers no tool call of an earlier message")
            if not isinstance(part.content, str):
                for index, inner in enumerate(part.content):
                    _check_part(inner, f"{at}.content[{index}]", open_calls)


def _check_media(part: Image | Document, at: str) -> None:
    if (part.url is None) == (part.data is None):
        raise refusal(at, "needs exactly one of url and data")
    if part.url is not None and not part.url.startswith(("https://", "http://", "data:")):
        raise refusal(f"{at}.url", "is not an http, https or data URL")
    if part.data is not None:
        if not part.media_type:
            raise refusal(f"{at}.media_type", "is needed with data")
        if isinstance(part, Image) and not part.media_type.startswith("image/"):
            raise refusal(f"{at}.media_type", "is not that of an image")


def check_options(options: CallOptions) -> None:
    """Raise CallRefused for the first option that cannot be meant, whatever kind of call it is."""
    _check_names(options)
    _check_numbers(options)
    if options.flags:
        _check_flags(options.flags)
    if options.timeout is not None and not options.timeout > 0:
        raise refusal("options.timeout", "is not above 0 seconds")
    if not all(options.stop):
        raise refusal("options.stop", "holds an empty string")
    _check_tools(options)
    if options.output_schema is not None:
        check_schema(options.output_schema, "options.output_schema")
    if options.raw:
        _check_raw(options.raw)


def _check_names(options: CallOptions) -> None:
    names = _names_in(options)
    if names.count(None) == len(names):
        return
    for name, text in zip(NAMES, names, strict=True):
        if text is not None and not 0 < len(text) <= MAX_NAME_CHARACTERS:
            raise refusal(f"options.{name}", f"expected 1 to {MAX_NAME_CHARACTERS} characters")


def _check_numbers(options: CallOptions) -> None:
    longest = options.max_output_tokens
    if longest is not None and not 1 <= longest <= LONGEST_OUTPUT:
        raise refusal("options.max_output_tokens", f"is {longest}; expected 1 to {LONGEST_OUTPUT}")
    numbers = _numbers_in(options)
    if numbers.count(None) == len(numbers):
        return  # nearly always
    for (name, low, high), value in zip(RANGES, numbers, strict=True):
        if value is not None and not isinstance(value, str) and not low <= value <= high:
            raise refusal(f"options.{name}", f"is {value}; expected {low} to {high}")


def _check_raw(raw: dict[str, dict[str, Any]]) -> None:
    """Refuse what is routerd's own whoever serves the call: it must not depend on a failover."""
    for name, parameters in raw.items():
        at = f"options.raw.{name:.80}"
        if not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise refusal("options.raw", f"expected names of 1 to {MAX_NAME_CHARACTERS} characters")
        check_plain_data(parameters, at)
        if (found := forbidden_parameter(parameters, name)) is not None:
            raise refusal(f"{at}.{found[0]}", found[1])


def check_beyond_hold(options: CallOptions, policy: str, *, permitted: bool) -> None:
    """Refuse what in `raw` can cost more than is held, unless the policy of the call permits it.

    No policy permits it together with a cap of the call's own: that promise is the caller's, and
    would be broken without anybody seeing it.
    """
    for name, parameters in options.raw.items():
        for found in beyond_hold(parameters):
            at = f"options.raw.{name:.80}.{found.path}"
            if not permitted:
                permits = f"policies.{policy}.raw_beyond_hold = true would permit it"
                raise refusal(at, f"{found.why}; {permits}")
            if options.max_cost_cents is not None:
                leave_out = "leave out either it or max_cost_cents, which could not be kept"
                raise refusal(at, f"{found.why}; {leave_out}")


def _check_tools(options: CallOptions) -> None:
    if not options.tools and options.tool_choice is None:
        return
    names = {tool.name for tool in options.tools}
    for index, tool in enumerate(options.tools):
        _check_tool(tool, f"options.tools[{index}]")
    if len(names) < len(options.tools):
        raise refusal("options.tools", "holds two tools of the same name")
    choice = options.tool_choice
    if isinstance(choice, ToolName) and choice.name not in names:
        raise refusal("options.tool_choice", f"names {choice.name!r:.80}, which is no given tool")
    if choice == "required" and not names:
        raise refusal("options.tool_choice", "requires a tool, and none is given")


def _check_flags(flags: list[str]) -> None:
    if len(flags) > MOST_FLAGS:
        raise refusal("options.flags", f"holds more than {MOST_FLAGS} flags")
    if not all(0 < len(flag) <= MAX_NAME_CHARACTERS for flag in flags):
        raise refusal("options.flags", f"expected flags of 1 to {MAX_NAME_CHARACTERS} characters")


def _check_tool(tool: Tool, at: str) -> None:
    if not TOOL_NAME.fullmatch(tool.name):
        raise refusal(f"{at}.name", "expected 1 to 64 letters, digits, _ or -")
    if tool.parameters:
        if tool.parameters.get("type") != "object":
            raise refusal(f"{at}.parameters", "is not a JSON schema of type object")
        check_schema(tool.parameters, f"{at}.parameters")


def _type_name(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]
