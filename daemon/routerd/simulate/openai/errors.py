"""The errors of OpenAI's API, in its own words: type, code, message and parameter."""

from __future__ import annotations

from typing import Any, NamedTuple

from routerd.simulate.exchange import Refusal
from routerd.simulate.script import Fault
from routerd.simulate.vendor import PAGE_STATUSES

__all__ = [
    "INVALID",
    "error_object",
    "fault_refusal",
    "invalid",
    "missing",
    "unknown_model",
    "unsupported",
]


class KnownError(NamedTuple):
    """An error of the vendor: its type, its message with `{model}` to fill in, its parameter.

    `code` is what it is called on the wire, where it is not what a script calls it.
    """

    kind: str
    message: str
    param: str | None = None
    code: str | None = None


INVALID = "invalid_request_error"
QUOTA = KnownError(
    "insufficient_quota",
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors.",
)
ERRORS = {
    "content_policy_violation": KnownError(
        INVALID, "Your request was rejected as a result of our safety system."
    ),
    "context_length_exceeded": KnownError(
        INVALID,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in "
        "250000 tokens. Please reduce the length of the messages.",
        "messages",
    ),
    "credit_balance_exhausted": QUOTA,
    "insufficient_quota": QUOTA,
    "invalid_api_key": KnownError(
        INVALID,
        "Incorrect API key provided. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
    "invalid_prompt": KnownError(
        INVALID,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    ),
    "model_not_found": KnownError(
        INVALID, "The model `{model}` does not exist or you do not have access to it."
    ),
    "organization_spend_limit_exceeded": QUOTA,
    "organization_usage_limit_exceeded": QUOTA,
    "project_spend_limit_exceeded": QUOTA,
    "rate_limit_exceeded": KnownError(
        "requests",
        "Rate limit reached for {model} in organization org-simulated on requests per min (RPM): "
        "Limit 10000, Used 10000, Requested 1. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
    ),
    "server_is_overloaded": KnownError(
        "service_unavailable_error",
        "Our servers are currently overloaded. Please try again later.",
    ),
    "slow_down": KnownError(
        "rate_limit_error", "Your request rate grew too fast. Please slow down and try again."
    ),
    "unsupported_country_region_territory": KnownError(
        "request_forbidden", "Country, region, or territory not supported"
    ),
    # DeepSeek's.
    "response_format_unavailable": KnownError(
        INVALID, "This response_format type is unavailable now", code=INVALID
    ),
    "thinking_tool_choice": KnownError(
        INVALID, "Thinking mode does not support this tool_choice", code=INVALID
    ),
}
CODE_OF_STATUS = {
    401: "invalid_api_key",
    403: "unsupported_country_region_territory",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    503: "server_is_overloaded",
}
SERVER_ERROR = "The server had an error while processing your request. Sorry about that!"


def invalid(message: str, code: str | None = None, param: str | None = None) -> Refusal:
    """Make a 400."""
    return Refusal(400, INVALID, message, code=code, param=param)


def missing(param: str) -> Refusal:
    """Make the 400 for a parameter that is not there."""
    return invalid(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)


def unsupported(value: str, allowed: tuple[str, ...], param: str) -> Refusal:
    """Make the 400 for a value that is none of the allowed ones."""
    listed = ", ".join(f"'{one}'" for one in allowed)
    return invalid(
        f"Invalid value: '{value}'. Supported values are: {listed}.", "invalid_value", param
    )


def unknown_model(model: str) -> Refusal:
    """Make the 404 for a model that is not there."""
    known = ERRORS["model_not_found"]
    return Refusal(404, known.kind, known.message.format(model=model), code="model_not_found")


def fault_refusal(fault: Fault, model: str | None) -> Refusal:
    """Choose the real error for a scripted code, or for a status alone."""
    status = fault.status or 500
    if fault.code is None and fault.kind == "status" and status in PAGE_STATUSES:
        return Refusal(status, "page", "the vendor is not there", page=True)
    code = fault.code or (CODE_OF_STATUS.get(status) if fault.status else None)
    plain = KnownError("server_error", SERVER_ERROR)
    if 400 <= status < 500:
        plain = KnownError(INVALID, f"Simulated error {status} ({code}).")
    known = ERRORS.get(code or "", plain)
    message = known.message.format(model=model)
    wait = fault.retry_after
    param = fault.param or known.param
    code = known.code or code
    return Refusal(status, known.kind, message, code=code, param=param, retry_after=wait)


def error_object(refusal: Refusal) -> dict[str, Any]:
    """Write what stands under `error`."""
    return {
        "message": refusal.message,
        "type": refusal.kind,
        "param": refusal.param,
        "code": refusal.code,
    }
