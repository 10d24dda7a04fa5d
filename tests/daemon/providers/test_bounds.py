"""However much a provider sends at once, every part of it fits a frame."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Part
from routerd.errors import ErrorClass
from routerd.providers.anthropic.decode import MessagesDecoder
from routerd.providers.base import Adapter
from routerd.providers.bounds import MAX_PART_CHARACTERS
from routerd.providers.openai import DIALECTS
from routerd.providers.openai.decode import ChatDecoder
from routerd.providers.openai.failure import failure_rules
from routerd.providers.registry import build_adapter
from routerd.providers.sse import DEFAULT_MAX_EVENT_BYTES
from routerd_proto import DEFAULT_MAX_FRAME_BYTES, daemon_frame_reader, encode_frames
from routerd_proto.frames import ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from tests.daemon.providers.drive import calls_in, merge, reasoning_in, text_in

OPENAI = build_adapter("openai", "openai")
ANTHROPIC = build_adapter("anthropic")
LARGE = "\U0001f600" * (5 * 1024 * 1024)  # 20 MiB of UTF-8
TEXTS = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)


def openai_answer(**message: Any) -> bytes:
    return json.dumps(
        {"choices": [{"message": message, "finish_reason": "stop"}]}, ensure_ascii=False
    ).encode()


def anthropic_answer(*blocks: Any) -> bytes:
    return json.dumps({"content": blocks, "stop_reason": "end_turn"}, ensure_ascii=False).encode()


CALL = {"id": "1", "function": {"name": "f", "arguments": f'{{"a":"{LARGE}"}}'}}
ANSWERS: dict[str, tuple[Adapter, bytes]] = {
    "text": (OPENAI, openai_answer(content=LARGE)),
    "reasoning": (OPENAI, openai_answer(content="a", reasoning_content=LARGE)),
    "refusal": (OPENAI, openai_answer(refusal=LARGE)),
    "arguments": (OPENAI, openai_answer(tool_calls=[CALL])),
    "anthropic text": (ANTHROPIC, anthropic_answer({"type": "text", "text": LARGE})),
    "anthropic arguments": (
        ANTHROPIC,
        anthropic_answer({"type": "tool_use", "id": "1", "name": "f", "input": {"a": LARGE}}),
    ),
}


def read_through_a_client(parts: list[Part]) -> list[Any]:
    """Send parts as frames, and read them with the limit every client has."""
    return daemon_frame_reader(DEFAULT_MAX_FRAME_BYTES).feed(bytes(encode_frames(parts)))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_large_answer_arrives_whole_in_frames_that_any_client_takes(
    name: str, stream: bool
) -> None:
    adapter, body = ANSWERS[name]
    decoder = adapter.decoder(stream=stream)
    if stream and adapter is OPENAI:
        body = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    parts = decoder.feed(body) + decoder.end()
    assert decoder.outcome.complete
    assert read_through_a_client(parts) == parts
    texts = [part for part in parts if isinstance(part, TEXTS)]
    assert len(texts) > 4
    whole = text_in(parts)
    if name == "reasoning":
        whole = reasoning_in(parts)
    elif name == "refusal":
        whole = "".join(part.refusal for part in parts if isinstance(part, RefusalDelta))
    elif name.endswith("arguments"):
        ((_, _, arguments),) = calls_in(parts)
        (whole,) = json.loads(f"[{arguments}]")[0].values()
    assert whole == LARGE


def test_a_large_event_of_a_long_stream_is_cut_and_small_ones_are_not() -> None:
    decoder = OPENAI.decoder(stream=True)

    def event(text: str) -> bytes:
        return (
            b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"
        )

    limit = MAX_PART_CHARACTERS
    for text, sizes in [
        ("a", [1]),
        ("b" * limit, [limit]),
        ("c" * (limit + 1), [limit, 1]),
        ("d", [1]),
    ]:
        parts = decoder.feed(event(text))
        assert [len(part.text) for part in parts if isinstance(part, TextDelta)] == sizes
        assert text_in(parts) == text


def test_arguments_that_waited_for_their_name_are_cut_too() -> None:
    decoder = OPENAI.decoder(stream=True)
    parts: list[Part] = []
    for function in [{"arguments": "x" * 700_000}] * 3 + [{"name": "f"}]:
        delta = {"tool_calls": [{"index": 0, "function": function}]}
        parts += decoder.feed(
            b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"
        )
    pieces = [len(part.arguments) for part in parts if isinstance(part, ToolCallDelta)]
    assert pieces == [MAX_PART_CHARACTERS, MAX_PART_CHARACTERS, 2_100_000 - 2 * MAX_PART_CHARACTERS]
    assert len(merge(parts)) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_name_no_frame_can_carry_fails_the_answer(stream: bool) -> None:
    call = {"id": "1", "function": {"name": LARGE, "arguments": "{}"}}
    body = openai_answer(content="before", tool_calls=[call])
    decoder = OPENAI.decoder(stream=stream)
    parts = decoder.feed(b"data: " + body + b"\n\n" if stream else body) + decoder.end()
    assert parts == [TextDelta("before")]
    assert not decoder.outcome.complete
    assert decoder.outcome.failure is not None
    assert decoder.outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert len(decoder.outcome.failure.message) < 100


@pytest.mark.parametrize("stream", [True, False])
def test_one_constant_bounds_what_is_read_at_once(stream: bool) -> None:
    assert DEFAULT_MAX_EVENT_BYTES == 64 * 1024 * 1024
    for decoder in (
        ChatDecoder("openai", failure_rules(DIALECTS["openai"]), stream=stream),
        MessagesDecoder(stream=stream),
    ):
        piece = b"x" * (8 * 1024 * 1024)
        decoder.feed(b'data: {"a":"' if stream else b'{"a":"')
        for _ in range(8):
            assert decoder.feed(piece) == []
        assert decoder.end() == []
        assert decoder.outcome.failure is not None
        assert decoder.outcome.failure.error_class is ErrorClass.BAD_ANSWER
        assert f"larger than {DEFAULT_MAX_EVENT_BYTES} bytes" in decoder.outcome.failure.message
