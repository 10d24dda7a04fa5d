"""Token counts that are digits in a text are counts; one that cannot be read is never a zero."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Usage
from routerd.providers.base import Outcome
from routerd.providers.counts import ABSURD_NOTE, MAX_COUNT, count_of, is_absurd
from routerd.providers.registry import build_adapter, search_wires
from routerd.providers.search import EmbedRequest

CHAT = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
MESSAGE = {"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}
OUTPUT = [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]
CONTENT = {"parts": [{"text": "x"}]}
SAID = {"role": "assistant", "content": [{"text": "x"}]}
BY_ADAPTER: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "openai": (CHAT, "usage", "prompt_tokens", "completion_tokens"),
    "openai-responses": (
        {"status": "completed", "output": OUTPUT},
        "usage",
        "input_tokens",
        "output_tokens",
    ),
    "anthropic": (MESSAGE, "usage", "input_tokens", "output_tokens"),
    "bedrock": (
        {"output": {"message": SAID}, "stopReason": "end_turn"},
        "usage",
        "inputTokens",
        "outputTokens",
    ),
    "gemini": (
        {"candidates": [{"content": CONTENT, "finishReason": "STOP"}]},
        "usageMetadata",
        "promptTokenCount",
        "candidatesTokenCount",
    ),
}


def outcome_of(adapter: str, read: Any, wrote: Any) -> Outcome:
    answer, usage, read_name, wrote_name = BY_ADAPTER[adapter]
    decoder = build_adapter(adapter).decoder(stream=False)
    decoder.feed(json.dumps({**answer, usage: {read_name: read, wrote_name: wrote}}).encode())
    decoder.end()
    assert decoder.outcome.complete
    return decoder.outcome


@pytest.mark.parametrize("adapter", BY_ADAPTER)
@pytest.mark.parametrize("ten", ["10", " 10", "10.0"])
def test_digits_are_a_count(adapter: str, ten: str) -> None:
    usage = outcome_of(adapter, ten, "5").usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (10, 5)


@pytest.mark.parametrize("adapter", sorted(BY_ADAPTER.keys() - {"gemini"}))
@pytest.mark.parametrize("count", ["ten", "", "1e3", "99999999999", "9" * 5000, "١٢"])
def test_what_cannot_be_read_is_not_known(adapter: str, count: str) -> None:
    outcome = outcome_of(adapter, count, 5)
    assert outcome.usage is None
    assert outcome.notes == [ABSURD_NOTE]


@pytest.mark.parametrize(
    "more",
    [
        {"prompt_tokens_details": {"cached_tokens": ""}},
        {"total_tokens": "N/A"},
        {"completion_tokens_details": {"reasoning_tokens": "none"}},
        {"max_tokens": "unlimited"},
        {"prompt_tokens_details": {"audio_tokens": "-5"}},
    ],
)
def test_a_text_beside_what_is_billed_is_as_good_as_null(more: dict[str, Any]) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 5, **more}
    decoder = build_adapter("openai").decoder(stream=False)
    decoder.feed(json.dumps({**CHAT, "usage": usage}).encode())
    decoder.end()
    told = decoder.outcome.usage
    assert told is not None
    assert (told.input_tokens, told.output_tokens, decoder.outcome.notes) == (100, 5, [])


def test_a_count_of_cached_tokens_counts_too() -> None:
    details = {"cached_tokens": "4"}
    usage = {"prompt_tokens": 10, "completion_tokens": "5", "prompt_tokens_details": details}
    answer = {**CHAT, "usage": usage}
    decoder = build_adapter("openai").decoder(stream=True)
    decoder.feed(b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(answer).encode())
    decoder.end()
    assert decoder.outcome.usage == Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5)


@pytest.mark.parametrize(("told", "usage"), [("7", Usage(7)), ("seven", None)])
def test_what_vectors_cost_is_counted_so_too(told: str, usage: Usage | None) -> None:
    decoder = search_wires("openai")["embedding"].decoder(EmbedRequest("m", ["a"]))
    answer = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": told}}
    decoder.feed(json.dumps(answer).encode())
    decoder.end()
    assert decoder.outcome.usage == usage


def test_other_texts_are_no_counts() -> None:
    assert not is_absurd({"service_tier": "default", "cost": "n/a", "cached_tokens": None})
    assert is_absurd({"cached_tokens": "9" * 12})
    assert is_absurd({"cache_creation_input_tokens": "many"})
    assert (count_of("-5"), count_of(-5)) == (0, 0)
    assert count_of(str(MAX_COUNT)) == MAX_COUNT
    assert count_of(str(MAX_COUNT + 1)) is None
