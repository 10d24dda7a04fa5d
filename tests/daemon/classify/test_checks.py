"""What no model can serve is refused with its place, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.classify import schemas
from routerd.classify.checks import check_request
from routerd.classify.features import measure
from routerd.errors import CallRefused
from routerd_proto import ProtocolError, client_frame_reader, encode_frame
from routerd_proto.content import (
    Content,
    Document,
    Image,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolName,
    ToolResult,
)
from routerd_proto.errors import ErrorInfo
from routerd_proto.frames import CallOptions, CallRequested

HELLO = Message("user", "hello")
PICTURE = Image(data=b"x", media_type="image/png")
CALLED = Message("assistant", [ToolCall("1", "f")])


def refusal(messages: list[Message], options: CallOptions | None = None) -> ErrorInfo:
    with pytest.raises(CallRefused) as caught:
        check_request(messages, options or CallOptions())
    info = caught.value.info
    assert info.code == "invalid_request"
    assert info.blame == "caller"
    assert not info.retryable
    assert info.message.startswith(f"{info.details['place']}: ")
    return info


def user(*parts: Content) -> list[Message]:
    return [Message("user", list(parts))]


@pytest.mark.parametrize(
    ("messages", "place", "problem"),
    [
        ([], "messages", "is empty"),
        ([Message("system", "a")], "messages", "has no user message"),
        ([Message("assistant", "a")], "messages", "has no user message"),
        ([Message("user", "")], "messages[0].content", "is empty"),
        ([HELLO, Message("assistant", "")], "messages[1].content", "is empty"),
        ([HELLO, Message("user", [])], "messages[1].content", "is empty"),
        ([Message("tool", "a")], "messages[0].content", "holds tool_result parts"),
        (
            [Message("system", [PICTURE]), HELLO],
            "messages[0].content[0]",
            "a system message cannot hold image; only text",
        ),
        (
            [HELLO, Message("assistant", [Text("a"), PICTURE])],
            "messages[1].content[1]",
            "cannot hold image; only reasoning, text, tool_call",
        ),
        (user(Reasoning("a")), "messages[0].content[0]", "cannot hold reasoning"),
        (user(ToolCall("1", "f")), "messages[0].content[0]", "cannot hold tool_call"),
        ([HELLO, Message("tool", [Text("a")])], "messages[1].content[0]", "only tool_result"),
        (user(ToolResult("1")), "messages[0].content[0].call_id", "answers no tool call"),
        (
            [HELLO, Message("tool", [ToolResult("2")]), CALLED],
            "messages[1].content[0].call_id",
            "answers no tool call of an earlier message",
        ),
        (
            [HELLO, CALLED, Message("tool", [ToolResult("1", [Text("a"), Image()])])],
            "messages[2].content[0].content[1]",
            "needs exactly one of url and data",
        ),
        (user(Image()), "messages[0].content[0]", "needs exactly one of url and data"),
        (user(Image(url="https://a", data=b"x")), "messages[0].content[0]", "exactly one"),
        (user(Document(url="file:///etc")), "messages[0].content[0].url", "is not an http, https"),
        (user(Image(data=b"x")), "messages[0].content[0].media_type", "is needed with data"),
        (user(Document(data=b"x")), "messages[0].content[0].media_type", "is needed with data"),
        (
            user(Text("a"), Image(data=b"x", media_type="application/pdf")),
            "messages[0].content[1].media_type",
            "is not that of an image",
        ),
        (
            [HELLO, Message("assistant", [ToolCall("1", "no name")])],
            "messages[1].content[0].name",
            "is not a tool name",
        ),
    ],
)
def test_a_bad_message_is_refused_with_its_place(
    messages: list[Message], place: str, problem: str
) -> None:
    info = refusal(messages)
    assert info.details["place"] == place
    assert problem in info.message


def tool(**parameters: Any) -> CallOptions:
    return CallOptions(tools=[Tool("f", parameters=parameters)])


def schema(value: Any) -> CallOptions:
    return CallOptions(output_schema=value)


@pytest.mark.parametrize(
    ("options", "place", "problem"),
    [
        (CallOptions(max_output_tokens=0), "max_output_tokens", "is 0; expected 1 to"),
        (CallOptions(max_output_tokens=-1), "max_output_tokens", "is -1"),
        (CallOptions(max_output_tokens=10_000_001), "max_output_tokens", "expected 1 to 10000000"),
        (CallOptions(temperature=-0.1), "temperature", "expected 0 to 2"),
        (CallOptions(temperature=2.1), "temperature", "expected 0 to 2"),
        (CallOptions(temperature=float("nan")), "temperature", "is nan"),
        (CallOptions(top_p=1.01), "top_p", "expected 0 to 1"),
        (CallOptions(top_p=float("inf")), "top_p", "is inf"),
        (CallOptions(timeout=0), "timeout", "is not above 0 seconds"),
        (CallOptions(timeout=-1), "timeout", "is not above 0 seconds"),
        (CallOptions(timeout=float("nan")), "timeout", "is not above 0 seconds"),
        (CallOptions(stop=["a", ""]), "stop", "holds an empty string"),
        (CallOptions(tools=[Tool("f"), Tool("g h")]), "tools[1].name", "1 to 64 letters"),
        (CallOptions(tools=[Tool("f" * 65)]), "tools[0].name", "1 to 64 letters"),
        (CallOptions(tools=[Tool("")]), "tools[0].name", "1 to 64 letters"),
        (CallOptions(tools=[Tool("f\n")]), "tools[0].name", "1 to 64 letters"),
        (CallOptions(tools=[Tool("f"), Tool("f")]), "tools", "two tools of the same name"),
        (CallOptions(tool_choice="required"), "tool_choice", "requires a tool, and none is given"),
        (
            CallOptions(tools=[Tool("f")], tool_choice=ToolName("g")),
            "tool_choice",
            "names 'g', which is no given tool",
        ),
        (tool(type="array"), "tools[0].parameters", "not a JSON schema of type object"),
        (tool(properties={}), "tools[0].parameters", "not a JSON schema of type object"),
        (
            tool(type="object", properties={"a": {"type": "text"}}),
            "tools[0].parameters.properties.a.type",
            "'text' is no JSON type",
        ),
        (schema({}), "output_schema", "says nothing about a type"),
        (schema({"title": "a"}), "output_schema", "says nothing about a type"),
        (schema({"type": "objekt"}), "output_schema.type", "'objekt' is no JSON type"),
        (schema({"type": ["object", 5]}), "output_schema.type", "5 is no JSON type"),
        (schema({"type": {"a": 1}}), "output_schema.type", "{'a': 1} is no JSON type"),
        (schema({"type": [["object"]]}), "output_schema.type", "is no JSON type"),
        (schema({"type": None}), "output_schema.type", "None is no JSON type"),
        (schema({"properties": []}), "output_schema.properties", "is not an object of schemas"),
        (schema({"type": "object", "$defs": 1}), "output_schema.$defs", "object of schemas"),
        (
            schema({"properties": {"a": {"items": 5}}}),
            "output_schema.properties.a.items",
            "expected an object",
        ),
        (schema({"anyOf": []}), "output_schema.anyOf", "is not a list of schemas"),
        (schema({"allOf": {}}), "output_schema.allOf", "is not a list of schemas"),
        (schema({"oneOf": [{}, 1]}), "output_schema.oneOf[1]", "expected an object"),
        (schema({"type": "object", "required": "a"}), "output_schema.required", "list of names"),
        (schema({"type": "object", "required": [1]}), "output_schema.required", "list of names"),
        (schema({"enum": []}), "output_schema.enum", "is not a list of values"),
        (schema({"enum": "a"}), "output_schema.enum", "is not a list of values"),
        (
            schema({"type": "object", "additionalProperties": 1}),
            "output_schema.additionalProperties",
            "expected an object",
        ),
    ],
)
def test_a_bad_option_is_refused_with_its_place(
    options: CallOptions, place: str, problem: str
) -> None:
    info = refusal([HELLO], options)
    assert info.details["place"] == f"options.{place}"
    assert problem in info.message


def nested(depth: int, key: str, leaf: Any) -> Any:
    for _ in range(depth):
        leaf = {"properties": {key: leaf}}
    return leaf


def test_a_schema_may_be_as_deep_as_its_limit_and_no_deeper() -> None:
    check_request([HELLO], schema(nested(64, "a", {"type": "null"})))
    info = refusal([HELLO], schema(nested(65, "a", {"type": "null"})))
    assert "is nested deeper than 64" in info.message


def nested_lists(depth: int) -> dict[str, Any]:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    return {"x": deep}


@pytest.mark.parametrize("depth", [250, 900])
def test_depth_under_an_unknown_keyword_is_refused_too(depth: int) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    info = refusal([HELLO], schema({"type": "object", "x-mine": deep}))
    assert "nested deeper than 200" in info.message


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"type": "object", None: 1}, ""),
        ({"type": "object", "properties": {1: {"type": "null"}}}, ".properties"),
        ({"type": "object", "properties": {"a": {2.5: True}}}, ".properties.a"),
        ({"items": {"anyOf": [{}, {b"x": 1}]}}, ".items.anyOf[1]"),
        ({"enum": ["a", {"b": {None: 1}}]}, ".enum[1].b"),
        ({"type": "object", "x-mine": [[{False: 1}]]}, ".x-mine[0][0]"),
    ],
)
def test_a_key_that_is_no_text_is_refused_with_its_place(value: Any, place: str) -> None:
    info = refusal([HELLO], schema(value))
    assert info.details["place"] == f"options.output_schema{place}"
    assert "holds a key that is not text" in info.message
    if value.get("type") == "object":
        info = refusal([HELLO], tool_of(value))
        assert info.details["place"] == f"options.tools[0].parameters{place}"


def tool_of(parameters: dict[str, Any]) -> CallOptions:
    return CallOptions(tools=[Tool("f", parameters=parameters)])


@pytest.mark.parametrize(
    ("data", "place", "problem"),
    [
        ({"a": {None: 1}}, ".data.a", "not text"),
        (nested_lists(250), ".data.x" + "[0]" * 199, "deeper than 200"),
    ],
)
def test_reasoning_that_no_json_can_carry_back_is_refused(
    data: Any, place: str, problem: str
) -> None:
    past = Message("assistant", [Text("a"), Reasoning("why", "vendor", data)])
    info = refusal([HELLO, past, HELLO])
    assert info.details["place"] == f"messages[1].content[1]{place}"
    assert problem in info.message


def test_a_refusal_quotes_no_long_text_of_a_stranger() -> None:
    long = "x" * 100_000
    for options in (
        schema(nested(60, long, {"type": long})),
        schema({"type": {long: long}}),
        CallOptions(tools=[Tool("f")], tool_choice=ToolName(long)),
    ):
        assert len(refusal([HELLO], options).message) < 10_000


# --- arbitrary conversations ---------------------------------------------------------------------

words = st.text(min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
urls = st.builds(
    lambda scheme, rest: scheme + rest, st.sampled_from(["https://", "http://"]), words
)
images = st.builds(Image, url=urls) | st.builds(
    Image, data=st.binary(max_size=9), media_type=st.sampled_from(["image/png", "image/webp"])
)
documents = st.builds(Document, url=urls) | st.builds(
    Document, data=st.binary(max_size=9), media_type=st.just("application/pdf")
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = draw(
        st.lists(st.builds(Message, st.just("system"), words), max_size=1)
    )
    messages.append(Message("user", draw(words)))
    for turn in range(draw(st.integers(0, 3))):
        called = [f"{turn}-{number}" for number in range(draw(st.integers(0, 3)))]
        said: list[Content] = [Text(draw(words)), Reasoning(draw(words), "vendor", {"a": 1})]
        said += [ToolCall(call_id, draw(names), draw(words)) for call_id in called]
        messages.append(Message("assistant", said))
        answers: list[Content] = [
            ToolResult(call_id, draw(words | st.lists(st.builds(Text, words) | images, max_size=2)))
            for call_id in called
        ]
        if answers:
            messages.append(Message(draw(st.sampled_from(["user", "tool"])), answers))
        asked = draw(st.lists(st.builds(Text, words) | images | documents, min_size=1, max_size=3))
        messages.append(Message("user", list(asked)))
    return messages


json_types = st.sampled_from(sorted(schemas.SCHEMA_TYPES))
any_schema = st.recursive(
    st.fixed_dictionaries({"type": json_types | st.lists(json_types, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"enum": st.lists(st.none() | st.integers() | words, min_size=1)})
    | st.fixed_dictionaries({"$ref": words}),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(words, inner, max_size=3)},
            optional={
                "required": st.lists(words, max_size=2),
                "additionalProperties": st.booleans() | inner,
                "$defs": st.dictionaries(words, inner, max_size=2),
            },
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner | st.booleans()})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=10,
)


@st.composite
def valid_options(draw: st.DrawFn) -> CallOptions:
    tools = [
        Tool(
            name,
            draw(words),
            draw(st.just({}) | any_schema.filter(lambda s: s.get("type") == "object")),
        )
        for name in draw(st.lists(names, max_size=3, unique=True))
    ]
    choices: list[Any] = [None, "auto", "none"]
    if tools:
        choices += ["required", ToolName(tools[-1].name)]
    return CallOptions(
        tools=tools,
        tool_choice=draw(st.sampled_from(choices)),
        output_schema=draw(st.none() | any_schema),
        max_output_tokens=draw(st.none() | st.integers(1, 10_000_000)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        timeout=draw(st.none() | st.floats(0, exclude_min=True)),
        stop=draw(st.lists(words, max_size=3)),
    )


@given(conversations(), valid_options())
def test_what_is_meant_passes(messages: list[Message], options: CallOptions) -> None:
    check_request(messages, options)


garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "enum", "required", "anyOf", "$defs", "allOf"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(["type", "properties", "items", "anyOf"]) | st.text(), garbage)
)
def test_no_garbage_is_more_than_a_refusal(value: dict[str, Any]) -> None:
    for options in (schema(value), tool(**value), tool(**{**value, "type": "object"})):
        try:
            check_request([HELLO], options)
        except CallRefused:
            continue
        assert measure([HELLO], options).input_tokens > 0


class LoudList(list[Any]):
    """Counts how often it is walked through."""

    walks = 0

    def __iter__(self) -> Iterator[Any]:
        type(self).walks += 1
        return super().__iter__()


class LoudDict(dict[str, Any]):
    """Counts how often it is walked through."""

    walks = 0

    def items(self) -> Any:
        type(self).walks += 1
        return super().items()

    def values(self) -> Any:
        type(self).walks += 1
        return super().values()


def test_a_wide_schema_is_walked_through_a_bounded_number_of_times() -> None:
    def walks_of(width: int) -> int:
        LoudDict.walks = LoudList.walks = 0
        inner = LoudDict({str(number): LoudDict(type="null") for number in range(width)})
        options = schema(LoudDict(type="object", properties=inner, anyOf=LoudList([inner] * 5)))
        check_request([HELLO], options)
        return LoudDict.walks + LoudList.walks

    once, tenfold = walks_of(100), walks_of(1000)
    assert tenfold <= 10 * once + 50


def test_every_object_of_a_schema_is_walked_through_once() -> None:
    LoudDict.walks = 0
    inner = LoudDict({str(number): LoudDict(type="null", title="a") for number in range(200)})
    check_request([HELLO], schema(LoudDict(type="object", properties=inner)))
    assert LoudDict.walks == 202


def test_a_long_name_above_many_others_is_not_copied_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    as_text = schemas._written

    def write(place: schemas.Place) -> str:
        written.append("once")
        return as_text(place)

    monkeypatch.setattr(schemas, "_written", write)
    children = {str(number): {"type": "null"} for number in range(1000)}
    value = nested(10, "x" * 10_000, {"properties": children})
    check_request([HELLO], schema(value))
    assert written == []
    children["999"] = {"type": "nothing"}
    assert refusal([HELLO], schema(value)).message.endswith("'nothing' is no JSON type")
    assert written == ["once"]


def test_a_call_that_crossed_the_wire_is_refused_or_can_be_measured() -> None:
    """Whatever depth the codec lets through, the steps after it do."""
    for depth in (100, 300, 600, 900, 980):
        deep: Any = {}
        for _ in range(depth):
            deep = {"x": deep}
        frame = CallRequested("1", "smart", [HELLO], schema({"type": "object", "x": deep}))
        try:
            (call,) = client_frame_reader().feed(bytes(encode_frame(frame)))
        except (ProtocolError, RecursionError):  # too deep to be written, or to be read
            continue
        assert isinstance(call, CallRequested)
        assert isinstance(call.messages, list)
        try:
            check_request(call.messages, call.options)
        except CallRefused:
            continue
        assert measure(call.messages, call.options).input_tokens > 0
