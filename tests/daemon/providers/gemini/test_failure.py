from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass
from routerd.providers.gemini import GeminiAdapter
from tests.daemon.providers.drive import decode

ADAPTER = GeminiAdapter()


def body(code: int, status: str, message: str = "no", *details: Any) -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("status", "word", "message", "expected"),
    [
        (400, "INVALID_ARGUMENT", "bad field", ErrorClass.BAD_REQUEST),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass one.", ErrorClass.AUTH),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (5).",
            ErrorClass.CONTEXT_LENGTH,
        ),
        (
            400,
            "INVALID_ARGUMENT",
            "Function call is missing a thought_signature",
            ErrorClass.BAD_REQUEST,
        ),
        (400, "FAILED_PRECONDITION", "User location is not supported", ErrorClass.AUTH),
        (401, "UNAUTHENTICATED", "", ErrorClass.AUTH),
        (402, "RESOURCE_EXHAUSTED", "", ErrorClass.QUOTA),
        (403, "PERMISSION_DENIED", "", ErrorClass.AUTH),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta", ErrorClass.NOT_FOUND),
        (429, "RESOURCE_EXHAUSTED", "", ErrorClass.RATE_LIMIT),
        (500, "INTERNAL", "", ErrorClass.SERVER_ERROR),
        (503, "UNAVAILABLE", "The model is overloaded.", ErrorClass.OVERLOADED),
        (504, "DEADLINE_EXCEEDED", "", ErrorClass.TIMEOUT),
    ],
)
def test_classes(status: int, word: str, message: str, expected: ErrorClass) -> None:
    written = body(status, word, message)
    for shape in (written, b"[" + written + b"]"):
        failure = ADAPTER.failure(status, {}, shape)
        assert (failure.error_class, failure.code) == (expected, word)


def test_the_reason_in_the_details_is_the_code() -> None:
    failure = ADAPTER.failure(
        400, {}, body(400, "INVALID_ARGUMENT", "no", {"reason": "API_KEY_INVALID"})
    )
    assert (failure.error_class, failure.code) == (ErrorClass.AUTH, "API_KEY_INVALID")


def test_the_wait_is_read_from_the_body_first() -> None:
    written = body(429, "RESOURCE_EXHAUSTED", "no", {"retryDelay": "34.5s"})
    failure = ADAPTER.failure(429, {"retry-after": "7"}, written)
    assert (failure.error_class, failure.retry_after) == (ErrorClass.RATE_LIMIT, 34.5)
    assert ADAPTER.failure(429, {"retry-after": "7"}, body(429, "X")).retry_after == 7


@pytest.mark.parametrize("code", [{"code": 499}, {}])
def test_who_hung_up_says_nothing_of_the_server(code: dict[str, int]) -> None:
    error = {"error": {**code, "message": "The operation was cancelled.", "status": "CANCELLED"}}
    written = json.dumps(error).encode()
    _, outcome = decode(ADAPTER, [b"data: " + written + b"\r\n\r\n"])
    for failure in (ADAPTER.failure(499, {}, written), outcome.failure):
        assert failure is not None
        assert (failure.error_class, failure.code) == (ErrorClass.SERVER_ERROR, "CANCELLED")
        assert not failure.is_evidence
    assert ADAPTER.failure(500, {}, body(500, "INTERNAL")).is_evidence


def test_a_daily_quota_is_no_rate_limit() -> None:
    violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
    failure = ADAPTER.failure(
        429, {}, body(429, "RESOURCE_EXHAUSTED", "no", {"violations": [violation]})
    )
    assert failure.error_class is ErrorClass.QUOTA


@pytest.mark.parametrize(
    "written", [b"", b"<html>", b"[]", b"[null]", b"null", b'{"error": null}', b'{"error": {"co']
)
def test_no_body_raises(written: bytes) -> None:
    assert ADAPTER.failure(503, {}, written).error_class is ErrorClass.OVERLOADED


@pytest.mark.parametrize("details", [None, 7, [7], [{"violations": 7}], [{"retryDelay": {}}]])
def test_no_details_raise(details: Any) -> None:
    written = json.dumps({"error": {"code": 429, "details": details}}).encode()
    assert ADAPTER.failure(429, {}, written).error_class is ErrorClass.RATE_LIMIT


def test_the_list_of_models() -> None:
    written = b'{"models": [{"name": "models/gemini-4-argon", "inputTokenLimit": 1048576}, 7]}'
    [model] = ADAPTER.list_models(written)
    assert (model.id, model.context_window) == ("gemini-4-argon", 1048576)
    assert ADAPTER.list_models(b"<html>") == []
