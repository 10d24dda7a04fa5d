"""What the vendor's own tools did, and reasoning beside it: back to the vendor, whole or noted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.domain import Part
from routerd.providers.openai.responses import RESPONSES_DIALECTS, ResponsesAdapter
from routerd.providers.openai.responses.items import TORN_NOTE, UNREADABLE_NOTE
from routerd_proto.content import Content, Message, Reasoning, Text, ToolCall
from routerd_proto.frames import ReasoningEnded, TextDelta
from tests.daemon.providers.drive import answer_message, calls_in, decode, encoded, request, text_in
from tests.daemon.providers.openai.responses.test_decode import (
    added,
    call,
    completed,
    delta,
    done,
    message,
)

Json = dict[str, Any]
OPENAI = ResponsesAdapter()
COMPATIBLE = ResponsesAdapter(RESPONSES_DIALECTS["compatible"])
VENDOR = "openai-responses"
SEARCH: Json = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "x", "sources": None},
}
FOUND: Json = {
    "type": "file_search_call",
    "id": "fs_1",
    "status": "completed",
    "queries": ["x"],
    "results": None,
}
CUSTOM: Json = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c", "name": "n", "input": "x"}


def thought(number: int, text: str = "") -> Json:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {
        "type": "reasoning",
        "id": f"rs_{number}",
        "summary": summary,
        "encrypted_content": f"gAAA{number}",
    }


def plain(*items: Json, **fields: Any) -> bytes:
    return json.dumps({"id": "r", "status": "completed", "output": items, **fields}).encode()


def streamed(*items: Json) -> bytes:
    events = [
        added(index, {**item, "status": "in_progress"}) + done(index, item)
        for index, item in enumerate(items)
    ]
    return b"".join(events) + completed(output=list(items))


def sent_back(
    parts: list[Part], adapter: ResponsesAdapter = OPENAI, **changes: Any
) -> tuple[list[Json], list[str]]:
    """Return the items of an answer on the next turn, and the notes."""
    messages = [answer_message(parts), Message("user", "And?")]
    body, notes = encoded(adapter, request("gpt-6-sol", messages, **changes))
    return body["input"][:-1], notes


def said(text: str) -> Json:
    return {"type": "message", "role": "assistant", "content": text}


@pytest.mark.parametrize("write", [plain, streamed])
@pytest.mark.parametrize("text", ["", "Let me see."])
def test_what_the_vendors_tools_did_goes_back_in_its_place(write: Any, text: str) -> None:
    items = [thought(1, text), SEARCH, thought(2), FOUND, thought(3, text), message("News")]
    parts, outcome = decode(OPENAI, [write(*items)])
    assert (text_in(parts), outcome.notes, outcome.complete) == ("News", [], True)
    assert sent_back(parts) == ([*items[:-1], said("News")], [])


def test_it_waits_for_content_and_is_gone_with_a_failure() -> None:
    decoder = OPENAI.decoder(stream=True)
    assert decoder.feed(done(0, thought(1)) + done(1, SEARCH)) == []
    data = [{"item": thought(1)}, {"item": SEARCH}]
    ended = [ReasoningEnded(VENDOR, item) for item in data]
    assert decoder.feed(delta("News", 2)) == [*ended, TextDelta("News")]
    failed = completed("failed", error={"code": "server_error", "message": "no"})
    parts, outcome = decode(OPENAI, [done(0, thought(1)) + done(1, SEARCH) + failed])
    assert (parts, outcome.complete) == ([], False)


def test_it_comes_once_however_often_it_is_told() -> None:
    again = streamed(thought(1), SEARCH, message("News"))
    parts, outcome = decode(OPENAI, [done(1, SEARCH) + again])
    searches = [part for part in parts if isinstance(part, ReasoningEnded)]
    assert [part.data["item"]["id"] for part in searches] == ["ws_1", "rs_1"]
    assert outcome.notes == []
    renamed = completed(output=[{**SEARCH, "id": "other"}, message("News")])
    parts, outcome = decode(OPENAI, [done(0, SEARCH) + done(1, message("News")) + renamed])
    assert parts == [ReasoningEnded(VENDOR, {"item": SEARCH}), TextDelta("News")]
    assert outcome.notes == []


@pytest.mark.parametrize(
    "left",
    [
        CUSTOM,
        {"type": "novel_call", "id": "n", "text": "not to be quoted"},
        {**SEARCH, "status": "incomplete"},
        {**SEARCH, "action": {"query": "x" * 3_000_000}},
    ],
)
@pytest.mark.parametrize("text", ["", "Let me see."])
@pytest.mark.parametrize("write", [plain, streamed])
def test_what_cannot_go_back_is_noted_and_takes_its_reasoning_along(
    write: Any, text: str, left: Json
) -> None:
    items = [thought(1, text), left, thought(2), call(1), thought(3), message("News")]
    parts, outcome = decode(OPENAI, [write(*items)])
    assert outcome.notes == [f"content of kind {left['type']} was left out"]
    assert "not to be quoted" not in str((parts, outcome))
    assert calls_in(parts) == [("call_1", "tool_1", "{}")]
    sent, notes = sent_back(parts)
    assert [item.get("id") for item in sent if item["type"] == "reasoning"] == ["rs_2", "rs_3"]
    assert notes == [TORN_NOTE]


def test_a_server_that_takes_no_such_items_has_none_back() -> None:
    parts, outcome = decode(COMPATIBLE, [plain(SEARCH, message("News"))])
    assert (parts, len(outcome.notes)) == ([TextDelta("News")], 1)
    parts, _ = decode(COMPATIBLE, [plain(thought(1), SEARCH, message("News"))])
    assert sent_back(parts, COMPATIBLE) == ([said("News")], [TORN_NOTE])


@pytest.mark.parametrize(
    "body",
    [
        # Only the beginning came, or it came when its place was lost: behind the text.
        added(0, {**SEARCH, "status": "in_progress"}) + delta("News", 1) + completed(),
        delta("News", 1) + completed(output=[SEARCH, message("News")]),
    ],
)
def test_an_item_whose_place_is_lost_is_noted(body: bytes) -> None:
    parts, outcome = decode(OPENAI, [body])
    assert parts == [TextDelta("News")]
    assert outcome.notes == ["content of kind web_search_call was left out"]


@pytest.mark.parametrize(
    ("part", "note"),
    [
        (Reasoning("", VENDOR, {"item": SEARCH}), None),
        (Reasoning("", "azure-responses", {"item": SEARCH}), UNREADABLE_NOTE),
        (Reasoning("", VENDOR, {"item": CUSTOM}), UNREADABLE_NOTE),
        (Reasoning("", VENDOR, {"item": {"type": ["web_search_call"]}}), UNREADABLE_NOTE),
        (Reasoning("", VENDOR, {"item": {"role": "user", "content": "x"}}), UNREADABLE_NOTE),
        (Reasoning("", VENDOR, {"left_out": "x"}), None),
    ],
)
def test_a_history_brings_no_other_items(part: Reasoning, note: str | None) -> None:
    messages = [Message("assistant", [part, Text("a")])]
    body, notes = encoded(OPENAI, request("gpt-6-sol", messages))
    is_back = note is None and "item" in part.data
    assert body["input"] == [*([SEARCH] if is_back else []), said("a")]
    assert notes == ([] if note is None else [note])


def test_a_search_without_its_reasoning_is_left_out_with_it_where_that_is_refused() -> None:
    torn = "Item 'ws_1' of type 'web_search_call' was provided without its required 'reasoning'"
    history: list[Content] = [Reasoning("", VENDOR, {"item": SEARCH}), ToolCall("c", "f")]
    asked = request("gpt-6-sol", [Message("assistant", history)])
    error = {"error": {"message": torn, "type": "invalid_request_error", "param": "input"}}
    failure = OPENAI.failure(400, {}, json.dumps(error).encode())
    repair = OPENAI.repair(asked, failure)
    assert repair is not None
    body, _ = encoded(OPENAI, repair.request)
    assert [item["type"] for item in body["input"]] == ["function_call"]
