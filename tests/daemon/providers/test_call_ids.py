"""Calls of one id are told apart, with their results and with the reasoning that names them."""

from __future__ import annotations

from routerd.providers.call_ids import with_distinct_calls
from routerd_proto.content import Content, Message, Reasoning, Text, ToolCall, ToolResult


def signed(call: str, signature: str) -> Reasoning:
    return Reasoning("", "gemini", {"on": "call", "call": call, "signature": signature})


def said(*parts: Content) -> Message:
    return Message("assistant", list(parts))


def returned(*ids: str) -> Message:
    return Message("tool", [ToolResult(call_id, str(index)) for index, call_id in enumerate(ids)])


def test_a_conversation_whose_calls_differ_is_the_same_object() -> None:
    messages = [Message("user", "go"), said(Text("a"), ToolCall("1", "f"), ToolCall("2", "f"))]
    assert with_distinct_calls(messages, []) is messages


def test_an_id_that_comes_again_is_another_from_then_on() -> None:
    turn = [said(ToolCall("c", "f"), ToolCall("d", "f")), returned("d", "c")]
    messages = with_distinct_calls([Message("user", "go"), *turn, *turn, *turn], [])
    assert messages[:3] == [Message("user", "go"), *turn]
    assert messages[3:5] == [
        said(ToolCall("c_2", "f"), ToolCall("d_2", "f")),
        returned("d_2", "c_2"),
    ]
    assert messages[5:] == [
        said(ToolCall("c_3", "f"), ToolCall("d_3", "f")),
        returned("d_3", "c_3"),
    ]


def test_a_new_id_is_nobody_elses() -> None:
    messages = [said(ToolCall("c", "f"), ToolCall("c_2", "f")), said(ToolCall("c", "f"))]
    assert with_distinct_calls(messages, [])[1] == said(ToolCall("c_3", "f"))


def test_results_of_one_answers_calls_go_by_their_order() -> None:
    messages = [said(ToolCall("c", "f"), ToolCall("c", "g")), returned("c", "c", "c")]
    assert with_distinct_calls(messages, []) == [
        said(ToolCall("c", "f"), ToolCall("c_2", "g")),
        returned("c", "c_2", "c_2"),
    ]


def test_reasoning_that_names_a_call_names_it_anew() -> None:
    details = Reasoning("", "openrouter", {"reasoning_details": [{"id": "c", "data": "x"}, "c"]})
    messages = [
        said(signed("c", "one"), ToolCall("c", "f"), signed("c", "two"), ToolCall("c", "f")),
        said(details, ToolCall("c", "f"), Reasoning("c", "x", {"c": 1})),
    ]
    assert with_distinct_calls(messages, []) == [
        said(signed("c", "one"), ToolCall("c", "f"), signed("c_2", "two"), ToolCall("c_2", "f")),
        said(
            Reasoning("", "openrouter", {"reasoning_details": [{"id": "c_3", "data": "x"}, "c_3"]}),
            ToolCall("c_3", "f"),
            Reasoning("c", "x", {"c": 1}),
        ),
    ]


def test_a_result_of_no_call_stays_as_it_is() -> None:
    messages = [said(ToolCall("c", "f")), said(ToolCall("c", "f")), returned("other")]
    assert with_distinct_calls(messages, [])[2] == returned("other")


def test_calls_without_a_result_are_told_by_the_ids_that_they_came_with() -> None:
    messages = [
        Message("user", "go"),
        said(ToolCall("c", "f"), ToolCall("d", "g")),
        returned("c"),
        said(ToolCall("c", "f")),
        Message("user", "never mind"),
    ]
    unanswered: list[ToolCall] = []
    with_distinct_calls(messages, unanswered)
    assert unanswered == [ToolCall("d", "g"), ToolCall("c", "f")]
