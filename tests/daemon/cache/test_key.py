"""All that shapes an answer is in the key, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.cache.key import make_key
from routerd.settings import CachedShortcut
from routerd_proto.content import Document, Image, Message, Text, Tool, ToolCall, ToolResult
from routerd_proto.frames import CallOptions
from tests.daemon.cache.known import PLAIN, SECONDS, answers, ask
from tests.proto.arbitrary import values_of

# Every option, with a value that is not its default. A new one belongs into one of the two.
SHAPING: dict[str, Any] = {
    "tenant": "acme",
    "sensitivity": "internal",
    "max_output_tokens": 100,
    "temperature": 0.0,
    "top_p": 0.0,
    "stop": ["."],
    "seed": 0,
    "tools": [Tool("f")],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "output_schema": {},
    "reasoning": "none",
    "latency": "batch",
    "region": "eu",
    "flags": ["a"],
    "raw": {"openai": {"verbosity": "low"}},
    "logprobs": 0,
}
NOT_SHAPING: dict[str, Any] = {
    "team": "a",
    "agent": "a",
    "user": "a",
    "feature": "a",
    "task": "a",
    "timeout": 5.0,
    "restart": True,
    "critical": True,
    "session": "a",
    "max_cost_cents": 5.0,
}
MESSAGES = values_of(list[Message])
OPTIONS = values_of(CallOptions)
NAMES = st.text(max_size=3)
CALLS = st.tuples(st.tuples(NAMES, NAMES, NAMES), MESSAGES, OPTIONS)
KEPT = CachedShortcut(seconds=SECONDS, private=True)


def digest_of(call: tuple[tuple[str, ...], list[Message], CallOptions]) -> bytes:
    key = make_key(*call, shortcut=KEPT)
    assert key is not None
    return key.digest


def test_every_option_is_known_to_shape_the_answer_or_not_to() -> None:
    assert SHAPING.keys() | NOT_SHAPING.keys() == set(CallOptions.__struct_fields__)
    assert not SHAPING.keys() & NOT_SHAPING.keys()


@pytest.mark.parametrize("name", SHAPING)
def test_what_shapes_the_answer_makes_another_key(name: str) -> None:
    cache = answers()
    assert ask(cache, options=CallOptions(**{name: SHAPING[name]})) != ask(cache)


@pytest.mark.parametrize("name", NOT_SHAPING)
def test_what_does_not_shape_the_answer_makes_none(name: str) -> None:
    cache = answers()
    assert ask(cache, options=CallOptions(**{name: NOT_SHAPING[name]})) == ask(cache)


def test_tenants_never_share_a_key() -> None:
    cache = answers()
    tenants = [None, "", "acme", "Acme", "none"]
    keys = {ask(cache, options=CallOptions(tenant=tenant)) for tenant in tenants}
    assert len(keys) == len(tenants)


def test_another_target_and_other_rules_make_another_key() -> None:
    cache = answers()
    keys = {ask(cache), ask(cache, target="secrets"), ask(cache, serves="smart")}
    assert len(keys | {ask(cache, decided_by="p1/d2")}) == 4


def test_a_target_that_is_not_named_has_no_key() -> None:
    assert ask(answers(), target="other") is None


def test_a_private_call_has_a_key_only_where_that_is_said() -> None:
    cache, private = answers(), CallOptions(sensitivity="private")
    assert ask(cache, options=private) is None
    assert ask(cache, target="secrets", options=private) is not None
    assert ask(cache, options=CallOptions(sensitivity="internal")) is not None


def test_where_there_is_no_room_for_answers_there_are_no_keys() -> None:
    assert ask(answers(max_bytes=0)) is None


def test_a_key_says_how_long_its_answer_is_kept() -> None:
    key = ask(answers())
    assert key is not None
    assert key.seconds == SECONDS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Message("user", "a"), Message("user", "b")], [Message("user", "ab")]),
        ([Message("user", [Text("a"), Text("b")])], [Message("user", [Text("ab")])]),
        ([Message("user", "a")], [Message("system", "a")]),
        ([Message("user", [Text("a")])], [Message("user", [Text("a", cache="1h")])]),
        (
            [Message("user", [Image(data=b"a", media_type="image/png")])],
            [Message("user", [Image(data=b"b", media_type="image/png")])],
        ),
        (
            [Message("user", [Image(data=b"a", media_type="image/png")])],
            [Message("user", [Document(data=b"a", media_type="image/png")])],
        ),
        (
            [Message("assistant", [ToolCall("1", "f", '{"a":1}')])],
            [Message("assistant", [ToolCall("1", "f", '{"a":2}')])],
        ),
        (
            [Message("tool", [ToolResult("1", [Text("a")])])],
            [Message("tool", [ToolResult("1", [Text("b")])])],
        ),
    ],
)
def test_other_messages_make_another_key(one: list[Message], other: list[Message]) -> None:
    assert digest_of((("t",), one, PLAIN)) != digest_of((("t",), other, PLAIN))


def test_the_order_of_a_schema_shapes_the_answer() -> None:
    one = CallOptions(output_schema={"a": 1, "b": 2})
    other = CallOptions(output_schema={"b": 2, "a": 1})
    assert digest_of((("t",), [], one)) != digest_of((("t",), [], other))


@given(CALLS, CALLS, st.sets(st.integers(0, 2)))
def test_keys_are_equal_where_the_calls_are(one: Any, other: Any, taken: set[int]) -> None:
    mixed = tuple(one[place] if place in taken else other[place] for place in range(3))
    is_same = identity(one) == identity(mixed)
    assert (digest_of(one) == digest_of(mixed)) is is_same


def identity(call: Any) -> str:
    """Write out what shapes the answer; equality would take 1 for 1.0 and for True."""
    target, messages, options = call
    plain = replace(options, **{name: getattr(PLAIN, name) for name in NOT_SHAPING})
    return repr((target, messages, plain))


@given(CALLS)
def test_the_same_call_sent_again_has_the_same_key(call: Any) -> None:
    encoded = msgspec.msgpack.encode(call)
    again = msgspec.msgpack.decode(
        encoded, type=tuple[tuple[str, str, str], list[Message], CallOptions]
    )
    assert digest_of(again) == digest_of(call)
