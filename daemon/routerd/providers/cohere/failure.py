"""Errors of Chat.

Rules of this file: an error is a message, at times with an `error_type`; its `id` names the answer
and says nothing. So the status decides, and words only where they say more: 498 is an invalid token
to cohere 7.3, and an unsafe prompt on the vendor's page of errors, which is the other source.
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

OUTPUT_BOUND: Final = "max tokens must be less than"
RULES: Final = FailureRules(
    codes={},
    types={},
    patterns=(
        # Begins like what is said of a prompt that is too long, and is of the bound on the output.
        (OUTPUT_BOUND, ErrorClass.BAD_REQUEST),
        # A trial key has a limit a minute too, which is over soon.
        ("api calls / month", ErrorClass.QUOTA),
        ("usage guidelines", ErrorClass.CONTENT_POLICY),
    ),
)
INVALID_TOKEN: Final = 498
TOO_MANY_TOKENS: Final = "TOO_MANY_TOKENS"
MAX_WORD_CHARACTERS: Final = 100


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read an answer that is not a success."""
    return _failure(read_error(status, body), status, headers)


def stream_failure(value: Any, error_class: ErrorClass | None = None) -> Failure:
    """Read an error that came inside an answer; its class where its words do not say more."""
    error = error_of(value) or error_of({"error": value}) or ProviderError()
    failure = _failure(error, error.status, {})
    if error_class is not None and failure.error_class is ErrorClass.SERVER_ERROR:
        failure = msgspec.structs.replace(failure, error_class=error_class)
    return failure


def _failure(error: ProviderError, status: int | None, headers: Mapping[str, str]) -> Failure:
    word = text_of(error.fields.get("error_type"))
    if word is not None:
        error = msgspec.structs.replace(error, code=word[:MAX_WORD_CHARACTERS])
    error_class = classify(error, status, RULES)
    if status == INVALID_TOKEN and error_class is ErrorClass.OVERLOADED:
        error_class = ErrorClass.AUTH
    elif word == TOO_MANY_TOKENS and OUTPUT_BOUND not in error.message.lower():
        error_class = ErrorClass.CONTEXT_LENGTH
    return failure_of(error, error_class, status, headers)
