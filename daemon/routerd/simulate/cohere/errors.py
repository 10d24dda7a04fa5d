"""The errors of Cohere's API, in its own words: a message, and of few cases a type."""

from __future__ import annotations

from typing import Any

from routerd.simulate.exchange import Refusal
from routerd.simulate.script import Fault
from routerd.simulate.vendor import PAGE_STATUSES

__all__ = ["error_body", "fault_refusal", "invalid"]

TOO_MANY = "TOO_MANY_TOKENS"
MESSAGES = {
    401: "invalid api token",
    402: "Please add or update your payment method at "
    "https://dashboard.cohere.com/billing?tab=payment to continue",
    403: "forbidden",
    404: "model '{model}' not found, make sure the correct model ID was used and that you have "
    "access to the model.",
    429: "You are past the per minute request limit, please wait and try again later.",
    498: "invalid token",
    499: "request cancelled",
    500: "internal server error, this has been reported to our developers",
    503: "service unavailable",
    504: "gateway timeout",
}
# By the code that other vendors give the case, since a fault may be for all of them.
CASES = {
    "context_length_exceeded": (
        TOO_MANY,
        (
            "too many tokens: size limit exceeded by 168512 tokens. The limit for this model is "
            "132000 tokens."
        ),
    ),
    "content_policy_violation": (
        "",
        "The request was blocked because it may violate our Usage Guidelines.",
    ),
    "prefill_refused": ("", "invalid request: the last message must not be the assistant's"),
    "insufficient_quota": (
        "",
        (
            "You are using a Trial key, which is limited to 1000 API calls / month. You can "
            "continue to use the Trial key for free or upgrade to a Production key with higher "
            "rate limits."
        ),
    ),
    "model_not_found": ("", MESSAGES[404]),
    "rate_limit_exceeded": ("", MESSAGES[429]),
    "server_error": ("", MESSAGES[500]),
    "server_is_overloaded": ("", MESSAGES[503]),
}


def invalid(message: str) -> Refusal:
    """Make a 400."""
    return Refusal(400, "", message)


def fault_refusal(fault: Fault, model: str | None) -> Refusal:
    """Choose the real error for a scripted code, or for a status alone."""
    status = fault.status or 500
    if fault.code is None and fault.kind != "error_in_stream" and status in PAGE_STATUSES - {504}:
        return Refusal(status, "page", "the vendor is not there", page=True)
    plain = "invalid request: simulated" if status < 500 else MESSAGES[500]
    kind, message = CASES.get(fault.code or "", ("", MESSAGES.get(status, plain)))
    return Refusal(status, kind, message.format(model=model), retry_after=fault.retry_after)


def error_body(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """Write an error."""
    typed = {"error_type": refusal.kind} if refusal.kind else {}
    return {"id": request_id[:32], **typed, "message": refusal.message}
