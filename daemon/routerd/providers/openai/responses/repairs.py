"""What a refused Responses request is sent as once more, where the refusal names the cure.

Rules of this file: pure. Only what does not change the meaning is left out: sampling, reasoning
effort, the summary of the reasoning, parallel calls, and the reasoning of earlier answers where the
server cannot read it. Never tools, their choice, the schema or a text, and never the output limit.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from routerd.errors import Failure
from routerd.providers.base import ChatRequest, Repair
from routerd.providers.openai.dialects import ModelRule
from routerd.providers.openai.repairs import (
    ALWAYS_REASONS,
    is_curable,
    left_out,
    with_least_effort,
)

__all__ = ["repair_request"]

# Parameters of the wire, and the options that they come from.
MAY_BE_LEFT_OUT: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "reasoning": "reasoning",
    "reasoning.effort": "reasoning",
    "parallel_tool_calls": "parallel_tool_calls",
}
UNREADABLE_CODE: Final = "invalid_encrypted_content"
# What is said of reasoning that does not fit: of another account or model, not to be had encrypted,
# or torn from the item after it, which says the same of the reasoning before it.
UNREADABLE: Final = re.compile(r"encrypted[ _]content|of type '\w+' was provided without")


def repair_request(request: ChatRequest, failure: Failure, rule: ModelRule) -> Repair | None:
    """Return the request as the provider may take it, None where the refusal names no cure."""
    if not is_curable(failure):
        return None
    param = (failure.param or "").removeprefix("body.")
    if param in ("reasoning.summary", "reasoning.generate_summary"):
        return _without_summary(request)
    if ALWAYS_REASONS.search(failure.message.lower()):
        return with_least_effort(request, rule)
    is_unreadable = failure.code == UNREADABLE_CODE or UNREADABLE.search(failure.message.lower())
    if is_unreadable or param.startswith("include"):
        return _without_reasoning_back(request)
    return left_out(request, failure, MAY_BE_LEFT_OUT.get(param))


def _without_summary(request: ChatRequest) -> Repair | None:
    if not request.reasoning_shown:
        return None
    note = "no summary of the reasoning was asked for: the provider refused it"
    return Repair(replace(request, reasoning_shown=False), note)


def _without_reasoning_back(request: ChatRequest) -> Repair | None:
    if not request.reasoning_carried:
        return None
    note = "reasoning was neither sent back nor asked for to be: the provider refused it"
    return Repair(replace(request, reasoning_carried=False), note)
