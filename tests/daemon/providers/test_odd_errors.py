"""Answers that are no proper error: redirects, other successes, cut bodies, quoted keys."""

from __future__ import annotations

import json

import pytest

from routerd.errors import ErrorClass
from routerd.providers.base import Adapter
from tests.daemon.providers.test_failure import (
    ANTHROPIC,
    OPENAI,
    anthropic_error,
    openai_error,
)


@pytest.mark.parametrize("adapter", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_neither_a_success_nor_an_error_is_quoted_or_blamed_on_the_caller(adapter: Adapter) -> None:
    answer = {"choices": [{"message": {"content": "WORDS"}}], "content": [{"text": "WORDS"}]}
    errors = [
        json.dumps(answer).encode(),
        openai_error("WORDS", code="invalid_value"),
        anthropic_error("invalid_request_error", "WORDS"),
        b"WORDS",
        b"<title>WORDS</title>",
    ]
    for body in errors:
        for status, error_class in ((202, "bad_answer"), (204, "bad_answer"), (302, "not_found")):
            failure = adapter.failure(status, {"location": "https://WORDS"}, body)
            assert failure.error_class == error_class
            assert f"status {status}" in failure.message
            assert "WORDS" not in failure.message
            assert (failure.code, failure.param) == (None, None)
            assert failure.info().blame != "caller"


@pytest.mark.parametrize("adapter", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_a_proxy_that_asks_who_we_are_is_not_asked_twice(adapter: Adapter) -> None:
    failure = adapter.failure(407, {}, b"<title>Proxy Authentication Required</title>")
    assert failure.error_class is ErrorClass.CONNECTION
    assert failure.retryable_here is False


LONG = "maximum context length is 8 tokens. " + "x" * 400_000


@pytest.mark.parametrize("cut", [1000, 64 * 1024, 256 * 1024, 10_000_000])
def test_a_cut_error_still_says_what_it_is(cut: int) -> None:
    quoted = {"type": "server_error", "code": "insufficient_quota", "message": "no"}
    long = json.dumps({"quoted": "q" * 400_000})
    shapes: list[tuple[Adapter, bytes, str | None, str]] = [
        (OPENAI, openai_error(LONG, code=None, param="messages"), None, "context_length"),
        (
            OPENAI,
            openai_error("m", code="context_length_exceeded", more=[quoted, long]),
            "context_length_exceeded",
            "context_length",
        ),
        (
            OPENAI,
            json.dumps(
                {
                    "object": "error",
                    "message": "m",
                    "code": "model_not_found",
                    "seen": [{"x": quoted}],
                    "more": long,
                }
            ).encode(),
            "model_not_found",
            "not_found",
        ),
        (
            OPENAI,
            json.dumps(
                [{"error": {"message": 'a "b" \u00fc', "code": 42, "type": "tokens", "more": long}}]
            ).encode(),
            "42",
            "bad_request",
        ),
        (
            ANTHROPIC,
            anthropic_error("invalid_request_error", f"prompt is too long: {LONG}"),
            "invalid_request_error",
            "context_length",
        ),
        (
            ANTHROPIC,
            anthropic_error("rate_limit_error", "\\u00", more=long),
            "rate_limit_error",
            "rate_limit",
        ),
    ]
    for adapter, body, code, error_class in shapes:
        failure = adapter.failure(400, {}, body[:cut])
        assert failure.error_class == error_class, body[:100]
        if code is not None or cut > len(body):
            assert failure.code == code
        assert "{" not in failure.message


@pytest.mark.parametrize(
    "body", [b'{"error":{"message":"a\\u00', b'{"error":{"message":"a\\', b"[[{"]
)
def test_a_cut_anywhere_is_read_as_far_as_it_goes(body: bytes) -> None:
    whole = openai_error('one \\ " \u00fc', type="invalid_request_error", code="c", param="p")
    for size in range(len(whole)):
        assert OPENAI.failure(400, {}, whole[:size]).error_class is ErrorClass.BAD_REQUEST


@pytest.mark.parametrize(
    "quoted",
    [
        'sent {"x-api-key": "KEY"}',
        "sent {'authorization': 'Bearer KEY'}",
        'sent {\\"api_key\\":\\"KEY\\"}',
        "sent Authorization: Basic KEY",
        "sent api-key=KEY",
    ],
)
def test_a_key_in_quoted_headers_is_masked_whoever_it_belongs_to(quoted: str) -> None:
    message = quoted.replace("KEY", "Ab3dEfGh1JkLmN0p/+=")
    for body in (openai_error(message), message.encode()):
        said = OPENAI.failure(400, {}, body).message
        assert "Ab3d" not in said
        assert "N0p" not in said
        assert said.startswith("sent ")
