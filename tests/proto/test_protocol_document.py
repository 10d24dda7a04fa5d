"""docs/protocol.md says what the code does: every table, every name, the bytes of the example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from routerd_proto import (
    CODES,
    DEFAULT_MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Conversation,
    FrameReader,
    State,
    client_frame_reader,
    content,
    daemon_frame_reader,
    encode_frame,
)
from routerd_proto.conversation import TRANSITIONS
from routerd_proto.frames import CLIENT_FRAMES, CONTENT_FRAMES, DAEMON_FRAMES

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
FRAMES = {"client": CLIENT_FRAMES, "daemon": DAEMON_FRAMES}
ALL_FRAMES: tuple[type[msgspec.Struct], ...] = (*CLIENT_FRAMES, *DAEMON_FRAMES)
SIMPLE = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    bytes: "bytes",
    type(None): "nil",
    Any: "any",
}


class Table(NamedTuple):
    """A table of the document: the section it stands in, its columns and its rows."""

    section: str
    columns: list[str]
    rows: list[dict[str, str]]


def tables_of(text: str) -> Iterator[Table]:
    section, table = "", None
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").strip("`")
        if not line.startswith("|"):
            if table is not None:
                yield table
            table = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if table is None:
            table = Table(section, cells, [])
        elif not all(re.fullmatch(r"-+:?", cell) for cell in cells):
            assert len(cells) == len(table.columns), line
            table.rows.append(dict(zip(table.columns, cells, strict=True)))
    if table is not None:
        yield table


TEXT = DOCUMENT.read_text(encoding="utf-8")
TABLES = list(tables_of(TEXT + "\n"))


def table_with(*columns: str) -> Table:
    [table] = [table for table in TABLES if table.columns == list(columns)]
    return table


def noun_verb(kind: type) -> str:
    """`CallEnded` is `call_ended` in the document."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def describe(kind: Any) -> str:
    """Write a type in the words of the document."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(argument)}`" for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(describe(member) for member in arguments)
    if origin in (list, Sequence):
        inner = describe(arguments[0])
        return f"list of ({inner})" if " or " in inner else f"list of {inner}"
    if origin is dict:
        return "map"
    return f"[{noun_verb(kind)}](#{noun_verb(kind)})"


def default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return f"`{json.dumps(msgspec.to_builtins(default)).replace('null', 'nil')}`"


def described_structs() -> dict[str, type[msgspec.Struct]]:
    """Find every struct that travels, by what the frames hold."""
    found: dict[str, type[msgspec.Struct]] = {}

    def visit(kind: Any) -> None:
        for inner in get_args(kind):
            visit(inner)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            name = noun_verb(kind)
            if name not in found:
                found[name] = kind
                for hint in get_type_hints(kind).values():
                    visit(hint)

    for frame in ALL_FRAMES:
        visit(frame)
    return found


STRUCTS = described_structs()


def test_the_document_has_a_section_for_every_struct_and_no_other() -> None:
    described = {
        table.section
        for table in TABLES
        if table.columns[1:3] in (["field", "type"], ["type", "default"])
    }
    with_fields = {name for name, kind in STRUCTS.items() if msgspec.structs.fields(kind)}
    assert described == with_fields


def test_no_struct_was_left_out_of_the_content() -> None:
    """What `content` offers is what the frames hold."""
    offered = {getattr(content, name) for name in content.__all__}
    structs = {kind for kind in offered if isinstance(kind, type)}
    assert structs <= set(STRUCTS.values())


@pytest.mark.parametrize("name", STRUCTS)
def test_the_fields_of(name: str) -> None:
    kind = STRUCTS[name]
    [table] = [table for table in TABLES if table.section == name]
    hints = get_type_hints(kind)
    config = kind.__struct_config__
    if config.array_like:
        first = 0 if config.tag is None else 1
        expected = [
            [str(position), f"`{field.name}`", describe(hints[field.name]), default_of(field)]
            for position, field in enumerate(msgspec.structs.fields(kind), first)
        ]
        columns = ["position", "field", "type", "default"]
    else:
        expected = [
            [f"`{field.encode_name}`", describe(hints[field.name]), default_of(field)]
            for field in msgspec.structs.fields(kind)
        ]
        columns = ["key", "type", "default"]
    assert table.columns == [*columns, "meaning"]
    assert [[row[column] for column in columns] for row in table.rows] == expected
    assert all(row["meaning"] for row in table.rows)


def test_the_frames() -> None:
    table = table_with("tag", "frame", "from", "meaning")
    described = [(row["tag"], row["frame"], row["from"]) for row in table.rows]
    assert described == [
        (str(kind.__struct_config__.tag), f"[{noun_verb(kind)}](#{noun_verb(kind)})", side)
        for side, kinds in FRAMES.items()
        for kind in kinds
    ]


def test_the_content_parts_have_their_type_tags() -> None:
    table = table_with("`type`", "part", "meaning")
    parts = get_args(content.Content)
    assert [(row["`type`"], row["part"]) for row in table.rows] == [
        (f'`"{part.__struct_config__.tag}"`', f"[{noun_verb(part)}](#{noun_verb(part)})")
        for part in parts
    ]
    assert {part.__struct_config__.tag_field for part in parts} == {"type"}


def test_the_codes() -> None:
    table = table_with("code", "blame", "retryable", "next step")
    described = {
        row["code"].strip("`"): (row["blame"], row["retryable"] == "yes", row["next step"])
        for row in table.rows
    }
    assert described == {code: tuple(known) for code, known in CODES.items()}
    assert len(table.rows) == len(CODES)


def test_the_transitions() -> None:
    table = table_with("state", "frame", "next state")
    by_name = {f"`{noun_verb(kind)}`": [kind] for kind in ALL_FRAMES}
    by_name["any content frame"] = list(CONTENT_FRAMES)
    states = {f"`{state.value}`": [state] for state in State}
    states["any but `ended`"] = [state for state in State if state is not State.ENDED]
    described: dict[tuple[State, type], State] = {}
    for row in table.rows:
        for state in states[row["state"]]:
            for kind in by_name[row["frame"]]:
                assert (state, kind) not in described, row
                [described[state, kind]] = states[row["next state"]]
    assert described == TRANSITIONS


def test_every_state_is_explained() -> None:
    table = table_with("state", "meaning")
    assert [row["state"] for row in table.rows] == [f"`{state.value}`" for state in State]


def test_the_content_frames_are_named() -> None:
    [sentence] = re.findall(r"The content frames are (.*?)\.", TEXT, re.DOTALL)
    assert re.findall(r"`(\w+)`", sentence) == [noun_verb(kind) for kind in CONTENT_FRAMES]


def test_the_version_and_the_default_limit() -> None:
    assert f"This is version {PROTOCOL_VERSION} of the protocol" in TEXT
    assert f"{DEFAULT_MAX_FRAME_BYTES} bytes" in TEXT


def test_every_link_leads_to_a_section() -> None:
    sections = {line.lstrip("# ").strip("`").lower().replace(" ", "-")
                for line in TEXT.splitlines() if line.startswith("#")}  # fmt: skip
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= sections


# --- the example ------------------------------------------------------------------------------


def example_writes() -> list[tuple[str, bytes, list[Any]]]:
    """Read the example: who writes, which bytes, and what they are said to mean."""
    writes: list[tuple[str, bytes, list[Any]]] = []
    for side, block in re.findall(
        r"The (client|daemon) writes[^`]*```text\n(.*?)```", TEXT, re.DOTALL
    ):
        data, meanings = b"", []
        for line in block.splitlines():
            if line.startswith("#"):
                meanings.append(json.loads(line.lstrip("# ")))
            else:
                data += bytes.fromhex(line)
        writes.append((side, data, meanings))
    return writes


def test_the_bytes_of_the_example_are_a_whole_call() -> None:
    writes = example_writes()
    assert [side for side, _, _ in writes][:2] == ["client", "daemon"]
    conversation = Conversation()
    readers: dict[str, FrameReader[Any]] = {
        "client": client_frame_reader(),
        "daemon": daemon_frame_reader(),
    }
    seen: list[str] = []
    for side, data, meanings in writes:
        frames: list[Any] = readers[side].feed(data)
        assert not readers[side].unfinished
        assert b"".join(encode_frame(frame) for frame in frames) == data
        assert [msgspec.to_builtins(frame) for frame in frames] == meanings
        for frame in frames:
            conversation.advance(frame)
            seen.append(noun_verb(type(frame)))
    assert conversation.state is State.IDLE
    assert seen == [
        "client_hello",
        "call_requested",
        "daemon_hello",
        "call_started",
        "text_delta",
        "text_delta",
        "call_ended",
    ]
