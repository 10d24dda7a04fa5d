"""What an end says that no piece before it said: given out, and nothing of it twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.providers.openai.responses import ResponsesAdapter
from routerd.providers.openai.told import OTHER_TEXT_NOTE, Rest, Told, units_of
from routerd_proto.frames import (
    ReasoningDelta,
    ReasoningEnded,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from tests.daemon.providers.drive import calls_in, decode, fixture, reasoning_in, text_in
from tests.daemon.providers.openai.responses.test_decode import (
    added,
    call,
    completed,
    delta,
    done,
    event,
    message,
)

OPENAI = ResponsesAdapter()
PLACE: dict[str, Any] = {"output_index": 0, "content_index": 0}
CUT = {"reason": "max_output_tokens"}


def text_done(text: str, **fields: Any) -> bytes:
    return event("response.output_text.done", text=text, **fields)


def part_done(text: str, kind: str = "output_text", **fields: Any) -> bytes:
    name = "refusal" if kind == "refusal" else "text"
    return event("response.content_part.done", part={"type": kind, name: text}, **fields)


def pieces(text: str) -> bytes:
    return b"".join(delta(character) for character in text)


@pytest.mark.parametrize(
    "end",
    [
        text_done("hello", **PLACE),
        part_done("hello", **PLACE),
        done(0, message("hello")),
        completed(output=[message("hello")]),
        completed("incomplete", output=[message("hello")], incomplete_details=CUT),
        # Without the place of the part, of the item, or of both.
        text_done("hello", output_index=0),
        text_done("hello", item_id="msg", content_index=0),
        part_done("hello"),
        event("response.output_item.done", item=message("hello")),
    ],
)
@pytest.mark.parametrize("came", ["", "h", "hell", "hello"])
def test_what_no_piece_brought_is_in_the_end(came: str, end: bytes) -> None:
    body = b"".join(delta(character, item_id="msg") for character in came) + end
    parts, outcome = decode(OPENAI, [body + completed(output=[message("hello")])])
    assert parts == [TextDelta("hello")]
    assert (outcome.complete, outcome.notes, outcome.malformed_events) == (True, [], 0)


@pytest.mark.parametrize(
    "ends",
    [
        text_done("ab", **PLACE) + part_done("ab", **PLACE) + done(0, message("ab")),
        text_done("ab", output_index=0) + part_done("ab", **PLACE) + done(0, message("ab")),
        text_done("ab", **PLACE) + part_done("ab", output_index=0) + done(0, message("ab")),
        done(0, message("ab")) + text_done("ab", **PLACE),
        text_done("", **PLACE) + part_done("") + done(0, message("")) + completed(output=[]),
    ],
)
@pytest.mark.parametrize("place", [PLACE, {"output_index": 0}, {"item_id": "m"}, {}])
def test_no_end_says_again_what_came(ends: bytes, place: dict[str, Any]) -> None:
    came = event("response.output_text.delta", delta="a", **place)
    came += event("response.output_text.delta", delta="b", **place)
    body = added(0, message()) + came + ends + ends + completed(output=[message("ab")])
    parts, outcome = decode(OPENAI, [body])
    assert (parts, outcome.notes) == ([TextDelta("ab")], [])


@pytest.mark.parametrize(
    ("came", "whole"),
    [("hlo", "hello"), ("hhello", "hello"), ("hello", "hell"), ("world", "hello"), ("b", "a")],
)
def test_pieces_that_are_no_beginning_are_noted_and_never_doubled(came: str, whole: str) -> None:
    ends = [text_done(whole, **PLACE), part_done(whole, **PLACE), done(0, message(whole))]
    for end in [*ends, completed(output=[message(whole)])]:
        parts, outcome = decode(OPENAI, [pieces(came) + end + completed()])
        assert (text_in(parts), outcome.notes) == (came, [OTHER_TEXT_NOTE])
        assert outcome.complete


def test_parts_and_items_are_compared_each_by_itself() -> None:
    body = delta("a") + text_done("ab", **PLACE) + delta("cd", place=1)
    body += done(0, message("ab", "cdef")) + delta("g", 1) + done(1, message("gh"))
    body += completed(output=[message("ab", "cdef"), message("gh"), message("ij")])
    parts, outcome = decode(OPENAI, [body])
    assert (text_in(parts), outcome.notes) == ("abcdefghij", [])


def test_parts_without_places_follow_each_other() -> None:
    def unplaced(text: str) -> bytes:
        return event("response.output_text.delta", output_index=0, delta=text)

    body = unplaced("ab") + text_done("abc", **PLACE)
    body += unplaced("de") + text_done("def", output_index=0, content_index=1)
    body += text_done("gh", output_index=0, content_index=2) + done(0, message("abc", "def", "gh"))
    parts, outcome = decode(OPENAI, [body + completed()])
    assert (text_in(parts), outcome.notes) == ("abcdefgh", [])


def test_an_end_of_one_of_several_items_waits_for_the_whole_answer() -> None:
    def piece(item_id: str, text: str) -> bytes:
        return event("response.output_text.delta", item_id=item_id, delta=text)

    body = piece("x", "a") + piece("y", "a")  # one text, whose id changes from piece to piece
    body += event("response.output_item.done", item=message("aa", id="z"))
    parts, outcome = decode(OPENAI, [body + completed(output=[message("aa", "b")])])
    assert (text_in(parts), outcome.notes) == ("aab", [OTHER_TEXT_NOTE])


def test_an_item_that_ended_too_early_is_noted_where_more_of_it_comes() -> None:
    body = done(0, message("a")) + done(0, message("ab"))
    parts, outcome = decode(OPENAI, [body + completed()])
    assert (text_in(parts), outcome.notes) == ("a", [OTHER_TEXT_NOTE])


@pytest.mark.parametrize(
    "end",
    [
        event("response.refusal.done", refusal="I cannot.", **PLACE),
        part_done("I cannot.", "refusal", **PLACE),
        done(0, {"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}),
        completed(
            output=[{"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}]
        ),
    ],
)
def test_the_rest_of_a_refusal_is_in_its_end(end: bytes) -> None:
    came = event("response.refusal.delta", delta="I ", **PLACE)
    for body in (end, came + end, came + end + end):
        parts, outcome = decode(OPENAI, [body + completed()])
        assert (parts, outcome.notes) == ([RefusalDelta("I cannot.")], [])


@pytest.mark.parametrize(
    "end",
    [
        event("response.function_call_arguments.done", output_index=0, arguments='{"a":1}'),
        event("response.function_call_arguments.done", item_id="other", arguments='{"a":1}'),
        done(0, call(0, '{"a":1}')),
        done(0, {**call(0), "arguments": {"a": 1}}),
        completed(output=[call(0, '{"a":1}')]),
    ],
)
@pytest.mark.parametrize("came", ['{"', '{"a":1}'])
def test_the_rest_of_arguments_is_in_their_end(came: str, end: bytes) -> None:
    body = added(0, call(0, ""))
    body += event("response.function_call_arguments.delta", output_index=0, delta=came)
    whole = completed(output=[call(0, '{"a":1}')])
    parts, outcome = decode(OPENAI, [body + end + end + whole])
    assert calls_in(parts) == [("call_0", "tool_0", '{"a":1}')]
    assert outcome.notes == []


def test_a_call_whose_id_only_comes_with_the_whole_answer_is_made_once() -> None:
    body = event("response.function_call_arguments.delta", output_index=0, delta='{"a"')
    body += done(0, {**call(0, '{"a":1}'), "call_id": None})
    parts, outcome = decode(OPENAI, [body + completed(output=[call(0, '{"a":1}')])])
    assert calls_in(parts) == [("fc_0", "tool_0", '{"a":1}')]
    assert outcome.notes == []


@pytest.mark.parametrize("place", [0, 1, 7, None])
def test_an_end_at_another_place_than_its_pieces_says_nothing_again(place: int | None) -> None:
    at: dict[str, Any] = {"output_index": 0, "content_index": place}
    came = b"".join(delta(piece, place=number) for number, piece in enumerate(("he", "l", "lo")))
    for end in (text_done("hello", **at), part_done("hello", **at)):
        parts, outcome = decode(OPENAI, [came + end + end + done(0, message("hello"))])
        assert (text_in(parts), outcome.notes) == ("hello", [])
    refused = event("response.refusal.delta", delta="No.", output_index=0, content_index=2)
    refused += event("response.refusal.done", refusal="No.", **at)
    assert decode(OPENAI, [refused + completed()])[0] == [RefusalDelta("No.")]
    thoughts = thought("summary_text.delta", summary_index=2, delta="Hm.")
    thoughts += thought("summary_text.done", summary_index=place, text="Hm.")
    parts, _ = decode(OPENAI, [thoughts + delta("Yes", 1) + completed()])
    assert reasoning_in(parts) == "Hm."


def test_two_parts_of_one_text_are_both_said() -> None:
    ends = b"".join(text_done("ha", output_index=0, content_index=place) for place in (0, 1))
    parts, outcome = decode(OPENAI, [ends + done(0, message("ha", "ha")) + completed()])
    assert (text_in(parts), outcome.notes) == ("haha", [])


def test_a_call_whose_name_was_lost_is_made_once() -> None:
    body = event("response.function_call_arguments.delta", output_index=0, delta='{"a"')
    parts, outcome = decode(OPENAI, [body + completed(output=[call(0, '{"a":1}')])])
    assert calls_in(parts) == [("call_0", "tool_0", '{"a":1}')]
    assert outcome.notes == []


def thought(kind: str, **fields: Any) -> bytes:
    return event(f"response.reasoning_{kind}", output_index=0, **fields)


@pytest.mark.parametrize(
    "end",
    [
        thought("summary_text.done", summary_index=1, text="And so."),
        thought("summary_part.done", summary_index=1, part={"type": "summary_text", "text": "-"}),
        b"",
    ],
)
def test_the_rest_of_reasoning_is_in_its_end(end: bytes) -> None:
    end = end.replace(b'"-"', b'"And so."')
    texts = [{"type": "summary_text", "text": text} for text in ("First.", "And so.")]
    item = {"type": "reasoning", "id": "rs", "summary": texts, "encrypted_content": "gAAA"}
    body = added(0, {**item, "summary": []})
    body += thought("summary_text.delta", summary_index=0, delta="Fir")
    body += thought("summary_text.done", summary_index=0, text="First.")
    for came in (body, body + thought("summary_text.delta", summary_index=1, delta="And")):
        ends = [done(0, item), completed(output=[item, message("Yes")])]
        for more in (b"".join(ends), ends[1]):
            parts, outcome = decode(OPENAI, [came + end + more])
            assert parts == [
                ReasoningDelta("First.\n\nAnd so."),
                ReasoningEnded("openai-responses", {"item": item}),
                TextDelta("Yes"),
            ]
            assert outcome.notes == []


def test_reasoning_in_the_open_ends_with_its_text() -> None:
    body = thought("text.delta", content_index=0, delta="Hm")
    body += thought("text.done", content_index=0, text="Hm, yes")
    body += event(
        "response.content_part.done",
        output_index=0,
        content_index=0,
        part={"type": "reasoning_text", "text": "Hm, yes."},
    )
    parts, outcome = decode(OPENAI, [body + delta("Yes", 1) + completed()])
    assert (reasoning_in(parts), text_in(parts), outcome.notes) == ("Hm, yes.", "Yes", [])


def test_reasoning_that_comes_behind_the_text_is_noted() -> None:
    item = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]}
    body = thought("summary_text.delta", summary_index=0, delta="H") + delta("Yes", 1)
    parts, outcome = decode(OPENAI, [body + completed(output=[item, message("Yes")])])
    assert (reasoning_in(parts), text_in(parts)) == ("H", "Yes")
    assert len(outcome.notes) == 1
    assert "left out" in outcome.notes[0]


def test_halves_of_a_character_are_found_again_in_the_whole() -> None:
    body = pieces("a") + b'data: {"type":"response.output_text.delta","output_index":0,'
    body += b'"content_index":0,"delta":"\\ud83d"}\n\n'
    parts, outcome = decode(OPENAI, [body + text_done("a😀b", **PLACE) + completed()])
    assert (text_in(parts), outcome.notes) == ("a😀b", [])


@pytest.mark.parametrize("count", [1, 63, 64, 65, 500])
def test_a_long_text_is_compared_whole(count: int) -> None:
    words = [f"wörd{number} " for number in range(count)]
    whole = "".join(words) + "end"
    body = b"".join(map(delta, words))
    parts, outcome = decode(OPENAI, [body + done(0, message(whole)) + completed()])
    assert (text_in(parts), outcome.notes) == (whole, [])
    parts, outcome = decode(OPENAI, [body + done(0, message("W" + whole[1:])) + completed()])
    assert (text_in(parts), outcome.notes) == ("".join(words), [OTHER_TEXT_NOTE])


def test_a_beginning_that_comes_late_begins_nothing_new() -> None:
    body = delta("a", item_id="m") + added(0, message()) + delta("b", item_id="m")
    parts, outcome = decode(OPENAI, [body + done(0, message("ab")) + completed()])
    assert (text_in(parts), outcome.notes) == ("ab", [])
    pieces_first = event("response.function_call_arguments.delta", item_id="fc_0", delta='{"a":1}')
    for body in (
        pieces_first + event("response.output_item.added", item=call(0, "")),
        pieces_first + added(0, call(0, "")) + done(0, call(0, '{"a":1}')),
    ):
        parts, outcome = decode(OPENAI, [body + completed(output=[call(0, '{"a":1}')])])
        assert calls_in(parts) == [("call_0", "tool_0", '{"a":1}')]
        assert outcome.notes == []


def test_what_names_nothing_belongs_to_no_item_that_has_ended() -> None:
    item = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]}
    thought_of = event("response.output_item.done", item=item)
    body = thought_of + event("response.output_text.delta", delta="a")
    body += event("response.output_text.done", text="ab")
    body += event("response.output_item.done", item=message("abc"))
    body += event("response.function_call_arguments.delta", delta='{"a"')
    body += event("response.output_item.done", item=call(0, '{"a":1}'))
    whole = completed(output=[item, message("abc"), call(0, '{"a":1}')])
    parts, outcome = decode(OPENAI, [body + whole])
    assert (text_in(parts), outcome.notes) == ("abc", [])
    assert calls_in(parts) == [("call_0", "tool_0", '{"a":1}')]
    assert text_in(decode(OPENAI, [thought_of + event("response.output_text.done", text="x")])[0])


def test_a_beginning_without_an_id_is_that_of_the_pieces_behind_it() -> None:
    body = event("response.output_item.added", item={**call(0, ""), "id": None})
    body += event("response.function_call_arguments.delta", item_id="fc_0", delta='{"a":1}')
    parts, _ = decode(OPENAI, [body + completed(output=[call(0, '{"a":1}')])])
    assert calls_in(parts) == [("call_0", "tool_0", '{"a":1}')]


@pytest.mark.parametrize("name", ["text.sse", "tools_parallel.sse", "refusal.sse"])
def test_events_that_are_sent_again_say_nothing_twice(name: str) -> None:
    *before, last = events_of(name)
    once, _ = decode(OPENAI, [b"".join(before) + last])
    parts, outcome = decode(OPENAI, [b"".join(before) * 2 + last])
    assert said(parts) == said(once)
    assert outcome.complete


def test_another_item_in_the_place_of_one_that_ended_is_given_out() -> None:
    body = delta("a", item_id="x") + done(0, message("a", id="x"))
    body += delta("b", item_id="y") + done(0, message("b", id="y"))
    body += added(0, message(id="z")) + delta("c", item_id="z")
    parts, _ = decode(OPENAI, [body + completed()])
    assert text_in(parts) == "abc"


def test_what_only_stands_in_beginnings_or_beside_the_output() -> None:
    begun = added(0, message("ab")) + added(1, call(1, '{"a":1}')) + added(2, call(2, ""))
    for body in (begun + completed(), begun + completed(output=[])):
        parts, outcome = decode(OPENAI, [body])
        assert text_in(parts) == "ab"
        assert calls_in(parts) == [
            ("call_1", "tool_1", '{"a":1}'),
            ("call_2", "tool_2", "{}"),
        ]
        assert outcome.notes == []
    for body in (
        begun + done(0, message("abc")) + completed(output=[message("abc"), call(1, '{"a":1}')]),
        begun + completed(output=[message("abc"), call(1, '{"a":1}')]),
        delta("abc") + completed(output_text="abc"),
        delta("a") + completed(output_text="abc"),
        completed(output_text="abc"),
        json.dumps({"id": "r", "status": "completed", "output_text": "abc"}).encode(),
        completed(output=[{"type": "reasoning", "summary": []}], output_text="abc"),
        completed(output=[{"role": "assistant", "content": [{"text": "abc"}]}]),
        completed(output=[message("abc")], output_text="abc"),
        # What came of another item is nothing of what only this one's beginning says.
        thought("summary_text.delta", summary_index=0, delta="Hm.")
        + added(1, message("abc"))
        + completed(),
        delta("a", 0) + added(1, message("bc", id="n")) + completed(),
    ):
        parts, outcome = decode(OPENAI, [body])
        assert (text_in(parts), outcome.notes, outcome.failure) == ("abc", [], None)


def events_of(name: str) -> list[bytes]:
    body = fixture(f"openai-responses/{name}")
    return [block + b"\n\n" for block in body.split(b"\n\n") if block.strip()]


def whole_output(events: list[bytes]) -> bytes:
    """Return the events' end with the items in it that they ended one by one."""
    items = []
    for block in events:
        data = json.loads(block.partition(b"data: ")[2])
        if data["type"] == "response.output_item.done":
            items.append(data["item"])
    last = json.loads(events[-1].partition(b"data: ")[2])
    last["response"]["output"] = items
    return b"data: " + json.dumps(last).encode() + b"\n\n"


def said(parts: list[Any]) -> tuple[str, list[str]]:
    """Return what was said or refused, and the arguments of all calls, whichever began first."""
    refused = "".join(part.refusal for part in parts if isinstance(part, RefusalDelta))
    calls = {part.index: "" for part in parts if isinstance(part, ToolCallStarted)}
    for part in parts:
        if isinstance(part, ToolCallDelta):
            calls[part.index] += part.arguments
    return text_in(parts) + refused, sorted(calls.values())


@pytest.mark.parametrize("name", ["text.sse", "tools_parallel.sse", "refusal.sse"])
@given(data=st.data())
def test_whatever_is_lost_on_the_way_is_there_or_noted(name: str, data: st.DataObject) -> None:
    *before, last = events_of(name)
    expected = said(decode(OPENAI, [b"".join(before) + last])[0])
    kept = [block for block in before if data.draw(st.booleans())]
    parts, outcome = decode(OPENAI, [b"".join(kept) + whole_output([*before, last])])
    assert outcome.complete
    text, calls = said(parts)
    if OTHER_TEXT_NOTE not in outcome.notes:
        assert (text, calls) == expected
    assert len(text) <= len(expected[0])
    assert len(calls) == len(expected[1])


@given(
    st.lists(st.text(st.characters(), max_size=5), max_size=8),
    st.integers(0, 50),
    st.sampled_from(["text", "refusal"]),
)
def test_a_rest_and_what_was_told_are_the_whole(texts: list[str], cut: int, kind: Any) -> None:
    whole = "".join(texts)
    told = Told()
    told.add(units_of(whole[:cut]))
    assert told.rest_of(whole) == whole[cut:]
    rest = Rest({kind: told}, ((kind, text) for text in texts))
    assert not rest.differs
    assert "".join(rest.take(kind, text) for text in texts) == whole[cut:]
    if whole[:cut]:
        other = chr(ord(whole[0]) ^ 1) + whole[1:]
        assert told.rest_of(other) is None


PLACES = st.fixed_dictionaries({}, optional={"output_index": st.just(0), "item_id": st.just("fc")})
IDS = st.fixed_dictionaries({}, optional={"id": st.just("fc"), "call_id": st.just("call")})


@given(PLACES, PLACES, IDS, IDS, IDS, st.sets(st.sampled_from(["delta", "done", "output"])))
def test_a_call_is_made_once_whatever_of_its_places_and_ids_is_told(
    begins: dict[str, Any],
    ends: dict[str, Any],
    first: dict[str, Any],
    middle: dict[str, Any],
    last: dict[str, Any],
    told: set[str],
) -> None:
    whole = {"type": "function_call", "name": "f", "arguments": '{"a":1}'}
    at = {"output_index": 0} if "output_index" in begins else {}
    body = event("response.output_item.added", item={**whole, **first, "arguments": ""}, **at)
    if "delta" in told:
        body += event("response.function_call_arguments.delta", delta='{"a"', **ends)
    body += event("response.function_call_arguments.done", arguments='{"a":1}', **ends)
    at = {"output_index": 0} if "output_index" in ends else {}
    if "done" in told:
        body += event("response.output_item.done", item={**whole, **middle}, **at)
    body += completed(output=[{**whole, **last}] if "output" in told else [])
    parts, outcome = decode(OPENAI, [body])
    assert [made[1:] for made in calls_in(parts)] == [("f", '{"a":1}')]
    assert outcome.notes == []


def test_two_calls_without_places_and_ids_stay_two() -> None:
    first, second = (
        {"type": "function_call", "name": "f", "arguments": json.dumps({"a": number})}
        for number in (1, 2)
    )
    body = b"".join(
        event("response.output_item.added", item={**item, "arguments": ""})
        + event("response.output_item.done", item=item, output_index=index)
        for index, item in enumerate((first, second))
    )
    both = [("f", first["arguments"]), ("f", second["arguments"])]
    for output in ([], [first, second], [{**first, "call_id": "b"}, {**second, "call_id": "c"}]):
        parts, outcome = decode(OPENAI, [body + completed(output=output)])
        assert ([made[1:] for made in calls_in(parts)], outcome.notes) == (both, [])
    # One more of the same name is one more.
    parts, _ = decode(OPENAI, [body + completed(output=[first, second, first])])
    assert [made[1:] for made in calls_in(parts)] == [*both, both[0]]
