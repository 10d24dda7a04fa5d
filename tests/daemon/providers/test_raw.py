"""What a caller sends to one vendor as it is: who gets it, who wins, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.classify.checks import check_options
from routerd.classify.features import measure
from routerd.errors import CallRefused
from routerd.providers.base import ChatRequest, EncodedRequest
from routerd.providers.json_text import encode_json
from routerd.providers.long_marks import LOWERED_NOTE, RAISED_NOTE, surplus_note
from routerd.providers.raw import beyond_hold, forbidden_parameter, with_raw
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd.providers.terms import has_unlisted_cost
from routerd_proto.content import Message, Text, Tool, ToolCall, ToolResult
from routerd_proto.frames import CallOptions
from tests.daemon.providers.drive import request

WIRES = [(name, dialect) for name, dialects in ADAPTERS.items() for dialect in (None, *dialects)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(st.text(max_size=12) | st.sampled_from(["temperature", "stop"]), JSON)


def sent(
    wire: str, raw: dict[str, Any], names: tuple[str, ...] | None = None, **options: Any
) -> tuple[dict[str, Any], list[str]]:
    """Return the body and the notes of a call, as if `wire` were a provider without a dialect."""
    adapter = build_adapter(wire)
    chat = request("a-model", max_output_tokens=64, **options)
    encoded = with_raw(adapter.encode(chat), raw, names or (wire, wire))
    return msgspec.json.decode(encoded.body), encoded.notes


@pytest.mark.parametrize(
    ("wire", "parameters"),
    [
        ("openai", {"verbosity": "low", "logit_bias": {"50256": -100}, "service_tier": "flex"}),
        ("anthropic", {"top_k": 5, "metadata": {"user_id": "u"}, "service_tier": "standard_only"}),
        ("gemini", {"safetySettings": [{"category": "C", "threshold": "BLOCK_NONE"}]}),
        ("bedrock", {"performanceConfig": {"latency": "standard"}}),
        ("bedrock", {"serviceTier": {"type": "flex"}}),
        ("gemini", {"tools": [{"computer_use": {}}]}),
        ("openai", {"modalities": ["text"], "stream_options": None}),
        ("anthropic", {"inference_geo": "global", "tools": [{"type": "memory_20250818"}]}),
        ("anthropic", {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}),
        ("cohere", {"priority": 1, "safety_mode": "OFF", "k": 5}),
        ("openai-responses", {"truncation": "auto", "prompt_cache_key": "p"}),
    ],
)
def test_what_is_meant_for_a_wire_arrives_untouched(wire: str, parameters: dict[str, Any]) -> None:
    without, _ = sent(wire, {})
    body, notes = sent(wire, {wire: parameters})
    assert body == {**without, **parameters}
    assert notes == []


@pytest.mark.parametrize("wire", ["openai", "anthropic", "gemini"])
def test_what_is_meant_for_others_is_left_out_with_a_note(wire: str) -> None:
    without, _ = sent(wire, {})
    body, notes = sent(wire, {"elsewhere": {"top_k": 5}, "a word of a prompt": {"x": 1}})
    assert body == without
    assert notes == [
        f"raw.elsewhere was left out: this is {wire}",
        f"raw.(unreadable) was left out: this is {wire}",
    ]


def test_the_dialect_counts_and_not_the_wire_it_is_a_dialect_of() -> None:
    body, notes = sent("openai", {"openai": {"store": True}}, ("mistral", "my-mistral"))
    assert "store" not in body
    assert notes == ["raw.openai was left out: this is mistral or my-mistral"]


def test_what_is_said_to_a_provider_wins_over_what_is_said_to_its_wire() -> None:
    raw = {"azure-eu": {"user": "provider"}, "openai": {"user": "wire", "store": True}}
    body, notes = sent("openai", raw, ("openai", "azure-eu"))
    assert (body["user"], body["store"]) == ("provider", True)
    assert notes == ["raw.azure-eu.user was sent in place of what the call says otherwise"]


def test_the_callers_own_parameter_wins_over_a_portable_option() -> None:
    body, notes = sent(
        "openai", {"openai": {"temperature": 0.7, "seed": 1}}, temperature=0.5, seed=1
    )
    assert (body["temperature"], body["seed"]) == (0.7, 1)
    assert notes == ["raw.openai.temperature was sent in place of what the call says otherwise"]


def test_holders_of_parameters_are_joined_and_values_are_replaced_whole() -> None:
    raw = {"gemini": {"generationConfig": {"topK": 5, "temperature": 1}}}
    body, notes = sent("gemini", raw, temperature=0.5)
    assert body["generationConfig"] == {"maxOutputTokens": 64, "temperature": 1, "topK": 5}
    assert notes == [
        "raw.gemini.generationConfig.temperature was sent in place of what the call says otherwise"
    ]
    thinking = {"type": "disabled"}
    body, _ = sent("anthropic", {"anthropic": {"thinking": thinking}}, reasoning="high")
    assert body["thinking"] == thinking


BASH = {"type": "bash_20250124", "name": "bash"}
OWN_TOOL = Tool("look", parameters={"type": "object"})


def test_the_vendors_tools_that_a_caller_runs_join_the_callers_own() -> None:
    without, _ = sent("anthropic", {}, tools=[OWN_TOOL])
    body, notes = sent("anthropic", {"anthropic": {"tools": [BASH, BASH]}}, tools=[OWN_TOOL])
    assert body == {**without, "tools": [*without["tools"], BASH, BASH]}
    assert notes == []
    body, _ = sent("anthropic", {"anthropic": {"tools": [BASH]}})
    assert body["tools"] == [BASH]
    screen = {"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}
    body, _ = sent("gemini", {"gemini": {"tools": [screen]}}, tools=[OWN_TOOL])
    assert list(map(list, body["tools"])) == [["functionDeclarations"], ["computerUse"]]
    fields = {"additionalModelRequestFields": {"tools": [BASH]}}
    assert sent("bedrock", {"bedrock": fields})[0]["additionalModelRequestFields"] == {
        "tools": [BASH]
    }


def test_lists_of_what_is_to_come_are_joined() -> None:
    more = ["message.input_image.image_url", "reasoning.encrypted_content"]
    body, notes = sent("openai-responses", {"openai-responses": {"include": more}})
    assert sorted(body["include"]) == sorted(more)
    assert notes == []
    with pytest.raises(CallRefused):
        sent("openai-responses", {"openai-responses": {"include": "all"}})


def test_what_is_said_of_the_stream_keeps_the_usage() -> None:
    raw = {"openai": {"stream_options": {"include_obfuscation": False}}}
    chat = request("a-model", stream=True)
    encoded = with_raw(build_adapter("openai").encode(chat), raw, ("openai",))
    assert msgspec.json.decode(encoded.body)["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }


def test_what_is_said_of_the_text_keeps_the_schema_of_the_answer() -> None:
    schema = {"type": "object", "properties": {}}
    raw = {"openai-responses": {"text": {"verbosity": "low"}}}
    body, notes = sent("openai-responses", raw, output_schema=schema)
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": schema},
        "verbosity": "low",
    }
    assert notes == []


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"model": "another"}, "model"),
        ({"messages": []}, "messages"),
        ({"system": "You are"}, "system"),
        ({"system_instruction": {}}, "system_instruction"),
        ({"stream": False}, "stream"),
        ({"stream_options": {"include_usage": False}}, "stream_options.include_usage"),
        ({"max_tokens": 1}, "max_tokens"),
        ({"Max-Completion-Tokens": 1}, "Max-Completion-Tokens"),
        ({"generationConfig": {"maxOutputTokens": 1}}, "generationConfig.maxOutputTokens"),
        ({"generation_config": {"candidate_count": 2}}, "generation_config.candidate_count"),
        ({"options": {"num_predict": -1}}, "options.num_predict"),
        (
            {"additionalModelRequestFields": {"max_tokens": 9}},
            "additionalModelRequestFields.max_tokens",
        ),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "a"}}]}, "tools"),
        ({"tools": [{"name": "a", "input_schema": {}}]}, "tools"),
        ({"tools": [{"functionDeclarations": []}]}, "tools"),
        ({"tools": [7]}, "tools"),
        ({"tools": {}}, "tools"),
        ({"toolConfig": {"tools": [{"toolSpec": {"name": "a"}}]}}, "toolConfig.tools"),
        ({"audio": {"voice": "v"}}, "audio"),
        # What stays refused is told before what somebody may permit.
        ({"tools": [{"type": "mcp"}, {"type": "function", "function": {"name": "a"}}]}, "tools"),
        ({"service_tier": "priority", "n": 2}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": "audio"}, "modalities"),
    ],
)
def test_what_is_routerds_own_is_refused(parameters: dict[str, Any], path: str) -> None:
    found = forbidden_parameter({"top_k": 5, **parameters}, "openai")
    assert found is not None
    assert found[0] == path
    assert path not in [dear.path for dear in beyond_hold(parameters)]
    with pytest.raises(CallRefused) as caught:
        sent("openai", {"openai": parameters})
    assert caught.value.info.code == "invalid_request"
    assert caught.value.info.details["param"] == f"options.raw.openai.{path}"


INTERLEAVED, HOUR_LONG = "interleaved-thinking-2025-05-14", "extended-cache-ttl-2025-04-11"
LONG_CONTEXT = "context-1m-2025-08-07"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ({"anthropic": {"anthropic_beta": [INTERLEAVED, HOUR_LONG]}}, [INTERLEAVED, HOUR_LONG]),
        (
            {"anthropic": {"anthropic-beta": f"{INTERLEAVED}, {HOUR_LONG}"}},
            [INTERLEAVED, HOUR_LONG],
        ),
        ({"anthropic": {"anthropic_beta": [INTERLEAVED, INTERLEAVED]}}, [INTERLEAVED]),
        # As the vendor's own client has it.
        ({"anthropic": {"betas": [INTERLEAVED]}}, [INTERLEAVED]),
        # What is said to the provider joins what is said to its wire.
        (
            {"anthropic": {"anthropic_beta": INTERLEAVED}, "mine": {"anthropic_beta": [HOUR_LONG]}},
            [INTERLEAVED, HOUR_LONG],
        ),
        ({"anthropic": {"anthropic_beta": []}}, None),
        ({"anthropic": {"anthropic_beta": None}}, None),
    ],
)
def test_betas_go_into_the_header_of_anthropics_own_wire(
    raw: dict[str, Any], value: list[str] | None
) -> None:
    before = build_adapter("anthropic").encode(request("claude-opus-4-6"))
    after = with_raw(before, raw, ("anthropic", "mine"))
    header = [] if value is None else [(b"anthropic-beta", ",".join(value).encode())]
    assert after.headers == [*before.headers, *header]
    assert msgspec.json.decode(after.body) == msgspec.json.decode(before.body)
    assert (after.notes, after.beyond_hold) == (before.notes, ())


def test_betas_join_those_of_the_adapter_and_leave_the_request_that_was_encoded() -> None:
    plain = build_adapter("anthropic").encode(request("claude-opus-4-6"))
    own = structs.replace(plain, headers=[(b"anthropic-beta", b"a-1,b-2"), *plain.headers])
    raw = {"anthropic": {"anthropic_beta": ["b-2", INTERLEAVED]}}
    after = with_raw(own, raw, ("anthropic",))
    joined = (b"anthropic-beta", f"a-1,b-2,{INTERLEAVED}".encode())
    assert after.headers == [*plain.headers, joined]
    assert own.headers[0] == (b"anthropic-beta", b"a-1,b-2")


def test_other_wires_have_betas_in_the_body() -> None:
    fields = {"additionalModelRequestFields": {"anthropic_beta": [INTERLEAVED]}}
    body, notes = sent("bedrock", {"bedrock": fields})
    assert body["additionalModelRequestFields"] == {"anthropic_beta": [INTERLEAVED]}
    assert notes == []
    chat = build_adapter("openai").encode(request("a-model"))
    assert (
        with_raw(chat, {"me": {"anthropic_beta": [INTERLEAVED]}}, ("me",)).headers == chat.headers
    )


@pytest.mark.parametrize(
    "betas", [7, {}, [7], ["two words"], ["a\r\nx-api-key: k"], "a\nb", "", "a,,b", ["a"] * 65]
)
def test_what_names_no_betas_is_refused(betas: Any) -> None:
    found = forbidden_parameter({"anthropic_beta": betas}, "anthropic")
    assert found is not None
    assert found[0] == "anthropic_beta"
    with pytest.raises(CallRefused):
        sent("anthropic", {"anthropic": {"anthropic_beta": betas}})


DEAR: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools"),
    ({"tools": [{"googleSearch": {}}]}, "tools"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}, {"type": "mcp"}]}, "tools"),
    ({"performanceConfig": {"latency": "optimized"}}, "performanceConfig"),
    ({"inference_geo": "us"}, "inference_geo"),
    ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "context_management"),
    ({"context_management": [{"type": "compaction"}]}, "context_management"),
    ({"anthropic_beta": [INTERLEAVED, LONG_CONTEXT]}, "anthropic_beta"),
    ({"anthropic_beta": "fast-mode-2026-02-01"}, "anthropic_beta"),
    ({"anthropic-beta": ["of-tomorrow-2027-01-01"]}, "anthropic-beta"),
    (
        {"additionalModelRequestFields": {"anthropic_beta": [LONG_CONTEXT]}},
        "additionalModelRequestFields.anthropic_beta",
    ),
    ({"web_search_options": {}}, "web_search_options"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"service_tier": {"auto": 1}}, "service_tier"),
    ({"serviceTier": "PRIORITY"}, "serviceTier"),
    ({"speed": "fast"}, "speed"),
    ({"plugins": [{"id": "web"}]}, "plugins"),
    ({"mcp_servers": [{"type": "url", "url": "https://a.example", "name": "a"}]}, "mcp_servers"),
    ({"container": {"skills": []}}, "container"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"connectors": [{"id": "web-search"}]}, "connectors"),
    ({"search_parameters": {"mode": "on"}}, "search_parameters"),
    ({"serviceTier": {"type": "reserved"}}, "serviceTier"),
    ({"toolConfig": {"tools": [{"systemTool": {"name": "n"}}]}}, "toolConfig.tools"),
    # Each text that it looks through is billed by itself.
    ({"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, "guardrailConfig"),
    (
        {"additionalModelRequestFields": {"tools": [{"type": "web_search_20250305"}]}},
        "additionalModelRequestFields.tools",
    ),
]


@pytest.mark.parametrize(("parameters", "path"), DEAR)
def test_what_only_costs_more_is_sent_as_it_is_and_the_request_says_so(
    parameters: dict[str, Any], path: str
) -> None:
    assert forbidden_parameter(parameters, "openai") is None
    (dear,) = beyond_hold({"top_k": 5, **parameters})
    assert (dear.path, dear.is_beyond_hold) == (path, True)
    chat = request("a-model", max_output_tokens=64)
    encoded = with_raw(build_adapter("openai").encode(chat), {"openai": parameters}, ("openai",))
    body = msgspec.json.decode(encoded.body)
    assert {name: body[name] for name in parameters} == parameters
    assert encoded.beyond_hold == (dear.name,)
    assert encoded.notes == [
        f"raw.openai.{path} can cost more than was held: nothing bounds this call"
    ]


def test_what_is_meant_for_somebody_else_costs_nothing_more() -> None:
    raw: dict[str, Any] = {"xai": {"search_parameters": {}}, "openai": {"store": False}}
    encoded = with_raw(build_adapter("openai").encode(request("a-model")), raw, ("openai",))
    assert encoded.beyond_hold == ()


@pytest.mark.parametrize(
    ("asked", "told", "is_unlisted"),
    [
        ((), {}, False),
        ((), {"servicetier": "default"}, False),
        ((), {"servicetier": "on_demand", "inferencegeo": "not_available"}, False),
        # An account may be set to it.
        ((), {"servicetier": "priority"}, True),
        ((), {"servicetier": "PRIORITY"}, True),
        ((), {"speed": "fast"}, True),
        ((), {"performanceconfig": "optimized"}, True),
        ((), {"inferencegeo": "us"}, True),
        ((), {"servicetier": ["priority"], "another": "priority"}, False),
        # It was asked for, and the answer says that it was served as usual all the same.
        (("servicetier",), {"servicetier": "default"}, False),
        (("servicetier",), {"servicetier": "STANDARD"}, False),
        (("servicetier",), {"servicetier": "on_demand"}, False),
        (("servicetier",), {}, True),
        (("servicetier",), {"servicetier": "priority"}, True),
        (("servicetier",), {"servicetier": "scale"}, True),
        (("speed", "servicetier"), {"servicetier": "default"}, True),
        # What a tool took nobody says.
        (("tools",), {"servicetier": "default"}, True),
        (("prediction",), {"prediction": "default"}, True),
        (("guardrailconfig",), {"servicetier": "default"}, True),
        (("anthropicbeta",), {"servicetier": "default"}, True),
    ],
)
def test_what_the_answer_says_of_its_terms_counts(
    asked: tuple[str, ...], told: dict[str, Any], is_unlisted: bool
) -> None:
    assert has_unlisted_cost(asked, told) is is_unlisted


@pytest.mark.parametrize(
    ("wire", "parameters"),
    [
        # Both spellings in one body: the vendor might read either.
        ("gemini", {"generation_config": {"topK": 5}}),
        # What stands there holds the limit of the output.
        ("gemini", {"generationConfig": None}),
        ("gemini", {"generationConfig": [{}]}),
    ],
)
def test_nothing_takes_away_what_routerd_has_written(wire: str, parameters: Any) -> None:
    with pytest.raises(CallRefused) as caught:
        sent(wire, {wire: parameters})
    [name] = parameters
    assert caught.value.info.details["param"] == f"options.raw.gemini.{name}"


def own_fields(wire: str, body: dict[str, Any]) -> Iterator[Any]:
    """What money and the reading of the answer hang on, wherever the wire has it."""
    for name in ("model", "messages", "input", "system", "contents", "stream", "stream_options"):
        yield body.get(name)
    settings = body.get("generationConfig", {}) if wire == "gemini" else body
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"):
        yield settings.get(name)


@pytest.mark.parametrize(
    ("parameters", "keeps_long"),
    [
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, True),
        ({"cache_control": {"type": "ephemeral", "ttl": "5m"}}, False),
        ({"cache_control": {"type": "ephemeral"}}, False),
        ({"tools": [{"type": "bash_20250124", "cache_control": {"ttl": "1h"}}]}, True),
        ({"x": [{"ttl": ["1h"]}, "ttl", 1]}, False),
    ],
)
def test_a_mark_of_the_callers_own_is_known_by_its_lifetime(
    parameters: dict[str, Any], *, keeps_long: bool
) -> None:
    before = build_adapter("anthropic").encode(request("claude-opus-4-6"))
    assert with_raw(before, {"me": parameters}, ("me",)).keeps_long is keeps_long
    assert with_raw(before, {"other": parameters}, ("me",)).keeps_long is False
    marked = request("claude-opus-4-6", [Message("user", [Text("Hi", cache="1h")])])
    asked = build_adapter("anthropic").encode(marked)
    assert with_raw(asked, {"me": parameters}, ("me",)).keeps_long is True


def marks_sent(
    lifetimes: str, whole: dict[str, Any] | None, tool: dict[str, Any] | None = None
) -> Any:
    """Return the lifetimes on the blocks of a prompt that was marked so, and the notes."""
    system, *texts = (Text(str(at), cache=ttl) for at, ttl in enumerate(lifetimes.split()))  # type: ignore[arg-type]
    messages = [Message("system", [system]), Message("user", texts)]
    asked = build_adapter("anthropic").encode(request("claude-opus-4-6", messages))
    raw: dict[str, Any] = {} if whole is None else {"cache_control": whole}
    if tool is not None:
        raw["tools"] = [{"type": "bash_20250124", "name": "bash", "cache_control": tool}]
    encoded = with_raw(asked, {"me": raw}, ("me",))
    body = msgspec.json.decode(encoded.body)
    assert {name: body[name] for name in raw} == raw
    blocks = [*body["system"], *body["messages"][-1]["content"]]
    ttls = [block["cache_control"]["ttl"] for block in blocks if "cache_control" in block]
    return " ".join(ttls), encoded.notes, encoded.keeps_long


HOUR = {"type": "ephemeral", "ttl": "1h"}
MINUTES = {"type": "ephemeral"}


def test_no_mark_before_the_callers_own_of_an_hour_is_shorter() -> None:
    """The vendor takes longer lifetimes first, four marks, and two of one length on one block."""
    assert marks_sent("5m 5m", HOUR) == ("1h 1h", [RAISED_NOTE], True)
    assert marks_sent("1h 5m 5m", HOUR) == ("1h 1h 1h", [RAISED_NOTE], True)
    assert marks_sent("1h 1h", HOUR) == ("1h 1h", [], True)
    assert marks_sent("1h 5m", MINUTES) == ("1h 5m", [], True)
    assert marks_sent("5m 5m", MINUTES) == ("5m 5m", [], False)


def test_the_callers_own_mark_is_one_of_four() -> None:
    assert marks_sent("1h 5m 5m 5m", MINUTES) == ("5m 5m 5m", [surplus_note(3)], True)
    assert marks_sent("5m 5m 5m 5m", HOUR) == ("1h 1h 1h", [surplus_note(3), RAISED_NOTE], True)


def test_marks_on_the_callers_own_tools_come_first_and_are_of_the_four() -> None:
    def sent(lifetimes: str, whole: dict[str, Any] | None, tool: dict[str, Any]) -> tuple[str, Any]:
        ttls, notes, _ = marks_sent(lifetimes, whole, tool)
        return ttls, [note for note in notes if "cache mark" in note]

    assert sent("5m 5m 5m 5m", None, MINUTES) == ("5m 5m 5m", [surplus_note(3)])
    assert sent("5m 5m 5m 5m", MINUTES, HOUR) == ("5m 5m", [surplus_note(2)])
    assert sent("1h 5m", None, MINUTES) == ("5m 5m", [LOWERED_NOTE])
    assert sent("1h 5m", None, HOUR) == ("1h 5m", [])
    assert sent("5m 5m", HOUR, HOUR) == ("1h 1h", [RAISED_NOTE])


def test_a_mark_of_the_callers_own_leaves_what_is_said_as_it_is() -> None:
    result = ToolResult("call_1234", [Text("r", cache="5m")])
    called = ToolCall("call_1234", "look", '{"cache_control": {"ttl": "5m"}}')
    messages = [
        Message("user", "Hi \ud800"),
        Message("assistant", [called]),
        Message("tool", [result]),
    ]
    asked = build_adapter("anthropic").encode(request("claude-opus-4-6", messages))
    sent = msgspec.json.decode(with_raw(asked, {"me": {"cache_control": HOUR}}, ("me",)).body)
    expected = msgspec.json.decode(asked.body) | {"cache_control": HOUR}
    expected["messages"][2]["content"][0]["content"][0]["cache_control"]["ttl"] = "1h"
    assert sent == expected
    # Other wires have no marks on blocks, or others.
    plain = request("a-model", [Message("user", "Hi"), Message("user", [Text("a", cache="5m")])])
    for wire in ("openai", "openai-responses", "gemini", "bedrock", "cohere"):
        asked = build_adapter(wire).encode(plain)
        sent = msgspec.json.decode(with_raw(asked, {"me": {"cache_control": HOUR}}, ("me",)).body)
        assert sent == msgspec.json.decode(asked.body) | {"cache_control": HOUR}


@pytest.mark.parametrize(("wire", "dialect"), WIRES)
@given(PARAMETERS, st.sampled_from(["top", "inside"]))
def test_whatever_is_sent_along_the_bounds_and_the_conversation_stay(
    wire: str, dialect: str | None, parameters: dict[str, Any], where: str
) -> None:
    adapter = build_adapter(wire, dialect)
    chat: ChatRequest = request("a-model", max_output_tokens=64, temperature=0.5, stream=True)
    before: EncodedRequest = adapter.encode(chat)
    given_raw = parameters if where == "top" else {"generationConfig": parameters}
    try:
        after = with_raw(before, {"me": given_raw}, ("me",))
    except CallRefused:
        return
    body = msgspec.json.decode(after.body)
    was = msgspec.json.decode(before.body)
    assert list(own_fields(wire, body)) == list(own_fields(wire, was))
    assert after.max_output_tokens == before.max_output_tokens
    if where == "top":
        assert {name: body[name] for name in parameters} == parameters
    assert body.keys() == was.keys() | given_raw.keys()


DOCUMENTS: dict[str, Any] = {"documents": [{"title": "T", "text": "a text"}]}


def test_documents_cannot_take_the_place_of_those_of_the_conversation() -> None:
    for wire in ("cohere", "openai", "compatible", "my-vllm"):
        found = forbidden_parameter(DOCUMENTS, wire)
        assert found == ("documents", "is part of what is said; put it into the messages")
    # Whatever a provider is called, its wire counts.
    with pytest.raises(CallRefused):
        sent("cohere", {"vllm": DOCUMENTS}, ("cohere", "vllm"))


def test_where_documents_add_to_the_conversation_they_are_sent() -> None:
    before = build_adapter("openai", "vllm").encode(request("a-model"))
    raw = {"vllm": DOCUMENTS}
    after = with_raw(before, raw, ("vllm", "mine"))
    assert msgspec.json.decode(after.body) == msgspec.json.decode(before.body) | DOCUMENTS
    assert (after.notes, after.beyond_hold) == (before.notes, ())
    check_options(CallOptions(raw=raw))
    # Whatever they say is in the bound of the prompt.
    hello = [Message("user", "Hi")]
    measured = [measure(hello, CallOptions(raw=asked)) for asked in ({}, raw)]
    without, bound = (features.input_tokens_bound for features in measured)
    assert without is not None
    assert bound is not None
    assert bound - without >= len(encode_json(DOCUMENTS))
    with pytest.raises(CallRefused):
        check_options(CallOptions(raw={"vllm": {**DOCUMENTS, "messages": []}}))
