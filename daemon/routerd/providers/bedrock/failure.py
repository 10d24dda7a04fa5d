"""Errors of Bedrock.

Rules of this file: what the exceptions mean stands in one table; the rest is shared with every
vendor. The name of an exception is in a header, or in the body, with a tail that is cut off. Inside
a stream it begins with a small letter and has no status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from routerd.errors import ErrorClass, Failure
from routerd.providers.excerpt import shorten
from routerd.providers.failure import (
    FailureRules,
    ProviderError,
    classify,
    failure_of,
    read_error,
)
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of

__all__ = ["body_failure", "read_failure", "stream_failure"]

RULES: Final = FailureRules(
    codes={},
    types={
        **dict.fromkeys(
            (
                "AccessDeniedException",
                "UnrecognizedClientException",
                "InvalidSignatureException",
                "ExpiredTokenException",
                "ExpiredToken",
                "RequestExpired",
                "IncompleteSignature",
                "IncompleteSignatureException",
                "MissingAuthenticationToken",
                "MissingAuthenticationTokenException",
                "SignatureDoesNotMatch",
            ),
            ErrorClass.AUTH,
        ),
        "ConflictException": ErrorClass.BAD_REQUEST,
        "ServiceQuotaExceededException": ErrorClass.QUOTA,
        "ResourceNotFoundException": ErrorClass.NOT_FOUND,
        "UnknownOperationException": ErrorClass.NOT_FOUND,
        "FTUFormNotFilled": ErrorClass.NOT_FOUND,
        "ModelTimeoutException": ErrorClass.TIMEOUT,
        "ModelErrorException": ErrorClass.SERVER_ERROR,
        "ModelStreamErrorException": ErrorClass.SERVER_ERROR,
        "ThrottlingException": ErrorClass.RATE_LIMIT,
        "ModelNotReadyException": ErrorClass.OVERLOADED,
        "InternalServerException": ErrorClass.SERVER_ERROR,
        "InternalFailure": ErrorClass.SERVER_ERROR,
        "ServiceUnavailableException": ErrorClass.OVERLOADED,
    },
    type_statuses={"ValidationException": 400},
)
# What a refusal of the request turns out to be; no other exception is read so closely.
VALIDATION_PATTERNS: Final = (
    ("model identifier is invalid", ErrorClass.NOT_FOUND),
    ("on-demand throughput isn", ErrorClass.NOT_FOUND),
    ("input is too long", ErrorClass.CONTEXT_LENGTH),
    ("exceeds the maximum", ErrorClass.CONTEXT_LENGTH),
    ("input tokens exceed", ErrorClass.CONTEXT_LENGTH),  # Nova's
    ("too many total text bytes", ErrorClass.CONTEXT_LENGTH),
)
# What the key's other models, and the same one elsewhere, need not be refused: its rates and quotas
# are counted by model and region.
OF_A_MODEL: Final = ("ThrottlingException", "ServiceQuotaExceededException")
# An access that is denied names what it is denied to, unless it is the key that is not believed.
MODEL_DENIED: Final = ("model", "resource", "bedrock:")
KEY_DENIED: Final = ("callwithbearertoken", "api key")
# Another model may take what this one does not.
NOT_ABLE: Final = ("model doesn't support", "model does not support")
# The exceptions that pass on what the model's own server answered.
PASSED_ON: Final = ("ModelErrorException", "ModelStreamErrorException")
ERROR_HEADER: Final = "x-amzn-errortype"


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read an answer that is not a success."""
    error = read_error(status, body)
    fields = _fields(body) if 400 <= status < 600 else {}
    named = next((value for name, value in headers.items() if name.lower() == ERROR_HEADER), "")
    return _failure(error, named, fields, status, headers)


def stream_failure(name: bytes, payload: bytes) -> Failure:
    """Read an exception inside a stream."""
    fields = _fields(payload)
    message = "" if fields else shorten(payload[:4096].decode("utf-8", "replace"))
    named = name.decode("utf-8", "replace")
    return _failure(ProviderError(message=message), named, fields, None, {})


def body_failure(fields: dict[str, Any]) -> Failure:
    """Read an error that is a whole answer with status 200."""
    return _failure(ProviderError(), "", fields, None, {})


def _fields(body: bytes) -> dict[str, Any]:
    try:
        value = read_json(body)
    except JSON_ERRORS:
        return {}
    return value if isinstance(value, dict) else {}


def _failure(
    error: ProviderError,
    named: str,
    fields: dict[str, Any],
    status: int | None,
    headers: Mapping[str, str],
) -> Failure:
    inner = fields.get("Output")
    if isinstance(inner, dict):
        fields = inner
    kind = _name(named) or _name(fields.get("__type")) or _name(fields.get("code"))
    error = msgspec.structs.replace(
        error, message=shorten(_words(fields, error)), type=kind, code=None
    )
    failure = failure_of(error, _class_of(error, fields, status), status, headers)
    if not _is_of_a_model(error, failure.error_class):
        return failure
    return msgspec.structs.replace(failure, is_of_deployment=True)


def _words(fields: dict[str, Any], error: ProviderError) -> str:
    """Return what is said: first by the model's own server, which says more, if it is quoted."""
    words = text_of(fields.get("message")) or text_of(fields.get("Message"))
    original = text_of(fields.get("originalMessage"))
    if original is None or words is None:
        return words or original or error.message
    return words if original in words else f"{original} ({words})"


def _is_of_a_model(error: ProviderError, error_class: ErrorClass) -> bool:
    """Say whether nothing but this model in this region is refused."""
    message = error.message.lower()
    if error.type == "AccessDeniedException":
        is_of_key = any(word in message for word in KEY_DENIED)
        return not is_of_key and any(word in message for word in MODEL_DENIED)
    if error_class is ErrorClass.BAD_REQUEST:
        return any(words in message for words in NOT_ABLE)
    return error.type in OF_A_MODEL or error.type in PASSED_ON


def _class_of(error: ProviderError, fields: dict[str, Any], status: int | None) -> ErrorClass:
    message = error.message.lower()
    if error.type == "ThrottlingException" and "per day" in message:
        return ErrorClass.QUOTA
    if error.type in PASSED_ON:
        original = fields.get("originalStatusCode")
        if isinstance(original, int) and not isinstance(original, bool) and 400 <= original < 600:
            error, status = msgspec.structs.replace(error, type=None), original
    if error.type == "ValidationException" or (error.type is None and status == 400):
        for pattern, error_class in VALIDATION_PATTERNS:
            if pattern in message:
                return error_class
    return classify(error, status, RULES)


def _name(value: Any) -> str | None:
    """Return an exception's bare name: `a.b#ThrottlingException:http://...` is one too."""
    text = text_of(value)
    if text is None:
        return None
    text = text.partition(":")[0].rpartition("#")[2].strip()[:100]
    return text[:1].upper() + text[1:] or None
