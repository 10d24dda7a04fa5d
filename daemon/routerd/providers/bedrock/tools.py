"""The tools of a Converse request, and the schema of its answer.

Rules of this file: the API knows no tool choice `none`: where none may be called none is named. A
model that cannot be bound to a schema is given one more tool with it, whose arguments are the
answer: the decoder reads a call of `ANSWER_TOOL` as text.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.base import ChatRequest
from routerd.providers.bedrock.makers import Habits
from routerd.providers.bedrock.reasoning import thinking_kind
from routerd.providers.json_schema import closed_output, is_strict
from routerd.providers.json_text import encode_json
from routerd.providers.request import (
    Notes,
    ToolNameRule,
    fit_tool_choice,
    is_forced,
    refusal,
)
from routerd_proto.content import Tool, ToolChoice, ToolName

__all__ = ["ANSWER_TOOL", "TOOL_NAMES", "add_schema", "add_tools", "names_tools"]

Json = dict[str, Any]

# Source: the service model of 2023-09-30, ToolName.
TOOL_NAMES: Final = ToolNameRule(r"[a-zA-Z0-9_-]{1,64}", "letters, digits, - and _", 64)
ANSWER_TOOL: Final = "routerd_answer_as_json"


def names_tools(request: ChatRequest, habits: Habits) -> bool:
    """Return whether the request names any tool, without which it may not hold earlier calls."""
    answers_by_tool = request.options.output_schema is not None and not habits.has_schemas
    return _may_call(request) or answers_by_tool


def add_tools(body: Json, request: ChatRequest, habits: Habits, notes: Notes) -> None:
    """Offer the caller's tools, if any may be called."""
    options = request.options
    if not _may_call(request):
        return
    TOOL_NAMES.check(options.tools, taken=ANSWER_TOOL)
    tools = [_tool(tool, habits, notes) for tool in options.tools]
    config: Json = {"tools": tools}
    choice = _choice(body, request, notes)
    if isinstance(choice, ToolName):
        config["toolChoice"] = {"tool": {"name": choice.name}}
    elif choice == "required":
        config["toolChoice"] = {"any": {}}
    if options.parallel_tool_calls is False:
        notes.add("parallel_tool_calls was left out: this provider cannot forbid them")
    body["toolConfig"] = config


def add_schema(body: Json, request: ChatRequest, habits: Habits, notes: Notes) -> bool:
    """Bind the answer to the caller's schema, if there is one; return whether it is by a tool."""
    asked = request.options.output_schema
    if asked is None:
        return False
    if not habits.has_schemas:
        return _add_answer_tool(body, request, asked, notes)
    # Of Claude it is known that it takes closed objects alone; others say it themselves.
    schema = closed_output(asked, notes, refuses_open=habits.effort == "thinking")
    written = {"schema": encode_json(schema).decode("utf-8"), "name": "answer"}
    body["outputConfig"] = {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": written}}
    }
    return False


def _add_answer_tool(body: Json, request: ChatRequest, schema: Json, notes: Notes) -> bool:
    if not request.capabilities.forced_tool_choice:
        raise refusal(
            f"the model {request.model_id} cannot answer by a JSON schema",
            param="options.output_schema",
        )
    options = request.options
    may_call = _may_call(request)
    if may_call and is_forced(options.tool_choice):
        notes.add("the output schema was left out: the model is made to call a tool instead")
        return False
    config = body.setdefault("toolConfig", {"tools": []})
    words = "Give the answer to the user, in the form asked for."
    config["tools"].append(
        {
            "toolSpec": {
                "name": ANSWER_TOOL,
                "description": words,
                "inputSchema": {"json": {"type": "object", **schema}},
            }
        }
    )
    config["toolChoice"] = {"any": {}} if may_call else {"tool": {"name": ANSWER_TOOL}}
    notes.add("the output schema was sent as a tool that the model is made to answer by")
    return True


def _may_call(request: ChatRequest) -> bool:
    options = request.options
    return bool(options.tools) and request.capabilities.tools and options.tool_choice != "none"


def _choice(body: Json, request: ChatRequest, notes: Notes) -> ToolChoice | None:
    """Return the choice of a tool, as far as the model lets itself be forced."""
    choice = fit_tool_choice(request, notes)
    if is_forced(choice) and thinking_kind(body) == "enabled":
        notes.add("tool_choice was sent as auto: it cannot be forced while the model reasons")
        return "auto"
    return choice


def _tool(tool: Tool, habits: Habits, notes: Notes) -> Json:
    encoded: Json = {"name": tool.name}
    if tool.description.strip():
        encoded["description"] = tool.description
    schema = {"type": "object", **tool.parameters}
    encoded["inputSchema"] = {"json": schema}
    if tool.strict:
        if not habits.has_schemas:
            notes.add("strict was left out of a tool: this model does not take it")
        elif is_strict(schema):
            encoded["strict"] = True
        else:
            notes.add("strict was left out of a tool: its schema is open or has optional fields")
    return {"toolSpec": encoded}
