"""A chat request as the body of Converse.

Rules of this file: only what the caller set is sent. What a model cannot take is left out with a
note, or refused where that would change the meaning. The maker of a model stands in its id, behind
the prefix of an inference profile: how it is asked to reason depends on it.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.bedrock.messages import (
    encode_system,
    encode_turns,
    limit_cache_marks,
    split_system,
)
from routerd.providers.claude import THINKING_TOKENS, generation_of
from routerd.providers.json_schema import closed, is_strict
from routerd.providers.json_text import encode_json
from routerd.providers.request import (
    Notes,
    fit_effort,
    fit_output_limit,
    is_forced,
    refusal,
    refuse_unsupported,
)
from routerd_proto.content import ReasoningEffort, Tool, ToolName

__all__ = ["encode_request"]

Json = dict[str, Any]

DEFAULT_ANSWER_TOKENS: Final = 4096
LEAST_BUDGET: Final = 1024
# With less than this share of the bound left, an answer after the thinking would be cut short.
THINKING_SHARE: Final = 0.75
OPEN_WEIGHT_EFFORTS: Final[tuple[ReasoningEffort, ...]] = ("low", "medium", "high")


def encode_request(request: ChatRequest) -> EncodedRequest:
    """Write the request; CallRefused where the model cannot do what is asked."""
    refuse_unsupported(request)
    notes = Notes()
    is_claude = "anthropic." in request.model_id or "claude" in request.model_id
    system, messages = split_system(request.messages)
    body: Json = {"messages": encode_turns(messages, notes, is_claude=is_claude)}
    if prompt := encode_system(system):
        body["system"] = prompt
    _check_prefill(body["messages"], request, notes)
    limit = fit_output_limit(request, notes)
    if is_claude:
        limit = _add_thinking(body, request, limit, notes)
    else:
        _add_effort(body, request, notes)
    inference: Json = {} if limit is None else {"maxTokens": limit}
    _add_sampling(inference, body, request, notes, is_claude=is_claude)
    if inference:
        body["inferenceConfig"] = inference
    _add_tools(body, request, notes)
    _add_schema(body, request, notes)
    limit_cache_marks(body, notes)
    call = "converse-stream" if request.stream else "converse"
    return EncodedRequest(
        path=f"/model/{quote(request.model_id, safe='')}/{call}",
        headers=[(b"content-type", b"application/json")],
        body=encode_json(body),
        notes=list(notes),
        max_output_tokens=limit,
    )


def _check_prefill(turns: list[Json], request: ChatRequest, notes: Notes) -> None:
    """Judge a conversation that ends with the assistant: the model is to go on from there."""
    if turns[-1]["role"] != "assistant":
        return
    if not request.capabilities.prefill:
        raise refusal(
            f"the model {request.model_id} cannot continue a message: the last one must not be "
            "the assistant's",
            param="messages",
        )
    last = turns[-1]["content"][-1]
    if "text" in last and last["text"] != last["text"].rstrip():
        last["text"] = last["text"].rstrip()
        notes.add("white space at the end of the last message was left out")


def _add_thinking(body: Json, request: ChatRequest, limit: int | None, notes: Notes) -> int | None:
    """Ask Claude for the reasoning effort; return the bound on the output."""
    asked = request.options.reasoning
    if asked is None:
        return limit
    generation = generation_of(request.model_id, reasons=request.capabilities.reasoning)
    if generation.style == "never":
        if asked != "none":
            notes.add(f"reasoning {asked} was left out: this model does not reason")
        return limit
    if asked == "none" and generation.resting != "always_on":
        if generation.resting == "on":
            body["additionalModelRequestFields"] = {"thinking": {"type": "disabled"}}
        return limit
    if generation.style == "budget":
        return _add_budget(body, request, THINKING_TOKENS[asked], limit, notes)
    effort = fit_effort(asked, generation.efforts, notes)
    if effort is not None:
        body["additionalModelRequestFields"] = {
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": effort},
        }
    return limit


def _add_budget(
    body: Json, request: ChatRequest, budget: int, limit: int | None, notes: Notes
) -> int:
    """Write thinking with a budget of tokens, if the conversation and the bound allow it."""
    most = limit or min(
        DEFAULT_ANSWER_TOKENS + budget, request.output_limit or DEFAULT_ANSWER_TOKENS + budget
    )
    if _continues_foreign_call(body["messages"]):
        notes.add("reasoning was left out: the tool call to go on from was another model's")
        return most
    if budget + DEFAULT_ANSWER_TOKENS > most:
        budget = min(budget, int(most * THINKING_SHARE))
    if budget < LEAST_BUDGET:
        notes.add(f"reasoning was left out: {most} output tokens leave no room for it")
        return most
    thinking = {"type": "enabled", "budget_tokens": budget}
    body["additionalModelRequestFields"] = {"thinking": thinking}
    return most


def _continues_foreign_call(turns: list[Json]) -> bool:
    """Return whether the last turn answers a tool call that no reasoning came before."""
    if "toolResult" not in turns[-1]["content"][0] or len(turns) < 2:
        return False
    return "reasoningContent" not in turns[-2]["content"][0]


def _add_effort(body: Json, request: ChatRequest, notes: Notes) -> None:
    """Ask another maker's model for the reasoning effort, where it is known how."""
    asked = request.options.reasoning
    if asked is None:
        return
    if "openai.gpt-oss" in request.model_id:
        effort = fit_effort(asked, OPEN_WEIGHT_EFFORTS, notes)
        if effort is not None:
            body["additionalModelRequestFields"] = {"reasoning_effort": effort}
    elif asked != "none":
        notes.add(f"reasoning {asked} was left out: this model takes no such setting")


def _thinking(body: Json) -> str | None:
    kind = body.get("additionalModelRequestFields", {}).get("thinking", {}).get("type")
    return str(kind) if kind in ("adaptive", "enabled") else None


def _add_sampling(
    inference: Json, body: Json, request: ChatRequest, notes: Notes, *, is_claude: bool
) -> None:
    options, sampling = request.options, request.capabilities.sampling
    values = {"temperature": options.temperature, "topP": options.top_p}
    for name, value in values.items():
        if value is None:
            continue
        if sampling == "no":
            notes.add(f"{name} was left out: this model does not take it")
        elif _thinking(body) is not None:
            notes.add(f"{name} was left out: it does not go with reasoning")
        elif name == "topP" and is_claude and "temperature" in inference:
            notes.add("topP was left out: this model takes only one of it and temperature")
        else:
            inference[name] = min(max(value, 0.0), 1.0)
            if inference[name] != value:
                notes.add(f"{name} was cut from {value} to {inference[name]}")
    if options.seed is not None:
        notes.add("seed was left out: this provider has none")
    stops = [stop for stop in options.stop if stop.strip()]
    if stops:
        inference["stopSequences"] = stops
    if len(stops) < len(options.stop):
        notes.add("a stop sequence of white space was left out: this provider refuses it")


def _add_tools(body: Json, request: ChatRequest, notes: Notes) -> None:
    options = request.options
    able = request.capabilities.tools and options.tool_choice != "none"
    tools = [_tool(tool, notes) for tool in options.tools] if able else []
    if not tools:
        _add_past_tools(body, request, notes)
        return
    config: Json = {"tools": tools}
    choice = options.tool_choice
    if is_forced(choice):
        if not request.capabilities.forced_tool_choice:
            notes.add("tool_choice was sent as auto: this model cannot be made to call a tool")
            choice = "auto"
        elif _thinking(body) == "enabled":
            notes.add("tool_choice was sent as auto: it cannot be forced while the model reasons")
            choice = "auto"
    if isinstance(choice, ToolName):
        config["toolChoice"] = {"tool": {"name": choice.name}}
    elif choice is not None:
        config["toolChoice"] = {"any" if choice == "required" else "auto": {}}
    if options.parallel_tool_calls is False:
        notes.add("parallel_tool_calls was left out: this provider cannot forbid them")
    body["toolConfig"] = config


def _tool(tool: Tool, notes: Notes) -> Json:
    encoded: Json = {"name": tool.name}
    if tool.description.strip():
        encoded["description"] = tool.description
    schema = {"type": "object", **tool.parameters}
    encoded["inputSchema"] = {"json": schema}
    if tool.strict:
        if is_strict(schema):
            encoded["strict"] = True
        else:
            notes.add("strict was left out of a tool: its schema is open or has optional fields")
    return {"toolSpec": encoded}


def _add_past_tools(body: Json, request: ChatRequest, notes: Notes) -> None:
    """Name the tools of an earlier turn: the API refuses a history with calls of unknown tools."""
    offered = {tool.name: tool for tool in request.options.tools}
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    names = dict.fromkeys(block["toolUse"]["name"] for block in blocks if "toolUse" in block)
    if not names and any("toolResult" in block for block in blocks):
        names = {"unknown": None}
    if not names:
        return
    body["toolConfig"] = {
        "tools": [_tool(offered.get(name) or Tool(name), notes) for name in names]
    }
    notes.add("tools of earlier turns were named, which this provider asks for and may call")


def _add_schema(body: Json, request: ChatRequest, notes: Notes) -> None:
    asked = request.options.output_schema
    if asked is None:
        return
    schema = closed(asked)
    if schema != asked:
        notes.add("additionalProperties: false was added to the output schema")
    written = {"schema": encode_json(schema).decode("utf-8"), "name": "answer"}
    body["outputConfig"] = {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": written}}
    }
