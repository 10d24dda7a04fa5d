"""The errors of Anthropic's API, in its own words: type, message and details."""

from __future__ import annotations

from typing import Any, NamedTuple

from routerd.simulate.exchange import Refusal
from routerd.simulate.script import Fault
from routerd.simulate.vendor import PAGE_STATUSES

__all__ = ["INVALID", "error_body", "fault_refusal", "invalid"]

INVALID = "invalid_request_error"
TYPE_OF_STATUS = {
    400: INVALID,
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    529: "overloaded_error",
}
MESSAGES = {
    INVALID: "Simulated error: the request was refused.",
    "authentication_error": "invalid x-api-key",
    "billing_error": "There is a problem with your organization's billing.",
    "permission_error": "Your API key does not have permission to use the specified resource.",
    "not_found_error": "model: {model}",
    "conflict_error": "The request conflicts with the current state of the resource.",
    "request_too_large": "Request exceeds the maximum size",
    "rate_limit_error": "This request would exceed your organization's rate limit of 10,000 "
    "requests per minute. Please reduce the prompt length or the maximum tokens requested, or try "
    "again later.",
    "timeout_error": "The request timed out while it was processed.",
    "api_error": "Internal server error",
    "overloaded_error": "Overloaded",
}


class KnownCase(NamedTuple):
    """A case that has a type of another status, or a message of its own."""

    kind: str
    message: str


# By the code that other vendors give the case, since a fault may be for all of them.
CASES = {
    "context_length_exceeded": KnownCase(
        INVALID, "prompt is too long: 250000 tokens > 200000 maximum"
    ),
    "content_policy_violation": KnownCase(INVALID, "Output blocked by content filtering policy"),
    "prefill_refused": KnownCase(
        INVALID,
        "This model does not support assistant message prefill. The conversation must end with a "
        "user message.",
    ),
    "insufficient_quota": KnownCase(
        INVALID,
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing "
        "to upgrade or purchase credits.",
    ),
    "model_not_found": KnownCase("not_found_error", MESSAGES["not_found_error"]),
    "rate_limit_exceeded": KnownCase("rate_limit_error", MESSAGES["rate_limit_error"]),
    "server_error": KnownCase("api_error", MESSAGES["api_error"]),
    "server_is_overloaded": KnownCase("overloaded_error", MESSAGES["overloaded_error"]),
}


def invalid(message: str) -> Refusal:
    """Make a 400."""
    return Refusal(400, INVALID, message)


def fault_refusal(fault: Fault, model: str | None) -> Refusal:
    """Choose the real error for a scripted code, or for a status alone.

    The code may be one of the vendor's error types, one that other vendors use for the same case,
    or else the `error_code` in the details.
    """
    in_stream = fault.kind == "error_in_stream"
    status = fault.status or 529
    if fault.code is None and not in_stream and status in PAGE_STATUSES:
        return Refusal(status, "page", "the vendor is not there", page=True)
    code = fault.code or ""
    kind = TYPE_OF_STATUS.get(status, INVALID if status < 500 else "api_error")
    case = CASES.get(code) or KnownCase(kind, MESSAGES[kind])
    if code in MESSAGES:
        case = KnownCase(code, MESSAGES[code])
    detail = None if code in MESSAGES or code in CASES else fault.code
    message = case.message.format(model=model)
    return Refusal(status, case.kind, message, code=detail, retry_after=fault.retry_after)


def error_body(refusal: Refusal, request_id: str | None) -> dict[str, Any]:
    """Write an error; inside a stream it has no request id."""
    error: dict[str, Any] = {"type": refusal.kind, "message": refusal.message}
    if refusal.code is not None:
        error["details"] = {"error_code": refusal.code}
    body: dict[str, Any] = {"type": "error", "error": error}
    if request_id is not None:
        body["request_id"] = request_id
    return body
