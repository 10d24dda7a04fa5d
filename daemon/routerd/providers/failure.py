"""From a provider's error to a `Failure`: what all vendors share.

Rules of this file: the class is decided in one order: structured code, structured type, patterns
in the message, the status alone. Patterns only refine a refusal of the request, never widen it,
since vendors change their words. What differs between vendors stands in their own `FailureRules`.
Of an answer that is neither a success nor an error (another 2xx, a redirect) no word is read: it
may be the model's, and only the operator can mend it.
A refused request is the caller's mistake, unless it says that this model or server has no such
feature: another one may.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from routerd.errors import ErrorClass, Failure
from routerd.providers.cut_json import cut_error_fields
from routerd.providers.excerpt import BLANKS, shorten, text_excerpt
from routerd.providers.json_text import JSON_ERRORS, read_json, text_of
from routerd.providers.waiting import retry_after

__all__ = [
    "HUNG_UP",
    "WAITING_CLASSES",
    "FailureRules",
    "ProviderError",
    "classify",
    "error_of",
    "failure_of",
    "read_error",
]

MAX_ERROR_BYTES: Final = 256 * 1024
MAX_CODE_CHARACTERS: Final = 100
STATUS_FIELDS: Final = ("status_code", "statusCode", "raw_status_code", "status")

HUNG_UP: Final = 499
STATUS_CLASSES: Final[dict[int, ErrorClass]] = {
    **dict.fromkeys((401, 403), ErrorClass.AUTH),
    402: ErrorClass.QUOTA,
    **dict.fromkeys((404, 410), ErrorClass.NOT_FOUND),
    407: ErrorClass.CONNECTION,  # a proxy's, before the provider saw anything
    **dict.fromkeys((408, 504, 522, 524), ErrorClass.TIMEOUT),
    **dict.fromkeys((424, 425), ErrorClass.SERVER_ERROR),
    429: ErrorClass.RATE_LIMIT,
    # Somebody did behind the provider: our caller did not, and may have an answer yet.
    HUNG_UP: ErrorClass.SERVER_ERROR,
    **dict.fromkeys((498, 503, 529), ErrorClass.OVERLOADED),
}
CONTEXT_PATTERNS: Final = (
    "context_length_exceeded",
    "maximum context length",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "exceeds the maximum number of tokens",
    "exceeds the available context size",
    "exceed context limit",
    "reduce the length of the",
    "maximum prompt length",
)
RETIRED_PATTERNS: Final = (
    "has been deprecated",
    "was removed on",
    "decommissioned",
    "end of its life",
    "is not found for api version",
    "does not exist or you do not have access",
)
# A feature that was asked for by name, and is not had here.
UNSUPPORTED_CODES: Final = ("unsupported_parameter", "unsupported_value")
FEATURES: Final = re.compile(
    r"(?:body\.)?(?:tools|tool_choice|response_format|text\.format|stop(?:_sequences)?)\b"
)
# The same in words, as the vendors put it: of a model, of the way it runs, or of a server.
NOT_ABLE: Final = re.compile(
    r"\b(?:models?|server|deployment|endpoint|provider|engine|mode|backend)\b[^.!?;]{0,60}"
    r"\b(?:does not|doesn't|do not|don't) support\b"
    r"|\b(?:does not|doesn't|do not|don't) support\b[^.!?;]{0,60}"
    r"\b(?:tools?|tool[_ ]choice|functions?|schemas?|response_format|json|images?|vision|documents?"
    r"|stop|logprobs|system|streaming|reasoning|prefill)\b"
    r"|\b(?:not|only) supported (?:by|with|on|for|in) (?:this|the|certain|your) "
    r"(?:\w+ )?(?:models?|deployment|server|endpoint|provider|engine)\b"
    r"|\bnot supported (?:by|with|for) (?:models? )?['\"`]?[a-z][\w./:]*-[\w./:-]*\d"
    r"|\b(?:type|feature|parameter|option) is unavailable now\b"
    r"|\bnot enabled for (?:this model|models?/)"
    r"|\btool[ _]choice['\"`]? must be ['\"`]?auto\b"
    r"|\btool[ _]choice\b.{0,80}\bincompatible with thinking\b"
    r"|\brequires --enable-auto-tool-choice\b"
    r"|\bis not a multimodal model\b"
)
REFUSED_STATUSES: Final = (None, 400, 422)
WAITING_CLASSES: Final = frozenset(
    {
        ErrorClass.RATE_LIMIT,
        ErrorClass.QUOTA,
        ErrorClass.OVERLOADED,
        ErrorClass.SERVER_ERROR,
        ErrorClass.TIMEOUT,
    }
)


class ProviderError(Struct, frozen=True):
    """A provider's error as it came, whatever its shape; `fields` is the structured error."""

    message: str = ""
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class FailureRules(Struct, frozen=True):
    """What one vendor's words mean.

    `codes` are read before `types`. `patterns` are pieces of a message in lower case.
    `type_statuses` stands in for the status of an error inside an answer that has none.
    """

    codes: Mapping[str, ErrorClass]
    types: Mapping[str, ErrorClass]
    patterns: tuple[tuple[str, ErrorClass], ...] = ()
    type_statuses: Mapping[str, int] = {}


def read_error(status: int, body: bytes) -> ProviderError:
    """Read an error answer's body; where it is not JSON, its text is the message."""
    if status < 300:
        return ProviderError(message=f"the provider answered with status {status}, not with 200")
    if status < 400:
        return ProviderError(
            message=f"the provider's address answered with a redirect (status {status}), which is "
            "not followed: check its base_url"
        )
    value = None
    if len(body) <= MAX_ERROR_BYTES:
        with contextlib.suppress(*JSON_ERRORS):
            value = read_json(body)
    if isinstance(value, str) and value:
        return ProviderError(message=shorten(value))
    if (error := error_of(value)) is not None:
        return error
    if value is None and body.lstrip(BLANKS)[:1] in (b"{", b"["):
        fields = cut_error_fields(body[:MAX_ERROR_BYTES].decode("utf-8", "replace"))
        if fields:
            return _of_fields(fields)
    return ProviderError(message=text_excerpt(body))


def error_of(value: Any) -> ProviderError | None:
    """Find the error in decoded JSON of any vendor's shape, None where there is none."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, str) and inner:
        return _of_fields({**value, "message": value.get("message") or inner})
    if isinstance(inner, dict):
        return _of_fields(inner) if inner else None
    if (detail := value.get("detail")) is not None:
        return _of_validation(detail)
    message = value.get("message")
    is_error = isinstance(message, str) or (isinstance(message, dict) and "detail" in message)
    return _of_fields(value) if is_error else None


def classify(error: ProviderError, status: int | None, rules: FailureRules) -> ErrorClass:
    """Decide the class of an error."""
    if status is not None and status < 400:
        return _status_class(status)
    for word, table in (
        (error.code, rules.codes),
        (error.code, rules.types),
        (error.type, rules.codes),
        (error.type, rules.types),
    ):
        if word is not None and word in table:
            return table[word]
    if status is None:
        status = rules.type_statuses.get(
            error.type or "", rules.type_statuses.get(error.code or "")
        )
    message = error.message.lower()
    for pattern, error_class in rules.patterns:
        if pattern in message:
            return error_class
    if status is None or (400 <= status < 500 and status not in (401, 402, 403, 429)):
        if any(pattern in message for pattern in CONTEXT_PATTERNS) or (
            "input token count" in message and "exceeds" in message
        ):
            return ErrorClass.CONTEXT_LENGTH
        if any(pattern in message for pattern in RETIRED_PATTERNS):
            return ErrorClass.NOT_FOUND
    return _status_class(status)


def failure_of(
    error: ProviderError,
    error_class: ErrorClass,
    status: int | None,
    headers: Mapping[str, str],
    *,
    retryable_here: bool | None = None,
) -> Failure:
    """Put a failure together; the provider's `x-should-retry` has the last word.

    A request that only this model or server has no feature for is refused for it alone.
    """
    if status == 407:
        retryable_here = False  # a proxy that wants to know who asks will want to the next time
    should_retry = headers.get("x-should-retry", "").strip().lower()
    if should_retry in ("true", "false"):
        retryable_here = should_retry == "true"
    seconds = None
    if error_class in WAITING_CLASSES:
        seconds = retry_after(headers, error.message, error.type)
    message = error.message or (
        f"the provider answered with status {status} and no message"
        if status is not None
        else "the provider reported an error without a message"
    )
    return Failure(
        error_class,
        message,
        status=status,
        code=error.code or error.type,
        param=error.param,
        retry_after=seconds,
        retryable_here=retryable_here,
        is_evidence=status != HUNG_UP,
        is_of_deployment=error_class is ErrorClass.BAD_REQUEST and _is_not_able(error, status),
    )


def _is_not_able(error: ProviderError, status: int | None) -> bool:
    """Say whether a refused request asks for what another model, or server, may well have."""
    if status not in REFUSED_STATUSES:
        return False
    if error.code in UNSUPPORTED_CODES and FEATURES.match(error.param or ""):
        return True
    return NOT_ABLE.search(error.message.lower()) is not None


def _status_class(status: int | None) -> ErrorClass:
    if status is None:
        return ErrorClass.SERVER_ERROR
    if status < 400:
        return ErrorClass.BAD_ANSWER if status < 300 else ErrorClass.NOT_FOUND
    known = STATUS_CLASSES.get(status)
    if known is not None:
        return known
    return ErrorClass.BAD_REQUEST if status < 500 else ErrorClass.SERVER_ERROR


def _of_fields(fields: dict[str, Any]) -> ProviderError:
    code = _word(fields.get("code"))
    message = fields.get("message")
    if isinstance(message, dict):  # Mistral wraps a validation error in it
        nested = _of_validation(message.get("detail"))
        message = nested.message
    return ProviderError(
        message=shorten(message) if isinstance(message, str) else "",
        type=_word(fields.get("type")),
        code=code,
        param=_word(fields.get("param")),
        status=_status(fields, code),
        fields=fields,
    )


def _of_validation(detail: Any) -> ProviderError:
    """Read FastAPI's `detail`; only places and messages, since it may also quote the input."""
    if isinstance(detail, str):
        return ProviderError(message=shorten(detail))
    lines, param = [], None
    for item in detail[:3] if isinstance(detail, list) else [detail]:
        if not isinstance(item, dict):
            continue
        loc = item.get("loc")
        place = ".".join(str(step) for step in loc) if isinstance(loc, list) else ""
        param = param or _word(place)
        words = text_of(item.get("msg")) or text_of(item.get("message")) or ""
        lines.append(f"{place}: {words}" if place else words)
    return ProviderError(message=shorten("; ".join(lines)), param=param)


def _status(fields: dict[str, Any], code: str | None) -> int | None:
    """Find the status that an error inside an answer claims to have."""
    for value in (*(fields.get(name) for name in STATUS_FIELDS), code):
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)  # noqa: PLW2901 - the same status, as a number
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return None


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return shorten(str(value)[:MAX_CODE_CHARACTERS]) or None
