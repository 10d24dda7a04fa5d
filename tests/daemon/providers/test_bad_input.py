"""Every kind of bad input, at every wire: nothing escapes an adapter, and no text is lost.

A new wire joins with its line in STREAMS: the events of an answer whose text comes in two pieces.
Bedrock's events stand in frames, each under the name of its kind; the others' in lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.domain import Part
from routerd.errors import ErrorClass
from routerd.providers.base import Outcome
from routerd.providers.registry import ADAPTERS, build_adapter
from routerd.providers.surrogates import LOST_NOTE
from routerd_proto.codec import encode_frame
from tests.daemon.providers.bedrock.wire import exception, frame
from tests.daemon.providers.drive import decode, text_in

Json = dict[str, Any]
END = "[DONE]"


class Wire(NamedTuple):
    """A wire: its adapter, and the events before, with and after the pieces of a text.

    `kinds` are the names of the events that stand in frames, none where they stand in lines.
    """

    adapter: str
    before: list[Json]
    piece: Callable[[str], Json]
    after: list[Any]
    error: Json
    kinds: frozenset[str] = frozenset()
    dialect: str | None = None

    def events(self, *texts: str) -> list[Any]:
        return [*self.before, *(self.piece(text) for text in texts), *self.after]

    def body(self, events: list[Any], write: Callable[[Any], bytes] | None = None) -> bytes:
        """Write events as the vendor does, the JSON of each by `write`."""
        write = write or written
        if not self.kinds:
            return b"".join(b"data: " + write(event) + b"\n\n" for event in events)
        return b"".join(self._framed(event, write) for event in events)

    def error_event(self, *, named: bool = False) -> bytes:
        if self.kinds:
            return exception("internalServerException", **self.error)
        return (b"event: error\n" if named else b"") + self.body([self.error])

    def _framed(self, event: Json, write: Callable[[Any], bytes]) -> bytes:
        [kind] = self.kinds & set(event) or {"surprise"}
        headers = {":message-type": "event", ":event-type": kind}
        return frame(headers, write(event.get(kind, event)))


def openai(text: str) -> Json:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}


def responses(text: str) -> Json:
    place = {"output_index": 0, "content_index": 0, "item_id": "msg"}
    return {"type": "response.output_text.delta", "delta": text} | place


def anthropic(text: str) -> Json:
    delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def gemini(text: str) -> Json:
    return {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}]}


def cohere(text: str) -> Json:
    delta = {"message": {"content": {"text": text}}}
    return {"type": "content-delta", "index": 0, "delta": delta}


def bedrock(text: str) -> Json:
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}


OVERLOADED: Json = {"type": "overloaded_error", "message": "Overloaded"}
CHAT = Wire(
    "openai",
    [],
    openai,
    [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, END],
    {"error": {"message": "down", "type": "server_error", "code": 503}},
)
STREAMS = (
    CHAT,
    CHAT._replace(dialect="compatible"),
    Wire(
        "openai-responses",
        [
            {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {"type": "message", "id": "msg", "role": "assistant", "content": []},
            },
        ],
        responses,
        [{"type": "response.completed", "response": {"id": "r", "status": "completed"}}],
        {"type": "error", "code": "server_error", "message": "down"},
    ),
    Wire(
        "anthropic",
        [
            {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        ],
        anthropic,
        [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ],
        {"type": "error", "error": OVERLOADED},
    ),
    Wire(
        "gemini",
        [],
        gemini,
        [{"candidates": [{"index": 0, "finishReason": "STOP"}]}],
        {"error": {"code": 503, "message": "down", "status": "UNAVAILABLE"}},
    ),
    Wire(
        "cohere",
        [
            {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
            {
                "type": "content-start",
                "index": 0,
                "delta": {"message": {"content": {"type": "text", "text": ""}}},
            },
        ],
        cohere,
        [
            {"type": "content-end", "index": 0},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
        ],
        {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "down"}},
    ),
    Wire(
        "bedrock",
        [{"messageStart": {"role": "assistant"}}],
        bedrock,
        [
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}},
        ],
        {"message": "down"},
        frozenset(
            {"messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
        ),
    ),
)
SAID = ("Hel", "lo")
GATEWAY = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>"
PAGE = "the answer is a web page: 502 Bad Gateway"
every_wire = pytest.mark.parametrize("wire", STREAMS, ids=lambda wire: wire.dialect or wire.adapter)
every_wire_of_lines = pytest.mark.parametrize(
    "wire",
    [wire for wire in STREAMS if not wire.kinds],
    ids=lambda wire: wire.dialect or wire.adapter,
)


def written(event: Any) -> bytes:
    return event.encode() if isinstance(event, str) else json.dumps(event).encode()


def read(
    wire: Wire, body: bytes, size: int = 0, *, stream: bool = True
) -> tuple[list[Part], Outcome]:
    size = size or len(body) or 1
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    parts, outcome = decode(build_adapter(wire.adapter, wire.dialect), chunks, stream=stream)
    for part in parts:
        encode_frame(part)
    return parts, outcome


def whole(wire: Wire, body: bytes) -> tuple[str, Outcome]:
    """Read a body at once and byte by byte: both must say the same."""
    parts, outcome = read(wire, body)
    assert read(wire, body, 1) == (parts, outcome)
    return text_in(parts), outcome


def test_every_adapter_is_here() -> None:
    assert {wire.adapter for wire in STREAMS} == set(ADAPTERS)


@every_wire_of_lines
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_end_of_a_line(wire: Wire, end: bytes) -> None:
    text, outcome = whole(wire, wire.body(wire.events(*SAID)).replace(b"\n", end))
    assert (text, outcome.complete, outcome.finish) == ("Hello", True, "stop")
    assert outcome.malformed_events == 0


@every_wire_of_lines
@pytest.mark.parametrize(
    "garbage",
    [
        b'{"status": "queued"}\n\n',
        b"{}\r\n",
        b"[]\n",
        b"upstream is busy\n\n",
        b'[{"x": 1}, null]\n: wait\n\n',
        b'{\n  "data": "not an event"\n}\n' * 20,
    ],
)
def test_what_a_gateway_writes_before_a_stream_costs_no_text(wire: Wire, garbage: bytes) -> None:
    text, outcome = whole(wire, garbage + wire.body(wire.events(*SAID)))
    assert (text, outcome.complete, outcome.finish) == ("Hello", True, "stop")
    assert outcome.failure is None


@every_wire_of_lines
@pytest.mark.parametrize(
    "banner",
    [
        b"<!-- served by the edge -->\n",
        b"<!-- served by the edge -->",
        b'\xef\xbb\xbf\r\n<!---->\xef\xbb\xbf<!-- data: {"not": 1}\ndata: x -->\n\n',
        b"<br />\n<b>Warning</b>: slow upstream in <b>proxy</b> on line <b>12</b><br />\n",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_banner_before_a_stream_costs_no_text(wire: Wire, banner: bytes, size: int) -> None:
    events = wire.events(*SAID, "<html>")  # what the model writes is no page
    parts, outcome = read(wire, banner + wire.body(events), size)
    assert (text_in(parts), outcome.complete) == ("Hello<html>", True)
    assert outcome.failure is None


PAGES = [
    b'<!DOCTYPE html>\n<script>\nvar x = {\ndata: {"choices": []}\n\n}</script>',
    b'<!-- c -->\n<HTML>\nevent: ping\ndata: {"choices": []}\n\n',
    b'<h1>Bad gateway</h1>\n<script async>\ndata: {"choices": []}\n\n</script>',
    b'<h1>Bad gateway</h1>\n<p>in data: {"choices": []}\nevent: x\ndata: none\n</p>',
    b'<!-- data: {"choices": []}\ndata: {"choices": []}\n\n',  # a remark without an end
]


@every_wire
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_page_is_no_stream_whatever_is_in_it(wire: Wire, page: bytes, size: int) -> None:
    parts, outcome = read(wire, page, size)
    assert (parts, outcome.complete) == ([], False)
    assert outcome.failure is not None
    assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
    assert "web page" in outcome.failure.message


@every_wire
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", [b"", b"\n\n", GATEWAY, b"upstream connect error", b"\xff\xfe"])
def test_what_is_no_answer_is_a_failure_of_the_provider(
    wire: Wire, body: bytes, *, stream: bool
) -> None:
    parts, outcome = read(wire, body, stream=stream)
    assert (parts, outcome.complete) == ([], False)
    if outcome.failure is not None:
        assert outcome.failure.error_class is ErrorClass.BAD_ANSWER
        assert (outcome.failure.message == PAGE) == (body == GATEWAY)
    else:
        assert stream  # words that are no event: the stream ended without its end mark


@every_wire
def test_bytes_that_are_no_text_cost_no_more_than_themselves(wire: Wire) -> None:
    spoilt = wire.events("Hel#", "lo")
    body = wire.body(spoilt, lambda event: written(event).replace(b"#", b"\xff\xc3"))
    text, outcome = whole(wire, body)
    assert text.replace("\ufffd", "") == "Hello"
    assert "\ufffd" in text
    assert outcome.complete


@every_wire
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("a\ud83d", "\ude00b"), "a\U0001f600b"),
        (("a\ud83d", "b"), "a\ufffdb"),
        (("\ude00a", "b\ud83d"), "\ufffdab\ufffd"),
        (("a\u2028b\u2029", "\x85c\x0bd\x0c\x1c\x00"), "a\u2028b\u2029\x85c\x0bd\x0c\x1c\x00"),
        (("x" * 150_000, "é" * 100_001), "x" * 150_000 + "é" * 100_001),
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_odd_characters_and_long_lines(
    wire: Wire, pieces: tuple[str, str], expected: str, *, escaped: bool
) -> None:
    def write(event: Any) -> bytes:
        text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=escaped)
        return text.encode("utf-8", "surrogatepass")

    body = wire.body(wire.events(*pieces), write)
    parts, outcome = read(wire, body, 4093)
    if escaped or not any("\ud800" <= char <= "\udfff" for char in "".join(pieces)):
        assert text_in(parts) == expected
        assert outcome.notes == ([LOST_NOTE] if "\ufffd" in expected else [])
    else:  # not UTF-8: each byte of it may be replaced, the rest is there
        plain = [char for char in expected if char in "ab"]
        assert [char for char in text_in(parts) if char in "ab"] == plain
    assert outcome.complete


@every_wire
def test_what_comes_twice_or_says_nothing(wire: Wire) -> None:
    events = wire.events(*SAID)
    again = [event for event in wire.after if event != END]
    extras: list[list[Json]] = [
        [*again, *again],
        [{"choices": []}, {"usage": None}, {}],
        [{"candidates": []}],
    ]
    for extra in extras:
        at = len(events) - (END in wire.after)
        text, outcome = whole(wire, wire.body([*events[:at], *extra, *events[at:]]))
        assert (text, outcome.complete, outcome.finish) == ("Hello", True, "stop")
        assert outcome.failure is None


@every_wire
@given(st.data())
@settings(max_examples=50)
def test_unknown_events_and_fields_change_nothing(wire: Wire, data: st.DataObject) -> None:
    events: list[Any] = []
    for event in wire.events(*SAID):
        if data.draw(st.booleans()):
            events.append(data.draw(st.sampled_from(UNKNOWN)))
        if wire.kinds:
            events.append({kind: with_unknown_fields(event[kind]) for kind in event})
        else:
            events.append(event if isinstance(event, str) else with_unknown_fields(event))
    text, outcome = whole(wire, wire.body(events))
    assert (text, outcome.complete, outcome.finish) == ("Hello", True, "stop")
    assert outcome.failure is None


ODD: tuple[Any, ...] = (None, 0, 10**400, 1.5, "", [], {}, True)
UNKNOWN: list[Json] = [
    {"type": "surprise", "surprise": {"text": "not ours"}},
    {"type": "content_block_delta", "index": 9, "delta": {"type": "surprise_delta", "x": 1}},
    {"object": "chat.completion.surprise", "x": [None]},
    {"surprise": True},
]


def with_unknown_fields(value: Any) -> Any:
    if isinstance(value, dict):
        known = {name: with_unknown_fields(item) for name, item in value.items()}
        return {"surprise": {"a": [1, None]}} | known | {"zzz": 1.5e300}
    if isinstance(value, list):
        return [with_unknown_fields(item) for item in value]
    return value


@every_wire
@pytest.mark.parametrize("named", [False, True])
def test_an_error_inside_an_answer_keeps_the_text_before_it(wire: Wire, *, named: bool) -> None:
    body = wire.body([*wire.before, wire.piece("Hel")]) + wire.error_event(named=named)
    text, outcome = whole(wire, body)
    assert (text, outcome.complete, outcome.finish) == ("Hel", False, "error")
    assert outcome.failure is not None
    assert outcome.failure.error_class in (ErrorClass.SERVER_ERROR, ErrorClass.OVERLOADED)
    parts, plain = read(wire, written(wire.error), stream=False)
    assert (parts, plain.complete) == ([], False)
    assert plain.failure is not None
    # An event that is no whole answer by itself makes no sense as one.
    assert plain.failure.error_class in (outcome.failure.error_class, ErrorClass.BAD_ANSWER)


@every_wire_of_lines
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("blank", [b"", b"\n"])
def test_an_error_between_the_events_is_read_by_its_json(
    wire: Wire, indent: int | None, blank: bytes
) -> None:
    """A gateway that loses its provider may write its own error into the stream as it is."""
    error = json.dumps({"error": {"message": "gone", "code": 503}}, indent=indent).encode()
    before = wire.body([*wire.before, wire.piece("Hel")])
    cut = b"data: " + written(wire.piece("lo"))[:-2] + b"\n"
    for body in (before + error, before + error + b"\n\n", before + cut + blank + error + b"\n"):
        text, outcome = whole(wire, body)
        assert (text, outcome.complete, outcome.finish) == ("Hel", False, "error")
        assert outcome.failure is not None
        assert (outcome.failure.error_class, outcome.failure.message) == ("overloaded", "gone")


@every_wire
def test_null_in_the_place_of_anything_never_raises(wire: Wire) -> None:
    for event in wire.events(*SAID):
        if isinstance(event, str):
            continue
        for odd in ODD:
            for path in paths_in(event):
                body = wire.body([*wire.before, put(event, path, odd), wire.piece("later")])
                text, _ = whole(wire, body)
                assert text.endswith("later") or odd is not None or path[:1] == ("error",)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = []
    for name, item in items:
        found.append((*path, name))
        if isinstance(item, dict | list):
            found += paths_in(item, (*path, name))
    return found


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy with something else at a place."""
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = odd if len(path) == 1 else put(copy[path[0]], path[1:], odd)
    return copy
