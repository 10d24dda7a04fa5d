"""What is particular to one server that imitates OpenAI, server by server."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from routerd.domain import Usage
from routerd.errors import CallRefused, ErrorClass
from routerd.providers.base import Outcome, note_other_model
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd_proto.content import Image, Message, Reasoning, Text, ToolCall, ToolResult
from tests.daemon.providers.drive import (
    ABLE,
    decode,
    encoded,
    fixture,
    reasoning_in,
    request,
    text_in,
)

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhIn0.c2ln"


def adapter(dialect: str) -> OpenAIAdapter:
    return OpenAIAdapter(DIALECTS[dialect])


def sent(
    dialect: str, model: str = "a-model", messages: list[Message] | None = None, **arguments: Any
) -> tuple[dict[str, Any], list[str]]:
    return encoded(adapter(dialect), request(model, messages, **arguments))


def error_body(**fields: Any) -> bytes:
    return json.dumps({"error": fields}).encode()


class TestAzure:
    def test_a_key_has_a_header_of_its_own_and_a_token_has_not(self) -> None:
        for dialect in ("azure", "azure-deployments"):
            assert adapter(dialect).authorize(" a-key ") == [(b"api-key", b"a-key")]
            assert adapter(dialect).authorize(TOKEN) == [
                (b"authorization", b"Bearer " + TOKEN.encode())
            ]
            assert adapter(dialect).authorize(None) == []

    def test_the_deployment_is_in_the_body_or_in_the_path(self) -> None:
        chat = request("my deployment/1")
        assert adapter("azure").encode(chat).path == "/chat/completions"
        path = adapter("azure-deployments").encode(chat).path
        assert path == "/deployments/my%20deployment%2F1/chat/completions"

    def test_rules_go_by_the_model_where_the_deployment_has_a_name_of_its_own(self) -> None:
        chat = request("prod-chat", stop=["END"], reasoning="minimal")
        body, _ = encoded(adapter("azure"), chat)
        assert (body["stop"], body["reasoning_effort"]) == (["END"], "low")
        body, notes = encoded(adapter("azure"), replace(chat, model="gpt-5-2025-08-07"))
        assert body["reasoning_effort"] == "minimal"
        assert "stop" not in body
        assert notes == ["stop was left out: this model does not take it"]

    def test_it_sends_what_openai_takes(self) -> None:
        body, notes = sent("azure", "gpt-5.1", max_output_tokens=50, stream=True)
        assert body["max_completion_tokens"] == 50
        assert body["stream_options"] == {"include_usage": True}
        assert notes == []

    def test_the_model_that_answers_is_no_other_than_the_one_deployed(self) -> None:
        outcome = Outcome(model="gpt-5-2025-08-07")
        note_other_model(outcome, "prod-chat", "gpt-5")
        assert outcome.notes == []
        note_other_model(outcome, "prod-chat", "gpt-6-luna")
        assert len(outcome.notes) == 1

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (401, error_body(code="401", message="Access denied."), ErrorClass.AUTH),
            (404, error_body(code="DeploymentNotFound", message="No."), ErrorClass.NOT_FOUND),
            (
                400,
                error_body(
                    code="content_filter",
                    message="The response was filtered.",
                    innererror={"code": "ResponsibleAIPolicyViolation"},
                ),
                ErrorClass.CONTENT_POLICY,
            ),
            (429, b'{"statusCode": 429, "message": "Rate limit is exceeded."}', "rate_limit"),
        ],
    )
    def test_errors(self, status: int, body: bytes, expected: ErrorClass) -> None:
        headers = {"retry-after-ms": "1500", "retry-after": "2"}
        failure = adapter("azure").failure(status, headers, body)
        assert failure.error_class == expected
        assert failure.retry_after == (1.5 if status == 429 else None)

    def test_a_filtered_answer_inside_a_200(self) -> None:
        _, outcome = decode(adapter("azure"), [fixture("openai/azure_error.json")], stream=False)
        assert outcome.failure is not None
        assert outcome.failure.error_class is ErrorClass.CONTENT_POLICY
        assert outcome.failure.status == 400


CALLED = [
    Message("user", "Look."),
    Message("assistant", [ToolCall("call_with_a_long_id", "look")]),
    Message("tool", [ToolResult("call_with_a_long_id", [Text("seen"), Image(data=b"a")])]),
]


class TestMistral:
    def test_somebody_speaks_between_a_result_and_the_user(self) -> None:
        body, notes = sent("mistral", messages=[*CALLED, Message("user", "And?")])
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["user", "assistant", "tool", "assistant", "user"]
        assert body["messages"][3] == {"role": "assistant", "content": "."}
        assert len(notes) == 1
        body, notes = sent("mistral", messages=CALLED)
        assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]
        assert notes == []

    def test_pictures_stay_inside_the_result(self) -> None:
        body, _ = sent("mistral", messages=CALLED)
        assert [part["type"] for part in body["messages"][2]["content"]] == ["text", "image_url"]
        [call] = body["messages"][1]["tool_calls"]
        assert call["id"] == body["messages"][2]["tool_call_id"]
        assert len(call["id"]) == 9

    def test_the_system_speaks_first_alone(self) -> None:
        body, notes = sent(
            "mistral",
            messages=[
                Message("system", "a"),
                Message("system", "b"),
                Message("user", "c"),
                Message("system", "d"),
            ],
        )
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["system", "system", "user", "user"]
        assert notes == ["a system message after the start was sent as user text"]

    def test_a_message_to_go_on_with_is_marked(self) -> None:
        body, _ = sent("mistral", messages=[Message("user", "a"), Message("assistant", "The")])
        last = {"role": "assistant", "content": "The", "prefix": True}
        assert body["messages"][-1] == last
        body, _ = sent("groq", messages=[Message("user", "a"), Message("assistant", "The")])
        assert "prefix" not in body["messages"][-1]

    def test_older_models_reason_in_one_way(self) -> None:
        body, notes = sent("mistral", "magistral-medium-2509", reasoning="high")
        assert (body["prompt_mode"], "reasoning_effort" in body) == ("reasoning", False)
        assert len(notes) == 1
        body, notes = sent("mistral", "magistral-medium-2509", reasoning="none")
        assert not {"prompt_mode", "reasoning_effort"} & set(body)
        body, _ = sent("mistral", "mistral-medium-2604", reasoning="high")
        assert body["reasoning_effort"] == "high"

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (
                400,
                {
                    "object": "error",
                    "message": "Unexpected role 'user' after role 'tool'",
                    "type": "invalid_request_message_order",
                    "param": None,
                    "code": "3230",
                },
                ErrorClass.BAD_REQUEST,
            ),
            (
                400,
                {
                    "object": "error",
                    "message": "Invalid model: x",
                    "type": "invalid_model",
                    "param": None,
                    "code": "1500",
                },
                ErrorClass.NOT_FOUND,
            ),
            (429, {"object": "error", "message": "Slow", "code": "1300"}, ErrorClass.RATE_LIMIT),
            (429, {"object": "error", "message": "Full", "code": "3505"}, ErrorClass.OVERLOADED),
            (401, {"message": "Unauthorized", "request_id": "1"}, ErrorClass.AUTH),
            (422, {"detail": [{"loc": ["body", "a"], "msg": "no"}]}, ErrorClass.BAD_REQUEST),
        ],
    )
    def test_errors(self, status: int, body: Any, expected: ErrorClass) -> None:
        failure = adapter("mistral").failure(status, {}, json.dumps(body).encode())
        assert failure.error_class is expected
        assert failure.message

    def test_an_error_in_a_stream_has_a_status_of_its_own(self) -> None:
        error = {"object": "error", "message": "Full", "raw_status_code": 503}
        _, outcome = decode(adapter("mistral"), [b"data: " + json.dumps(error).encode() + b"\n\n"])
        assert outcome.failure is not None
        assert outcome.failure.error_class is ErrorClass.OVERLOADED


THOUGHT = [
    Message("user", "Look."),
    Message("assistant", [Reasoning("Hm.", "zai"), ToolCall("call_1", "look")]),
    Message("tool", [ToolResult("call_1", "seen")]),
]


class TestZai:
    def test_reasoning_is_switched_off_in_its_own_way(self) -> None:
        body, notes = sent("zai", "glm-5", messages=THOUGHT, reasoning="none")
        assert body["thinking"] == {"type": "disabled"}
        assert "reasoning_effort" not in body
        assert "reasoning_content" not in body["messages"][1]
        assert notes == []

    def test_reasoning_goes_back(self) -> None:
        body, _ = sent("zai", "glm-5", messages=THOUGHT, reasoning="high")
        assert body["messages"][1]["reasoning_content"] == "Hm."
        assert body["reasoning_effort"] == "high"
        assert "thinking" not in body

    @pytest.mark.parametrize(
        ("model", "asked", "sent_as"),
        [
            ("glm-5.3", "none", "low"),
            ("glm-5.3-flash", "none", "low"),
            ("glm-5.3", "medium", "low"),
            ("glm-5.3", "max", "max"),
            ("glm-5.2", "minimal", "minimal"),
            ("glm-5.2", "max", "xhigh"),
            ("glm-4.7", "max", "high"),
        ],
    )
    def test_efforts_by_model(self, model: str, asked: str, sent_as: str) -> None:
        body, notes = sent("zai", model, messages=THOUGHT, reasoning=asked)
        assert body["reasoning_effort"] == sent_as
        assert "thinking" not in body
        assert body["messages"][1]["reasoning_content"] == "Hm."
        assert notes == ([] if asked == sent_as else [f"reasoning {asked} was sent as {sent_as}"])

    def test_an_older_one_is_switched_off(self) -> None:
        body, notes = sent("zai", "glm-5.2", messages=THOUGHT, reasoning="none")
        assert body["thinking"] == {"type": "disabled"}
        assert ("reasoning_effort" in body, notes) == (False, [])


@pytest.mark.parametrize(
    ("model", "sent_as"),
    [("zai-glm-4.7", "none"), ("qwen-3.8-27b", "none"), ("gpt-oss-120b", "low")],
)
def test_what_cerebras_serves_is_switched_off_by_its_effort(model: str, sent_as: str) -> None:
    body, notes = sent("cerebras", model, reasoning="none")
    assert body["reasoning_effort"] == sent_as
    assert notes == ([] if sent_as == "none" else [f"reasoning none was sent as {sent_as}"])


class TestGroq:
    def test_reasoning_is_kept_out_of_the_text(self) -> None:
        for reasoning in (None, "high"):
            body, _ = sent("groq", "qwen/qwen3-32b", reasoning=reasoning)
            assert body["reasoning_format"] == "parsed"
            assert "reasoning_effort" not in body
        body, _ = sent("groq", "qwen/qwen3-32b", reasoning="none")
        assert body["reasoning_effort"] == "none"
        assert "reasoning_format" not in body
        mute = replace(ABLE, reasoning=False)
        assert "reasoning_format" not in sent("groq", "qwen/qwen3-32b", capabilities=mute)[0]
        body, _ = sent("groq", "openai/gpt-oss-120b", reasoning="high")
        assert body["reasoning_effort"] == "high"
        assert "reasoning_format" not in body

    @pytest.mark.parametrize(
        ("status", "error", "expected"),
        [
            (
                413,
                {"type": "tokens", "code": "rate_limit_exceeded", "message": "Request too large"},
                ErrorClass.RATE_LIMIT,
            ),
            (498, {"message": "Flex capacity is used up."}, ErrorClass.OVERLOADED),
            (400, {"code": "model_decommissioned", "message": "Gone."}, ErrorClass.NOT_FOUND),
            (404, {"code": "model_not_found", "message": "None."}, ErrorClass.NOT_FOUND),
            (424, {"message": "A tool failed."}, ErrorClass.SERVER_ERROR),
        ],
    )
    def test_errors(self, status: int, error: Any, expected: ErrorClass) -> None:
        failure = adapter("groq").failure(status, {}, error_body(**error))
        assert failure.error_class is expected

    def test_a_call_that_cannot_be_read_may_be_asked_for_again_and_is_not_quoted(self) -> None:
        error = {"code": "tool_use_failed", "message": "Bad call.", "failed_generation": "secret"}
        failure = adapter("groq").failure(400, {}, error_body(**error))
        assert failure.error_class is ErrorClass.BAD_REQUEST
        assert failure.retryable_here is True
        assert "secret" not in failure.message


class TestDeepSeek:
    def test_it_takes_sixteen_stop_sequences(self) -> None:
        stops = [f"stop {number}" for number in range(20)]
        body, notes = sent("deepseek", stop=stops)
        assert body["stop"] == stops[:16]
        assert notes == ["only the first 16 stop sequences were sent"]

    def test_empty_reasoning_is_sent_with_calls_of_another_model(self) -> None:
        body, _ = sent("deepseek", messages=CALLED)
        assert body["messages"][1]["reasoning_content"] == ""
        body, _ = sent("deepseek", messages=CALLED, reasoning="none")
        assert "reasoning_content" not in body["messages"][1]

    def test_its_own_counts_of_the_cache(self) -> None:
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
            "prompt_tokens_details": {"cached_tokens": 64},
        }
        choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}
        chunk = json.dumps({"choices": [choice], "usage": usage}).encode()
        _, outcome = decode(adapter("deepseek"), [b"data: " + chunk + b"\n\n"])
        assert outcome.usage == Usage(input_tokens=36, cache_read_tokens=64, output_tokens=10)

    def test_no_balance_and_no_resources(self) -> None:
        failure = adapter("deepseek").failure(402, {}, error_body(message="Insufficient Balance"))
        assert failure.error_class is ErrorClass.QUOTA
        choice = {"index": 0, "delta": {}, "finish_reason": "insufficient_system_resource"}
        chunk = json.dumps({"choices": [choice]}).encode()
        _, outcome = decode(adapter("deepseek"), [b"data: " + chunk + b"\n\n"])
        assert outcome.failure is not None
        assert outcome.failure.error_class is ErrorClass.OVERLOADED


class TestXai:
    @pytest.mark.parametrize(
        ("model", "asked", "effort"),
        [
            ("grok-4.3", "none", "none"),
            ("grok-4.5", "none", "low"),
            ("grok-4.5", "max", "high"),
            ("grok-3-mini", "medium", "low"),
            ("grok-4.20-0309-reasoning", "high", None),
            ("grok-4-1-fast-reasoning", "low", None),
            ("grok-4-fast", "low", None),
            ("grok-4", "low", None),
            ("grok-code-fast-1", "low", None),
        ],
    )
    def test_efforts(self, model: str, asked: Any, effort: str | None) -> None:
        body, notes = sent("xai", model, reasoning=asked)
        assert body.get("reasoning_effort") == effort
        assert bool(notes) == (effort != asked)

    @pytest.mark.parametrize(
        ("model", "takes_it"),
        [
            ("grok-4.7", False),
            ("grok-4.3", False),
            ("grok-4.20-0309-reasoning", False),
            ("grok-4.20-0309-non-reasoning", True),
            ("grok-4-1-fast-non-reasoning", True),
            ("grok-4-fast", False),
            ("grok-code-fast-1", False),
            ("grok-3-mini", False),
            ("grok-3", True),
            ("grok-2-1212", True),
        ],
    )
    def test_models_that_reason_take_no_stop_sequences(self, model: str, takes_it: bool) -> None:
        body, notes = sent("xai", model, stop=["END"])
        assert body.get("stop") == (["END"] if takes_it else None)
        assert notes == ([] if takes_it else ["stop was left out: this model does not take it"])

    def test_told_not_to_reason_a_model_takes_them(self) -> None:
        body, notes = sent("xai", "grok-4.3", stop=["END"], reasoning="none")
        assert (body["stop"], body["reasoning_effort"], notes) == (["END"], "none", [])

    @pytest.mark.parametrize(
        ("status", "said", "expected"),
        [
            (400, "Incorrect API key provided: xa***ey.", ErrorClass.AUTH),
            (
                400,
                "This model's maximum prompt length is 131072 but the request contains 537812.",
                ErrorClass.CONTEXT_LENGTH,
            ),
            (404, "The model x does not exist.", ErrorClass.NOT_FOUND),
        ],
    )
    def test_errors_are_words_alone(self, status: int, said: str, expected: ErrorClass) -> None:
        body = json.dumps({"code": "Client specified an invalid argument", "error": said}).encode()
        failure = adapter("xai").failure(status, {}, body)
        assert failure.error_class is expected


OWN = ("vllm", "llamacpp", "ollama")
PICTURE = Image(url="https://a.example/b.png")
IN_A_RESULT = [
    Message("user", "Look."),
    Message("assistant", [ToolCall("call_1", "look")]),
    Message("tool", [ToolResult("call_1", [Text("seen"), PICTURE])]),
]


class TestOllama:
    @pytest.mark.parametrize("said", [[Message("user", [PICTURE])], IN_A_RESULT])
    def test_an_image_at_an_address_is_refused(self, said: list[Message]) -> None:
        with pytest.raises(CallRefused) as refused:
            sent("ollama", messages=said)
        assert refused.value.info.message == "this provider takes images as bytes only"
        assert "https://a.example/b.png" in json.dumps(sent("vllm", messages=said)[0])

    def test_an_image_in_its_address_is_sent(self) -> None:
        held = Image(url="data:image/png;base64,AA==")
        body, _ = sent("ollama", messages=[Message("user", [held, Image(data=b"\x00")])])
        urls = [part["image_url"]["url"] for part in body["messages"][0]["content"]]
        assert urls == ["data:image/png;base64,AA=="] * 2


class TestOwnServers:
    @pytest.mark.parametrize("dialect", OWN)
    def test_they_take_as_many_stop_sequences_as_there_are(self, dialect: str) -> None:
        stops = [f"stop {number}" for number in range(9)]
        body, notes = sent(dialect, stop=stops, max_output_tokens=9, stream=True)
        assert body["stop"] == stops
        assert (body["max_tokens"], body["stream_options"]) == (9, {"include_usage": True})
        assert notes == []

    @pytest.mark.parametrize("dialect", OWN)
    def test_thinking_is_switched_off(self, dialect: str) -> None:
        body, notes = sent(dialect, "qwen3", reasoning="none")
        off = {"chat_template_kwargs": {"enable_thinking": False}}
        expected = {"reasoning_effort": "none"} if dialect == "ollama" else off
        assert {name: body[name] for name in body if name not in ("model", "messages")} == expected
        assert notes == []
        body, _ = sent(dialect, "gpt-oss", reasoning="high")
        assert body["reasoning_effort"] == "high"
        assert "chat_template_kwargs" not in body

    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (
                400,
                {
                    "object": "error",
                    "message": "This model's maximum context length is 4096 tokens.",
                    "type": "BadRequestError",
                    "param": None,
                    "code": 400,
                },
                ErrorClass.CONTEXT_LENGTH,
            ),
            (
                404,
                {"object": "error", "message": "None.", "type": "NotFoundError", "code": 404},
                ErrorClass.NOT_FOUND,
            ),
            (
                400,
                {
                    "error": {
                        "code": 400,
                        "message": "the request exceeds the available context size",
                        "type": "exceed_context_size_error",
                        "n_prompt_tokens": 9000,
                        "n_ctx": 4096,
                    }
                },
                ErrorClass.CONTEXT_LENGTH,
            ),
            (
                503,
                {"error": {"code": 503, "message": "Loading", "type": "unavailable_error"}},
                ErrorClass.OVERLOADED,
            ),
            (404, {"error": {"message": "model 'x' not found"}}, ErrorClass.NOT_FOUND),
        ],
    )
    @pytest.mark.parametrize("dialect", OWN)
    def test_errors(self, dialect: str, status: int, body: Any, expected: ErrorClass) -> None:
        data = json.dumps(body).encode()
        assert adapter(dialect).failure(status, {}, data).error_class is expected

    @pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
    @pytest.mark.parametrize("dialect", OWN)
    def test_reasoning_by_either_name(self, dialect: str, name: str) -> None:
        events: list[dict[str, Any]] = [
            {"delta": {name: "Hm."}},
            {"delta": {"content": "Yes"}, "finish_reason": "stop"},
        ]
        body = b"".join(
            b"data: " + json.dumps({"choices": [{"index": 0, **event}]}).encode() + b"\n\n"
            for event in events
        )
        parts, outcome = decode(adapter(dialect), [body])
        assert (reasoning_in(parts), text_in(parts), outcome.complete) == ("Hm.", "Yes", True)


class TestHosts:
    """Together, Fireworks, Cerebras and Hugging Face: others' models, on their servers."""

    @pytest.mark.parametrize(
        ("dialect", "limit"),
        [
            ("together", "max_tokens"),
            ("fireworks", "max_tokens"),
            ("huggingface", "max_tokens"),
            ("cerebras", "max_completion_tokens"),
        ],
    )
    def test_what_is_sent(self, dialect: str, limit: str) -> None:
        body, notes = sent(dialect, max_output_tokens=9, stream=True, reasoning="high")
        assert (body[limit], body["reasoning_effort"]) == (9, "high")
        assert body["stream_options"] == {"include_usage": True}
        assert notes == []

    def test_cerebras_takes_reasoning_back(self) -> None:
        answer = Message("assistant", [Reasoning("Hm.", "cerebras"), Text("Yes.")])
        messages = [Message("user", "a"), answer, Message("user", "b")]
        body, _ = sent("cerebras", messages=messages)
        assert body["messages"][1]["reasoning_content"] == "Hm."
        for dialect in ("together", "fireworks", "huggingface"):
            body, notes = sent(dialect, messages=messages)
            assert body["messages"][1] == {"role": "assistant", "content": "Yes."}
            assert len(notes) == 1

    @pytest.mark.parametrize("status", [400, 403, 422])
    def test_together_says_that_a_prompt_is_too_long_with_any_status(self, status: int) -> None:
        said = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097."
        failure = adapter("together").failure(status, {}, error_body(message=said))
        assert failure.error_class is ErrorClass.CONTEXT_LENGTH

    def test_the_list_of_models_may_be_bare(self) -> None:
        listing = b'[{"id": "meta-llama/x", "context_length": 131072}]'
        [model] = adapter("together").list_models(listing)
        assert (model.id, model.context_window) == ("meta-llama/x", 131072)

    @pytest.mark.parametrize(
        "usage",
        [
            {"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 64},
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "cached_tokens": 64,
                "prompt_tokens_details": {"cached_tokens": 64},
            },
        ],
    )
    @pytest.mark.parametrize("apart", [True, False])
    def test_usage_wherever_it_stands(self, usage: Any, apart: bool) -> None:
        end = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "eos"}]}
        chunks = [end, {"choices": [], "usage": usage}] if apart else [{**end, "usage": usage}]
        body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
        _, outcome = decode(adapter("huggingface"), [body + b"data: [DONE]\n\n"])
        assert outcome.usage == Usage(input_tokens=36, cache_read_tokens=64, output_tokens=5)
        assert (outcome.finish, outcome.complete, outcome.notes) == ("stop", True, [])


class TestOpenRouter:
    @pytest.mark.parametrize(
        ("status", "error", "expected"),
        [
            (
                402,
                {"message": "No.", "metadata": {"limit_source": "openrouter_credits"}},
                ErrorClass.QUOTA,
            ),
            (
                402,
                {"message": "No.", "metadata": {"limit_source": "openrouter_in_flight_budget"}},
                ErrorClass.RATE_LIMIT,
            ),
            (
                403,
                {"message": "No.", "metadata": {"reasons": ["x"], "flagged_input": "secret"}},
                ErrorClass.CONTENT_POLICY,
            ),
            (502, {"message": "Down."}, ErrorClass.SERVER_ERROR),
            (503, {"message": "None fits."}, ErrorClass.OVERLOADED),
        ],
    )
    def test_errors(self, status: int, error: Any, expected: ErrorClass) -> None:
        failure = adapter("openrouter").failure(status, {}, error_body(code=status, **error))
        assert failure.error_class is expected
        assert "secret" not in failure.message


SHORT = {"mode": "explicit", "ttl": "30m"}
LONG = {"mode": "explicit", "ttl": "12h"}


class TestCacheMarks:
    MARKED: ClassVar = [
        Message("system", [Text("Rules."), Text("Tables.", cache="1h")]),
        Message("user", [Text("Look.", cache="5m"), Image(url="https://a.example/b", cache="5m")]),
        Message("assistant", [ToolCall("call_1", "look")]),
        Message("tool", [ToolResult("call_1", "seen", cache="5m")]),
    ]

    @pytest.mark.parametrize("model", ["gpt-5.6-sol", "gpt-6-luna", "gpt-6.1-sol"])
    def test_new_models_of_openai_take_them(self, model: str) -> None:
        body, notes = sent("openai", model, messages=self.MARKED)
        system, user, _, tool = [message["content"] for message in body["messages"]]
        assert system == [
            {"type": "text", "text": "Rules."},
            {"type": "text", "text": "Tables.", "prompt_cache_breakpoint": LONG},
        ]
        assert [part["prompt_cache_breakpoint"] for part in user] == [SHORT, SHORT]
        assert tool == [{"type": "text", "text": "seen", "prompt_cache_breakpoint": SHORT}]
        assert notes == []

    @pytest.mark.parametrize(
        ("dialect", "model"),
        [("openai", "gpt-5.5-2026-04-23"), ("azure", "gpt-6-luna"), ("compatible", "gpt-6-luna")],
    )
    def test_others_do_not(self, dialect: str, model: str) -> None:
        body, notes = sent(dialect, model, messages=self.MARKED)
        assert "cache marks were left out: this provider or model takes none" in notes
        assert "prompt_cache" not in json.dumps(body)
        assert body["messages"][0]["content"] == "Rules.\n\nTables."

    def test_the_last_four_stay(self) -> None:
        texts = [Text(str(number), cache="5m") for number in range(6)]
        body, notes = sent("openai", "gpt-6-luna", messages=[Message("user", texts)])
        marks = ["prompt_cache_breakpoint" in part for part in body["messages"][0]["content"]]
        assert marks == [False, False, True, True, True, True]
        assert notes == ["only the last 4 cache marks were sent"]

    def test_marks_inside_results_are_sent_at_their_ends(self) -> None:
        picture = Image(data=b"a", cache="1h")
        inside = [Text("a", cache="5m"), Text("b")]
        results = [ToolResult("call_1", inside), ToolResult("call_2", [Text("c"), picture])]
        calls = [ToolCall("call_1", "look"), ToolCall("call_2", "look")]
        said = [Message("user", "Look."), Message("assistant", calls), Message("tool", results)]
        body, notes = sent("openai", "gpt-6-luna", messages=said)
        first, second, pictures = body["messages"][2:]
        assert first["content"] == [
            {"type": "text", "text": "a\n\nb", "prompt_cache_breakpoint": SHORT}
        ]
        assert second["content"] == "c"
        assert [part.get("prompt_cache_breakpoint") for part in pictures["content"]] == [None, LONG]
        assert notes[0] == "a cache mark inside the result of a tool was sent at its end"
        assert len(notes) == 2
        _, notes = sent("openai", "gpt-5.5-2026-04-23", messages=said)
        assert "cache marks were left out: this provider or model takes none" in notes

    def test_an_answer_has_no_place_for_one(self) -> None:
        said = [Message("user", "a"), Message("assistant", [Text("b", cache="5m")])]
        body, notes = sent("openai", "gpt-6-luna", messages=[*said, Message("user", "c")])
        assert body["messages"][1]["content"] == "b"
        assert notes == ["a cache mark in an answer was left out: it has no place"]

    def test_without_marks_text_stays_a_string(self) -> None:
        body, _ = sent("openai", "gpt-6-luna", messages=[Message("system", "a"), *CALLED])
        assert [message["content"] for message in body["messages"][:2]] == ["a", "Look."]
