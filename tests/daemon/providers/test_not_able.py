"""A refusal that only says what this model, or this server, cannot do: another one may."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.errors import ErrorClass, Failure
from routerd.providers.registry import build_adapter
from tests.daemon.providers.drive import decode

WIRES = [
    *(("openai", dialect) for dialect in (None, "deepseek", "xai", "ollama", "compatible")),
    *((name, None) for name in ("openai-responses", "anthropic", "gemini", "cohere", "bedrock")),
]
every_wire = pytest.mark.parametrize(
    ("name", "dialect"), WIRES, ids=[dialect or name for name, dialect in WIRES]
)
# As their servers put it.
NOT_ABLE = [
    "This response_format type is unavailable now",
    "Thinking mode does not support this tool_choice",
    "Tool choice must be auto",
    "tool_choice 'required' is incompatible with thinking enabled",
    "Argument not supported on this model: stop",
    "registry.ollama.ai/library/gemma:2b does not support tools",
    "`tool calling` is not supported with this model",
    "This model doesn't support images.",
    "Unsupported parameter: 'stop' is not supported with this model.",
    "Invalid content type. image_url is only supported by certain models.",
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    "a-model is not a multimodal model",
    "Function calling is not enabled for models/gemma-4",
    "response_format is not supported for llama-4-scout",
]
MISTAKES = [
    "messages: field required",
    "Invalid schema for response_format 'answer': 'additionalProperties' must be false.",
    "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    "'oneOf' is not supported in tools.0.input_schema",
    "Invalid 'max_tokens': integer below minimum value.",
    "tool_choice: must be one of auto, none, required",
    "Invalid 'messages[0].content': image url: We don't support fetching localhost",
    "Your organization does not support zero data retention",
    "tools[0].name: string does not match the pattern. Names don't support dots",
    "",
]


def refused(name: str, dialect: str | None, status: int, **error: Any) -> Failure:
    body = json.dumps({"error": {"type": "invalid_request_error", **error}}).encode()
    if name in ("cohere", "bedrock"):
        body = json.dumps({"message": error["message"]}).encode()
    return build_adapter(name, dialect).failure(status, {}, body)


@every_wire
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("message", NOT_ABLE)
def test_what_it_cannot_do_is_of_the_deployment(
    name: str, dialect: str | None, status: int, message: str
) -> None:
    failure = refused(name, dialect, status, message=message)
    assert failure.error_class is ErrorClass.BAD_REQUEST
    assert failure.is_of_deployment


@every_wire
@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_of_the_callers_is_nobody_elses(
    name: str, dialect: str | None, message: str
) -> None:
    failure = refused(name, dialect, 400, message=message)
    assert failure.error_class is ErrorClass.BAD_REQUEST
    assert not failure.is_of_deployment


@pytest.mark.parametrize("wire", ["openai", "openai-responses"])
@pytest.mark.parametrize(
    ("code", "param", "is_of_deployment"),
    [
        ("unsupported_parameter", "tools", True),
        ("unsupported_value", "tools[0].type", True),
        ("unsupported_value", "tool_choice", True),
        ("unsupported_parameter", "response_format", True),
        ("unsupported_value", "text.format", True),
        ("unsupported_parameter", "body.stop", True),
        ("invalid_value", "tools", False),
        ("invalid_json_schema", "response_format", False),
        ("unsupported_value", "messages[0].content", False),
        ("unsupported_parameter", None, False),
        (None, "tools", False),
    ],
)
def test_a_code_says_so_of_a_feature(
    wire: str, code: str | None, param: str | None, is_of_deployment: bool
) -> None:
    failure = refused(wire, None, 400, message="No.", code=code, param=param)
    assert failure.is_of_deployment is is_of_deployment


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500])
def test_another_failure_is_what_it_was(status: int) -> None:
    assert not refused("openai", None, status, message=NOT_ABLE[0]).is_of_deployment


def test_it_is_the_same_inside_an_answer() -> None:
    error = {"message": NOT_ABLE[4], "type": "invalid_request_error", "code": None}
    body = b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
    _, outcome = decode(build_adapter("openai", "xai"), [body])
    assert outcome.failure is not None
    assert outcome.failure.is_of_deployment
