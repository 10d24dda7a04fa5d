"""What encoding a request needs whatever the vendor: refusals, notes, small conversions.

Rules of this file: no wire shape of any vendor. What a model cannot take and whose omission would
change the meaning is refused here; everything less is left out by the adapter, with a note.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from routerd.errors import CallRefused
from routerd.providers.base import ChatRequest, add_note
from routerd.providers.json_text import JSON_ERRORS, has_halves
from routerd_proto.content import (
    CacheLifetime,
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    ReasoningEffort,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolName,
    ToolResult,
)
from routerd_proto.errors import error_info

__all__ = [
    "ANSWER_MARK_NOTE",
    "MARKS_NOTE",
    "Notes",
    "ToolIdRule",
    "ToolNameRule",
    "arguments_object",
    "base64_text",
    "cache_of",
    "end_mark",
    "fit_effort",
    "fit_output_limit",
    "fit_sampling",
    "fit_tool_choice",
    "is_forced",
    "note_cache_marks",
    "parts_of",
    "refusal",
    "refuse_continuing",
    "refuse_unsupported",
    "split_system",
]

ANSWER_MARK_NOTE: Final = "a cache mark in an answer was left out: it has no place"
MARKS_NOTE: Final = "cache marks were left out: this provider or model takes none"
HALVES_NOTE: Final = "half a character in an earlier tool call was sent as U+FFFD"
EFFORT_ORDER: Final[tuple[ReasoningEffort, ...]] = (
    "none",
    "minimal",
    "low",
    "medium",
    "high",
    "xhigh",
    "max",
)


class Notes(list[str]):
    """What was left out or changed on the way, each thing once, and not without end."""

    def add(self, note: str) -> None:
        """Append a note that is not there yet; see `add_note`."""
        add_note(self, note)


class ToolIdRule(Struct, frozen=True):
    """The ids of tool calls a provider takes; others are replaced, in call and result alike.

    `pattern` matches a good id. A replacement is `prefix` and a hash in base 36 that fills it up to
    `length` characters; it depends on the id alone.
    """

    pattern: str
    prefix: str
    length: int

    def fit(self, tool_id: str) -> str:
        """Return the id, or its replacement."""
        if re.fullmatch(self.pattern, tool_id):
            return tool_id
        number = int.from_bytes(hashlib.sha256(tool_id.encode("utf-8", "replace")).digest(), "big")
        digits = ""
        while len(self.prefix) + len(digits) < self.length:
            number, digit = divmod(number, 36)
            digits += "0123456789abcdefghijklmnopqrstuvwxyz"[digit]
        return self.prefix + digits


class ToolNameRule(Struct, frozen=True):
    """The names of tools a provider takes. What is offered is sent by its own name or not at all.

    A changed name would come back with the call, and no caller knows it; so it is refused before
    anything is sent, and another provider may be asked. `pattern` matches a good name, `words` say
    it, `length` is the most characters.
    """

    pattern: str
    words: str
    length: int

    def check(self, tools: Sequence[Tool], *, taken: str | None = None) -> None:
        """Raise CallRefused for the first name it does not take; `taken` is one of routerd's."""
        for place, tool in enumerate(tools):
            if tool.name == taken or not re.fullmatch(self.pattern, tool.name):
                raise refusal(
                    f"this provider takes no tool called {tool.name[:100]!r}: rename it; expected "
                    f"up to {self.length} {self.words}",
                    param=f"options.tools[{place}].name",
                )

    def fit_past(self, name: str, notes: Notes) -> str:
        """Return the name of an earlier turn's call, or a stand-in that depends on it alone.

        Nobody calls by it: what another provider's tool was called need not fit this one.
        """
        fitted = ToolIdRule(self.pattern, "tool_", 30).fit(name)
        if fitted != name:
            notes.add("the name of an earlier tool call was changed to one this provider takes")
        return fitted


def refusal(message: str, **details: str) -> CallRefused:
    """Build the exception for a request that this model or format cannot carry."""
    return CallRefused(error_info("invalid_request", message, details=dict(details)))


def refuse_unsupported(request: ChatRequest) -> None:
    """Raise CallRefused where leaving out what the model cannot take changes the meaning."""
    able, options, model = request.capabilities, request.options, request.model_id
    if options.tools and options.tool_choice != "none" and not able.tools:
        raise refusal(f"the model {model} cannot call tools", param="options.tools")
    if isinstance(choice := options.tool_choice, ToolName) and choice.name not in {
        tool.name for tool in options.tools
    }:
        raise refusal(
            f"tool_choice names {choice.name!r}, which is not among the tools",
            param="options.tool_choice",
        )
    if options.output_schema is not None and not able.json_schema:
        raise refusal(
            f"the model {model} cannot answer by a JSON schema", param="options.output_schema"
        )
    if options.logprobs is not None and not able.logprobs:
        raise refusal(f"the model {model} gives no log probabilities", param="options.logprobs")
    if not able.vision and any(_needs_vision(part) for part in _media(request.messages)):
        raise refusal(f"the model {model} cannot see images", param="messages")


def refuse_continuing(request: ChatRequest) -> None:
    """Raise CallRefused for a conversation that ends with the assistant, if the model cannot."""
    if not request.capabilities.prefill:
        raise refusal(
            f"the model {request.model_id} cannot continue a message: the last one must not be "
            "the assistant's",
            param="messages",
        )


def parts_of(message: Message) -> Sequence[Content]:
    """Return a message's content as parts."""
    if isinstance(message.content, str):
        return [Text(message.content)]
    return message.content


def fit_tool_choice(request: ChatRequest, notes: Notes) -> ToolChoice | None:
    """Return how tools are chosen; by the model itself where it cannot be made to call one."""
    choice = request.options.tool_choice
    if not is_forced(choice) or request.capabilities.forced_tool_choice:
        return choice
    notes.add("tool_choice was sent as auto: this model cannot be made to call a tool")
    return "auto"


def split_system(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """Return the system messages at the start, and the rest."""
    count = next(
        (index for index, message in enumerate(messages) if message.role != "system"),
        len(messages),
    )
    return messages[:count], messages[count:]


def cache_of(part: Content) -> CacheLifetime | None:
    """Return for how long the prompt is to be cached up to this part, None where it is not.

    Of the marks on and inside the result of a tool it is the longest.
    """
    if isinstance(part, Reasoning | ToolCall):
        return None
    if not isinstance(part, ToolResult) or isinstance(part.content, str):
        return part.cache
    marks = {part.cache, *(item.cache for item in part.content)}
    return "1h" if "1h" in marks else "5m" if "5m" in marks else None


def end_mark(part: Content, notes: Notes) -> CacheLifetime | None:
    """Return the mark behind a part, for a wire that has none inside the result of a tool.

    What is marked inside is cached with the rest of the result: that is more, and never less.
    """
    content = part.content if isinstance(part, ToolResult) else ""
    if not isinstance(content, str) and any(item.cache for item in content[:-1]):
        notes.add("a cache mark inside the result of a tool was sent at its end")
    return cache_of(part)


def note_cache_marks(messages: Sequence[Message], notes: Notes) -> None:
    """Note that cache marks are left out, for a vendor that takes none."""
    for message in messages:
        if not isinstance(message.content, str) and any(map(cache_of, message.content)):
            notes.add(MARKS_NOTE)


def is_forced(choice: ToolChoice | None) -> bool:
    """Return whether the model must call a tool."""
    return choice == "required" or isinstance(choice, ToolName)


def base64_text(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def fit_effort(
    asked: ReasoningEffort, accepted: tuple[ReasoningEffort, ...], notes: Notes
) -> ReasoningEffort | None:
    """Return the accepted effort nearest below the one asked for, None where there is none.

    Reasoning is only ever switched off where that was asked for.
    """
    if asked in accepted:
        return asked
    order = EFFORT_ORDER.index
    steps = sorted((effort for effort in accepted if effort != "none"), key=order)
    if not steps:
        notes.add(f"reasoning {asked} was left out: this model takes no such setting")
        return None
    below = [effort for effort in steps if order(effort) <= order(asked)]
    fitted = below[-1] if below else steps[0]
    notes.add(f"reasoning {asked} was sent as {fitted}")
    return fitted


def fit_output_limit(request: ChatRequest, notes: Notes) -> int | None:
    """Return the caller's bound on the output, cut to what the model can write."""
    asked, limit = request.options.max_output_tokens, request.output_limit
    if asked is None or limit is None or asked <= limit:
        return asked
    notes.add(f"max_output_tokens was cut from {asked} to {limit}, the most this model writes")
    return limit


def fit_sampling(request: ChatRequest, notes: Notes, *, is_silent: bool) -> dict[str, float]:
    """Return temperature and top_p as far as they are set and the model takes them.

    `is_silent` says that it will not reason in this call.
    """
    sampling = request.capabilities.sampling
    takes = sampling == "yes" or (sampling == "without_reasoning" and is_silent)
    fitted: dict[str, float] = {}
    for name in ("temperature", "top_p"):
        value = getattr(request.options, name)
        if value is None:
            continue
        if takes:
            fitted[name] = value
        elif sampling == "no":
            notes.add(f"{name} was left out: this model does not take it")
        else:
            notes.add(f"{name} was left out: this model takes it only with reasoning none")
    return fitted


def _media(messages: list[Message]) -> Iterator[Content]:
    for message in messages:
        if isinstance(message.content, str):
            continue
        for part in message.content:
            if isinstance(part, ToolResult) and not isinstance(part.content, str):
                yield from part.content
            else:
                yield part


def _needs_vision(part: Content) -> bool:
    """A document that is not text is read as pictures of its pages."""
    if isinstance(part, Document):
        return not (part.media_type or "").startswith("text/")
    return isinstance(part, Image)


def arguments_object(call: ToolCall, notes: Notes) -> dict[str, Any]:
    """Return the arguments of an earlier tool call as the object that some APIs want."""
    if not call.arguments.strip():
        return {}
    try:
        value = json.loads(call.arguments, strict=False)
    except JSON_ERRORS:
        value = None
    if isinstance(value, dict):
        if "\\u" in call.arguments and has_halves(value):
            notes.add(HALVES_NOTE)
        return value
    notes.add("arguments of an earlier tool call that are no JSON object were wrapped in one")
    return {"arguments": call.arguments}
