from __future__ import annotations

import json

import pytest

from routerd.errors import ErrorClass
from routerd.providers.cohere import CohereAdapter
from tests.daemon.providers.drive import request

ADAPTER = CohereAdapter()
TRIAL = "You are using a Trial key, which is limited to {} API calls / {}. Contact us at cohere.com"


def body(message: str, **more: str) -> bytes:
    return json.dumps({"id": "8f1c", **more, "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "invalid request: message must be at least 1 token long", ErrorClass.BAD_REQUEST),
        (
            400,
            "too many tokens: total number of tokens in the prompt cannot exceed 4081",
            ErrorClass.CONTEXT_LENGTH,
        ),
        (
            400,
            "too many tokens: max tokens must be less than or equal to 4096 - received 8192.",
            ErrorClass.BAD_REQUEST,
        ),
        (401, "invalid api token", ErrorClass.AUTH),
        (402, "Please add or update your payment method to continue", ErrorClass.QUOTA),
        (403, "forbidden", ErrorClass.AUTH),
        (404, "model 'xyz' not found, make sure the correct model ID was used", "not_found"),
        (404, "model 'command-r' was removed on September 15, 2025.", ErrorClass.NOT_FOUND),
        (422, "unknown field: parameter 'x' is not a valid field", ErrorClass.BAD_REQUEST),
        (429, "You are past the per minute request limit, please wait", ErrorClass.RATE_LIMIT),
        (429, TRIAL.format(40, "minute"), ErrorClass.RATE_LIMIT),
        (429, TRIAL.format(1000, "month"), ErrorClass.QUOTA),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", "rate_limit"),
        (498, "invalid token", ErrorClass.AUTH),
        (498, "blocked: it may violate our Usage Guidelines", ErrorClass.CONTENT_POLICY),
        (499, "request cancelled", ErrorClass.SERVER_ERROR),
        (500, "internal server error", ErrorClass.SERVER_ERROR),
        (501, "not implemented", ErrorClass.SERVER_ERROR),
        (503, "unavailable", ErrorClass.OVERLOADED),
        (504, "gateway timeout", ErrorClass.TIMEOUT),
    ],
)
def test_classes(status: int, message: str, expected: ErrorClass) -> None:
    failure = ADAPTER.failure(status, {}, body(message))
    assert failure.error_class == expected
    assert failure.message == message
    # The id names the request, it is no code.
    assert (failure.code, failure.status) == (None, status)


def test_the_type_of_an_error_says_more_than_its_words() -> None:
    failure = ADAPTER.failure(400, {}, body("it is too much", error_type="TOO_MANY_TOKENS"))
    assert (failure.error_class, failure.code) == (ErrorClass.CONTEXT_LENGTH, "TOO_MANY_TOKENS")
    words = "too many tokens: max tokens must be less than or equal to 4096"
    failure = ADAPTER.failure(400, {}, body(words, error_type="TOO_MANY_TOKENS"))
    assert failure.error_class is ErrorClass.BAD_REQUEST


def test_how_long_to_wait_and_what_is_not_sent_again() -> None:
    failure = ADAPTER.failure(429, {"retry-after": "7"}, body("slow"))
    assert failure.retry_after == 7
    refused = ADAPTER.failure(400, {}, body("invalid request: p must be between 0.01 and 0.99"))
    assert ADAPTER.repair(request("command-a-03-2025", top_p=1.0), refused) is None


@pytest.mark.parametrize("written", [b"", b"<html>", b"[]", b"null", b'{"message": 7}', b'{"mess'])
def test_no_body_raises(written: bytes) -> None:
    assert ADAPTER.failure(503, {}, written).error_class is ErrorClass.OVERLOADED


def test_the_list_of_models() -> None:
    listing = {
        "models": [
            {
                "name": "command-a-03-2025",
                "is_deprecated": False,
                "endpoints": ["chat"],
                "context_length": 288000,
            },
            {"endpoints": ["chat"]},
            7,
        ]
    }
    [model] = ADAPTER.list_models(json.dumps(listing).encode())
    assert (model.id, model.context_window, model.retired) == ("command-a-03-2025", 288000, False)
    assert ADAPTER.list_models(b"<html>") == []
