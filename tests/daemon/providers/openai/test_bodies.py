"""One whole request to every server of the family, word for word, and the rules of single models.

What is expected is written out here, looked up at the servers; nothing of it comes from a dialect.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from routerd.errors import ErrorClass
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.registry import fitted_base_url, search_wires
from routerd.providers.search import EmbedRequest
from routerd_proto.content import Image, Message, Reasoning, Text, Tool, ToolCall, ToolResult
from tests.daemon.providers.drive import ABLE, encoded, request

Json = dict[str, Any]
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
STOPS = [f"stop {number}" for number in range(18)]
LONG = "x" * 65
ASKED: Json = {
    "max_output_tokens": 9,
    "reasoning": "low",
    "temperature": 0.5,
    "top_p": 0.25,
    "seed": 7,
    "stop": STOPS,
    "tools": [Tool("look", "Looks.", SCHEMA, strict=True)],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "logprobs": 2,
    "output_schema": SCHEMA,
}


def asked(dialect: str, *, stream: bool) -> Any:
    said = [
        Message("system", "Be brief."),
        Message("user", [Text("What is it?"), Image(data=b"\x00")]),
        Message(
            "assistant",
            [Reasoning("Hm.", dialect), Text("I look."), ToolCall(LONG, "look", '{"city":"Rome"}')],
        ),
        Message("tool", [ToolResult(LONG, [Text("seen"), Image(data=b"\x01")])]),
        Message("user", "And?"),
    ]
    able = replace(ABLE, logprobs=True)
    return request("a-model", said, stream=stream, capabilities=able, **ASKED)


def picture(base64: str) -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64}"}}


CALL_ID, SHORT_ID = "call_pk82sd5gi56j44ydstpdxbqm", "pk82sd5gi"
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


def call(call_id: str) -> Json:
    function = {"name": "look", "arguments": '{"city":"Rome"}'}
    return {"id": call_id, "type": "function", "function": function}


def tool(**more: Any) -> list[Json]:
    function = {"name": "look", "description": "Looks.", "parameters": SCHEMA, **more}
    return [{"type": "function", "function": function}]


def turns(call_id: str = CALL_ID, **back: Any) -> list[Json]:
    """Return the conversation with what goes `back` of the answer in it."""
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture("AA==")]},
        {"role": "assistant", "content": "I look.", "tool_calls": [call(call_id)], **back},
        {"role": "tool", "tool_call_id": call_id, "content": "seen"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": f"Images of the tool result {call_id}:"},
                picture("AQ=="),
            ],
        },
        {"role": "user", "content": "And?"},
    ]


# What most servers are sent.
USUAL: Json = {
    "model": "a-model",
    "messages": turns(),
    "max_tokens": 9,
    "reasoning_effort": "low",
    "temperature": 0.5,
    "top_p": 0.25,
    "seed": 7,
    "stop": ["stop 0", "stop 1", "stop 2", "stop 3"],
    "tools": tool(),
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    },
}
OPENAI: Json = {"max_tokens": None, "max_completion_tokens": 9, "tools": tool(strict=True)}
MISTRAL_TURNS = [
    *turns()[:2],
    {
        "role": "assistant",
        "content": [THOUGHT, {"type": "text", "text": "I look."}],
        "tool_calls": [call(SHORT_ID)],
    },
    {
        "role": "tool",
        "tool_call_id": SHORT_ID,
        "content": [{"type": "text", "text": "seen"}, picture("AQ==")],
    },
    {"role": "assistant", "content": "."},
    {"role": "user", "content": "And?"},
]
BACK = turns(reasoning_content="Hm.")
# And what is different at each; None where it is not sent.
DIFFERENT: dict[str, Json] = {
    "openai": OPENAI,
    "azure": OPENAI,
    "azure-deployments": OPENAI,
    "compatible": {},
    "google": {},
    "vllm": {"stop": STOPS},
    "llamacpp": {"stop": STOPS},
    "ollama": {"stop": STOPS},
    "tei": {},
    "mistral": {
        "messages": MISTRAL_TURNS,
        "seed": None,
        "random_seed": 7,
        "tools": tool(strict=True),
        "tool_choice": "any",
    },
    "deepseek": {"messages": BACK, "stop": STOPS[:16], "parallel_tool_calls": None},
    "moonshot": {"messages": BACK},
    "zai": {"messages": BACK},
    "groq": {},
    "xai": {"stop": None, "tools": tool(strict=True)},
    "together": {},
    "fireworks": {},
    "cerebras": {
        "messages": BACK,
        "max_tokens": None,
        "max_completion_tokens": 9,
        "tools": tool(strict=True),
    },
    "huggingface": {},
    "openrouter": {"messages": turns(reasoning="Hm."), "tools": tool(strict=True)},
}


def test_every_dialect_is_here() -> None:
    assert set(DIFFERENT) == set(DIALECTS)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", DIFFERENT)
def test_a_whole_request(dialect: str, stream: bool) -> None:
    expected = USUAL | DIFFERENT[dialect]
    if stream:
        expected["stream"] = True
        expected["stream_options"] = None if dialect == "mistral" else {"include_usage": True}
    expected = {name: value for name, value in expected.items() if value is not None}
    body, _ = encoded(OpenAIAdapter(DIALECTS[dialect]), asked(dialect, stream=stream))
    assert body == expected


LOW, NONE = "low medium high", "none low medium high"
XHIGH = f"{NONE} xhigh"
# Of models with rules of their own: the efforts they take, those beside tools, whether they take
# stop sequences, and what is sent for a high effort that is none of these.
OPENAI_MODELS: dict[str, tuple[str, str, bool, Json]] = {
    "gpt-4.1": (LOW, LOW, True, {}),
    "o3-mini": (LOW, LOW, True, {}),
    "o1-mini": (LOW, LOW, True, {}),
    "o3": (LOW, LOW, False, {}),
    "openai/o4-mini": (LOW, LOW, False, {}),
    "gpt-5": ("minimal low medium high", "minimal low medium high", False, {}),
    "gpt-5-mini": ("minimal low medium high", "minimal low medium high", False, {}),
    "gpt-5.1": (NONE, NONE, False, {}),
    "gpt-5.2": (XHIGH, XHIGH, False, {}),
    "gpt-5.3-codex": (XHIGH, XHIGH, False, {}),
    "gpt-5.4": (XHIGH, "none", False, {}),
    "gpt-6-luna": (XHIGH, "none", False, {}),
    "gpt-7": (XHIGH, "none", False, {}),
    "gpt-6-astra": (f"{LOW} xhigh", "", False, {}),
    "gpt-6.1-sol": (f"{LOW} xhigh", "", False, {}),
}
MODELS: dict[str, dict[str, tuple[str, str, bool, Json]]] = {
    "openai": OPENAI_MODELS,
    "azure": OPENAI_MODELS,
    "azure-deployments": OPENAI_MODELS,
    "mistral": {
        "magistral-small": ("", "", True, {"prompt_mode": "reasoning"}),
        "mistral-medium-2604": (
            "none minimal low medium high xhigh",
            "none minimal low medium high xhigh",
            True,
            {},
        ),
    },
    "groq": {
        "qwen/qwen3-32b": ("none", "none", True, {"reasoning_format": "parsed"}),
        "openai/gpt-oss-120b": (LOW, LOW, True, {}),
    },
    "cerebras": {
        "zai-glm-4.7": (NONE, NONE, True, {}),
        "qwen-3-235b-a22b": (NONE, NONE, True, {}),
        "gpt-oss-120b": (LOW, LOW, True, {}),
    },
    "xai": {
        "grok-4.3": (NONE, NONE, False, {}),
        "grok-4.20-0309-reasoning": ("", "", False, {}),
        "grok-4.20-0309-non-reasoning": ("", "", True, {}),
        "grok-4-fast": ("", "", False, {}),
        "grok-4.1-fast-non-reasoning": ("", "", True, {}),
        "grok-code-fast-1": ("", "", False, {}),
        "grok-4": ("", "", False, {}),
        "grok-4-0709": ("", "", False, {}),
        "grok-4-latest": ("", "", False, {}),
        "grok-3-mini": ("low high", "low high", False, {}),
        "grok-3": ("", "", True, {}),
        "grok-2-1212": ("", "", True, {}),
        "grok-4.7": (LOW, LOW, False, {}),
    },
}
# Of OpenAI's own, those that take marks up to where to cache a prompt.
MARKED = ("gpt-6-luna", "gpt-6-astra", "gpt-6.1-sol", "gpt-7")
OTHERS = [dialect for dialect in DIFFERENT if dialect not in MODELS]


def habits(dialect: str, model: str) -> tuple[str, str, bool, Json]:
    """Return what a model is sent: see MODELS."""
    adapter = OpenAIAdapter(DIALECTS[dialect])

    def sent(**options: Any) -> Json:
        body = encoded(adapter, request(model, **options))[0]
        return {name: body[name] for name in body if name not in ("model", "messages", "tools")}

    def taken(**options: Any) -> str:
        kept = [
            one for one in EFFORTS if sent(reasoning=one, **options).get("reasoning_effort") == one
        ]
        return " ".join(kept)

    beside = sent(reasoning="high")
    beside.pop("reasoning_effort", None)
    stop = sent(stop=["END"]).get("stop") == ["END"]
    return taken(), taken(tools=[Tool("look")]), stop, beside


def takes_marks(dialect: str, model: str) -> bool:
    said = [Message("user", [Text("Rules.", cache="5m"), Text("?")])]
    return b"breakpoint" in OpenAIAdapter(DIALECTS[dialect]).encode(request(model, said)).body


@pytest.mark.parametrize(
    ("dialect", "model"), [(dialect, model) for dialect in MODELS for model in MODELS[dialect]]
)
def test_a_models_own_rules(dialect: str, model: str) -> None:
    assert habits(dialect, model) == MODELS[dialect][model]
    marked = dialect == "openai" and model in MARKED
    assert takes_marks(dialect, model) is marked


@pytest.mark.parametrize("dialect", OTHERS)
def test_elsewhere_all_models_are_alike(dialect: str) -> None:
    usual = habits(dialect, "a-model")
    for models in MODELS.values():
        for model in models:
            assert habits(dialect, model) == usual
            assert not takes_marks(dialect, model)


def test_qwen_at_groq_keeps_its_reasoning_apart_unless_it_has_none() -> None:
    adapter = OpenAIAdapter(DIALECTS["groq"])
    for effort, expected in [(None, "parsed"), ("low", "parsed"), ("none", None)]:
        body, _ = encoded(adapter, request("qwen/qwen3-32b", reasoning=effort))
        assert body.get("reasoning_format") == expected


def test_tei_is_asked_for_vectors_where_it_has_them() -> None:
    tei = OpenAIAdapter(DIALECTS["tei"])
    assert fitted_base_url("openai", "tei", "http://host:8080") == "http://host:8080"
    assert search_wires("openai", "tei")["embedding"].encode(EmbedRequest("m", ["a"])).path == (
        "/v1/embeddings"
    )
    assert tei.models_path == "/info"
    assert tei.authorize("key") == [(b"authorization", b"Bearer key")]
    for words, expected in [
        ("Model is overloaded", ErrorClass.OVERLOADED),
        ("`inputs` must have less than 512 tokens. Given: 600", ErrorClass.CONTEXT_LENGTH),
        ("Batch size 40 is more than 32", ErrorClass.BAD_REQUEST),
    ]:
        body = json.dumps({"error": words, "error_type": "x"}).encode()
        assert tei.failure(422, {}, body).error_class is expected
