"""A chat request as the body of the Messages API.

Rules of this file: only what the caller set is sent, besides `max_tokens`, which the API requires.
What a model cannot take is left out with a note, or refused where that would change the meaning.
The thinking of an old model has to fit under `max_tokens` together with the answer; the caller's
own bound is never raised.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.anthropic.messages import (
    THINKING,
    TOOL_NAMES,
    VENDOR,
    encode_system,
    encode_turns,
    limit_cache_marks,
)
from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.claude import (
    THINKING_TOKENS,
    Generation,
    adaptive_thinking,
    default_limit,
    fit_budget,
    generation_of,
    reason_against_budget,
)
from routerd.providers.json_schema import closed_output, is_strict
from routerd.providers.json_text import encode_json
from routerd.providers.paused import paused_by
from routerd.providers.request import (
    Notes,
    fit_effort,
    fit_output_limit,
    is_forced,
    refusal,
    refuse_continuing,
    refuse_unsupported,
    split_system,
)
from routerd_proto.content import ReasoningEffort, Tool, ToolName

__all__ = ["encode_request"]

Json = dict[str, Any]

PATH: Final = "/v1/messages"
# Elsewhere the body has it, as Bedrock's additionalModelRequestFields do.
RAW_HEADERS: Final = {"anthropicbeta": b"anthropic-beta", "betas": b"anthropic-beta"}


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    if request.options.logprobs is not None:
        raise refusal("this provider gives no log probabilities", param="options.logprobs")
    notes = Notes()
    generation = generation_of(request.model_id, reasons=request.capabilities.reasoning)
    system, messages = split_system(request.messages)
    body: Json = {"model": request.model_id, "max_tokens": 0}
    if (prompt := encode_system(system, notes)) is not None:
        body["system"] = prompt
    body["messages"] = encode_turns(messages, notes)
    _check_prefill(body["messages"], request, notes)
    if request.stream:
        body["stream"] = True
    body["max_tokens"] = _add_thinking(body, request, generation, notes)
    _add_sampling(body, request, notes)
    _add_tools(body, request, notes)
    if request.options.output_schema is not None:
        schema = closed_output(request.options.output_schema, notes)
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
    keeps_long = limit_cache_marks(body, notes)
    return EncodedRequest(
        path=PATH,
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=body["max_tokens"],
        keeps_long=keeps_long,
        raw_headers=RAW_HEADERS,
    )


def _check_prefill(turns: list[Json], request: ChatRequest, notes: Notes) -> None:
    """Judge a conversation that ends with the assistant: the model is to go on from there.

    What paused goes back to any model: only its vendor's answers are paused like this.
    """
    if turns[-1]["role"] != "assistant":
        return
    if paused_by(request.messages) != VENDOR:
        refuse_continuing(request)
    blocks = turns[-1]["content"]
    while blocks and blocks[-1]["type"] == "text" and (text := blocks[-1]["text"])[-1:].isspace():
        notes.add("white space at the end of the last message was left out")
        blocks[-1]["text"] = text.rstrip()
        if not blocks[-1]["text"]:
            blocks.pop()
    if not blocks:
        turns.pop()


def _add_thinking(body: Json, request: ChatRequest, generation: Generation, notes: Notes) -> int:
    """Ask for the reasoning effort; return `max_tokens`."""
    asked = request.options.reasoning
    limit = fit_output_limit(request, notes)
    if asked not in (None, "none") and generation.style == "never":
        notes.add(f"reasoning {asked} was left out: this model does not reason")
    if generation.style == "budget" and asked not in (None, "none"):
        return _add_budget(body, request, THINKING_TOKENS[asked], limit, notes)
    thinking: ReasoningEffort = "none"
    if generation.style == "adaptive":
        thinking = _add_effort(body, request, generation, notes)
    return limit or default_limit(request, THINKING_TOKENS[thinking])


def _add_effort(
    body: Json, request: ChatRequest, generation: Generation, notes: Notes
) -> ReasoningEffort:
    """Write adaptive thinking; return the effort that room is to be made for."""
    asked = request.options.reasoning
    if asked is None:
        return "none" if generation.resting == "off" else "high"
    if asked == "none":
        if generation.resting == "off":
            return "none"
        if generation.resting == "on":
            body["thinking"] = {"type": "disabled"}
            return "none"
    effort = fit_effort(asked, generation.efforts, notes)
    if effort is None:
        return "none"
    body["thinking"] = adaptive_thinking(request)
    body["output_config"] = {"effort": effort}
    return effort


def _add_budget(
    body: Json, request: ChatRequest, budget: int, limit: int | None, notes: Notes
) -> int:
    """Write thinking with a budget of tokens, if the conversation and the bound allow it."""
    why = reason_against_budget(
        body["messages"],
        lambda block: block["type"] in THINKING,
        lambda block: block["type"] == "tool_result",
    )
    if why is not None:
        notes.add(why)
        return limit or default_limit(request, 0)
    most = limit or default_limit(request, budget)
    if (fitted := fit_budget(budget, most, notes)) is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": fitted}
    return most


def _is_thinking(body: Json) -> bool:
    return body.get("thinking", {}).get("type") in ("adaptive", "enabled")


def _add_sampling(body: Json, request: ChatRequest, notes: Notes) -> None:
    options, sampling = request.options, request.capabilities.sampling
    values = {"temperature": options.temperature, "top_p": options.top_p}
    for name, value in values.items():
        if value is None:
            continue
        if sampling == "no":
            notes.add(f"{name} was left out: this model does not take it")
        elif _is_thinking(body):
            notes.add(f"{name} was left out: it does not go with reasoning")
        elif name == "top_p" and "temperature" in body:
            notes.add("top_p was left out: this provider takes only one of it and temperature")
        else:
            body[name] = min(max(value, 0.0), 1.0)
            if body[name] != value:
                notes.add(f"{name} was cut from {value} to {body[name]}")
    if options.seed is not None:
        notes.add("seed was left out: this provider has none")
    stops = [stop for stop in options.stop if stop.strip()]
    if stops:
        body[request.stop_parameter or "stop_sequences"] = stops
    if len(stops) < len(options.stop):
        notes.add("a stop sequence of white space was left out: this provider refuses it")


def _add_tools(body: Json, request: ChatRequest, notes: Notes) -> None:
    options = request.options
    tools = [_tool(tool, notes) for tool in options.tools] if request.capabilities.tools else []
    if not tools:
        _add_past_tools(body, notes)
        return
    TOOL_NAMES.check(options.tools)
    body["tools"] = tools
    choice = options.tool_choice
    if is_forced(choice):
        if not request.capabilities.forced_tool_choice:
            notes.add("tool_choice was sent as auto: this model cannot be made to call a tool")
            choice = "auto"
        elif body.get("thinking", {}).get("type") == "enabled":
            notes.add("tool_choice was sent as auto: it cannot be forced while the model reasons")
            choice = "auto"
    encoded: Json | None = None
    if isinstance(choice, ToolName):
        encoded = {"type": "tool", "name": choice.name}
    elif choice is not None:
        encoded = {"type": "any" if choice == "required" else choice}
    if options.parallel_tool_calls is False and choice != "none":
        encoded = encoded or {"type": "auto"}
        encoded["disable_parallel_tool_use"] = True
    if encoded is not None:
        body["tool_choice"] = encoded


def _tool(tool: Tool, notes: Notes) -> Json:
    encoded: Json = {"name": tool.name}
    if tool.description:
        encoded["description"] = tool.description
    encoded["input_schema"] = {"type": "object", **tool.parameters}
    if tool.strict:
        if is_strict(encoded["input_schema"]):
            encoded["strict"] = True
        else:
            notes.add("strict was left out of a tool: its schema is open or has optional fields")
    return encoded


def _add_past_tools(body: Json, notes: Notes) -> None:
    """Name the tools of an earlier turn, which the API wants to know even if none may be called."""
    names = dict.fromkeys(
        block["name"]
        for turn in body["messages"]
        for block in turn["content"]
        if block["type"] == "tool_use"
    )
    if names:
        body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        body["tool_choice"] = {"type": "none"}
        notes.add("tools of earlier turns were named, with tool_choice none")
