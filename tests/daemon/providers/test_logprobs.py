"""How likely tokens were: asked for where the wire takes it, and read in every shape there is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from routerd.domain import Part
from routerd.errors import CallRefused
from routerd.providers.base import Adapter
from routerd.providers.gemini import GeminiAdapter
from routerd.providers.logprobs import TOO_LONG_NOTE
from routerd.providers.openai import DIALECTS, OpenAIAdapter
from routerd.providers.openai.responses import ResponsesAdapter
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd_proto.codec import DEFAULT_MAX_FRAME_BYTES, encode_frame
from routerd_proto.frames import LikelyToken, LogprobsAdded, TextDelta, TokenLogprob
from tests.daemon.providers.drive import ABLE, decode, encoded, request, text_in

TELLING = structs.replace(ABLE, logprobs=True)
HEL, LO = TokenLogprob("Hel", -0.25, b"Hel"), TokenLogprob("lo", -1.0)
BY_THE_BOOK = [
    {
        "token": "Hel",
        "logprob": -0.25,
        "bytes": list(b"Hel"),
        "top_logprobs": [
            {"token": "Hel", "logprob": -0.25, "bytes": list(b"Hel")},
            {"token": "\ufffd", "logprob": -2, "bytes": [0xE2, 0x82]},
        ],
    },
    {"token": "lo", "logprob": -1.0, "bytes": None, "top_logprobs": []},
]
HEL_OF_TWO = structs.replace(
    HEL, alternatives=[LikelyToken("Hel", -0.25, b"Hel"), LikelyToken("\ufffd", -2.0, b"\xe2\x82")]
)


def told(parts: list[Part]) -> list[TokenLogprob]:
    return [token for part in parts if isinstance(part, LogprobsAdded) for token in part.tokens]


def chunk(text: str, logprobs: Any, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice]}


def stream_of(*events: Any) -> bytes:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines).encode() + b"data: [DONE]\n\n"


def plain(logprobs: Any) -> bytes:
    message = {"role": "assistant", "content": "Hello"}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
    return json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_stream_tells_them_after_the_text_they_are_of(size: int) -> None:
    data = stream_of(
        chunk("Hel", {"content": BY_THE_BOOK[:1], "refusal": None}),
        chunk("lo", {"content": BY_THE_BOOK[1:]}),
        chunk("", None, "stop"),
    )
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    parts, outcome = decode(OpenAIAdapter(), chunks)
    assert [type(part).__name__ for part in parts] == ["TextDelta", "LogprobsAdded"] * 2
    assert told(parts) == [HEL_OF_TWO, LO]
    assert text_in(parts) == "Hello"
    assert outcome.complete
    assert outcome.notes == []


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"content": BY_THE_BOOK}, [HEL_OF_TWO, LO]),
        ({"content": None, "refusal": BY_THE_BOOK[1:]}, [LO]),
        (
            {
                "tokens": ["Hel", "lo"],
                "token_logprobs": [-0.25, -1],
                "top_logprobs": [{"Hel": -0.25, "Hal": -3.0}, None],
            },
            [
                TokenLogprob(
                    "Hel", -0.25, None, [LikelyToken("Hel", -0.25), LikelyToken("Hal", -3.0)]
                ),
                LO,
            ],
        ),
        # A server that does not say the number of the first token.
        ({"tokens": ["Hel", "lo"], "token_logprobs": [None, -1.0]}, [LO]),
        ({"content": [{"token": "lo", "logprob": -1.0, "bytes": [300]}]}, [LO]),
        ({"content": [{"token": "lo", "logprob": True}, {"token": 5, "logprob": -1}]}, []),
        ({"content": [{"token": "lo", "logprob": 10**400}, 7, None]}, []),
    ],
)
def test_a_plain_answer_in_any_shape(logprobs: Any, expected: list[TokenLogprob]) -> None:
    parts, outcome = decode(OpenAIAdapter(), [plain(logprobs)], stream=False)
    assert told(parts) == expected
    assert text_in(parts) == "Hello"
    assert outcome.complete


def test_half_a_character_costs_neither_the_text_nor_the_number() -> None:
    data = rb"""data: {"choices":[{"index":0,"delta":{"content":"\ud83d"},"logprobs":{"content":
[{"token":"\ud83d","logprob":-1}]}}]}""".replace(b"\n", b"")
    other = (
        rb"""data: {"choices":[{"index":0,"delta":{"content":"\ude00"},"finish_reason":"stop"}]}"""
    )
    parts, outcome = decode(OpenAIAdapter(), [data + b"\n\n" + other + b"\n\ndata: [DONE]\n\n"])
    assert text_in(parts) == "\U0001f600"
    assert told(parts) == [TokenLogprob("\ufffd", -1.0)]
    assert outcome.complete


@pytest.mark.parametrize("infinite", [b"-Infinity", b"NaN", b"1e999"])
def test_what_is_no_number_is_no_token(infinite: bytes) -> None:
    body = plain({"content": BY_THE_BOOK[1:] * 2}).replace(b"-1.0", infinite, 1)
    parts, outcome = decode(OpenAIAdapter(), [body], stream=False)
    assert told(parts) == [LO]
    assert text_in(parts) == "Hello"
    assert outcome.complete


def test_many_tokens_come_in_parts_that_fit_a_frame() -> None:
    others = [{"token": "x" * 100, "logprob": -9.0, "bytes": [120] * 100}] * 20
    many = [{"token": "a", "logprob": -0.5, "top_logprobs": others}] * 2_000
    many.insert(7, {"token": "b" * 400_000, "logprob": -0.5})
    parts, outcome = decode(OpenAIAdapter(), [plain({"content": many})], stream=False)
    assert [token.token for token in told(parts)] == ["a"] * 2_000
    assert all(len(encode_frame(part)) < DEFAULT_MAX_FRAME_BYTES // 16 for part in parts)
    assert outcome.notes == [TOO_LONG_NOTE]


def gemini(result: Any, *, ends: bool = True) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": "Hello"}]}, "index": 0}
    candidate["logprobsResult"] = result
    if ends:
        candidate["finishReason"] = "STOP"
    return {"candidates": [candidate], "responseId": "r"}


@pytest.mark.parametrize("stream", [True, False])
def test_what_gemini_tells(stream: bool) -> None:
    result = {
        "chosenCandidates": [
            {"token": "Hel", "tokenId": 7, "logProbability": -0.25},
            {"token": "lo", "tokenId": 8, "logProbability": -1},
        ],
        "topCandidates": [{"candidates": [{"token": "Hal", "logProbability": -3.5}]}],
    }
    body = json.dumps(gemini(result)).encode()
    data = b"data: " + body + b"\r\n\r\n" if stream else body
    parts, outcome = decode(GeminiAdapter(), [data], stream=stream)
    assert told(parts) == [
        TokenLogprob("Hel", -0.25, None, [LikelyToken("Hal", -3.5)]),
        LO,
    ]
    assert text_in(parts) == "Hello"
    assert outcome.complete


def responses(logprobs: Any, way: str) -> bytes:
    """Return an answer in the other format of OpenAI: a stream, one without deltas, or plain."""
    part = {"type": "output_text", "text": "Hello", "logprobs": logprobs}
    item = {"type": "message", "id": "m", "content": [part]}
    place = {"output_index": 0, "content_index": 0, "logprobs": logprobs}
    events: list[dict[str, Any]] = []
    if way == "deltas":
        events.append({"type": "response.output_text.delta", "delta": "Hello", **place})
    if way in ("deltas", "done"):
        events.append({"type": "response.output_text.done", "text": "Hello", **place})
    if way in ("deltas", "done", "item"):
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    answer = {"status": "completed", "output": [item]}
    if way == "plain":
        return json.dumps(answer).encode()
    events.append({"type": "response.completed", "response": answer})
    return stream_of(*events)


@pytest.mark.parametrize("way", ["deltas", "done", "item", "end", "plain"])
def test_what_responses_tell_once(way: str) -> None:
    parts, outcome = decode(ResponsesAdapter(), [responses(BY_THE_BOOK, way)])
    assert told(parts) == [HEL_OF_TWO, LO]
    assert text_in(parts) == "Hello"
    assert outcome.complete


@pytest.mark.parametrize(("asked", "more"), [(0, {}), (5, {"top_logprobs": 5})])
def test_what_is_asked_of_responses(asked: int, more: dict[str, Any]) -> None:
    body, notes = encoded(ResponsesAdapter(), request(capabilities=TELLING, logprobs=asked))
    include = ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert (body["include"], notes) == (include, [])
    assert {name: body[name] for name in body if name == "top_logprobs"} == more


KEYS = st.sampled_from(
    [
        *("content", "refusal", "tokens", "token_logprobs", "top_logprobs", "token", "logprob"),
        *("bytes", "chosenCandidates", "topCandidates", "candidates", "logProbability"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_nonsense_in_their_place_costs_nothing_else(nonsense: Any) -> None:
    for adapter, body in (
        (OpenAIAdapter(), plain(nonsense)),
        (GeminiAdapter(), json.dumps(gemini(nonsense)).encode()),
        (ResponsesAdapter(), responses(nonsense, "plain")),
    ):
        parts, outcome = decode(adapter, [body], stream=False)
        assert text_in(parts) == "Hello"
        assert outcome.complete
        for part in parts:
            encode_frame(part)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (None, {}),
        (0, {"logprobs": True}),
        (5, {"logprobs": True, "top_logprobs": 5}),
    ],
)
def test_what_is_asked_of_chat_completions(
    dialect: str, asked: int | None, sent: dict[str, Any]
) -> None:
    chat = request(capabilities=TELLING, logprobs=asked)
    body, notes = encoded(OpenAIAdapter(DIALECTS[dialect]), chat)
    assert {name: body[name] for name in ("logprobs", "top_logprobs") if name in body} == sent
    assert notes == []


@pytest.mark.parametrize(
    ("asked", "sent"),
    [(0, {"responseLogprobs": True}), (5, {"responseLogprobs": True, "logprobs": 5})],
)
def test_what_is_asked_of_gemini(asked: int, sent: dict[str, Any]) -> None:
    body, notes = encoded(GeminiAdapter(), request(capabilities=TELLING, logprobs=asked))
    assert body["generationConfig"] == sent
    assert notes == []


def refused_by(adapter: Adapter, *, able: bool) -> str:
    capabilities = TELLING if able else ABLE
    with pytest.raises(CallRefused) as caught:
        adapter.encode(request(capabilities=capabilities, logprobs=0))
    assert caught.value.info.details == {"param": "options.logprobs"}
    return caught.value.info.message


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_model_that_gives_none_is_not_asked(name: str) -> None:
    assert "a-model gives no log probabilities" in refused_by(build_adapter(name), able=False)


def test_what_responses_tells_with_the_text_or_at_its_end() -> None:
    place = {"output_index": 0, "content_index": 0, "item_id": "m"}
    told = [{"token": "lo", "logprob": -1.0, "top_logprobs": []}]
    delta = {"type": "response.output_text.delta", "delta": "lo", "logprobs": told, **place}
    done = {"type": "response.output_text.done", "text": "lo", "logprobs": told, **place}
    end = {"type": "response.completed", "response": {"id": "r", "status": "completed"}}
    text = {"type": "output_text", "text": "lo", "logprobs": told}
    item = {"type": "message", "id": "m", "content": [text]}
    whole = {"id": "r", "status": "completed", "output": [item]}
    for events in ([delta, done, end], [done, end], [{**end, "response": whole}]):
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
        parts, outcome = decode(build_adapter("openai-responses"), [body])
        assert parts == [TextDelta("lo"), LogprobsAdded([LO])]
        assert outcome.complete


@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
def test_a_wire_that_has_none_is_not_asked_whatever_the_directory_says(name: str) -> None:
    assert "this provider" in refused_by(build_adapter(name), able=True)
