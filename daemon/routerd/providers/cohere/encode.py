"""A chat request as the body of Chat.

Rules of this file: only what the caller set is sent, so the safety mode stays the vendor's default.
What a model cannot take is left out with a note, or refused where that would change the meaning.
The bound on the output covers the thinking too; the caller's own bound is never raised. Sources:
the API reference and the types of cohere 7.3; the limits of sampling are those that the API names
when it refuses.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.chat_shapes import function_tool
from routerd.providers.cohere.messages import MessageWriter
from routerd.providers.json_text import encode_json
from routerd.providers.request import (
    Notes,
    fit_output_limit,
    is_forced,
    note_cache_marks,
    refusal,
    refuse_continuing,
    refuse_unsupported,
)
from routerd_proto.content import ReasoningEffort, Tool, ToolName

__all__ = ["encode_request"]

Json = dict[str, Any]

PATH: Final = "/v2/chat"
MAX_STOPS: Final = 5
MAX_TEMPERATURE: Final = 2.0
LEAST_P, MOST_P = 0.01, 0.99
MAX_SEED: Final = 2**64 - 1
# The vendor advises against a budget where much is to be thought, so there is none above medium.
THINKING_TOKENS: Final[dict[ReasoningEffort, int]] = {"minimal": 1024, "low": 4096, "medium": 8192}
# What the vendor advises to leave for the answer; of a bound too small for that, a share.
ANSWER_TOKENS: Final = 1000
THINKING_SHARE: Final = 0.5


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    notes = Notes()
    note_cache_marks(request.messages, notes)
    options = request.options
    body: Json = {"model": request.model_id, "messages": []}
    if request.stream:
        body["stream"] = True
    limit = fit_output_limit(request, notes)
    if limit is not None:
        body["max_tokens"] = limit
    _add_thinking(body, request, limit, notes)
    _add_sampling(body, request, notes)
    _add_tools(body, request, notes)
    if options.logprobs is not None:
        body["logprobs"] = True
        if options.logprobs:
            notes.add("logprobs come without alternatives: this provider tells none")
    if options.output_schema is not None:
        if "tools" in body:
            raise refusal(
                "this provider cannot answer by a JSON schema and call tools",
                param="options.output_schema",
            )
        body["response_format"] = {"type": "json_object", "json_schema": options.output_schema}
    writer = MessageWriter(
        notes,
        reasons=request.capabilities.reasoning,
        cites="response_format" not in body,
    )
    body["messages"] = writer.write(request.messages)
    if writer.documents:
        body["documents"] = writer.documents
    if body["messages"] and body["messages"][-1]["role"] == "assistant":
        refuse_continuing(request)
    return EncodedRequest(
        path=PATH,
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=limit,
    )


def _add_thinking(body: Json, request: ChatRequest, limit: int | None, notes: Notes) -> None:
    asked = request.options.reasoning
    if asked is None:
        return
    if not request.capabilities.reasoning:
        if asked != "none":
            notes.add(f"reasoning {asked} was left out: this model does not reason")
        return
    if asked == "none":
        body["thinking"] = {"type": "disabled"}
        return
    budget = THINKING_TOKENS.get(asked)
    if limit is not None:
        most = max(limit - ANSWER_TOKENS, int(limit * THINKING_SHARE), 1)
        budget = most if budget is None else min(budget, most)
    body["thinking"] = {"type": "enabled"}
    if budget is not None:
        body["thinking"]["token_budget"] = budget


def _add_sampling(body: Json, request: ChatRequest, notes: Notes) -> None:
    options, sampling = request.options, request.capabilities.sampling
    for name, sent, least, most in (
        ("temperature", "temperature", 0.0, MAX_TEMPERATURE),
        ("top_p", "p", LEAST_P, MOST_P),
    ):
        value = getattr(options, name)
        if value is None:
            continue
        if sampling == "no" or (sampling == "without_reasoning" and options.reasoning != "none"):
            notes.add(f"{name} was left out: this model does not take it")
            continue
        body[sent] = min(max(value, least), most)
        if body[sent] != value:
            notes.add(f"{name} was cut from {value} to {body[sent]}")
    if options.seed is not None:
        if 0 <= options.seed <= MAX_SEED:
            body["seed"] = options.seed
        else:
            notes.add("seed was left out: this provider takes none below 0 or above 64 bits")
    stops = [stop for stop in options.stop if stop]
    if len(stops) > MAX_STOPS:
        notes.add(f"only the first {MAX_STOPS} stop sequences were sent")
    if stops:
        body[request.stop_parameter or "stop_sequences"] = stops[:MAX_STOPS]


def _add_tools(body: Json, request: ChatRequest, notes: Notes) -> None:
    options = request.options
    if not options.tools or not request.capabilities.tools:
        return
    choice, tools = options.tool_choice, options.tools
    if choice == "none" and options.output_schema is not None:
        notes.add("tools were left out: this provider takes none beside a JSON schema")
        return
    forced = is_forced(choice)
    if forced and not request.capabilities.forced_tool_choice:
        notes.add("tool_choice was sent as auto: this model cannot be made to call a tool")
        forced = False
    if forced and isinstance(choice, ToolName) and len(tools) > 1:
        # The format cannot name a tool; the model has to call one, and there is no other.
        tools = [tool for tool in tools if tool.name == choice.name]
        notes.add(
            f"only the tool {choice.name} was sent: this provider cannot name the one to call"
        )
    body["tools"] = [function_tool(tool) for tool in tools]
    if forced:
        body["tool_choice"] = "REQUIRED"
    elif choice == "none":
        body["tool_choice"] = "NONE"
    if any(tool.strict for tool in tools):
        if all(_can_be_strict(tool) for tool in tools):
            body["strict_tools"] = True
        else:
            notes.add("strict was left out: here it is for all tools, each with a required field")
    if options.parallel_tool_calls is False:
        notes.add("parallel_tool_calls was left out: this provider does not take it")


def _can_be_strict(tool: Tool) -> bool:
    """Return whether strictness is wanted and taken: not where all fields are optional."""
    schema = tool.parameters
    return tool.strict and (not schema.get("properties") or bool(schema.get("required")))
