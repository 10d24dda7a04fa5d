"""The errors of Bedrock, in its own words: the exception and its message."""

from __future__ import annotations

from typing import NamedTuple

from routerd.simulate.exchange import Refusal
from routerd.simulate.script import Fault
from routerd.simulate.vendor import PAGE_STATUSES

__all__ = ["VALIDATION", "fault_refusal", "invalid"]

VALIDATION = "ValidationException"
TYPE_OF_STATUS = {
    400: VALIDATION,
    401: "UnrecognizedClientException",
    402: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
    529: "ServiceUnavailableException",
}
MESSAGES = {
    VALIDATION: "Simulated error: the request was refused.",
    "UnrecognizedClientException": "The security token included in the request is invalid.",
    "AccessDeniedException": "You don't have access to the model with the specified model ID.",
    "ResourceNotFoundException": "Could not resolve the foundation model from the model identifier",
    "ModelTimeoutException": "Model has timed out in processing the request.",
    "ModelErrorException": "The model failed while it processed the request.",
    "ThrottlingException": "Too many requests, please wait before trying again.",
    "InternalServerException": "The system encountered an unexpected error during processing.",
    "ServiceUnavailableException": "Bedrock is unable to process your request.",
}


class KnownCase(NamedTuple):
    """A case with the message that tells it."""

    kind: str
    message: str


# By the code that other vendors give the case, since a fault may be for all of them.
CASES = {
    "context_length_exceeded": KnownCase(VALIDATION, "Input is too long for requested model."),
    "insufficient_quota": KnownCase(
        "ThrottlingException", "Too many tokens per day, please wait before trying again."
    ),
    "model_not_found": KnownCase(VALIDATION, "The provided model identifier is invalid."),
    "rate_limit_exceeded": KnownCase("ThrottlingException", MESSAGES["ThrottlingException"]),
    "server_error": KnownCase("InternalServerException", MESSAGES["InternalServerException"]),
    "server_is_overloaded": KnownCase(
        "ServiceUnavailableException", MESSAGES["ServiceUnavailableException"]
    ),
}


def invalid(message: str) -> Refusal:
    """Make a 400."""
    return Refusal(400, VALIDATION, message)


def fault_refusal(fault: Fault) -> Refusal:
    """Choose the real error for a scripted code, or for a status alone."""
    in_stream = fault.kind == "error_in_stream"
    status = fault.status or 503
    if fault.code is None and not in_stream and status in PAGE_STATUSES:
        return Refusal(status, "page", "the vendor is not there", page=True)
    code = fault.code or ""
    kind = TYPE_OF_STATUS.get(status, VALIDATION if status < 500 else "InternalServerException")
    if code in MESSAGES:
        kind = code
    case = CASES.get(code) or KnownCase(kind, MESSAGES[kind])
    return Refusal(status, case.kind, case.message, retry_after=fault.retry_after)
