"""What a refused request becomes, judged by what is sent; and what stays refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.providers.base import ChatRequest, Repair
from routerd.providers.openai.responses import ResponsesAdapter
from routerd_proto.content import Message, Reasoning, Text, Tool, ToolName
from tests.daemon.providers.drive import request

OPENAI = ResponsesAdapter()
ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA=="}
FULL = request(
    "gpt-5.2",
    [
        Message("user", "a"),
        Message("assistant", [Reasoning("", "openai-responses", {"item": ITEM}), Text("b")]),
        Message("user", "c"),
    ],
    temperature=0.5,
    top_p=0.9,
    max_output_tokens=50,
    tools=[Tool("look")],
    tool_choice=ToolName("look"),
    parallel_tool_calls=False,
    output_schema={"type": "object"},
    reasoning="high",
)
UNVERIFIED = "The encrypted content for item rs_1 could not be verified."
TORN = "Item 'rs_1' of type 'reasoning' was provided without its required following item."
NOT_HERE = "Encrypted content is not supported with this model."


def refused(asked: ChatRequest, message: str = "no", status: int = 400, **f: Any) -> Repair | None:
    error = {"message": message, "type": "invalid_request_error", "code": None, **f}
    failure = OPENAI.failure(status, {}, json.dumps({"error": error}).encode())
    return OPENAI.repair(asked, failure)


def sent(asked: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(OPENAI.encode(asked).body)
    return body


@pytest.mark.parametrize("code", ["unsupported_parameter", "unsupported_value", None])
@pytest.mark.parametrize(
    ("param", "field"),
    [
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("reasoning.effort", "reasoning"),
        ("reasoning", "reasoning"),
        ("parallel_tool_calls", "parallel_tool_calls"),
    ],
)
def test_a_parameter_that_is_refused_by_name_is_left_out_alone(
    param: str, field: str, code: str | None
) -> None:
    repair = refused(FULL, code=code, param=param)
    assert repair is not None
    assert repair.note == f"{field} was left out: the provider refused it"
    before, after = sent(FULL), sent(repair.request)
    assert before.pop(field) is not None
    assert after == before
    assert refused(repair.request, code=code, param=param) is None


def test_a_summary_that_is_refused_is_not_asked_for() -> None:
    said = "Your organization must be verified to generate reasoning summaries."
    repair = refused(FULL, said, code="unsupported_value", param="reasoning.summary")
    assert repair is not None
    assert sent(repair.request)["reasoning"] == {"effort": "high"}
    assert refused(repair.request, said, param="reasoning.summary") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"message": UNVERIFIED, "code": "invalid_encrypted_content"},
        {"message": UNVERIFIED},
        {"message": TORN, "param": "input"},
        {"message": NOT_HERE, "param": "include"},
        {"message": "Unknown value.", "code": "invalid_value", "param": "include[0]"},
    ],
)
def test_reasoning_that_cannot_be_read_is_left_out(fields: dict[str, Any]) -> None:
    repair = refused(FULL, **fields)
    assert repair is not None
    before, after = sent(FULL), sent(repair.request)
    assert before.pop("include")
    assert before["input"].pop(1) == ITEM
    assert after == before
    assert refused(repair.request, **fields) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"param": "tools"},
        {"param": "tool_choice"},
        {"param": "text.format"},
        {"param": "max_output_tokens", "code": "integer_below_min_value"},
        {"param": "model", "code": "model_not_found"},
        {"param": "seed"},
        {"param": "temperature", "code": "context_length_exceeded"},
        {"message": UNVERIFIED, "status": 500},
        {"param": "temperature", "status": 403},
        {"message": "No tool output found for function call c1.", "param": "input"},
    ],
)
def test_what_matters_stays_refused(fields: dict[str, Any]) -> None:
    assert refused(FULL, **fields) is None


def test_what_was_not_sent_is_no_cure() -> None:
    assert refused(request("gpt-5.2"), param="temperature") is None


def test_a_model_that_always_reasons_is_asked_for_the_least() -> None:
    asked = request("gpt-5.2", reasoning="none")
    repair = refused(asked, "Reasoning is mandatory for this endpoint and cannot be disabled.")
    assert repair is not None
    assert sent(asked)["reasoning"] == {"effort": "none"}
    assert sent(repair.request)["reasoning"]["effort"] == "low"
    assert repair.note == (
        "reasoning none was sent as low: the provider says that this model always reasons"
    )
    assert refused(repair.request, "Reasoning cannot be disabled.") is None
