"""Error answers: every documented row, through the adapters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass
from routerd.providers.base import Adapter
from routerd.providers.registry import build_adapter

OPENAI = build_adapter("openai", "openai")
ANTHROPIC = build_adapter("anthropic")


def openai_error(message: str = "m", **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


def anthropic_error(kind: str, message: str = "m", **details: Any) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if details:
        error["details"] = details
    return json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()


STATUSES = {
    "bad_request": (400, 405, 409, 412, 415, 422, 431, 418, 451),
    "auth": (401, 403),
    "quota": (402,),
    "not_found": (404, 410, 300, 301, 302, 307, 308),
    "connection": (407,),
    "bad_answer": (201, 202, 204, 206),
    "timeout": (408, 504, 522, 524),
    "server_error": (424, 425, 499, 500, 501, 502, 520, 521, 599),
    "rate_limit": (429,),
    "overloaded": (498, 503, 529),
}


@pytest.mark.parametrize("adapter", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize("body", [b"", b"<html></html>", b"{}", b"oops"])
def test_the_status_alone(adapter: Adapter, body: bytes) -> None:
    for error_class, statuses in STATUSES.items():
        for status in statuses:
            failure = adapter.failure(status, {}, body)
            assert (failure.error_class, failure.status) == (error_class, status)
            assert failure.is_evidence == (status != 499)  # who hung up, and not the server
            assert failure.message


OPENAI_ROWS = [
    (429, {"code": "credit_balance_exhausted", "type": "insufficient_quota"}, "m", "quota"),
    (429, {"code": "organization_usage_limit_exceeded"}, "m", "quota"),
    (429, {"code": "organization_spend_limit_exceeded"}, "m", "quota"),
    (429, {"code": "project_spend_limit_exceeded"}, "m", "quota"),
    (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "m", "quota"),
    (429, {"code": None, "type": "insufficient_quota"}, "m", "quota"),
    (429, {"code": "billing_hard_limit_reached"}, "m", "quota"),
    (429, {"code": "billing_not_active"}, "m", "quota"),
    (429, {}, "You exceeded your current quota, please check your plan", "quota"),
    (429, {"code": "rate_limit_exceeded", "type": "requests"}, "m", "rate_limit"),
    (429, {"code": "slow_down", "type": "rate_limit_error"}, "m", "rate_limit"),
    (503, {"code": "slow_down", "type": "rate_limit_error"}, "m", "rate_limit"),
    (
        503,
        {"code": "server_is_overloaded", "type": "service_unavailable_error"},
        "m",
        "overloaded",
    ),
    (400, {"code": "context_length_exceeded"}, "m", "context_length"),
    (400, {"code": None}, "This model's maximum context length is 8192 tokens", "context_length"),
    (400, {"code": None}, "Please reduce the length of the messages", "context_length"),
    (400, {"type": "exceed_context_size_error", "n_ctx": 4096}, "m", "context_length"),
    (400, {}, "the request exceeds the available context size", "context_length"),
    (413, {}, "too many tokens in the request", "context_length"),
    (400, {}, "The input token count (9) exceeds the maximum (8)", "context_length"),
    (413, {}, "Request Entity Too Large", "bad_request"),
    (400, {}, "context is a reserved word", "bad_request"),
    (400, {}, "Token limit reached", "bad_request"),
    (500, {}, "maximum context length", "server_error"),
    (429, {}, "too many tokens", "rate_limit"),
    (400, {"code": "content_policy_violation"}, "m", "content_policy"),
    (400, {"code": "invalid_prompt"}, "m", "content_policy"),
    (400, {"code": "moderation_blocked"}, "m", "content_policy"),
    (400, {"code": "content_filter"}, "m", "content_policy"),
    (
        400,
        {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}},
        "m",
        "content_policy",
    ),
    (404, {"code": "model_not_found"}, "m", "not_found"),
    (400, {"code": "model_not_found", "param": "model"}, "m", "not_found"),
    (400, {}, "The model `x` has been deprecated, learn more here", "not_found"),
    (400, {}, "The model `x` was removed on 2026-01-01", "not_found"),
    (404, {"code": "DeploymentNotFound"}, "m", "not_found"),
    (400, {"code": "model_decommissioned"}, "m", "not_found"),
    (400, {"code": "unsupported_parameter", "param": "max_tokens"}, "m", "bad_request"),
    (400, {"code": "unsupported_value", "param": "temperature"}, "m", "bad_request"),
    (400, {"code": None, "param": "stop"}, "m", "bad_request"),
    (400, {"param": "reasoning_effort"}, "Function tools with reasoning_effort ...", "bad_request"),
    (403, {"code": "unsupported_country_region_territory"}, "m", "auth"),
    (401, {"code": "401"}, "Access denied due to invalid subscription key", "auth"),
    (400, {"code": "tool_use_failed", "failed_generation": "x"}, "m", "bad_request"),
    (413, {"code": "rate_limit_exceeded", "type": "tokens"}, "m", "rate_limit"),
    (402, {}, "Insufficient Balance", "quota"),
    (402, {"code": 402, "metadata": {"limit_source": "openrouter_credits"}}, "m", "quota"),
    (
        402,
        {"code": 402, "metadata": {"limit_source": "openrouter_in_flight_budget"}},
        "m",
        "rate_limit",
    ),
    (
        403,
        {"code": 403, "metadata": {"reasons": ["x"], "flagged_input": "y"}},
        "m",
        "content_policy",
    ),
    (502, {"code": 502}, "Provider returned error", "server_error"),
    (503, {"code": 503}, "No provider fits", "overloaded"),
    (
        400,
        {"code": 400},
        "The reasoning_content in the thinking mode must be passed back to the API.",
        "bad_request",
    ),
]


@pytest.mark.parametrize(("status", "fields", "message", "error_class"), OPENAI_ROWS)
def test_openai(status: int, fields: dict[str, Any], message: str, error_class: str) -> None:
    failure = OPENAI.failure(status, {}, openai_error(message, **fields))
    assert failure.error_class == error_class
    assert failure.param == fields.get("param")
    assert failure.message == message


@pytest.mark.parametrize(
    ("status", "fields", "error_class"),
    [
        (400, {"type": "invalid_model", "code": "1500"}, "not_found"),
        (404, {"code": "unknown_model"}, "not_found"),
        (422, {"type": "invalid_model"}, "not_found"),
        (429, {"code": "1300"}, "rate_limit"),
        (429, {"code": 3505}, "overloaded"),
    ],
)
def test_mistral(status: int, fields: dict[str, Any], error_class: str) -> None:
    body = {"object": "error", "message": "m", **fields}
    mistral = build_adapter("openai", "mistral")
    assert mistral.failure(status, {}, json.dumps(body).encode()).error_class == error_class


@pytest.mark.parametrize(
    ("status", "kind", "message", "details", "error_class"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", {}, "bad_request"),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            {},
            "context_length",
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
            {},
            "context_length",
        ),
        (400, "invalid_request_error", "Your credit balance is too low to ...", {}, "quota"),
        (
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on ...",
            {},
            "quota",
        ),
        (
            400,
            "invalid_request_error",
            "Output blocked by content filtering policy",
            {},
            "content_policy",
        ),
        (
            400,
            "invalid_request_error",
            "The block is bound to a different conversation",
            {},
            "bad_request",
        ),
        (401, "authentication_error", "invalid x-api-key", {}, "auth"),
        (402, "billing_error", "m", {"error_code": "linked_organization_spend_limit"}, "quota"),
        (403, "permission_error", "m", {}, "auth"),
        (404, "not_found_error", "model: claude-2", {}, "not_found"),
        (409, "conflict_error", "m", {}, "bad_request"),
        (413, "request_too_large", "Request exceeds the maximum size", {}, "bad_request"),
        (429, "rate_limit_error", "m", {}, "rate_limit"),
        (429, "rate_limit_error", "m", {"error_code": "enforced_spend_limit_reached"}, "quota"),
        (429, "rate_limit_error", "m", {"error_code": "contract_spend_limit_reached"}, "quota"),
        (429, "rate_limit_error", "m", {"error_code": "ramp_limit_exceeded"}, "rate_limit"),
        (500, "api_error", "m", {}, "server_error"),
        (503, "api_error", "m", {"error_code": "cmek_key_unreachable"}, "server_error"),
        (503, "x", "m", {"error_code": "cmek_key_unreachable"}, "server_error"),
        (504, "timeout_error", "m", {}, "timeout"),
        (529, "overloaded_error", "Overloaded", {}, "overloaded"),
    ],
)
def test_anthropic(status: int, kind: str, message: str, details: Any, error_class: str) -> None:
    failure = ANTHROPIC.failure(status, {}, anthropic_error(kind, message, **details))
    assert (failure.error_class, failure.message) == (error_class, message)
    assert failure.code == details.get("error_code", kind)
    assert failure.retryable_here is (True if status == 409 else None)


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b'{"detail":"Not Found"}', "Not Found", None),
        (
            b'{"detail":[{"loc":["body","n"],"msg":"required","input":"PROMPT"},{"msg":"short"}]}',
            "body.n: required; short",
            "body.n",
        ),
        (
            b'{"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"bad"}]}}',
            "body.n: bad",
            None,
        ),
        (b'{"statusCode":429,"message":"Too many"}', "Too many", None),
        (b'{"message":"plain","request_id":"x"}', "plain", None),
        (b'{"error":"text only"}', "text only", None),
        (b'[{"error":{"code":400,"message":"in a list"}}]', "in a list", None),
        (b'"just a string"', "just a string", None),
        (b'{"error":{"message":"two\\nlines\\ttab"}}', "two lines tab", None),
        (b"\xff\xfenot utf-8", "\ufffd\ufffdnot utf-8", None),
        (
            b"<!DOCTYPE html><html><head><title>502 Bad&nbsp;Gateway</title></head></html>",
            "502 Bad Gateway",
            None,
        ),
        (
            b"<html><style>b{}</style><body><h1>Error</h1>1 &lt; 2<script>x()</script></body>",
            "Error 1 < 2",
            None,
        ),
    ],
)
def test_shapes_of_error_bodies(body: bytes, message: str, param: str | None) -> None:
    failure = OPENAI.failure(422, {}, body)
    assert (failure.message, failure.param) == (message, param)


def test_openrouter_passes_the_upstreams_words_on() -> None:
    raw = json.dumps({"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}})
    body = openai_error(
        "Provider returned error", code=400, metadata={"provider_name": "X", "raw": raw}
    )
    failure = build_adapter("openai", "openrouter").failure(400, {}, body)
    assert failure.message == ("Provider returned error: prompt is too long: 9 tokens > 8 maximum")
    assert failure.error_class is ErrorClass.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("upstream", "status", "expected"),
    [
        ({"code": "invalid_prompt"}, 400, ("content_policy", None)),
        ({"code": "content_filter", "param": "prompt"}, 400, ("content_policy", "prompt")),
        (
            {"innererror": {"code": "ResponsibleAIPolicyViolation"}},
            400,
            ("content_policy", None),
        ),
        ({"code": "context_length_exceeded"}, 400, ("context_length", None)),
        ({"code": "unsupported_value", "param": "top_p"}, 400, ("bad_request", "top_p")),
        # What an upstream says of its own key or its load is not said of the key here.
        ({"code": "invalid_api_key"}, 400, ("bad_request", None)),
        ({"code": "insufficient_quota"}, 400, ("bad_request", None)),
        ({"code": "content_filter"}, 502, ("server_error", None)),
    ],
)
def test_an_upstreams_code_says_what_is_wrong_with_the_request(
    upstream: dict[str, Any], status: int, expected: tuple[str, str | None]
) -> None:
    metadata = {"provider_name": "X", "raw": json.dumps({"error": {"message": "No.", **upstream}})}
    body = openai_error("Provider returned error", code=status, metadata=metadata)
    failure = build_adapter("openai", "openrouter").failure(status, {}, body)
    assert (failure.error_class, failure.param) == expected
    assert failure.code == str(status)


def test_a_rate_limit_of_openrouters_upstream_is_not_that_of_our_key() -> None:
    openrouter = build_adapter("openai", "openrouter")
    metadata = {"provider_name": "X", "raw": "X is temporarily rate-limited upstream"}
    of_upstream = openai_error("Provider returned error", code=429, metadata=metadata)
    failure = openrouter.failure(429, {}, of_upstream)
    assert (failure.error_class, failure.is_of_key) == (ErrorClass.RATE_LIMIT, False)
    own = openrouter.failure(429, {}, openai_error("Rate limit exceeded", code=429))
    assert (own.error_class, own.is_of_key) == (ErrorClass.RATE_LIMIT, True)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-abc_DEF-123",
        "gsk_abcdefghijklmnop",
        "sk-****************wxyz",
        "Bearer abcdefghijklmnop.qrstuv",
        "0123456789abcdef0123456789abcdef",
    ],
)
@pytest.mark.parametrize("adapter", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_keys_are_masked(adapter: Adapter, secret: str) -> None:
    for body in (
        openai_error(f"Incorrect API key provided: {secret}. You can find it at ..."),
        f"<p>Incorrect API key provided: {secret}</p>".encode(),
    ):
        failure = adapter.failure(401, {}, body)
        assert secret.rsplit(maxsplit=1)[-1] not in failure.message
        assert "***" in failure.message


def test_messages_are_short_whatever_the_body() -> None:
    for body in (openai_error("x" * 10_000), b"y" * 10_000_000, b"<p>" * 1_000_000):
        assert 0 < len(OPENAI.failure(500, {}, body).message) <= 500


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("False", False), ("?", None)])
def test_the_provider_says_whether_to_try_again(value: str, expected: bool | None) -> None:
    failure = OPENAI.failure(429, {"x-should-retry": value}, b"")
    assert failure.retryable_here is expected


def test_a_call_the_model_wrote_badly_may_be_tried_again_and_one_too_large_not() -> None:
    body = openai_error("Failed to call a function", code="tool_use_failed")
    assert OPENAI.failure(400, {}, body).retryable_here
    body = openai_error("Request too large for gpt-6 in org", code="rate_limit_exceeded")
    assert OPENAI.failure(429, {}, body).retryable_here is False


DATE = "Fri, 20 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({}, "", None),
        ({"retry-after": "3"}, "", 3),
        ({"retry-after": "0.5"}, "", 0.5),
        ({"retry-after": "0"}, "", None),
        ({"retry-after": "-4"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "99999999"}, "", 86_400),
        ({"retry-after-ms": "250", "retry-after": "3"}, "", 0.25),
        ({"retry-after-ms": "0", "retry-after": "3"}, "", 3),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": DATE}, "", 30),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:30 GMT", "date": DATE}, "", None),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, "", None),
        ({}, "Please try again in 1.2s.", 1.2),
        ({}, "Please try again in 26ms. Visit", 0.026),
        ({}, "please try again in 1h2m3.5s", 3723.5),
        ({}, "Try again in 6 seconds", 6),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"},
            "",
            360,
        ),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "17.399999999s",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-requests": "1h",
            },
            "",
            17.399999999,
        ),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9s"}, "", 9),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "9s"}, "", None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12"}, "", 12),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, "", 2),
        (
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795168810000", "date": DATE},
            "",
            10,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795168810000"}, "", None),
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-11-20T10:01:00Z",
                "anthropic-ratelimit-requests-remaining": "9",
                "anthropic-ratelimit-requests-reset": "2026-11-20T11:00:00Z",
                "date": DATE,
            },
            "",
            60,
        ),
        ({"retry-after": "7"}, "Please try again in 1.2s.", 7),
    ],
)
def test_waiting_times(headers: dict[str, str], message: str, seconds: float | None) -> None:
    failure = OPENAI.failure(429, headers, openai_error(message, type="tokens"))
    assert failure.retry_after == (None if seconds is None else pytest.approx(seconds))


def test_a_refused_request_is_not_to_be_sent_later() -> None:
    assert OPENAI.failure(400, {"retry-after": "5"}, b"").retry_after is None


UPSTREAM_QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"error": {"message": UPSTREAM_QUOTA, "code": "insufficient_quota"}}),
        json.dumps([{"error": {"message": UPSTREAM_QUOTA, "status": "RESOURCE_EXHAUSTED"}}]),
        UPSTREAM_QUOTA,
    ],
)
def test_the_quota_of_an_upstream_is_none_of_the_key_here(raw: str) -> None:
    metadata = {"provider_name": "Google", "raw": raw}
    body = openai_error("Provider returned error", code=429, metadata=metadata)
    failure = build_adapter("openai", "openrouter").failure(429, {}, body)
    assert (failure.error_class, failure.is_of_key) == (ErrorClass.RATE_LIMIT, False)
    assert build_adapter("openai", "openrouter").failure(
        429, {}, openai_error(UPSTREAM_QUOTA)
    ).error_class is (ErrorClass.QUOTA)


@pytest.mark.parametrize(
    ("quota", "error_class"), [("PerMinute", "rate_limit"), ("PerDay", "quota")]
)
def test_gemini_says_the_same_in_openais_format(quota: str, error_class: str) -> None:
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": f"GenerateRequests{quota}PerProjectPerModel"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
    ]
    error = {
        "code": 429,
        "message": UPSTREAM_QUOTA,
        "status": "RESOURCE_EXHAUSTED",
        "details": details,
    }
    body = json.dumps([{"error": error}]).encode()
    failure = build_adapter("openai", "compatible").failure(429, {}, body)
    assert (failure.error_class, failure.retry_after) == (error_class, 34.0)


def test_a_key_that_is_none_of_geminis_is_refused_as_one() -> None:
    message = "API key not valid. Please pass a valid API key."
    body = json.dumps([{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])
    failure = build_adapter("openai", "compatible").failure(400, {}, body.encode())
    assert failure.error_class is ErrorClass.AUTH


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please retry after 26 seconds.", 26.0),
        ("Please retry in 34.07s.", 34.07),
        ("Please try again in 1m2s.", 62.0),
        ("Please try again in 20 s.", 20.0),
    ],
)
def test_a_wait_that_only_the_message_tells(message: str, seconds: float) -> None:
    assert OPENAI.failure(429, {}, openai_error(message)).retry_after == seconds
