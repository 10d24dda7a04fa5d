from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.bedrock import BedrockAdapter
from routerd_proto.content import Message, Reasoning, Text, Tool
from tests.daemon.providers.drive import request

TAIL = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


@pytest.mark.parametrize(
    ("status", "kind", "message", "error_class"),
    [
        (400, "ValidationException", "This model doesn't support the x field", "bad_request"),
        (400, "ValidationException", "The provided model identifier is invalid.", "not_found"),
        (400, "ValidationException", "Input is too long for requested model", "context_length"),
        (400, "ValidationException", "on-demand throughput isn't supported", "not_found"),
        (400, "ServiceQuotaExceededException", "", "quota"),
        (400, "UnrecognizedClientException", "", "auth"),
        (403, "AccessDeniedException", "no", "auth"),
        (403, "ExpiredTokenException", "", "auth"),
        (404, "ResourceNotFoundException", "has reached the end of its life", "not_found"),
        (408, "ModelTimeoutException", "", "timeout"),
        (424, "ModelErrorException", "", "server_error"),
        (429, "ThrottlingException", "Too many tokens, please wait", "rate_limit"),
        (429, "ThrottlingException", "Too many tokens per day", "quota"),
        (429, "ModelNotReadyException", "", "overloaded"),
        (500, "InternalServerException", "", "server_error"),
        (503, "ServiceUnavailableException", "", "overloaded"),
        (418, "NeverHeardOf", "", "bad_request"),
    ],
)
def test_classes(status: int, kind: str, message: str, error_class: str) -> None:
    adapter = BedrockAdapter()
    body = json.dumps({"message": message}).encode()
    named = json.dumps({"__type": f"com.amazon#{kind}", "Message": message}).encode()
    for headers, data in (({"x-amzn-errortype": kind + TAIL}, body), ({}, named)):
        failure = adapter.failure(status, headers, data)
        assert failure.error_class is ErrorClass(error_class)
        assert (failure.status, failure.code) == (status, kind)
        assert message in failure.message


@pytest.mark.parametrize(
    ("status", "kind", "message", "is_of_model"),
    [
        (429, "ThrottlingException", "Too many requests", True),
        (429, "ThrottlingException", "Too many tokens per day", True),
        (400, "ServiceQuotaExceededException", "", True),
        (403, "AccessDeniedException", "You don't have access to the model with the id.", True),
        (
            403,
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModel on it",
            True,
        ),
        (403, "AccessDeniedException", "Authentication failed: is your API Key valid?", False),
        (
            403,
            "AccessDeniedException",
            "not authorized to perform: bedrock:CallWithBearerToken on resource: *",
            False,
        ),
        (403, "ExpiredTokenException", "The security token included is expired", False),
        (400, "ValidationException", "This model doesn't support the s3Uri field", True),
        (400, "ValidationException", "Malformed input request", False),
        (503, "ServiceUnavailableException", "", False),
    ],
)
def test_what_is_refused_for_one_model_in_one_region(
    status: int, kind: str, message: str, is_of_model: bool
) -> None:
    body = json.dumps({"message": message}).encode()
    failure = BedrockAdapter().failure(status, {"X-Amzn-ErrorType": kind}, body)
    assert (failure.code, failure.is_of_deployment) == (kind, is_of_model)


def test_a_wait_that_a_gateway_names_is_read() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException", "retry-after": "2"}
    failure = BedrockAdapter().failure(429, headers, b'{"message":"slow down"}')
    assert (failure.error_class, failure.retry_after) == (ErrorClass.RATE_LIMIT, 2.0)


@pytest.mark.parametrize("body", [b"", b"<html><title>502</title>", b"\xff\xfe", b"[]", b'{"a":'])
def test_bodies_that_say_nothing(body: bytes) -> None:
    failure = BedrockAdapter().failure(503, {}, body)
    assert failure.error_class is ErrorClass.OVERLOADED


def test_the_models_own_status_decides_where_it_is_passed_on() -> None:
    body = json.dumps({"originalStatusCode": 429, "message": "busy"}).encode()
    failure = BedrockAdapter().failure(424, {"x-amzn-errortype": "ModelErrorException"}, body)
    assert (failure.error_class, failure.status) == (ErrorClass.RATE_LIMIT, 424)
    assert failure.is_of_deployment  # no rate of the key's
    body = json.dumps({"originalStatusCode": 400, "message": "no"}).encode()
    failure = BedrockAdapter().failure(424, {"x-amzn-errortype": "ModelErrorException"}, body)
    assert (failure.error_class, failure.is_of_deployment) == (ErrorClass.BAD_REQUEST, False)


@pytest.mark.parametrize(
    ("fields", "said", "error_class"),
    [
        (
            {"message": "It failed", "originalMessage": "prompt is too long: 9 > 8"},
            "prompt is too long: 9 > 8 (It failed)",
            ErrorClass.CONTEXT_LENGTH,
        ),
        (
            {"Message": "It failed", "originalMessage": "Input is too long"},
            "Input is too long (It failed)",
            ErrorClass.CONTEXT_LENGTH,
        ),
        (
            {"originalMessage": "input exceeds the maximum"},
            "input exceeds the maximum",
            ErrorClass.CONTEXT_LENGTH,
        ),
        (
            {"message": "The model said: no", "originalMessage": "no"},
            "The model said: no",
            ErrorClass.BAD_REQUEST,
        ),
        ({"message": "m" * 600, "originalMessage": "Input is too long"}, "", "context_length"),
        ({"message": "no", "originalMessage": 5}, "no", ErrorClass.BAD_REQUEST),
    ],
)
def test_what_the_models_own_server_said_is_read_too(
    fields: dict[str, Any], said: str, error_class: ErrorClass | str
) -> None:
    body = json.dumps({"originalStatusCode": 400, **fields}).encode()
    failure = BedrockAdapter().failure(424, {"x-amzn-errortype": "ModelErrorException"}, body)
    assert failure.error_class == error_class
    assert failure.message.startswith(said)


def refused(message: str, status: int = 400) -> Failure:
    body = json.dumps({"message": message}).encode()
    return BedrockAdapter().failure(status, {"x-amzn-errortype": "ValidationException"}, body)


def test_a_refused_signature_is_left_out_once() -> None:
    adapter = BedrockAdapter()
    failure = refused("Invalid `signature` in `thinking` block")
    thought = Reasoning("Hm", "bedrock", {"signature": "S"})
    messages = [Message("assistant", [thought, Text("Hi")]), Message("user", "Go on")]
    repaired = adapter.repair(request("m", messages), failure)
    assert repaired is not None
    assert repaired.request.messages[0] == Message("assistant", [Text("Hi")])
    assert adapter.repair(repaired.request, failure) is None


MARKED = [Message("user", [Text("Hi", cache="5m")]), Message("assistant", "Hm")]
THOUGHT = [Message("user", "Hi"), Message("assistant", [Reasoning("Hm", "bedrock", {}), Text("a")])]


@pytest.mark.parametrize(
    ("message", "messages", "options", "changed"),
    [
        ("#/messages/0: extraneous key [cachePoint] is not permitted", MARKED, {}, "cache"),
        ("Cache point cannot be inserted after reasoning block.", MARKED, {}, "cache"),
        ("This model doesn't support prompt caching.", MARKED, {}, "cache"),
        ("This model doesn't support the reasoningContent content block", THOUGHT, {}, "reasoning"),
        (
            "`temperature` and `top_p` cannot both be specified for this model.",
            None,
            {"temperature": 0.5, "top_p": 0.5},
            "top_p",
        ),
        ("`temperature` is deprecated for this model.", None, {"temperature": 0.5}, "temperature"),
        ("the provided reasoning config value is invalid", None, {"reasoning": "low"}, "reasoning"),
        (
            "extraneous key [reasoning_effort] is not permitted",
            None,
            {"reasoning": "low"},
            "reasoning",
        ),
    ],
)
def test_what_the_model_refuses_by_name_is_left_out_once(
    message: str, messages: list[Message] | None, options: dict[str, Any], changed: str
) -> None:
    adapter = BedrockAdapter()
    chat = request("m", messages, **options)
    repaired = adapter.repair(chat, refused(message))
    assert repaired is not None
    assert changed in repaired.note
    if options:
        kept = {name: value for name, value in options.items() if name != changed}
        assert repaired.request == request("m", messages, **kept)
    else:
        written = adapter.encode(repaired.request).body
        assert b"cachePoint" not in written
        assert b"reasoningContent" not in written
    if "both" not in message:  # without one of two the other may stay
        assert adapter.repair(repaired.request, refused(message)) is None


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("This model doesn't support the toolConfig.toolChoice.any field.", 400),
        ("This model doesn't support the stopSequences field.", 400),
        ("temperature must be below 1", 400),
        ("This model doesn't support prompt caching.", 403),
        ("no", 400),
    ],
)
def test_what_must_hold_is_never_left_out(message: str, status: int) -> None:
    chat = request(
        "m", MARKED, temperature=0.5, stop=["x"], tools=[Tool("f")], tool_choice="required"
    )
    assert BedrockAdapter().repair(chat, refused(message, status)) is None
