from __future__ import annotations

import json

import pytest

from routerd.errors import ErrorClass
from routerd.providers.bedrock import BedrockAdapter
from routerd_proto.content import Message, Reasoning, Text
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


@pytest.mark.parametrize("body", [b"", b"<html><title>502</title>", b"\xff\xfe", b"[]", b'{"a":'])
def test_bodies_that_say_nothing(body: bytes) -> None:
    failure = BedrockAdapter().failure(503, {}, body)
    assert failure.error_class is ErrorClass.OVERLOADED


def test_the_models_own_status_decides_where_it_is_passed_on() -> None:
    body = json.dumps({"originalStatusCode": 429, "message": "busy"}).encode()
    failure = BedrockAdapter().failure(424, {"x-amzn-errortype": "ModelErrorException"}, body)
    assert (failure.error_class, failure.status) == (ErrorClass.RATE_LIMIT, 424)


def test_a_refused_signature_is_left_out_once() -> None:
    adapter = BedrockAdapter()
    body = json.dumps({"message": "Invalid `signature` in `thinking` block"}).encode()
    failure = adapter.failure(400, {"x-amzn-errortype": "ValidationException"}, body)
    thought = Reasoning("Hm", "bedrock", {"signature": "S"})
    messages = [Message("assistant", [thought, Text("Hi")]), Message("user", "Go on")]
    repaired = adapter.repair(request("m", messages), failure)
    assert repaired is not None
    assert repaired.request.messages[0] == Message("assistant", [Text("Hi")])
    assert adapter.repair(repaired.request, failure) is None
