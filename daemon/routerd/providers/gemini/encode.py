"""A chat request as the body of generateContent.

Rules of this file: only what the caller set is sent, because unknown fields are refused. What a
model cannot take is left out with a note, or refused where that would change the meaning. The
bound on the output covers the thoughts too; the caller's own bound is never raised.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.gemini.messages import (
    encode_system,
    encode_turns,
    split_pause,
)
from routerd.providers.gemini.resources import model_path
from routerd.providers.gemini.services import GEMINI, Service
from routerd.providers.gemini.thinking import THINKING_TOKENS, Generation, generation_of
from routerd.providers.json_text import encode_json
from routerd.providers.request import (
    Notes,
    ToolNameRule,
    fit_effort,
    fit_output_limit,
    is_forced,
    note_cache_marks,
    refusal,
    refuse_continuing,
    refuse_unsupported,
    split_system,
)
from routerd_proto.content import ReasoningEffort, Tool, ToolName

__all__ = ["encode_request"]

Json = dict[str, Any]

MAX_STOPS: Final = 5
MAX_TEMPERATURE: Final = 2.0
MAX_SEED: Final = 2**31 - 1
ANSWER_TOKENS: Final = 4096
# Source: the types of google-genai 3.6. Names of earlier calls are not checked.
TOOL_NAMES: Final = ToolNameRule(
    r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}",
    "letters, digits, _, ., : and -, the first a letter or _",
    128,
)
# With less than this share of the bound left, an answer after the thinking would be cut short.
THINKING_SHARE: Final = 0.75


def encode_request(request: ChatRequest, service: Service = GEMINI) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    notes = Notes()
    note_cache_marks(request.messages, notes)
    generation = generation_of(request.model_id, request.model)
    asked, continuation = split_pause(request.messages)
    system, messages = split_system(asked)
    turns = encode_turns(messages, generation, notes)
    if turns[-1]["role"] == "model":
        refuse_continuing(request)
    body: Json = {"contents": turns}
    if (prompt := encode_system(system)) is not None:
        body["systemInstruction"] = prompt
    if continuation is not None:
        body["continuationToken"] = continuation
    _add_tools(body, request, notes)
    settings: Json = {}
    limit = fit_output_limit(request, notes)
    if limit is not None:
        settings["maxOutputTokens"] = limit
    _add_sampling(settings, request, notes)
    _add_thinking(settings, request, generation, notes)
    if request.options.logprobs is not None:
        settings["responseLogprobs"] = True
        if request.options.logprobs:
            settings["logprobs"] = request.options.logprobs
    if request.options.output_schema is not None:
        _add_schema(settings, body, request, generation, notes)
    if settings:
        body["generationConfig"] = settings
    return EncodedRequest(
        path=_path(request, service),
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=limit,
    )


def _path(request: ChatRequest, service: Service) -> str:
    method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return f"{model_path(service, request.model_id)}:{method}"


def _add_sampling(settings: Json, request: ChatRequest, notes: Notes) -> None:
    options, sampling = request.options, request.capabilities.sampling
    for name, sent, most in (
        ("temperature", "temperature", MAX_TEMPERATURE),
        ("top_p", "topP", 1.0),
    ):
        value = getattr(options, name)
        if value is None:
            continue
        if sampling == "no" or (sampling == "without_reasoning" and options.reasoning != "none"):
            notes.add(f"{name} was left out: this model does not take it")
            continue
        settings[sent] = min(max(value, 0.0), most)
        if settings[sent] != value:
            notes.add(f"{name} was cut from {value} to {settings[sent]}")
    if options.seed is not None:
        if abs(options.seed) <= MAX_SEED:
            settings["seed"] = options.seed
        else:
            notes.add("seed was left out: this provider takes one of 32 bits")
    stops = [stop for stop in options.stop if stop]
    if len(stops) > MAX_STOPS:
        notes.add(f"only the first {MAX_STOPS} stop sequences were sent")
    if stops:
        settings[request.stop_parameter or "stopSequences"] = stops[:MAX_STOPS]


def _add_thinking(
    settings: Json, request: ChatRequest, generation: Generation, notes: Notes
) -> None:
    asked = request.options.reasoning
    if asked is None:
        return
    if generation.style == "never" or not request.capabilities.reasoning:
        if asked != "none":
            notes.add(f"reasoning {asked} was left out: this model does not reason")
        return
    shown = {"includeThoughts": True} if asked != "none" else {}
    if generation.style == "level":
        effort = fit_effort(asked, generation.efforts, notes)
        if effort is not None:
            settings["thinkingConfig"] = {"thinkingLevel": effort.upper(), **shown}
        return
    budget = _budget(asked, settings.get("maxOutputTokens"), generation, notes)
    settings["thinkingConfig"] = {"thinkingBudget": budget, **(shown if budget else {})}


def _budget(asked: ReasoningEffort, limit: int | None, generation: Generation, notes: Notes) -> int:
    """Return how many tokens of `limit` are for thinking, 0 for none; what is cut is noted."""
    wanted = budget = THINKING_TOKENS[asked]
    if limit is not None and budget + ANSWER_TOKENS > limit:
        budget = min(budget, int(limit * THINKING_SHARE))
    least = generation.least_budget
    if generation.always_thinks and budget < least:
        notes.add(f"reasoning {asked} was sent as {least} tokens, the least this model takes")
        return least
    if wanted and budget < least:
        notes.add(f"reasoning was left out: {limit} output tokens leave no room for it")
        return 0
    if budget < wanted:
        notes.add(
            f"reasoning {asked} was sent as {budget} tokens: {limit} output tokens leave no room "
            "for more"
        )
    return budget


def _add_schema(
    settings: Json, body: Json, request: ChatRequest, generation: Generation, notes: Notes
) -> None:
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling.get("mode") == "ANY":
        # The two together are refused, and there will be no text for a schema to hold for.
        notes.add("output_schema was left out: the answer is a tool call, and takes none here")
        return
    if "tools" in body and not generation.schema_with_tools:
        raise refusal(
            f"the model {request.model_id} cannot answer by a JSON schema and call tools",
            param="options.output_schema",
        )
    settings["responseMimeType"] = "application/json"
    settings["responseJsonSchema"] = request.options.output_schema


def _add_tools(body: Json, request: ChatRequest, notes: Notes) -> None:
    options = request.options
    if not options.tools or not request.capabilities.tools:
        return
    TOOL_NAMES.check(options.tools)
    body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in options.tools]}]
    choice = options.tool_choice
    if is_forced(choice) and not request.capabilities.forced_tool_choice:
        notes.add("tool_choice was sent as auto: this model cannot be made to call a tool")
        choice = "auto"
    calling: Json = {}
    if isinstance(choice, ToolName):
        calling = {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    elif choice == "required":
        calling = {"mode": "ANY"}
    elif choice == "none":
        calling = {"mode": "NONE"}
    elif any(tool.strict for tool in options.tools):
        calling = {"mode": "VALIDATED"}
    elif choice == "auto":
        calling = {"mode": "AUTO"}
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}
    if options.parallel_tool_calls is False:
        notes.add("parallel_tool_calls was left out: this provider does not take it")


def _tool(tool: Tool) -> Json:
    encoded: Json = {"name": tool.name}
    if tool.description:
        encoded["description"] = tool.description
    if tool.parameters:
        encoded["parametersJsonSchema"] = {"type": "object", **tool.parameters}
    return encoded
