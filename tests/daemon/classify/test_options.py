"""What a call says of itself besides its text: what of it is refused, and what becomes a fact."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.classify.checks import MOST_FLAGS, check_request
from routerd.classify.features import measure
from routerd.errors import CallRefused
from routerd.telemetry.plain import MAX_NAME_CHARACTERS
from routerd_proto.content import Message
from routerd_proto.frames import CallOptions

HELLO = [Message("user", "hello")]
LONG = "x" * (MAX_NAME_CHARACTERS + 1)


@pytest.mark.parametrize(
    ("options", "place", "problem"),
    [
        ({"region": ""}, "region", "expected 1 to"),
        ({"session": ""}, "session", "expected 1 to"),
        ({"session": LONG}, "session", "expected 1 to"),
        ({"latency": 0}, "latency", "is 0; expected 1 to 86400000"),
        ({"latency": 86_400_001}, "latency", "expected 1 to 86400000"),
        ({"max_cost_cents": -0.1}, "max_cost_cents", "is -0.1; expected 0 to"),
        ({"max_cost_cents": float("nan")}, "max_cost_cents", "is nan"),
        ({"max_cost_cents": float("inf")}, "max_cost_cents", "is inf"),
        ({"flags": [""]}, "flags", "expected flags of 1 to"),
        ({"flags": ["ok", LONG]}, "flags", "expected flags of 1 to"),
        ({"flags": ["x"] * (MOST_FLAGS + 1)}, "flags", f"holds more than {MOST_FLAGS} flags"),
        ({"feature": "shadow:mine"}, "feature", "begins with shadow:, which is for shadows"),
        ({"feature": "shadow:"}, "feature", "begins with shadow:, which is for shadows"),
        ({"logprobs": -1}, "logprobs", "is -1; expected 0 to 20"),
        ({"logprobs": 21}, "logprobs", "is 21; expected 0 to 20"),
        ({"raw": {"": {}}}, "raw", "expected names of 1 to"),
        ({"raw": {LONG: {}}}, "raw", "expected names of 1 to"),
        ({"raw": {"a": {"top_k": 1}, "b": {"max_tokens": 9}}}, "raw.b.max_tokens", "the option"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    options: dict[str, Any], place: str, problem: str
) -> None:
    with pytest.raises(CallRefused) as caught:
        check_request(HELLO, CallOptions(**options))
    info = caught.value.info
    assert (info.code, info.details["place"]) == ("invalid_request", f"options.{place}")
    assert problem in info.message


@pytest.mark.parametrize(
    "options",
    [
        {"latency": "batch"},
        {"latency": "interactive"},
        {"latency": 1},
        {"max_cost_cents": 0},
        {"max_cost_cents": 100_000_000},
        {"flags": ["x" * MAX_NAME_CHARACTERS] * MOST_FLAGS},
        {"feature": "my-shadow:x"},
        {"session": "x" * MAX_NAME_CHARACTERS, "region": "eu-west-1"},
        {"logprobs": 0},
        {"logprobs": 20},
        {"raw": {"openai": {"verbosity": "low"}, "anthropic": {}}},
    ],
)
def test_what_can_be_meant_is_not_refused(options: dict[str, Any]) -> None:
    check_request(HELLO, CallOptions(**options))


def test_the_copy_of_a_shadow_may_say_what_no_caller_may() -> None:
    check_request(HELLO, CallOptions(feature="shadow:mine"), is_copy=True)


def test_what_is_said_becomes_a_fact() -> None:
    said = measure(
        HELLO,
        CallOptions(
            critical=True,
            latency=250,
            region="eu",
            session="s",
            max_cost_cents=0.25,
            flags=["a", "b"],
            sensitivity="internal",
        ),
    )
    assert (said.critical, said.latency, said.region, said.session) == (True, 250, "eu", "s")
    assert (said.max_nanodollars, said.flags, said.sensitivity) == (
        2_500_000,
        ("a", "b"),
        "internal",
    )
    silent = measure(HELLO, CallOptions())
    assert (silent.critical, silent.latency, silent.region, silent.session) == (
        False,
        None,
        None,
        None,
    )
    assert (silent.max_nanodollars, silent.flags, silent.sensitivity) == (None, (), "public")
    assert measure(HELLO, CallOptions(max_cost_cents=0)).max_nanodollars == 0


@pytest.mark.parametrize(
    ("reasoning", "much"),
    [(None, False), ("none", False), ("low", False), ("medium", True), ("high", True)],
)
def test_medium_reasoning_and_more_is_much(reasoning: Any, *, much: bool) -> None:
    assert measure(HELLO, CallOptions(reasoning=reasoning)).reasoning is much


def test_code_is_looked_for_in_the_question_alone() -> None:
    fence = "```\nx = 1\n```"
    assert measure([Message("user", fence)], CallOptions()).code
    assert not measure([Message("system", fence), *HELLO], CallOptions()).code


def test_what_goes_along_as_it_is_counts_for_the_bound_and_not_for_the_estimate() -> None:
    plain = measure(HELLO, CallOptions())
    raw = {"cohere": {"documents": ["x" * 500]}}
    said = measure(HELLO, CallOptions(raw=raw))
    assert said.input_tokens == plain.input_tokens
    assert said.input_tokens_bound is not None
    assert plain.input_tokens_bound is not None
    assert said.input_tokens_bound - plain.input_tokens_bound >= 500
