"""What is left of rate limits, as each vendor's headers say it; what they leave out is not made up.

The shapes are those of recorded answers.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.rate_limits import LimitLeft, read_limits

DATE = "Tue, 24 Jun 2025 10:00:00 GMT"


def read(**headers: str) -> tuple[LimitLeft, ...] | None:
    told = read_limits(
        {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    )
    return None if told is None else told.hints


def test_an_answer_that_tells_nothing_is_none() -> None:
    assert read(content_type="text/event-stream", date=DATE) is None
    assert read_limits({}) is None


def test_what_is_half_full_is_no_hint() -> None:
    told = read(
        x_ratelimit_limit_requests="10000",
        x_ratelimit_remaining_requests="9999",
        x_ratelimit_reset_requests="6ms",
    )
    assert told == ()


def test_openai_and_groq() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0.5s",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "1500",
        "x-ratelimit-reset-tokens": "17.399999999s",
    }
    told = read_limits({name.encode(): text.encode() for name, text in headers.items()})
    assert told is not None
    assert told.headroom == 0
    assert told.hints == (
        LimitLeft("requests", "calls", 0, 500, 60.5),
        LimitLeft("tokens", "tokens", 1500, 30000, 17.399999999),
    )


def test_anthropic_counts_from_the_answers_own_date() -> None:
    told = read(
        date=DATE,
        anthropic_ratelimit_input_tokens_limit="50000",
        anthropic_ratelimit_input_tokens_remaining="1000",
        anthropic_ratelimit_input_tokens_reset="2025-06-24T10:00:30Z",
    )
    assert told == (LimitLeft("input-tokens", "tokens", 1000, 50000, 30.0),)


def test_azure_resets_are_bare_numbers() -> None:
    told = read(
        x_ratelimit_limit_requests="10",
        x_ratelimit_remaining_requests="1",
        x_ratelimit_reset_requests="12",
    )
    assert told == (LimitLeft("requests", "calls", 1, 10, 12.0),)


def test_mistral_has_windows_and_no_resets() -> None:
    told = read(
        x_ratelimit_limit_tokens_minute="500000",
        x_ratelimit_remaining_tokens_minute="0",
        x_ratelimit_limit_req_10_second="10",
        x_ratelimit_remaining_req_10_second="2",
    )
    assert told == (
        LimitLeft("tokens-minute", "tokens", 0, 500000, 60.0),
        LimitLeft("req-10-second", "calls", 2, 10, 10.0),
    )


def test_together_names_no_dimension() -> None:
    told = read(x_ratelimit_limit="10", x_ratelimit_remaining="0", x_ratelimit_reset="1")
    assert told == (LimitLeft("requests", "calls", 0, 10, 1.0),)


def test_without_a_limit_only_nothing_left_is_a_hint() -> None:
    assert read(x_ratelimit_remaining_requests="3") == ()
    told = read(x_ratelimit_remaining_requests="0")
    assert told == (LimitLeft("requests", "calls", 0, None, 60.0),)


def test_a_reset_far_away_is_believed_for_an_hour_and_one_that_is_over_not_at_all() -> None:
    headers = {"x_ratelimit_limit_requests": "10", "x_ratelimit_remaining_requests": "0"}
    [told] = read(**headers, x_ratelimit_reset_requests="30h") or ()
    assert told.seconds == 3600.0
    assert read(**headers, x_ratelimit_reset_requests="0s") == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    b"x-ratelimit-remaining-requests",
                    b"x-ratelimit-limit-requests",
                    b"x-ratelimit-reset-requests",
                    b"anthropic-ratelimit-tokens-remaining",
                    b"remaining",
                    b"date",
                ]
            ),
            st.binary(max_size=30) | st.integers().map(lambda value: b"%d" % value),
        )
    )
)
def test_whatever_is_sent_is_read_or_left(headers: list[tuple[bytes, bytes]]) -> None:
    told = read_limits(dict(headers))
    if told is None:
        return
    assert told.headroom is None or 0 <= told.headroom <= 1000
    for hint in told.hints:
        assert hint.left >= 0
        assert 0 < hint.seconds <= 3600.0


@pytest.mark.parametrize(
    ("headers", "headroom"),
    [
        ({"x_ratelimit_remaining_requests": "5"}, None),  # of how many?
        ({"x_ratelimit_remaining_requests": "9999", "x_ratelimit_limit_requests": "10000"}, 999),
        ({"x_ratelimit_remaining_requests": "-3", "x_ratelimit_limit_requests": "10"}, 0),
        ({"x_ratelimit_remaining_requests": "30", "x_ratelimit_limit_requests": "10"}, 1000),
        ({"x_ratelimit_remaining_requests": "5", "x_ratelimit_limit_requests": "0"}, None),
        (
            {
                "x_ratelimit_remaining_requests": "50",
                "x_ratelimit_limit_requests": "100",
                "x_ratelimit_remaining_tokens_minute": "100",
                "x_ratelimit_limit_tokens_minute": "1000",
            },
            100,
        ),
        (
            {
                "anthropic_ratelimit_tokens_limit": "8",
                "anthropic_ratelimit_tokens_remaining": "7",
            },
            875,
        ),
    ],
)
def test_the_headroom_is_that_of_the_nearest_limit(
    headers: dict[str, str], headroom: int | None
) -> None:
    told = read_limits(
        {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    )
    assert told is not None
    assert told.headroom == headroom
