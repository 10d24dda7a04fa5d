"""What a refused Chat Completions request is sent as once more, where the refusal names the cure.

Rules of this file: pure. Only what does not change the meaning is left out, renamed or switched:
sampling, reasoning effort, parallel calls, the usage of a stream, the name of the output limit and
of the stop sequences, the role of the system's text.
Never tools, their choice, the schema or a text, and never the output limit itself: money was set
aside by it. Structured fields decide; words of a message count where the vendor gives nothing else.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

from msgspec.structs import replace

from routerd.errors import ErrorClass, Failure
from routerd.providers.base import ChatRequest, Repair
from routerd.providers.openai.dialects import Dialect, ModelRule

__all__ = ["ALWAYS_REASONS", "is_curable", "left_out", "repair_request", "with_least_effort"]

STATUSES: Final = (400, 422)
CODES: Final = frozenset(
    {"unsupported_parameter", "unsupported_value", "invalid_value", "decimal_below_min_value"}
)
# A failure without a code shows its type.
NO_CODE: Final = frozenset({None, "invalid_request_error", "BadRequestError"})
# Parameters of the wire, and the options that they come from.
MAY_BE_LEFT_OUT: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "random_seed": "seed",
    "reasoning_effort": "reasoning",
    "reasoning.effort": "reasoning",  # as an upstream calls it that was asked in Responses
    "parallel_tool_calls": "parallel_tool_calls",
}
OTHER_LIMIT: Final[dict[str, Literal["max_tokens", "max_completion_tokens"]]] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
OTHER_STOP: Final = {"stop": "stop_sequences", "stop_sequences": "stop"}
# `messages[0].role`, as OpenAI names it, or `messages.0.role`, as FastAPI does.
ROLE: Final = re.compile(r"messages(?:\[\d+\]|\.\d+)\.(?:[\w-]+\.)*role")
OTHER_ROLE: Final[dict[str, Literal["system", "user"]]] = {"developer": "system", "system": "user"}
STREAM_OPTIONS: Final = "stream_options"
NO_EFFORT_WITH_TOOLS: Final = "function tools with reasoning_effort are not supported"
ALWAYS_REASONS: Final = re.compile(r"(?:thinking|reasoning)\b.*\bcannot be disabled")
NO_REASONING_BACK: Final = re.compile(
    r"reasoning_content\b.*\bmust be passed back|reasoning_content is missing"
)
# DeepSeek's words, those of Qwen's own service, and Moonshot's; its thinking is on unless told.
NO_CHOICE_WHILE_THINKING: Final = re.compile(
    r"thinking mode does not support this tool_choice"
    r"|\btool_choice\b.{0,80}\b(?:in thinking mode|incompatible with thinking)\b"
)


def repair_request(
    request: ChatRequest, failure: Failure, dialect: Dialect, rule: ModelRule
) -> Repair | None:
    """Return the request as the provider may take it, None where the refusal names no cure."""
    if not is_curable(failure):
        return None
    message = failure.message.lower()
    if NO_EFFORT_WITH_TOOLS in message:
        repair = _without_effort(request, dialect, rule)
    elif NO_CHOICE_WHILE_THINKING.search(message):
        repair = _without_thinking(request, dialect, rule)
    elif ALWAYS_REASONS.search(message):
        repair = with_least_effort(request, rule)
    elif NO_REASONING_BACK.search(message):
        repair = _with_reasoning_back(request, dialect)
    elif STREAM_OPTIONS in message or STREAM_OPTIONS in (failure.param or ""):
        repair = _without_usage(request, dialect)
    else:
        repair = _for_parameter(request, failure, dialect)
    return repair


def is_curable(failure: Failure) -> bool:
    """Return whether it was the request that was refused, before it was served."""
    return failure.error_class is ErrorClass.BAD_REQUEST and failure.status in STATUSES


def _for_parameter(request: ChatRequest, failure: Failure, dialect: Dialect) -> Repair | None:
    """Rename or leave out the parameter that the refusal names."""
    param = (failure.param or "").removeprefix("body.")
    if param in OTHER_LIMIT:
        return _with_other_limit(request, param, failure, dialect)
    if param in OTHER_STOP:
        return _with_other_stop(request, param, failure)
    if ROLE.fullmatch(param):
        return _with_other_role(request, failure)
    return left_out(request, failure, MAY_BE_LEFT_OUT.get(param))


def left_out(request: ChatRequest, failure: Failure, option: str | None) -> Repair | None:
    """Leave out the option whose parameter was refused; None where that is not what was said."""
    is_named = (
        failure.code in CODES or failure.code in NO_CODE or failure.code == str(failure.status)
    )
    if not is_named or option is None or getattr(request.options, option) is None:
        return None
    return _changed(request, f"{option} was left out: the provider refused it", **{option: None})


def _changed(request: ChatRequest, note: str, **options: Any) -> Repair:
    return Repair(replace(request, options=replace(request.options, **options)), note)


def _without_effort(request: ChatRequest, dialect: Dialect, rule: ModelRule) -> Repair | None:
    if "none" in rule.efforts or dialect.reasoning_off:
        note = "reasoning was sent as none: the provider takes no other effort beside tools"
        return _changed(request, note, reasoning="none")
    if request.options.reasoning is None:
        return None
    note = "reasoning was left out: the provider takes no effort beside tools"
    return _changed(request, note, reasoning=None)


def _without_thinking(request: ChatRequest, dialect: Dialect, rule: ModelRule) -> Repair | None:
    """Switch the reasoning off where that can be said; the choice of the tool stays."""
    can_say = dialect.reasoning_off or ("none" in rule.efforts and request.capabilities.reasoning)
    if request.options.reasoning == "none" or not can_say:
        return None
    note = "reasoning was sent as none: the provider takes no such tool choice beside it"
    return _changed(request, note, reasoning="none")


def with_least_effort(request: ChatRequest, rule: ModelRule) -> Repair | None:
    """Ask for the least of reasoning where there is no way to have none."""
    if request.options.reasoning != "none":
        return None
    least = next((effort for effort in rule.efforts if effort != "none"), None)
    done = "left out" if least is None else f"sent as {least}"
    note = f"reasoning none was {done}: the provider says that this model always reasons"
    return _changed(request, note, reasoning=least)


def _with_reasoning_back(request: ChatRequest, dialect: Dialect) -> Repair | None:
    """Add the field the provider misses; where it has that, switch the reasoning off."""
    can_add = dialect.reasoning_back in (None, "reasoning_content")
    if can_add and not dialect.reasoning_required and not request.reasoning_required:
        note = "empty reasoning was added to earlier tool calls: the provider requires the field"
        return Repair(replace(request, reasoning_required=True), note)
    if request.options.reasoning == "none":
        return None
    note = "reasoning was sent as none: the provider misses that of an earlier answer"
    return _changed(request, note, reasoning="none")


def _without_usage(request: ChatRequest, dialect: Dialect) -> Repair | None:
    """Do not ask for the usage of a stream: old servers know no such thing."""
    if not (request.stream and request.usage_in_stream and dialect.include_usage):
        return None
    note = "stream_options was left out: the provider refused it, and may report no usage"
    return Repair(replace(request, usage_in_stream=False), note)


def _with_other_role(request: ChatRequest, failure: Failure) -> Repair | None:
    """Say the system's text in a role the model has; the text and its place stay."""
    role = request.system_role
    other = OTHER_ROLE.get(role)
    if other is None or role not in failure.message:
        return None
    if not any(message.role == "system" for message in request.messages):
        return None
    note = f"the role {role} was sent as {other}: the provider refused it"
    return Repair(replace(request, system_role=other), note)


def _with_other_limit(
    request: ChatRequest, param: str, failure: Failure, dialect: Dialect
) -> Repair | None:
    """Rename the output limit, unless it is its value that was refused."""
    other = OTHER_LIMIT[param]
    was_sent = param == (request.max_tokens_parameter or dialect.max_tokens)
    if request.options.max_output_tokens is None or not was_sent:
        return None
    if failure.code != "unsupported_parameter" and other not in failure.message:
        return None
    note = f"{param} was sent as {other}: the provider refused it"
    return Repair(replace(request, max_tokens_parameter=other), note)


def _with_other_stop(request: ChatRequest, param: str, failure: Failure) -> Repair | None:
    """Rename the stop sequences where the provider says how it calls them; never leave them out."""
    other = OTHER_STOP[param]
    was_sent = param == (request.stop_parameter or "stop")
    is_named = re.search(rf"\b{other}\b", failure.message) is not None
    if not request.options.stop or not was_sent or not is_named:
        return None
    note = f"{param} was sent as {other}: the provider refused it"
    return Repair(replace(request, stop_parameter=other), note)
