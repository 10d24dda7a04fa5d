"""What Anthropic's own tools did: given out, and back to Anthropic as it was; a pause goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from routerd.errors import CallRefused, ErrorClass, Failure
from routerd.providers.anthropic import AnthropicAdapter
from routerd.providers.anthropic.own_blocks import GO_BACK
from routerd.providers.base import Adapter
from routerd.providers.registry import build_adapter
from routerd_client.reply import assemble
from routerd_proto.content import Content, Message, Reasoning, Text, Tool, ToolResult
from routerd_proto.frames import CallEnded, ReasoningEnded, TextDelta
from tests.daemon.providers.anthropic.test_decode import STOP, block, delta, event
from tests.daemon.providers.drive import ABLE, calls_in, chat_parts, decode, encoded, request
from tests.daemon.providers.test_cache_marks import WIRES, marks_in
from tests.daemon.providers.test_splitting import JSON

ANTHROPIC = AnthropicAdapter()
MODEL = "claude-opus-4-6"
USE: dict[str, Any] = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "tides"},
}
FOUND: dict[str, Any] = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://example.org",
            "title": "T",
            "encrypted_content": "E==",
            "page_age": None,
        }
    ],
}
ENDS = event("message_delta", delta={"stop_reason": "end_turn"}) + STOP
PAUSES = event("message_delta", delta={"stop_reason": "pause_turn"}) + STOP
SAID = "Let me see."


def streamed(*blocks: dict[str, Any], end: bytes = ENDS) -> bytes:
    """Write an answer as it is streamed: a use begins without its input."""
    body = b""
    for index, fields in enumerate(blocks):
        if fields["type"] == "text":
            body += block(index, type="text", text="")
            body += delta(index, "text_delta", text=fields["text"])
        elif fields["type"] == "server_tool_use":
            body += block(index, **{**fields, "input": {}})
            for piece in ("", *json.dumps(fields["input"])):
                body += delta(index, "input_json_delta", partial_json=piece)
        else:
            body += block(index, **fields)
        body += event("content_block_stop", index=index)
    return body + end


def plain(*blocks: dict[str, Any], reason: str = "end_turn") -> bytes:
    return json.dumps({"type": "message", "content": blocks, "stop_reason": reason}).encode()


def answered(body: bytes, *, stream: bool = True) -> Message:
    parts, outcome = decode(ANTHROPIC, [body], stream=stream)
    assert outcome.complete
    return assemble(chat_parts(parts), CallEnded("stop", "d")).message


def sent_back(answer: Message, *more: Message, **options: Any) -> tuple[Any, list[str]]:
    chat = request(MODEL, [Message("user", "Hi"), answer, *more], **options)
    body, notes = encoded(ANTHROPIC, chat)
    return body["messages"], notes


GO_ON = Message("user", "Go on.")
WORDS = {"type": "text", "text": SAID}
OTHERS: list[dict[str, Any]] = [
    {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": {"type": "x"}},
    {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {"a": [1]}},
    {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}},
    {"type": "text_editor_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": {}},
    {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": {}},
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("result", [FOUND, *OTHERS], ids=lambda result: result["type"])
def test_they_go_back_as_they_came_and_in_their_place(
    result: dict[str, Any], *, stream: bool
) -> None:
    blocks = [WORDS, USE, result, {"type": "text", "text": "It is calm."}]
    body = streamed(*blocks) if stream else plain(*blocks)
    parts, outcome = decode(ANTHROPIC, [body], stream=stream)
    assert parts == [
        TextDelta(SAID),
        ReasoningEnded("anthropic", {"block": USE}),
        ReasoningEnded("anthropic", {"block": result}),
        TextDelta("It is calm."),
    ]
    assert outcome.notes == [
        f"a part of the answer is not shown, and goes back: {kind}"
        for kind in ("server_tool_use", result["type"])
    ]
    turns, notes = sent_back(answered(body, stream=stream), GO_ON)
    assert turns[1] == {"role": "assistant", "content": blocks}
    assert notes == []


def test_nobody_else_has_them() -> None:
    answer = answered(streamed(WORDS, USE, FOUND))
    for name in ("openai", "openai-responses", "gemini", "bedrock", "cohere"):
        chat = request("some-model", [Message("user", "Hi"), answer, GO_ON])
        body, notes = encoded(build_adapter(name), chat)
        assert "srvtoolu_1" not in json.dumps(body)
        assert sum("reasoning of an earlier answer was left out" in note for note in notes) == 1


def test_a_use_without_its_result_is_left_out_and_a_result_without_its_use() -> None:
    for half in (USE, FOUND):
        turns, notes = sent_back(answered(streamed(WORDS, half)), GO_ON)
        assert turns[1] == {"role": "assistant", "content": [WORDS]}
        assert len(notes) == 1
        assert "its result is not in the conversation" in notes[0]


CALL = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
ADD = Tool("add")
RESULT = Message("tool", [ToolResult("toolu_1", "4")])
STOPS_FOR_CALL = event("message_delta", delta={"stop_reason": "tool_use"}) + STOP


def test_a_use_beside_a_call_waits_for_the_answer_after_it() -> None:
    asked = answered(streamed(USE, CALL, end=STOPS_FOR_CALL))
    turns, notes = sent_back(asked, RESULT, tools=[ADD])
    assert turns[1] == {"role": "assistant", "content": [USE, CALL]}
    assert notes == []
    rest = [FOUND, {"type": "text", "text": "It is calm."}]
    turns, notes = sent_back(asked, RESULT, answered(streamed(*rest)), GO_ON, tools=[ADD])
    assert [turn["content"] for turn in turns[1:4:2]] == [[USE, CALL], rest]
    assert notes == []


@pytest.mark.parametrize(
    ("use", "after"),
    [
        (USE, [RESULT, Message("assistant", "It is 4."), GO_ON]),
        (USE, [RESULT, GO_ON]),
        (USE, [Message("user", [ToolResult("toolu_1", "4"), Text("Go on.")])]),
        ({**USE, "name": "tool_search_tool_regex"}, [RESULT]),
    ],
    ids=["answered since", "spoken since", "spoken with it", "search for tools"],
)
def test_no_other_use_waits(use: dict[str, Any], after: list[Message]) -> None:
    turns, notes = sent_back(answered(streamed(use, CALL, end=STOPS_FOR_CALL)), *after, tools=[ADD])
    assert turns[1] == {"role": "assistant", "content": [CALL]}
    assert len(notes) == 1
    assert "its result is not in the conversation" in notes[0]


@pytest.mark.parametrize("kind", ["mcp_tool_use", "mcp_tool_result", "compaction", "novel_thing"])
def test_what_no_request_takes_back_is_left_out_with_a_note(kind: str) -> None:
    body = streamed({"type": kind, "content": "a secret"}, WORDS)
    parts, outcome = decode(ANTHROPIC, [body])
    assert (parts, outcome.malformed_events) == ([TextDelta(SAID)], 0)
    assert outcome.notes == [f"content of kind {kind} was left out"]


@pytest.mark.parametrize("given", ['{"query":', "[1]", "null"])
def test_a_use_whose_input_is_no_object_is_left_out_with_a_note(given: str) -> None:
    body = block(0, **{**USE, "input": {}}) + delta(0, "input_json_delta", partial_json=given)
    parts, outcome = decode(ANTHROPIC, [body + event("content_block_stop", index=0) + ENDS])
    assert (parts, outcome.malformed_events) == ([], 1)
    assert outcome.notes == ["content of kind server_tool_use was left out"]


def test_halves_of_characters_in_them_are_made_whole() -> None:
    body = block(0, **{**USE, "input": {}})
    body += delta(0, "input_json_delta", partial_json='{"query": "\\ud83d"}') + ENDS
    [ended], _ = decode(ANTHROPIC, [body])
    assert isinstance(ended, ReasoningEnded)
    assert ended.data["block"]["input"] == {"query": "\ufffd"}


def test_one_that_no_frame_carries_is_left_out_with_a_note() -> None:
    huge = {**FOUND, "content": "x" * 3_000_000}
    parts, outcome = decode(ANTHROPIC, [streamed(huge)])
    assert parts == [ReasoningEnded("anthropic", {})]
    assert outcome.notes == ["data to go back with reasoning was left out: too large, or too deep"]


BLOCKS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*sorted(GO_BACK), "tool_result", "text"]) | JSON,
        "id": st.just("s") | JSON,
        "tool_use_id": st.just("s") | JSON,
        "content": JSON,
        "input": JSON,
        "cache_control": JSON,
    },
)


@pytest.mark.parametrize("adapter", [ANTHROPIC, build_adapter("bedrock")], ids=lambda one: one.name)
@given(
    blocks=st.lists(BLOCKS | st.dictionaries(st.sampled_from(["toolUse", "toolResult"]), JSON)),
    last=st.booleans(),
)
@example(blocks=[USE, {**FOUND, "content": [1, "cache_control"]}], last=False)
def test_whatever_a_caller_says_that_they_are_never_raises(
    adapter: Adapter, blocks: list[Any], *, last: bool
) -> None:
    content: list[Content] = [Reasoning("", adapter.name, {"block": block}) for block in blocks]
    content += [Text("a", cache="1h"), Reasoning("", adapter.name, {"on": "pause"})]
    history = [Message("user", "Hi"), Message("assistant", content), *([] if last else [GO_ON])]
    body, _ = encoded(adapter, request(MODEL, history, tools=[Tool("look")]))
    assert len(list(marks_in(body["messages"], WIRES[adapter.name].field))) == 1


# --- an answer that paused ------------------------------------------------------------------------

PAUSED = [WORDS, USE]
UNABLE = replace(ABLE, prefill=False)


@pytest.mark.parametrize("stream", [True, False])
def test_a_paused_answer_goes_on_where_no_answer_may_be_begun(*, stream: bool) -> None:
    body = streamed(*PAUSED, end=PAUSES) if stream else plain(*PAUSED, reason="pause_turn")
    parts, outcome = decode(ANTHROPIC, [body], stream=stream)
    assert (outcome.finish, outcome.complete) == ("pause", True)
    assert parts[-1] == ReasoningEnded("anthropic", {"on": "pause"})
    answer = answered(body, stream=stream)
    chat = request("claude-opus-4-8", [Message("user", "Hi"), answer], capabilities=UNABLE)
    sent, notes = encoded(ANTHROPIC, chat)
    assert sent["messages"][1:] == [{"role": "assistant", "content": PAUSED}]
    assert notes == []


def test_what_went_on_is_one_turn_with_what_paused() -> None:
    paused = answered(streamed(*PAUSED, end=PAUSES))
    rest = [FOUND, {"type": "text", "text": "It is calm."}]
    turns, notes = sent_back(paused, answered(streamed(*rest)), GO_ON)
    assert turns[1] == {"role": "assistant", "content": [*PAUSED, *rest]}
    assert (len(turns), notes) == (3, [])


def test_a_pause_that_somebody_spoke_after_is_over() -> None:
    turns, notes = sent_back(answered(streamed(*PAUSED, end=PAUSES)), GO_ON)
    assert turns[1]["content"] == [WORDS]
    assert len(notes) == 1


@pytest.mark.parametrize(
    "content",
    [
        "Let me",
        [Text("Let me"), Reasoning("", "gemini", {"on": "pause", "token": "t"})],
        [Text("Let me"), Reasoning("", "anthropic", {"signature": "s"})],
    ],
)
def test_no_other_last_message_goes_on_there(content: str | list[Content]) -> None:
    messages = [Message("user", "Hi"), Message("assistant", content)]
    with pytest.raises(CallRefused):
        ANTHROPIC.encode(request("claude-opus-4-8", messages, capabilities=UNABLE))


@pytest.mark.parametrize("paused", [True, False])
def test_it_stays_where_all_thinking_has_to_go(*, paused: bool) -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    blocks = [thought, WORDS, USE] if paused else [thought, WORDS, USE, FOUND]
    answer = answered(plain(*blocks, reason="pause_turn" if paused else "end_turn"), stream=False)
    messages = [Message("user", "Hi"), answer, *([] if paused else [GO_ON])]
    refused = Failure(ErrorClass.BAD_REQUEST, "Invalid `signature` in `thinking` block", status=400)
    repair = ANTHROPIC.repair(request(MODEL, messages, capabilities=UNABLE), refused)
    assert repair is not None
    body, _ = encoded(ANTHROPIC, repair.request)
    assert body["messages"][1]["content"] == blocks[1:]


def test_it_is_no_call_of_the_callers() -> None:
    parts, outcome = decode(ANTHROPIC, [streamed(USE, FOUND)])
    assert calls_in(parts) == []
    assert outcome.finish == "stop"
