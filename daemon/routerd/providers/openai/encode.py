"""A chat request as the body of Chat Completions.

Rules of this file: only what the caller set is sent, because servers refuse fields they do not
know. What a model cannot take is left out with a note, or refused where that would change the
meaning.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from msgspec.structs import replace

from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.chat_shapes import function_tool
from routerd.providers.json_schema import is_strict
from routerd.providers.json_text import encode_json
from routerd.providers.openai.cache_marks import keeps_long
from routerd.providers.openai.dialects import Dialect, ModelRule
from routerd.providers.openai.messages import encode_messages
from routerd.providers.openai.order import in_strict_order
from routerd.providers.request import (
    Notes,
    fit_effort,
    fit_output_limit,
    fit_sampling,
    fit_tool_choice,
    refuse_unsupported,
)
from routerd_proto.content import Tool, ToolName

__all__ = ["encode_request", "is_strict_tool", "named_schema"]

Json = dict[str, Any]

SCHEMA_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]+")


def encode_request(request: ChatRequest, dialect: Dialect, rule: ModelRule) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    notes, options = Notes(), request.options
    body: Json = {"model": request.model_id, "messages": []}
    if request.stream:
        body["stream"] = True
        if dialect.include_usage and request.usage_in_stream:
            body["stream_options"] = {"include_usage": True}
    limit = fit_output_limit(request, notes)
    if limit is not None:
        body[request.max_tokens_parameter or dialect.max_tokens] = limit
    _add_reasoning(body, request, dialect, rule, notes)
    _add_sampling(body, request, dialect, rule, notes)
    _add_tools(body, request, dialect, notes)
    if options.logprobs is not None:
        body["logprobs"] = True
        if options.logprobs:
            body["top_logprobs"] = options.logprobs
    if options.output_schema is not None:
        schema = named_schema(options.output_schema)
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.reasoning_required:
        dialect = replace(dialect, reasoning_back="reasoning_content", reasoning_required=True)
    body["messages"] = encode_messages(
        request.messages,
        dialect,
        notes,
        reasons=not _switched_off(request, dialect, rule),
        marks=rule.cache_marks,
    )
    if dialect.strict_order:
        body["messages"] = in_strict_order(body["messages"], notes)
    if request.system_role != "system":
        _rename_system(body["messages"], request.system_role, notes)
    return EncodedRequest(
        path=path_of(request.model_id, dialect),
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=limit,
        keeps_long=rule.cache_marks and keeps_long(body["messages"]),
    )


def path_of(model_id: str, dialect: Dialect) -> str:
    """Return where a dialect takes a request for chat with a model."""
    if "{" not in dialect.path:
        return dialect.path
    return dialect.path.replace("{model}", quote(model_id, safe=""))


def _switched_off(request: ChatRequest, dialect: Dialect, rule: ModelRule) -> bool:
    is_possible = bool(dialect.reasoning_off) and not rule.always_reasons
    return is_possible and request.options.reasoning == "none"


def _rename_system(messages: list[Json], role: str, notes: Notes) -> None:
    for message in messages:
        if message["role"] == "system":
            message["role"] = role
            notes.add(f"system text was sent in the role {role}")


def _add_reasoning(
    body: Json, request: ChatRequest, dialect: Dialect, rule: ModelRule, notes: Notes
) -> None:
    asked = request.options.reasoning
    if rule.reasoning_apart and request.capabilities.reasoning and asked != "none":
        body.update(rule.reasoning_apart)
    if asked is None:
        return
    if _switched_off(request, dialect, rule):
        # Whatever is known of the model: one of a server of one's own may reason all the same.
        body.update(dialect.reasoning_off)
        return
    if not request.capabilities.reasoning:
        if asked != "none":
            notes.add(f"reasoning {asked} was left out: this model does not reason")
        return
    if asked != "none" and rule.reasoning_on:
        notes.add(f"reasoning {asked} was sent as the one way in which this model reasons")
        body.update(rule.reasoning_on)
        return
    effort = fit_effort(asked, rule.efforts, notes)
    if effort is None:
        return
    if request.options.tools and effort != "none" and not rule.effort_with_tools:
        notes.add(
            f"reasoning {effort} was left out: this model takes it only without tools here; the "
            "adapter openai-responses takes both"
        )
        return
    body["reasoning_effort"] = effort


def _add_sampling(
    body: Json, request: ChatRequest, dialect: Dialect, rule: ModelRule, notes: Notes
) -> None:
    options = request.options
    if options.temperature is not None or options.top_p is not None:
        is_silent = (
            not request.capabilities.reasoning
            or body.get("reasoning_effort") == "none"
            or _switched_off(request, dialect, rule)
        )
        body.update(fit_sampling(request, notes, is_silent=is_silent))
    if options.seed is not None:
        body[dialect.seed] = options.seed
    if not options.stop:
        return
    stops = [stop for stop in options.stop if stop]
    is_unreasoned = rule.stop_unreasoned and body.get("reasoning_effort") == "none"
    if stops and not (rule.stop or is_unreasoned):
        notes.add("stop was left out: this model does not take it")
    elif stops:
        if dialect.max_stops is not None and len(stops) > dialect.max_stops:
            notes.add(f"only the first {dialect.max_stops} stop sequences were sent")
        body[request.stop_parameter or "stop"] = stops[: dialect.max_stops]


def _add_tools(body: Json, request: ChatRequest, dialect: Dialect, notes: Notes) -> None:
    options = request.options
    if not options.tools or not request.capabilities.tools:
        return
    body["tools"] = [_tool(tool, dialect, notes) for tool in options.tools]
    choice = fit_tool_choice(request, notes)
    if isinstance(choice, ToolName):
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice is not None:
        body["tool_choice"] = dialect.required_tool if choice == "required" else choice
    if options.parallel_tool_calls is not None and dialect.parallel_tool_calls:
        body["parallel_tool_calls"] = options.parallel_tool_calls
    elif options.parallel_tool_calls is False:
        notes.add("parallel_tool_calls was left out: this provider does not take it")


def _tool(tool: Tool, dialect: Dialect, notes: Notes) -> Json:
    encoded = function_tool(tool)
    if is_strict_tool(tool, notes, takes_strict=dialect.strict):
        encoded["function"]["strict"] = True
    return encoded


def is_strict_tool(tool: Tool, notes: Notes, *, takes_strict: bool) -> bool:
    """Return whether a tool may be strict and is to be."""
    if not tool.strict:
        return False
    if takes_strict and is_strict(tool.parameters or {}):
        return True
    notes.add("strict was left out of a tool: the provider or the schema does not allow it")
    return False


def named_schema(schema: Json) -> Json:
    """Write the schema of an answer, named after its title, strict where it can be."""
    title = schema.get("title")
    name = SCHEMA_NAME.sub("_", title)[:64].strip("_") if isinstance(title, str) else ""
    named: Json = {"name": name or "answer", "schema": schema}
    if is_strict(schema):
        named["strict"] = True
    return named
