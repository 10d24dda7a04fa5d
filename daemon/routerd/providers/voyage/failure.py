"""Errors of Voyage AI.

Rules of this file: an error is `{"detail": "..."}` and nothing else, so the status decides, and
words only where they say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from routerd.errors import ErrorClass, Failure
from routerd.providers.failure import (
    FailureRules,
    ProviderError,
    classify,
    error_of,
    failure_of,
    read_error,
)

__all__ = ["read_failure", "told_failure"]

RULES: Final = FailureRules(
    codes={},
    types={},
    patterns=(
        ("is not supported. supported models are", ErrorClass.NOT_FOUND),
        ("context length", ErrorClass.CONTEXT_LENGTH),
    ),
)
# Of the provider's own gateway: it is there, and cannot serve right now.
OVERLOADED: Final = frozenset({502, 503, 504})


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read an answer that is not a success."""
    error = read_error(status, body)
    error_class = classify(error, status, RULES)
    if status in OVERLOADED:
        error_class = ErrorClass.OVERLOADED
    return failure_of(error, error_class, status, headers)


def told_failure(value: Any) -> Failure:
    """Read an error that came in place of an answer with status 200."""
    error = error_of(value) or ProviderError()
    return failure_of(error, classify(error, error.status, RULES), error.status, {})
