"""One prompt for every model of a class: what is changed, and that nothing else is."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.classify.features import measure
from routerd.models.prompt import Droppable, PromptAdjustments, added_tokens
from routerd.providers.adjusting import adjust_prompt
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.base import ChatRequest
from routerd.providers.openai import OpenAIAdapter
from routerd.providers.request import parts_of
from routerd_proto.content import (
    Content,
    Image,
    Message,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from routerd_proto.frames import CallOptions
from tests.daemon.providers.drive import encoded, request

AROUND = PromptAdjustments(system_before="Before.", system_after="After.")
FOLDED = PromptAdjustments(system_role="user")
# Options a test may set, each with a value that is not the default.
SET: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "seed": 7,
    "parallel_tool_calls": False,
    "reasoning": "low",
}

texts = st.text(max_size=12)
parts: st.SearchStrategy[Content] = st.one_of(
    st.builds(Text, texts, st.sampled_from([None, "5m"])),
    st.builds(Image, data=st.just(b"png")),
)
contents = texts | st.lists(parts, max_size=3)
own_parts = st.lists(
    st.builds(Text, texts)
    | st.builds(Reasoning, texts)
    | st.builds(ToolCall, st.just("c"), st.just("f"), st.just("{}")),
    max_size=3,
)
messages_of_calls = st.lists(
    st.one_of(
        st.builds(Message, st.just("system"), texts | st.lists(st.builds(Text, texts), max_size=2)),
        st.builds(Message, st.just("user"), contents),
        st.builds(Message, st.just("assistant"), texts | own_parts),
        st.builds(Message, st.just("tool"), st.lists(st.builds(ToolResult, st.just("c"), texts))),
    ),
    min_size=1,
    max_size=8,
)
system_texts = st.none() | st.text(min_size=1, max_size=12)
adjustments_of_models = st.builds(
    PromptAdjustments,
    system_before=system_texts,
    system_after=system_texts,
    system_role=st.sampled_from(["system", "developer", "user"]),
    drop=st.lists(st.sampled_from(get_args(Droppable)), max_size=3).map(tuple),
    stop_parameter=st.sampled_from([None, "unsupported", "stop_sequences"]),
)


def adjusted(adjustments: PromptAdjustments, *messages: Message, **options: Any) -> ChatRequest:
    return adjust_prompt(request(messages=list(messages), **options), adjustments)[0]


def said(message: Message) -> list[Content]:
    return [part for part in parts_of(message) if not (isinstance(part, Text) and not part.text)]


def as_told(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.role, str(message.content)) for message in messages]


@given(messages_of_calls)
def test_without_adjustments_the_request_is_the_same_object(messages: list[Message]) -> None:
    chat = request(messages=messages, **SET)
    for none in (None, PromptAdjustments()):
        same, notes = adjust_prompt(chat, none)
        assert same is chat
        assert notes == []


@given(messages_of_calls, adjustments_of_models)
def test_what_the_caller_said_stays(
    messages: list[Message], adjustments: PromptAdjustments
) -> None:
    before = msgspec.json.encode(messages)
    chat = adjusted(adjustments, *messages)
    assert msgspec.json.encode(messages) == before
    others = [item for item in messages if item.role in ("assistant", "tool")]
    assert [item for item in chat.messages if item.role in ("assistant", "tool")] == others
    users = [item for item in messages if item.role == "user"]
    turns = [item for item in chat.messages if item.role == "user"]
    if adjustments.system_role != "user":
        assert turns == users
        return
    assert all(item.role != "system" for item in chat.messages)
    # Every word of every user's turn is there, in order; system text may stand beside it.
    left = [part for turn in turns for part in said(turn)]
    for part in (part for turn in users for part in said(turn)):
        while not _holds(left[0], part):
            left.pop(0)


def _holds(found: Content, part: Content) -> bool:
    if isinstance(found, Text) and isinstance(part, Text):
        return part.text in found.text and found.cache == part.cache
    return found == part


@given(messages_of_calls, adjustments_of_models)
def test_the_bound_of_the_prompt_stays_a_bound(
    messages: list[Message], adjustments: PromptAdjustments
) -> None:
    plain = measure(messages, CallOptions())
    more = measure(adjusted(adjustments, *messages).messages, CallOptions())
    about, at_most = added_tokens(adjustments)
    assert plain.input_tokens_bound is not None
    assert more.input_tokens_bound is not None
    assert more.input_tokens_bound <= plain.input_tokens_bound + at_most
    assert about <= at_most


def test_system_text_is_put_around_the_callers_in_one_message() -> None:
    chat, notes = adjust_prompt(
        request(messages=[Message("system", "Be brief."), Message("user", "Hi")]), AROUND
    )
    assert encoded(OpenAIAdapter(), chat)[0]["messages"] == [
        {"role": "system", "content": "Before.\n\nBe brief.\n\nAfter."},
        {"role": "user", "content": "Hi"},
    ]
    assert encoded(AnthropicAdapter(), chat)[0]["system"] == "Before.\n\nBe brief.\n\nAfter."
    assert notes == [
        "system text of the directory was added before",
        "system text of the directory was added after",
    ]


def test_system_text_is_added_where_the_caller_has_none() -> None:
    chat = adjusted(AROUND, Message("user", "Hi"))
    assert encoded(OpenAIAdapter(), chat)[0]["messages"] == [
        {"role": "system", "content": "Before.\n\nAfter."},
        {"role": "user", "content": "Hi"},
    ]


def test_a_cache_mark_of_the_caller_stays_where_it_was() -> None:
    marked = Message("system", [Text("Long.", cache="1h")])
    body, _ = encoded(AnthropicAdapter(), adjusted(AROUND, marked, Message("user", "Hi")))
    assert [block["text"] for block in body["system"]] == ["Before.", "Long.", "After."]
    assert ["cache_control" in block for block in body["system"]] == [False, True, False]


def test_a_model_without_a_system_role_gets_its_text_in_the_users_turn() -> None:
    chat, notes = adjust_prompt(
        request(messages=[Message("system", "Be brief."), Message("user", "Hi")]), FOLDED
    )
    assert chat.messages == [Message("user", "Be brief.\n\nHi")]
    assert notes == ["system text was sent in a user turn: this model has no role for it"]
    pictured = Message("user", [Image(data=b"png"), Text("What is this?")])
    chat = adjusted(FOLDED, Message("system", "Be brief."), pictured)
    assert chat.messages == [Message("user", [Text("Be brief."), *parts_of(pictured)])]


def test_system_text_in_the_middle_keeps_its_place() -> None:
    user, answer = Message("user", "Hi"), Message("assistant", "Hello")
    system = Message("system", "Now in French.")
    joined = "Hi\n\nNow in French."
    assert adjusted(FOLDED, user, system, answer).messages == [Message("user", joined), answer]
    assert adjusted(FOLDED, user, system).messages == [Message("user", joined)]
    assert as_told(adjusted(FOLDED, user, answer, system, user).messages)[-1] == (
        "user",
        "Now in French.\n\nHi",
    )
    # No user turn is beside it: it becomes one, in its place.
    assert as_told(adjusted(FOLDED, system, answer, user).messages)[0] == ("user", "Now in French.")
    assert adjusted(FOLDED, Message("system", ""), answer).messages == [answer]


def test_the_developer_role_is_sent_where_the_format_has_it() -> None:
    chat = adjusted(
        PromptAdjustments(system_role="developer"), Message("system", "S"), Message("user", "Hi")
    )
    body, notes = encoded(OpenAIAdapter(), chat)
    assert [message["role"] for message in body["messages"]] == ["developer", "user"]
    assert notes == ["system text was sent in the role developer"]
    body, notes = encoded(AnthropicAdapter(), chat)
    assert body["system"] == "S"
    assert notes == []


@pytest.mark.parametrize("name", get_args(Droppable))
def test_what_a_model_refuses_is_left_out_with_a_note(name: str) -> None:
    refusing = PromptAdjustments(drop=(name,))  # type: ignore[arg-type]
    chat, notes = adjust_prompt(request(**SET), refusing)
    expected = {key: value for key, value in SET.items() if key != name}
    assert chat.options == CallOptions(**expected)
    assert notes == [f"{name} was left out: the directory says that this model does not take it"]
    # Nothing is noted of what nobody asked for.
    assert adjust_prompt(request(), refusing)[1] == []


def test_every_option_that_may_be_dropped_is_one_of_a_call() -> None:
    assert set(get_args(Droppable)) == set(SET) <= set(CallOptions.__struct_fields__)


def test_stop_sequences_go_by_the_models_own_name() -> None:
    chat = adjusted(
        PromptAdjustments(stop_parameter="stop_words"), Message("user", "Hi"), stop=["END"]
    )
    body, _ = encoded(OpenAIAdapter(), chat)
    assert body["stop_words"] == ["END"]
    assert "stop" not in body
    body, _ = encoded(AnthropicAdapter(), chat)
    assert body["stop_words"] == ["END"]
    assert "stop_sequences" not in body


def test_stop_sequences_may_be_unsupported() -> None:
    chat, notes = adjust_prompt(
        request(stop=["END"]), PromptAdjustments(stop_parameter="unsupported", drop=("stop",))
    )
    body, more = encoded(OpenAIAdapter(), chat)
    assert "stop" not in body
    assert notes == ["stop was left out: the directory says that this model does not take it"]
    assert more == []


@given(adjustments_of_models.filter(lambda item: item.system_before or item.system_after))
def test_a_note_never_holds_the_text(adjustments: PromptAdjustments) -> None:
    before = adjustments.system_before and f"<{adjustments.system_before}>"
    after = adjustments.system_after and f"<{adjustments.system_after}>"
    marked = msgspec.structs.replace(adjustments, system_before=before, system_after=after)
    _, notes = adjust_prompt(request(messages=[Message("user", "<asked>")], **SET), marked)
    assert all("<" not in note for note in notes)
