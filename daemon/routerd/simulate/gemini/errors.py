"""The errors of Gemini's API, in its own words: code, message, status and details."""

from __future__ import annotations

from typing import Any

from routerd.simulate.exchange import Refusal
from routerd.simulate.script import Fault
from routerd.simulate.vendor import PAGE_STATUSES

__all__ = ["error_body", "fault_refusal", "invalid"]

INVALID = "INVALID_ARGUMENT"
WORD_OF_STATUS = {
    400: INVALID,
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
MESSAGES = {
    INVALID: "Request contains an invalid argument.",
    "UNAUTHENTICATED": "Request had invalid authentication credentials.",
    "PERMISSION_DENIED": "The caller does not have permission.",
    "NOT_FOUND": "models/{model} is not found for API version v1beta, or is not supported for "
    "generateContent.",
    "RESOURCE_EXHAUSTED": "You exceeded your current quota.",
    "CANCELLED": "The operation was cancelled.",
    "INTERNAL": "An internal error has occurred.",
    "UNAVAILABLE": "The model is overloaded. Please try again later.",
    "DEADLINE_EXCEEDED": "Deadline expired before operation could complete.",
}
# By the code that other vendors give the case, since a fault may be for all of them.
CASES = {
    "context_length_exceeded": (
        INVALID,
        "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "content_policy_violation": ("BLOCKED", "The prompt was blocked."),
    "prefill_refused": (INVALID, "Please ensure that the last turn is the user's."),
    "insufficient_quota": ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "model_not_found": ("NOT_FOUND", MESSAGES["NOT_FOUND"]),
    "rate_limit_exceeded": ("RESOURCE_EXHAUSTED", MESSAGES["RESOURCE_EXHAUSTED"]),
    "server_error": ("INTERNAL", MESSAGES["INTERNAL"]),
    "server_is_overloaded": ("UNAVAILABLE", MESSAGES["UNAVAILABLE"]),
}
DAILY = "GenerateRequestsPerDayPerProjectPerModel"


def invalid(message: str) -> Refusal:
    """Make a 400."""
    return Refusal(400, INVALID, message)


def fault_refusal(fault: Fault, model: str | None) -> Refusal:
    """Choose the real error for a scripted code, or for a status alone."""
    status = fault.status or 503
    if fault.code is None and fault.kind != "error_in_stream" and status in PAGE_STATUSES:
        return Refusal(status, "page", "the vendor is not there", page=True)
    word = WORD_OF_STATUS.get(status, INVALID if status < 500 else "INTERNAL")
    word, message = CASES.get(fault.code or "", (word, MESSAGES[word]))
    code = None if fault.code in CASES and fault.code != "insufficient_quota" else fault.code
    return Refusal(
        status, word, message.format(model=model), code=code, retry_after=fault.retry_after
    )


def error_body(refusal: Refusal) -> dict[str, Any]:
    """Write an error; a blocked prompt is an answer with nothing but the reason."""
    if refusal.kind == "BLOCKED":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    details: list[dict[str, Any]] = []
    if refusal.code == "insufficient_quota":
        kind = "type.googleapis.com/google.rpc.QuotaFailure"
        details.append({"@type": kind, "violations": [{"quotaId": DAILY}]})
    elif refusal.code is not None:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details.append({"@type": kind, "reason": refusal.code})
    if refusal.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": f"{refusal.retry_after:g}s"})
    error: dict[str, Any] = {
        "code": refusal.status,
        "message": refusal.message,
        "status": refusal.kind,
    }
    return {"error": {**error, "details": details} if details else error}
