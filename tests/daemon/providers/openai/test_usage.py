"""Usage objects: what is read in one go is what is read field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.domain import Usage
from routerd.providers.counts import MAX_COUNT
from routerd.providers.openai import usage
from routerd.providers.openai.usage import OutputDetails, PlainUsage, PromptDetails, read_usage
from routerd.providers.registry import build_adapter
from routerd_proto.frames import TextDelta

COUNTS = st.integers(0, 2000)
ODD: st.SearchStrategy[Any] = st.one_of(
    COUNTS,
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.sampled_from([MAX_COUNT, MAX_COUNT + 1, 2**63, 2**64, 10**400, "12", "\ud800", [], {}]),
)
NAMES = (
    *PromptDetails.__struct_fields__,
    *OutputDetails.__struct_fields__,
    *("num_cached_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "queue_time"),
    "\ud800",
)
DETAILS = st.one_of(st.none(), ODD, st.dictionaries(st.sampled_from(NAMES), ODD, max_size=4))


def usages(counts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some or all of the fields that servers write."""
    return st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": counts,
            "completion_tokens": counts,
            "total_tokens": counts,
            "prompt_tokens_details": DETAILS,
            "completion_tokens_details": DETAILS,
            **dict.fromkeys(NAMES, counts),
        },
    )


@given(st.one_of(usages(COUNTS), usages(ODD), ODD))
def test_one_go_reads_what_field_by_field_does(value: Any) -> None:
    assert read_usage(value) == usage._read_any(value)


@pytest.mark.parametrize("usage", ['"\\ud800"', '{"\\ud800": 1}', '{"prompt_tokens": "\\udc00"}'])
@pytest.mark.parametrize("stream", [True, False])
def test_halves_of_characters_in_a_usage_cost_no_text(usage: str, *, stream: bool) -> None:
    said = "delta" if stream else "message"
    choice = f'{{"index": 0, "{said}": {{"content": "hi"}}, "finish_reason": "stop"}}'
    body = f'{{"id": "c", "model": "m", "choices": [{choice}], "usage": {usage}}}'
    data = f"data: {body}\n\ndata: [DONE]\n\n" if stream else body
    decoder = build_adapter("openai").decoder(stream=stream)
    parts = [*decoder.feed(data.encode()), *decoder.end()]
    assert parts == [TextDelta("hi")]
    assert decoder.outcome.complete
    assert decoder.outcome.usage is None


@pytest.mark.parametrize("details", ["prompt_tokens_details", "completion_tokens_details"])
def test_a_count_too_large_to_be_true_is_not_billed_by(details: str) -> None:
    whole = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert read_usage(whole) == Usage(input_tokens=3, output_tokens=2)
    assert read_usage(whole | {details: {"audio_tokens": MAX_COUNT + 1}}) is None
    assert read_usage(whole | {details: {"new_tokens": MAX_COUNT + 1}}) is None


def test_what_openai_writes_is_read_in_one_go() -> None:
    msgspec.convert(
        {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        PlainUsage,
    )


@pytest.mark.parametrize("where", ["usage", "x_groq"])
def test_zeros_at_the_end_do_not_take_the_place_of_a_count(where: str) -> None:
    zeros = '{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}'
    counted = '{"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}'
    last = zeros if where == "usage" else f'{{"usage": {zeros}}}'
    decoder = build_adapter("openai").decoder(stream=True)

    def usage_after(field: str, usage: str) -> Usage | None:
        decoder.feed(f'data: {{"choices": [], "{field}": {usage}}}\n\n'.encode())
        return decoder.outcome.usage

    assert usage_after("usage", zeros) == Usage()
    assert usage_after("usage", counted) == Usage(input_tokens=3, output_tokens=2)
    assert usage_after(where, last) == Usage(input_tokens=3, output_tokens=2)
    assert decoder.outcome.notes == []
