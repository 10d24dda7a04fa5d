"""Recorded shapes with fields that are lost, empty or of another type: on both wires of OpenAI.

Whatever became of an event, nothing raises, a cut changes nothing, what is known of the answer can
go back, and the words of all other events are said or it is noted that they were not.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.errors import CallRefused
from routerd.providers.json_text import JSON_ERRORS, read_json
from routerd.providers.registry import build_adapter
from routerd.providers.sse import SseParser
from routerd_proto.codec import encode_frame
from routerd_proto.content import Message
from tests.daemon.providers.drive import FIXTURES, answer_message, decode, encoded, request
from tests.daemon.providers.test_lost_events import STREAMS, WORD, words_in

WIRES = ("openai", "openai-responses")
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, 0, 7, -1, 1.5, "", "x", "\ud83d", [], {}, [None], [[]], {"text": "y"}),
        *("message", "reasoning", "function_call", "web_search_call", 10**400),
    ]
)
NAMES = st.sampled_from(
    [
        *("type", "id", "index", "output_index", "item_id", "delta", "message", "text", "content"),
        *("item", "part", "output", "response", "error", "usage", "arguments", "name", "call_id"),
    ]
)


def events_of(wire: str) -> dict[str, list[Any]]:
    """Return the streams of a wire, as the data of their events."""
    streams: dict[str, list[Any]] = {"all of it": list(STREAMS[wire])}
    for path in sorted((FIXTURES / wire).glob("*.sse")):
        parser = SseParser()
        events = [*parser.feed(path.read_bytes()), *parser.end()]
        streams[path.name] = []
        for _, data in events:
            with contextlib.suppress(*JSON_ERRORS):
                streams[path.name].append(read_json(data))
    return {name: events for name, events in streams.items() if events}


EVENTS = {wire: events_of(wire) for wire in WIRES}


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Go through all places of plain data: what they are in, and where in it."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places_in(value[key])


def mutate(event: Any, draw: Any) -> Any:
    event = copy.deepcopy(event)
    for _ in range(draw(st.integers(1, 3))):
        places = list(places_in(event))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        way = draw(st.sampled_from(["lose", "change", "change", "move", "list", "object"]))
        if way == "lose":
            del holder[key]
        elif way == "change":
            holder[key] = copy.deepcopy(draw(VALUES))
        elif way == "move" and isinstance(holder, dict):
            holder[draw(NAMES)] = copy.deepcopy(holder[key])
        else:
            holder[key] = [holder[key]] if way == "list" else {"text": holder[key]}
    return event


@pytest.mark.parametrize("wire", WIRES)
@given(data=st.data(), size=st.integers(1, 90), stream=st.booleans())
def test_a_mutation_costs_no_more_than_itself(
    wire: str, data: st.DataObject, size: int, stream: bool
) -> None:
    name = data.draw(st.sampled_from(sorted(EVENTS[wire])))
    came, whole = [], []
    for event in EVENTS[wire][name]:
        if data.draw(st.sampled_from(["as it is"] * 5 + ["mutated"])) == "mutated":
            came.append(mutate(event, data.draw))
        else:
            came.append(event)
            whole.append(event)
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in came)
    adapter = build_adapter(wire)
    parts, outcome = decode(adapter, [body], stream=stream)
    for part in parts:
        encode_frame(part)
    cut = [body[start : start + size] for start in range(0, len(body), size)]
    assert decode(adapter, cut, stream=stream) == (parts, outcome)
    with contextlib.suppress(CallRefused):
        encoded(adapter, request("gpt-6-sol", [answer_message(parts), Message("user", "And?")]))
    lost = set(WORD.findall(json.dumps(whole))) - words_in(parts).keys()
    assert not lost or outcome.notes or outcome.malformed_events or not outcome.complete
    for event in came:  # as an answer that is none
        decode(adapter, [json.dumps(event).encode()], stream=stream)


@pytest.mark.parametrize("content", [[None], ["x"], [[]], [7]])
def test_a_vendors_own_item_of_any_shape_goes_back(content: list[Any]) -> None:
    item = {"type": "reasoning", "id": "rs", "content": content, "summary": []}
    said = {"type": "message", "content": [{"type": "output_text", "text": "a"}]}
    answer = {"id": "r", "status": "completed", "output": [item, said]}
    adapter = build_adapter("openai-responses")
    parts, _ = decode(adapter, [json.dumps(answer).encode()], stream=False)
    body, _ = encoded(adapter, request("gpt-6-sol", [answer_message(parts)]))
    assert body["input"][0] == item
