"""How the bytes arrive makes no difference, and no bytes raise, for every vendor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.base import Adapter
from routerd.providers.openai import DIALECTS
from routerd.providers.registry import build_adapter
from tests.daemon.providers.bedrock import wire as frames
from tests.daemon.providers.drive import FIXTURES, decode, text_in
from tests.daemon.providers.test_bad_input import SAID, Wire, every_wire_of_lines, whole

ADAPTERS = {
    name: build_adapter(name)
    for name in ("anthropic", "bedrock", "cohere", "gemini", "openai", "openai-responses")
}
FILES = sorted(path for path in FIXTURES.glob("*/*") if path.parent.name in ADAPTERS)


def readers(path: Path) -> list[str]:
    """Return who reads an answer: whose name it begins with, else the wire of its folder.

    What is nobody's own in OpenAI's format is also read as from a server that is not known better.
    """
    if path.parent.name != "openai":
        return [path.parent.name]
    own = path.stem.partition("_")[0]
    return [own] if own in DIALECTS else ["openai", "compatible"]


def reading(reader: str) -> Adapter:
    return ADAPTERS.get(reader) or build_adapter("openai", reader)


READ_BY = [
    pytest.param(reader, path, id=f"{reader}/{path.name.removeprefix(f'{reader}_')}")
    for path in FILES
    for reader in readers(path)
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", "thinking", "tool_use", "text", "error"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "name",
                    "id",
                    "index",
                    "usage",
                    "error",
                    "model",
                    "finish_reason",
                    "reasoning_content",
                    "reasoning_details",
                    "annotations",
                    "prompt_tokens",
                    "prompt_tokens_details",
                    "completion_tokens",
                    "cached_tokens",
                    "x_groq",
                    "type",
                    "text",
                    "thinking",
                    "signature",
                    "data",
                    "partial_json",
                    "content_block",
                    "stop_reason",
                    "stop_details",
                    "output_tokens",
                    "input_tokens",
                    "cache_creation",
                    "iterations",
                    "code",
                    "status",
                    "detail",
                    "loc",
                    "metadata",
                    "raw",
                    "innererror",
                    "function_call",
                    "refusal",
                    "lifecycle",
                    "tool_plan",
                    "citations",
                    "billed_units",
                    "tokens",
                    "error_type",
                    "response",
                    "output",
                    "item",
                    "item_id",
                    "output_index",
                    "content_index",
                    "summary",
                    "encrypted_content",
                    "annotation",
                    "incomplete_details",
                    "input_tokens_details",
                    "phase",
                    *("candidates", "parts", "functionCall", "args", "thought"),
                    *("thoughtSignature", "finishReason", "promptFeedback"),
                    *("usageMetadata", "promptTokenCount", "groundingMetadata"),
                    *("contentBlockIndex", "toolUse", "input", "reasoningContent", "stopReason"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
FRAME_KINDS = [
    *("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop"),
    *("messageStop", "metadata", "surprise"),
]


@pytest.mark.parametrize(("reader", "path"), READ_BY)
def test_an_answer_is_the_same_however_it_is_cut(reader: str, path: Path) -> None:
    adapter = reading(reader)
    body = path.read_bytes()
    whole = decode(adapter, [body])
    for cut in range(1, len(body)):
        assert decode(adapter, [body[:cut], body[cut:]]) == whole, cut
    assert decode(adapter, [body[index : index + 1] for index in range(len(body))]) == whole


@every_wire_of_lines
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_several_lines_is_one_wherever_it_is_cut(wire: Wire, end: bytes) -> None:
    body = b""
    for event in wire.events(*SAID):
        lines = event if isinstance(event, str) else json.dumps(event, indent=1)
        body += b"data: " + lines.encode().replace(b"\n", b"\ndata: ") + b"\n\n"
    text, outcome = whole(wire, body.replace(b"\n", end))
    assert (text, outcome.complete, outcome.malformed_events) == ("Hello", True, 0)


@pytest.mark.parametrize(("reader", "path"), READ_BY)
def test_a_server_may_stream_unasked_and_answer_plainly_when_asked_to_stream(
    reader: str, path: Path
) -> None:
    adapter = reading(reader)
    body = path.read_bytes()
    streamed, asked = decode(adapter, [body])
    plain, unasked = decode(adapter, [body], stream=False)
    assert plain == streamed
    if path.name != "truncated.sse":  # a cut event in the middle of a body is malformed
        assert unasked == asked


@given(
    pieces=st.lists(st.tuples(st.text(max_size=8), st.sampled_from(FRAME_KINDS), JSON), max_size=6),
    stream=st.booleans(),
    size=st.integers(1, 50),
)
def test_any_json_in_the_frames_between_never_raises_and_loses_no_text(
    pieces: list[tuple[str, str, Any]], stream: bool, size: int
) -> None:
    body = frames.event("messageStart", role="assistant")
    for text, kind, value in pieces:
        body += frames.frame({":event-type": kind}, json.dumps(value).encode())
        body += frames.delta(77, text=text)
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    parts, outcome = decode(ADAPTERS["bedrock"], chunks, stream=stream)
    found = iter(text_in(parts))
    assert all(character in found for text, _, _ in pieces for character in text)
    assert decode(ADAPTERS["bedrock"], [body], stream=stream) == (parts, outcome)


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
@given(value=JSON, stream=st.booleans())
def test_any_json_can_be_an_answer(adapter: Adapter, value: Any, stream: bool) -> None:
    body = json.dumps(value).encode()
    parts, outcome = decode(adapter, [body], stream=stream)
    assert not (outcome.complete and outcome.failure)
    assert not parts or value
    decode(adapter, [b"data: ", body, b"\n\ndata: [DONE]\n\n"])


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "date",
                "x-should-retry",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
                "x-ratelimit-remaining",
                "x-ratelimit-reset",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ]
        ),
        st.text(max_size=12) | st.sampled_from(["0", "1.5", "nan", "inf", "1h", "2026-01-01"]),
    ),
)
def test_any_error_answer_becomes_a_failure(
    adapter: Adapter, status: int, body: bytes, headers: dict[str, str]
) -> None:
    failure = adapter.failure(status, headers, body)
    assert failure.message
    assert len(failure.message) <= 500
    assert failure.message.encode()
    assert failure.retry_after is None or 0 < failure.retry_after <= 86_400
    assert isinstance(adapter.list_models(body), list)


def sent(name: str, payload: bytes, kind: str = "metadata") -> bytes:
    """Write an event of a stream."""
    if name == "bedrock":
        return frames.frame({":event-type": kind}, payload)
    return b"data: " + payload + b"\n\n"


@pytest.mark.parametrize("name", ADAPTERS)
def test_deep_nesting_does_not_raise(name: str) -> None:
    adapter = ADAPTERS[name]
    deep = b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    parts, outcome = decode(adapter, [sent(name, deep)])
    assert (parts, outcome.malformed_events, outcome.complete) == ([], 1, False)
    parts, outcome = decode(adapter, [deep], stream=False)
    assert (parts, outcome.complete) == ([], False)
    assert outcome.failure is not None
    assert adapter.failure(400, {}, deep).error_class == "bad_request"
    assert adapter.list_models(deep) == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ADAPTERS)
def test_nesting_that_can_just_be_read_does_not_raise(name: str, stream: bool) -> None:
    """Reading a depth is one thing, walking through it on top of other calls another."""
    failed = 0
    for depth in range(200, 1000, 25):
        deep = '{"a":' * depth + '"\\ud800"' + "}" * depth
        block = f'{{"type":"tool_use","id":"1","name":"f","input":{deep}}}'
        call = f'{{"index":0,"function":{{"name":"f","arguments":{deep}}}}}'
        usage = f'"usage":{deep}'
        if name == "openai":
            events = [
                f'{{"choices":[{{"message":{{"tool_calls":[{call}]}},"finish_reason":"stop"}}]}}',
                f'{{"choices":[{{"message":{{"content":"a"}},"finish_reason":"stop"}}],{usage}}}',
            ]
        elif name == "cohere":
            message = f'"message":{{"tool_calls":[{call}]}}'
            events = [f"{{{message}}}", f'{{"message":{{"content":"a"}},{usage}}}']
            if stream:
                events = [
                    f'{{"type":"tool-call-start","delta":{{{message}}}}}',
                    f'{{"type":"message-end","delta":{{{usage}}}}}',
                ]
        elif name == "openai-responses":
            item = f'{{"type":"function_call","name":"f","call_id":"1","arguments":{deep}}}'
            thought = f'{{"type":"reasoning","summary":[],"content":{deep}}}'
            answers = [
                f'{{"status":"completed","output":[{item},{thought}]}}',
                f'{{"status":"completed","output":[],{usage}}}',
            ]
            kind = '"type":"response.completed"'
            events = [f'{{{kind},"response":{answer}}}' if stream else answer for answer in answers]
        elif name == "gemini":
            held = f'"parts":[{{"functionCall":{{"name":"f","args":{deep}}}}}]'
            chunk = f'"candidates":[{{"content":{{{held}}},"finishReason":"STOP"}}]'
            events = [f"{{{chunk}}}", f'{{"candidates":[],"usageMetadata":{deep}}}']
        elif name == "bedrock":
            call = f'{{"toolUse":{{"toolUseId":"1","name":"f","input":{deep}}}}}'
            message = f'"output":{{"message":{{"content":[{call}]}}}}'
            events = [f'{{{message},"stopReason":"tool_use"}}', f'{{{usage},"trace":{deep}}}']
        elif stream:
            start = f'{{"type":"content_block_start","index":0,"content_block":{block}}}'
            stop = '{"type":"content_block_stop","index":0}'
            events = [f"{start}\n\ndata: {stop}", f'{{"type":"message_delta",{usage}}}']
        else:
            events = [f'{{"content":[{block}]}}', f'{{"content":[],{usage}}}']
        for event in events:
            body = sent(name, event.encode()) if stream else event.encode()
            _, outcome = decode(ADAPTERS[name], [body], stream=stream)
            assert stream or outcome.complete != (outcome.failure is not None)
            failed += outcome.malformed_events
    # Of Bedrock's events nothing is walked through that may be deep.
    assert failed or (name, stream) == ("bedrock", True)
