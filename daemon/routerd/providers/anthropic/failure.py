"""Errors of the Messages API.

Rules of this file: what the types and codes mean stands in one table; the rest is shared with every
vendor. `details.error_code` says more than the type and is read first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from routerd.errors import ErrorClass, Failure
from routerd.providers.failure import (
    FailureRules,
    ProviderError,
    classify,
    error_of,
    failure_of,
    read_error,
)
from routerd.providers.json_text import text_of

__all__ = ["read_failure", "stream_failure"]

RULES: Final = FailureRules(
    codes={
        **dict.fromkeys(
            (
                "enforced_spend_limit_reached",
                "contract_spend_limit_reached",
                "linked_organization_spend_limit_reached",
                "linked_organization_billing_unavailable",
            ),
            ErrorClass.QUOTA,
        ),
        "ramp_limit_exceeded": ErrorClass.RATE_LIMIT,
        # With status 503: it is not that there is too much to do.
        "cmek_key_unreachable": ErrorClass.SERVER_ERROR,
        "request_body_too_large_after_decoding": ErrorClass.BAD_REQUEST,
    },
    types={
        "authentication_error": ErrorClass.AUTH,
        "permission_error": ErrorClass.AUTH,
        "billing_error": ErrorClass.QUOTA,
        "not_found_error": ErrorClass.NOT_FOUND,
        "rate_limit_error": ErrorClass.RATE_LIMIT,
        "api_error": ErrorClass.SERVER_ERROR,
        "timeout_error": ErrorClass.TIMEOUT,
        "overloaded_error": ErrorClass.OVERLOADED,
    },
    patterns=(
        ("credit balance is too low", ErrorClass.QUOTA),
        # The owner's own monthly limit, as a 400: "You have reached your specified API usage
        # limits. You will regain access on 2026-12-01 at 00:00 UTC."
        ("specified api usage limits", ErrorClass.QUOTA),
        ("output blocked by content filtering policy", ErrorClass.CONTENT_POLICY),
    ),
    type_statuses={
        "invalid_request_error": 400,
        "conflict_error": 409,
        "request_too_large": 413,
    },
)


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read an answer that is not a success."""
    return _failure(read_error(status, body), status, headers)


def stream_failure(value: Any) -> Failure:
    """Read the error of an `error` event, or of an answer with status 200."""
    error = error_of({"error": value}) or ProviderError()
    return _failure(error, error.status, {})


def _failure(error: ProviderError, status: int | None, headers: Mapping[str, str]) -> Failure:
    details = error.fields.get("details")
    if isinstance(details, dict) and (code := text_of(details.get("error_code"))) is not None:
        error = msgspec.structs.replace(error, code=code[:100])
    error_class = classify(error, status, RULES)
    # A conflict is over in a moment; the vendor's own client tries again too.
    retryable_here = True if error.type == "conflict_error" else None
    return failure_of(error, error_class, status, headers, retryable_here=retryable_here)
