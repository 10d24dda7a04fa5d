"""Errors of OpenAI and of the servers that imitate it.

Rules of this file: what the codes mean stands in one table; the rest is shared with every vendor.
The model's own text (`failed_generation`, `flagged_input`) never gets into a Failure.
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
    error_of,
    failure_of,
    read_error,
)
from routerd.providers.gemini.failure import failure_by_google, is_by_google
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of
from routerd.providers.openai.dialects import Dialect

__all__ = ["failure_rules", "is_output_limit", "read_failure", "stream_failure"]

CODES: Final[dict[str, ErrorClass]] = {
    **dict.fromkeys(
        (
            "credit_balance_exhausted",
            "organization_usage_limit_exceeded",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
        ),
        ErrorClass.QUOTA,
    ),
    **dict.fromkeys(("rate_limit_exceeded", "slow_down"), ErrorClass.RATE_LIMIT),
    "server_is_overloaded": ErrorClass.OVERLOADED,
    "context_length_exceeded": ErrorClass.CONTEXT_LENGTH,
    **dict.fromkeys(
        (
            "content_policy_violation",
            "invalid_prompt",
            "moderation_blocked",
            "bio_policy",
            "misalignment_policy_violation",
            "image_content_policy_violation",
            "content_filter",
        ),
        ErrorClass.CONTENT_POLICY,
    ),
    **dict.fromkeys(
        (
            "model_not_found",
            "DeploymentNotFound",
            "model_decommissioned",
            "invalid_model",
            "unknown_model",
        ),
        ErrorClass.NOT_FOUND,
    ),
    **dict.fromkeys(
        (
            "unsupported_parameter",
            "unsupported_value",
            "invalid_value",
            "decimal_below_min_value",
            "invalid_image_url",
            "invalid_image_format",
            "unsupported_file",
            "tool_use_failed",
            # Of Responses, where they also come inside an answer.
            "data_residency_mismatch",
            "invalid_image",
            "invalid_base64_image",
            "invalid_image_mode",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "image_file_too_large",
            "image_file_not_found",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
            "invalid_encrypted_content",
        ),
        ErrorClass.BAD_REQUEST,
    ),
    "vector_store_timeout": ErrorClass.SERVER_ERROR,
    "unsupported_country_region_territory": ErrorClass.AUTH,
    "invalid_api_key": ErrorClass.AUTH,
}
TYPES: Final[dict[str, ErrorClass]] = {
    "rate_limit_error": ErrorClass.RATE_LIMIT,
    "service_unavailable_error": ErrorClass.OVERLOADED,
    "overloaded_error": ErrorClass.OVERLOADED,
    "unavailable_error": ErrorClass.OVERLOADED,  # llama.cpp, while it loads the model
    "exceed_context_size_error": ErrorClass.CONTEXT_LENGTH,
    "invalid_model": ErrorClass.NOT_FOUND,
}
TYPE_STATUSES: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "NotFoundError": 404,
    "tokens": 429,
    "requests": 429,
    "server_error": 500,
    "api_error": 500,
    "internal_server_error": 500,
    "timeout_error": 504,
}
OUTPUT_LIMIT_PATTERN: Final = "token limit reached"


def failure_rules(dialect: Dialect) -> FailureRules:
    """Return what the words of this server's errors mean."""
    return FailureRules(
        codes={**CODES, **dialect.codes},
        types=TYPES,
        patterns=(
            ("exceeded your current quota", ErrorClass.QUOTA),
            ("input too long", ErrorClass.CONTEXT_LENGTH),
            ("api key not valid", ErrorClass.AUTH),  # Gemini, in this format
            *dialect.patterns,
        ),
        type_statuses=TYPE_STATUSES,
    )


def read_failure(
    status: int, headers: Mapping[str, str], body: bytes, rules: FailureRules
) -> Failure:
    """Read an answer that is not a success."""
    return _failure(read_error(status, body), status, headers, rules)


def stream_failure(value: Any, rules: FailureRules) -> Failure:
    """Read an error that came inside an answer with status 200."""
    error = error_of({"error": value}) or ProviderError()
    return _failure(error, error.status, {}, rules)


def is_output_limit(value: Any) -> bool:
    """Return whether an error says only that the answer reached its length."""
    error = error_of({"error": value})
    return error is not None and OUTPUT_LIMIT_PATTERN in error.message.lower()


def _failure(
    error: ProviderError, status: int | None, headers: Mapping[str, str], rules: FailureRules
) -> Failure:
    if is_by_google(error):  # Gemini has this format too
        return failure_by_google(error, status, headers)
    own, upstream = error, _upstream(error)
    if upstream is not None:
        error = _with_upstream(own, upstream)
    error_class = _structured_class(error.fields, status) or classify(error, status, rules)
    if upstream is not None and error_class is ErrorClass.BAD_REQUEST:
        error_class = _class_by_upstream(upstream, rules) or error_class
    if error_class is ErrorClass.QUOTA and error is not own:
        # What the upstream says of a quota is of its own account, and not of the key here.
        error_class = classify(own, status, rules)
    is_of_upstream = error_class is ErrorClass.RATE_LIMIT and error is not own
    retryable_here = None
    if error.code == "tool_use_failed":
        # The model wrote a call that cannot be read; the next try often works.
        retryable_here = True
    elif error_class is ErrorClass.RATE_LIMIT and error.message.startswith("Request too large"):
        retryable_here = False
    failure = failure_of(error, error_class, status, headers, retryable_here=retryable_here)
    return msgspec.structs.replace(failure, is_of_key=False) if is_of_upstream else failure


def _structured_class(fields: dict[str, Any], status: int | None) -> ErrorClass | None:
    """Read what stands beside code and type: Azure's inner error, OpenRouter's metadata."""
    inner = fields.get("innererror")
    if isinstance(inner, dict) and (
        inner.get("code") == "ResponsibleAIPolicyViolation" or "content_filter_result" in inner
    ):
        return ErrorClass.CONTENT_POLICY
    metadata = fields.get("metadata")
    if isinstance(metadata, dict):
        if status == 402 and metadata.get("limit_source") == "openrouter_in_flight_budget":
            return ErrorClass.RATE_LIMIT
        if status == 403 and ("reasons" in metadata or "flagged_input" in metadata):
            return ErrorClass.CONTENT_POLICY
    return None


def _class_by_upstream(upstream: ProviderError, rules: FailureRules) -> ErrorClass | None:
    """Return what its code says of the request; what it says of a key is not of the key here."""
    told = _structured_class(upstream.fields, None) or rules.codes.get(upstream.code or "")
    return told if told in (ErrorClass.CONTENT_POLICY, ErrorClass.CONTEXT_LENGTH) else None


def _with_upstream(error: ProviderError, upstream: ProviderError) -> ProviderError:
    return msgspec.structs.replace(
        error,
        message=shorten(f"{error.message}: {upstream.message}"),
        param=error.param or upstream.param,
    )


def _upstream(error: ProviderError) -> ProviderError | None:
    """Return the upstream's own error, which OpenRouter passes on as text in `metadata.raw`."""
    raw = _upstream_words(error)
    if raw is None:
        return None
    try:
        upstream = error_of(read_json(raw.encode("utf-8", "replace")))
    except JSON_ERRORS:
        upstream = None
    return ProviderError(message=shorten(raw)) if upstream is None else upstream


def _upstream_words(error: ProviderError) -> str | None:
    metadata = error.fields.get("metadata")
    return text_of(metadata.get("raw")) if isinstance(metadata, dict) else None
