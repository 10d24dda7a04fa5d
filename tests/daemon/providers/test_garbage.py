"""Garbage before, between and after the events of an answer, at every wire.

Two kinds are told apart. Noise is what no wire knows: with it an answer is the very same, and what
was no JSON is counted. Anything else may say something by itself, and is only kept from doing harm:
nothing raises, and of the text around it no character is lost.
"""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from routerd.providers.excerpt import BLANKS
from tests.daemon.providers.bedrock.wire import frame
from tests.daemon.providers.drive import text_in
from tests.daemon.providers.test_bad_input import (
    GATEWAY,
    Wire,
    every_wire,
    every_wire_of_lines,
    read,
)
from tests.daemon.providers.test_splitting import JSON

FIELDS = (b"data", b"event")


def in_one_line(data: bytes) -> bytes:
    return data.replace(b"\n", b" ").replace(b"\r", b" ")


# What stands between events, and how many events that cannot be read it makes.
NOISE = st.binary(max_size=40).map(in_one_line).filter(
    lambda line: line.partition(b":")[0] not in FIELDS
).map(lambda line: (line, 0)) | st.sampled_from(
    [
        (b": wait", 0),
        (b"event: ping", 0),
        (b"data:", 0),
        (b"id: 7\nretry: 10", 0),
        (b'{"status": "queued"}', 0),
        (b"[1, 2", 0),
        (GATEWAY, 0),
        (b'data: {"surprise": {"text": "not ours"}}', 0),
        (b"data: not JSON", 1),
        (b'data: {"cut": [', 1),
        (b"event: surprise\ndata: " + GATEWAY, 1),
        (b"data: \xff\xfe\x00", 1),
    ]
)
FRAMES = st.sampled_from(
    [
        (frame({":message-type": "event", ":event-type": "surprise"}, b'{"a": "not ours"}'), 0),
        (frame({":message-type": "surprise"}, b"{}"), 0),
        (frame({":message-type": "event", ":event-type": "surprise"}, b"{}"), 0),
        (frame({":message-type": "event", ":event-type": "contentBlockDelta"}, b"not JSON"), 1),
        (frame({":message-type": "event", ":event-type": "metadata"}, b'{"usage": ['), 1),
        (frame({":message-type": "event", ":event-type": "contentBlockStart"}, b"\xff\xfe"), 1),
    ]
)
SAID = ("Hel", "lo ", "there")


@every_wire
@given(st.data(), st.integers(1, 50))
def test_noise_changes_nothing_and_is_counted(wire: Wire, data: st.DataObject, size: int) -> None:
    events = wire.events(*SAID)
    clean = read(wire, wire.body(events))
    body, odd = b"", 0
    for event in [*events, None]:
        for noise, count in data.draw(st.lists(FRAMES if wire.kinds else NOISE, max_size=2)):
            if not body.lstrip(BLANKS) and noise.lstrip(BLANKS).startswith(b"<"):
                continue  # what begins with a page is one
            body += noise + (b"" if wire.kinds else b"\n\n")
            odd += count
        body += b"" if event is None else wire.body([event])
    parts, outcome = read(wire, body, size)
    assert parts == clean[0]
    assert text_in(parts) == "".join(SAID)
    assert (outcome.complete, outcome.finish, outcome.usage) == (True, "stop", clean[1].usage)
    assert (outcome.failure, outcome.malformed_events) == (None, odd)


EVENT_TYPES = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "error",
    "ping",
    "message-start",
    "content-start",
    "content-delta",
    "content-end",
    "tool-plan-delta",
    "tool-call-start",
    "tool-call-delta",
    "citation-start",
    "message-end",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.function_call_arguments.delta",
    "response.reasoning_summary_text.delta",
    "response.refusal.delta",
    "response.output_text.annotation.added",
]
GARBAGE = (
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b" ").replace(b"\r", b" "))
    | JSON.map(lambda value: b"data: " + json.dumps(value).encode())
    | JSON.map(
        lambda value: (
            b"event: error\ndata: " + json.dumps({"type": "error", "error": value}).encode()
        )
    )
    | st.tuples(st.sampled_from(EVENT_TYPES), JSON, JSON, JSON).map(
        lambda fields: (
            b"data: "
            + json.dumps(
                {
                    "type": fields[0],
                    "index": fields[1],
                    "usage": fields[2],
                    "content_block": {"type": "tool_use", "input": fields[3]},
                    "message": fields[3],
                    "delta": fields[2] if isinstance(fields[2], dict) else {"message": fields[3]},
                    "output_index": fields[1],
                    "item": {"type": "function_call", "name": "f", "arguments": fields[3]},
                    "response": fields[3],
                }
            ).encode()
        )
    )
)


@every_wire_of_lines
@given(
    pieces=st.lists(st.tuples(GARBAGE, st.text(max_size=8)), max_size=6),
    stream=st.booleans(),
    size=st.integers(1, 50),
)
@example(pieces=[(b"{", "a"), (b'data: {"choices": null}', "b")], stream=True, size=7)
def test_anything_between_events_never_raises_and_loses_no_text(
    wire: Wire, pieces: list[tuple[bytes, str]], stream: bool, size: int
) -> None:
    body = b"".join(garbage + b"\n\n" + wire.body([wire.piece(text)]) for garbage, text in pieces)
    if not stream or body.lstrip(BLANKS).startswith(b"<"):
        body = b": start\n\n" + body  # unasked, only what begins as a stream is one
    parts, outcome = read(wire, body, size, stream=stream)
    found = iter(text_in(parts))
    assert all(character in found for _, text in pieces for character in text)
    assert read(wire, body, stream=stream) == (parts, outcome)
