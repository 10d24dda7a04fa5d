"""How much a model is to reason, in the words of its maker.

Rules of this file: all of it goes into `additionalModelRequestFields`. Where a model takes no such
setting it is left out with a note; reasoning is only switched off where that was asked for. Source
for Nova 2, whose field is `reasoningConfig`: Amazon's guide for it, "Using the Converse API" and
"Extended thinking". `reasoning_config`, with a budget of tokens, is an older field of Claude's.
"""

from __future__ import annotations

from typing import Any, Final

from routerd.providers.base import ChatRequest
from routerd.providers.bedrock.makers import Habits
from routerd.providers.claude import (
    THINKING_TOKENS,
    adaptive_thinking,
    default_limit,
    fit_budget,
    generation_of,
    reason_against_budget,
)
from routerd.providers.request import Notes, fit_effort
from routerd_proto.content import ReasoningEffort

__all__ = ["add_reasoning", "thinking_kind"]

Json = dict[str, Any]

THREE_EFFORTS: Final[tuple[ReasoningEffort, ...]] = ("low", "medium", "high")


def add_reasoning(
    body: Json, request: ChatRequest, habits: Habits, limit: int | None, notes: Notes
) -> int | None:
    """Ask for the reasoning effort, if any; return the bound on the output, which it may change."""
    asked = request.options.reasoning
    if asked is None:
        return limit
    if habits.effort == "thinking":
        return _add_thinking(body, request, asked, limit, notes)
    if asked != "none" and not request.capabilities.reasoning:
        notes.add(f"reasoning {asked} was left out: this model does not reason")
    elif habits.effort == "open_weight":
        if (effort := fit_effort(asked, THREE_EFFORTS, notes)) is not None:
            body["additionalModelRequestFields"] = {"reasoning_effort": effort}
    elif habits.effort == "nova" and asked != "none":
        # With the highest effort its output cannot be bounded: a bound goes before depth.
        efforts = THREE_EFFORTS if limit is None else THREE_EFFORTS[:-1]
        if (effort := fit_effort(asked, efforts, notes)) is not None:
            reasoning = {"type": "enabled", "maxReasoningEffort": effort}
            body["additionalModelRequestFields"] = {"reasoningConfig": reasoning}
    elif asked != "none":
        notes.add(f"reasoning {asked} was left out: this model takes no such setting")
    return limit


def thinking_kind(body: Json) -> str | None:
    """Return how the body asks for thinking: adaptive, enabled (with a budget), high (of Nova)."""
    fields = body.get("additionalModelRequestFields", {})
    if "reasoningConfig" in fields:
        effort = fields["reasoningConfig"]["maxReasoningEffort"]
        return "high" if effort == "high" else None
    kind = fields.get("thinking", {}).get("type")
    return str(kind) if kind in ("adaptive", "enabled") else None


def _add_thinking(
    body: Json, request: ChatRequest, asked: ReasoningEffort, limit: int | None, notes: Notes
) -> int | None:
    """Ask Claude, each generation in its own way."""
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
            "thinking": adaptive_thinking(request),
            "output_config": {"effort": effort},
        }
    return limit


def _add_budget(
    body: Json, request: ChatRequest, budget: int, limit: int | None, notes: Notes
) -> int | None:
    """Write thinking with a budget of tokens, if the conversation and the bound allow it."""
    why = reason_against_budget(
        body["messages"],
        lambda block: "reasoningContent" in block,
        lambda block: "toolResult" in block,
    )
    if why is not None:
        notes.add(why)
        return limit
    most = limit or default_limit(request, budget)
    fitted = fit_budget(budget, most, notes)
    if fitted is None:
        return limit
    thinking = {"type": "enabled", "budget_tokens": fitted}
    body["additionalModelRequestFields"] = {"thinking": thinking}
    return most
