"""What a refused request becomes, judged by what is sent; and what stays refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from routerd.errors import ErrorClass
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import Adapter, ChatRequest, Repair
from routerd.providers.bedrock import BedrockAdapter
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd_proto.content import Message, Reasoning, Text, Tool, ToolCall, ToolName, ToolResult
from tests.daemon.providers.drive import request

OPENAI, ANTHROPIC, BEDROCK = OpenAIAdapter(), AnthropicAdapter(), BedrockAdapter()
COMPATIBLE = OpenAIAdapter(DIALECTS["compatible"])
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {}})
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
# A model that takes all of it.
FULL = request(
    "gpt-4.1",
    temperature=0.5,
    top_p=0.9,
    seed=7,
    stop=["END"],
    max_output_tokens=50,
    tools=[TOOL],
    tool_choice=ToolName("look"),
    parallel_tool_calls=False,
    output_schema=SCHEMA,
    reasoning="high",
)
WITH_CALLS = [
    Message("user", "Look."),
    Message(
        "assistant",
        [
            Reasoning("hm", "anthropic", {"signature": "c2ln"}),
            Reasoning("", "anthropic", {"redacted": "cmVk"}),
            Text("I look."),
            ToolCall("t1", "look"),
        ],
    ),
    Message("user", [ToolResult("t1", "nothing")]),
]
WITHOUT_EFFORT = "Function tools with reasoning_effort are not supported for gpt-6 in this API."
NOT_BACK = "The reasoning_content in the thinking mode must be passed back to the API."
NO_CHOICE = "Thinking mode does not support this tool_choice"
NO_CHOICE_OF_QWEN = (
    "The tool_choice parameter does not support being set to required or object in thinking mode"
)
NO_CHOICE_OF_MOONSHOT = "tool_choice 'specified' is incompatible with thinking enabled"
MISSING = (
    "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"
)
BOUND = "messages.1.content.0: The block is bound to a different conversation"
BAD_SIGNATURE = "messages.1.content.0: Invalid `signature` in `thinking` block"


def refused(
    adapter: Adapter,
    asked: ChatRequest,
    message: str = "no",
    *,
    status: int = 400,
    **fields: Any,
) -> Repair | None:
    """Refuse a request as its vendor does, and ask for the cure."""
    error = {"message": message, "type": "invalid_request_error", "code": None, **fields}
    failure = adapter.failure(status, {}, json.dumps({"type": "error", "error": error}).encode())
    return adapter.repair(asked, failure)


def sent(adapter: Adapter, asked: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(adapter.encode(asked).body)
    return body


def cure(repair: Repair | None) -> Repair:
    assert repair is not None
    return repair


@pytest.mark.parametrize(
    "code",
    [
        *("unsupported_parameter", "unsupported_value", "invalid_value"),
        *("decimal_below_min_value", None, 400),
    ],
)
@pytest.mark.parametrize(
    ("param", "option"),
    [
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("seed", "seed"),
        ("reasoning_effort", "reasoning"),
        ("parallel_tool_calls", "parallel_tool_calls"),
    ],
)
def test_a_parameter_that_is_refused_by_name_is_left_out_alone(
    param: str, option: str, code: str | int | None
) -> None:
    repair = cure(refused(OPENAI, FULL, code=code, param=param))
    assert repair.note == f"{option} was left out: the provider refused it"
    before, after = sent(OPENAI, FULL), sent(OPENAI, repair.request)
    assert before.pop(param) is not None
    assert after == before


@pytest.mark.parametrize(
    ("param", "option", "field"),
    [
        ("reasoning.effort", "reasoning", "reasoning_effort"),
        ("temperature", "temperature", "temperature"),
    ],
)
def test_what_an_upstream_refuses_by_name_is_left_out(param: str, option: str, field: str) -> None:
    openrouter = OpenAIAdapter(DIALECTS["openrouter"])
    asked = request("openai/o3", temperature=0.5, reasoning="none")
    raw = {"error": {"message": "Not so.", "code": "unsupported_value", "param": param}}
    metadata = {"provider_name": "X", "raw": json.dumps(raw)}
    error = {"code": 400, "message": "Provider returned error", "metadata": metadata}
    failure = openrouter.failure(400, {}, json.dumps({"error": error}).encode())
    repair = cure(openrouter.repair(asked, failure))
    assert repair.note == f"{option} was left out: the provider refused it"
    assert field in sent(openrouter, asked)
    assert field not in sent(openrouter, repair.request)


@pytest.mark.parametrize(
    ("dialect", "model", "message", "done"),
    [
        (
            "zai",
            "a-glm",
            "This model always engages in thinking and cannot be disabled; use low or high",
            "sent as low",
        ),
        (
            "openrouter",
            "a-model",
            "Reasoning is mandatory for this endpoint and cannot be disabled.",
            "sent as minimal",
        ),
        ("xai", "grok-4", "Reasoning cannot be disabled", "left out"),
        ("zai", "a-glm", "Logging cannot be disabled", None),
    ],
)
def test_a_model_that_always_reasons_is_asked_for_the_least(
    dialect: str, model: str, message: str, done: str | None
) -> None:
    server, asked = OpenAIAdapter(DIALECTS[dialect]), request(model, reasoning="none")
    repair = refused(server, asked, message, code="1210")
    if done is None:
        assert repair is None
        return
    body = sent(server, cure(repair).request)
    effort = body.get("reasoning_effort")
    assert done == ("left out" if effort is None else f"sent as {effort}")
    assert "thinking" not in body
    assert cure(repair).note == (
        f"reasoning none was {done}: the provider says that this model always reasons"
    )
    assert refused(server, cure(repair).request, message, code="1210") is None


def test_a_validation_error_names_its_parameter_by_a_place() -> None:
    mistral, asked = OpenAIAdapter(DIALECTS["mistral"]), request(seed=7)
    detail = [{"type": "extra_forbidden", "loc": ["body", "random_seed"], "msg": "not permitted"}]
    failure = mistral.failure(422, {}, json.dumps({"detail": detail}).encode())
    repair = cure(mistral.repair(asked, failure))
    assert "random_seed" in sent(mistral, asked)
    assert "random_seed" not in sent(mistral, repair.request)


@pytest.mark.parametrize(
    ("adapter", "name", "other"),
    [
        (OPENAI, "max_completion_tokens", "max_tokens"),
        (COMPATIBLE, "max_tokens", "max_completion_tokens"),
    ],
)
def test_the_output_limit_is_sent_by_its_other_name_and_stays(
    adapter: OpenAIAdapter, name: str, other: str
) -> None:
    errors: list[dict[str, Any]] = [
        {"code": "unsupported_parameter"},
        {"message": f"'{name}' is not supported. Use '{other}' instead."},
    ]
    for error in errors:
        repair = cure(refused(adapter, FULL, param=name, **error))
        after = sent(adapter, repair.request)
        assert name not in after
        assert after[other] == 50
        assert adapter.encode(repair.request).max_output_tokens == 50
        assert repair.note == f"{name} was sent as {other}: the provider refused it"
        # And back, never in a circle on one route: its second attempt is the last.
        assert sent(adapter, cure(refused(adapter, repair.request, param=other, **error)).request)


def test_the_value_of_an_output_limit_is_not_repaired() -> None:
    for code in ("invalid_value", "unsupported_value", None):
        assert refused(OPENAI, FULL, code=code, param="max_completion_tokens") is None
    assert refused(OPENAI, FULL, code="unsupported_parameter", param="max_tokens") is None
    unlimited = request("gpt-4.1")
    error: dict[str, Any] = {"code": "unsupported_parameter", "param": "max_completion_tokens"}
    assert refused(OPENAI, unlimited, **error) is None


def test_stop_sequences_are_renamed_where_the_provider_says_how_and_never_left_out() -> None:
    error: dict[str, Any] = {"code": "unsupported_parameter", "param": "stop"}
    assert refused(COMPATIBLE, FULL, **error) is None
    repair = cure(refused(COMPATIBLE, FULL, "no 'stop': use 'stop_sequences'", **error))
    after = sent(COMPATIBLE, repair.request)
    assert "stop" not in after
    assert after["stop_sequences"] == ["END"]
    assert refused(COMPATIBLE, request(), "use 'stop_sequences'", **error) is None


@pytest.mark.parametrize(
    "param",
    [
        *("tools", "tools[0].function.strict", "tool_choice", "response_format", "messages"),
        *("messages[0].role", "model", "stream", "stream_options", "stop", "n", "", None),
    ],
)
def test_what_changes_the_meaning_stays_refused(param: str | None) -> None:
    for code in ("unsupported_parameter", "unsupported_value", None):
        assert refused(OPENAI, FULL, code=code, param=param) is None


@pytest.mark.parametrize("code", ["missing_required_parameter", "content_policy_violation", "x"])
def test_another_code_is_no_refusal_of_a_parameter(code: str) -> None:
    assert refused(OPENAI, FULL, code=code, param="temperature") is None


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500])
def test_another_status_is_no_refusal_of_a_parameter(status: int) -> None:
    assert refused(OPENAI, FULL, status=status, code="invalid_value", param="seed") is None
    assert refused(OPENAI, FULL, WITHOUT_EFFORT, status=status) is None
    history = request("claude-opus-5-5", WITH_CALLS)
    assert refused(ANTHROPIC, history, BOUND, status=status) is None


def test_what_was_not_asked_for_cannot_be_left_out() -> None:
    for param in ("temperature", "top_p", "seed", "reasoning_effort", "parallel_tool_calls"):
        assert refused(OPENAI, request(), code="unsupported_parameter", param=param) is None


@pytest.mark.parametrize("asked", ["high", None])
def test_an_effort_beside_tools_becomes_none(asked: str | None) -> None:
    call = request("gpt-5.2", tools=[TOOL], reasoning=asked)
    repair = cure(refused(OPENAI, call, WITHOUT_EFFORT, param="reasoning_effort"))
    after = sent(OPENAI, repair.request)
    assert after["reasoning_effort"] == "none"
    assert after["tools"] == sent(OPENAI, call)["tools"]
    # Where the model has no such effort, none is sent.
    call = request("gpt-4.1", tools=[TOOL], reasoning="high")
    repair = cure(refused(OPENAI, call, WITHOUT_EFFORT, param="reasoning_effort"))
    assert "reasoning_effort" not in sent(OPENAI, repair.request)


@pytest.mark.parametrize("message", [NOT_BACK, MISSING])
def test_reasoning_that_a_provider_misses_is_added_empty(message: str) -> None:
    call = request("m", WITH_CALLS, reasoning="high")
    assert "reasoning_content" not in sent(COMPATIBLE, call)["messages"][1]
    repair = cure(refused(COMPATIBLE, call, message))
    before, after = sent(COMPATIBLE, call), sent(COMPATIBLE, repair.request)
    assert after["messages"][1].pop("reasoning_content") == ""
    assert after == before


def test_where_it_was_sent_empty_already_the_reasoning_is_switched_off() -> None:
    deepseek = OpenAIAdapter(DIALECTS["deepseek"])
    call = request("deepseek-v4", WITH_CALLS)
    assert sent(deepseek, call)["messages"][1]["reasoning_content"] == ""
    repair = cure(refused(deepseek, call, NOT_BACK))
    assert sent(deepseek, repair.request)["thinking"] == {"type": "disabled"}
    assert refused(deepseek, repair.request, NOT_BACK) is None


@pytest.mark.parametrize("message", [NO_CHOICE, NO_CHOICE_OF_QWEN, NO_CHOICE_OF_MOONSHOT])
@pytest.mark.parametrize(
    ("dialect", "off"),
    [
        ("deepseek", {"thinking": {"type": "disabled"}}),
        ("moonshot", {"reasoning_effort": "none"}),
        ("vllm", {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
@pytest.mark.parametrize("asked", [None, "high"])
def test_thinking_is_switched_off_where_it_takes_no_forced_tool(
    message: str, dialect: str, off: dict[str, Any], asked: str | None
) -> None:
    adapter = OpenAIAdapter(DIALECTS[dialect])
    call = request("m", tools=[TOOL], tool_choice="required", reasoning=asked)
    repair = cure(refused(adapter, call, message))
    assert repair.note == (
        "reasoning was sent as none: the provider takes no such tool choice beside it"
    )
    before, after = sent(adapter, call), sent(adapter, repair.request)
    before.pop("reasoning_effort", None)
    assert after == {**before, **off}
    assert after["tool_choice"] == "required"
    assert refused(adapter, repair.request, message) is None


def test_where_thinking_cannot_be_switched_off_the_choice_stays_refused() -> None:
    call = request("m", tools=[TOOL], tool_choice="required")
    assert refused(OpenAIAdapter(DIALECTS["together"]), call, NO_CHOICE) is None
    unable = replace(call, capabilities=replace(call.capabilities, reasoning=False))
    assert refused(COMPATIBLE, unable, NO_CHOICE) is None


@pytest.mark.parametrize("message", [BOUND, BAD_SIGNATURE])
def test_all_thinking_goes_and_all_else_stays(message: str) -> None:
    call = request("claude-opus-5-5", WITH_CALLS, tools=[TOOL], reasoning="high")
    repair = cure(refused(ANTHROPIC, call, message))
    before, after = sent(ANTHROPIC, call), sent(ANTHROPIC, repair.request)
    kinds = [block["type"] for block in before["messages"][1]["content"]]
    assert kinds == ["thinking", "redacted_thinking", "text", "tool_use"]
    del before["messages"][1]["content"][:2]
    assert after == before
    # The caller's own messages are as they were, and there is nothing left to take away.
    assert call.messages is WITH_CALLS
    assert refused(ANTHROPIC, repair.request, message) is None


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (ANTHROPIC, "thinking.adaptive.display: Extra inputs are not permitted"),
        (
            BEDROCK,
            "The model returned the following errors: extraneous key [display] is not permitted",
        ),
        (BEDROCK, "thinking.adaptive.display: Extra inputs are not permitted"),
    ],
)
def test_thinking_is_asked_for_unshown_where_showing_it_is_refused(
    adapter: Adapter, message: str
) -> None:
    call = request("anthropic.claude-opus-5-5", WITH_CALLS, tools=[TOOL], reasoning="high")
    before = thinking_of(sent(adapter, call))
    assert before == {"type": "adaptive", "display": "summarized"}
    repair = cure(refused(adapter, call, message))
    assert thinking_of(sent(adapter, repair.request)) == {"type": "adaptive"}
    assert "summary" in repair.note
    # A second refusal is not cured in the same way.
    again = refused(adapter, repair.request, message)
    assert again is None or again.note != repair.note


def thinking_of(body: dict[str, Any]) -> Any:
    return body.get("additionalModelRequestFields", body)["thinking"]


def test_other_refusals_of_anthropic_stay() -> None:
    call = request("claude-opus-5-5", WITH_CALLS, temperature=0.5)
    for message in ("temperature: no", "Invalid `signature`", "messages: thinking is not right"):
        assert refused(ANTHROPIC, call, message) is None


@pytest.mark.parametrize("adapter", [OPENAI, COMPATIBLE, ANTHROPIC])
def test_only_a_bad_request_is_repaired(adapter: Adapter) -> None:
    call = request("m", WITH_CALLS, temperature=0.5)
    failure = adapter.failure(400, {}, b'{"error":{"message":"no","param":"temperature"}}')
    for kind in set(ErrorClass) - {ErrorClass.BAD_REQUEST}:
        assert adapter.repair(call, replace(failure, error_class=kind, message=BOUND)) is None
    assert adapter.repair(call, replace(failure, status=None, message=BOUND)) is None


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, {"param": "stream_options", "code": "unsupported_parameter"}),
        (400, {"message": "Unknown field: 'stream_options'"}),
        (422, {"message": "body.stream_options: Extra inputs are not permitted"}),
    ],
)
def test_a_stream_goes_without_its_usage_where_that_cannot_be_asked_for(
    status: int, fields: dict[str, Any]
) -> None:
    asked = request("gpt-4.1", stream=True)
    repair = cure(refused(COMPATIBLE, asked, status=status, **fields))
    before, after = sent(COMPATIBLE, asked), sent(COMPATIBLE, repair.request)
    assert before.pop("stream_options") == {"include_usage": True}
    assert after == before
    assert "may report no usage" in repair.note
    for other in (repair.request, request("gpt-4.1")):
        assert refused(COMPATIBLE, other, status=status, **fields) is None
    mistral = OpenAIAdapter(DIALECTS["mistral"])
    assert refused(mistral, asked, status=status, **fields) is None


def test_a_validation_error_may_name_the_options_of_a_stream() -> None:
    detail = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "no"}]
    failure = COMPATIBLE.failure(422, {}, json.dumps({"detail": detail}).encode())
    assert cure(COMPATIBLE.repair(request(stream=True), failure)).request.usage_in_stream is False


@pytest.mark.parametrize(
    ("role", "other"), [("developer", "system"), ("system", "user"), ("user", None)]
)
def test_the_systems_text_is_said_in_a_role_the_model_has(role: Any, other: str | None) -> None:
    messages = [Message("system", "Be brief."), Message("user", "Hi")]
    asked = replace(request("o1-mini", messages), system_role=role)
    words = f"Unsupported value: 'messages[0].role' does not support '{role}' with this model."
    error: dict[str, Any] = {"code": "unsupported_value", "param": "messages[0].role"}
    repair = refused(OPENAI, asked, words, **error)
    if other is None:
        assert repair is None
        return
    roles = [message["role"] for message in sent(OPENAI, cure(repair).request)["messages"]]
    assert roles == [other, "user"]
    assert sent(OPENAI, cure(repair).request)["messages"][0]["content"] == "Be brief."
    assert refused(OPENAI, asked, "wrong role", **error) is None
    nobody = replace(asked, messages=messages[1:])
    assert refused(OPENAI, nobody, words, **error) is None
