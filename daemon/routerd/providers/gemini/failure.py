"""Errors of generateContent.

Rules of this file: what the statuses and reasons mean stands in one table; the rest is shared with
every vendor. How long to wait stands in the body, and is read before any header.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from routerd.errors import ErrorClass, Failure
from routerd.providers.failure import (
    HUNG_UP,
    WAITING_CLASSES,
    FailureRules,
    ProviderError,
    classify,
    error_of,
    failure_of,
    read_error,
)
from routerd.providers.json_text import text_of
from routerd.providers.waiting import MAX_WAIT_SECONDS, duration

__all__ = ["blocked", "failure_by_google", "is_by_google", "read_failure", "stream_failure"]

MAX_WORD_CHARACTERS: Final = 100
# What no reason at all is called, by the one service and the other.
NOT_BLOCKED: Final = ("BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED")
CANCELLED: Final = "CANCELLED"
GOOGLES_TYPES: Final = "type.googleapis.com/"
RULES: Final = FailureRules(
    codes={
        **dict.fromkeys(
            ("API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED"),
            ErrorClass.AUTH,
        ),
    },
    types={
        "FAILED_PRECONDITION": ErrorClass.AUTH,
        "UNAUTHENTICATED": ErrorClass.AUTH,
        "PERMISSION_DENIED": ErrorClass.AUTH,
        "NOT_FOUND": ErrorClass.NOT_FOUND,
        "RESOURCE_EXHAUSTED": ErrorClass.RATE_LIMIT,
        "INTERNAL": ErrorClass.SERVER_ERROR,
        "UNKNOWN": ErrorClass.SERVER_ERROR,
        "UNAVAILABLE": ErrorClass.OVERLOADED,
        "DEADLINE_EXCEEDED": ErrorClass.TIMEOUT,
    },
    patterns=(
        ("api key not valid", ErrorClass.AUTH),
        ("api key expired", ErrorClass.AUTH),
        # Vertex, before it counts exactly.
        ("but model only supports up to", ErrorClass.CONTEXT_LENGTH),
    ),
    type_statuses={"INVALID_ARGUMENT": 400, "OUT_OF_RANGE": 400, CANCELLED: HUNG_UP},
)


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read an answer that is not a success."""
    return failure_by_google(read_error(status, body), status, headers)


def stream_failure(value: Any) -> Failure:
    """Read an error that came inside an answer with status 200."""
    error = error_of({"error": value}) or ProviderError()
    return failure_by_google(error, error.status, {})


def blocked(feedback: dict[str, Any]) -> Failure | None:
    """Read why a prompt was blocked, None where it was not."""
    reason = feedback.get("blockReason")
    if isinstance(reason, bool) or not isinstance(reason, str | int):
        return None
    if not reason or reason in NOT_BLOCKED:
        return None
    word = (text_of(str(reason)) or "")[:MAX_WORD_CHARACTERS]
    # Read like an error, so that the vendor's words are made short and safe to show.
    told = error_of({"error": {"message": text_of(feedback.get("blockReasonMessage")) or ""}})
    words = f": {told.message}" if told is not None and told.message else ""
    return Failure(
        ErrorClass.CONTENT_POLICY, f"the provider blocked the prompt ({word}){words}", code=word
    )


def is_by_google(error: ProviderError) -> bool:
    """Say whether an error is written as all services of Google write them, in whatever format."""
    details = error.fields.get("details")
    return isinstance(details, list) and any(
        isinstance(item, dict) and (text_of(item.get("@type")) or "").startswith(GOOGLES_TYPES)
        for item in details
    )


def failure_by_google(
    error: ProviderError, status: int | None, headers: Mapping[str, str]
) -> Failure:
    """Read an error by its reason and its details."""
    details = error.fields.get("details")
    items = (
        [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    )
    word = text_of(error.fields.get("status"))
    reason = next((found for item in items if (found := text_of(item.get("reason")))), None)
    error = msgspec.structs.replace(
        error,
        type=word[:MAX_WORD_CHARACTERS] if word else error.type,
        code=reason[:MAX_WORD_CHARACTERS] if reason else None if word else error.code,
    )
    error_class = ErrorClass.QUOTA if status == 402 else classify(error, status, RULES)
    if error_class is ErrorClass.RATE_LIMIT and any(_is_daily(item) for item in items):
        error_class = ErrorClass.QUOTA
    failure = failure_of(error, error_class, status, headers)
    if error.type == CANCELLED:
        failure = msgspec.structs.replace(failure, is_evidence=False)
    seconds = next((wait for item in items if (wait := _retry_delay(item)) is not None), None)
    if seconds is not None and error_class in WAITING_CLASSES:
        failure = msgspec.structs.replace(failure, retry_after=seconds)
    return failure


def _is_daily(detail: dict[str, Any]) -> bool:
    violations = detail.get("violations")
    return isinstance(violations, list) and any(
        isinstance(item, dict) and "PerDay" in (text_of(item.get("quotaId")) or "")
        for item in violations
    )


def _retry_delay(detail: dict[str, Any]) -> float | None:
    seconds = duration(text_of(detail.get("retryDelay")) or "")
    return min(seconds, MAX_WAIT_SECONDS) if seconds is not None and seconds > 0 else None
