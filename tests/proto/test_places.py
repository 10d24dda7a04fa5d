"""A mistake in a frame is told with its place and with what was expected, never with a prompt."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routerd_proto import FrameReader, ProtocolError, client_frame_reader, daemon_frame_reader
from routerd_proto.frames import CallEnded
from routerd_proto.places import tag_of


def array(*elements: Any) -> bytes:
    body = msgspec.msgpack.encode(elements)
    return len(body).to_bytes(4, "big") + body


def mistake_in(data: bytes, reader: FrameReader[Any] | None = None) -> tuple[str, str]:
    with pytest.raises(ProtocolError) as caught:
        (reader or client_frame_reader()).feed(data)
    return caught.value.info.code, caught.value.info.message


def call(messages: Any = "hi", options: Any = None, *more: Any) -> bytes:
    return array(2, "c1", "smart", messages, options or {}, *more)


def said(*parts: Any, role: str = "user") -> bytes:
    return call([{"role": role, "content": list(parts)}])


MISTAKES_OF_A_CALLER = {
    "messages[0].role: Invalid enum value 'robot', "
    "expected one of 'system', 'user', 'assistant', 'tool'": said(role="robot"),
    "messages[0].content[0].cache: Invalid enum value '2m', expected one of '5m', '1h'": said(
        {"type": "text", "text": "a", "cache": "2m"}
    ),
    "messages[0].content[0].type: Invalid value 'txt', expected one of "
    "'text', 'image', 'document', 'reasoning', 'tool_call', 'tool_result'": said(
        {"type": "txt", "text": "a"}
    ),
    "messages[0].content[0].content[0].type: Invalid value 'video', "
    "expected one of 'text', 'image'": said(
        {"type": "tool_result", "call_id": "1", "content": [{"type": "video"}]}
    ),
    "messages[0].content[0]: Object contains unknown field `txt`": said(
        {"type": "text", "txt": "a"}
    ),
    "messages[0].content[0]: Object missing required field `type`": said({"text": "a"}),
    "messages: Expected `str | array`, got `int`": call(5),
    "options.sensitivity: Invalid enum value 'secret', "
    "expected one of 'public', 'internal', 'private'": call("hi", {"sensitivity": "secret"}),
    "options.tool_choice: Invalid enum value 'any', "
    "expected one of 'auto', 'none', 'required'": call("hi", {"tool_choice": "any"}),
    "options.tools[0].strict: Expected `bool`, got `int`": call(
        "hi", {"tools": [{"name": "f", "strict": 1}]}
    ),
    "options: Object contains unknown field `temprature`": call("hi", {"temprature": 1}),
    "trace.traceparent: Expected `str`, got `int`": call("hi", {}, True, [7]),
    "CallRequested: Expected `array` of at least length 4, got 2": array(2, "c1"),
    "name: Expected `str`, got `int`": array(3, 7),
}


@pytest.mark.parametrize("message", MISTAKES_OF_A_CALLER)
def test_a_mistake_in_a_request_is_named_in_the_words_of_the_caller(message: str) -> None:
    assert mistake_in(MISTAKES_OF_A_CALLER[message]) == ("invalid_request", message)


MISTAKES_OF_A_DAEMON = {
    "finish: Invalid enum value 'done', expected one of "
    "'stop', 'length', 'tool_calls', 'content_filter', 'pause', 'error'": array(
        49, "done", "d1", *["x"] * 3, *[None] * 2, "unknown", None, 0, 0, None, False
    ),
    "error.code: Expected `str`, got `int`": array(
        49,
        *msgspec.msgpack.decode(msgspec.msgpack.encode(CallEnded("stop", "d")))[1:15],
        [1, "", "router", True],
    ),
    "error.blame: Invalid enum value 'nobody', "
    "expected one of 'caller', 'provider', 'router'": array(
        33, ["internal_error", "it broke", "nobody", True]
    ),
    "text: Expected `str`, got `None`": array(41, None),
    "unknown frame: Invalid value 99 - at `$[0]`": array(99, "x"),
    "unknown frame: Invalid value 2 - at `$[0]`": array(2, "c1", "smart", "hi"),
    "unknown frame: Expected `int`, got `str` - at `$[0]`": array("hello"),
    "unknown frame: Expected `array`, got `object`": b"\x00\x00\x00\x01\x80",
}


@pytest.mark.parametrize("message", MISTAKES_OF_A_DAEMON)
def test_a_mistake_of_the_daemon_is_named_too(message: str) -> None:
    data = MISTAKES_OF_A_DAEMON[message]
    assert mistake_in(data, daemon_frame_reader()) == ("protocol_error", message)


@pytest.mark.parametrize(
    "data",
    [
        said(role="p" * 5000),
        said({"type": "p" * 5000}),
        said({"type": "text", "p" * 5000: "a"}),
        said({"type": "text", "text": "a", "cache": "it's `p` - at\n" + "p" * 5000}),
    ],
    ids=["role", "type", "key", "value"],
)
def test_a_mistake_does_not_repeat_a_whole_prompt(data: bytes) -> None:
    code, message = mistake_in(data)
    assert code == "invalid_request"
    assert message.startswith("messages[0].")
    assert message.count("p") <= 100


def test_details_name_the_frame_and_the_place() -> None:
    with pytest.raises(ProtocolError) as caught:
        client_frame_reader().feed(call("hi", {"restart": "yes"}))
    assert caught.value.info.details == {"frame": "CallRequested", "place": "options.restart"}
    assert caught.value.info.blame == "caller"
    assert not caught.value.info.retryable


@pytest.mark.parametrize(
    ("frame", "tag"),
    [
        (b"\x91\x29", 41),
        (b"\xdc\x00\x01\x29", 41),
        (b"\xdd\x00\x00\x00\x01\x29", 41),
        (b"\x91\xa1", None),
        (b"\x91", None),
        (b"\xdc\x00", None),
        (b"\x81\x01\x01", None),
        (b"", None),
    ],
)
def test_the_tag_is_found_after_every_array_header(frame: bytes, tag: int | None) -> None:
    assert tag_of(frame) == tag
