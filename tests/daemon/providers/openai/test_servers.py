"""How the servers of the compatible family differ, each said in words by who looked it up.

They stand in tests/daemon/providers/coverage/family.toml, which is a table of docs/providers.md.
Here they are compared with what is sent and read. No expectation comes from the dialect.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Part
from routerd.errors import CallRefused, ErrorClass
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.registry import fitted_base_url
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tests.daemon.providers.drive import answer_message, decode, encoded, reasoning_in, request
from tests.daemon.providers.openai.test_encode import CLOSED, WEATHER
from tools.provider_tables import read_family

FAMILY = read_family()
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Where how a model reasons is in its name, one that does and one that does not.
REASONING = {"xai": "grok-4.7", **dict.fromkeys(("openai", "azure"), "gpt-5.1")}
REASONING["azure-deployments"] = "gpt-5.1"
SILENT = {"xai": "grok-3"}
STOPS = [f"stop {number}" for number in range(20)]
every_server = pytest.mark.parametrize("dialect", FAMILY.servers)


def said(feature: str, dialect: str) -> str:
    """Return what the table says of a server."""
    return FAMILY.features[feature].of(dialect)


def adapter(dialect: str) -> OpenAIAdapter:
    return OpenAIAdapter(DIALECTS[dialect])


def sent(
    dialect: str, model: str = "a-model", messages: list[Message] | None = None, **options: Any
) -> dict[str, Any]:
    return encoded(adapter(dialect), request(model, messages, **options))[0]


def noted(dialect: str, **options: Any) -> list[str]:
    return encoded(adapter(dialect), request(**options))[1]


def carries(dialect: str, part: Content) -> bool:
    try:
        sent(dialect, messages=[Message("user", [part, Text("?")])])
    except CallRefused:
        return False
    return True


def called(*before: Content, call_id: str = "abcDEF123") -> list[Message]:
    """Return a history in which a tool was called, with what came before the call."""
    return [
        Message("user", "Look."),
        Message("assistant", [*before, ToolCall(call_id, "look", "{}")]),
        Message("tool", [ToolResult(call_id, [Text("seen"), Image(data=b"\x00")])]),
    ]


@every_server
def test_address(dialect: str) -> None:
    path = adapter(dialect).encode(request("a model")).path
    address = fitted_base_url("openai", dialect, "https://host.example") + path
    assert f"`{address.removeprefix('https://host.example')}`" == said("address", dialect)


@every_server
def test_models(dialect: str) -> None:
    address = fitted_base_url("openai", dialect, "https://host.example")
    address += adapter(dialect).models_path
    assert f"`{address.removeprefix('https://host.example')}`" == said("models", dialect)
    assert adapter(dialect).warm_path == adapter(dialect).models_path


@every_server
def test_key(dialect: str) -> None:
    shown = {
        "`Authorization: Bearer`": [(b"authorization", b"Bearer key")],
        "`api-key`": [(b"api-key", b"key")],
    }
    assert adapter(dialect).authorize("key") == shown[said("key", dialect)]
    assert adapter(dialect).authorize(None) == []


@every_server
def test_system(dialect: str) -> None:
    messages = [Message("system", "Be brief."), Message("user", "Hi")]
    assert sent(dialect, messages=messages)["messages"] == [
        {"role": said("system", dialect).strip("`"), "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


@every_server
def test_order(dialect: str) -> None:
    messages = [*called(), Message("system", "Briefly."), Message("user", "And?")]
    roles = [turn["role"] for turn in sent(dialect, messages=messages)["messages"]]
    shown = {
        "the caller's": ["user", "assistant", "tool", "user", "system", "user"],
        "its own": ["user", "assistant", "tool", "assistant", "user", "user"],
    }
    assert roles == shown[said("order", dialect)]


@every_server
def test_limit(dialect: str) -> None:
    body = sent(dialect, max_output_tokens=9)
    del body["model"], body["messages"]
    assert body == {said("limit", dialect).strip("`"): 9}


@every_server
def test_usage(dialect: str) -> None:
    body = sent(dialect, stream=True)
    del body["model"], body["messages"]
    shown = {
        "`stream_options`": {"stream": True, "stream_options": {"include_usage": True}},
        "unasked": {"stream": True},
    }
    assert body == shown[said("usage", dialect)]
    assert set(sent(dialect)) == {"model", "messages"}


def stops_of(dialect: str, model: str) -> str:
    taken = sent(dialect, model, stop=STOPS).get("stop", [])
    assert taken == STOPS[: len(taken)]
    return {0: "left out", 20: "any number"}.get(len(taken), str(len(taken)))


@every_server
def test_stop(dialect: str) -> None:
    assert stops_of(dialect, SILENT.get(dialect, "a-model")) == said("stop", dialect)


@every_server
def test_stop_of_models_that_reason(dialect: str) -> None:
    assert stops_of(dialect, REASONING.get(dialect, "a-model")) == said("reasoning_stop", dialect)


@every_server
def test_seed(dialect: str) -> None:
    body = sent(dialect, seed=7)
    del body["model"], body["messages"]
    assert body == {said("seed", dialect).strip("`"): 7}


@every_server
def test_logprobs(dialect: str) -> None:
    able = request().capabilities
    asked = request(logprobs=2, capabilities=type(able)(logprobs=True))
    body, _ = encoded(adapter(dialect), asked)
    told = {name: value for name, value in body.items() if name not in ("model", "messages")}
    assert told == {"logprobs": True, "top_logprobs": 2}
    assert ", ".join(f"`{name}`" for name in told) == said("logprobs", dialect)


@every_server
def test_schema(dialect: str) -> None:
    body = sent(dialect, output_schema=CLOSED)
    wanted = {"name": "answer", "schema": CLOSED, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert f"`{body['response_format']['type']}`" == said("schema", dialect)


@every_server
def test_forced_tool(dialect: str) -> None:
    body = sent(dialect, tools=[WEATHER], tool_choice="required")
    assert body["tool_choice"] == said("forced_tool", dialect).strip("`")


@every_server
def test_parallel(dialect: str) -> None:
    shown: dict[str, tuple[bool | None, list[str]]] = {
        "sent": (False, []),
        "left out": (None, ["parallel_tool_calls was left out: this provider does not take it"]),
    }
    asked: dict[str, Any] = {"tools": [WEATHER], "parallel_tool_calls": False}
    found = sent(dialect, **asked).get("parallel_tool_calls"), noted(dialect, **asked)
    assert found == shown[said("parallel", dialect)]


@every_server
def test_strict(dialect: str) -> None:
    asked: dict[str, Any] = {"tools": [Tool("look", "Looks.", CLOSED, strict=True)]}
    [tool] = sent(dialect, **asked)["tools"]
    shown = {"sent": (True, 0), "left out": (None, 1)}
    found = tool["function"].get("strict"), len(noted(dialect, **asked))
    assert found == shown[said("strict", dialect)]


@every_server
def test_ids(dialect: str) -> None:
    def fits(call_id: str) -> bool:
        turn = sent(dialect, messages=called(call_id=call_id))["messages"][1]
        kept: bool = turn["tool_calls"][0]["id"] == call_id
        return kept

    kept = [length for length in range(1, 70) if fits("a" * length)]
    words = f"{kept[0]} letters and digits" if len(kept) == 1 else f"{len(kept)} characters"
    assert words == said("ids", dialect)
    assert fits("a-b") is (len(kept) > 1)
    assert not fits("a b")


@every_server
def test_needs_results(dialect: str) -> None:
    shown = {"refused": True, "sent": False}[said("needs_results", dialect)]
    assert adapter(dialect).needs_results(request()) is shown


@every_server
def test_result_images(dialect: str) -> None:
    turns = sent(dialect, messages=called())["messages"]
    kinds = {"inside": ["text", "image_url"], "in a turn after it": None}[
        said("result_images", dialect)
    ]
    if kinds is not None:
        assert len(turns) == 3
        assert [part["type"] for part in turns[2]["content"]] == kinds
    else:
        assert turns[2]["content"] == "seen"
        assert [part["type"] for part in turns[3]["content"]] == ["text", "image_url"]


@every_server
def test_image_url(dialect: str) -> None:
    shown = {"sent": True, "refused": False}[said("image_url", dialect)]
    assert carries(dialect, Image(url="https://files.example/a.png")) is shown


@every_server
def test_image_bytes(dialect: str) -> None:
    body = sent(dialect, messages=[Message("user", [Image(data=b"\x00"), Text("?")])])
    [picture, _] = body["messages"][0]["content"]
    url = f"{said('image_bytes', dialect).strip('`')}image/png;base64,AA=="
    assert picture == {"type": "image_url", "image_url": {"url": url}}


@every_server
def test_documents(dialect: str) -> None:
    shown = {"refused": (0, 0), "sent along": (1, 0), "anywhere": (1, 1)}
    along = Document(data=b"%PDF-", media_type="application/pdf", title="a.pdf")
    found = carries(dialect, along), carries(dialect, Document(url="https://files.example/a.pdf"))
    assert found == shown[said("documents", dialect)]
    if found[0]:
        body = sent(dialect, messages=[Message("user", [along, Text("?")])])
        kind = "document_url" if dialect == "mistral" else "file"
        assert body["messages"][0]["content"][0]["type"] == kind


@every_server
def test_cache_marks(dialect: str) -> None:
    marked = [Message("user", [Text("Rules.", cache="5m"), Text("?")])]

    def takes(model: str) -> bool:
        return "prompt_cache_breakpoint" in json.dumps(sent(dialect, model, marked))

    shown = {"left out": [], "from GPT-5.6 on": ["gpt-5.6-luna", "gpt-6-luna"]}
    models = ("a-model", "gpt-4.1", "gpt-5.5", "gpt-5.6-luna", "gpt-6-luna")
    assert [model for model in models if takes(model)] == shown[said("cache_marks", dialect)]


@every_server
def test_efforts(dialect: str) -> None:
    model = REASONING.get(dialect, "a-model")
    taken = [one for one in EFFORTS if sent(dialect, model, reasoning=one) == body_of(one, model)]
    assert ", ".join(taken) == said("efforts", dialect)


def body_of(effort: str, model: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": "Hi"}]
    return {"model": model, "messages": turns, "reasoning_effort": effort}


@every_server
def test_reasoning_off(dialect: str) -> None:
    body = sent(dialect, REASONING.get(dialect, "a-model"), reasoning="none")
    del body["model"], body["messages"]
    shown = {
        "`reasoning_effort`": {"reasoning_effort": "none"},
        "`thinking`": {"thinking": {"type": "disabled"}},
        "`chat_template_kwargs`": {"chat_template_kwargs": {"enable_thinking": False}},
        "the least effort": {"reasoning_effort": "low"},
    }
    assert body == shown[said("reasoning_off", dialect)]


# Whichever it is, all are read everywhere: servers change it, and others stand behind them.
FIELDS: dict[str, dict[str, Any]] = {
    "`reasoning_content`": {"reasoning_content": "Hm."},
    "`reasoning`": {"reasoning": "Hm."},
    "`reasoning_details`": {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
    "parts": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
}


@every_server
def test_reasoning_parts(dialect: str) -> None:
    assert set(said("reasoning_parts", dialect).split(" or ")) <= {*FIELDS, "none"}
    for field in FIELDS.values():
        parts = answered(dialect, field, {"content": "Yes."})
        assert reasoning_in(parts) == "Hm."
        [kept] = [one for one in answer_message(parts).content if isinstance(one, Reasoning)]
        assert kept.vendor == dialect


def answered(dialect: str, *deltas: dict[str, Any]) -> list[Part]:
    """Return the parts of an answer of these pieces."""
    choices = [{"index": 0, "delta": delta} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = [b"data: " + json.dumps({"choices": [one]}).encode() + b"\n\n" for one in choices]
    return decode(adapter(dialect), [b"".join(events)])[0]


DETAILS = [{"type": "reasoning.text", "text": "Hm.", "signature": "S"}]


@every_server
def test_reasoning_back(dialect: str) -> None:
    own = Reasoning("Hm.", dialect, {"reasoning_details": DETAILS})
    turn = sent(dialect, messages=called(own, Text("I look.")))["messages"][1]
    del turn["tool_calls"], turn["role"]
    plain = {"content": "I look."}
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    shown = {
        "left out": plain,
        "`reasoning_content`": {**plain, "reasoning_content": "Hm."},
        "`reasoning_details`": {**plain, "reasoning_details": DETAILS},
        "parts": {"content": [thought, {"type": "text", "text": "I look."}]},
    }
    assert turn == shown[said("reasoning_back", dialect)]


@every_server
def test_reasoning_missing(dialect: str) -> None:
    turn = sent(dialect, messages=called())["messages"][1]
    shown = {"added, empty": "", "left alone": None}
    assert turn.get("reasoning_content") == shown[said("reasoning_missing", dialect)]


@every_server
def test_signature(dialect: str) -> None:
    extra = {"google": {"thought_signature": "S"}}
    call = {"id": "call_1234", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = answered(dialect, {"tool_calls": [{"index": 0, **call, "extra_content": extra}]})
    answer = answer_message(parts)
    [kept] = [part for part in answer.content if isinstance(part, ToolCall)]
    told = [Message("user", "?"), answer, Message("tool", [ToolResult(kept.id, "4")])]
    [back] = sent(dialect, messages=told)["messages"][1]["tool_calls"]
    shown = {"goes back": extra, "left out": None}
    assert back.get("extra_content") == shown[said("signature", dialect)]


# Words of errors, what they are called here, and what they mean to a server that knows them.
ERRORS: dict[str, tuple[int, dict[str, Any], ErrorClass]] = {
    "`1300`": (400, {"code": "1300"}, ErrorClass.RATE_LIMIT),
    "`1500`": (400, {"code": "1500"}, ErrorClass.NOT_FOUND),
    "`3505`": (429, {"code": "3505"}, ErrorClass.OVERLOADED),
    "a wrong key": (400, {"message": "Incorrect API key provided: xa***ey."}, ErrorClass.AUTH),
    "a prompt that is too long": (
        422,
        {"message": "`inputs` tokens + `max_new_tokens` must be <= 4097."},
        ErrorClass.CONTEXT_LENGTH,
    ),
}


@every_server
def test_errors(dialect: str) -> None:
    known = [
        words
        for words, (status, error, expected) in ERRORS.items()
        if adapter(dialect).failure(status, {}, json.dumps({"error": error}).encode()).error_class
        is expected
    ]
    assert (", ".join(known) or "none") == said("errors", dialect)
