"""A chat request as the body of Responses.

Rules of this file: only what the caller set is sent, because servers refuse fields they do not
know; besides that nothing is to be stored, that reasoning is to come in a form that can be sent
back, and whether a tool is strict, which the API would decide otherwise. What a model cannot take
is left out with a note, or refused where that would change the meaning.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.chat_shapes import function_tool
from routerd.providers.json_text import encode_json
from routerd.providers.openai.cache_marks import keeps_long
from routerd.providers.openai.dialects import ModelRule
from routerd.providers.openai.encode import is_strict_tool, named_schema
from routerd.providers.openai.responses.dialects import ResponsesDialect
from routerd.providers.openai.responses.items import ItemWriter
from routerd.providers.request import (
    Notes,
    fit_effort,
    fit_output_limit,
    fit_sampling,
    fit_tool_choice,
    refusal,
    refuse_unsupported,
)
from routerd_proto.content import ToolName

__all__ = ["encode_request"]

Json = dict[str, Any]

PATH: Final = "/responses"
ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"


def encode_request(
    request: ChatRequest, dialect: ResponsesDialect, rule: ModelRule
) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    notes = Notes()
    writer = ItemWriter(request, dialect, notes)
    body: Json = {
        "model": request.model_id,
        "input": writer.write(),
        "store": False,
    }
    if request.stream:
        body["stream"] = True
    limit = fit_output_limit(request, notes)
    if limit is not None:
        _check_limit(limit, dialect)
        body["max_output_tokens"] = limit
    _add_reasoning(body, request, dialect, rule, notes)
    _add_settings(body, request, notes)
    _add_tools(body, request, notes)
    if request.options.output_schema is not None:
        schema = named_schema(request.options.output_schema)
        body["text"] = {"format": {"type": "json_schema", **schema}}
    return EncodedRequest(
        path=PATH,
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=limit,
        keeps_long=writer.takes_marks and keeps_long(body["input"]),
    )


def _check_limit(limit: int, dialect: ResponsesDialect) -> None:
    """Refuse a bound that the API refuses: it is the caller's, and money was set aside by it."""
    if limit < dialect.least_output_tokens:
        raise refusal(
            f"this provider takes no max_output_tokens below {dialect.least_output_tokens}",
            param="options.max_output_tokens",
        )


def _add_reasoning(
    body: Json, request: ChatRequest, dialect: ResponsesDialect, rule: ModelRule, notes: Notes
) -> None:
    asked = request.options.reasoning
    if not request.capabilities.reasoning:
        if asked not in (None, "none"):
            notes.add(f"reasoning {asked} was left out: this model does not reason")
        return
    if dialect.encrypted and request.reasoning_carried:
        body["include"] = [ENCRYPTED_REASONING]
    if asked is None or (effort := fit_effort(asked, rule.efforts, notes)) is None:
        return
    body["reasoning"] = {"effort": effort}
    if effort != "none" and dialect.summary and request.reasoning_shown:
        body["reasoning"]["summary"] = "auto"


def _add_settings(body: Json, request: ChatRequest, notes: Notes) -> None:
    is_silent = not request.capabilities.reasoning or body.get("reasoning") == {"effort": "none"}
    body.update(fit_sampling(request, notes, is_silent=is_silent))
    if request.options.seed is not None:
        notes.add("seed was left out: this wire format has none")
    if any(request.options.stop):
        notes.add("stop was left out: this wire format has none")
    if request.options.logprobs is not None:
        body["include"] = [*body.get("include", ()), LOGPROBS]
        if request.options.logprobs:
            body["top_logprobs"] = request.options.logprobs


def _add_tools(body: Json, request: ChatRequest, notes: Notes) -> None:
    options = request.options
    if not options.tools or not request.capabilities.tools:
        return
    body["tools"] = [
        {
            "type": "function",
            **function_tool(tool)["function"],
            "strict": is_strict_tool(tool, notes, takes_strict=True),
        }
        for tool in options.tools
    ]
    choice = fit_tool_choice(request, notes)
    if isinstance(choice, ToolName):
        body["tool_choice"] = {"type": "function", "name": choice.name}
    elif choice is not None:
        body["tool_choice"] = choice
    if options.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = options.parallel_tool_calls
